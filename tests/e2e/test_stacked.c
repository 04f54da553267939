/* SPDX-License-Identifier: MPL-2.0
 * Whole trainings of actors against stacked replicas (cluster/stack): the same graph, schedule, shards and orders give
 * the same bits, over any transport. What is compared is the mean of all replicas at the end of the last pass, formed
 * here from the rows in ring order, as the reducers form it.                                                */
#include "tests/support/rig.h"

#include "cluster/exchange.h"
#include "cluster/mix.h"
#include "cluster/ring.h"
#include "cluster/stack/stack_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static rk_model_t *s_model;

typedef struct {
    const char *graph, *transport, *shard;
    uint32_t n, every;
    bool quasi_global, tracking, state, push;
    double k0, gamma;
    int wrong; /* the stack is made to err: 1 another seed, 2 another graph */
} case_t;

static rig_config_t s_config (const case_t *c)
{
    rig_config_t config = {.model = s_model, .data = rig_data (), .n_clusters = c->n, .transport = c->transport ? c->transport : "inproc"};
    for (uint32_t i = 0; i < c->n; i++)
        config.counts[i] = 1;
    rig_settings (&config.settings);
    rk_settings_t *s = &config.settings;
    s->train_batch = 32;
    s->run_passes = 2;
    s->average_every = c->every ? c->every : 1;
    s->average_weights = RK_WEIGHTS_EQUAL;
    s->average_momentum = c->quasi_global ? RK_MOMENTUM_QUASI_GLOBAL : RK_MOMENTUM_LOCAL;
    s->average_tracking = c->tracking;
    s->average_optimizer_state = c->state;
    s->average_push_sum = c->push;
    s->average_k0 = c->k0 > 0 ? c->k0 : s->average_k0;
    s->average_gamma = c->k0 > 0 ? c->gamma : s->average_gamma;
    s->train_momentum = c->tracking ? 0 : 0.9;
    snprintf (s->average_graph, sizeof s->average_graph, "%s", c->graph);
    snprintf (s->data_shard, sizeof s->data_shard, "%s", c->shard ? c->shard : "leased");
    return config;
}

/* What every replica hands to the last merge: its rows, with tracking x - y, with push-sum the masses. */
static float *s_before_merge (rk_stack_t *stack)
{
    const size_t d = stack->d, floats = stack->n_rows * d;
    float *rows = malloc (floats * sizeof *rows);
    memcpy (rows, stack->x, floats * sizeof *rows);
    rk_stack_orders_t *o = &stack->orders;
    if (o->y) {
        float *y = malloc (floats * sizeof *y), *change = malloc (floats * sizeof *change);
        memcpy (y, o->y, floats * sizeof *y);
        memcpy (change, o->change, floats * sizeof *change);
        rk_mix_track (floats, o->before, rows, y, change);
        free (y);
        free (change);
    }
    if (o->mass) {
        memcpy (rows, o->mass, floats * sizeof *rows);
        rk_mix_push (floats, 1, o->before, stack->x, rows);
    }
    return rows;
}

static void s_merge (const rk_plan_t *plan, const float *rows, float *mean)
{
    const uint32_t n = plan->n_clusters;
    for (uint32_t segment = 0; segment < plan->n_segments; segment++)
        for (uint32_t piece = 0; piece < n; piece++) {
            uint32_t first = 0;
            while (rk_ring_step (first, n, 0).send_piece != piece)
                first++;
            uint64_t lo, hi;
            rk_plan_piece (plan, segment, piece, &lo, &hi);
            for (uint64_t at = lo; at < hi; at++) {
                float sum = rows[first * plan->n_flat + at];
                for (uint32_t i = 1; i < n; i++)
                    sum += rows[(first + i) % n * plan->n_flat + at];
                mean[at] = sum / (float) n;
            }
        }
}

static float *s_stacked (const case_t *c, const rig_config_t *config, const rk_plan_t *plan)
{
    const rk_settings_t *s = &plan->settings;
    rk_error_t err = {0};
    rk_graph_t *graph = NULL;
    rk_stack_t *stack = NULL;
    rk_graph_config_t of = rk_exchange_config (plan);
    if (c->wrong == 2)
        of.name = "complete";
    assert_int_equal (rk_graph_new (&graph, &of, &err), RK_OK);
    const rk_stack_config_t stacked = {
        .model = "mlp-tiny", .data = config->data, .graph = graph, .n = c->n, .batch = s->train_batch, .seed = s->run_seed + (c->wrong == 1),
        .optimizer = "sgd", .optim = {.momentum = (float) s->train_momentum, .weight_decay = (float) s->train_weight_decay},
        .mix_state = c->state, .quasi_global = c->quasi_global, .tracking = c->tracking, .push_sum = c->push, .shard = c->shard,
        .alpha = s->data_alpha};
    if (rk_stack_new (&stack, &stacked, &err))
        fail_msg ("%s", err.text);
    const uint64_t per_pass = rk_stack_per_pass (stack), steps = per_pass * s->run_passes;
    assert_int_equal (per_pass * c->n, plan->minibatches_per_pass);
    float *mean = calloc (plan->n_flat, sizeof *mean);
    for (uint64_t t = 0; t < steps; t++) {
        assert_int_equal (rk_stack_local (stack, t, (float) s->train_lr, NULL, NULL, &err), RK_OK);
        if (t + 1 == steps) {
            float *rows = s_before_merge (stack);
            s_merge (plan, rows, mean);
            free (rows);
        }
        if ((t + 1) % s->average_every == 0)
            rk_stack_mix (stack, &(rk_graph_time_t){.step = t / s->average_every, .pass = t / per_pass});
    }
    rk_stack_destroy (&stack);
    rk_graph_destroy (&graph);
    return mean;
}

static bool s_equals (const case_t *c)
{
    rig_config_t config = s_config (c);
    rig_result_t result;
    rig_run (&config, &result);
    float *mean = s_stacked (c, &config, result.plan);
    const bool equal = memcmp (mean, result.mean[0], result.plan->n_flat * sizeof *mean) == 0;
    assert_true (result.unequal_rounds >= result.rounds / 2); /* replicas did differ on the way */
    free (mean);
    rig_clear (&result);
    return equal;
}

static void graphs_give_the_same_bits (void **state)
{
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4}));
    assert_true (s_equals (&(case_t){.graph = "lattice", .n = 8, .transport = "tcp"}));
    assert_true (s_equals (&(case_t){.graph = "ada", .n = 8, .k0 = 6, .gamma = 4, .transport = "ipc"}));
    assert_true (s_equals (&(case_t){.graph = "one-peer-exponential", .n = 4, .every = 2}));
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4, .state = true}));
}

static void shards_give_the_same_bits (void **state)
{
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4, .shard = "fixed"}));
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4, .shard = "dirichlet", .transport = "tcp"}));
}

static void momenta_and_tracking_give_the_same_bits (void **state)
{
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4, .quasi_global = true, .every = 2}));
    assert_true (s_equals (&(case_t){.graph = "ring", .n = 4, .tracking = true, .shard = "dirichlet"}));
    assert_true (s_equals (&(case_t){.graph = "lattice", .n = 8, .tracking = true, .every = 2, .transport = "tcp"}));
}

static void push_sum_gives_the_same_bits (void **state)
{
    assert_true (s_equals (&(case_t){.graph = "directed", .n = 4, .push = true}));
}

static void differences_are_seen (void **state)
{
    assert_false (s_equals (&(case_t){.graph = "ring", .n = 4, .wrong = 1}));
    assert_false (s_equals (&(case_t){.graph = "ring", .n = 4, .wrong = 2}));
}

static int s_open (void **state)
{
    const rk_data_t *data = rig_data ();
    return rk_model_by_name (&s_model, "mlp-tiny", rk_data_shape (data), rk_data_n_classes (data), NULL);
}

static int s_close (void **state)
{
    rk_model_destroy (&s_model);
    rig_data_close ();
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (graphs_give_the_same_bits),
        cmocka_unit_test (shards_give_the_same_bits),
        cmocka_unit_test (momenta_and_tracking_give_the_same_bits),
        cmocka_unit_test (push_sum_gives_the_same_bits),
        cmocka_unit_test (differences_are_seen),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
