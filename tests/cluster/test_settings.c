/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/graph.h"
#include "cluster/settings_table.h"

/* Every key of the run file, so that dropping one is noticed. */
static const char *const s_keys[] = {
    "run.seed", "run.passes", "run.dir", "run.plan", "run.control", "run.threads", "run.precision", "model.name", "data.name", "data.path",
    "data.classes", "data.augment", "data.header", "data.label", "data.labels", "data.sequence", "data.vocabulary", "data.shard", "data.alpha",
    "train.batch", "train.optimizer", "train.lr", "train.momentum", "train.nesterov", "train.weight_decay",
    "train.beta1", "train.beta2", "train.epsilon", "train.trust", "train.exempt", "train.schedule", "train.warmup",
    "train.step_every", "train.step_gamma", "train.milestones", "train.lr_power", "train.lr_floor", "train.clip",
    "train.loss_scale", "train.loss_scale_every", "train.nonfinite", "pipeline.in_flight",
    "pipeline.update_every", "pipeline.recompute", "pipeline.wire", "average.every", "average.mode", "average.weights",
    "average.graph", "average.degree", "average.probability", "average.k0", "average.gamma", "average.k_min",
    "average.hold", "average.k_unit", "average.k_rounding", "average.group", "average.budget", "average.global_every",
    "average.exchange", "average.push_sum", "average.control", "average.control_ratio", "average.control_settle", "average.codec", "average.optimizer_state", "average.bn",
    "average.bn_batches", "average.order", "average.momentum", "average.tracking", "average.evaluate", "average.probe_every", "save.every", "save.seconds", "save.keep",
    "plan.rings", "plan.planner", "plan.manual", "plan.staleness", "plan.disagreement", "plan.replan", "fleet.node", "fleet.layout",
    "net.transport", "net.listen", "net.on_loss", "net.witness", "net.warm", "net.restarts", "net.restart_ms", "net.restart_forget"};

static rk_settings_t s_defaults (void)
{
    rk_settings_t s;
    rk_settings_default (&s);
    return s;
}

static void s_text_of (const rk_settings_t *s, const char *key, char *text, size_t size)
{
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t row;
        rk_settings_key (i, &row);
        if (strcmp (row.key, key) == 0) {
            assert_true (rk_settings_get (s, i, text, size) < size);
            return;
        }
    }
    fail_msg ("no key %s", key);
}

static void test_table_is_whole (void **state)
{
    (void) state;
    size_t n = sizeof s_keys / sizeof *s_keys;
    assert_int_equal (rk_settings_n_keys (), n);
    for (size_t i = 0; i < n; i++) {
        rk_settings_key_t row;
        rk_settings_key (i, &row);
        assert_string_equal (row.key, s_keys[i]);
        assert_non_null (row.kind);
        assert_non_null (row.allowed);
        assert_non_null (row.help);
        /* The default is a value the key allows, and it is what the default settings hold. */
        rk_settings_t s = s_defaults ();
        rk_error_t err = {0};
        if (rk_settings_set (&s, row.key, row.fallback, &err) != RK_OK)
            fail_msg ("%s", err.text);
        char text[512];
        s_text_of (&s, row.key, text, sizeof text);
        assert_string_equal (text, row.fallback);
    }
}

/* The words people are shown are the words the parser takes. */
static void test_allowed_words_are_taken (void **state)
{
    (void) state;
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t row;
        rk_settings_key (i, &row);
        if (strcmp (row.kind, "choice") != 0 && strcmp (row.kind, "switch") != 0)
            continue;
        char words[512], *rest = NULL;
        snprintf (words, sizeof words, "%s", row.allowed);
        for (char *word = strtok_r (words, " |", &rest); word; word = strtok_r (NULL, " |", &rest)) {
            rk_settings_t s = s_defaults ();
            assert_int_equal (rk_settings_set (&s, row.key, word, NULL), RK_OK);
        }
        rk_settings_t s = s_defaults ();
        assert_int_equal (rk_settings_set (&s, row.key, "nonsense", NULL), RK_EINVAL);
    }
}

static void test_main_job (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    assert_string_equal (s.model_name, "cnn");
    assert_string_equal (s.data_name, "fashion-mnist");
    assert_string_equal (s.train_optimizer, "sgd");
    assert_int_equal (s.train_batch, 64);
    assert_true (s.train_lr == 0.06 && s.train_momentum == 0.9);
    assert_string_equal (s.train_schedule, "cosine");
    assert_int_equal (s.average_every, 4);
    assert_int_equal (s.run_passes, 2);
    assert_int_equal (s.pipeline_in_flight, 0);
    assert_int_equal (s.pipeline_update_every, 1);
    assert_int_equal (s.average_mode, RK_AVERAGE_OVERLAPPED);
    assert_int_equal (rk_settings_weights (&s), RK_WEIGHTS_SAMPLES);
    assert_int_equal (rk_settings_bn (&s), RK_BN_ON);
    assert_true (rk_settings_replans (&s));
    s.average_mode = RK_AVERAGE_DRAINED; /* the clock would decide */
    assert_false (rk_settings_replans (&s));
    s.plan_replan = RK_REPLAN_ON;
    assert_true (rk_settings_replans (&s));
    s.average_mode = RK_AVERAGE_OVERLAPPED;
    s.plan_replan = RK_REPLAN_OFF;
    assert_false (rk_settings_replans (&s));
    s.plan_replan = RK_REPLAN_AUTO;
    assert_int_equal (s.n_fleet, 4);
    assert_true (s.fleet[0].speed == 1 && s.fleet[1].speed == 1 && s.fleet[2].speed == 0.5 && s.fleet[3].speed == 0.5);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_true (s.fleet[i].ram_mb != s.fleet[j].ram_mb);
    assert_int_equal (rk_settings_check (&s, NULL), RK_OK);
}

static void test_unknown_key_names_nearest (void **state)
{
    (void) state;
    static const char *const pairs[][2] = {{"train.btch", "train.batch"}, {"avergae.every", "average.every"},
                                           {"pipeline.inflight", "pipeline.in_flight"}, {"lr", "train.lr"},
                                           {"fleet.layot", "fleet.layout"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        rk_settings_t s = s_defaults ();
        rk_error_t err = {0};
        assert_int_equal (rk_settings_set (&s, pairs[i][0], "1", &err), RK_ENOTFOUND);
        if (!strstr (err.text, pairs[i][1]) || !strstr (err.text, pairs[i][0]))
            fail_msg ("%s -> %s", pairs[i][0], err.text);
    }
}

typedef struct {
    const char *key, *value;
    rk_err_t code;
    const char *named;
} s_case_t;

static void test_bad_values (void **state)
{
    (void) state;
    static const s_case_t cases[] = {
        {"train.batch", "0", RK_EINVAL, "1 <= N"},
        {"train.batch", "-1", RK_EINVAL, "train.batch"},
        {"train.batch", "64x", RK_EINVAL, "64x"},
        {"train.batch", "", RK_EINVAL, "allowed"},
        {"train.batch", "99999999999999999999999", RK_EINVAL, "allowed"},
        {"train.batch", "6.5", RK_EINVAL, "6.5"},
        {"train.lr", "nan", RK_EINVAL, "nan"},
        {"train.lr", "inf", RK_EINVAL, "inf"},
        {"train.lr", "-0.1", RK_EINVAL, "-0.1"},
        {"train.lr", "1e9", RK_EINVAL, "1000"},
        {"train.momentum", "1", RK_EINVAL, "0.999999"},
        {"train.nesterov", "yes", RK_EINVAL, "on | off"},
        {"train.optimizer", "adamx", RK_EINVAL, "sgd | adam | adamw | lamb | lars"},
        {"train.loss_scale", "0", RK_EINVAL, "dynamic"},
        {"train.nonfinite", "ignore", RK_EINVAL, "stop | skip"},
        {"train.milestones", "5,5", RK_EINVAL, "ascending"},
        {"train.milestones", "0", RK_EINVAL, "ascending"},
        {"train.milestones", "1,x", RK_EINVAL, "1,x"},
        {"train.milestones", "1,", RK_EINVAL, "1,"},
        {"train.milestones", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", RK_EINVAL, "at most 16"},
        {"average.every", "0", RK_EINVAL, "pass"},
        {"average.codec", "int8", RK_EUNSUPPORTED, "f32"},
        {"average.graph", "rign", RK_EINVAL, "all-reduce"},
        {"fleet.layout", "1,0", RK_EINVAL, "1,0"},
        {"fleet.layout", "1,x", RK_EINVAL, "1,x"},
        {"fleet.layout", "2,", RK_EINVAL, "2,"},
        {"fleet.layout", "", RK_EINVAL, "planned"},
        {"fleet.layout", "40,40", RK_EINVAL, "64"},
        {"fleet.node", "a 1", RK_EINVAL, "NAME SPEED RAM_MB"},
        {"fleet.node", "", RK_EINVAL, "NAME SPEED RAM_MB"},
        {"fleet.node", "a 1 10, , b 1 10", RK_EINVAL, "three words"},
        {"fleet.node", "a 0 10", RK_EINVAL, "speed"},
        {"fleet.node", "a 1.5 10", RK_EINVAL, "speed"},
        {"fleet.node", "a 1 -3", RK_EINVAL, "ram_mb"},
        {"fleet.node", "a 1 10, a 1 10", RK_EINVAL, "twice"},
        {"fleet.node", "a/b 1 10", RK_EINVAL, "a/b"},
        {"fleet.node", "a 1 10,", RK_EINVAL, "three words"},
        {"model.name", "../x", RK_EINVAL, "letters"},
        {"net.listen", "udp://x", RK_EINVAL, "tcp://"},
        {"net.transport", "udp", RK_EINVAL, "inproc"},
        {"run.dir", "a\nrun.seed = 3", RK_EINVAL, "control"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_settings_t s = s_defaults (), before = s;
        rk_error_t err = {0};
        rk_err_t code = rk_settings_set (&s, cases[i].key, cases[i].value, &err);
        if (code != cases[i].code || !strstr (err.text, cases[i].named) || !strstr (err.text, cases[i].key))
            fail_msg ("%s = %s: %d %s", cases[i].key, cases[i].value, code, err.text);
        assert_memory_equal (&s, &before, sizeof s);
    }
    char longest[RK_SETTINGS_TEXT + 1];
    memset (longest, 'x', sizeof longest);
    longest[RK_SETTINGS_TEXT] = 0;
    rk_settings_t s = s_defaults ();
    assert_int_equal (rk_settings_set (&s, "run.dir", longest, NULL), RK_EINVAL);
    longest[RK_SETTINGS_TEXT - 1] = 0;
    assert_int_equal (rk_settings_set (&s, "run.dir", longest, NULL), RK_OK);
}

static void test_fleet_and_layout (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    assert_int_equal (rk_settings_set (&s, "fleet.node", "big 1 2048", NULL), RK_OK);
    assert_int_equal (s.n_fleet, 1); /* the first one replaces the built-in fleet */
    assert_int_equal (rk_settings_set (&s, "fleet.node", "  small\t0.25 0  ", NULL), RK_OK);
    assert_int_equal (s.n_fleet, 2);
    assert_string_equal (s.fleet[1].name, "small");
    assert_true (s.fleet[1].speed == 0.25 && s.fleet[1].ram_mb == 0);
    assert_int_equal (rk_settings_set (&s, "fleet.node", "small 1 1", NULL), RK_EINVAL);
    assert_int_equal (rk_settings_set (&s, "fleet.node", "none", NULL), RK_OK);
    assert_int_equal (s.n_fleet, 0);
    for (int i = 0; i < RK_MAX_FLEET; i++) {
        char node[32];
        snprintf (node, sizeof node, "n%d 0.5 %d", i, i);
        assert_int_equal (rk_settings_set (&s, "fleet.node", node, NULL), RK_OK);
    }
    assert_int_equal (rk_settings_set (&s, "fleet.node", "onemore 1 1", NULL), RK_EINVAL);
    assert_int_equal (rk_settings_set (&s, "fleet.layout", "1, 2,3", NULL), RK_OK);
    assert_int_equal (s.n_layout, 3);
    assert_true (s.fleet_layout[0] == 1 && s.fleet_layout[1] == 2 && s.fleet_layout[2] == 3);
    assert_int_equal (rk_settings_set (&s, "fleet.layout", "planned", NULL), RK_OK);
    assert_int_equal (s.n_layout, 0);
}

/* Every graph can be named in a run file, and nothing else. */
static void test_graphs_are_those_there_are (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    size_t n_graphs = 0;
    for (const char *const *name = rk_graph_names (); *name; name++, n_graphs++) {
        rk_err_t code = rk_settings_set (&s, "average.graph", *name, NULL);
        assert_int_equal (code, RK_OK);
    }
    size_t n_rows, n_words = 0;
    const rk_setting_row_t *rows = rk_setting_rows (&n_rows);
    for (size_t i = 0; i < n_rows; i++)
        for (const rk_setting_word_t *word = rows[i].words; strcmp (rows[i].key, "average.graph") == 0 && word->name; word++)
            n_words++;
    assert_int_equal (n_words, n_graphs);
    assert_int_equal (rk_settings_set (&s, "average.graph", "rign", NULL), RK_EINVAL);
}

static void test_presets_of_ada (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    rk_error_t err = {0};
    assert_int_equal (rk_settings_preset (&s, "ada-1008", &err), RK_OK);
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    assert_string_equal (s.average_graph, "ada");
    assert_true (s.average_k0 == 112 && s.average_gamma == 1 && s.average_k_min == 2);
    assert_int_equal (rk_settings_weights (&s), RK_WEIGHTS_EQUAL);
    assert_int_equal (rk_settings_preset (&s, "ada-small", &err), RK_OK);
    assert_true (s.average_k0 == 10 && s.average_gamma == 0.02);
    assert_int_equal (rk_settings_preset (&s, "ada", &err), RK_ENOTFOUND);
    assert_non_null (strstr (err.text, "ada-small"));
}

static void test_combinations_of_graphs (void **state)
{
    (void) state;
    rk_error_t err = {0};
    rk_settings_t s = s_defaults ();
    strcpy (s.average_graph, "directed");
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "average.push_sum = on"));
    s.average_push_sum = true;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.average_weights = RK_WEIGHTS_SAMPLES; /* only push-sum can weigh replicas */
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.average_weights = RK_WEIGHTS_AUTO;
    strcpy (s.average_graph, "ring");
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "only directed"));
    s = s_defaults ();
    assert_int_equal (rk_settings_set (&s, "average.k_min", "11", NULL), RK_OK);
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "above average.k0 = 10"));
    s = s_defaults ();
    assert_int_equal (rk_settings_set (&s, "average.budget", "1.5", NULL), RK_OK);
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    assert_int_equal (rk_settings_set (&s, "average.group", "4", NULL), RK_OK);
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
}

static void test_combinations (void **state)
{
    (void) state;
    rk_error_t err = {0};
    rk_settings_t s = s_defaults ();
    strcpy (s.average_graph, "torus");
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    assert_int_equal (rk_settings_weights (&s), RK_WEIGHTS_EQUAL);
    s.average_weights = RK_WEIGHTS_SAMPLES;
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "average.weights"));
    s.average_weights = RK_WEIGHTS_EQUAL;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    assert_int_equal (rk_settings_bn (&s), RK_BN_RECALIBRATE);
    s.average_order = RK_AVERAGE_AWC;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.average_mode = RK_AVERAGE_DRAINED;
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "awc"));
    s.average_order = RK_AVERAGE_ATC;
    s.average_momentum = RK_MOMENTUM_QUASI_GLOBAL;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.average_tracking = true; /* needs momentum 0 */
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "tracking"));
    s.train_momentum = 0; /* quasi-global needs some */
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    s.average_momentum = RK_MOMENTUM_LOCAL;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.average_control = true;
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "mixed-radix"));
    strcpy (s.average_graph, "ada");
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s = s_defaults ();
    s.train_nesterov = true;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s.train_momentum = 0;
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    s = s_defaults ();
    strcpy (s.train_schedule, "step");
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
    s.train_step_every = 100;
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    s = s_defaults ();
    strcpy (s.run_plan, "plan.json");
    s.n_layout = 1;
    assert_int_equal (rk_settings_check (&s, &err), RK_EINVAL);
}

static void test_preset_ravnest (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    rk_error_t err = {0};
    assert_int_equal (rk_settings_preset (&s, "ravnest", &err), RK_OK);
    assert_int_equal (s.average_weights, RK_WEIGHTS_EQUAL);
    assert_int_equal (s.average_mode, RK_AVERAGE_DRAINED);
    assert_int_equal (s.average_every, 0);
    assert_int_equal (s.plan_rings, RK_RINGS_MIN_SIZE);
    assert_int_equal (s.pipeline_wire, RK_WIRE_F16);
    assert_int_equal (s.pipeline_update_every, 1);
    assert_true (s.pipeline_recompute);
    assert_int_equal (rk_settings_check (&s, &err), RK_OK);
    assert_int_equal (rk_settings_preset (&s, "raven", &err), RK_ENOTFOUND);
    assert_non_null (strstr (err.text, "ravnest"));
}

static uint64_t s_next (uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Some allowed value of every key, then write -> read -> write gives the same text. */
static void test_round_trip (void **state)
{
    (void) state;
    uint64_t x = 88172645463325252;
    for (int round = 0; round < 500; round++) {
        rk_settings_t s = s_defaults ();
        s.run_seed = s_next (&x);
        s.train_lr = (double) (s_next (&x) % 1000003) / 1000003 * 10;
        s.train_momentum = (double) (s_next (&x) % 1000) / 1001;
        s.train_batch = 1 + (uint32_t) (s_next (&x) % 65536);
        for (uint64_t k = 0, at = 0, n = s_next (&x) % (RK_SETTINGS_MILESTONES + 1); k < n; k++)
            s.train_milestones[k] = at += 1 + s_next (&x) % 1000;
        s.train_loss_scale = s_next (&x) % 2 ? 0 : 0.5 + (double) (s_next (&x) % 1000);
        s.average_every = s_next (&x) % 3 ? s_next (&x) % 1000000 : 0;
        s.average_mode = (rk_average_mode_t) (s_next (&x) % 2);
        s.plan_rings = (rk_rings_t) (s_next (&x) % 3);
        s.pipeline_recompute = s_next (&x) % 2;
        s.n_fleet = (uint32_t) (s_next (&x) % (RK_MAX_FLEET + 1));
        for (uint32_t i = 0; i < s.n_fleet; i++) {
            memset (&s.fleet[i], 0, sizeof s.fleet[i]);
            snprintf (s.fleet[i].name, sizeof s.fleet[i].name, "n%u", i);
            s.fleet[i].speed = (double) (1 + s_next (&x) % 1000) / 1000;
            s.fleet[i].ram_mb = s_next (&x) % 100000;
        }
        s.n_layout = (uint32_t) (s_next (&x) % 5);
        for (uint32_t i = 0; i < s.n_layout; i++)
            s.fleet_layout[i] = 1 + (uint32_t) (s_next (&x) % 4);
        char text[16384], again[16384];
        size_t n = rk_settings_write (&s, text, sizeof text);
        assert_true (n < sizeof text);
        assert_int_equal (rk_settings_write (&s, NULL, 0), n);
        rk_settings_t back;
        rk_error_t err = {0};
        if (rk_settings_read (&back, text, n, &err) != RK_OK)
            fail_msg ("%s", err.text);
        assert_int_equal (rk_settings_write (&back, again, sizeof again), n);
        assert_memory_equal (text, again, n);
        assert_true (back.train_lr == s.train_lr && back.run_seed == s.run_seed && back.n_fleet == s.n_fleet);
        assert_memory_equal (back.fleet, s.fleet, s.n_fleet * sizeof *s.fleet);
    }
}

static void test_read_refuses (void **state)
{
    (void) state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"run.seed = 1\ntrain.bacth = 3\n", "line 2"},
        {"run.seed\n", "key = value"},
        {"\n\nrun.passes = 0\n", "line 3"},
        {"train.schedule = step\n", "train.step_every"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_settings_t s = s_defaults (), before = s;
        rk_error_t err = {0};
        assert_int_not_equal (rk_settings_read (&s, cases[i].text, strlen (cases[i].text), &err), RK_OK);
        if (!strstr (err.text, cases[i].named))
            fail_msg ("%s", err.text);
        assert_memory_equal (&s, &before, sizeof s);
    }
    rk_settings_t s;
    assert_int_equal (rk_settings_read (&s, "run.seed = 7\0\n", 14, NULL), RK_EFORMAT);
    assert_int_equal (rk_settings_read (&s, "  run.seed=7", 12, NULL), RK_OK);
    assert_int_equal (s.run_seed, 7);
}

/* Random damage to a valid listing: refused or read, never a crash. */
static void test_read_survives_noise (void **state)
{
    (void) state;
    rk_settings_t s = s_defaults ();
    char text[16384];
    size_t n = rk_settings_write (&s, text, sizeof text);
    uint64_t x = 1234567;
    int refused = 0;
    for (int round = 0; round < 5000; round++) {
        char *copy = malloc (n);
        assert_non_null (copy);
        memcpy (copy, text, n);
        size_t end = s_next (&x) % 4 ? n : s_next (&x) % n;
        for (uint64_t i = 0, k = 1 + s_next (&x) % 4; i < k; i++)
            copy[s_next (&x) % n] = (char) s_next (&x);
        rk_error_t err = {0};
        rk_err_t code = rk_settings_read (&s, copy, end, &err);
        refused += code != RK_OK;
        assert_true (code == RK_OK || *err.text);
        free (copy);
    }
    assert_true (refused > 2500);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_table_is_whole),     cmocka_unit_test (test_allowed_words_are_taken),
        cmocka_unit_test (test_main_job),           cmocka_unit_test (test_unknown_key_names_nearest),
        cmocka_unit_test (test_bad_values),         cmocka_unit_test (test_fleet_and_layout),
        cmocka_unit_test (test_combinations),
        cmocka_unit_test (test_graphs_are_those_there_are),
        cmocka_unit_test (test_combinations_of_graphs),
        cmocka_unit_test (test_presets_of_ada),       cmocka_unit_test (test_preset_ravnest),
        cmocka_unit_test (test_round_trip),         cmocka_unit_test (test_read_refuses),
        cmocka_unit_test (test_read_survives_noise),
    };
    return cmocka_run_group_tests_name ("cluster/settings", tests, NULL, NULL);
}
