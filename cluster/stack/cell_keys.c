/* SPDX-License-Identifier: MPL-2.0
 * The keys of a cell that `rookery train` does not have. A key is added by adding a row and a member.      */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stack/cell.h"
#include "compute/names.h"

typedef enum { KIND_INTEGER, KIND_REAL, KIND_SWITCH, KIND_WORD, KIND_NAME } s_kind_t;

typedef struct {
    const char *key;
    s_kind_t kind;
    size_t offset, size;
    double low, high;
    const char *const *words;
    const char *allowed, *fallback, *help;
} s_row_t;

static const char *const s_orders[] = {"atc", "awc", NULL}, *const s_mixings[] = {"sparse", "dense", "auto", NULL};
static const char *const s_exchanges[] = {"direct", "cheapest", NULL};
static const char *const s_momenta[] = {"local", "quasi-global", NULL};
static const char *const s_rules[] = {"none", "linear", "sqrt", "graph", NULL};

#define MEMBER(name) offsetof (rk_cell_t, name), sizeof (((rk_cell_t *) 0)->name)
#define INTEGER(name, lo, hi) KIND_INTEGER, MEMBER (name), lo, hi, NULL, #lo " <= N <= " #hi
#define REAL(name, lo, hi) KIND_REAL, MEMBER (name), lo, hi, NULL, #lo " <= x <= " #hi
#define SWITCH(name) KIND_SWITCH, MEMBER (name), 0, 1, NULL, "on | off"
#define WORD(name, list, allowed) KIND_WORD, MEMBER (name), 0, 0, list, allowed
#define NAME(name) KIND_NAME, MEMBER (name), 0, 0, NULL, "letters, digits and _-.=:+()"

static const s_row_t s_rows[] = {
    {"dbench.replicas", INTEGER (n, 1, 65536), "8", "replicas n"},
    {"dbench.label", NAME (label), "", "name of the graph in tables and pictures; empty: made of its keys"},
    {"dbench.centralised", SWITCH (centralised), "off", "average gradients instead of parameters (C_complete)"},
    {"dbench.lr_rule", WORD (lr_rule, s_rules, "none | linear | sqrt | graph"), "none",
     "train.lr times (n B / lr_batch), its root, or (degree + 1) B / lr_batch"},
    {"dbench.lr_batch", INTEGER (lr_batch, 1, 1000000), "64", "global batch that train.lr is meant for"},
    {"dbench.steps", INTEGER (steps, 0, 1000000000), "0", "most steps of a pass; 0: all"},
    {"dbench.probe_every", INTEGER (probe_every, 0, 1000000000), "1", "steps between two looks at all tensors; 0: none"},
    {"dbench.eval_replicas", INTEGER (eval_replicas, 1, 65536), "16", "replicas tested after a pass, evenly spread"},
    {"dbench.eval_samples", INTEGER (eval_samples, 0, 1000000000), "2000", "test samples each sees; 0: all"},
    {"dbench.mixing", WORD (mixing, s_mixings, "sparse | dense | auto"), "sparse", "sums over neighbours, one product with W, or windows of lattices and products by degree"},
    {"dbench.exchange", WORD (exchange, s_exchanges, "direct | cheapest"), "direct",
     "virtual clock and bytes: models to every hearer, or the way that sends least (rings in groups, window doubling)"},
    {"dbench.delay", INTEGER (delay, 0, 1024), "0", "updates by which gradients are late, never across an averaging"},
    {"dbench.final_merge", SWITCH (final_merge), "off", "all replicas take their mean before the last test"},
    {"dbench.dimension", INTEGER (quadratic.dimension, 1, 1000000000), "1000", "of the model quadratic"},
    {"dbench.curvature", REAL (quadratic.curvature, 0, 1000000), "1", "largest of the model quadratic"},
    {"dbench.noise", REAL (quadratic.noise, 0, 1000000), "1", "of each coordinate of its gradients"},
    {"dbench.gflops", REAL (gflops, 0.001, 1000000), "20", "virtual clock: speed of a replica"},
    {"dbench.alpha_us", REAL (alpha_us, 0, 1000000), "50", "virtual clock: latency of a message"},
    {"dbench.gbps", REAL (gbps, 0.001, 1000000), "10", "virtual clock: a replica's link, gigabits per second"},
    {"dbench.jitter", REAL (jitter, 0, 1), "0.05", "virtual clock: coefficient of variation of computing"},
    {"dbench.stragglers", INTEGER (stragglers, 0, 65536), "0", "virtual clock: replicas that are always slower"},
    {"dbench.slowdown", REAL (slowdown, 1, 1000000), "2", "virtual clock: by this factor"},
    {"average.graph", NAME (graph_name), "complete", "communication graph (cluster/graphs)"},
    {"average.every", INTEGER (every, 1, 1000000000), "1", "steps between two mixings"},
    {"average.order", WORD (order, s_orders, "atc | awc"), "atc", "adapt then combine, or combine while adapting"},
    {"average.optimizer_state", SWITCH (mix_state), "off", "mix momentum and its like too"},
    {"average.momentum", WORD (momentum, s_momenta, "local | quasi-global"), "local", "quasi-global: momentum of what the neighbourhood did"},
    {"average.tracking", SWITCH (tracking), "off", "gradient tracking, for replicas with unlike data; sgd without momentum"},
    {"average.push_sum", SWITCH (push_sum), "off", "weights for graphs that are not doubly stochastic: directed"},
    {"average.degree", INTEGER (graph.degree, 0, 65536), "0", "connections of a lattice and the like; 0: its default"},
    {"average.probability", REAL (graph.probability, 0, 1), "0", "of a link, erdos-renyi; 0: its default"},
    {"average.k0", REAL (graph.k0, 0, 65536), "0", "Ada: connections in the first pass; 0: 10"},
    {"average.gamma", REAL (graph.gamma, -65536, 65536), "0", "Ada: connections fewer from pass to pass; below 0: more, up to average.degree"},
    {"average.k_min", INTEGER (graph.k_min, 0, 65536), "0", "Ada: fewest connections; 0: 2"},
    {"average.hold", INTEGER (graph.hold, 0, 1000000), "0", "Ada: passes k0 is held before it falls"},
    {"average.group", INTEGER (graph.group, 0, 65536), "0", "two-level: replicas per machine; mixed-radix: largest factor"},
    {"average.budget", REAL (graph.budget, 0, 65536), "0", "mixed-radix: models a replica may send per step"},
    {"average.control", SWITCH (control), "off", "connections follow the distance that looks measure: ada, ada-spread, mixed-radix"},
    {"average.control_ratio", REAL (control_ratio, 0, 1000), "0", "distance allowed over that of the densest graph; 0: 1.5"},
    {"average.control_settle", INTEGER (control_settle, 0, 1000000), "0", "looks at a value before it is judged, and of each judgement; 0: 20"},
    {"average.global_every", INTEGER (graph.global_every, 0, 1000000000), "0", "every so many steps the exact mean instead; 0: never"},
};
#define N_ROWS (sizeof s_rows / sizeof *s_rows)

static const s_row_t *s_find (const char *key)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (!strcmp (s_rows[i].key, key))
            return &s_rows[i];
    return NULL;
}

static rk_err_t s_refuse (const s_row_t *row, const char *value, rk_error_t *err)
{
    return rk_error_set (err, RK_EINVAL, "%s: \"%.48s\" is not allowed (allowed: %s)", row->key, value, row->allowed);
}

static rk_err_t s_number (const s_row_t *row, void *member, const char *value, rk_error_t *err)
{
    char *end = NULL;
    const bool begins = isdigit ((unsigned char) *value) || *value == '.' || (*value == '-' && row->low < 0);
    const double x = begins ? strtod (value, &end) : NAN;
    const bool whole = row->kind == KIND_REAL || x == floor (x);
    if (!end || end == value || *end || !(x >= row->low && x <= row->high) || !whole)
        return s_refuse (row, value, err);
    if (row->kind == KIND_REAL)
        *(double *) member = x;
    else
        *(uint32_t *) member = (uint32_t) x;
    return RK_OK;
}

static rk_err_t s_word (const s_row_t *row, void *member, const char *value, rk_error_t *err)
{
    for (uint32_t i = 0; row->words[i]; i++)
        if (!strcmp (row->words[i], value)) {
            *(uint32_t *) member = i;
            return RK_OK;
        }
    return s_refuse (row, value, err);
}

static rk_err_t s_name (const s_row_t *row, char *member, const char *value, rk_error_t *err)
{
    for (const char *c = value; *c; c++)
        if (!isalnum ((unsigned char) *c) && !strchr ("_-.=:+()", *c))
            return s_refuse (row, value, err);
    if (strlen (value) >= row->size)
        return s_refuse (row, value, err);
    memset (member, 0, row->size);
    memcpy (member, value, strlen (value));
    return RK_OK;
}

static rk_err_t s_set (rk_cell_t *cell, const s_row_t *row, const char *value, rk_error_t *err)
{
    void *member = (char *) cell + row->offset;
    switch (row->kind) {
    case KIND_WORD:
        return s_word (row, member, value, err);
    case KIND_NAME:
        return s_name (row, member, value, err);
    case KIND_SWITCH:
        if (strcmp (value, "on") && strcmp (value, "off"))
            return s_refuse (row, value, err);
        *(bool *) member = !strcmp (value, "on");
        return RK_OK;
    default:
        return s_number (row, member, value, err);
    }
}

void rk_cell_default (rk_cell_t *cell)
{
    memset (cell, 0, sizeof *cell);
    rk_settings_default (&cell->settings);
    for (size_t i = 0; i < N_ROWS; i++) {
        rk_err_t code = s_set (cell, &s_rows[i], s_rows[i].fallback, NULL);
        (void) code; /* that every default is allowed is a test */
    }
}

rk_err_t rk_cell_set (rk_cell_t *cell, const char *key, const char *value, rk_error_t *err)
{
    static const char *const shared[] = {"run.", "model.", "data.", "train.", NULL};
    const s_row_t *row = s_find (key);
    if (row)
        return s_set (cell, row, value, err);
    if (!strcmp (key, "model.name") && !strcmp (value, "quadratic")) /* no model of compute/models */
        return rk_settings_set (&cell->settings, key, value, err);
    for (int i = 0; shared[i]; i++)
        if (!strncmp (key, shared[i], strlen (shared[i])))
            return rk_settings_set (&cell->settings, key, value, err);
    const char *keys[N_ROWS + 1];
    for (size_t i = 0; i < N_ROWS; i++)
        keys[i] = s_rows[i].key;
    keys[N_ROWS] = NULL;
    return rk_error_set (err, RK_ENOTFOUND, "no key \"%.48s\" in a benchmark; the nearest is %s", key, rk_nearest_name (key, keys));
}

static int s_print (const rk_cell_t *cell, const s_row_t *row, char *text, size_t size)
{
    const void *member = (const char *) cell + row->offset;
    switch (row->kind) {
    case KIND_WORD:
        return snprintf (text, size, "%s = %s\n", row->key, row->words[*(const uint32_t *) member]);
    case KIND_NAME:
        return snprintf (text, size, "%s = %s\n", row->key, (const char *) member);
    case KIND_SWITCH:
        return snprintf (text, size, "%s = %s\n", row->key, *(const bool *) member ? "on" : "off");
    case KIND_REAL:
        return snprintf (text, size, "%s = %.17g\n", row->key, *(const double *) member);
    default:
        return snprintf (text, size, "%s = %u\n", row->key, *(const uint32_t *) member);
    }
}

/* Of the shared keys, those of sections that a cell reads; where the run is stored and how many threads it has do
 * not change a figure.                                                                                    */
static bool s_matters (const char *key)
{
    if (!strncmp (key, "run.", 4))
        return !strcmp (key, "run.seed") || !strcmp (key, "run.passes");
    return !strncmp (key, "model.", 6) || !strncmp (key, "data.", 5) || !strncmp (key, "train.", 6);
}

size_t rk_cell_write (const rk_cell_t *cell, char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t key;
        char value[8192];
        rk_settings_key (i, &key);
        if (!s_matters (key.key))
            continue;
        rk_settings_get (&cell->settings, i, value, sizeof value);
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%s = %s\n", key.key, value);
    }
    for (size_t i = 0; i < N_ROWS; i++)
        n += (size_t) s_print (cell, &s_rows[i], n < size ? text + n : NULL, n < size ? size - n : 0);
    return n;
}

bool rk_cell_key (size_t idx, rk_settings_key_t *out)
{
    static const char *const kinds[] = {"integer", "real", "switch", "word", "name"};
    if (idx >= N_ROWS)
        return false;
    const s_row_t *row = &s_rows[idx];
    *out = (rk_settings_key_t){row->key, kinds[row->kind], row->allowed, row->fallback, row->help};
    return true;
}

/* "ada k0=10 gamma=1": the graph and what of it is not the default. */
const char *rk_cell_label (const rk_cell_t *cell, char text[64])
{
    if (*cell->label) {
        snprintf (text, 64, "%s", cell->label);
        return text;
    }
    if (cell->centralised) {
        snprintf (text, 64, "C_complete");
        return text;
    }
    int n = snprintf (text, 64, "D_%s", cell->graph_name);
    for (size_t i = 0; i < N_ROWS && n >= 0 && n < 64; i++) {
        char line[128];
        rk_cell_t plain;
        if (strncmp (s_rows[i].key, "average.", 8) || !strcmp (s_rows[i].key, "average.graph"))
            continue;
        memset (&plain, 0, sizeof plain);
        rk_err_t code = s_set (&plain, &s_rows[i], s_rows[i].fallback, NULL);
        if (code || !memcmp ((const char *) &plain + s_rows[i].offset, (const char *) cell + s_rows[i].offset, s_rows[i].size))
            continue;
        s_print (cell, &s_rows[i], line, sizeof line);
        char *equals = strstr (line, " = ");
        line[strcspn (line, "\n")] = 0;
        n += snprintf (text + n, 64 - (size_t) n, " %.*s=%s", (int) (equals - line - 8), line + 8, equals + 3);
    }
    return text;
}
