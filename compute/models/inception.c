/* SPDX-License-Identifier: MPL-2.0
 * Inception v3 (Szegedy et al., 2016) for small pictures, as Ravnest trains it: torchvision's blocks under torchvision's
 * names, without the auxiliary classifier, behind one 3 x 3 convolution to 192 channels instead of a stem that divides
 * the side by eight. The epsilon of batch normalisation is 1e-5 as everywhere here (torchvision: 1e-3).     */
#include <stdio.h>

#include "compute/models/models.h"

#define NAME 80
#define MOST_BRANCHES 6

/* A block under construction: its name, its input, and what will be joined. */
typedef struct {
    rk_model_t *m;
    const char *name;
    int in, joined[MOST_BRANCHES], n_joined;
} s_block_t;

static s_block_t s_begin (rk_model_t *m, const char *name, int in)
{
    return (s_block_t) {.m = m, .name = name, .in = in};
}

static void s_join (s_block_t *b, int t)
{
    b->joined[b->n_joined++] = t;
}

static int s_end (s_block_t *b)
{
    char name[NAME];
    snprintf (name, sizeof name, "%s.concat", b->name);
    return rk_model_concat (b->m, name, b->n_joined, b->joined, 0);
}

/* "<block>.<branch>.conv", ".bn" and ".relu"; rows x columns taps, padded so that the side stays, or strided and not padded. */
static int s_conv (s_block_t *b, const char *branch, int in, size_t channels, size_t rows, size_t columns, size_t stride)
{
    char name[NAME];
    const rk_conv2d_t conv = {.channels = channels, .kernel = rows, .stride = stride, .padding = stride == 1 ? rows / 2 : 0,
                              .kernel_w = columns, .padding_w = stride == 1 ? columns / 2 : 0};
    snprintf (name, sizeof name, "%s.%s.conv", b->name, branch);
    int t = rk_model_conv2d (b->m, name, in, conv);
    snprintf (name, sizeof name, "%s.%s.bn", b->name, branch);
    t = rk_model_batchnorm2d (b->m, name, t);
    snprintf (name, sizeof name, "%s.%s.relu", b->name, branch);
    return rk_model_relu (b->m, name, t);
}

static int s_same (s_block_t *b, const char *branch, int in, size_t channels, size_t side)
{
    return s_conv (b, branch, in, channels, side, side, 1);
}

/* The average of 3 x 3 and a 1 x 1 convolution. */
static void s_join_average (s_block_t *b, size_t channels)
{
    char name[NAME];
    snprintf (name, sizeof name, "%s.pool", b->name);
    s_join (b, s_same (b, "branch_pool", rk_model_avgpool2d (b->m, name, b->in, 3, 1, 1), channels, 1));
}

static void s_join_maximum (s_block_t *b)
{
    char name[NAME];
    snprintf (name, sizeof name, "%s.pool", b->name);
    s_join (b, rk_model_maxpool2d (b->m, name, b->in, 3, 2, 0));
}

static int s_block_a (rk_model_t *m, const char *name, int in, size_t pooled)
{
    s_block_t b = s_begin (m, name, in);
    s_join (&b, s_same (&b, "branch1x1", in, 64, 1));
    int t = s_same (&b, "branch5x5_1", in, 48, 1);
    s_join (&b, s_same (&b, "branch5x5_2", t, 64, 5));
    t = s_same (&b, "branch3x3dbl_1", in, 64, 1);
    t = s_same (&b, "branch3x3dbl_2", t, 96, 3);
    s_join (&b, s_same (&b, "branch3x3dbl_3", t, 96, 3));
    s_join_average (&b, pooled);
    return s_end (&b);
}

static int s_block_b (rk_model_t *m, const char *name, int in)
{
    s_block_t b = s_begin (m, name, in);
    s_join (&b, s_conv (&b, "branch3x3", in, 384, 3, 3, 2));
    int t = s_same (&b, "branch3x3dbl_1", in, 64, 1);
    t = s_same (&b, "branch3x3dbl_2", t, 96, 3);
    s_join (&b, s_conv (&b, "branch3x3dbl_3", t, 96, 3, 3, 2));
    s_join_maximum (&b);
    return s_end (&b);
}

static int s_block_c (rk_model_t *m, const char *name, int in, size_t width)
{
    s_block_t b = s_begin (m, name, in);
    s_join (&b, s_same (&b, "branch1x1", in, 192, 1));
    int t = s_same (&b, "branch7x7_1", in, width, 1);
    t = s_conv (&b, "branch7x7_2", t, width, 1, 7, 1);
    s_join (&b, s_conv (&b, "branch7x7_3", t, 192, 7, 1, 1));
    t = s_same (&b, "branch7x7dbl_1", in, width, 1);
    t = s_conv (&b, "branch7x7dbl_2", t, width, 7, 1, 1);
    t = s_conv (&b, "branch7x7dbl_3", t, width, 1, 7, 1);
    t = s_conv (&b, "branch7x7dbl_4", t, width, 7, 1, 1);
    s_join (&b, s_conv (&b, "branch7x7dbl_5", t, 192, 1, 7, 1));
    s_join_average (&b, 192);
    return s_end (&b);
}

static int s_block_d (rk_model_t *m, const char *name, int in)
{
    s_block_t b = s_begin (m, name, in);
    int t = s_same (&b, "branch3x3_1", in, 192, 1);
    s_join (&b, s_conv (&b, "branch3x3_2", t, 320, 3, 3, 2));
    t = s_same (&b, "branch7x7x3_1", in, 192, 1);
    t = s_conv (&b, "branch7x7x3_2", t, 192, 1, 7, 1);
    t = s_conv (&b, "branch7x7x3_3", t, 192, 7, 1, 1);
    s_join (&b, s_conv (&b, "branch7x7x3_4", t, 192, 3, 3, 2));
    s_join_maximum (&b);
    return s_end (&b);
}

static int s_block_e (rk_model_t *m, const char *name, int in)
{
    s_block_t b = s_begin (m, name, in);
    s_join (&b, s_same (&b, "branch1x1", in, 320, 1));
    int t = s_same (&b, "branch3x3_1", in, 384, 1);
    s_join (&b, s_conv (&b, "branch3x3_2a", t, 384, 1, 3, 1));
    s_join (&b, s_conv (&b, "branch3x3_2b", t, 384, 3, 1, 1));
    t = s_same (&b, "branch3x3dbl_1", in, 448, 1);
    t = s_same (&b, "branch3x3dbl_2", t, 384, 3);
    s_join (&b, s_conv (&b, "branch3x3dbl_3a", t, 384, 1, 3, 1));
    s_join (&b, s_conv (&b, "branch3x3dbl_3b", t, 384, 3, 1, 1));
    s_join_average (&b, 192);
    return s_end (&b);
}

void rk_model_build_inception_v3 (rk_model_t *m, size_t n_classes)
{
    static const struct {
        const char *name;
        size_t width;
    } c[] = {{"Mixed_6b", 128}, {"Mixed_6c", 160}, {"Mixed_6d", 160}, {"Mixed_6e", 192}};
    s_block_t stem = s_begin (m, "stem", 0);
    int t = s_same (&stem, "Conv2d_1a_3x3", 0, 192, 3);
    t = s_block_a (m, "Mixed_5b", t, 32);
    t = s_block_a (m, "Mixed_5c", t, 64);
    t = s_block_a (m, "Mixed_5d", t, 64);
    t = s_block_b (m, "Mixed_6a", t);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        t = s_block_c (m, c[i].name, t, c[i].width);
    t = s_block_d (m, "Mixed_7a", t);
    t = s_block_e (m, "Mixed_7b", t);
    t = s_block_e (m, "Mixed_7c", t);
    t = rk_model_globalavgpool (m, "avgpool", t);
    t = rk_model_dropout (m, "dropout", t, 0.5f);
    t = rk_model_linear (m, "fc", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}
