/* SPDX-License-Identifier: MPL-2.0
 * Convolutions in groups, dilated and oblong, against the definition in double precision; no bit depends on the
 * threads; blocks smaller than the plane; what is refused.                                            */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/kernels/conv_grouped.h"
#include "compute/model.h"
#include "compute/rng.h"

#define N 3

typedef struct {
    rk_conv_grouped_t s;
    size_t x_len, w_len, y_len;
    float *x, *w, *bias, *dy;
    float *y, *dx, *dw;
    double *want_y, *want_dx, *want_dw;
} conv_t;

static float *s_random (size_t n, uint64_t stream)
{
    float *x = malloc (n * sizeof *x);
    assert_non_null (x);
    rk_rng_uniform (8, rk_rng_stream (RK_RNG_TEST, stream), 0, n, -1, 1, x);
    return x;
}

/* One product of the definition: y[y] += w[w] x[x], and both ways back. */
static void s_term (conv_t *c, size_t y, size_t w, size_t x)
{
    c->want_y[y] += (double) c->w[w] * (double) c->x[x];
    c->want_dx[x] += (double) c->w[w] * (double) c->dy[y];
    c->want_dw[w] += (double) c->x[x] * (double) c->dy[y];
}

static void s_define (conv_t *c)
{
    const rk_conv_grouped_t *s = &c->s;
    const size_t out_h = rk_conv_grouped_out_h (s), out_w = rk_conv_grouped_out_w (s), in = s->c_in / s->groups;
    for (size_t y = 0; y < c->y_len; y++) {
        const size_t o = y / (out_h * out_w) % s->c_out, n = y / (out_h * out_w) / s->c_out;
        c->want_y[y] += (double) c->bias[o];
        for (size_t k = 0; k < in * s->kernel_h * s->kernel_w; k++) {
            const size_t i = k / s->kernel_w % s->kernel_h, j = k % s->kernel_w, ci = k / (s->kernel_w * s->kernel_h);
            const size_t row = y / out_w % out_h * s->stride + i * s->dilation, col = y % out_w * s->stride + j * s->dilation;
            if (row < s->padding_h || col < s->padding_w || row - s->padding_h >= s->h || col - s->padding_w >= s->w)
                continue;
            const size_t channel = n * s->c_in + o / (s->c_out / s->groups) * in + ci;
            s_term (c, y, (o * in + ci) * s->kernel_h * s->kernel_w + i * s->kernel_w + j,
                    (channel * s->h + row - s->padding_h) * s->w + col - s->padding_w);
        }
    }
}

static conv_t s_open (rk_conv_grouped_t s)
{
    conv_t c = {.s = s, .x_len = N * s.c_in * s.h * s.w, .w_len = s.c_out * s.c_in / s.groups * s.kernel_h * s.kernel_w,
                .y_len = N * s.c_out * rk_conv_grouped_out_h (&s) * rk_conv_grouped_out_w (&s)};
    c.x = s_random (c.x_len, 1), c.w = s_random (c.w_len, 2), c.bias = s_random (s.c_out, 3), c.dy = s_random (c.y_len, 4);
    c.y = s_random (c.y_len, 5), c.dx = s_random (c.x_len, 6), c.dw = calloc (c.w_len, sizeof *c.dw);
    c.want_y = calloc (c.y_len, sizeof *c.want_y), c.want_dx = calloc (c.x_len, sizeof *c.want_dx);
    c.want_dw = calloc (c.w_len, sizeof *c.want_dw);
    assert_true (c.dw && c.want_y && c.want_dx && c.want_dw);
    return c;
}

static void s_close (conv_t *c)
{
    float *floats[] = {c->x, c->w, c->bias, c->dy, c->y, c->dx, c->dw};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free (floats[i]);
    free (c->want_y);
    free (c->want_dx);
    free (c->want_dw);
}

static void s_compute (conv_t *c, rk_pool_t *pool)
{
    const size_t n_scratch = rk_conv_grouped_scratch (&c->s, rk_pool_n_threads (pool)) + 1;
    rk_conv_work_t work = {.pool = pool, .scratch = malloc (n_scratch * sizeof (float))};
    assert_non_null (work.scratch);
    work.scratch[n_scratch - 1] = 17;
    memset (c->dw, 0, c->w_len * sizeof *c->dw);
    rk_conv_grouped_forward (&c->s, N, c->x, c->w, c->bias, c->y, &work);
    rk_conv_grouped_backward_input (&c->s, N, c->dy, c->w, c->dx, &work);
    rk_conv_grouped_backward_weight (&c->s, N, c->x, c->dy, c->dw, &work);
    assert_true (work.scratch[n_scratch - 1] == 17);
    free (work.scratch);
}

static size_t s_wrong (const float *got, const double *want, size_t n)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += !(fabs ((double) got[i] - want[i]) < 2e-4);
    return wrong;
}

/* c_in, h, w, c_out, groups, kernel_h, kernel_w, stride, padding_h, padding_w, dilation */
static const rk_conv_grouped_t s_cases[] = {
    {4, 9, 11, 6, 2, 3, 3, 1, 1, 1, 1},   {8, 13, 12, 8, 8, 3, 3, 1, 1, 1, 1},  {6, 13, 12, 12, 6, 5, 3, 2, 2, 1, 1},
    {3, 14, 15, 5, 1, 3, 3, 1, 2, 2, 2},  {5, 17, 19, 33, 1, 1, 7, 1, 0, 3, 1}, {5, 19, 17, 4, 1, 7, 1, 1, 3, 0, 1},
    {6, 20, 21, 9, 3, 3, 2, 3, 4, 2, 3},  {2, 3, 700, 3, 1, 3, 3, 1, 1, 1, 1},  {2, 3, 700, 2, 2, 1, 5, 2, 0, 2, 2},
    {400, 4, 5, 3, 1, 3, 3, 1, 1, 1, 1},  {4, 1, 1, 70, 2, 1, 1, 1, 0, 0, 1},   {2, 2, 2, 2, 2, 3, 3, 2, 2, 2, 1},
    {1, 5, 5, 40, 1, 3, 3, 1, 2, 2, 2},
};

static void test_definition (void **state)
{
    for (size_t i = 0; i < sizeof s_cases / sizeof *s_cases; i++) {
        assert_int_equal (rk_conv_grouped_check (&s_cases[i], NULL), RK_OK);
        conv_t c = s_open (s_cases[i]);
        s_define (&c);
        s_compute (&c, NULL);
        assert_int_equal (s_wrong (c.y, c.want_y, c.y_len), 0);
        assert_int_equal (s_wrong (c.dx, c.want_dx, c.x_len), 0);
        assert_int_equal (s_wrong (c.dw, c.want_dw, c.w_len), 0);
        for (size_t w = 0; w < c.w_len; w++) /* Mutation: values a little beside the right ones */
            c.w[w] += 0.01f;
        for (size_t x = 0; x < c.x_len; x++)
            c.x[x] += 0.01f;
        s_compute (&c, NULL);
        assert_true (s_wrong (c.y, c.want_y, c.y_len) && s_wrong (c.dx, c.want_dx, c.x_len) &&
                     s_wrong (c.dw, c.want_dw, c.w_len));
        s_close (&c);
    }
}

static void test_threads_change_no_bit (void **state)
{
    rk_pool_t *pool;
    assert_int_equal (rk_pool_new (&pool, 3, NULL), RK_OK);
    for (size_t i = 0; i < sizeof s_cases / sizeof *s_cases; i++) {
        conv_t one = s_open (s_cases[i]), three = s_open (s_cases[i]);
        s_compute (&one, NULL);
        s_compute (&three, pool);
        assert_memory_equal (one.y, three.y, one.y_len * sizeof *one.y);
        assert_memory_equal (one.dx, three.dx, one.x_len * sizeof *one.dx);
        assert_memory_equal (one.dw, three.dw, one.w_len * sizeof *one.dw);
        s_close (&one);
        s_close (&three);
    }
    rk_pool_destroy (&pool);
}

/* A panel never grows with the picture. */
static void test_scratch_is_bounded (void **state)
{
    rk_conv_grouped_t s = {.c_in = 512, .c_out = 512, .groups = 2, .kernel_h = 3, .kernel_w = 3, .stride = 1, .padding_h = 1,
                           .padding_w = 1, .dilation = 1};
    for (s.h = 8; s.h <= 2048; s.h *= 4) {
        s.w = s.h;
        assert_true (rk_conv_grouped_scratch (&s, 1) <= 1024 * 256);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_definition),
        cmocka_unit_test (test_threads_change_no_bit),
        cmocka_unit_test (test_scratch_is_bounded),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
