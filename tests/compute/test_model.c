/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/model.h"

static rk_model_t *s_named (const char *name)
{
    rk_error_t err = {0};
    rk_model_t *model;
    rk_err_t rc = rk_model_by_name (&model, name, rk_shape_3 (1, 28, 28), 10, &err);
    if (rc == RK_ESHAPE) /* it takes tokens */
        rc = rk_model_by_name (&model, name, rk_shape_1 (16), 10, &err);
    if (rc)
        fail_msg ("%s", err.text);
    return model;
}

/* What PyTorch counts for the same layers. */
static void test_parameter_counts (void **state)
{
    static const struct {
        const char *name;
        size_t n_params;
    } known[] = {{"mlp", 535818}, {"cnn", 1625866}, {"resnet20", 269434}};
    for (size_t i = 0; i < 3; i++) {
        rk_model_t *model = s_named (known[i].name);
        assert_int_equal (rk_model_n_params (model), known[i].n_params);
        assert_string_equal (rk_model_name (model), known[i].name);
        assert_int_equal (rk_model_n_classes (model), 10);
        rk_model_destroy (&model);
        rk_model_destroy (&model);
    }
}

/* As published: 4,832 + 8,512 + 3,082 in its three parts, on the 8 x 8 input they are counted for. */
static void test_ravnest_count (void **state)
{
    rk_model_t *model = NULL;
    assert_int_equal (rk_model_by_name (&model, "ravnest-cnn", rk_shape_3 (1, 8, 8), 10, NULL), RK_OK);
    assert_int_equal (rk_model_n_params (model), 16426);
    rk_model_destroy (&model);
    rk_error_t err = {0};
    assert_int_not_equal (rk_model_by_name (&model, "ravnest-cnn", rk_shape_3 (1, 4, 4), 10, &err), RK_OK); /* nothing left to pool */
    assert_non_null (strstr (err.text, "pool3"));
}

static const rk_param_t *s_param (const rk_model_t *model, const char *name)
{
    for (size_t p = 0; p < rk_model_n_tensors (model); p++)
        if (strcmp (rk_model_param (model, p)->name, name) == 0)
            return rk_model_param (model, p);
    fail_msg ("no parameter %s", name);
    return NULL;
}

static void test_parameter_names (void **state)
{
    rk_model_t *model = s_named ("cnn");
    assert_int_equal (s_param (model, "conv2.weight")->count, 64 * 32 * 9);
    assert_int_equal (s_param (model, "fc1.bias")->count, 128);
    rk_model_destroy (&model);
    model = s_named ("resnet20");
    assert_false (s_param (model, "layer1.0.bn1.running_mean")->trainable);
    assert_true (s_param (model, "layer3.2.conv2.weight")->trainable);
    assert_int_equal (s_param (model, "fc.weight")->shape.dim[1], 64);
    rk_model_destroy (&model);
}

static void test_flat_layout (void **state)
{
    for (const char *const *name = rk_model_names (); *name; name++) {
        rk_model_t *model = s_named (*name);
        const int n_layers = rk_model_n_layers (model);
        size_t end = 0;
        for (size_t p = 0; p < rk_model_n_tensors (model); p++) {
            const rk_param_t *param = rk_model_param (model, p);
            assert_int_equal (param->offset % RK_FLAT_ALIGN, 0);
            assert_int_equal (param->offset, end);
            assert_true (param->offset >= rk_model_flat_at (model, param->layer));
            assert_true (param->offset + param->count <= rk_model_flat_at (model, param->layer + 1));
            assert_int_equal (param->count, rk_shape_elems (param->shape));
            end = param->offset + rk_flat_round (param->count);
        }
        assert_int_equal (rk_model_flat_at (model, 0), 0);
        assert_int_equal (rk_model_flat_at (model, n_layers), end);
        rk_model_destroy (&model);
    }
}

/* The initial values of a layer do not depend on who asks for them. */
static void test_init (void **state)
{
    rk_model_t *model = s_named ("resnet20");
    const int n_layers = rk_model_n_layers (model);
    const size_t len = rk_model_flat_at (model, n_layers);
    float *whole = malloc (len * sizeof *whole), *part = malloc (len * sizeof *part), *other = malloc (len * sizeof *other);
    rk_model_init (model, 7, 0, n_layers, whole);
    for (int l = 0; l < n_layers; l += 3)
        rk_model_init (model, 7, l, l + 3 < n_layers ? l + 3 : n_layers, part + rk_model_flat_at (model, l));
    assert_memory_equal (whole, part, len * sizeof *whole);
    rk_model_init (model, 8, 0, n_layers, other);
    assert_memory_not_equal (whole, other, len * sizeof *whole);
    const rk_param_t *conv = s_param (model, "layer2.1.conv1.weight"), *var = s_param (model, "bn1.running_var");
    const float bound = 1 / sqrtf (32 * 9);
    float low = 0, high = 0;
    for (size_t i = conv->offset; i < conv->offset + conv->count; i++) {
        low = fminf (low, whole[i]);
        high = fmaxf (high, whole[i]);
    }
    assert_true (low >= -bound && low < -0.99f * bound && high < bound && high > 0.99f * bound);
    assert_true (whole[var->offset] == 1 && whole[var->offset + var->count - 1] == 1);
    free (whole);
    free (part);
    free (other);
    rk_model_destroy (&model);
}

/* a -> b -> c -> add (c, a) -> fc, with the input read again by fc2. */
static void test_boundaries (void **state)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (6));
    int a = rk_model_linear (m, "a", 0, 8, true);
    int b = rk_model_relu (m, "b", a);
    int c = rk_model_linear (m, "c", b, 8, true);
    int d = rk_model_add (m, "d", c, a);
    int e = rk_model_linear (m, "e", 0, 8, false);
    int f = rk_model_add (m, "f", d, e);
    rk_model_softmax_xent (m, "loss", f);
    assert_int_equal (rk_model_seal (m, NULL), RK_OK);
    static const struct {
        int cut, from, n, tensor[3];
        bool passes[3];
    } cases[] = {
        {0, 0, 1, {0}, {0}},
        {1, 0, 2, {0, 1}, {0, 0}},
        {2, 1, 3, {0, 1, 2}, {1, 1, 0}},
        {3, 2, 3, {0, 1, 3}, {1, 1, 0}},
        {3, 3, 3, {0, 1, 3}, {0, 0, 0}}, /* what a stage that begins here receives */
        {4, 1, 2, {0, 4}, {1, 0}},
        {5, 4, 2, {4, 5}, {1, 0}},
        {6, 0, 1, {6}, {0}},
        {7, 3, 0, {0}, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_boundary_t out[RK_MAX_BOUNDARY];
        assert_int_equal (rk_model_boundary (m, cases[i].cut, cases[i].from, out), cases[i].n);
        for (int t = 0; t < cases[i].n; t++) {
            assert_int_equal (out[t].tensor, cases[i].tensor[t]);
            assert_int_equal (out[t].passes_through, cases[i].passes[t]);
            assert_int_equal (out[t].needs_grad, out[t].tensor != 0);
            assert_int_equal (out[t].elems, out[t].tensor ? 8 : 6);
        }
    }
    rk_model_destroy (&m);
}

static void test_costs (void **state)
{
    rk_model_t *model = s_named ("cnn");
    rk_layer_cost_t cost;
    rk_model_cost (model, 2, 64, &cost);
    assert_string_equal (rk_model_layer_name (model, 2), "conv2");
    assert_string_equal (rk_model_layer_kind (model, 2), "conv2d");
    assert_true (cost.forward_flops == (uint64_t) 2 * 64 * 784 * 64 * 32 * 9);
    assert_true (cost.backward_flops == 2 * cost.forward_flops);
    assert_true (cost.output_bytes == (uint64_t) 64 * 64 * 784 * 4);
    assert_true (cost.stash_bytes == 0); /* only its pooled values are kept */
    rk_model_destroy (&model);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_parameter_counts), cmocka_unit_test (test_ravnest_count), cmocka_unit_test (test_parameter_names),
        cmocka_unit_test (test_flat_layout),      cmocka_unit_test (test_init),
        cmocka_unit_test (test_boundaries),       cmocka_unit_test (test_costs),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
