/* SPDX-License-Identifier: MPL-2.0
 * How the values of each kind are parsed and printed. Values arrive trimmed and without control
 * characters. Every parse function leaves the settings untouched when it fails.                          */
#include "cluster/settings_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *s_member (rk_settings_t *s, const rk_setting_row_t *row)
{
    return (char *) s + row->offset;
}

static const void *s_const_member (const rk_settings_t *s, const rk_setting_row_t *row)
{
    return (const char *) s + row->offset;
}

static rk_err_t s_refuse (const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    return rk_error_set (err, RK_EINVAL, "\"%.48s\" is not allowed (allowed: %s)", value, row->allowed);
}

/* The rest of the member is cleared, so that equal settings are equal bytes. */
static void s_store_text (char *text, size_t size, const char *value)
{
    memset (text, 0, size);
    memcpy (text, value, strlen (value));
}

static bool s_parse_u64 (const char *text, uint64_t *out)
{
    if (!isdigit ((unsigned char) *text))
        return false; /* strtoull would take a sign */
    char *end;
    errno = 0;
    unsigned long long n = strtoull (text, &end, 10);
    if (errno || *end)
        return false;
    *out = n;
    return true;
}

static bool s_parse_real (const char *text, double *out)
{
    if (!isdigit ((unsigned char) *text) && *text != '.')
        return false; /* no sign, no "inf", no "nan" */
    char *end;
    double x = strtod (text, &end);
    if (end == text || *end)
        return false;
    *out = x;
    return true;
}

/* Shortest decimal that reads back as the same number; whole numbers as people write them, not 1e+01. */
static int s_print_real (char *text, size_t size, double x)
{
    char shortest[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf (shortest, sizeof shortest, "%.*g", digits, x);
        if (strtod (shortest, NULL) == x)
            break;
    }
    if (strchr (shortest, 'e') && x > -1e9 && x < 1e9 && x == (double) (long) x)
        return snprintf (text, size, "%ld", (long) x);
    return snprintf (text, size, "%s", shortest);
}

/* ---- integer */
static rk_err_t s_integer_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    uint64_t n;
    if (!s_parse_u64 (value, &n) || n < row->low || n > row->high)
        return s_refuse (row, value, err);
    if (row->size == sizeof (uint32_t))
        *(uint32_t *) s_member (s, row) = (uint32_t) n;
    else
        *(uint64_t *) s_member (s, row) = n;
    return RK_OK;
}

static size_t s_integer_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    const void *member = s_const_member (s, row);
    uint64_t n = row->size == sizeof (uint32_t) ? *(const uint32_t *) member : *(const uint64_t *) member;
    return (size_t) snprintf (text, size, "%llu", (unsigned long long) n);
}

const rk_setting_kind_t rk_kind_integer = {"integer", s_integer_parse, s_integer_print};

/* ---- real */
static rk_err_t s_real_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    double x;
    if (!s_parse_real (value, &x) || !(x >= row->least && x <= row->most))
        return s_refuse (row, value, err);
    *(double *) s_member (s, row) = x;
    return RK_OK;
}

static size_t s_real_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    return (size_t) s_print_real (text, size, *(const double *) s_const_member (s, row));
}

const rk_setting_kind_t rk_kind_real = {"real", s_real_parse, s_real_print};

/* ---- train.loss_scale: 0 in the struct is "dynamic" in text */
static rk_err_t s_scale_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    if (strcmp (value, "dynamic") != 0)
        return s_real_parse (s, row, value, err);
    s->train_loss_scale = 0;
    return RK_OK;
}

static size_t s_scale_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    if (s->train_loss_scale == 0)
        return (size_t) snprintf (text, size, "dynamic");
    return s_real_print (s, row, text, size);
}

const rk_setting_kind_t rk_kind_scale = {"real or dynamic", s_scale_parse, s_scale_print};

/* ---- switch */
static rk_err_t s_switch_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    bool on = strcmp (value, "on") == 0;
    if (!on && strcmp (value, "off") != 0)
        return s_refuse (row, value, err);
    *(bool *) s_member (s, row) = on;
    return RK_OK;
}

static size_t s_switch_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    return (size_t) snprintf (text, size, "%s", *(const bool *) s_const_member (s, row) ? "on" : "off");
}

const rk_setting_kind_t rk_kind_switch = {"switch", s_switch_parse, s_switch_print};

/* ---- text, names, addresses */
static rk_err_t s_text_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    if (strlen (value) >= row->size)
        return rk_error_set (err, RK_EINVAL, "\"%.48s...\" has %zu characters, at most %zu are allowed", value, strlen (value),
                             row->size - 1);
    s_store_text (s_member (s, row), row->size, value);
    return RK_OK;
}

static size_t s_text_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    return (size_t) snprintf (text, size, "%s", (const char *) s_const_member (s, row));
}

static bool s_is_name (const char *text)
{
    size_t n = 0;
    while (isalnum ((unsigned char) text[n]) || (text[n] && strchr ("-_.", text[n])))
        n++;
    return n > 0 && !text[n];
}

static rk_err_t s_name_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    return s_is_name (value) ? s_text_parse (s, row, value, err) : s_refuse (row, value, err);
}

static rk_err_t s_listen_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    if (*value && strncmp (value, "tcp://", 6) != 0 && strncmp (value, "ipc://", 6) != 0)
        return s_refuse (row, value, err);
    return s_text_parse (s, row, value, err);
}

const rk_setting_kind_t rk_kind_text = {"text", s_text_parse, s_text_print};
const rk_setting_kind_t rk_kind_name = {"name", s_name_parse, s_text_print};
const rk_setting_kind_t rk_kind_listen = {"address", s_listen_parse, s_text_print};

/* ---- one word of a list */
static const rk_setting_word_t *s_find_word (const rk_setting_row_t *row, const char *value, rk_error_t *err, rk_err_t *code)
{
    const rk_setting_word_t *word = row->words;
    while (word->name && strcmp (word->name, value) != 0)
        word++;
    *code = RK_OK;
    if (word->name && word->planned)
        *code = rk_error_set (err, RK_EUNSUPPORTED, "\"%s\" is not built yet (built: %s)", value, row->allowed);
    else if (!word->name)
        *code = s_refuse (row, value, err);
    return word;
}

static rk_err_t s_choice_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    rk_err_t code;
    const rk_setting_word_t *word = s_find_word (row, value, err, &code);
    if (code == RK_OK) /* every enum of the settings has the size and sign of unsigned */
        *(unsigned *) s_member (s, row) = (unsigned) word->value;
    return code;
}

static size_t s_choice_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    int value = (int) *(const unsigned *) s_const_member (s, row);
    const rk_setting_word_t *word = row->words;
    while (word->name && word->value != value)
        word++;
    return (size_t) snprintf (text, size, "%s", word->name ? word->name : "?");
}

static rk_err_t s_word_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    rk_err_t code;
    const rk_setting_word_t *word = s_find_word (row, value, err, &code);
    if (code == RK_OK)
        s_store_text (s_member (s, row), row->size, word->same ? word->same : word->name);
    return code;
}

const rk_setting_kind_t rk_kind_choice = {"choice", s_choice_parse, s_choice_print};
const rk_setting_kind_t rk_kind_word = {"choice", s_word_parse, s_text_print};

/* ---- average.every: 0 in the struct is "pass" in text */
static rk_err_t s_every_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    if (strcmp (value, "pass") != 0)
        return s_integer_parse (s, row, value, err);
    s->average_every = 0;
    return RK_OK;
}

static size_t s_every_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    if (s->average_every == 0)
        return (size_t) snprintf (text, size, "pass");
    return s_integer_print (s, row, text, size);
}

const rk_setting_kind_t rk_kind_every = {"integer or pass", s_every_parse, s_every_print};

/* ---- fleet.node */
static rk_err_t s_node_parse (rk_fleet_node_t *node, char *text, const char *allowed, rk_error_t *err)
{
    char *rest = NULL, *name = strtok_r (text, " \t", &rest), *speed = strtok_r (NULL, " \t", &rest),
         *ram = strtok_r (NULL, " \t", &rest), *more = strtok_r (NULL, " \t", &rest);
    if (!name || !speed || !ram || more)
        return rk_error_set (err, RK_EINVAL, "node \"%.40s\" is not three words (allowed: %s)", name ? name : "", allowed);
    memset (node, 0, sizeof *node);
    if (!s_is_name (name) || strlen (name) >= sizeof node->name)
        return rk_error_set (err, RK_EINVAL, "node name \"%.40s\" is not 1 to %zu letters, digits, - _ .", name,
                             sizeof node->name - 1);
    s_store_text (node->name, sizeof node->name, name);
    /* Speeds become integers of one millionth in the plan. */
    if (!s_parse_real (speed, &node->speed) || !(node->speed >= 0.000001 && node->speed <= 1))
        return rk_error_set (err, RK_EINVAL, "node %s: speed \"%.24s\" is not allowed (allowed: 0.000001 <= speed <= 1)", name,
                             speed);
    if (!s_parse_u64 (ram, &node->ram_mb) || node->ram_mb > 1u << 30)
        return rk_error_set (err, RK_EINVAL, "node %s: ram_mb \"%.24s\" is not allowed (allowed: 0 <= N <= %u)", name, ram,
                             1u << 30);
    return RK_OK;
}

static rk_err_t s_nodes_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    uint32_t n = s->fleet_given ? s->n_fleet : 0;
    rk_fleet_node_t nodes[RK_MAX_FLEET] = {0};
    memcpy (nodes, s->fleet, n * sizeof *nodes);
    char text[RK_SETTINGS_VALUE];
    snprintf (text, sizeof text, "%s", value);
    bool none = strcmp (value, "none") == 0;
    if (none) {
        n = 0;
        memset (nodes, 0, sizeof nodes);
    }
    for (char *at = none ? NULL : text, *next; at; at = next) {
        next = strchr (at, ',');
        if (next)
            *next++ = 0;
        if (n == RK_MAX_FLEET)
            return rk_error_set (err, RK_EINVAL, "more than %d nodes", RK_MAX_FLEET);
        rk_err_t code = s_node_parse (&nodes[n], at, row->allowed, err);
        if (code != RK_OK)
            return code;
        for (uint32_t i = 0; i < n; i++)
            if (strcmp (nodes[i].name, nodes[n].name) == 0)
                return rk_error_set (err, RK_EINVAL, "node %s is declared twice", nodes[n].name);
        n++;
    }
    memcpy (s->fleet, nodes, sizeof nodes);
    s->n_fleet = n;
    s->fleet_given = true;
    return RK_OK;
}

static size_t s_nodes_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    if (s->n_fleet == 0)
        return (size_t) snprintf (text, size, "none");
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_fleet; i++) {
        char speed[40];
        s_print_real (speed, sizeof speed, s->fleet[i].speed);
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%s%s %s %llu", i ? ", " : "",
                                s->fleet[i].name, speed, (unsigned long long) s->fleet[i].ram_mb);
    }
    return n;
}

const rk_setting_kind_t rk_kind_nodes = {"node", s_nodes_parse, s_nodes_print};

/* ---- fleet.layout */
static rk_err_t s_layout_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    uint32_t layout[RK_MAX_CLUSTERS] = {0}, n = 0, total = 0;
    char text[RK_SETTINGS_VALUE];
    snprintf (text, sizeof text, "%s", strcmp (value, "planned") == 0 ? "" : value);
    if (!*value || value[strlen (value) - 1] == ',')
        return s_refuse (row, value, err);
    char *rest = NULL;
    for (char *at = strtok_r (text, ", ", &rest); at; at = strtok_r (NULL, ", ", &rest)) {
        uint64_t stages;
        if (!s_parse_u64 (at, &stages) || stages < row->low || stages > row->high)
            return s_refuse (row, value, err);
        total += (uint32_t) stages;
        if (n == RK_MAX_CLUSTERS || total > RK_MAX_FLEET)
            return rk_error_set (err, RK_EINVAL, "\"%.48s\" needs more than %d nodes", value, RK_MAX_FLEET);
        layout[n++] = (uint32_t) stages;
    }
    memcpy (s->fleet_layout, layout, sizeof layout);
    s->n_layout = n;
    return RK_OK;
}

static size_t s_layout_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    if (s->n_layout == 0)
        return (size_t) snprintf (text, size, "planned");
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_layout; i++)
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%s%u", i ? "," : "", s->fleet_layout[i]);
    return n;
}

const rk_setting_kind_t rk_kind_layout = {"layout", s_layout_parse, s_layout_print};

/* ---- ascending integers; 0 ends them in the struct */
static rk_err_t s_ascending_parse (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err)
{
    const size_t most = row->size / sizeof (uint64_t) - 1;
    uint64_t list[256] = {0};
    size_t n = 0;
    char text[RK_SETTINGS_VALUE];
    snprintf (text, sizeof text, "%s", strcmp (value, "none") == 0 ? "" : value);
    if (!*value || value[strlen (value) - 1] == ',')
        return s_refuse (row, value, err);
    char *rest = NULL;
    for (char *at = strtok_r (text, ", ", &rest); at; at = strtok_r (NULL, ", ", &rest)) {
        uint64_t number;
        if (n == most || !s_parse_u64 (at, &number) || number < row->low || number > row->high ||
            (n > 0 && number <= list[n - 1]))
            return s_refuse (row, value, err);
        list[n++] = number;
    }
    memcpy (s_member (s, row), list, row->size);
    return RK_OK;
}

static size_t s_ascending_print (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size)
{
    const uint64_t *list = s_const_member (s, row);
    if (!list[0])
        return (size_t) snprintf (text, size, "none");
    size_t n = 0;
    for (size_t i = 0; list[i]; i++)
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%s%llu", i ? "," : "",
                                (unsigned long long) list[i]);
    return n;
}

const rk_setting_kind_t rk_kind_ascending = {"list", s_ascending_parse, s_ascending_print};
