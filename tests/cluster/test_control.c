/* SPDX-License-Identifier: MPL-2.0
 * The closed loop, on replicas that really mix noise; records, ladders and what a replica sees by itself.    */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/control.h"
#include "compute/rng.h"

#define N 32
#define D 32

/* ---- a plant: N replicas of D parameters that get noise, keep momentum and mix */
typedef struct {
    rk_graph_t *graph;
    double x[N][D], m[N][D], mu, noise;
    uint64_t step;
    double distance, proxy; /* before mixing: roots of means over replicas */
} s_plant_t;

static void s_plant_step (s_plant_t *p, double lr, uint32_t control)
{
    static double next[N][D];
    static float g[N * D];
    rk_rng_normal (11, rk_rng_stream (RK_RNG_TEST, p->step), 0, N * D, 0, (float) p->noise, g);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++) {
            p->m[i][k] = p->mu * p->m[i][k] + g[i * D + k];
            p->x[i][k] -= lr * p->m[i][k];
        }
    double apart = 0, moved = 0;
    const rk_graph_time_t at = {.step = p->step, .control = control};
    for (int k = 0; k < D; k++) {
        double mean = 0;
        for (int i = 0; i < N; i++)
            mean += p->x[i][k] / N;
        for (int i = 0; i < N; i++)
            apart += (p->x[i][k] - mean) * (p->x[i][k] - mean) / N;
    }
    for (uint32_t i = 0; i < N; i++) {
        rk_graph_edge_t edges[N];
        const uint32_t n_edges = rk_graph_row (p->graph, &at, i, edges);
        for (int k = 0; k < D; k++) {
            next[i][k] = 0;
            for (uint32_t e = 0; e < n_edges; e++)
                next[i][k] += p->x[edges[e].peer][k] / n_edges;
            moved += (next[i][k] - p->x[i][k]) * (next[i][k] - p->x[i][k]) / N;
        }
    }
    memcpy (p->x, next, sizeof next);
    p->distance = sqrt (apart);
    p->proxy = sqrt (moved);
    p->step++;
}

static const rk_graph_config_t s_lattice = {.name = "ada", .n = N, .k0 = N - 1};

static s_plant_t *s_plant_new (const rk_graph_config_t *graph, double mu)
{
    s_plant_t *p = calloc (1, sizeof *p);
    p->mu = mu;
    p->noise = 1;
    assert_int_equal (rk_graph_new (&p->graph, graph, NULL), RK_OK);
    return p;
}

static void s_plant_destroy (s_plant_t *p)
{
    rk_graph_destroy (&p->graph);
    free (p);
}

/* ---- a loop around it. The plant knows the log only. */
typedef struct {
    rk_control_t control;
    rk_control_record_t log[256];
    size_t n_log;
    bool by_proxy;
} s_loop_t;

static void s_loop_init (s_loop_t *loop, const rk_graph_config_t *graph, double lr_peak, bool by_proxy)
{
    uint32_t values[RK_CONTROL_LADDER], n_values;
    double sight[RK_CONTROL_LADDER];
    rk_error_t err = {0};
    memset (loop, 0, sizeof *loop);
    assert_int_equal (rk_control_ladder (graph, values, &n_values, NULL), RK_OK);
    if (by_proxy && rk_control_sight (graph, values, n_values, 0.9, sight, &err))
        fail_msg ("%s", err.text);
    const rk_control_config_t config = {
        .values = values, .n_values = n_values, .lr_peak = lr_peak, .sight = by_proxy ? sight : NULL};
    assert_int_equal (rk_control_init (&loop->control, &config, NULL), RK_OK);
    loop->log[loop->n_log++] = (rk_control_record_t){0, values[n_values - 1]};
    loop->by_proxy = by_proxy;
}

static uint32_t s_loop_step (s_loop_t *loop, s_plant_t *plant, double lr)
{
    const uint64_t round = plant->step;
    const uint32_t value = rk_control_at (loop->log, loop->n_log, round);
    s_plant_step (plant, lr, value);
    rk_control_record_t record;
    if (rk_control_observe (&loop->control, round, loop->by_proxy ? plant->proxy : plant->distance, lr, &record)) {
        assert_true (record.round == round + 2);
        assert_true (loop->n_log < 256 && record.round > loop->log[loop->n_log - 1].round);
        loop->log[loop->n_log++] = record;
    }
    return value;
}

/* At a constant rate and noise it sheds until the distance is what is allowed, then leaves the graph alone. */
static void test_settles_without_hunting (void **state)
{
    (void) state;
    for (int by_proxy = 0; by_proxy < 2; by_proxy++) {
        s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
        s_loop_t loop;
        s_loop_init (&loop, &s_lattice, 0.1, by_proxy);
        uint32_t value = 0;
        double square = 0;
        for (int round = 0; round < 6000; round++) {
            value = s_loop_step (&loop, plant, 0.1);
            square += round >= 4000 ? plant->distance * plant->distance / 2000 : 0;
        }
        /* Down the ladder, and back up at most once: a value that was too sparse is not tried again. */
        assert_in_range (loop.n_log, 4, loop.control.config.n_values + 2);
        assert_true (value > 2 && value < N - 1);
        const double over = sqrt (square) / rk_control_target (&loop.control, 0.1);
        assert_true (over < 1.25 && over > 0.4);
        s_plant_destroy (plant);
    }
}

/* Where no value fits, the sparse one is tried once and given up, until the rate promises that it will do. */
static void test_does_not_hunt_on_a_coarse_ladder (void **state)
{
    (void) state;
    const uint32_t values[] = {2, N - 1};
    s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
    s_loop_t loop = {.n_log = 1, .log = {{0, N - 1}}};
    const rk_control_config_t config = {.values = values, .n_values = 2, .lr_peak = 0.1};
    assert_int_equal (rk_control_init (&loop.control, &config, NULL), RK_OK);
    for (int round = 0; round < 3000; round++)
        s_loop_step (&loop, plant, 0.1);
    assert_int_equal (loop.n_log, 3);
    assert_true (loop.log[1].value == 2 && loop.log[2].value == N - 1);
    for (int round = 0; round < 1000; round++)
        s_loop_step (&loop, plant, 0.1 / 400);
    assert_true (loop.n_log == 4 && loop.log[3].value == 2);
    s_plant_destroy (plant);
}

/* Replicas that drift apart are tied together again; calm ones are let go. */
static void test_follows_noise (void **state)
{
    (void) state;
    s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
    s_loop_t loop;
    s_loop_init (&loop, &s_lattice, 0.1, false);
    uint32_t usual = 0, loud = 0;
    for (int round = 0; round < 1500; round++)
        usual = s_loop_step (&loop, plant, 0.1);
    plant->noise = 1.7;
    for (int round = 0; round < 1500; round++)
        loud = s_loop_step (&loop, plant, 0.1);
    assert_true (loud > usual);
    s_plant_destroy (plant);
}

/* As the rate falls, connections go; nothing but the rate changed. With power 1 nothing would. */
static void test_sheds_as_the_rate_falls (void **state)
{
    (void) state;
    uint32_t last[2], n_more[2] = {0};
    for (int proportional = 0; proportional < 2; proportional++) {
        s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
        s_loop_t loop;
        s_loop_init (&loop, &s_lattice, 0.1, false);
        loop.control.config.power = proportional ? 1 : 0.5;
        uint32_t settled = 0;
        for (int round = 0; round < 6000; round++) {
            const double lr = round < 1500 ? 0.1 : 0.1 * exp (-(round - 1500) / 900.0);
            const uint32_t value = s_loop_step (&loop, plant, lr);
            settled = round == 1500 ? value : settled;
            n_more[proportional] += round > 1500 && value > settled;
            last[proportional] = value;
        }
        if (proportional)
            assert_true (last[1] >= settled);
        s_plant_destroy (plant);
    }
    assert_int_equal (last[0], 2);
    assert_int_equal (n_more[0], 0);
    assert_true (last[1] > 2);
}

/* Two replicas that read the log late or early agree on every round; the same observations give the same log. */
static void test_same_observations_same_records (void **state)
{
    (void) state;
    s_loop_t loops[2];
    for (int turn = 0; turn < 2; turn++) {
        s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
        s_loop_init (&loops[turn], &s_lattice, 0.1, false);
        for (int round = 0; round < 2000; round++)
            s_loop_step (&loops[turn], plant, 0.1 / (1 + round / 300));
        s_plant_destroy (plant);
    }
    assert_true (loops[0].n_log > 4 && loops[0].n_log == loops[1].n_log);
    char text[4096], again[4096];
    const size_t size = rk_control_write (loops[0].log, loops[0].n_log, text, sizeof text);
    assert_true (size < sizeof text && size == rk_control_write (loops[1].log, loops[1].n_log, again, sizeof again));
    assert_string_equal (text, again);
    rk_control_record_t read[256];
    size_t n_read;
    assert_int_equal (rk_control_read (text, size, read, 256, &n_read, NULL), RK_OK);
    assert_int_equal (n_read, loops[0].n_log);
    for (uint64_t round = 0; round < 2100; round++) {
        /* who has only the records up to two rounds ahead knows as much */
        size_t known = 0;
        while (known < n_read && read[known].round <= round + 2)
            known++;
        assert_int_equal (rk_control_at (read, known, round), rk_control_at (loops[0].log, loops[0].n_log, round));
    }
}

static void test_records (void **state)
{
    (void) state;
    const rk_control_record_t records[] = {{0, 9}, {5, 4}, {6, 2}};
    assert_int_equal (rk_control_at (records, 3, 0), 9);
    assert_int_equal (rk_control_at (records, 3, 4), 9);
    assert_int_equal (rk_control_at (records, 3, 5), 4);
    assert_int_equal (rk_control_at (records, 3, 1000000), 2);
    assert_int_equal (rk_control_at (records + 1, 2, 4), 0);
    assert_int_equal (rk_control_at (NULL, 0, 4), 0);
    const struct {
        const char *text, *word;
    } bad[] = {{"1 2\n1 3\n", "line 2"},
               {"5 1\n4 1", "behind 5"},
               {"1", "line 1"},
               {"1 0", "above 0"},
               {"1 2 3", "line 1"},
               {"-1 2", "line 1"},
               {"1 99999999999", "line 1"},
               {"x", "line 1"},
               {"99999999999999999999 1", "line 1"},
               {"1 1\n2 1\n3 1\n4 1\n5 1", "more than 4"},
               {"1                                                                          2", "too long"}};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        rk_control_record_t read[4];
        size_t n_read;
        rk_error_t err = {0};
        assert_int_equal (rk_control_read (bad[b].text, strlen (bad[b].text), read, 4, &n_read, &err), RK_EFORMAT);
        if (!strstr (err.text, bad[b].word))
            fail_msg ("\"%s\": \"%s\"", bad[b].text, err.text);
    }
    rk_control_record_t read[4];
    size_t n_read;
    assert_int_equal (rk_control_read ("1 2\0 3", 6, read, 4, &n_read, NULL), RK_EFORMAT);
    assert_int_equal (rk_control_read ("\n 7\t8 \r\n\n", 9, read, 4, &n_read, NULL), RK_OK);
    assert_true (n_read == 1 && read[0].round == 7 && read[0].value == 8);
}

static void test_ladders (void **state)
{
    (void) state;
    uint32_t values[RK_CONTROL_LADDER], n_values;
    rk_graph_config_t config = {.name = "ada", .n = 96, .k0 = 10, .degree = 40};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, NULL), RK_OK);
    const uint32_t degrees[] = {2, 4, 6, 8, 12, 18, 26, 38, 40};
    assert_int_equal (n_values, sizeof degrees / sizeof *degrees);
    assert_memory_equal (values, degrees, sizeof degrees);
    config = (rk_graph_config_t){.name = "ada-spread", .n = 12, .k0 = 11, .k_min = 4};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, NULL), RK_OK);
    assert_true (values[0] == 4 && values[n_values - 1] == 11);
    config = (rk_graph_config_t){.name = "mixed-radix", .n = 96, .degree = 95};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, NULL), RK_OK);
    assert_true (values[0] == 3 && values[n_values - 1] == 96);
    for (uint32_t v = 1; v < n_values; v++)
        assert_true (values[v] > values[v - 1]);
    rk_error_t err = {0};
    /* 96 is the exact mean, at every step; so is 11 of 12. */
    const uint32_t n_all = n_values;
    assert_int_equal (rk_control_sparse_only (&config, values, &n_values, NULL), RK_OK);
    assert_true (n_values == n_all - 1 && values[n_values - 1] == 48);
    config = (rk_graph_config_t){.name = "ada", .n = 12, .k0 = 11};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, NULL), RK_OK);
    assert_int_equal (rk_control_sparse_only (&config, values, &n_values, NULL), RK_OK);
    assert_true (values[0] == 2 && values[n_values - 1] < 11);
    config = (rk_graph_config_t){.name = "ada", .n = 4};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, NULL), RK_OK);
    assert_int_equal (rk_control_sparse_only (&config, values, &n_values, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "fewer than two"));
    config = (rk_graph_config_t){.name = "ring", .n = 96};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "ada, ada-spread or mixed-radix"));
    config = (rk_graph_config_t){.name = "ada", .n = 3};
    assert_int_equal (rk_control_ladder (&config, values, &n_values, &err), RK_EINVAL);
}

/* What a replica sees by itself, times its sight, is the true distance; without, it can be far off. */
static void test_sight (void **state)
{
    (void) state;
    const uint32_t values[] = {2, 4, 8, 16, N - 1};
    double sight[5];
    assert_int_equal (rk_control_sight (&s_lattice, values, 5, 0.9, sight, NULL), RK_OK);
    assert_true (sight[0] > 4 && fabs (sight[4] - 1) < 1e-9);
    for (int v = 0; v < 5; v++) {
        s_plant_t *plant = s_plant_new (&s_lattice, 0.9);
        double distance = 0, proxy = 0;
        for (int step = 0; step < 3000; step++) {
            s_plant_step (plant, 0.1, values[v]);
            distance += step > 600 ? plant->distance * plant->distance : 0;
            proxy += step > 600 ? plant->proxy * plant->proxy : 0;
        }
        const double ratio = sqrt (proxy / distance) * sight[v];
        if (fabs (ratio - 1) > 0.05)
            fail_msg ("degree %u: seen times sight is %g of the distance", values[v], ratio);
        s_plant_destroy (plant);
    }
}

static void test_bad_input (void **state)
{
    (void) state;
    rk_control_t control;
    const uint32_t values[] = {2, 4};
    assert_int_equal (
        rk_control_init (&control, &(rk_control_config_t){.values = values, .n_values = 0, .lr_peak = 1}, NULL),
        RK_EINVAL);
    assert_int_equal (rk_control_init (&control, &(rk_control_config_t){.values = values, .n_values = 2}, NULL),
                      RK_EINVAL);
    assert_int_equal (
        rk_control_init (&control, &(rk_control_config_t){.values = values, .n_values = 2, .lr_peak = 1, .raise = 0.5},
                         NULL),
        RK_EINVAL);
    assert_int_equal (
        rk_control_init (&control, &(rk_control_config_t){.values = values, .n_values = 2, .lr_peak = 1}, NULL), RK_OK);
    rk_control_record_t record;
    for (uint64_t round = 0; round < 100; round++) { /* nothing that is not finite counts */
        const double wrong[] = {NAN, INFINITY, -1};
        assert_false (rk_control_observe (&control, round, wrong[round % 3], 0.1, &record));
        assert_false (rk_control_observe (&control, round, 1, 0, &record));
    }
    assert_true (control.n_observed == 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_settles_without_hunting),
        cmocka_unit_test (test_does_not_hunt_on_a_coarse_ladder), cmocka_unit_test (test_follows_noise),
        cmocka_unit_test (test_sheds_as_the_rate_falls), cmocka_unit_test (test_same_observations_same_records),
        cmocka_unit_test (test_records),                 cmocka_unit_test (test_ladders),
        cmocka_unit_test (test_sight),                   cmocka_unit_test (test_bad_input),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
