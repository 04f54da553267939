/* SPDX-License-Identifier: MPL-2.0
 * Residual networks of the CIFAR kind (He et al., 2016): three groups of basic blocks, channels doubled and
 * planes halved between groups, shortcuts without parameters (option A).                             */
#include <stdio.h>

#include "compute/models/models.h"

static int s_conv_bn (rk_model_t *m, const char *prefix, int nth, int in, rk_conv2d_t conv)
{
    char name[48];
    snprintf (name, sizeof name, "%sconv%d", prefix, nth);
    int t = rk_model_conv2d (m, name, in, conv);
    snprintf (name, sizeof name, "%sbn%d", prefix, nth);
    return rk_model_batchnorm2d (m, name, t);
}

static int s_block (rk_model_t *m, const char *prefix, int in, size_t channels, size_t stride)
{
    char name[48];
    const rk_conv2d_t first = {.channels = channels, .kernel = 3, .stride = stride, .padding = 1};
    const rk_conv2d_t second = {.channels = channels, .kernel = 3, .stride = 1, .padding = 1};
    int skip = in;
    if (stride != 1) {
        snprintf (name, sizeof name, "%sshortcut", prefix);
        skip = rk_model_shortcut (m, name, in, channels, stride);
    }
    int t = s_conv_bn (m, prefix, 1, in, first);
    snprintf (name, sizeof name, "%srelu1", prefix);
    t = rk_model_relu (m, name, t);
    t = s_conv_bn (m, prefix, 2, t, second);
    snprintf (name, sizeof name, "%sadd", prefix);
    t = rk_model_add (m, name, t, skip);
    snprintf (name, sizeof name, "%srelu2", prefix);
    return rk_model_relu (m, name, t);
}

static void s_build (rk_model_t *m, size_t width, int n_groups, int n_blocks, size_t n_classes)
{
    const rk_conv2d_t stem = {.channels = width, .kernel = 3, .stride = 1, .padding = 1};
    int t = s_conv_bn (m, "", 1, 0, stem);
    t = rk_model_relu (m, "relu", t);
    for (int g = 0; g < n_groups; g++)
        for (int b = 0; b < n_blocks; b++) {
            char prefix[32];
            snprintf (prefix, sizeof prefix, "layer%d.%d.", g + 1, b);
            t = s_block (m, prefix, t, width << g, g > 0 && b == 0 ? 2 : 1);
        }
    t = rk_model_globalavgpool (m, "pool", t);
    t = rk_model_linear (m, "fc", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}

void rk_model_build_resnet20 (rk_model_t *m, size_t n_classes)
{
    s_build (m, 16, 3, 3, n_classes);
}

void rk_model_build_residual_tiny (rk_model_t *m, size_t n_classes)
{
    s_build (m, 4, 2, 1, n_classes);
}
