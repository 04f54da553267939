/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/zoo.h"

#include <stdlib.h>

#include "compute/arena.h"
#include "tests/support/must.h"

/* Pictures: (4, 9, 11) from `in`, three ways joined. */
static int s_branches (rk_model_t *m, int in)
{
    int a = rk_model_conv2d (m, "branch.a", in, (rk_conv2d_t) {.channels = 3, .kernel = 1, .stride = 1, .bias = true});
    int b = rk_model_conv2d (m, "branch.b", in, (rk_conv2d_t) {.channels = 2, .kernel = 1, .stride = 1, .kernel_w = 5, .padding_w = 2});
    int c = rk_model_avgpool2d (m, "branch.c", in, 3, 1, 1);
    return rk_model_concat (m, "branch.join", 4, (const int[]) {a, in, b, c}, 0); /* 13 channels */
}

static rk_model_t *s_pictures (void)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (2, 9, 11));
    int t = rk_model_conv2d (m, "grouped", 0, (rk_conv2d_t) {.channels = 4, .kernel = 3, .stride = 1, .padding = 1, .groups = 2});
    const int early = rk_model_groupnorm (m, "groupnorm", t, 2, 0);
    t = rk_model_silu (m, "silu", early);
    const rk_conv2d_t depthwise = {.channels = 4, .kernel = 3, .stride = 1, .padding = 2, .groups = 4, .dilation = 2, .bias = true};
    t = rk_model_conv2d (m, "depthwise", t, depthwise);
    t = rk_model_gelu (m, "gelu", t, RK_GELU_ERF);
    t = s_branches (m, t);
    t = rk_model_batchnorm2d (m, "batchnorm", t);
    int gate = rk_model_sigmoid (m, "gate", rk_model_split (m, "low", t, 0, 0, 6));
    t = rk_model_mul (m, "gated", gate, rk_model_split (m, "high", t, 0, 7, 6));
    t = rk_model_tanh (m, "tanh", t);
    t = rk_model_upsample (m, "upsample", t, 2);
    t = rk_model_leaky_relu (m, "leaky", t, 0.1f);
    t = rk_model_maxpool2d (m, "maxpool", t, 2, 2, 0);
    t = rk_model_concat (m, "late", 3, (const int[]) {t, early, 0}, 0); /* two that crossed all cuts between */
    t = rk_model_permute (m, "permute", t, 3, (const int[]) {1, 2, 0});
    t = rk_model_globalavgpool (m, "pool", t);
    t = rk_model_batchnorm1d (m, "features", t);
    t = rk_model_linear (m, "fc1", t, 7, true);
    t = rk_model_gelu (m, "gelu2", t, RK_GELU_TANH);
    t = rk_model_linear (m, "fc2", t, 5, true);
    rk_model_cross_entropy (m, "loss", t, (rk_cross_entropy_t) {.smoothing = 0.1f});
    return m;
}

static rk_model_t *s_rows (void)
{
    rk_model_t *m = rk_model_new ((rk_shape_t) {2, {5, 6}});
    const int first = rk_model_linear (m, "fc1", 0, 8, true);
    int t = rk_model_layernorm (m, "layernorm", first, 0);
    t = rk_model_transpose (m, "turn", t);
    t = rk_model_batchnorm1d (m, "batchnorm", t);
    t = rk_model_rmsnorm (m, "rmsnorm", t, 1e-3f);
    t = rk_model_transpose (m, "back", t);
    t = rk_model_mul (m, "mul", t, first);
    t = rk_model_dropout (m, "dropout", t, 0.2f);
    t = rk_model_linear (m, "fc2", t, 3, true);
    rk_model_cross_entropy (m, "loss", t, (rk_cross_entropy_t) {.ignores = true, .ignore = 1});
    return m;
}

static rk_model_t *s_targets (bool bce)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (7));
    int t = rk_model_linear (m, "fc1", 0, 12, true);
    t = rk_model_batchnorm1d (m, "norm", t);
    t = rk_model_reshape (m, "reshape", t, rk_shape_3 (3, 2, 2));
    t = rk_model_relu (m, "relu", t);
    t = rk_model_flatten (m, "flatten", t);
    t = rk_model_linear (m, "fc2", t, 6, true);
    (bce ? rk_model_bce : rk_model_mse) (m, "loss", t);
    return m;
}

rk_model_t *rk_zoo_model (int which)
{
    rk_error_t err = {0};
    rk_model_t *m = which == 0 ? s_pictures () : which == 1 ? s_rows () : s_targets (which == 3);
    rk_must (rk_model_seal (m, &err), &err);
    return m;
}

float *rk_zoo_flat (const rk_model_t *model)
{
    const int n_layers = rk_model_n_layers (model);
    float *flat = rk_arena_memory (rk_model_flat_at (model, n_layers) * sizeof *flat);
    RK_MUST_HOLD (flat);
    rk_model_init (model, 3, 0, n_layers, flat);
    for (size_t p = 0; p < rk_model_n_tensors (model); p++) {
        const rk_param_t *param = rk_model_param (model, p);
        for (size_t i = 0; i < param->count && param->shape.n_dims == 1; i++)
            flat[param->offset + i] += 0.01f * (float) (i + 1);
    }
    return flat;
}
