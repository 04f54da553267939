/* SPDX-License-Identifier: MPL-2.0
 * conv 3x3x32 - relu - conv 3x3x64 - relu - maxpool 2 - fc 128 - relu - fc, same padding.
 * The second relu stands behind the pooling: relu and maximum commute exactly, values and gradients, and
 * the largest tensor of the network is then needed by nobody's backward.                             */
#include "compute/models/models.h"

static void s_build (rk_model_t *m, size_t width, size_t hidden, size_t n_classes)
{
    const rk_conv2d_t conv1 = {.channels = width, .kernel = 3, .stride = 1, .padding = 1, .bias = true};
    const rk_conv2d_t conv2 = {.channels = 2 * width, .kernel = 3, .stride = 1, .padding = 1, .bias = true};
    int t = rk_model_conv2d (m, "conv1", 0, conv1);
    t = rk_model_relu (m, "relu1", t);
    t = rk_model_conv2d (m, "conv2", t, conv2);
    t = rk_model_maxpool2d (m, "pool", t, 2, 2, 0);
    t = rk_model_relu (m, "relu2", t);
    t = rk_model_flatten (m, "flatten", t);
    t = rk_model_linear (m, "fc1", t, hidden, true);
    t = rk_model_relu (m, "relu3", t);
    t = rk_model_linear (m, "fc2", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}

void rk_model_build_cnn (rk_model_t *m, size_t n_classes)
{
    s_build (m, 32, 128, n_classes);
}

void rk_model_build_cnn_tiny (rk_model_t *m, size_t n_classes)
{
    s_build (m, 4, 16, n_classes);
}
