/* SPDX-License-Identifier: MPL-2.0
 * Delayed, block-wise SGD in C clusters with periodic averaging, as a pipeline does it, against the bound
 *   (1/K) sum_k E |grad f (mean_k)|^2 <= 2 D / (g K) + L g s2 / C + g^2 L^2 G2 (8 H^2 + 2 T^2)
 * for steps g <= 1/L, an L-smooth f with f (w_0) - min f = D, gradient noise of variance s2, E |gradient|^2 <= G2,
 * a delay <= T that never spans an averaging, averaging every H minibatches, K minibatches per cluster.
 * f is a quadratic whose blocks (one per stage) depend on each other. The order of work of every stage, and with
 * it its delay, is rk_schedule_drained's; the mean is formed by rk_ring_step; the noise is compute/rng's.       */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "cluster/ring.h"
#include "cluster/schedule.h"
#include "compute/rng.h"

enum { DIM = 10, MOST_CLUSTERS = 8, MOST_STAGES = 4, MOST_WINDOW = 64, K = 4000, SEEDS = 3 };
#define L 1.0
#define S2 1.0 /* of a whole gradient */

typedef struct {
    uint32_t n_clusters, every, n_stages; /* C, H, T + 1 */
    uint32_t in_flight;                   /* 0: n_stages; more is a fault */
    double step;                          /* 0: sqrt (C / K) / L, what the theory asks for */
    bool drop_piece;                      /* fault: cluster 0 does not add what reaches it */
} setting_t;
#define S(c, h, stages) {.n_clusters = (c), .every = (h), .n_stages = (stages)}

typedef struct {
    double mean_square, bound; /* left and right side */
    uint32_t delay_max;        /* seen at stage 0 */
} outcome_t;

typedef struct { /* one cluster */
    double w[DIM];
    double seen[MOST_WINDOW + 1][DIM]; /* the mixed point of minibatch f, by f modulo: stage after stage its block */
    uint64_t n_forward[MOST_STAGES], n_backward[MOST_STAGES]; /* of this round */
    uint64_t updates_before[MOST_WINDOW + 1];                 /* of stage 0, at its forward of f */
} chain_t;

typedef struct {
    const setting_t *setting;
    uint64_t seed;
    double step;
    chain_t chains[MOST_CLUSTERS];
    double mean[K + 1][DIM]; /* of the clusters after k minibatches */
    uint32_t delay_max;
} world_t;

/* ---- f (w) = (w - best)' A (w - best) / 2, A = diag / 2 + u u' / 2 with |u| = 1: eigenvalues in (0, L] */

static double s_best (int i)
{
    return i % 2 ? 1.5 : -1.0;
}

static void s_gradient (const double *w, double *g)
{
    double along = 0;
    for (int i = 0; i < DIM; i++)
        along += (w[i] - s_best (i)) / sqrt (DIM);
    for (int i = 0; i < DIM; i++)
        g[i] = L * (0.5 * (i + 1) / DIM * (w[i] - s_best (i)) + 0.5 * along / sqrt (DIM));
}

static double s_square (const double *w)
{
    double g[DIM], sum = 0;
    s_gradient (w, g);
    for (int i = 0; i < DIM; i++)
        sum += g[i] * g[i];
    return sum;
}

/* Start at 0. */
static double s_gap (void)
{
    const double zero[DIM] = {0};
    double g[DIM], sum = 0;
    s_gradient (zero, g);
    for (int i = 0; i < DIM; i++)
        sum -= g[i] * s_best (i) / 2;
    return sum;
}

/* ---- the pipeline of a cluster */

static int s_block (const world_t *world, uint32_t stage)
{
    return (int) (stage * DIM / world->setting->n_stages);
}

static void s_forward (world_t *world, chain_t *chain, uint32_t stage)
{
    const uint64_t slot = chain->n_forward[stage]++ % (MOST_WINDOW + 1);
    for (int i = s_block (world, stage); i < s_block (world, stage + 1); i++)
        chain->seen[slot][i] = chain->w[i];
    if (stage == 0)
        chain->updates_before[slot] = chain->n_backward[0];
}

/* w_s -= g (grad_s f (mixed point) + noise), noise by (seed, cluster, minibatch k of the run, coordinate). */
static void s_backward (world_t *world, uint32_t cluster, uint32_t stage, uint64_t first)
{
    chain_t *chain = &world->chains[cluster];
    const uint64_t slot = chain->n_backward[stage] % (MOST_WINDOW + 1), k = first + chain->n_backward[stage]++;
    double g[DIM];
    float noise[DIM];
    s_gradient (chain->seen[slot], g);
    rk_rng_normal (world->seed, rk_rng_stream (RK_RNG_TEST, k * MOST_CLUSTERS + cluster), 0, DIM, 0, (float) sqrt (S2 / DIM), noise);
    for (int i = s_block (world, stage); i < s_block (world, stage + 1); i++) {
        chain->w[i] -= world->step * (g[i] + (double) noise[i]);
        world->mean[k + 1][i] += chain->w[i] / world->setting->n_clusters;
    }
    const uint64_t delay = stage == 0 ? chain->n_backward[0] - 1 - chain->updates_before[slot] : 0;
    if (delay > world->delay_max)
        world->delay_max = (uint32_t) delay;
}

/* What the schedule says comes next, if its input is there. */
static bool s_act (world_t *world, uint32_t cluster, uint32_t s, uint64_t first)
{
    chain_t *chain = &world->chains[cluster];
    const setting_t *set = world->setting;
    const uint32_t window = set->in_flight ? set->in_flight : set->n_stages;
    switch (rk_schedule_drained (s, set->n_stages, window, set->every, chain->n_forward[s], chain->n_backward[s])) {
    case RK_ACT_FORWARD:
        if (s > 0 && chain->n_forward[s - 1] <= chain->n_forward[s])
            return false;
        s_forward (world, chain, s);
        return true;
    case RK_ACT_BACKWARD:
        if (s + 1 < set->n_stages && chain->n_backward[s + 1] <= chain->n_backward[s])
            return false;
        s_backward (world, cluster, s, first);
        return true;
    default:
        return false;
    }
}

static void s_train_round (world_t *world, uint64_t first)
{
    for (uint32_t c = 0; c < world->setting->n_clusters; c++) {
        chain_t *chain = &world->chains[c];
        memset (chain->n_forward, 0, sizeof chain->n_forward);
        memset (chain->n_backward, 0, sizeof chain->n_backward);
        for (bool moved = true; moved;) {
            moved = false;
            for (uint32_t s = 0; s < world->setting->n_stages; s++)
                moved = s_act (world, c, s, first) || moved;
        }
        assert_int_equal (chain->n_backward[0], world->setting->every);
    }
}

/* ---- averaging */

static void s_average (world_t *world)
{
    const uint32_t n = world->setting->n_clusters;
    for (uint32_t t = 0; n > 1 && t < rk_ring_n_steps (n); t++) {
        double sent[MOST_CLUSTERS][DIM];
        for (uint32_t c = 0; c < n; c++)
            memcpy (sent[c], world->chains[c].w, sizeof sent[c]);
        for (uint32_t c = 0; c < n; c++) {
            const rk_ring_step_t step = rk_ring_step (c, n, t);
            const double *received = sent[(c + n - 1) % n];
            const bool dropped = world->setting->drop_piece && c == 0;
            for (uint32_t i = step.receive_piece * DIM / n; i < (step.receive_piece + 1) * DIM / n; i++)
                world->chains[c].w[i] = (step.gather || dropped ? 0 : world->chains[c].w[i]) + received[i];
        }
    }
    for (uint32_t c = 0; c < n; c++)
        for (int i = 0; i < DIM; i++)
            world->chains[c].w[i] /= n;
}

/* ---- both sides of the bound */

static outcome_t s_run (const setting_t *setting, uint64_t seed)
{
    static world_t world;
    memset (&world, 0, sizeof world);
    world.setting = setting;
    world.seed = seed;
    world.step = setting->step > 0 ? setting->step : sqrt ((double) setting->n_clusters / K) / L;
    outcome_t out = {0};
    for (uint64_t first = 0; first < K; first += setting->every) {
        s_train_round (&world, first);
        s_average (&world);
    }
    for (int k = 0; k < K; k++)
        out.mean_square += s_square (world.mean[k]) / K;
    const double g = world.step, h = setting->every, t = setting->n_stages - 1;
    const double g2 = s_square (world.mean[0]) + S2; /* the way leads downhill: nowhere is it steeper than at the start */
    out.bound = 2 * s_gap () / (g * K) + L * g * S2 / setting->n_clusters + g * g * L * L * g2 * (8 * h * h + 2 * t * t);
    out.delay_max = world.delay_max;
    return out;
}

static outcome_t s_expected (const setting_t *setting)
{
    outcome_t sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const outcome_t one = s_run (setting, seed);
        sum.mean_square += one.mean_square / SEEDS;
        sum.bound = one.bound;
        sum.delay_max = one.delay_max > sum.delay_max ? one.delay_max : sum.delay_max;
    }
    print_message ("C %u, H %u, T %u, step %.3f: %.4g <= %.4g\n", setting->n_clusters, setting->every, setting->n_stages - 1,
                   setting->step > 0 ? setting->step : sqrt ((double) setting->n_clusters / K) / L, sum.mean_square, sum.bound);
    return sum;
}

static bool s_holds (const outcome_t *out)
{
    return out->mean_square <= out->bound; /* false for NaN */
}

/* ---- tests */

static void the_bound_holds (void **state)
{
    const setting_t settings[] = {S (1, 1, 1), S (4, 8, 3), S (8, 8, 4), S (2, 1, 2)};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const outcome_t out = s_expected (&settings[i]);
        assert_true (s_holds (&out));
        const uint32_t delay = rk_schedule_staleness (0, settings[i].n_stages, settings[i].n_stages);
        assert_int_equal (out.delay_max, delay < settings[i].every ? delay : settings[i].every - 1);
    }
}

/* The point of more clusters: at equal minibatches per cluster, less gradient is left. */
static void gradients_fall_with_clusters (void **state)
{
    double before = INFINITY;
    for (uint32_t n = 1; n <= MOST_CLUSTERS; n *= 2) {
        const setting_t setting = S (n, 8, 4);
        const outcome_t out = s_expected (&setting);
        assert_true (out.mean_square < before * 0.85);
        before = out.mean_square;
    }
}

static void faults_break_the_bound (void **state)
{
    const setting_t right = S (2, 1, 1), pieces = {.n_clusters = 2, .every = 1, .n_stages = 1, .drop_piece = true};
    const setting_t step = {.n_clusters = 4, .every = 8, .n_stages = 3, .step = 2.5 / L};
    const setting_t short_delay = {.n_clusters = 1, .every = 80, .n_stages = 4, .step = 0.25 / L};
    setting_t long_delay = short_delay;
    long_delay.in_flight = MOST_WINDOW;
    const outcome_t good[] = {s_expected (&right), s_expected (&short_delay)};
    const outcome_t bad[] = {s_expected (&pieces), s_expected (&step), s_expected (&long_delay)};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true (s_holds (&good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false (s_holds (&bad[i]));
    assert_true (bad[2].delay_max > short_delay.n_stages - 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_bound_holds),
        cmocka_unit_test (gradients_fall_with_clusters),
        cmocka_unit_test (faults_break_the_bound),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
