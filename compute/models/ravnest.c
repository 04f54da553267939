/* SPDX-License-Identifier: MPL-2.0
 * The network of Ravnest's own first example, made for 8 x 8 digits (16,426 parameters there): conv 16 - pool -
 * batchnorm - pool - conv 32 - pool - batchnorm - fc 256 - batchnorm - fc, relu behind the convolutions and fc 256.
 * Batch normalisation of 256 features is that of 256 channels of one pixel, so fc 256 is written as the
 * convolution that covers its whole (square) input.                                                      */
#include "compute/models/models.h"

void rk_model_build_ravnest_cnn (rk_model_t *m, size_t n_classes)
{
    int t = rk_model_conv2d (m, "conv1", 0, (rk_conv2d_t) {.channels = 16, .kernel = 3, .stride = 1, .padding = 1, .bias = true});
    t = rk_model_relu (m, "relu1", t);
    t = rk_model_maxpool2d (m, "pool1", t, 2, 2, 0);
    t = rk_model_batchnorm2d (m, "bn1", t);
    t = rk_model_maxpool2d (m, "pool2", t, 2, 2, 0);
    t = rk_model_conv2d (m, "conv2", t, (rk_conv2d_t) {.channels = 32, .kernel = 3, .stride = 1, .padding = 1, .bias = true});
    t = rk_model_relu (m, "relu2", t);
    t = rk_model_maxpool2d (m, "pool3", t, 2, 2, 0);
    t = rk_model_batchnorm2d (m, "bn2", t);
    const size_t side = t < 0 ? 1 : rk_model_tensor_shape (m, t).dim[2];
    t = rk_model_conv2d (m, "fc1", t, (rk_conv2d_t) {.channels = 256, .kernel = side, .stride = 1, .padding = 0, .bias = true});
    t = rk_model_relu (m, "relu3", t);
    t = rk_model_batchnorm2d (m, "bn3", t);
    t = rk_model_flatten (m, "flatten", t);
    t = rk_model_linear (m, "fc2", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}
