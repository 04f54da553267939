/* SPDX-License-Identifier: MPL-2.0
 * The arithmetic of mixing: rows bit for bit however they are cut, what is kept, orders, momenta, tracking and
 * push-sum on problems whose answers are known (ada.md §5, §9.4 nos. 4, 5, 10).                             */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/mix.h"
#include "cluster/spectrum.h"
#include "compute/rng.h"

#define MOST 48

static rk_graph_t *s_graph (rk_graph_config_t config)
{
    rk_graph_t *graph;
    rk_error_t err = {0};
    if (rk_graph_new (&graph, &config, &err))
        fail_msg ("%s", err.text);
    return graph;
}

/* next = W (t) x over rows of d floats. */
static void s_mix (const rk_graph_t *graph, uint64_t step, size_t d, const float *x, float *next)
{
    rk_graph_edge_t edges[MOST];
    const void *inputs[MOST];
    for (uint32_t i = 0; i < rk_graph_n (graph); i++) {
        const uint32_t n_edges = rk_graph_row (graph, &(rk_graph_time_t){.step = step}, i, edges);
        for (uint32_t e = 0; e < n_edges; e++)
            inputs[e] = x + edges[e].peer * d;
        rk_mix_row (edges, n_edges, inputs, d, next + i * d);
    }
}

static float *s_noise (size_t n, uint64_t stream)
{
    float *x = malloc (n * sizeof *x);
    rk_rng_normal (21, rk_rng_stream (RK_RNG_TEST, stream), 0, n, 0, 1, x);
    return x;
}

/* ---- rows */
static void test_rows_do_not_depend_on_pieces (void **state)
{
    (void) state;
    enum { D = 9001 };
    const rk_graph_config_t configs[] = {
        {.name = "ring", .n = 12}, {.name = "star", .n = 9}, {.name = "erdos-renyi", .n = 20}};
    for (size_t c = 0; c < 3; c++) {
        rk_graph_t *graph = s_graph (configs[c]);
        const uint32_t n = configs[c].n;
        float *x = s_noise ((size_t) n * D, c), *whole = malloc (D * sizeof *whole), *cut = malloc (D * sizeof *cut);
        char *odd = malloc ((size_t) n * D * sizeof *x + 1); /* as in a frame: no address is aligned */
        memcpy (odd + 1, x, (size_t) n * D * sizeof *x);
        for (uint32_t i = 0; i < n; i++) {
            rk_graph_edge_t edges[MOST];
            const void *inputs[MOST];
            const uint32_t n_edges = rk_graph_row (graph, &(rk_graph_time_t){0}, i, edges);
            const bool mean = rk_mix_is_mean (edges, n_edges);
            for (uint32_t e = 0; e < n_edges; e++)
                inputs[e] = x + (size_t) edges[e].peer * D;
            rk_mix_row (edges, n_edges, inputs, D, whole);
            for (size_t at = 0, m; at < D; at += m) {
                m = at + 1 + at / 3 < D ? 1 + at / 3 : D - at;
                for (uint32_t e = 0; e < n_edges; e++) {
                    const char *from = odd + 1 + ((size_t) edges[e].peer * D + at) * sizeof (float);
                    if (e == 0)
                        rk_mix_begin (mean, edges[e].weight, m, from, cut + at);
                    else
                        rk_mix_add (mean, edges[e].weight, m, from, cut + at);
                }
                rk_mix_end (mean, n_edges, m, cut + at);
            }
            assert_memory_equal (whole, cut, D * sizeof *cut);
            for (size_t k = 0; k < D; k += 1000) {
                double sum = 0;
                for (uint32_t e = 0; e < n_edges; e++)
                    sum += (double) edges[e].weight * x[(size_t) edges[e].peer * D + k];
                assert_true (fabs (sum - whole[k]) < 1e-6);
            }
        }
        free (x);
        free (whole);
        free (cut);
        free (odd);
        rk_graph_destroy (&graph);
    }
}

/* The mean of all replicas is kept to 1e-6 of the values, over thousands of steps: no rounding adds up. */
static void test_the_mean_is_kept (void **state)
{
    (void) state;
    enum { D = 8, STEPS = 20000 };
    for (const char *const *name = rk_graph_names (); *name; name++) {
        const uint32_t n = 16;
        rk_graph_t *graph = s_graph ((rk_graph_config_t){.name = *name, .n = n, .seed = 2});
        if (rk_graph_is_doubly_stochastic (graph)) {
            float *x = s_noise (n * D, 5), *next = malloc (n * D * sizeof *next);
            double before[D] = {0}, after[D] = {0};
            for (uint32_t e = 0; e < n * D; e++) {
                x[e] += 3;
                before[e % D] += x[e] / (double) n;
            }
            for (uint64_t step = 0; step < STEPS; step++) {
                s_mix (graph, step, D, x, next);
                float *last = x;
                x = next;
                next = last;
            }
            for (uint32_t e = 0; e < n * D; e++)
                after[e % D] += x[e] / (double) n;
            for (int k = 0; k < D; k++)
                if (fabs (after[k] / before[k] - 1) > 1e-6)
                    fail_msg ("%s: a mean of %.9g became %.9g", *name, before[k], after[k]);
            free (x);
            free (next);
        }
        rk_graph_destroy (&graph);
    }
}

/* Weights as floats next to 1/3 would blow everything up by 3e-8 per step; a group has the same bits. */
static void test_a_mean_is_divided (void **state)
{
    (void) state;
    rk_graph_edge_t edges[3] = {{0, 1.0f / 3}, {1, 1.0f / 3}, {2, 1.0f / 3}};
    assert_true (rk_mix_is_mean (edges, 3));
    assert_false (rk_mix_is_mean (edges, 2));
    edges[1].weight = nextafterf (1.0f / 3, 1);
    assert_false (rk_mix_is_mean (edges, 3));
    edges[1].weight = 1.0f / 3;
    /* Three equal values are their mean for ever, but for the last bit. */
    float *first = s_noise (500, 77), *x = s_noise (500, 77), *sum = malloc (500 * sizeof *sum);
    for (int step = 0; step < 1000; step++) {
        rk_mix_row (edges, 3, (const void *[]){x, x, x}, 500, sum);
        memcpy (x, sum, 500 * sizeof *x);
    }
    for (int k = 0; k < 500; k++)
        assert_true (fabsf (x[k] - first[k]) <= 1.2e-7f * fabsf (first[k]));
    free (first);
    free (x);
    free (sum);
}

/* ---- orders. Under pure noise AWC's state is ATC's before mixing (ada.md §5.1). */
static void test_orders_under_noise (void **state)
{
    (void) state;
    enum { N = 12, D = 5 };
    rk_graph_t *graph = s_graph ((rk_graph_config_t){.name = "torus", .n = N});
    float atc[N * D] = {0}, awc[N * D] = {0}, mixed[N * D], snapshot[N * D];
    for (uint64_t step = 0; step < 200; step++) {
        float *g = s_noise (N * D, 100 + step);
        memcpy (snapshot, awc, sizeof awc);
        for (int e = 0; e < N * D; e++) {
            atc[e] -= 0.1f * g[e];
            awc[e] -= 0.1f * g[e];
        }
        s_mix (graph, step, D, snapshot, mixed);
        rk_mix_correct (N * D, mixed, snapshot, awc);
        for (int e = 0; e < N * D; e++)
            assert_true (fabsf (awc[e] - atc[e]) < 1e-5f);
        s_mix (graph, step, D, atc, mixed);
        assert_true (step < 5 || fabsf (mixed[0] - atc[0]) > 1e-5f);
        memcpy (atc, mixed, sizeof atc);
        free (g);
    }
    float half[4];
    rk_mix_blend (4, 0.25f, (float[]){1, 2, 3, 4}, (float[]){5, 6, 7, 8}, half);
    assert_true (half[0] == 2 && half[3] == 5);
    rk_graph_destroy (&graph);
}

/* ---- replicas with different data: f_i (x) = h_i (x - c_i)^2 / 2, whose mean has its least at sum h c / sum h */
#define REPLICAS 8

typedef enum { PLAIN, LOCAL_MOMENTUM, QUASI_GLOBAL, TRACKING } s_method_t;

/* Root of the mean squared distance of the replicas from the common minimum, after many steps on a ring. */
static double s_bias (s_method_t method, float lr, uint32_t local_steps)
{
    rk_graph_t *graph = s_graph ((rk_graph_config_t){.name = "ring", .n = REPLICAS});
    float h[REPLICAS], c[REPLICAS], x[REPLICAS] = {0}, m[REPLICAS] = {0}, y[REPLICAS] = {0}, d[REPLICAS] = {0};
    double up = 0, down = 0, square = 0;
    const float mu = method == LOCAL_MOMENTUM || method == QUASI_GLOBAL ? 0.9f : 0;
    for (int i = 0; i < REPLICAS; i++) {
        h[i] = 0.5f + 0.2f * (float) i;
        c[i] = i < REPLICAS / 2 ? -1 - 0.5f * (float) i : 2;
        up += h[i] * c[i];
        down += h[i];
    }
    for (int step = 0; step < 20000; step++) {
        float before[REPLICAS], next[REPLICAS], kept[REPLICAS];
        memcpy (before, x, sizeof x);
        memcpy (kept, m, sizeof m);
        for (uint32_t local = 0; local < local_steps; local++)
            for (int i = 0; i < REPLICAS; i++) {
                m[i] = mu * m[i] + h[i] * (x[i] - c[i]);
                x[i] -= lr * m[i];
            }
        if (method == TRACKING) {
            rk_mix_track (REPLICAS, before, x, y, d);
            s_mix (graph, step, 1, y, next);
            memcpy (y, next, sizeof y);
        }
        s_mix (graph, step, 1, x, next);
        if (method == QUASI_GLOBAL) {
            memcpy (m, kept, sizeof m);
            rk_mix_quasi_global (REPLICAS, 0.1f, 1 / (lr * (float) local_steps), before, next, m);
        }
        memcpy (x, next, sizeof x);
    }
    for (int i = 0; i < REPLICAS; i++)
        square += (x[i] - up / down) * (x[i] - up / down) / REPLICAS;
    rk_graph_destroy (&graph);
    return sqrt (square);
}

static void test_tracking_has_no_bias (void **state)
{
    (void) state;
    assert_true (s_bias (PLAIN, 0.05f, 1) > 0.05);
    assert_true (s_bias (TRACKING, 0.05f, 1) < 1e-5);
    assert_true (s_bias (TRACKING, 0.02f, 4) < 0.3 * s_bias (PLAIN, 0.02f, 4));
}

/* Local momentum multiplies the bias by about 1 / (1 - mu); quasi-global momentum does not touch it. */
static void test_quasi_global_momentum_adds_no_bias (void **state)
{
    (void) state;
    const double plain = s_bias (PLAIN, 0.02f, 1), local = s_bias (LOCAL_MOMENTUM, 0.02f, 1),
                 global = s_bias (QUASI_GLOBAL, 0.02f, 1);
    assert_true (local > 3 * plain);
    assert_true (fabs (global / plain - 1) < 0.1);
}

/* The tracked ranges always sum to what the local steps did. */
static void test_tracking_keeps_the_sum (void **state)
{
    (void) state;
    rk_graph_t *graph = s_graph ((rk_graph_config_t){.name = "grid", .n = 12});
    float y[12] = {0}, d[12] = {0}, next[12];
    for (uint64_t step = 0; step < 300; step++) {
        float *before = s_noise (12, 3 * step), *x = s_noise (12, 3 * step + 1);
        double sum_y = 0, sum_d = 0;
        for (int i = 0; i < 12; i++)
            sum_d += (double) before[i] - x[i];
        rk_mix_track (12, before, x, y, d);
        for (int i = 0; i < 12; i++) {
            sum_y += y[i];
            assert_true (x[i] == before[i] - y[i]);
        }
        assert_true (fabs (sum_y - sum_d) < 1e-4);
        s_mix (graph, step, 1, y, next);
        memcpy (y, next, sizeof y);
        free (before);
        free (x);
    }
    rk_graph_destroy (&graph);
}

/* ---- push-sum: weights sum to n for ever, and everybody finds the mean although rows do not sum to 1 */
static void test_push_sum (void **state)
{
    (void) state;
    enum { N = 20, D = 7 };
    rk_graph_t *graph = s_graph ((rk_graph_config_t){.name = "directed", .n = N, .degree = 3, .seed = 4});
    float *x = s_noise (N * D, 8), mass[N * D], next[N * D], naive[N * D], z[D];
    double weight[N], mean[D] = {0}, worst_naive = 0, most = 0;
    memcpy (mass, x, sizeof mass);
    memcpy (naive, x, sizeof naive);
    for (int i = 0; i < N; i++)
        weight[i] = 1;
    for (int e = 0; e < N * D; e++)
        mean[e % D] += x[e] / (double) N;
    for (uint64_t step = 0; step < 2000; step++) {
        double after[N], sum = 0;
        for (uint32_t i = 0; i < N; i++) {
            rk_graph_edge_t edges[MOST];
            double heard[MOST];
            const uint32_t n_edges = rk_graph_row (graph, &(rk_graph_time_t){.step = step}, i, edges);
            for (uint32_t e = 0; e < n_edges; e++)
                heard[e] = weight[edges[e].peer];
            after[i] = rk_mix_weight (edges, n_edges, heard);
            sum += after[i];
            most = after[i] > most ? after[i] : most;
        }
        assert_true (fabs (sum - N) < 1e-9);
        memcpy (weight, after, sizeof weight);
        s_mix (graph, step, D, mass, next);
        memcpy (mass, next, sizeof mass);
        s_mix (graph, step, D, naive, next);
        memcpy (naive, next, sizeof naive);
    }
    assert_true (most > 1.2); /* it is not regular by accident */
    for (int i = 0; i < N; i++) {
        rk_mix_ratio (D, weight[i], mass + i * D, z);
        for (int k = 0; k < D; k++) {
            assert_true (fabs (z[k] - mean[k]) < 1e-5);
            worst_naive = fmax (worst_naive, fabs (naive[i * D + k] - mean[k]));
        }
    }
    assert_true (worst_naive > 1e-2);
    /* Local steps act on z and enter the mass. */
    float m[2] = {4, 6};
    rk_mix_push (2, 0.5f, (float[]){1, 1}, (float[]){3, 0}, m);
    assert_true (m[0] == 5 && m[1] == 5.5f);
    free (x);
    rk_graph_destroy (&graph);
}

/* ---- noise oracle: replicas that get nothing but noise spread as predicted, within 3 % (ada.md §9.4 no. 5) */
#define NOISE_N 12
#define NOISE_D 2000
#define NOISE_STEPS 500
#define NOISE_FROM 200

typedef struct {
    rk_graph_config_t config;
    float mu;
    double expected[2]; /* before, after mixing; of the specification */
    rk_graph_t *graph;
    float *x, *m, *next;
    double sums[2];
} s_run_t;

static double s_spread (const float *x)
{
    double sum = 0;
    for (int k = 0; k < NOISE_D; k++) {
        double mean = 0;
        for (int i = 0; i < NOISE_N; i++)
            mean += x[i * NOISE_D + k] / (double) NOISE_N;
        for (int i = 0; i < NOISE_N; i++)
            sum += (x[i * NOISE_D + k] - mean) * (x[i * NOISE_D + k] - mean);
    }
    return sum / ((double) NOISE_N * NOISE_D);
}

static void s_noisy_step (s_run_t *run, uint64_t step, const float *g)
{
    for (int e = 0; e < NOISE_N * NOISE_D; e++) {
        run->m[e] = run->mu * run->m[e] + g[e];
        run->x[e] -= run->m[e];
    }
    s_mix (run->graph, step, NOISE_D, run->x, run->next);
    if (step >= NOISE_FROM && step % 5 == 0) {
        run->sums[0] += s_spread (run->x) * 5 / (NOISE_STEPS - NOISE_FROM);
        run->sums[1] += s_spread (run->next) * 5 / (NOISE_STEPS - NOISE_FROM);
    }
    float *last = run->x;
    run->x = run->next;
    run->next = last;
}

static void test_noise_oracle (void **state)
{
    (void) state;
    s_run_t runs[] = {
        {.config = {.name = "ring"}, .expected = {1.902, .985}},
        {.config = {.name = "ring"}, .mu = .9f, .expected = {61.7, 46.1}},
        {.config = {.name = "torus"}, .expected = {1.077, .161}},
        {.config = {.name = "torus"}, .mu = .9f, .expected = {9.71, 2.11}},
        {.config = {.name = "exponential"}, .expected = {1.066, .149}},
        {.config = {.name = "exponential"}, .mu = .9f, .expected = {8.04, 1.59}},
        {.config = {.name = "complete"}, .expected = {.917, 0}},
        {.config = {.name = "complete"}, .mu = .9f, .expected = {4.82, 0}},
        {.config = {.name = "one-peer-exponential"}, .mu = .9f},
        {.config = {.name = "mixed-radix", .group = 4}, .mu = .9f},
    };
    const size_t n_runs = sizeof runs / sizeof *runs;
    for (size_t r = 0; r < n_runs; r++) {
        runs[r].config.n = NOISE_N;
        runs[r].graph = s_graph (runs[r].config);
        runs[r].x = calloc (NOISE_N * NOISE_D, sizeof (float));
        runs[r].m = calloc (NOISE_N * NOISE_D, sizeof (float));
        runs[r].next = calloc (NOISE_N * NOISE_D, sizeof (float));
    }
    for (uint64_t step = 0; step < NOISE_STEPS; step++) {
        float *g = s_noise (NOISE_N * NOISE_D, 1000 + step);
        for (size_t r = 0; r < n_runs; r++)
            s_noisy_step (&runs[r], step, g);
        free (g);
    }
    for (size_t r = 0; r < n_runs; r++) {
        rk_walk_t *walk;
        double predicted[2];
        assert_int_equal (rk_walk_new (&walk, runs[r].graph, &(rk_graph_time_t){0}, 0, NULL), RK_OK);
        assert_int_equal (rk_walk_noise (walk, runs[r].mu, &predicted[0], &predicted[1], NULL), RK_OK);
        for (int after = 0; after < 2; after++) {
            if (fabs (runs[r].sums[after] - predicted[after]) > 0.03 * predicted[after] + 1e-9)
                fail_msg ("%s, momentum %g, %s mixing: %g, predicted %g", runs[r].config.name, (double) runs[r].mu,
                          after ? "after" : "before", runs[r].sums[after], predicted[after]);
            if (runs[r].expected[0] > 0)
                assert_true (fabs (runs[r].sums[after] - runs[r].expected[after]) <=
                             0.03 * runs[r].expected[after] + 1e-9);
        }
        rk_walk_destroy (&walk);
        rk_graph_destroy (&runs[r].graph);
        free (runs[r].x);
        free (runs[r].m);
        free (runs[r].next);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_rows_do_not_depend_on_pieces),       cmocka_unit_test (test_the_mean_is_kept),
        cmocka_unit_test (test_a_mean_is_divided),                  cmocka_unit_test (test_orders_under_noise),
        cmocka_unit_test (test_tracking_has_no_bias),               cmocka_unit_test (test_tracking_keeps_the_sum),
        cmocka_unit_test (test_quasi_global_momentum_adds_no_bias), cmocka_unit_test (test_push_sum),
        cmocka_unit_test (test_noise_oracle),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
