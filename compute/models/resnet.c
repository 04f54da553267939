/* SPDX-License-Identifier: MPL-2.0
 * Residual networks (He et al., 2016), named as torchvision names them. Two families of the same block:
 *   of CIFAR: three groups of basic blocks from 16 channels, shortcuts without parameters (option A);
 *   of ImageNet: four groups from 64 channels behind a stem that divides the side by four, shortcuts that change
 *   the shape are convolutions (option B), basic or bottleneck blocks. Channels double and planes halve between
 *   groups.                                                                                              */
#include <stdio.h>

#include "compute/models/models.h"

#define NAME 64

typedef struct {
    int n_groups, n_blocks[4];
    size_t width;      /* channels of the first group */
    size_t expansion;  /* of a block's output over its width: 4 makes bottlenecks */
    bool imagenet;
} s_family_t;

/* conv and batch normalisation, "<prefix>conv<nth>" and "<prefix>bn<nth>". */
static int s_conv_bn (rk_model_t *m, const char *prefix, int nth, int in, rk_conv2d_t conv)
{
    char name[NAME];
    snprintf (name, sizeof name, "%sconv%d", prefix, nth);
    int t = rk_model_conv2d (m, name, in, conv);
    snprintf (name, sizeof name, "%sbn%d", prefix, nth);
    return rk_model_batchnorm2d (m, name, t);
}

static int s_relu (rk_model_t *m, const char *prefix, int nth, int in)
{
    char name[NAME];
    snprintf (name, sizeof name, "%srelu%d", prefix, nth);
    return rk_model_relu (m, name, in);
}

static int s_skip (rk_model_t *m, const s_family_t *family, const char *prefix, int in, size_t channels, size_t stride)
{
    char name[NAME];
    if (in < 0 || (stride == 1 && rk_model_tensor_shape (m, in).dim[0] == channels))
        return in;
    if (!family->imagenet) {
        snprintf (name, sizeof name, "%sshortcut", prefix);
        return rk_model_shortcut (m, name, in, channels, stride);
    }
    snprintf (name, sizeof name, "%sdownsample.0", prefix);
    int t = rk_model_conv2d (m, name, in, (rk_conv2d_t) {.channels = channels, .kernel = 1, .stride = stride});
    snprintf (name, sizeof name, "%sdownsample.1", prefix);
    return rk_model_batchnorm2d (m, name, t);
}

static int s_block (rk_model_t *m, const s_family_t *family, const char *prefix, int in, size_t width, size_t stride)
{
    const bool bottleneck = family->expansion > 1;
    const size_t channels = width * family->expansion;
    const rk_conv2d_t reduce = {.channels = width, .kernel = 1, .stride = 1};
    const rk_conv2d_t middle = {.channels = width, .kernel = 3, .stride = stride, .padding = 1};
    const rk_conv2d_t second = {.channels = width, .kernel = 3, .stride = 1, .padding = 1};
    const rk_conv2d_t expand = {.channels = channels, .kernel = 1, .stride = 1};
    const rk_conv2d_t convs[] = {bottleneck ? reduce : middle, bottleneck ? middle : second, expand};
    const int n_convs = bottleneck ? 3 : 2;
    char name[NAME];
    int skip = s_skip (m, family, prefix, in, channels, stride), t = in;
    for (int nth = 1; nth <= n_convs; nth++) {
        t = s_conv_bn (m, prefix, nth, t, convs[nth - 1]);
        if (nth < n_convs)
            t = s_relu (m, prefix, nth, t);
    }
    snprintf (name, sizeof name, "%sadd", prefix);
    t = rk_model_add (m, name, t, skip);
    return s_relu (m, prefix, n_convs, t);
}

static int s_stem (rk_model_t *m, const s_family_t *family)
{
    const rk_conv2d_t small = {.channels = family->width, .kernel = 3, .stride = 1, .padding = 1};
    const rk_conv2d_t large = {.channels = family->width, .kernel = 7, .stride = 2, .padding = 3};
    int t = s_conv_bn (m, "", 1, 0, family->imagenet ? large : small);
    t = rk_model_relu (m, "relu", t);
    return family->imagenet ? rk_model_maxpool2d (m, "maxpool", t, 3, 2, 1) : t;
}

static void s_build (rk_model_t *m, const s_family_t *family, size_t n_classes)
{
    int t = s_stem (m, family);
    for (int g = 0; g < family->n_groups; g++)
        for (int b = 0; b < family->n_blocks[g]; b++) {
            char prefix[32];
            snprintf (prefix, sizeof prefix, "layer%d.%d.", g + 1, b);
            t = s_block (m, family, prefix, t, family->width << g, g > 0 && b == 0 ? 2 : 1);
        }
    t = rk_model_globalavgpool (m, "avgpool", t);
    t = rk_model_linear (m, "fc", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}

static void s_build_cifar (rk_model_t *m, int n_blocks, size_t n_classes)
{
    s_build (m, &(s_family_t) {3, {n_blocks, n_blocks, n_blocks}, 16, 1, false}, n_classes);
}

void rk_model_build_resnet20 (rk_model_t *m, size_t n_classes)
{
    s_build_cifar (m, 3, n_classes);
}

void rk_model_build_resnet32 (rk_model_t *m, size_t n_classes)
{
    s_build_cifar (m, 5, n_classes);
}

void rk_model_build_resnet56 (rk_model_t *m, size_t n_classes)
{
    s_build_cifar (m, 9, n_classes);
}

void rk_model_build_resnet18 (rk_model_t *m, size_t n_classes)
{
    s_build (m, &(s_family_t) {4, {2, 2, 2, 2}, 64, 1, true}, n_classes);
}

void rk_model_build_resnet50 (rk_model_t *m, size_t n_classes)
{
    s_build (m, &(s_family_t) {4, {3, 4, 6, 3}, 64, 4, true}, n_classes);
}

void rk_model_build_residual_tiny (rk_model_t *m, size_t n_classes)
{
    s_build (m, &(s_family_t) {2, {1, 1}, 4, 1, false}, n_classes);
}
