/* SPDX-License-Identifier: MPL-2.0
 * Cells of a benchmark: their keys, what they refuse, the learning-rate rules, the closed loop, what they tell. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stack/cell.h"
#include "compute/blas.h"

static rk_data_t *s_data;

static int s_open (void **state)
{
    return rk_blas_init ("auto", NULL) || rk_data_open (&s_data, "synthetic-digits", NULL, NULL);
}

static int s_close (void **state)
{
    rk_data_close (&s_data);
    return 0;
}

static void s_set (rk_cell_t *cell, const char *key, const char *value)
{
    rk_error_t err = {0};
    if (rk_cell_set (cell, key, value, &err))
        fail_msg ("%s", err.text);
}

/* Pairs of key and value, then NULL. */
static rk_cell_t s_cell (const char *const *pairs)
{
    rk_cell_t cell;
    rk_cell_default (&cell);
    s_set (&cell, "model.name", "mlp-tiny");
    s_set (&cell, "train.schedule", "constant");
    s_set (&cell, "train.batch", "4");
    for (; *pairs; pairs += 2)
        s_set (&cell, pairs[0], pairs[1]);
    return cell;
}
#define CELL(...) s_cell ((const char *const[]){__VA_ARGS__, NULL})

/* ---- what was told */
typedef struct {
    double lr, steps, square_last, gini_least;
    size_t n_probes, n_passes, n_spans;
    uint32_t degree_most, degree_last;
    rk_cell_pass_t pass;
    size_t stop_after; /* asked so often: 0 never */
    size_t n_asked;
} told_t;

static void s_on_begin (void *arg, const rk_cell_begin_t *begin)
{
    told_t *told = arg;
    told->lr = (double) begin->lr;
    told->steps = (double) begin->steps;
    told->gini_least = INFINITY;
}

static void s_on_probe (void *arg, const rk_cell_probe_t *probe)
{
    told_t *told = arg;
    told->n_probes++;
    told->square_last = probe->square_before[0];
    told->gini_least = fmin (told->gini_least, probe->before[RK_CELL_GINI][0]);
    told->degree_most = probe->degree > told->degree_most ? probe->degree : told->degree_most;
    told->degree_last = probe->degree;
}

static void s_on_span (void *arg, const rk_cell_span_t *span)
{
    ((told_t *) arg)->n_spans++;
}

static void s_on_pass (void *arg, const rk_cell_pass_t *pass)
{
    told_t *told = arg;
    told->n_passes++;
    told->pass = *pass;
}

static bool s_on_stop (void *arg)
{
    told_t *told = arg;
    return ++told->n_asked == told->stop_after;
}

static told_t s_run (const rk_cell_t *cell, rk_err_t want, size_t stop_after)
{
    told_t told = {.stop_after = stop_after};
    const rk_cell_sink_t sink = {&told, s_on_begin, s_on_probe, s_on_span, s_on_pass, s_on_stop};
    rk_cell_end_t end;
    rk_error_t err = {0};
    const rk_err_t code = rk_cell_run (cell, s_data, NULL, &sink, &end, &err);
    if (code != want)
        fail_msg ("%d: %s", code, err.text);
    return told;
}

/* ---- tests */
static void keys_have_allowed_defaults (void **state)
{
    rk_settings_key_t key;
    rk_cell_t cell, plain;
    char one[1 << 14], other[1 << 14];
    rk_cell_default (&cell);
    plain = cell;
    for (size_t i = 0; rk_cell_key (i, &key); i++)
        s_set (&cell, key.key, key.fallback);
    assert_true (rk_cell_write (&cell, one, sizeof one) < sizeof one);
    rk_cell_write (&plain, other, sizeof other);
    assert_string_equal (one, other);
    s_set (&cell, "average.gamma", "0.25");
    rk_cell_write (&cell, one, sizeof one);
    assert_string_not_equal (one, other); /* every key is part of a cell's identity */
    assert_non_null (strstr (one, "average.gamma = 0.25\n"));
    /* where the results go and how many threads there are is not */
    s_set (&plain, "run.dir", "elsewhere");
    s_set (&plain, "run.threads", "7");
    rk_cell_write (&plain, one, sizeof one);
    assert_string_equal (one, other);
}

static void wrong_keys_are_refused (void **state)
{
    const struct {
        const char *key, *value;
        rk_err_t code;
        const char *word;
    } wrong[] = {{"dbench.replicas", "0", RK_EINVAL, "1 <= N <= 65536"}, {"dbench.replicas", "2.5", RK_EINVAL, "2.5"},
                 {"dbench.replica", "8", RK_ENOTFOUND, "dbench.replicas"}, {"average.order", "acw", RK_EINVAL, "awc"},
                 {"dbench.label", "a b", RK_EINVAL, "letters"},          {"train.lr", "fast", RK_EINVAL, "train.lr"},
                 {"fleet.node", "a 1 1", RK_ENOTFOUND, "no key"},        {"dbench.centralised", "yes", RK_EINVAL, "on | off"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rk_cell_t cell, before;
        rk_error_t err = {0};
        rk_cell_default (&cell);
        before = cell;
        assert_int_equal (rk_cell_set (&cell, wrong[i].key, wrong[i].value, &err), wrong[i].code);
        assert_non_null (strstr (err.text, wrong[i].word));
        assert_memory_equal (&cell, &before, sizeof cell);
    }
}

static void s_refused (rk_cell_t cell, const char *word)
{
    rk_error_t err = {0};
    assert_true (rk_cell_check (&cell, &err) != RK_OK);
    if (!strstr (err.text, word))
        fail_msg ("%s", err.text);
}

static void wrong_cells_are_refused (void **state)
{
    rk_cell_t good = CELL ("average.graph", "ring");
    assert_int_equal (rk_cell_check (&good, NULL), RK_OK);
    s_refused (CELL ("average.graph", "rings"), "ring");
    s_refused (CELL ("average.graph", "hypercube", "dbench.replicas", "12"), "12");
    s_refused (CELL ("average.graph", "directed"), "doubly stochastic");
    s_refused (CELL ("average.graph", "ring", "average.push_sum", "on"), "directed");
    s_refused (CELL ("average.graph", "ring", "average.tracking", "on", "train.momentum", "0.9"), "without momentum");
    s_refused (CELL ("average.graph", "ring", "average.momentum", "quasi-global", "train.momentum", "0"), "momentum");
    s_refused (CELL ("average.graph", "ring", "average.momentum", "quasi-global", "train.momentum", "0.9", "average.order", "awc"), "atc");
    s_refused (CELL ("dbench.centralised", "on", "average.tracking", "on", "train.momentum", "0"), "centralised");
    s_refused (CELL ("model.name", "mlp-tinny"), "mlp-tiny");
    s_refused (CELL ("average.graph", "ada", "average.k0", "4", "average.gamma", "-2"), "average.degree");
    s_refused (CELL ("average.graph", "ring", "average.control", "on"), "ring");
    s_refused (CELL ("average.graph", "ada", "average.control", "on", "dbench.probe_every", "0"), "probe_every");
}

static void labels_name_what_differs (void **state)
{
    char text[64];
    rk_cell_t cell = CELL ("average.graph", "ada", "average.k0", "8", "average.gamma", "0.5");
    assert_string_equal (rk_cell_label (&cell, text), "D_ada k0=8 gamma=0.5");
    cell = CELL ("average.graph", "complete", "dbench.centralised", "on");
    assert_string_equal (rk_cell_label (&cell, text), "C_complete");
    s_set (&cell, "dbench.label", "mine");
    assert_string_equal (rk_cell_label (&cell, text), "mine");
}

static void learning_rates_follow_the_rule (void **state)
{
    const struct {
        const char *rule, *graph;
        double factor;
    } known[] = {{"none", "ring", 1},      {"linear", "ring", 8 * 4 / 16.0}, {"sqrt", "ring", sqrt (8 * 4 / 16.0)},
                 {"graph", "ring", 3 * 4 / 16.0}, {"graph", "complete", 8 * 4 / 16.0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const rk_cell_t cell = CELL ("average.graph", known[i].graph, "dbench.lr_rule", known[i].rule, "dbench.lr_batch", "16",
                                     "dbench.replicas", "8", "train.lr", "0.01", "dbench.steps", "2", "run.passes", "1");
        const told_t told = s_run (&cell, RK_OK, 0);
        assert_true (fabs (told.lr / (0.01 * known[i].factor) - 1) < 1e-6);
    }
}

static void everything_is_told (void **state)
{
    const rk_cell_t cell = CELL ("average.graph", "ada", "average.k0", "6", "average.gamma", "2", "dbench.steps", "10", "run.passes",
                                 "3", "dbench.probe_every", "5", "dbench.replicas", "9");
    const told_t told = s_run (&cell, RK_OK, 0);
    assert_true (told.steps == 30);
    assert_int_equal (told.n_probes, 6);
    assert_int_equal (told.n_passes, 3);
    assert_int_equal (told.n_spans, 12 * 8);
    assert_int_equal (told.degree_most, 6);
    assert_int_equal (told.degree_last, 2);
    assert_true (told.gini_least > 0 && told.square_last > 0);
    assert_true (told.pass.accuracy_least <= told.pass.accuracy && told.pass.accuracy <= told.pass.accuracy_most);
    /* 10 steps each with 6, 4 and 2 messages of the model, by every replica */
    rk_cell_need_t need;
    assert_int_equal (rk_cell_predict (&cell, s_data, 1, &need, NULL), RK_OK);
    assert_int_equal (told.pass.time.messages, 9 * 10 * (6 + 4 + 2));
    assert_int_equal (told.pass.sent_bytes % (10 * (6 + 4 + 2)), 0);
    assert_true (need.bytes > 0 && need.flops > 0);
    /* asked to stop, it stops */
    const told_t stopped = s_run (&cell, RK_ECANCELED, 7);
    assert_int_equal (stopped.n_asked, 7);
    assert_int_equal (stopped.n_passes, 0);
}

static void a_final_merge_ends_disagreement (void **state)
{
    for (int merge = 0; merge < 2; merge++) {
        const rk_cell_t cell = CELL ("average.graph", "ring", "dbench.steps", "10", "run.passes", "1", "dbench.final_merge", merge ? "on" : "off");
        const told_t told = s_run (&cell, RK_OK, 0);
        assert_true (merge ? told.pass.square == 0 : told.pass.square > 0);
    }
}

/* Noise shrinks with the learning rate, so the closed loop sheds connections; with a rate that stays it may not shed
 * all of them.                                                                                            */
static void the_closed_loop_sheds_connections (void **state)
{
    rk_cell_t cell = CELL ("model.name", "quadratic", "average.graph", "ada", "average.k0", "14", "average.degree", "14", "average.control",
                           "on", "average.control_settle", "5", "dbench.replicas", "16", "run.passes", "2", "train.lr", "0.1",
                           "train.momentum", "0", "dbench.dimension", "200", "dbench.curvature", "0.1");
    s_set (&cell, "train.schedule", "cosine");
    const told_t closed = s_run (&cell, RK_OK, 0);
    assert_int_equal (closed.degree_most, 14);
    assert_true (closed.degree_last < 14 && closed.degree_last >= 2);
    s_set (&cell, "average.control", "off");
    const told_t open = s_run (&cell, RK_OK, 0);
    assert_int_equal (open.degree_last, 14);
    assert_true (closed.pass.sent_bytes < open.pass.sent_bytes);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (keys_have_allowed_defaults),     cmocka_unit_test (wrong_keys_are_refused),
        cmocka_unit_test (wrong_cells_are_refused),        cmocka_unit_test (labels_name_what_differs),
        cmocka_unit_test (learning_rates_follow_the_rule), cmocka_unit_test (everything_is_told),
        cmocka_unit_test (a_final_merge_ends_disagreement), cmocka_unit_test (the_closed_loop_sheds_connections),
    };
    return cmocka_run_group_tests_name ("cluster/cell", tests, s_open, s_close);
}
