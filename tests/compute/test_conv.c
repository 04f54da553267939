/* SPDX-License-Identifier: MPL-2.0
 * Convolutions against their definition in double, for every kernel set this processor has.           */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/blas.h"
#include "compute/kernels/conv.h"
#include "tests/support/noise.h"

#define GUARD 64 /* floats behind every buffer that nobody may touch */
#define MARK 12345.0f

typedef struct {
    rk_conv_shape_t shape;
    size_t n, n_x, n_w, n_y, n_scratch;
    float *x, *w, *bias, *y, *scratch;
    double *sum, *size; /* of one operand: the true value and the sum of the sizes of its terms */
} s_fix_t;

static float *s_floats (size_t n)
{
    float *x = aligned_alloc (64, ((n + GUARD) * sizeof *x + 63) / 64 * 64);
    assert_non_null (x);
    for (size_t i = 0; i < n + GUARD; i++)
        x[i] = i < n ? NAN : MARK;
    return x;
}

static void s_check_guard (const float *x, size_t n)
{
    for (size_t i = n; i < n + GUARD; i++)
        assert_true (x[i] == MARK);
}

static void s_setup (s_fix_t *f, const rk_conv_shape_t *shape, size_t n, size_t n_threads, noise_t *noise)
{
    f->shape = *shape;
    f->n = n;
    f->n_x = n * shape->c_in * shape->h * shape->w;
    f->n_w = shape->c_out * shape->c_in * shape->kernel * shape->kernel;
    f->n_y = n * shape->c_out * rk_conv_out_h (shape) * rk_conv_out_w (shape);
    f->n_scratch = rk_conv_scratch (shape, n_threads);
    f->x = s_floats (f->n_x);
    f->w = s_floats (f->n_w);
    f->y = s_floats (f->n_y);
    f->bias = s_floats (shape->c_out);
    f->scratch = s_floats (f->n_scratch);
    size_t most = f->n_x > f->n_y ? f->n_x : f->n_y;
    most = most > f->n_w ? most : f->n_w;
    f->sum = calloc (most, sizeof *f->sum);
    f->size = calloc (most, sizeof *f->size);
    assert_non_null (f->sum);
    assert_non_null (f->size);
    noise_fill (noise, f->n_x, f->x);
    noise_fill (noise, f->n_w, f->w);
    noise_fill (noise, f->n_y, f->y);
    noise_fill (noise, shape->c_out, f->bias);
    if (strcmp (rk_blas_kernels (), rk_blas_best (false))) { /* sets that round must have nothing to round */
        noise_round (f->n_x, f->x);
        noise_round (f->n_w, f->w);
        noise_round (f->n_y, f->y);
    }
}

static void s_teardown (s_fix_t *f)
{
    s_check_guard (f->x, f->n_x);
    s_check_guard (f->w, f->n_w);
    s_check_guard (f->y, f->n_y);
    s_check_guard (f->bias, f->shape.c_out);
    s_check_guard (f->scratch, f->n_scratch);
    free (f->x);
    free (f->w);
    free (f->y);
    free (f->bias);
    free (f->scratch);
    free (f->sum);
    free (f->size);
}

static void s_term (s_fix_t *f, size_t at, double a, double b)
{
    f->sum[at] += a * b;
    f->size[at] += fabs (a * b);
}

/* The definition: for each product of the sum, call s_term on the operand named by `wanted` (x, w or y). */
static void s_define (s_fix_t *f, char wanted)
{
    const rk_conv_shape_t *s = &f->shape;
    size_t out_h = rk_conv_out_h (s), out_w = rk_conv_out_w (s), k = s->kernel;
    for (size_t yi = 0; yi < f->n_y; yi++) {
        size_t ow = yi % out_w, oh = yi / out_w % out_h, co = yi / out_w / out_h % s->c_out;
        size_t sample = yi / out_w / out_h / s->c_out;
        for (size_t t = 0; t < s->c_in * k * k; t++) {
            size_t ih = oh * s->stride + t / k % k - s->padding, iw = ow * s->stride + t % k - s->padding;
            if (ih >= s->h || iw >= s->w)
                continue;
            size_t xi = ((sample * s->c_in + t / k / k) * s->h + ih) * s->w + iw, wi = co * s->c_in * k * k + t;
            if (wanted == 'y')
                s_term (f, yi, f->x[xi], f->w[wi]);
            else if (wanted == 'x')
                s_term (f, xi, f->y[yi], f->w[wi]);
            else
                s_term (f, wi, f->x[xi], f->y[yi]);
        }
    }
}

static void s_compare (const s_fix_t *f, const char *what, const float *got, size_t n)
{
    const rk_conv_shape_t *s = &f->shape;
    for (size_t i = 0; i < n; i++)
        if (!(fabs (got[i] - f->sum[i]) <= 2e-6 * (f->size[i] + 1.0)))
            fail_msg ("%s: n %zu (%zu, %zu, %zu) to %zu, kernel %zu stride %zu padding %zu: [%zu] is %g, not %g",
                      what, f->n, s->c_in, s->h, s->w, s->c_out, s->kernel, s->stride, s->padding, i, got[i],
                      f->sum[i]);
}

static void s_check_forward (s_fix_t *f, const rk_conv_work_t *work, bool bias)
{
    memset (f->sum, 0, f->n_y * sizeof *f->sum);
    memset (f->size, 0, f->n_y * sizeof *f->size);
    s_define (f, 'y');
    size_t plane = rk_conv_out_h (&f->shape) * rk_conv_out_w (&f->shape);
    for (size_t i = 0; bias && i < f->n_y; i++)
        s_term (f, i, f->bias[i / plane % f->shape.c_out], 1.0);
    float *y = s_floats (f->n_y);
    rk_conv_forward (&f->shape, f->n, f->x, f->w, bias ? f->bias : NULL, y, work);
    s_compare (f, "forward", y, f->n_y);
    s_check_guard (y, f->n_y);
    free (y);
}

static void s_check_input (s_fix_t *f, const rk_conv_work_t *work)
{
    memset (f->sum, 0, f->n_x * sizeof *f->sum);
    memset (f->size, 0, f->n_x * sizeof *f->size);
    s_define (f, 'x');
    float *dx = s_floats (f->n_x);
    rk_conv_backward_input (&f->shape, f->n, f->y, f->w, dx, work);
    s_compare (f, "input gradient", dx, f->n_x);
    s_check_guard (dx, f->n_x);
    free (dx);
}

static void s_check_weight (s_fix_t *f, const rk_conv_work_t *work)
{
    memset (f->size, 0, f->n_w * sizeof *f->size);
    for (size_t i = 0; i < f->n_w; i++)
        f->sum[i] = f->w[i];
    s_define (f, 'w');
    float *dw = s_floats (f->n_w);
    memcpy (dw, f->w, f->n_w * sizeof *dw);
    rk_conv_backward_weight (&f->shape, f->n, f->x, f->y, dw, work);
    s_compare (f, "weight gradient", dw, f->n_w);
    s_check_guard (dw, f->n_w);
    free (dw);
}

static void s_check_bias (s_fix_t *f)
{
    size_t plane = rk_conv_out_h (&f->shape) * rk_conv_out_w (&f->shape);
    for (size_t c = 0; c < f->shape.c_out; c++) {
        f->sum[c] = f->bias[c];
        f->size[c] = 0;
    }
    for (size_t i = 0; i < f->n_y; i++)
        s_term (f, i / plane % f->shape.c_out, f->y[i], 1.0);
    float *db = s_floats (f->shape.c_out);
    memcpy (db, f->bias, f->shape.c_out * sizeof *db);
    rk_conv_backward_bias (&f->shape, f->n, f->y, db);
    s_compare (f, "bias gradient", db, f->shape.c_out);
    s_check_guard (db, f->shape.c_out);
    free (db);
}

static void s_check (const rk_conv_shape_t *shape, size_t n, rk_pool_t *pool, noise_t *noise)
{
    s_fix_t f;
    assert_int_equal (rk_conv_check (shape, NULL), RK_OK);
    s_setup (&f, shape, n, rk_pool_n_threads (pool), noise);
    rk_conv_work_t work = {pool, f.scratch};
    s_check_forward (&f, &work, n & 1);
    s_check_input (&f, &work);
    s_check_weight (&f, &work);
    s_check_bias (&f);
    s_teardown (&f);
}

static const char *const s_sets[] = {"amx", "avx512bf16", "avx512", "avx2", "blis"};

#define FOR_EACH_SET(name)                                                                                             \
    for (size_t set_ = 0; set_ < 5; set_++)                                                                            \
        if (rk_blas_init (name = s_sets[set_], NULL) == RK_OK)

/* The layers of the built-in models, a few samples each. */
static void s_model_shapes (void **state)
{
    static const rk_conv_shape_t shapes[] = {
        {1, 28, 28, 32, 3, 1, 1},  {32, 28, 28, 64, 3, 1, 1}, {1, 28, 28, 16, 3, 1, 1},  {16, 28, 28, 16, 3, 1, 1},
        {16, 28, 28, 32, 3, 2, 1}, {32, 14, 14, 32, 3, 1, 1}, {32, 14, 14, 64, 3, 2, 1}, {64, 7, 7, 64, 3, 1, 1},
    };
    noise_t noise = {42};
    const char *set;
    FOR_EACH_SET (set)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        s_check (&shapes[i], 3, NULL, &noise);
}

static void s_odd_shapes (void **state)
{
    noise_t noise = {4711};
    const char *set;
    FOR_EACH_SET (set)
    for (int i = 0; i < 100; i++) {
        rk_conv_shape_t s = {.kernel = noise_between (&noise, 1, 5), .stride = noise_between (&noise, 1, 4)};
        s.padding = noise_between (&noise, 0, s.kernel - 1);
        s.c_in = noise_between (&noise, 1, 20);
        s.c_out = noise_between (&noise, 1, 40);
        s.h = noise_between (&noise, s.kernel, s.kernel + 12);
        s.w = noise_between (&noise, s.kernel, s.kernel + 40);
        s_check (&s, noise_between (&noise, 1, 5), NULL, &noise);
    }
}

/* Those that compute/kernels/winograd.h takes: borders of every width, odd sides, channels beside whole vectors, planes
 * of one tile and of more than a block.                                                              */
static void s_winograd_shapes (void **state)
{
    static const rk_conv_shape_t shapes[] = {
        {12, 3, 3, 12, 3, 1, 0},   {16, 3, 4, 16, 3, 1, 2},   {17, 5, 3, 33, 3, 1, 1},   {40, 7, 9, 12, 3, 1, 0},
        {13, 1, 1, 20, 3, 1, 1},   {31, 1, 6, 47, 3, 1, 2},   {16, 70, 41, 16, 3, 1, 1}, {256, 2, 3, 255, 3, 1, 1},
        {12, 2, 300, 13, 3, 1, 1}, {128, 5, 4, 96, 3, 1, 2},
    };
    noise_t noise = {1980};
    const char *set;
    FOR_EACH_SET (set)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        s_check (&shapes[i], 1 + i % 4, NULL, &noise);
}

/* More taps and channels than any block holds. */
static void s_deep_shapes (void **state)
{
    static const rk_conv_shape_t shapes[] = {
        {130, 5, 6, 70, 3, 1, 1}, {40, 9, 7, 33, 5, 2, 2}, {300, 3, 3, 20, 1, 1, 0}, {3, 40, 50, 8, 7, 2, 3}};
    noise_t noise = {99};
    const char *set;
    FOR_EACH_SET (set)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        s_check (&shapes[i], 2, NULL, &noise);
}

typedef struct {
    float *y, *dx, *dw;
} s_results_t;

static void s_all_three (const s_fix_t *f, size_t n, rk_pool_t *pool, s_results_t *out)
{
    rk_conv_work_t work = {pool, f->scratch};
    rk_conv_forward (&f->shape, n, f->x, f->w, f->bias, out->y, &work);
    rk_conv_backward_input (&f->shape, n, f->y, f->w, out->dx, &work);
    memcpy (out->dw, f->w, f->n_w * sizeof (float));
    rk_conv_backward_weight (&f->shape, n, f->x, f->y, out->dw, &work);
}

static void s_free_results (s_results_t *r)
{
    free (r->y);
    free (r->dx);
    free (r->dw);
}

/* No bit depends on the number of threads, and of outputs and input gradients none on the number of
 * samples beside it.                                                                                  */
static void s_same_bits (void **state)
{
    static const rk_conv_shape_t shapes[] = {
        {32, 28, 28, 64, 3, 1, 1}, {16, 14, 13, 32, 3, 2, 1}, {64, 7, 7, 64, 3, 1, 1}, {5, 9, 11, 7, 4, 3, 2}};
    noise_t noise = {7};
    const char *set;
    FOR_EACH_SET (set)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        s_fix_t f;
        s_setup (&f, &shapes[i], 9, 4, &noise);
        s_results_t one = {s_floats (f.n_y), s_floats (f.n_x), s_floats (f.n_w)};
        s_results_t many = {s_floats (f.n_y), s_floats (f.n_x), s_floats (f.n_w)};
        s_all_three (&f, 9, NULL, &one);
        for (size_t threads = 2; threads <= 4; threads++) {
            rk_pool_t *pool = NULL;
            assert_int_equal (rk_pool_new (&pool, threads, NULL), RK_OK);
            s_all_three (&f, 9, pool, &many);
            assert_memory_equal (one.y, many.y, f.n_y * sizeof (float));
            assert_memory_equal (one.dx, many.dx, f.n_x * sizeof (float));
            assert_memory_equal (one.dw, many.dw, f.n_w * sizeof (float));
            rk_pool_destroy (&pool);
        }
        s_all_three (&f, 4, NULL, &many);
        assert_memory_equal (one.y, many.y, f.n_y / 9 * 4 * sizeof (float));
        assert_memory_equal (one.dx, many.dx, f.n_x / 9 * 4 * sizeof (float));
        s_free_results (&one);
        s_free_results (&many);
        s_teardown (&f);
    }
}

/* The two sets with fused multiply-add agree bit by bit, though their tiles and panels differ. */
static void s_sets_agree (void **state)
{
    static const rk_conv_shape_t shapes[] = {
        {32, 28, 28, 64, 3, 1, 1}, {3, 14, 13, 32, 3, 2, 1}, {70, 7, 7, 40, 3, 1, 1}, {5, 9, 11, 7, 4, 3, 2}};
    noise_t noise = {8};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        s_fix_t f;
        s_setup (&f, &shapes[i], 3, 1, &noise);
        s_results_t a = {s_floats (f.n_y), s_floats (f.n_x), s_floats (f.n_w)};
        s_results_t b = {s_floats (f.n_y), s_floats (f.n_x), s_floats (f.n_w)};
        const bool both = rk_blas_init ("avx512", NULL) == RK_OK;
        if (both) {
            s_all_three (&f, 3, NULL, &a);
            assert_int_equal (rk_blas_init ("avx2", NULL), RK_OK);
            s_all_three (&f, 3, NULL, &b);
            assert_memory_equal (a.y, b.y, f.n_y * sizeof (float));
            assert_memory_equal (a.dx, b.dx, f.n_x * sizeof (float));
            assert_memory_equal (a.dw, b.dw, f.n_w * sizeof (float));
        }
        s_free_results (&a);
        s_free_results (&b);
        s_teardown (&f);
        if (!both)
            skip ();
    }
}

static void s_refused (void **state)
{
    rk_error_t err = {0};
    rk_conv_shape_t s = {3, 4, 4, 8, 5, 1, 0};
    assert_int_equal (rk_conv_check (&s, &err), RK_ESHAPE);
    assert_non_null (strstr (err.text, "(3, 4, 4)"));
    s = (rk_conv_shape_t){3, 4, 4, 8, 3, 0, 0};
    assert_int_equal (rk_conv_check (&s, &err), RK_ESHAPE);
    s = (rk_conv_shape_t){3, 4, 4, 8, 3, 1, 3};
    assert_int_equal (rk_conv_check (&s, &err), RK_ESHAPE);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_model_shapes), cmocka_unit_test (s_odd_shapes),  cmocka_unit_test (s_winograd_shapes),
        cmocka_unit_test (s_deep_shapes),  cmocka_unit_test (s_same_bits),   cmocka_unit_test (s_sets_agree),
        cmocka_unit_test (s_refused),
    };
    return cmocka_run_group_tests_name ("compute/conv", tests, NULL, NULL);
}
