/* SPDX-License-Identifier: MPL-2.0
 * Elementwise kernels: right, in place, at odd addresses, and the same bits from every build.         */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "tests/support/noise.h"

#define N 1003
#define N_SETS 3

static const char *const s_sets[N_SETS] = {"blis", "avx2", "avx512"};

static bool s_use (size_t set)
{
    return rk_blas_init (s_sets[set], NULL) == RK_OK;
}

static bool s_near (double got, double want, double limit)
{
    return fabs (got - want) <= limit;
}

static void s_elementwise (void **state)
{
    float a[N], b[N], y[N], odd_floats[N + 1];
    noise_t noise = {5};
    unsigned char *odd = (unsigned char *) odd_floats + 1; /* misaligned even for a float */
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        const rk_vec_t *v = rk_vec ();
        noise_fill (&noise, N, a);
        noise_fill (&noise, N, b);
        memcpy (odd, b, sizeof b);
        a[3] = NAN, a[4] = -0.0f, a[5] = 0.0f, a[6] = INFINITY, a[7] = -INFINITY;
        v->relu (N, a, y);
        for (size_t i = 0; i < N; i++)
            assert_true (i == 3 ? isnan (y[i]) : y[i] == (a[i] > 0 ? a[i] : 0) && !signbit (y[i]));
        v->relu_backward (N, a, b, y);
        for (size_t i = 0; i < N; i++)
            assert_true (y[i] == (a[i] > 0 ? b[i] : 0));
        noise_fill (&noise, N, a);
        v->add (N, a, b, y);
        for (size_t i = 0; i < N; i++)
            assert_true (y[i] == a[i] + b[i]);
        v->mul (N, a, b, y);
        for (size_t i = 0; i < N; i++)
            assert_true (y[i] == a[i] * b[i]);
        v->scale (N, 0.3f, odd, y);
        for (size_t i = 0; i < N; i++)
            assert_true (y[i] == 0.3f * b[i]);
        v->axpy (N, 0.7f, odd, y);
        for (size_t i = 0; i < N; i++)
            assert_true (s_near (y[i], 1.0 * b[i], 2e-7));
        v->sum_scaled (N, 0.7f, a, odd, y);
        for (size_t i = 0; i < N; i++)
            assert_true (s_near (y[i], 0.7 * a[i] + b[i], 2e-7));
        v->affine ((rk_planes_t){1, N, N}, 0.7f, a, 0.2f, y);
        for (size_t i = 0; i < N; i++)
            assert_true (s_near (y[i], 0.7 * a[i] + 0.2, 2e-7));
        v->affine2 ((rk_planes_t){1, N, N}, 0.7f, a, -0.4f, b, 0.2f, y);
        for (size_t i = 0; i < N; i++)
            assert_true (s_near (y[i], 0.7 * a[i] - 0.4 * b[i] + 0.2, 3e-7));
        v->copy (N, odd, y);
        assert_memory_equal (y, b, sizeof b);
    }
}

/* A mix is one scale and axpys, bit for bit, in the order given: another order gives other bits. */
static void s_mix (void **state)
{
    float in[4][N], want[N], got[N], other[N];
    const float w[] = {0.37f, 0.21f, 0.33f, 0.09f};
    noise_t noise = {5};
    for (size_t r = 0; r < 4; r++)
        noise_fill (&noise, N, in[r]);
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        const rk_vec_t *v = rk_vec ();
        for (size_t n_in = 1; n_in <= 4; n_in++) {
            v->scale (N, w[0], in[0], want);
            for (size_t r = 1; r < n_in; r++)
                v->axpy (N, w[r], in[r], want);
            v->mix (N, n_in, (const void *const[]){in[0], in[1], in[2], in[3]}, w, got);
            assert_memory_equal (got, want, sizeof want);
        }
        v->mix (N, 4, (const void *const[]){in[3], in[2], in[1], in[0]}, (const float[]){w[3], w[2], w[1], w[0]}, other);
        assert_memory_not_equal (other, want, sizeof want);
    }
}

static void s_sum4 (void **state)
{
    float in[3][N], want[4][N], got[4][N];
    noise_t noise = {6};
    for (size_t r = 0; r < 3; r++)
        noise_fill (&noise, N, in[r]);
    noise_fill (&noise, 4 * N, want[0]);
    memcpy (got, want, sizeof got);
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        const rk_vec_t *v = rk_vec ();
        for (size_t k = 0; k < 4; k++)
            for (size_t r = 0; r < 3; r++)
                v->add (N, want[k], in[r], want[k]);
        v->sum4 (N, 3, (const float *const[]){in[0], in[1], in[2]}, (float *const[]){got[0], got[1], got[2], got[3]});
        assert_memory_equal (got, want, sizeof want);
    }
    rk_vec ()->sum4 (N, 2, (const float *const[]){in[1], in[0]}, (float *const[]){got[0], got[1], got[2], got[3]});
    rk_vec ()->sum4 (N, 2, (const float *const[]){in[0], in[1]}, (float *const[]){want[0], want[1], want[2], want[3]});
    assert_memory_not_equal (got, want, sizeof want);
}

static void s_reductions (void **state)
{
    float x[N], g[N], bias[7], y[N], db[7];
    noise_t noise = {6};
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        const rk_vec_t *v = rk_vec ();
        for (size_t n = 0; n < N; n += 1 + n / 7) {
            noise_fill (&noise, N, x);
            noise_fill (&noise, N, g);
            double want[4] = {0}, out[2];
            for (size_t i = 0; i < n; i++) {
                want[0] += x[i] - 0.25;
                want[1] += (x[i] - 0.25) * (x[i] - 0.25);
                want[2] += g[i];
                want[3] += g[i] * (x[i] - 0.25);
            }
            v->moments ((rk_planes_t){1, n, n}, x, 0.25f, out);
            assert_true (s_near (out[0], want[0], 1e-4) && s_near (out[1], want[1], 1e-4));
            v->co_moments ((rk_planes_t){1, n, n}, g, x, 0.25f, out);
            assert_true (s_near (out[0], want[2], 1e-4) && s_near (out[1], want[3], 1e-4));
            assert_true (s_near (v->sum (n, g), want[2], 1e-4));
        }
        for (size_t size = 1; size < 140; size += 1 + size / 3) { /* planes, and what lies between them */
            rk_planes_t at = {N / (size + 5), size, size + 5};
            double want[4] = {0}, out[2];
            for (size_t i = 0; i < at.n * at.stride; i++)
                if (i % at.stride < size) {
                    want[0] += x[i] - 0.25;
                    want[1] += (x[i] - 0.25) * (x[i] - 0.25);
                    want[2] += g[i];
                    want[3] += g[i] * (x[i] - 0.25);
                }
            v->moments (at, x, 0.25f, out);
            assert_true (s_near (out[0], want[0], 1e-4) && s_near (out[1], want[1], 1e-4));
            v->co_moments (at, g, x, 0.25f, out);
            assert_true (s_near (out[0], want[2], 1e-4) && s_near (out[1], want[3], 1e-4));
            memcpy (y, x, sizeof x);
            v->affine (at, 2.0f, x, 0.5f, y);
            for (size_t i = 0; i < N; i++)
                assert_true (y[i] == (i < at.n * at.stride && i % at.stride < size ? 2 * x[i] + 0.5f : x[i]));
            v->affine2 (at, 2.0f, x, 4.0f, g, 0.5f, y);
            for (size_t i = 0; i < at.n * at.stride; i++)
                if (i % at.stride < size)
                    assert_true (s_near (y[i], 2.0 * x[i] + 4.0 * g[i] + 0.5, 1e-6));
        }
        noise_fill (&noise, 7, bias);
        memcpy (y, x, sizeof x);
        v->bias_rows (20, 7, bias, y);
        for (size_t i = 0; i < 140; i++)
            assert_true (y[i] == x[i] + bias[i % 7]);
        memcpy (y, x, sizeof x);
        v->bias_planes (4, 7, 13, bias, y);
        for (size_t i = 0; i < 4 * 7 * 13; i++)
            assert_true (y[i] == x[i] + bias[i / 13 % 7]);
        memcpy (db, bias, sizeof bias);
        v->bias_rows_grad (20, 7, x, db);
        for (size_t j = 0; j < 7; j++) {
            double want = bias[j];
            for (size_t r = 0; r < 20; r++)
                want += x[r * 7 + j];
            assert_true (s_near (db[j], want, 1e-5));
        }
        memcpy (db, bias, sizeof bias);
        v->bias_planes_grad (4, 7, 13, x, db);
        for (size_t j = 0; j < 7; j++) {
            double want = bias[j];
            for (size_t i = 0; i < 4 * 7 * 13; i++)
                want += i / 13 % 7 == j ? x[i] : 0.0;
            assert_true (s_near (db[j], want, 1e-5));
        }
    }
}

static void s_softmax (void **state)
{
    float x[N], p[N], lse[N];
    noise_t noise = {7};
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        for (size_t n = 1; n < 300; n += 1 + n / 5) {
            size_t rows = N / n;
            noise_fill (&noise, N, x);
            for (size_t i = 0; i < N; i++)
                x[i] *= i % 3 ? 8.0f : 60.0f;
            rk_vec ()->softmax_rows (rows, n, x, p, lse);
            for (size_t r = 0; r < rows; r++) {
                double top = -INFINITY, sum = 0;
                for (size_t j = 0; j < n; j++)
                    top = fmax (top, x[r * n + j]);
                for (size_t j = 0; j < n; j++)
                    sum += exp (x[r * n + j] - top);
                assert_true (s_near (lse[r], top + log (sum), 1e-5));
                for (size_t j = 0; j < n; j++) {
                    double want = exp (x[r * n + j] - top) / sum;
                    assert_true (s_near (p[r * n + j], want, 1e-5 * want + 1e-37));
                }
            }
        }
        float bad[3] = {1.0f, NAN, 2.0f};
        rk_vec ()->softmax_rows (1, 3, bad, p, NULL);
        assert_true (isnan (p[0]) && isnan (p[1]) && isnan (p[2]));
        float infinite[2] = {-INFINITY, 2.0f};
        rk_vec ()->softmax_rows (1, 2, infinite, p, NULL);
        assert_true (p[0] == 0.0f && p[1] == 1.0f);
    }
}

/* Against the definition, with equal values and NaN, and nothing written outside. */
static void s_max_2x2 (void **state)
{
    static float x[70 * 90], y[35 * 45 + 1], dx[70 * 90];
    static uint16_t place[35 * 45 + 1];
    noise_t noise = {12};
    for (size_t set = 0; set < N_SETS; set++)
        for (int run = 0; run < 200 && s_use (set); run++) {
            size_t rows = noise_between (&noise, 1, 35), cols = noise_between (&noise, 1, run & 1 ? 45 : 17);
            size_t x_row = 2 * cols + (run & 2 ? noise_between (&noise, 0, 90 - 2 * cols) : 0);
            for (size_t i = 0; i < 2 * rows * x_row; i++) {
                x[i] = (float) (noise_next (&noise) % 8) - 4.0f;
                if (run % 5 == 0 && noise_next (&noise) % 16 == 0)
                    x[i] = NAN;
                dx[i] = 99.0f;
            }
            y[rows * cols] = 77.0f;
            place[rows * cols] = 77;
            rk_vec ()->max_2x2 (rows, cols, x, x_row, y, place);
            assert_true (y[rows * cols] == 77.0f && place[rows * cols] == 77);
            rk_vec ()->max_2x2_backward (rows, cols, y, place, dx, x_row);
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < cols; j++) {
                    const float *top = x + 2 * i * x_row + 2 * j, window[4] = {top[0], top[1], top[x_row], top[x_row + 1]};
                    size_t best = 0;
                    for (size_t w = 1; w < 4; w++)
                        if (!isnan (window[best]) && (window[w] > window[best] || isnan (window[w])))
                            best = w;
                    assert_int_equal (place[i * cols + j], best);
                    assert_memory_equal (&y[i * cols + j], &window[best], sizeof (float));
                    for (size_t w = 0; w < 4; w++) {
                        float got = dx[(2 * i + w / 2) * x_row + 2 * j + w % 2];
                        assert_memory_equal (&got, w == best ? &y[i * cols + j] : &(float){0}, sizeof got);
                    }
                }
            for (size_t i = 0; i < 2 * rows; i++)
                for (size_t j = 2 * cols; j < x_row; j++)
                    assert_true (dx[i * x_row + j] == 99.0f);
        }
}

static void s_sgd (void **state)
{
    float w[N], g[N], v[N], v0[N], out[N];
    noise_t noise = {8};
    for (size_t i = 0; i < 8; i++) {
        rk_vec_sgd_t how = {.lr = 0.1f, .grad_scale = 0.5f};
        how.momentum = i & 1 ? 0.9f : 0.0f;
        how.weight_decay = i & 2 ? 0.01f : 0.0f;
        how.nesterov = i & 4;
        for (size_t set = 0; set < N_SETS; set++) {
            if (!s_use (set))
                continue;
            noise_fill (&noise, N, w);
            noise_fill (&noise, N, g);
            noise_fill (&noise, N, v0);
            memcpy (v, v0, sizeof v);
            rk_vec ()->sgd (&how, N, w, out, g, how.momentum == 0.0f ? NULL : v);
            for (size_t j = 0; j < N; j++) {
                double grad = 0.5 * g[j] + (double) how.weight_decay * w[j], vel = (double) how.momentum * v0[j] + grad;
                double step = how.momentum == 0.0f ? grad : how.nesterov ? grad + (double) how.momentum * vel : vel;
                assert_true (s_near (out[j], w[j] - 0.1 * step, 3e-7));
                assert_true (how.momentum == 0.0f || s_near (v[j], vel, 3e-7));
            }
            rk_vec ()->copy (N, v0, v);
            rk_vec ()->sgd (&how, N, w, w, g, how.momentum == 0.0f ? NULL : v); /* in place */
            assert_memory_equal (w, out, sizeof w);
        }
    }
}

static void s_adam (void **state)
{
    float w[N], g[N], m[N], v[N], out[N];
    noise_t noise = {9};
    rk_vec_adam_t how = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.1f,
                         .grad_scale = 2.0f, .correct1 = 0.1f, .correct2 = 0.001f};
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        noise_fill (&noise, N, w);
        noise_fill (&noise, N, g);
        memset (m, 0, sizeof m);
        memset (v, 0, sizeof v);
        rk_vec ()->adam (&how, N, w, out, g, (float *const[2]){m, v});
        for (size_t j = 0; j < N; j++) {
            double grad = 2.0 * g[j] + 0.1 * w[j];
            assert_true (s_near (m[j], 0.1 * grad, 1e-6) && s_near (v[j], 0.001 * grad * grad, 1e-6));
            if (fabs (grad) > 1e-3) /* the first step of Adam is the learning rate, with the gradient's sign */
                assert_true (s_near (out[j], w[j] - copysign (0.01, grad), 1e-5));
        }
    }
}

/* Decoupled: the means never see the decay; the direction is what a step of adamw divides by the rate. */
static void s_adam_decoupled (void **state)
{
    float w[N], g[N], m[N], v[N], out[N], u[N];
    noise_t noise = {10};
    rk_vec_adam_t how = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.1f,
                         .grad_scale = 2.0f, .correct1 = 0.1f, .correct2 = 0.001f, .decoupled = true};
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        noise_fill (&noise, N, w);
        noise_fill (&noise, N, g);
        memset (m, 0, sizeof m);
        memset (v, 0, sizeof v);
        rk_vec ()->adam (&how, N, w, out, g, (float *const[2]){m, v});
        for (size_t j = 0; j < N; j++) {
            double grad = 2.0 * g[j];
            assert_true (s_near (m[j], 0.1 * grad, 1e-6) && s_near (v[j], 0.001 * grad * grad, 1e-6));
        }
        memset (m, 0, sizeof m);
        memset (v, 0, sizeof v);
        rk_vec ()->adam_direction (&how, N, w, g, u, (float *const[2]){m, v});
        for (size_t j = 0; j < N; j++)
            assert_true (s_near (out[j], w[j] - 0.01 * u[j], 1e-6));
        memset (m, 0, sizeof m);
        memset (v, 0, sizeof v);
        rk_vec ()->adam_direction (&how, N, w, g, g, (float *const[2]){m, v}); /* over the gradient */
        assert_memory_equal (g, u, sizeof u);
    }
}

/* Every half goes there and back unchanged; every float goes to the nearest half, ties to even. */
static void s_f16 (void **state)
{
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        const rk_vec_t *v = rk_vec ();
        float before = -1.0f;
        for (uint32_t h = 0; h < 0x7c00; h++) {
            uint16_t half = (uint16_t) h, back;
            float x;
            v->f16_to_f32 (1, &half, &x);
            double want = h < 0x400 ? ldexp (h, -24) : ldexp (1024 + (h & 0x3ff), (int) (h >> 10) - 25);
            assert_true (x == want);
            v->f32_to_f16 (1, &x, &back);
            assert_int_equal (back, half);
            float middle = (x + before) / 2, around[2] = {nextafterf (middle, 0), nextafterf (middle, 1e9f)};
            if (h > 0) {
                uint16_t to[3];
                v->f32_to_f16 (1, &middle, &to[0]);
                v->f32_to_f16 (2, around, &to[1]);
                assert_int_equal (to[0], h & 1 ? h - 1 : h);
                assert_int_equal (to[1], h - 1);
                assert_int_equal (to[2], h);
            }
            before = x;
        }
        float special[6] = {NAN, INFINITY, -INFINITY, 1e30f, -65520.0f, -0.0f}, back[6];
        uint16_t half[6];
        v->f32_to_f16 (6, special, half);
        v->f16_to_f32 (6, half, back);
        assert_true (isnan (back[0]) && back[1] == 65504.0f && back[2] == -65504.0f && back[3] == 65504.0f);
        assert_true (back[4] == -65504.0f && back[5] == 0.0f && signbit (back[5]));
        uint16_t infinite[2] = {0x7c00, 0xfc00};
        v->f16_to_f32 (2, infinite, back);
        assert_true (back[0] == INFINITY && back[1] == -INFINITY);
    }
}

static void s_bf16 (void **state)
{
    float x[N], back[N];
    uint16_t half[N];
    noise_t noise = {10};
    for (size_t set = 0; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        noise_fill (&noise, N, x);
        x[0] = NAN, x[1] = INFINITY, x[2] = 1.00390625f /* a tie: to 1 */, x[3] = 1.01171875f /* to 1.015625 */;
        rk_vec ()->f32_to_bf16 (N, x, half);
        rk_vec ()->bf16_to_f32 (N, half, back);
        assert_true (isnan (back[0]) && back[1] == INFINITY && back[2] == 1.0f && back[3] == 1.015625f);
        for (size_t i = 4; i < N; i++)
            assert_true (s_near (back[i], x[i], fabs (x[i]) / 256));
    }
}

typedef struct {
    float floats[24][N];
    uint16_t halves[2][N];
    double sums[5];
} s_all_t;

static void s_run_all (s_all_t *o)
{
    const rk_vec_t *v = rk_vec ();
    float a[N], b[N], scaled[N], m[N];
    noise_t noise = {11};
    memset (o, 0, sizeof *o);
    noise_fill (&noise, N, a);
    noise_fill (&noise, N, b);
    noise_fill (&noise, N, m);
    v->scale (N, 37.7f, a, scaled);
    v->affine ((rk_planes_t){7, 100, 143}, 0.37f, a, 0.11f, o->floats[0]);
    v->affine2 ((rk_planes_t){1, N, N}, 0.37f, a, 0.77f, b, 0.11f, o->floats[1]);
    v->softmax_rows (N / 59, 59, scaled, o->floats[2], o->floats[3]);
    rk_vec_sgd_t sgd = {0.1f, 0.9f, 0.01f, 0.3f, true};
    memcpy (o->floats[5], m, sizeof m);
    v->sgd (&sgd, N, a, o->floats[6], b, o->floats[5]);
    rk_vec_adam_t adam = {0.1f, 0.9f, 0.99f, 1e-8f, 0.01f, 0.3f, 0.1f, 0.01f, true};
    memcpy (o->floats[7], m, sizeof m);
    v->relu (N, m, o->floats[8]);
    v->adam (&adam, N, a, o->floats[9], b, (float *const[2]){o->floats[7], o->floats[8]});
    memcpy (o->floats[15], m, sizeof m);
    memcpy (o->floats[16], o->floats[8], sizeof m);
    v->adam_direction (&adam, N, a, b, o->floats[17], (float *const[2]){o->floats[15], o->floats[16]});
    v->bias_planes_grad (2, 7, 71, a, o->floats[10]);
    v->bias_rows_grad (17, 59, a, o->floats[11]);
    v->axpy (N, 0.77f, a, o->floats[11]);
    v->sum_scaled (N, 0.33f, a, b, o->floats[12]);
    v->mix (N, 3, (const void *const[]){a, b, m}, (const float[]){0.31f, 0.29f, 0.4f}, o->floats[15]);
    v->f32_to_f16 (N, scaled, o->halves[0]);
    v->f16_to_f32 (N, o->halves[0], o->floats[13]);
    v->f32_to_bf16 (N, scaled, o->halves[1]);
    v->bf16_to_f32 (N, o->halves[1], o->floats[14]);
    o->sums[0] = v->sum (N, a);
    v->moments ((rk_planes_t){9, 70, 111}, a, 0.1f, &o->sums[1]);
    v->co_moments ((rk_planes_t){9, 49, 111}, a, b, 0.1f, &o->sums[3]);
}

static void s_same_bits (void **state)
{
    static s_all_t base, other;
    assert_true (s_use (0));
    s_run_all (&base);
    for (size_t set = 1; set < N_SETS; set++) {
        if (!s_use (set))
            continue;
        s_run_all (&other);
        assert_memory_equal (&base, &other, sizeof base);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_elementwise), cmocka_unit_test (s_mix), cmocka_unit_test (s_sum4), cmocka_unit_test (s_reductions), cmocka_unit_test (s_softmax),
        cmocka_unit_test (s_sgd),         cmocka_unit_test (s_adam),       cmocka_unit_test (s_adam_decoupled),       cmocka_unit_test (s_f16),
        cmocka_unit_test (s_bf16), cmocka_unit_test (s_max_2x2),       cmocka_unit_test (s_same_bits),
    };
    return cmocka_run_group_tests_name ("compute/vec", tests, NULL, NULL);
}
