/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/settings_table.h"

#include <stdio.h>
#include <string.h>

#include "compute/data/augment.h"

/* Looks from row *hint on, which then is the one behind it: listings are in the table's order. */
static const rk_setting_row_t *s_find (const char *key, size_t *hint)
{
    size_t n_rows;
    const rk_setting_row_t *rows = rk_setting_rows (&n_rows);
    for (size_t n = 0; n < n_rows; n++) {
        const rk_setting_row_t *row = &rows[(*hint + n) % n_rows];
        if (strcmp (row->key, key) == 0) {
            *hint = (size_t) (row - rows) + 1;
            return row;
        }
    }
    return NULL;
}

/* Edit distance (insert, delete, replace), of the first 63 characters. */
static unsigned s_distance (const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strnlen (b, sizeof row / sizeof *row - 1);
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; i < 64 && a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

/* People also forget the room: "lr" is one step from "train.lr". */
static unsigned s_key_distance (const char *wrong, const char *key)
{
    unsigned whole = s_distance (wrong, key), tail = s_distance (wrong, strchr (key, '.') + 1) + 1;
    return whole < tail ? whole : tail;
}

static const char *s_nearest (const char *key)
{
    size_t n_rows, best = 0;
    unsigned least = 0;
    const rk_setting_row_t *rows = rk_setting_rows (&n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        const unsigned distance = s_key_distance (key, rows[i].key);
        if (i == 0 || distance < least) {
            least = distance;
            best = i;
        }
    }
    return rows[best].key;
}

void rk_settings_default (rk_settings_t *s)
{
    size_t n_rows;
    const rk_setting_row_t *rows = rk_setting_rows (&n_rows);
    memset (s, 0, sizeof *s);
    for (size_t i = 0; i < n_rows; i++) {
        rk_err_t code = rows[i].kind->parse (s, &rows[i], rows[i].fallback, NULL);
        (void) code; /* that every default is allowed is a test */
    }
    s->fleet_given = false;
}

/* The value without white space around it; false when it is too long or holds control characters. */
static bool s_trim (const char *value, char text[RK_SETTINGS_VALUE])
{
    value += strspn (value, " \t\r\n");
    size_t n = strlen (value);
    while (n > 0 && strchr (" \t\r\n", value[n - 1]))
        n--;
    if (n >= RK_SETTINGS_VALUE)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char) value[i] < 0x20 && value[i] != '\t')
            return false;
    memcpy (text, value, n);
    text[n] = 0;
    return true;
}

static rk_err_t s_set (rk_settings_t *s, const char *key, const char *value, size_t *hint, rk_error_t *err)
{
    const rk_setting_row_t *row = s_find (key, hint);
    if (!row)
        return rk_error_set (err, RK_ENOTFOUND, "no key \"%.48s\"; the nearest is %s", key, s_nearest (key));
    char text[RK_SETTINGS_VALUE];
    if (!s_trim (value, text))
        return rk_error_set (err, RK_EINVAL, "%s: the value is longer than %d characters or holds control characters", key,
                             RK_SETTINGS_VALUE - 1);
    rk_err_t code = row->kind->parse (s, row, text, err);
    return code == RK_OK ? RK_OK : rk_error_wrap (err, code, "%s", key);
}

rk_err_t rk_settings_set (rk_settings_t *s, const char *key, const char *value, rk_error_t *err)
{
    size_t hint = 0;
    return s_set (s, key, value, &hint, err);
}

static bool s_is_complete (const rk_settings_t *s)
{
    return strcmp (s->average_graph, "complete") == 0;
}

static rk_err_t s_check_graph (const rk_settings_t *s, rk_error_t *err)
{
    const bool directed = strcmp (s->average_graph, "directed") == 0;
    if (s->average_weights == RK_WEIGHTS_SAMPLES && !s_is_complete (s) && !directed)
        return rk_error_set (err, RK_EINVAL,
                             "average.weights = samples with average.graph = %s: the mixing matrix would not be doubly "
                             "stochastic; use average.weights = equal, or average.graph = directed with push-sum",
                             s->average_graph);
    if (directed && !s->average_push_sum)
        return rk_error_set (err, RK_EINVAL, "average.graph = directed is not doubly stochastic: it needs average.push_sum = on");
    if (s->average_push_sum && !directed)
        return rk_error_set (err, RK_EINVAL, "average.push_sum = on with average.graph = %s: only directed needs it",
                             s->average_graph);
    if (s->average_k_min > s->average_k0)
        return rk_error_set (err, RK_EINVAL, "average.k_min = %u is above average.k0 = %g", s->average_k_min, s->average_k0);
    if (s->average_budget > 0 && s->average_group > 0)
        return rk_error_set (err, RK_EINVAL, "average.budget and average.group both say how large groups are; drop one");
    return RK_OK;
}

rk_weights_t rk_settings_weights (const rk_settings_t *s)
{
    if (s->average_weights != RK_WEIGHTS_AUTO)
        return s->average_weights;
    return s_is_complete (s) ? RK_WEIGHTS_SAMPLES : RK_WEIGHTS_EQUAL;
}

bool rk_settings_replans (const rk_settings_t *s)
{
    if (s->plan_replan != RK_REPLAN_AUTO)
        return s->plan_replan == RK_REPLAN_ON;
    return s->average_mode == RK_AVERAGE_OVERLAPPED && !*s->run_plan && strcmp (s->plan_planner, "auto") == 0;
}

rk_bn_t rk_settings_bn (const rk_settings_t *s)
{
    if (s->average_bn != RK_BN_AUTO)
        return s->average_bn;
    return s_is_complete (s) ? RK_BN_ON : RK_BN_RECALIBRATE;
}

static rk_err_t s_check_order (const rk_settings_t *s, rk_error_t *err)
{
    const bool drained = s->average_mode == RK_AVERAGE_DRAINED, sgd = strcmp (s->train_optimizer, "sgd") == 0;
    if (s->train_nonfinite == RK_NONFINITE_FREEZE && s_is_complete (s))
        return rk_error_set (err, RK_EINVAL, "train.nonfinite = freeze keeps one replica's numbers from the others, which an exact "
                                             "mean of all cannot: it needs a sparse average.graph (stop and skip need none)");
    if (s->average_order == RK_AVERAGE_AWC && (drained || s_is_complete (s)))
        return rk_error_set (err, RK_EINVAL, "average.order = awc exchanges while training goes on: it needs average.mode = "
                                             "overlapped and a sparse average.graph");
    if (s->average_momentum == RK_MOMENTUM_QUASI_GLOBAL && (!drained || !sgd || s->train_momentum == 0 || s->average_optimizer_state))
        return rk_error_set (err, RK_EINVAL, "average.momentum = quasi-global needs average.mode = drained, train.optimizer = sgd, "
                                             "train.momentum > 0 and average.optimizer_state = off");
    if (s->average_tracking && (!drained || !sgd || s->train_momentum > 0 || s->average_optimizer_state))
        return rk_error_set (err, RK_EINVAL, "average.tracking = on needs average.mode = drained, train.optimizer = sgd, "
                                             "train.momentum = 0 and average.optimizer_state = off");
    const char *const loops[] = {"ada", "ada-spread", "mixed-radix"};
    bool closed = false;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        closed = closed || strcmp (s->average_graph, loops[i]) == 0;
    if ((s->average_control || *s->run_control) && !closed)
        return rk_error_set (err, RK_EINVAL, "%s with average.graph = %s: only ada, ada-spread and mixed-radix follow control records",
                             *s->run_control ? "run.control" : "average.control = on", s->average_graph);
    return RK_OK;
}

rk_err_t rk_settings_check (const rk_settings_t *s, rk_error_t *err)
{
    rk_err_t rc = s_check_graph (s, err);
    if (!rc)
        rc = s_check_order (s, err);
    if (rc)
        return rc;
    if (s->train_nesterov && (strcmp (s->train_optimizer, "sgd") != 0 || s->train_momentum == 0))
        return rk_error_set (err, RK_EINVAL, "train.nesterov = on needs train.optimizer = sgd and train.momentum > 0");
    if (strcmp (s->train_schedule, "step") == 0 && s->train_step_every == 0)
        return rk_error_set (err, RK_EINVAL, "train.schedule = step needs train.step_every >= 1");
    if (strcmp (s->train_schedule, "milestones") == 0 && s->train_milestones[0] == 0)
        return rk_error_set (err, RK_EINVAL, "train.schedule = milestones needs train.milestones, as in 2000,3000");
    unsigned ways;
    if (rk_augment_parse (s->data_augment, &ways, err))
        return rk_error_wrap (err, RK_EINVAL, "data.augment");
    if (*s->run_plan && s->n_layout > 0)
        return rk_error_set (err, RK_EINVAL, "run.plan replays a plan, so fleet.layout cannot be forced too; drop one");
    return RK_OK;
}

bool rk_settings_judged (const rk_settings_t *s)
{
    return s->train_clip > 0 || s->train_loss_scale != 1 || s->train_nonfinite == RK_NONFINITE_SKIP;
}

uint64_t rk_settings_gradients (const rk_settings_t *s, bool first_stage, uint32_t in_flight)
{
    if (!rk_settings_judged (s) || first_stage || in_flight == 0)
        return 1;
    return 2 + (uint64_t) (in_flight - 1) / s->pipeline_update_every;
}

/* ---- presets */
typedef struct {
    const char *key, *value;
} s_pair_t;

/* As published: recompute of every forward is what its code always does. */
static const s_pair_t s_ravnest[] = {
    {"average.weights", "equal"},   {"average.mode", "drained"},    {"average.every", "pass"},
    {"average.graph", "complete"},  {"average.codec", "f32"},       {"average.optimizer_state", "off"},
    {"plan.rings", "min-size"},     {"pipeline.wire", "f16"},       {"pipeline.recompute", "on"},
    {"pipeline.update_every", "1"}, {"pipeline.in_flight", "0"},    {"train.batch", "64"},
    {"train.schedule", "constant"}, {NULL, NULL},
};

/* Recalled, unverified values of Ada for small applications and for 1,008 replicas (docs/graphs.md). */
static const s_pair_t s_ada_small[] = {{"average.graph", "ada"}, {"average.k0", "10"}, {"average.gamma", "0.02"}, {"average.k_min", "2"},
                                       {"average.every", "1"},   {NULL, NULL}};
static const s_pair_t s_ada_1008[] = {{"average.graph", "ada"}, {"average.k0", "112"}, {"average.gamma", "1"}, {"average.k_min", "2"},
                                      {"average.every", "1"},   {NULL, NULL}};

static const struct {
    const char *name;
    const s_pair_t *pairs;
} s_presets[] = {{"ravnest", s_ravnest}, {"ada-small", s_ada_small}, {"ada-1008", s_ada_1008}};

rk_err_t rk_settings_preset (rk_settings_t *s, const char *name, rk_error_t *err)
{
    for (size_t i = 0; i < sizeof s_presets / sizeof *s_presets; i++) {
        if (strcmp (s_presets[i].name, name) != 0)
            continue;
        for (const s_pair_t *pair = s_presets[i].pairs; pair->key; pair++) {
            rk_err_t code = rk_settings_set (s, pair->key, pair->value, err);
            if (code != RK_OK)
                return code;
        }
        return RK_OK;
    }
    return rk_error_set (err, RK_ENOTFOUND, "no preset \"%.48s\" (there are: ravnest, ada-small, ada-1008)", name);
}

/* ---- the table for others */
size_t rk_settings_n_keys (void)
{
    size_t n_rows;
    rk_setting_rows (&n_rows);
    return n_rows;
}

void rk_settings_key (size_t idx, rk_settings_key_t *out)
{
    size_t n_rows;
    const rk_setting_row_t *row = rk_setting_rows (&n_rows) + idx;
    *out = (rk_settings_key_t){row->key, row->kind->name, row->allowed, row->fallback, row->help};
}

size_t rk_settings_get (const rk_settings_t *s, size_t idx, char *text, size_t size)
{
    size_t n_rows;
    const rk_setting_row_t *row = rk_setting_rows (&n_rows) + idx;
    return row->kind->print (s, row, text, size);
}

/* ---- canonical listing */
size_t rk_settings_write (const rk_settings_t *s, char *text, size_t size)
{
    size_t n_rows, n = 0;
    const rk_setting_row_t *rows = rk_setting_rows (&n_rows);
    char value[RK_SETTINGS_VALUE];
    for (size_t i = 0; i < n_rows; i++) {
        rows[i].kind->print (s, &rows[i], value, sizeof value);
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%s = %s\n", rows[i].key, value);
    }
    return n;
}

static rk_err_t s_read_line (rk_settings_t *s, const char *line, size_t n, size_t *hint, rk_error_t *err)
{
    char text[64 + RK_SETTINGS_VALUE];
    if (n >= sizeof text || memchr (line, 0, n))
        return rk_error_set (err, RK_EFORMAT, "longer than %zu characters or holds a zero byte", sizeof text - 1);
    memcpy (text, line, n);
    text[n] = 0;
    char *equals = strchr (text, '=');
    if (!equals)
        return rk_error_set (err, RK_EFORMAT, "\"%.48s\" is not \"key = value\"", text);
    char *end = equals;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = 0;
    return s_set (s, text + strspn (text, " \t"), equals + 1, hint, err);
}

rk_err_t rk_settings_read (rk_settings_t *s, const char *text, size_t size, rk_error_t *err)
{
    rk_settings_t fresh;
    rk_settings_default (&fresh);
    unsigned line = 1;
    size_t hint = 0;
    for (size_t at = 0; at < size; line++) {
        const char *newline = memchr (text + at, '\n', size - at);
        size_t n = newline ? (size_t) (newline - text) - at : size - at;
        rk_err_t code = n > 0 ? s_read_line (&fresh, text + at, n, &hint, err) : RK_OK;
        if (code != RK_OK)
            return rk_error_wrap (err, code, "line %u", line);
        at += n + 1;
    }
    rk_err_t code = rk_settings_check (&fresh, err);
    if (code == RK_OK)
        *s = fresh;
    return code;
}
