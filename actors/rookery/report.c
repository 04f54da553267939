/* SPDX-License-Identifier: MPL-2.0
 * rookery report: one page that needs nothing else, from the folder of a benchmark or of a training run.
 * The page's own parts are built into the program; the charts are drawn by Chart.js, read where the system's
 * package has put it.                                                                                     */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/commands.h"
#include "actors/rookery/dbench.h"
#include "actors/rookery/report.h"

#define MAX_BYTES ((size_t) 64 << 20) /* of one file read */
#define NUMBERS 1200000               /* of all looks in a page; more are thinned out */
#define MOST_LOOKS 120                /* of a cell */
#define LEAST_LOOKS 12

static const char *const s_charts[] = {"/usr/share/javascript/chart.js/chart.min.js", "/usr/share/javascript/chart.js/Chart.min.js",
                                       "/usr/share/nodejs/chart.js/dist/chart.min.js", NULL};

/* ---- reading */
static rk_err_t s_read (const char *path, char **text, rk_error_t *err)
{
    *text = NULL;
    FILE *file = fopen (path, "rb");
    if (!file)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    size_t used = 0, room = 1 << 16;
    char *bytes = malloc (room + 1);
    for (size_t n = 1; bytes && n > 0;) {
        if (used == room) {
            char *grown = room < MAX_BYTES ? realloc (bytes, (room *= 2) + 1) : NULL;
            if (!grown)
                free (bytes);
            bytes = grown;
        }
        n = bytes ? fread (bytes + used, 1, room - used, file) : 0;
        used += n;
    }
    fclose (file);
    if (!bytes)
        return rk_error_set (err, RK_ENOMEM, "%s: larger than %zu bytes, or no memory", path, MAX_BYTES);
    bytes[used] = 0;
    *text = bytes;
    return RK_OK;
}


static int s_is_cell (const struct dirent *entry)
{
    const size_t n = strlen (entry->d_name);
    return n > 5 && !strcmp (entry->d_name + n - 5, ".json") && *entry->d_name != '.';
}

/* All cells that are done, also while others are not; the manifest tells how many those are. */
static rk_err_t s_cells (const char *dir, json_t *cells, json_int_t *missing, rk_error_t *err)
{
    char path[RK_GRID_PATH];
    struct dirent **names = NULL;
    snprintf (path, sizeof path, "%s/cells", dir);
    const int n = scandir (path, &names, s_is_cell, alphasort);
    if (n < 0)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    rk_err_t code = RK_OK;
    for (int i = 0; i < n; i++) {
        json_error_t why;
        snprintf (path, sizeof path, "%s/cells/%s", dir, names[i]->d_name);
        free (names[i]);
        json_t *cell = code ? NULL : json_load_file (path, 0, &why);
        const char *format = json_string_value (json_object_get (cell, "format"));
        if (!code && (!format || strcmp (format, "rookery-dbench-cell-1")))
            code = rk_error_set (err, RK_EFORMAT, "%s: not a cell of rookery dbench%s%.80s", path, cell ? "" : ": ", cell ? "" : why.text);
        if (code || json_array_append_new (cells, cell))
            json_decref (cell);
    }
    free (names);
    snprintf (path, sizeof path, "%s/manifest.json", dir);
    json_t *manifest = json_load_file (path, 0, NULL);
    const json_int_t asked = json_integer_value (json_object_get (manifest, "n_cells"));
    *missing += asked > n ? asked - n : 0;
    json_decref (manifest);
    return code;
}

/* ---- a page of bearable size: every k-th look of each cell */
static size_t s_looks (const json_t *cell)
{
    return json_array_size (json_object_get (json_object_get (cell, "probes"), "step"));
}

static bool s_thin (json_t *cell, size_t most)
{
    const size_t n = s_looks (cell), every = (n + most - 1) / most;
    const char *key;
    json_t *values, *probes = json_object_get (cell, "probes");
    json_object_del (cell, "settings");
    if (n <= most)
        return false;
    json_object_foreach (probes, key, values) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i += every)
            json_array_set (values, kept++, json_array_get (values, i));
        while (json_array_size (values) > kept)
            json_array_remove (values, json_array_size (values) - 1);
    }
    return true;
}

static bool s_thin_all (json_t *cells)
{
    size_t per_look = 0, i;
    bool thinned = false;
    json_t *cell;
    json_array_foreach (cells, i, cell)
        per_look += 11 * json_array_size (json_object_get (cell, "tensors"));
    size_t most = per_look ? NUMBERS / per_look : MOST_LOOKS;
    most = most > MOST_LOOKS ? MOST_LOOKS : most < LEAST_LOOKS ? LEAST_LOOKS : most;
    json_array_foreach (cells, i, cell)
        thinned |= s_thin (cell, most);
    return thinned;
}

/* ---- a training run */
static json_t *s_row (char *line)
{
    json_t *row = json_array ();
    for (char *at = line;; at++) {
        const size_t n = strcspn (at, ",");
        json_array_append_new (row, json_stringn (at, n));
        at += n;
        if (!*at)
            return row;
    }
}

static rk_err_t s_run (const char *dir, json_t *data, rk_error_t *err)
{
    char path[RK_GRID_PATH], *text = NULL, *rest = NULL;
    snprintf (path, sizeof path, "%s/metrics.csv", dir);
    rk_err_t code = s_read (path, &text, err);
    if (code)
        return rk_error_set (err, RK_EIO, "%s holds neither cells/ of a benchmark nor metrics.csv of a run", dir);
    json_t *rows = json_array (), *columns = NULL;
    for (char *line = strtok_r (text, "\r\n", &rest); line; line = strtok_r (NULL, "\r\n", &rest)) {
        if (columns)
            json_array_append_new (rows, s_row (line));
        else
            columns = s_row (line);
    }
    json_object_set_new (data, "run", json_pack ("{s:s,s:o,s:o}", "dir", dir, "columns", columns ? columns : json_array (), "rows", rows));
    free (text);
    return RK_OK;
}

static rk_err_t s_collect (const rk_args_t *args, json_t *data, rk_error_t *err)
{
    json_t *cells = json_array ();
    json_int_t missing = 0;
    rk_err_t code = RK_OK;
    json_object_set_new (data, "cells", cells);
    for (size_t i = 0; i < args->n_words && !code; i++) {
        char path[RK_GRID_PATH];
        snprintf (path, sizeof path, "%s/cells", args->words[i]);
        DIR *dir = opendir (path);
        if (dir)
            closedir (dir);
        code = dir ? s_cells (args->words[i], cells, &missing, err) : s_run (args->words[i], data, err);
    }
    json_object_set_new (data, "missing", json_integer (missing));
    json_object_set_new (data, "thinned", json_boolean (s_thin_all (cells)));
    return code;
}

/* ---- writing */
/* "</script>" inside a script would end it. */
static void s_put_script (FILE *out, const char *text)
{
    for (; *text; text++)
        if (text[0] == '<' && text[1] == '/')
            fputs ("<\\/", out), text++;
        else
            fputc (*text, out);
}

static void s_put_part (FILE *out, const char *name, size_t length, const char *chart, const char *data)
{
    if (!strncmp (name, "STYLE", length))
        fputs (rk_report_style, out);
    else if (!strncmp (name, "CHART", length))
        s_put_script (out, chart);
    else if (!strncmp (name, "DATA", length))
        s_put_script (out, data);
    else
        for (size_t i = 0; rk_report_scripts[i]; i++)
            fputs (rk_report_scripts[i], out);
}

/* The page with its @PARTS@ in place. */
static void s_put_page (FILE *out, const char *chart, const char *data)
{
    const char *at = rk_report_page;
    for (const char *mark; (mark = strchr (at, '@')) != NULL;) {
        const char *end = strchr (mark + 1, '@');
        if (!end)
            break;
        fwrite (at, 1, (size_t) (mark - at), out);
        s_put_part (out, mark + 1, (size_t) (end - mark - 1), chart, data);
        at = end + 1;
    }
    fputs (at, out);
}

static rk_err_t s_chart (char **text, rk_error_t *err)
{
    for (int i = 0; s_charts[i]; i++)
        if (!s_read (s_charts[i], text, NULL))
            return RK_OK;
    return rk_error_set (err, RK_EIO, "Chart.js is not installed: %s is missing (Debian: libjs-chart.js)", s_charts[0]);
}

static rk_err_t s_write (const rk_args_t *args, const char *chart, const json_t *data, char path[RK_GRID_PATH], rk_error_t *err)
{
    const char *output = rk_args_get (args, "output");
    char *text = json_dumps (data, JSON_COMPACT | JSON_REAL_PRECISION (5)), *page = NULL;
    size_t size = 0;
    FILE *out = text ? open_memstream (&page, &size) : NULL;
    if (out)
        s_put_page (out, chart, text);
    const bool failed = !out || fclose (out) != 0;
    if (output)
        snprintf (path, RK_GRID_PATH, "%s", output);
    else
        snprintf (path, RK_GRID_PATH, "%s/report.html", args->words[0]);
    rk_err_t code = failed ? rk_error_set (err, RK_ENOMEM, "no memory for the page") : rk_write_text (path, page, size, err);
    free (text);
    free (page);
    return code;
}

int rk_command_report (const rk_args_t *args)
{
    rk_error_t err = {0};
    char *chart = NULL, path[RK_GRID_PATH];
    json_t *data = json_object ();
    rk_err_t code = s_chart (&chart, &err);
    if (!code)
        code = s_collect (args, data, &err);
    if (!code)
        code = s_write (args, chart, data, path, &err);
    if (!code)
        printf ("%s: %zu trainings\n", path, json_array_size (json_object_get (data, "cells")));
    free (chart);
    json_decref (data);
    return code ? rk_program_fail (&err) : RK_EXIT_DONE;
}
