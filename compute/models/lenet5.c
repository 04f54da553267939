/* SPDX-License-Identifier: MPL-2.0
 * LeNet-5 (LeCun et al., 1998) as it is built today: full connections between the maps, rectifiers and maximum
 * pooling. It sees 32 x 32 pixels; the 28 x 28 of MNIST get a border of two. The rectifiers stand behind the
 * pooling, as in cnn.c.                                                                                  */
#include "compute/models/models.h"

#define SIDE 32

void rk_model_build_lenet5 (rk_model_t *m, size_t n_classes)
{
    const size_t padding = rk_model_tensor_shape (m, 0).dim[2] < SIDE ? 2 : 0;
    int t = rk_model_conv2d (m, "conv1", 0, (rk_conv2d_t) {.channels = 6, .kernel = 5, .stride = 1, .padding = padding, .bias = true});
    t = rk_model_maxpool2d (m, "pool1", t, 2, 2, 0);
    t = rk_model_relu (m, "relu1", t);
    t = rk_model_conv2d (m, "conv2", t, (rk_conv2d_t) {.channels = 16, .kernel = 5, .stride = 1, .bias = true});
    t = rk_model_maxpool2d (m, "pool2", t, 2, 2, 0);
    t = rk_model_relu (m, "relu2", t);
    t = rk_model_flatten (m, "flatten", t);
    t = rk_model_linear (m, "fc1", t, 120, true);
    t = rk_model_relu (m, "relu3", t);
    t = rk_model_linear (m, "fc2", t, 84, true);
    t = rk_model_relu (m, "relu4", t);
    t = rk_model_linear (m, "fc3", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}
