/* SPDX-License-Identifier: MPL-2.0
 * Layers on sequences: gradients against central differences at odd shapes, values against plain loops in double
 * precision, the same bits for any number of threads.                                                 */
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
#include "compute/rng.h"
#include "tests/support/layers.h"
#include "tests/support/must.h"

#define STEP 0.01f

/* A model whose tensor 1 is (steps, features) and needs a gradient. */
static rk_model_t *s_head (size_t steps, size_t features)
{
    rk_model_t *m = rk_model_new (rk_shape_2 (steps, 2));
    assert_int_equal (rk_model_linear (m, "head", 0, features, false), 1);
    return m;
}

/* Layer 1 of the model, with inputs and weights of about the size they have in use. */
static rk_check_t *s_check (rk_model_t *m, int t, float weights)
{
    rk_check_tail (m, t);
    rk_check_t *check = rk_check_new (m, 1, 2);
    rk_rng_uniform (4, rk_rng_stream (RK_RNG_TEST, 1), 0, check->in_len[0], -1, 1, check->in[0]);
    rk_rng_uniform (4, rk_rng_stream (RK_RNG_TEST, 2), 0, check->flat_len, -weights, weights, check->flat);
    return check;
}

/* At most `most` elements of each tensor. */
static void s_run (rk_model_t *m, int t, size_t most)
{
    rk_check_t *check = s_check (m, t, 0.7f);
    rk_check_backward (check);
    const size_t n_in = check->in_len[0] < most ? check->in_len[0] : most;
    assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], n_in, STEP), 0);
    const size_t base = rk_model_flat_at (check->model, 1);
    for (size_t p = 0; p < rk_model_n_tensors (check->model); p++) {
        const rk_param_t *param = rk_model_param (check->model, p);
        const size_t n = param->count < most ? param->count : most, at = param->offset - base;
        if (param->layer == 1)
            assert_int_equal (rk_check_wrong (check, check->flat + at, check->grads + at, n, STEP), 0);
    }
    rk_check_destroy (check);
}

static void test_linear_over_positions (void **state)
{
    for (int bias = 0; bias < 2; bias++) {
        rk_model_t *m = s_head (5, 7);
        const int t = rk_model_linear (m, "fc", 1, 3, bias);
        assert_true (rk_shape_equal (rk_model_tensor_shape (m, t), rk_shape_2 (5, 3)));
        s_run (m, t, SIZE_MAX);
    }
}

static void test_positions (void **state)
{
    rk_model_t *m = s_head (5, 3);
    s_run (m, rk_model_positions (m, "wpe", 1, 7), SIZE_MAX);
    m = s_head (5, 3);
    s_run (m, rk_model_segment (m, "type", 1, 2), SIZE_MAX);
}

/* Lengths on both sides of a block, one head and several, one position. */
static const struct {
    size_t length, heads, width;
    bool causal;
} s_attentions[] = {{5, 2, 3, false}, {5, 3, 2, true}, {1, 1, 4, true}, {1, 2, 1, false}, {64, 1, 2, true}, {67, 1, 3, true},
                    {67, 2, 2, false}, {130, 1, 2, true}, {129, 1, 2, false}};

static void test_attention (void **state)
{
    for (size_t i = 0; i < sizeof s_attentions / sizeof *s_attentions; i++) {
        rk_model_t *m = s_head (s_attentions[i].length, 3 * s_attentions[i].heads * s_attentions[i].width);
        s_run (m, rk_model_attention (m, "attn", 1, s_attentions[i].heads, s_attentions[i].causal), 600);
    }
}

/* 130 units are two runs of a step; one step has no history. */
static const struct {
    size_t steps, n_in, n_hidden;
} s_cells[] = {{5, 3, 7}, {1, 4, 3}, {9, 1, 2}, {3, 2, 130}};

static void test_lstm (void **state)
{
    for (size_t i = 0; i < sizeof s_cells / sizeof *s_cells; i++) {
        rk_model_t *m = s_head (s_cells[i].steps, s_cells[i].n_in);
        s_run (m, rk_model_lstm (m, "rnn", 1, s_cells[i].n_hidden), 200);
    }
}

static void test_gru (void **state)
{
    for (size_t i = 0; i < sizeof s_cells / sizeof *s_cells; i++) {
        rk_model_t *m = s_head (s_cells[i].steps, s_cells[i].n_in);
        s_run (m, rk_model_gru (m, "rnn", 1, s_cells[i].n_hidden), 200);
    }
}

/* ---- values */

static const float *s_param (const rk_check_t *check, size_t idx)
{
    return check->flat + (rk_model_param (check->model, idx)->offset - rk_model_flat_at (check->model, 1));
}

static double s_sigmoid (double x)
{
    return 1 / (1 + exp (-x));
}

/* Row `row` of weight times x, plus its bias. */
static double s_row (const float *weight, const float *bias, size_t row, size_t n, const double *x)
{
    double sum = (double) bias[row];
    for (size_t k = 0; k < n; k++)
        sum += (double) weight[row * n + k] * x[k];
    return sum;
}

/* One step of one sample, as PyTorch's documentation writes it; h and c move. */
static void s_plain_step (bool gru, const rk_check_t *check, size_t n_in, size_t wide, const double *x, double *h, double *c)
{
    const float *w = s_param (check, 1), *u = s_param (check, 2), *b = s_param (check, 3), *d = s_param (check, 4);
    double next[160];
    for (size_t j = 0; j < wide; j++) {
        double in[4] = {0}, of[4] = {0};
        for (size_t g = 0; g < (gru ? 3 : 4); g++) {
            in[g] = s_row (w, b, g * wide + j, n_in, x);
            of[g] = s_row (u, d, g * wide + j, wide, h);
        }
        if (gru) {
            const double r = s_sigmoid (in[0] + of[0]), z = s_sigmoid (in[1] + of[1]), n = tanh (in[2] + r * of[2]);
            next[j] = (1 - z) * n + z * h[j];
            continue;
        }
        c[j] = s_sigmoid (in[1] + of[1]) * c[j] + s_sigmoid (in[0] + of[0]) * tanh (in[2] + of[2]);
        next[j] = s_sigmoid (in[3] + of[3]) * tanh (c[j]);
    }
    memcpy (h, next, wide * sizeof *h);
}

static void test_recurrent_values (void **state)
{
    for (size_t i = 0; i < 2 * sizeof s_cells / sizeof *s_cells; i++) {
        const size_t steps = s_cells[i / 2].steps, n_in = s_cells[i / 2].n_in, wide = s_cells[i / 2].n_hidden;
        rk_model_t *m = s_head (steps, n_in);
        rk_check_t *check = s_check (m, (i % 2 ? rk_model_gru : rk_model_lstm) (m, "rnn", 1, wide), 0.7f);
        rk_check_forward (check);
        for (size_t sample = 0; sample < RK_CHECK_BATCH; sample++) {
            double h[160] = {0}, c[160] = {0}, x[8];
            for (size_t s = 0; s < steps; s++) {
                const size_t row = sample * steps + s;
                for (size_t k = 0; k < n_in; k++)
                    x[k] = (double) check->in[0][row * n_in + k];
                s_plain_step (i % 2, check, n_in, wide, x, h, c);
                for (size_t j = 0; j < wide; j++)
                    assert_true (fabs (h[j] - (double) check->out[row * wide + j]) < 2e-6);
            }
        }
        rk_check_destroy (check);
    }
}

static double s_plain_attention (const float *x, size_t query, size_t column, size_t length, size_t heads, size_t width, bool causal)
{
    const size_t wide = heads * width, head = column / width, end = causal ? query + 1 : length;
    double top = -INFINITY, sum = 0, value = 0, score[160];
    for (size_t key = 0; key < end; key++) {
        score[key] = 0;
        for (size_t k = 0; k < width; k++)
            score[key] += (double) x[query * 3 * wide + head * width + k] * (double) x[key * 3 * wide + wide + head * width + k];
        score[key] /= sqrt ((double) width);
        top = fmax (top, score[key]);
    }
    for (size_t key = 0; key < end; key++) {
        sum += exp (score[key] - top);
        value += exp (score[key] - top) * (double) x[key * 3 * wide + 2 * wide + column];
    }
    return value / sum;
}

static void test_attention_values (void **state)
{
    for (size_t i = 0; i < sizeof s_attentions / sizeof *s_attentions; i++) {
        const size_t length = s_attentions[i].length, heads = s_attentions[i].heads, width = s_attentions[i].width;
        rk_model_t *m = s_head (length, 3 * heads * width);
        rk_check_t *check = s_check (m, rk_model_attention (m, "attn", 1, heads, s_attentions[i].causal), 0.7f);
        for (size_t k = 0; k < check->in_len[0]; k++)
            check->in[0][k] *= 9; /* tops that rise from block to block, weights far below them */
        rk_check_forward (check);
        const size_t wide = heads * width;
        for (size_t k = 0; k < check->out_len; k++) {
            const size_t sample = k / (length * wide);
            const double plain = s_plain_attention (check->in[0] + sample * length * 3 * wide, k / wide % length, k % wide, length,
                                                    heads, width, s_attentions[i].causal);
            assert_true (fabs (plain - (double) check->out[k]) < 5e-5);
        }
        rk_check_destroy (check);
    }
}

/* ---- a whole model with a tied tensor */

#define TOKENS 11
#define LENGTH 6
#define WIDTH 8

static rk_model_t *s_tied_model (void)
{
    rk_error_t err = {0};
    rk_model_t *m = rk_model_new (rk_shape_1 (LENGTH));
    const int embedded = rk_model_embedding (m, "wte", 0, TOKENS, WIDTH);
    int t = rk_model_positions (m, "wpe", embedded, LENGTH);
    const int qkv = rk_model_linear (m, "qkv", t, 3 * WIDTH, true);
    t = rk_model_add (m, "add", rk_model_attention (m, "attn", qkv, 2, true), t);
    rk_model_softmax_xent (m, "loss", rk_model_projection (m, "head", t, embedded));
    rk_must (rk_model_seal (m, &err), &err);
    return m;
}

typedef struct {
    rk_model_t *model;
    rk_slice_t *slice;
    float x[2 * LENGTH], *flat, *grads;
    int32_t labels[2 * LENGTH];
    size_t len;
} s_whole_t;

static double s_loss (s_whole_t *w, bool backward)
{
    rk_error_t err = {0};
    rk_loss_t loss;
    const float *in[] = {w->x};
    float *gin[] = {NULL};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .n = 2, .flat = w->flat, .in = in, .labels = w->labels, .loss = &loss};
    rk_must (rk_slice_forward (w->slice, &call, &err), &err);
    if (backward) {
        memset (w->grads, 0, w->len * sizeof (float));
        rk_must (rk_slice_backward_input (w->slice, 0, w->flat, NULL, gin, &err), &err);
        rk_must (rk_slice_backward_params (w->slice, 0, w->flat, w->grads, &err), &err);
    }
    rk_slice_release (w->slice, 0);
    return loss.loss_sum / (double) loss.n_counted;
}

static void s_whole_new (s_whole_t *w)
{
    rk_error_t err = {0};
    *w = (s_whole_t) {.model = s_tied_model ()};
    const int n_layers = rk_model_n_layers (w->model);
    const rk_slice_config_t config = {.model = w->model, .last = n_layers, .batch = 2, .n_contexts = 1};
    rk_must (rk_slice_new (&w->slice, &config, &err), &err);
    w->len = rk_model_slice_len (w->model, 0, n_layers);
    w->flat = rk_arena_memory (w->len * sizeof (float));
    w->grads = rk_arena_memory (w->len * sizeof (float));
    rk_rng_uniform (4, rk_rng_stream (RK_RNG_TEST, 2), 0, w->len, -1, 1, w->flat);
    for (size_t i = 0; i < 2 * LENGTH; i++) {
        w->x[i] = (float) (i * 7 % TOKENS);
        w->labels[i] = (int32_t) ((i * 7 + 7) % TOKENS);
    }
}

static void s_whole_free (s_whole_t *w)
{
    rk_slice_destroy (&w->slice);
    rk_model_destroy (&w->model);
    free (w->flat);
    free (w->grads);
}

/* Gradients that are no central differences, after element `damaged` (below len) has lost a tenth of itself. */
static int s_whole_wrong (s_whole_t *w, size_t damaged)
{
    int wrong = 0;
    s_loss (w, true);
    if (damaged < w->len)
        w->grads[damaged] *= 0.9f;
    for (size_t p = 0; p < rk_model_n_tensors (w->model); p++) {
        const rk_param_t *param = rk_model_param (w->model, p);
        for (size_t i = param->offset; i < param->offset + param->count; i++) {
            const float kept = w->flat[i];
            w->flat[i] = kept + STEP;
            const double above = s_loss (w, false), x_above = (double) w->flat[i];
            w->flat[i] = kept - STEP;
            const double below = s_loss (w, false), slope = (above - below) / (x_above - (double) w->flat[i]);
            w->flat[i] = kept;
            wrong += !(fabs (slope - (double) w->grads[i]) < 3e-4);
        }
    }
    return wrong;
}

static void test_tied_gradient (void **state)
{
    s_whole_t w;
    s_whole_new (&w);
    const rk_tie_t *tie = rk_model_tie (w.model);
    assert_non_null (tie);
    assert_int_equal (tie->owner, 0);
    assert_int_equal (tie->reader, rk_model_n_layers (w.model) - 2);
    assert_int_equal (rk_model_n_params (w.model), TOKENS * WIDTH + LENGTH * WIDTH + 3 * WIDTH * (WIDTH + 1));
    assert_int_equal (s_whole_wrong (&w, w.len), 0);
    size_t largest = tie->offset;
    for (size_t i = tie->offset; i < tie->offset + tie->count; i++)
        largest = fabsf (w.grads[i]) > fabsf (w.grads[largest]) ? i : largest;
    assert_int_equal (s_whole_wrong (&w, largest), 1);
    s_whole_free (&w);
}

static void test_tokens_are_checked (void **state)
{
    s_whole_t w;
    s_whole_new (&w);
    static const float bad[] = {-1, TOKENS, 0.5f, NAN, INFINITY, -INFINITY, 1e30f};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rk_error_t err = {0};
        const float *in[] = {w.x}, kept = w.x[LENGTH + 2];
        const rk_forward_t call = {.mode = RK_MODE_EVAL, .f = 4, .n = 2, .flat = w.flat, .in = in};
        w.x[LENGTH + 2] = bad[i];
        assert_int_equal (rk_slice_forward (w.slice, &call, &err), RK_EINVAL);
        assert_non_null (strstr (err.text, "minibatch 4: layer wte: "));
        assert_non_null (strstr (err.text, "at position 2 of sample 1 is no token of 0..10"));
        w.x[LENGTH + 2] = kept;
        assert_int_equal (rk_slice_forward (w.slice, &call, &err), RK_OK);
    }
    s_whole_free (&w);
}

/* ---- threads */

static void s_both (rk_check_t *check, rk_pool_t *pool, float *out[3])
{
    rk_error_t err = {0};
    const rk_slice_config_t config = {.model = check->model, .first = 1, .last = 2, .batch = RK_CHECK_BATCH, .n_contexts = 1,
                                      .pool = pool};
    rk_slice_destroy (&check->slice);
    rk_must (rk_slice_new (&check->slice, &config, &err), &err);
    rk_check_backward (check);
    const float *from[] = {check->out, check->gin[0], check->grads};
    const size_t len[] = {check->out_len, check->in_len[0], check->flat_len};
    for (int i = 0; i < 3; i++) {
        out[i] = malloc ((len[i] + 1) * sizeof (float));
        memcpy (out[i], from[i], len[i] * sizeof (float));
    }
}

static void test_threads_change_no_bit (void **state)
{
    rk_error_t err = {0};
    rk_pool_t *pool;
    rk_must (rk_pool_new (&pool, 3, &err), &err);
    for (int kind = 0; kind < 4; kind++) {
        rk_model_t *m = s_head (70, kind < 2 ? 36 : 150);
        const int t = kind == 0   ? rk_model_lstm (m, "rnn", 1, 261)
                      : kind == 1 ? rk_model_gru (m, "rnn", 1, 261)
                      : kind == 2 ? rk_model_attention (m, "attn", 1, 5, true)
                                  : rk_model_linear (m, "fc", 1, 100, true);
        rk_check_t *check = s_check (m, t, 0.1f);
        float *one[3], *three[3];
        s_both (check, NULL, one);
        s_both (check, pool, three);
        const size_t len[] = {check->out_len, check->in_len[0], check->flat_len};
        for (int i = 0; i < 3; i++) {
            assert_memory_equal (one[i], three[i], len[i] * sizeof (float));
            free (one[i]);
            free (three[i]);
        }
        rk_check_destroy (check);
    }
    rk_pool_destroy (&pool);
}

/* ---- refusals */

static void s_refused (rk_model_t *m, const char *text)
{
    rk_error_t err = {0};
    assert_int_not_equal (rk_model_seal (m, &err), RK_OK);
    if (!strstr (err.text, text))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, text);
    rk_model_destroy (&m);
}

static void test_refusals (void **state)
{
    rk_model_t *m = s_head (5, 9);
    rk_model_attention (m, "attn", 1, 2, true);
    s_refused (m, "layer attn (attention): input (5, 9) is not");
    m = s_head (5, 9);
    rk_model_attention (m, "attn", 1, 0, true);
    s_refused (m, "of 0 heads");
    m = s_head (5, 9);
    rk_model_positions (m, "wpe", 1, 4);
    s_refused (m, "more positions than the 4");
    m = s_head (5, 9);
    rk_model_embedding (m, "wte", 1, 10, 4);
    s_refused (m, "only the first layer");
    m = rk_model_new (rk_shape_2 (3, 4));
    rk_model_embedding (m, "wte", 0, 10, 4);
    s_refused (m, "is not a sequence of token ids");
    m = rk_model_new (rk_shape_1 (3));
    rk_model_embedding (m, "wte", 0, RK_MAX_TOKENS + 1, 4);
    s_refused (m, "floats count exactly");
    m = s_head (5, 9);
    rk_model_projection (m, "out", 1, 1);
    s_refused (m, "tied to no embedding");
    m = rk_model_new (rk_shape_1 (3));
    rk_model_projection (m, "head", rk_model_linear (m, "fc", rk_model_embedding (m, "wte", 0, 10, 4), 5, true), 1);
    s_refused (m, "the embedding has 4 features");
    m = rk_model_new (rk_shape_1 (3));
    rk_model_lstm (m, "rnn", 0, 4);
    s_refused (m, "is not (steps, features)");
    m = s_head (5, 9);
    rk_model_gru (m, "rnn", 1, 0);
    s_refused (m, "0 hidden units");
    m = rk_model_new (rk_shape_1 (3));
    int t = rk_model_projection (m, "one", rk_model_embedding (m, "wte", 0, 10, 4), 1);
    t = rk_model_linear (m, "fc", t, 4, false);
    rk_model_softmax_xent (m, "loss", rk_model_projection (m, "two", t, 1));
    s_refused (m, "one tied tensor at most");
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_linear_over_positions),
        cmocka_unit_test (test_positions),
        cmocka_unit_test (test_attention),
        cmocka_unit_test (test_lstm),
        cmocka_unit_test (test_gru),
        cmocka_unit_test (test_recurrent_values),
        cmocka_unit_test (test_attention_values),
        cmocka_unit_test (test_tied_gradient),
        cmocka_unit_test (test_tokens_are_checked),
        cmocka_unit_test (test_threads_change_no_bit),
        cmocka_unit_test (test_refusals),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
