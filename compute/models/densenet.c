/* SPDX-License-Identifier: MPL-2.0
 * Dense networks of the CIFAR kind (Huang et al., 2017), without bottlenecks and compression: three blocks of equally
 * many layers (batch normalisation, rectifier, 3 x 3 convolution to k = 12 channels), each of which reads all that its
 * block has made so far; 1 x 1 convolutions and averages between the blocks. Named as torchvision names its own.  */
#include <stdio.h>

#include "compute/models/models.h"

#define GROWTH 12
#define STEM 16
#define N_BLOCKS 3
#define NAME 64

/* "<prefix><norm>", "<prefix><relu>", "<prefix><conv>" */
typedef struct {
    const char *prefix, *norm, *relu, *conv;
} s_names_t;

static int s_norm_relu_conv (rk_model_t *m, const s_names_t *names, int in, rk_conv2d_t conv)
{
    char name[NAME];
    snprintf (name, sizeof name, "%s%s", names->prefix, names->norm);
    int t = rk_model_batchnorm2d (m, name, in);
    snprintf (name, sizeof name, "%s%s", names->prefix, names->relu);
    t = rk_model_relu (m, name, t);
    snprintf (name, sizeof name, "%s%s", names->prefix, names->conv);
    return rk_model_conv2d (m, name, t, conv);
}

static int s_layer (rk_model_t *m, int block, int nth, int in)
{
    char prefix[NAME], name[NAME + 8];
    snprintf (prefix, sizeof prefix, "features.denseblock%d.denselayer%d.", block, nth);
    const int made = s_norm_relu_conv (m, &(s_names_t) {prefix, "norm1", "relu1", "conv1"}, in,
                                       (rk_conv2d_t) {.channels = GROWTH, .kernel = 3, .stride = 1, .padding = 1});
    snprintf (name, sizeof name, "%sconcat", prefix);
    return rk_model_concat (m, name, 2, (const int[]) {in, made}, 0);
}

static int s_transition (rk_model_t *m, int block, int in)
{
    char prefix[NAME], name[NAME + 8];
    if (in < 0)
        return in;
    snprintf (prefix, sizeof prefix, "features.transition%d.", block);
    int t = s_norm_relu_conv (m, &(s_names_t) {prefix, "norm", "relu", "conv"}, in,
                              (rk_conv2d_t) {.channels = rk_model_tensor_shape (m, in).dim[0], .kernel = 1, .stride = 1});
    snprintf (name, sizeof name, "%spool", prefix);
    return rk_model_avgpool2d (m, name, t, 2, 2, 0);
}

static void s_build (rk_model_t *m, int depth, size_t n_classes)
{
    const int n_layers = (depth - N_BLOCKS - 1) / N_BLOCKS; /* the stem, the transitions and the classifier have one each */
    int t = rk_model_conv2d (m, "features.conv0", 0, (rk_conv2d_t) {.channels = STEM, .kernel = 3, .stride = 1, .padding = 1});
    for (int block = 1; block <= N_BLOCKS; block++) {
        for (int nth = 1; nth <= n_layers; nth++)
            t = s_layer (m, block, nth, t);
        if (block < N_BLOCKS)
            t = s_transition (m, block, t);
    }
    t = rk_model_batchnorm2d (m, "features.norm_final", t);
    t = rk_model_relu (m, "relu", t);
    t = rk_model_globalavgpool (m, "avgpool", t);
    t = rk_model_linear (m, "classifier", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}

void rk_model_build_densenet40 (rk_model_t *m, size_t n_classes)
{
    s_build (m, 40, n_classes);
}

void rk_model_build_densenet100 (rk_model_t *m, size_t n_classes)
{
    s_build (m, 100, n_classes);
}
