/* SPDX-License-Identifier: MPL-2.0
 * Promises of a slice: no bit depends on the cuts, on recomputing or on how many minibatches are in flight;
 * gradients are those of the version that is given.                                                  */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/optim.h"
#include "compute/pool.h"
#include "tests/support/chain.h"

#define BATCH 5

static rk_model_t *s_model (const char *name)
{
    rk_error_t err = {0};
    rk_model_t *model;
    /* Odd planes for the small models, the real shape for those that are made for it. */
    const rk_shape_t shape = strstr (name, "tiny") ? rk_shape_3 (2, 11, 9) : rk_shape_3 (1, 28, 28);
    rk_err_t rc = rk_model_by_name (&model, name, shape, 10, &err);
    if (rc == RK_ESHAPE) /* it takes tokens */
        rc = rk_model_by_name (&model, name, rk_shape_1 (13), 10, &err);
    if (rc)
        fail_msg ("%s", err.text);
    return model;
}

static size_t s_flat_len (const rk_model_t *model)
{
    return rk_model_flat_at (model, rk_model_n_layers (model));
}

static float *s_init (const rk_model_t *model)
{
    float *flat = rk_arena_memory (s_flat_len (model) * sizeof *flat);
    assert_non_null (flat);
    rk_model_init (model, 3, 0, rk_model_n_layers (model), flat);
    return flat;
}

typedef struct {
    float *flat, *grads; /* after the last step; gradients of the last minibatch */
    double loss_sum;
    size_t len;
} s_result_t;

/* Two steps of SGD with momentum on minibatches of 5 and 3 samples. */
static s_result_t s_train (const char *name, int n_slices, bool recompute)
{
    rk_model_t *model = s_model (name);
    const int n_layers = rk_model_n_layers (model);
    n_slices = n_slices < n_layers ? n_slices : n_layers;
    const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11, .recompute = recompute};
    rk_chain_t *chain = rk_chain_new_even (model, n_slices, &config);
    s_result_t result = {.flat = s_init (model), .len = s_flat_len (model)};
    result.grads = rk_arena_memory (result.len * sizeof (float));
    float *slot = rk_arena_memory (result.len * sizeof (float));
    const rk_optim_t *sgd;
    const rk_optim_config_t how = {.momentum = 0.9f, .weight_decay = 0.01f};
    assert_int_equal (rk_optim_by_name (&sgd, "sgd", &how, NULL), RK_OK);
    for (uint64_t f = 0; f < 2; f++) {
        memset (chain->grads, 0, result.len * sizeof (float));
        rk_chain_forward (chain, 0, f, f ? 3 : BATCH, result.flat, result.flat);
        result.loss_sum += chain->loss.loss_sum;
        rk_chain_backward (chain, 0, result.flat);
        const rk_optim_update_t update = {.model = model, .last = n_layers, .lr = 0.1f, .t = f + 1, .grad_scale = 1,
                                          .w_old = result.flat, .w_new = result.flat, .grads = chain->grads,
                                          .slots = &slot};
        rk_optim_update (sgd, &how, &update);
    }
    memcpy (result.grads, chain->grads, result.len * sizeof (float));
    free (slot);
    rk_chain_destroy (&chain);
    rk_model_destroy (&model);
    return result;
}

static void s_free (s_result_t *result)
{
    free (result->flat);
    free (result->grads);
}

static void s_assert_same (const s_result_t *a, const s_result_t *b)
{
    assert_int_equal (a->len, b->len);
    assert_memory_equal (&a->loss_sum, &b->loss_sum, sizeof a->loss_sum);
    assert_memory_equal (a->grads, b->grads, a->len * sizeof (float));
    assert_memory_equal (a->flat, b->flat, a->len * sizeof (float));
}

static void test_cuts_change_no_bit (void **state)
{
    static const char *const names[] = {"mlp", "cnn", "resnet20", "mlp-tiny", "cnn-tiny", "residual-tiny", "dense-tiny",
                                        "lstm-tiny", "gpt-nano"};
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        s_result_t whole = s_train (names[m], 1, false);
        assert_true (isfinite (whole.loss_sum) && whole.loss_sum > 0);
        static const int counts[] = {2, 3, 5, RK_CHAIN_MAX};
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            s_result_t cut = s_train (names[m], counts[c], false);
            s_assert_same (&whole, &cut);
            s_free (&cut);
        }
        s_free (&whole);
    }
}

static void test_recompute_changes_no_bit (void **state)
{
    static const char *const names[] = {"cnn", "mlp-tiny", "cnn-tiny", "residual-tiny", "dense-tiny",
                                        "lstm-tiny", "gpt-nano"};
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        s_result_t kept = s_train (names[m], 1, false);
        static const int counts[] = {1, 3, RK_CHAIN_MAX};
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            s_result_t again = s_train (names[m], counts[c], true);
            s_assert_same (&kept, &again);
            s_free (&again);
        }
        s_free (&kept);
    }
}

/* A pool of three threads changes no bit of any layer. */
static void test_threads_change_no_bit (void **state)
{
    static const char *const names[] = {"mlp", "cnn", "resnet20", "mlp-tiny", "cnn-tiny", "residual-tiny", "dense-tiny",
                                        "lstm-tiny", "gpt-nano"};
    rk_pool_t *pool;
    assert_int_equal (rk_pool_new (&pool, 3, NULL), RK_OK);
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        rk_model_t *model = s_model (names[m]);
        const size_t bytes = s_flat_len (model) * sizeof (float);
        float *flat[2], *grads[2];
        for (int pooled = 0; pooled < 2; pooled++) {
            const rk_slice_config_t config = {.batch = 19, .n_contexts = 1, .seed = 11, .pool = pooled ? pool : NULL};
            rk_chain_t *chain = rk_chain_new_even (model, 1, &config);
            flat[pooled] = s_init (model);
            grads[pooled] = rk_arena_memory (bytes);
            rk_chain_forward (chain, 0, 3, 19, flat[pooled], flat[pooled]);
            rk_chain_backward (chain, 0, flat[pooled]);
            memcpy (grads[pooled], chain->grads, bytes);
            rk_chain_destroy (&chain);
        }
        assert_memory_equal (flat[0], flat[1], bytes);
        assert_memory_equal (grads[0], grads[1], bytes);
        for (int pooled = 0; pooled < 2; pooled++) {
            free (flat[pooled]);
            free (grads[pooled]);
        }
        rk_model_destroy (&model);
    }
    rk_pool_destroy (&pool);
}

/* The comparison above would see one flipped bit. */
static void test_comparison_sees_a_bit (void **state)
{
    s_result_t a = s_train ("mlp-tiny", 1, false), b = s_train ("mlp-tiny", 2, false);
    s_assert_same (&a, &b);
    ((uint8_t *) b.flat)[4] ^= 1;
    assert_memory_not_equal (a.flat, b.flat, a.len * sizeof (float));
    s_free (&a);
    s_free (&b);
}

/* Three minibatches in flight, finished in another order than begun, against one at a time. */
static void test_contexts_are_apart (void **state)
{
    static const char *const names[] = {"cnn-tiny", "residual-tiny", "dense-tiny", "lstm-tiny", "gpt-nano"};
    for (size_t m = 0; m < sizeof names / sizeof *names; m++)
        for (int recompute = 0; recompute < 2; recompute++) {
            rk_model_t *model = s_model (names[m]);
            const size_t bytes = s_flat_len (model) * sizeof (float);
            float *flat = s_init (model), *sums[3];
            rk_slice_config_t config = {.batch = BATCH, .n_contexts = 3, .seed = 11, .recompute = recompute};
            rk_chain_t *chain = rk_chain_new_even (model, 3, &config);
            for (uint64_t f = 0; f < 3; f++) {
                memset (chain->grads, 0, bytes);
                rk_chain_forward (chain, (int) f, f, BATCH - f, flat, NULL);
                rk_chain_backward (chain, (int) f, flat);
                sums[f] = rk_arena_memory (bytes);
                memcpy (sums[f], chain->grads, bytes);
            }
            for (uint64_t f = 0; f < 3; f++)
                rk_chain_forward (chain, (int) f, f, BATCH - f, flat, NULL);
            static const int order[] = {1, 0, 2};
            for (int i = 0; i < 3; i++) {
                memset (chain->grads, 0, bytes);
                rk_chain_backward (chain, order[i], flat);
                assert_memory_equal (chain->grads, sums[order[i]], bytes);
            }
            for (int f = 0; f < 3; f++)
                free (sums[f]);
            free (flat);
            rk_chain_destroy (&chain);
            rk_model_destroy (&model);
        }
}

/* Forward at version A, then the live version moves on; backward is given A or, by mistake, the live one. */
static void s_stale (const char *name, bool give_live, float *grads, size_t bytes)
{
    rk_model_t *model = s_model (name);
    float *a = s_init (model), *live = s_init (model);
    assert_int_equal (bytes, s_flat_len (model) * sizeof (float));
    const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11};
    rk_chain_t *chain = rk_chain_new_even (model, 2, &config);
    rk_chain_forward (chain, 0, 7, BATCH, a, NULL);
    for (size_t i = 0; i < s_flat_len (model); i++)
        live[i] = live[i] * 1.5f + 0.25f;
    rk_chain_backward (chain, 0, give_live ? live : a);
    memcpy (grads, chain->grads, bytes);
    free (a);
    free (live);
    rk_chain_destroy (&chain);
    rk_model_destroy (&model);
}

static void test_gradients_of_an_old_version (void **state)
{
    static const char *const names[] = {"mlp-tiny", "cnn-tiny", "residual-tiny"}; /* linear, convolution, batchnorm */
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        rk_model_t *model = s_model (names[m]);
        const size_t bytes = s_flat_len (model) * sizeof (float);
        float *flat = s_init (model), *exact = malloc (bytes), *stale = malloc (bytes);
        const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11};
        rk_chain_t *chain = rk_chain_new_even (model, 2, &config);
        rk_chain_forward (chain, 0, 7, BATCH, flat, NULL);
        rk_chain_backward (chain, 0, flat);
        memcpy (exact, chain->grads, bytes);
        s_stale (names[m], false, stale, bytes);
        assert_memory_equal (stale, exact, bytes);
        /* Mutation: the live version instead of the one the forward saw. */
        s_stale (names[m], true, stale, bytes);
        assert_memory_not_equal (stale, exact, bytes);
        free (flat);
        free (exact);
        free (stale);
        rk_chain_destroy (&chain);
        rk_model_destroy (&model);
    }
}

/* BatchNorm statistics move once per minibatch, recomputed or not, and not at all without `stats`. */
static void test_statistics_move_once (void **state)
{
    rk_model_t *model = s_model ("residual-tiny");
    const size_t len = s_flat_len (model);
    float *moved[2];
    for (int recompute = 0; recompute < 2; recompute++) {
        const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11, .recompute = recompute};
        rk_chain_t *chain = rk_chain_new_even (model, 1, &config);
        float *flat = s_init (model);
        moved[recompute] = s_init (model);
        rk_chain_forward (chain, 0, 1, BATCH, flat, NULL);
        rk_chain_backward (chain, 0, flat);
        assert_memory_equal (flat, moved[recompute], len * sizeof (float));
        rk_chain_forward (chain, 0, 1, BATCH, flat, moved[recompute]);
        rk_chain_backward (chain, 0, flat);
        for (size_t p = 0; p < rk_model_n_tensors (model); p++) {
            const rk_param_t *param = rk_model_param (model, p);
            const int same = memcmp (flat + param->offset, moved[recompute] + param->offset, param->count * 4) == 0;
            assert_int_equal (same, param->trainable);
        }
        free (flat);
        rk_chain_destroy (&chain);
    }
    assert_memory_equal (moved[0], moved[1], len * sizeof (float));
    free (moved[0]);
    free (moved[1]);
    rk_model_destroy (&model);
}

/* ---- calls that must be refused */

static void test_refusals (void **state)
{
    rk_error_t err = {0};
    rk_model_t *model = s_model ("mlp-tiny");
    float *flat = s_init (model), *grads = s_init (model);
    rk_slice_config_t config = {.model = model, .last = rk_model_n_layers (model), .batch = 2, .n_contexts = 2};
    rk_slice_t *slice;
    rk_slice_config_t bad = config;
    bad.last++;
    assert_int_equal (rk_slice_new (&slice, &bad, &err), RK_EINVAL);
    bad = config;
    bad.batch = 0;
    assert_int_equal (rk_slice_new (&slice, &bad, &err), RK_EINVAL);
    assert_null (slice);
    assert_int_equal (rk_slice_new (&slice, &config, &err), RK_OK);
    float x[2 * 2 * 11 * 9] = {0};
    const float *in[] = {x};
    float *gin[] = {NULL};
    int32_t labels[] = {1, 9};
    rk_loss_t loss;
    rk_forward_t call = {.ctx = 0, .f = 41, .n = 2, .flat = flat, .in = in, .labels = labels, .loss = &loss};
    call.ctx = 2;
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_EINVAL);
    call.ctx = 0;
    assert_int_equal (rk_slice_backward_input (slice, 0, flat, NULL, gin, &err), RK_ESTATE);
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_OK);
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "still holds minibatch 41"));
    assert_int_equal (rk_slice_backward_params (slice, 0, flat, grads, &err), RK_ESTATE);
    assert_int_equal (rk_slice_backward_input (slice, 0, flat, NULL, gin, &err), RK_OK);
    call.ctx = 1;
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_ESTATE);
    assert_int_equal (rk_slice_backward_params (slice, 0, flat, grads, &err), RK_OK);
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_OK);
    rk_slice_release (slice, 1);
    rk_slice_release (slice, 0);
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_OK);
    rk_slice_destroy (&slice);
    rk_slice_destroy (&slice);
    free (flat);
    free (grads);
    rk_model_destroy (&model);
}

/* ---- memory */

static void test_memory_is_predicted (void **state)
{
    static const char *const names[] = {"mlp", "cnn", "resnet20"};
    for (size_t m = 0; m < 3; m++) {
        rk_model_t *model = s_model (names[m]);
        const int n_layers = rk_model_n_layers (model);
        for (int n_slices = 1; n_slices <= 3; n_slices++)
            for (int s = 0; s < n_slices; s++) {
                const rk_slice_config_t config = {.model = model, .first = n_layers * s / n_slices, .batch = 64,
                                                  .last = n_layers * (s + 1) / n_slices, .n_contexts = 2};
                rk_slice_t *slice;
                size_t predicted;
                assert_int_equal (rk_slice_predict (&config, &predicted, NULL), RK_OK);
                assert_int_equal (rk_slice_new (&slice, &config, NULL), RK_OK);
                assert_int_equal (rk_slice_bytes (slice), predicted);
                /* What a planner adds up from the layers' costs. */
                uint64_t stash = 0, grad = 0, work = 0;
                for (int l = config.first; l < config.last; l++) {
                    rk_layer_cost_t cost;
                    rk_model_cost (model, l, config.batch, &cost);
                    stash += cost.stash_bytes;
                    grad += cost.grad_bytes;
                    work = cost.work_bytes > work ? cost.work_bytes : work;
                }
                const double sum = (double) (2 * stash + grad + work), real = (double) predicted;
                if (n_slices == 1)
                    assert_true (real <= sum * 1.15 + 65536 && real >= sum * 0.85 - 65536);
                else /* boundaries are the caller's, so a part may hold less than its layers' sum */
                    assert_true (real <= sum * 1.25 + 65536);
                rk_slice_destroy (&slice);
            }
        rk_model_destroy (&model);
    }
}

/* Recomputing, one minibatch's activations at a time, however many are in flight; what comes in is the caller's. */
static void test_recompute_is_small (void **state)
{
    static const struct {
        const char *name;
        double least; /* times less */
    } models[] = {{"cnn", 1.3}, {"resnet20", 2.5}, {"lstm-tiny", 2}, {"gpt-nano", 2}};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        rk_model_t *model = s_model (models[m].name);
        rk_slice_config_t config = {.model = model, .last = rk_model_n_layers (model), .batch = 64, .n_contexts = 4};
        size_t kept, again;
        uint64_t one = 0, work = 0;
        for (int l = 0; l < config.last; l++) {
            rk_layer_cost_t cost;
            rk_model_cost (model, l, config.batch, &cost);
            one += cost.stash_bytes + cost.grad_bytes;
            work = cost.work_bytes > work ? cost.work_bytes : work;
        }
        assert_int_equal (rk_slice_predict (&config, &kept, NULL), RK_OK);
        config.recompute = true;
        assert_int_equal (rk_slice_predict (&config, &again, NULL), RK_OK);
        if ((double) kept < models[m].least * (double) again || (double) again > (double) (one + work) * 1.25)
            fail_msg ("%s: %zu bytes, recomputed %zu, predicted %llu", models[m].name, kept, again, (unsigned long long) (one + work));
        rk_model_destroy (&model);
    }
}

/* Overwritten, gradients are what they are when added to zeros, whatever was there. */
static void test_gradients_begin (void **state)
{
    static const struct {
        const char *name;
        int n_slices;
    } cases[] = {{"mlp-tiny", 3}, {"cnn", 2}, {"resnet20", 3}, {"lstm-tiny", 2}, {"gpt-nano", 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rk_model_t *model = s_model (cases[c].name);
        const size_t len = s_flat_len (model);
        const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11};
        rk_chain_t *chain = rk_chain_new_even (model, cases[c].n_slices, &config);
        float *flat = s_init (model), *added = rk_arena_memory (len * sizeof *added);
        memset (chain->grads, 0, len * sizeof *added);
        rk_chain_forward (chain, 0, 1, BATCH, flat, NULL);
        rk_chain_backward (chain, 0, flat);
        memcpy (added, chain->grads, len * sizeof *added);
        for (size_t i = 0; i < len; i++)
            chain->grads[i] = added[i] != 0.0f ? NAN : 0.0f; /* nobody writes the gaps between parameters */
        rk_chain_forward (chain, 0, 1, BATCH, flat, NULL);
        for (int s = 0; s < chain->n_slices; s++)
            rk_slice_begin_grads (chain->slices[s], 0);
        rk_chain_backward (chain, 0, flat);
        for (size_t i = 0; i < len; i++)
            if (chain->grads[i] != added[i])
                fail_msg ("%s: gradient %zu is %g, not %g", cases[c].name, i, chain->grads[i], added[i]);
        rk_chain_forward (chain, 0, 1, BATCH, flat, NULL); /* and only once */
        rk_chain_backward (chain, 0, flat);
        for (size_t i = 0; i < len; i++)
            assert_true (fabsf (chain->grads[i] - 2 * added[i]) <= 1e-4f * (1 + fabsf (added[i])));
        free (added);
        free (flat);
        rk_chain_destroy (&chain);
        rk_model_destroy (&model);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_cuts_change_no_bit),         cmocka_unit_test (test_recompute_changes_no_bit),
        cmocka_unit_test (test_comparison_sees_a_bit),      cmocka_unit_test (test_contexts_are_apart),
        cmocka_unit_test (test_gradients_of_an_old_version), cmocka_unit_test (test_statistics_move_once),
        cmocka_unit_test (test_refusals),                   cmocka_unit_test (test_memory_is_predicted),
        cmocka_unit_test (test_recompute_is_small),         cmocka_unit_test (test_gradients_begin),
        cmocka_unit_test (test_threads_change_no_bit),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
