/* SPDX-License-Identifier: MPL-2.0
 * Kernels of recurrent cells and attention: right up to large arguments, and the same bits from every build. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "tests/support/noise.h"

#define N 203
#define N_SETS 3

static const char *const s_sets[N_SETS] = {"blis", "avx2", "avx512"};

static double s_sigmoid (double x)
{
    return 1 / (1 + exp (-x));
}

/* What a cell has before and after a call, all of it compared. */
typedef struct {
    float gates[4 * N], bias[4 * N], before[N], state[N], h[N], carry[N];
} s_unit_t;

static void s_call (void (*cell) (size_t, const rk_vec_cell_t *), s_unit_t *u)
{
    const rk_vec_cell_t at = {N, u->gates, u->bias, u->before, u->state, u->h, u->carry};
    cell (N, &at);
}

static void s_fill (s_unit_t *u)
{
    noise_t noise = {5};
    noise_fill (&noise, 4 * N, u->gates);
    noise_fill (&noise, 4 * N, u->bias);
    noise_fill (&noise, N, u->before);
    noise_fill (&noise, N, u->h);
    noise_fill (&noise, N, u->carry);
    memcpy (u->state, u->carry, sizeof u->state);
    for (size_t i = 0; i < 4 * N; i++)
        u->gates[i] *= i % 5 ? 6 : 200; /* saturated ones too */
}

static void s_check_lstm (const s_unit_t *was, const s_unit_t *is)
{
    for (size_t j = 0; j < N; j++) {
        double sum[4];
        for (size_t g = 0; g < 4; g++)
            sum[g] = (double) (was->gates[g * N + j] + was->bias[g * N + j]);
        const double c = s_sigmoid (sum[1]) * (double) was->before[j] + s_sigmoid (sum[0]) * tanh (sum[2]);
        assert_true (fabs ((double) is->gates[2 * N + j] - tanh (sum[2])) < 2e-7);
        assert_true (fabs ((double) is->gates[3 * N + j] - s_sigmoid (sum[3])) < 2e-7);
        assert_true (fabs ((double) is->state[j] - c) < 1e-6);
        assert_true (fabs ((double) is->h[j] - s_sigmoid (sum[3]) * tanh (c)) < 1e-6);
    }
}

static void s_check_gru (const s_unit_t *was, const s_unit_t *is)
{
    for (size_t j = 0; j < N; j++) {
        double sum[4];
        for (size_t g = 0; g < 4; g++)
            sum[g] = (double) (was->gates[g * N + j] + was->bias[g * N + j]);
        const double r = s_sigmoid (sum[0]), z = s_sigmoid (sum[1]), n = tanh (sum[2] + r * sum[3]);
        assert_true (fabs ((double) is->h[j] - ((1 - z) * n + z * (double) was->before[j])) < 2e-5);
    }
}

static void test_cells (void **state)
{
    static s_unit_t was, first[4], is;
    bool any = false;
    for (size_t set = 0; set < N_SETS; set++) {
        if (rk_blas_init (s_sets[set], NULL))
            continue;
        const rk_vec_t *v = rk_vec ();
        void (*const cells[4]) (size_t, const rk_vec_cell_t *) = {v->lstm, v->gru, v->lstm_backward, v->gru_backward};
        for (size_t c = 0; c < 4; c++) {
            s_fill (&was);
            for (size_t i = 0; i < 4 * N && c >= 2; i++)
                was.gates[i] = tanhf (was.gates[i]); /* values, not sums */
            is = was;
            s_call (cells[c], &is);
            if (c == 0)
                s_check_lstm (&was, &is);
            if (c == 1)
                s_check_gru (&was, &is);
            if (any)
                assert_memory_equal (&is, &first[c], sizeof is);
            else
                first[c] = is;
        }
        any = true;
    }
}

/* Relative, down to the smallest arguments: tanh x is x there. */
static void test_tanh_near_zero (void **state)
{
    s_unit_t *u = calloc (1, sizeof *u);
    for (size_t set = 0; set < N_SETS; set++) {
        if (rk_blas_init (s_sets[set], NULL))
            continue;
        for (size_t j = 0; j < N; j++)
            u->gates[2 * N + j] = (j % 2 ? -1.0f : 1.0f) * powf (0.8f, (float) j);
        s_call (rk_vec ()->lstm, u);
        for (size_t j = 0; j < N; j++) {
            const double want = tanh ((double) ((j % 2 ? -1.0f : 1.0f) * powf (0.8f, (float) j)));
            assert_true (fabs ((double) u->gates[2 * N + j] - want) <= 3e-7 * fabs (want));
        }
        memset (u, 0, sizeof *u);
    }
    free (u);
}

static void test_rows (void **state)
{
    float x[N], y[N], first[N];
    float sums[3] = {0};
    bool any = false;
    for (size_t set = 0; set < N_SETS; set++) {
        if (rk_blas_init (s_sets[set], NULL))
            continue;
        const rk_vec_t *v = rk_vec ();
        noise_t noise = {7};
        noise_fill (&noise, N, x);
        for (size_t n = 1; n < N; n++) {
            double sum = 0, dot = 0;
            float top = x[0];
            for (size_t i = 0; i < n; i++) {
                top = fmaxf (top, x[i]);
                sum += exp (9 * (double) x[i] - 9);
                dot += (double) x[i] * (double) x[N - 1 - i];
            }
            assert_true (v->max (n, x) == top);
            assert_true (fabs ((double) v->exp_sum (n, 9, 9, x, y) / sum - 1) < 1e-5);
            assert_true (fabs ((double) y[n - 1] / exp (9 * (double) x[n - 1] - 9) - 1) < 3e-6);
            float turned[N];
            for (size_t i = 0; i < n; i++)
                turned[i] = x[N - 1 - i];
            assert_true (fabs ((double) v->dot (n, x, turned) - dot) < 1e-4);
        }
        const float now[] = {v->exp_sum (N, 9, 9, x, y), v->dot (N, x, y), v->max (N, x)};
        v->softmax_slope (N, 0.3f, x, 0.2f, y);
        for (size_t i = 0; i < N; i++)
            assert_true (!any || y[i] == first[i]);
        if (any)
            assert_memory_equal (now, sums, sizeof sums);
        memcpy (sums, now, sizeof sums);
        memcpy (first, y, sizeof first);
        any = true;
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_cells),
        cmocka_unit_test (test_tanh_near_zero),
        cmocka_unit_test (test_rows),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
