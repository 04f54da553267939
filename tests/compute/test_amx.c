/* SPDX-License-Identifier: MPL-2.0
 * The AMX tile over an emulation of its instructions, so that its logic is tested on every processor. The
 * instructions themselves are tested by test_blas and test_conv where there are any.                 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "compute/kernels/product_pairs.h"
#include "compute/kernels/sets.h"
#include "tests/support/noise.h"

/* ---- the instructions, as Intel's manual defines them */
static struct {
    uint8_t rows[8];
    uint16_t line_bytes[8];
    uint8_t data[8][16][64];
    bool configured;
    uint64_t n_dots;
} s_amx;

static float s_wide (const uint8_t *half)
{
    const uint32_t bits = (uint32_t) half[1] << 24 | (uint32_t) half[0] << 16;
    float x;
    memcpy (&x, &bits, sizeof x);
    return x;
}

static void s_amx_zero (int tile)
{
    assert_true (s_amx.configured && s_amx.rows[tile]);
    memset (s_amx.data[tile], 0, sizeof s_amx.data[tile]);
}

static void s_amx_load (int tile, const float *from, size_t bytes)
{
    s_amx_zero (tile);
    for (int i = 0; i < s_amx.rows[tile]; i++)
        memcpy (s_amx.data[tile][i], (const uint8_t *) from + (size_t) i * bytes, s_amx.line_bytes[tile]);
}

static void s_amx_store (int tile, float *to, size_t bytes)
{
    assert_true (s_amx.configured);
    for (int i = 0; i < s_amx.rows[tile]; i++)
        memcpy ((uint8_t *) to + (size_t) i * bytes, s_amx.data[tile][i], s_amx.line_bytes[tile]);
}

static void s_amx_dot (int c, int a, int b)
{
    assert_int_equal (s_amx.rows[c], s_amx.rows[a]); /* else the processor faults */
    assert_int_equal (s_amx.line_bytes[a], s_amx.rows[b] * 4);
    for (int i = 0; i < s_amx.rows[c]; i++)
        for (int j = 0; j < s_amx.line_bytes[c] / 4; j++) {
            float sum;
            memcpy (&sum, &s_amx.data[c][i][4 * j], sizeof sum);
            for (int p = 0; p < s_amx.line_bytes[a] / 4; p++)
                for (int half = 0; half < 4; half += 2)
                    sum += s_wide (&s_amx.data[a][i][4 * p + half]) * s_wide (&s_amx.data[b][p][4 * j + half]);
            memcpy (&s_amx.data[c][i][4 * j], &sum, sizeof sum);
        }
    s_amx.n_dots++;
}

static void s_amx_release (void)
{
    s_amx.configured = false;
}

#define s_amx_config(config)                                                                                           \
    do {                                                                                                               \
        assert_int_equal ((config)->palette, 1);                                                                       \
        memcpy (s_amx.rows, (config)->rows, sizeof s_amx.rows);                                                        \
        memcpy (s_amx.line_bytes, (config)->line_bytes, sizeof s_amx.line_bytes);                                      \
        s_amx.configured = true;                                                                                       \
    } while (0)
#define rk_amx_tile s_emulated_tile
void s_emulated_tile (size_t rows, size_t cols, const rk_tile_t *t);
#include "compute/kernels/amx_loops.h"

/* ---- a set around it */
static uint32_t s_half_of (float x)
{
    uint32_t bits;
    noise_round (1, &x);
    memcpy (&bits, &x, sizeof bits);
    return bits >> 16;
}

static void s_put_pair (float even, float odd, float *dst)
{
    const uint32_t bits = s_half_of (even) | s_half_of (odd) << 16;
    memcpy (dst, &bits, sizeof bits);
}

static void s_pair_rows (size_t n, const float *even, const float *odd, float *dst)
{
    for (size_t i = 0; i < n; i++)
        s_put_pair (even[i], odd ? odd[i] : 0.0f, dst + i);
}

static void s_pair_along (size_t n, const float *src, float *dst)
{
    for (size_t i = 0; i < n; i += 2)
        s_put_pair (src[i], i + 1 < n ? src[i + 1] : 0.0f, dst + i / 2);
}

static rk_tile_set_t s_set (void)
{
    rk_tile_set_t set = rk_tiles_base;
    set.max_rows = RK_AMX_ROWS;
    set.max_cols = 32;
    set.tile = s_emulated_tile;
    set.pair_rows = s_pair_rows;
    set.pair_along = s_pair_along;
    set.rows_apart = true;
    return set;
}

/* ---- */
#define MAX_SIDE 1100
static float s_a[70 * MAX_SIDE], s_b[70 * MAX_SIDE], s_c[140 * 70], s_old[140 * 70];

static void s_check (size_t m, size_t n, size_t k, bool ta, bool tb, float beta, noise_t *noise)
{
    const rk_tile_set_t set = s_set ();
    const rk_product_t p = {m, n, k, 0.5f, beta, s_a, ta ? 1 : k, ta ? m : 1, s_b, tb ? 1 : n, tb ? k : 1, s_c, n};
    noise_fill (noise, m * k, s_a);
    noise_fill (noise, n * k, s_b);
    noise_fill (noise, m * n, s_c);
    noise_round (m * k, s_a);
    noise_round (n * k, s_b);
    memcpy (s_old, s_c, sizeof s_c);
    for (size_t i = 0; beta == 0.0f && i < m * n; i++)
        s_c[i] = NAN; /* must not be read */
    rk_product_pairs (&set, &p);
    assert_false (s_amx.configured); /* given back */
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 1;
            for (size_t l = 0; l < k; l++) {
                const double term = (double) p.a[i * p.a_row + l * p.a_k] * p.b[l * p.b_k + j * p.b_col];
                sum += term;
                size += fabs (term);
            }
            const double want = 0.5 * sum + (beta == 0.0f ? 0.0 : (double) beta * s_old[i * n + j]);
            if (!(fabs (want - s_c[i * n + j]) <= 1e-6 * size))
                fail_msg ("m %zu n %zu k %zu ta %d tb %d: (%zu, %zu) is %g, not %g", m, n, k, ta, tb, i, j, s_c[i * n + j], want);
        }
}

static void s_shapes (void **state)
{
    noise_t noise = {31};
    for (int i = 0; i < 300; i++)
        s_check (noise_between (&noise, 1, 70), noise_between (&noise, 1, 70), noise_between (&noise, 1, 70), i & 1, i & 2,
                 (float) (i >> 2 & 1), &noise);
    s_check (17, 33, 1090, false, true, 1, &noise); /* more than one block of k */
    s_check (65, 16, 1024, true, false, 0, &noise);
    assert_true (s_amx.n_dots > 300);
}

/* Rows of convolutions: a bias, and C between other floats. */
static void s_bias (void **state)
{
    noise_t noise = {5};
    float bias[32];
    noise_fill (&noise, 32, bias);
    noise_fill (&noise, 32 * 40, s_old);
    s_pair_rows (32 * 40, s_old, s_old + 1, s_a);
    s_pair_rows (20 * 32, s_old, s_old + 2, s_b);
    const rk_tile_t t = {.n_runs = 1, .k_run = 20, .a = s_a, .a_row = 40, .a_k = 1, .b = s_b, .b_k = 32, .c = s_c,
                         .c_row = 60, .alpha = 1, .beta = 0, .bias = bias};
    rk_tile_t plain = t;
    for (size_t i = 0; i < 140 * 70; i++)
        s_c[i] = s_old[i] = 7;
    plain.c = s_old;
    plain.bias = NULL;
    s_emulated_tile (31, 19, &t);
    s_emulated_tile (31, 19, &plain);
    for (size_t i = 0; i < 32; i++)
        for (size_t j = 0; j < 60; j++)
            assert_true (s_c[i * 60 + j] == (i < 31 && j < 19 ? s_old[i * 60 + j] + bias[i] : 7));
}

/* k in runs, as in the gradient of a convolution's weights: the same sums as in one piece. */
static void s_runs (void **state)
{
    noise_t noise = {6};
    noise_fill (&noise, 32 * 80, s_old);
    s_pair_rows (32 * 80, s_old, s_old + 1, s_a);
    s_pair_rows (64 * 32, s_old, s_old + 2, s_b);
    rk_tile_t t = {.n_runs = 4, .k_run = 16, .a = s_a, .a_row = 80, .a_run = 16, .a_k = 1, .b = s_b, .b_k = 32, .c = s_c,
                   .c_row = 32, .alpha = 1};
    s_emulated_tile (29, 32, &t);
    t.n_runs = 1;
    t.k_run = 64;
    t.c = s_old;
    s_emulated_tile (29, 32, &t);
    assert_memory_equal (s_c, s_old, 29 * 32 * sizeof *s_c);
    t.n_runs = 3; /* runs that no step fits, and gaps between them in A */
    t.k_run = 7;
    t.a_run = 20;
    s_emulated_tile (29, 5, &t);
    for (size_t run = 0; run < 3; run++) {
        rk_tile_t one = {.n_runs = 1, .k_run = 7, .a = s_a + run * 20, .a_row = 80, .a_k = 1, .b = s_b + run * 7 * 32,
                         .b_k = 32, .c = s_c, .c_row = 32, .alpha = 1, .beta = run ? 1 : 0};
        s_emulated_tile (29, 5, &one);
    }
    for (size_t i = 0; i < 29; i++)
        for (size_t j = 0; j < 5; j++)
            assert_true (fabsf (s_c[i * 32 + j] - s_old[i * 32 + j]) <= 1e-5f);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (s_shapes), cmocka_unit_test (s_bias), cmocka_unit_test (s_runs)};
    return cmocka_run_group_tests_name ("compute/amx", tests, NULL, NULL);
}
