/* SPDX-License-Identifier: MPL-2.0
 * Promises that hold for every layer: no bit depends on cuts, recomputing, threads or minibatches in flight, gradients
 * are those of the version given, memory is what was predicted.                                       */
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
#include "compute/pool.h"
#include "tests/support/chain.h"
#include "tests/support/zoo.h"

#define BATCH 21 /* more than the eight samples that a thread takes at a time */

typedef struct {
    size_t bytes;
    float *flat, *grads; /* statistics moved; sums of the gradients */
    double loss_sum;
} s_result_t;

static s_result_t s_empty (const rk_model_t *model)
{
    s_result_t r = {.bytes = rk_model_flat_at (model, rk_model_n_layers (model)) * sizeof (float)};
    r.flat = rk_zoo_flat (model);
    r.grads = rk_arena_memory (r.bytes);
    assert_non_null (r.grads);
    return r;
}

static void s_free (s_result_t *r)
{
    free (r->flat);
    free (r->grads);
}

/* Minibatches of 21, 4 and 1 samples, one after the other; takes the chain. */
static s_result_t s_run (rk_chain_t *chain)
{
    static const size_t sizes[] = {BATCH, 4, 1};
    s_result_t r = s_empty (chain->model);
    for (uint64_t f = 0; f < 3; f++) {
        rk_chain_forward (chain, 0, f, sizes[f], r.flat, r.flat);
        r.loss_sum += chain->loss.loss_sum;
        rk_chain_backward (chain, 0, r.flat);
    }
    memcpy (r.grads, chain->grads, r.bytes);
    rk_chain_destroy (&chain);
    return r;
}

static s_result_t s_whole (const rk_model_t *model)
{
    const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11};
    s_result_t r = s_run (rk_chain_new_even (model, 1, &config));
    assert_true (isfinite (r.loss_sum) && r.loss_sum > 0);
    return r;
}

static bool s_same (const s_result_t *a, const s_result_t *b)
{
    return memcmp (&a->loss_sum, &b->loss_sum, sizeof a->loss_sum) == 0 && memcmp (a->grads, b->grads, a->bytes) == 0 &&
           memcmp (a->flat, b->flat, a->bytes) == 0;
}

/* ---- no bit depends on.. */

static void test_cuts (void **state)
{
    for (int which = 0; which < RK_ZOO_N; which++) {
        rk_model_t *model = rk_zoo_model (which);
        s_result_t whole = s_whole (model);
        for (int recompute = 0; recompute < 2; recompute++) {
            const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11, .recompute = recompute};
            for (int cut = 0; cut < rk_model_n_layers (model); cut++) { /* 0: in one piece; below: in two; then all */
                s_result_t r = s_run (cut ? rk_chain_new (model, &cut, 2, &config) : rk_chain_new_even (model, 1, &config));
                if (!s_same (&whole, &r))
                    fail_msg ("model %d cut before %s", which, rk_model_layer_name (model, cut));
                s_free (&r);
            }
            s_result_t r = s_run (rk_chain_new_even (model, rk_model_n_layers (model), &config));
            assert_true (s_same (&whole, &r));
            ((uint8_t *) r.grads)[4] ^= 1; /* the comparison sees one bit */
            assert_false (s_same (&whole, &r));
            s_free (&r);
        }
        s_free (&whole);
        rk_model_destroy (&model);
    }
}

static void test_threads (void **state)
{
    rk_pool_t *pool;
    assert_int_equal (rk_pool_new (&pool, 3, NULL), RK_OK);
    for (int which = 0; which < RK_ZOO_N; which++) {
        rk_model_t *model = rk_zoo_model (which);
        s_result_t whole = s_whole (model);
        const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 1, .seed = 11, .pool = pool};
        s_result_t r = s_run (rk_chain_new_even (model, 2, &config));
        assert_true (s_same (&whole, &r));
        s_free (&r);
        s_free (&whole);
        rk_model_destroy (&model);
    }
    rk_pool_destroy (&pool);
}

/* ---- versions: two minibatches in flight, the parameters move on in between */

static s_result_t s_in_flight (const rk_model_t *model, bool moves, bool mistaken)
{
    const rk_slice_config_t config = {.batch = BATCH, .n_contexts = 2, .seed = 11};
    rk_chain_t *chain = rk_chain_new_even (model, 3, &config);
    s_result_t r = s_empty (model);
    float *live = rk_zoo_flat (model);
    rk_chain_forward (chain, 0, 0, BATCH, r.flat, NULL);
    for (size_t i = 0; moves && i < r.bytes / sizeof *live; i++)
        live[i] = live[i] * 1.5f + 0.25f;
    if (moves)
        rk_chain_forward (chain, 1, 1, 4, live, NULL); /* and so does the workspace */
    rk_chain_backward (chain, 0, mistaken ? live : r.flat);
    memcpy (r.grads, chain->grads, r.bytes);
    rk_chain_destroy (&chain);
    free (live);
    return r;
}

static void test_old_versions (void **state)
{
    for (int which = 0; which < RK_ZOO_N; which++) {
        rk_model_t *model = rk_zoo_model (which);
        s_result_t alone = s_in_flight (model, false, false), right = s_in_flight (model, true, false);
        s_result_t wrong = s_in_flight (model, true, true);
        assert_true (s_same (&alone, &right));
        assert_false (s_same (&alone, &wrong));
        s_free (&alone);
        s_free (&right);
        s_free (&wrong);
        rk_model_destroy (&model);
    }
}

/* ---- minibatches of no samples, and of more than there is room for, are refused; the context stays free */

static void test_empty_minibatch (void **state)
{
    for (int which = 0; which < RK_ZOO_N; which++) {
        rk_model_t *model = rk_zoo_model (which);
        float *flat = rk_zoo_flat (model);
        const rk_slice_config_t config = {.model = model, .last = rk_model_n_layers (model), .batch = 4, .n_contexts = 1};
        rk_slice_t *slice;
        assert_int_equal (rk_slice_new (&slice, &config, NULL), RK_OK);
        static float x[4 * 2 * 9 * 11];
        static int32_t labels[4 * 8]; /* 0 is a class and a target */
        const float *in[] = {x};
        rk_loss_t loss;
        rk_error_t err = {0};
        rk_forward_t call = {.f = 6, .flat = flat, .in = in, .labels = labels, .loss = &loss};
        assert_int_equal (rk_slice_forward (slice, &call, &err), RK_EINVAL);
        assert_string_equal (err.text, "minibatch 6 has 0 samples, 1..4 are allowed");
        call.n = 5;
        assert_int_equal (rk_slice_forward (slice, &call, &err), RK_EINVAL);
        call.n = 1;
        assert_int_equal (rk_slice_forward (slice, &call, &err), RK_OK);
        assert_int_equal (loss.n_counted, rk_model_n_labels (model));
        rk_slice_destroy (&slice);
        free (flat);
        rk_model_destroy (&model);
    }
}

/* ---- memory, and that the zoo is complete */

static void test_memory_is_predicted (void **state)
{
    for (int which = 0; which < RK_ZOO_N; which++) {
        rk_model_t *model = rk_zoo_model (which);
        const rk_slice_config_t config = {.model = model, .last = rk_model_n_layers (model), .batch = 64, .n_contexts = 2};
        rk_slice_t *slice;
        size_t predicted;
        assert_int_equal (rk_slice_predict (&config, &predicted, NULL), RK_OK);
        assert_int_equal (rk_slice_new (&slice, &config, NULL), RK_OK);
        assert_int_equal (rk_slice_bytes (slice), predicted);
        uint64_t stash = 0, grad = 0, work = 0;
        for (int l = 0; l < config.last; l++) {
            rk_layer_cost_t cost;
            rk_model_cost (model, l, config.batch, &cost);
            assert_true (cost.forward_flops > 0 || cost.output_bytes > 0 || l == config.last - 1);
            stash += cost.stash_bytes;
            grad += cost.grad_bytes;
            work = cost.work_bytes > work ? cost.work_bytes : work;
        }
        const double sum = (double) (2 * stash + grad + work), real = (double) predicted;
        assert_true (real <= sum * 1.15 + 65536 && real >= sum * 0.85 - 65536);
        rk_slice_destroy (&slice);
        rk_model_destroy (&model);
    }
}

static void test_kinds_are_here (void **state)
{
    static const char *const kinds[] = {"linear",  "conv2d", "batchnorm2d", "batchnorm1d", "layernorm", "rmsnorm", "groupnorm",
                                        "relu",    "gelu",   "leaky_relu",  "silu",        "sigmoid",   "tanh",    "maxpool2d",
                                        "reshape", "concat", "avgpool2d",   "flatten",     "permute",   "split",   "upsample",
                                        "mul",     "mse",    "bce",         "dropout",     "softmax_xent"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool found = false;
        for (int which = 0; which < RK_ZOO_N; which++) {
            rk_model_t *model = rk_zoo_model (which);
            for (int l = 0; l < rk_model_n_layers (model); l++)
                found = found || strcmp (rk_model_layer_kind (model, l), kinds[k]) == 0;
            rk_model_destroy (&model);
        }
        if (!found)
            fail_msg ("no model of the zoo has a %s", kinds[k]);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_cuts),
        cmocka_unit_test (test_threads),
        cmocka_unit_test (test_old_versions),
        cmocka_unit_test (test_empty_minibatch),
        cmocka_unit_test (test_memory_is_predicted),
        cmocka_unit_test (test_kinds_are_here),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
