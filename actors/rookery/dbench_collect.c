/* SPDX-License-Identifier: MPL-2.0
 * Tables of all cells that are done, in the order of the grid: the same bytes however often the work was stopped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/dbench.h"
#include "compute/blas.h"

typedef struct {
    char *text;
    size_t size;
    FILE *file;
} s_table_t;

enum { RESULTS, PASSES, PROBES, TIMING, N_TABLES };

static const struct {
    const char *name, *head;
} s_tables[N_TABLES] = {
    {"results.csv", "id,app,host,n,seed,rule,params,steps,lr,diverged,degree,accuracy,accuracy_deviation,mean_accuracy,loss,mean_loss,"
                    "train_loss,square,early_gini,virtual_s,sent_bytes\n"},
    {"passes.csv", "id,pass,step,lr,degree,train_loss,accuracy,accuracy_least,accuracy_most,accuracy_deviation,loss,mean_accuracy,"
                   "mean_loss,square,virtual_s,sent_bytes\n"},
    {"probes.csv", "id,step,pass,lr,degree,tensor,norm,gini_before,dispersion_before,cv_before,quartile_before,square_before,gini_after,"
                   "dispersion_after,cv_after,quartile_after,square_after\n"},
    {"timing.csv", "id,wall_s,cpu_s,threads\n"},
};

static const char *s_text (const json_t *object, const char *key)
{
    const char *text = json_string_value (json_object_get (object, key));
    return text ? text : "";
}

/* One field and a comma before it; nothing for what is not a number. */
static void s_field (FILE *file, const json_t *value)
{
    if (json_is_integer (value))
        fprintf (file, ",%lld", (long long) json_integer_value (value));
    else if (json_is_real (value))
        fprintf (file, ",%.7g", json_real_value (value));
    else
        fprintf (file, ",");
}

static void s_fields (FILE *file, const json_t *object, const char *const *keys)
{
    for (; *keys; keys++)
        s_field (file, json_object_get (object, *keys));
}

/* Mean Gini over tensors and the looks of the first tenth of all steps (ada.md §7.6). */
static double s_early_gini (const json_t *cell)
{
    const json_t *probes = json_object_get (cell, "probes"), *ginis = json_object_get (probes, "gini_before");
    const json_t *steps = json_object_get (probes, "step");
    const double limit = 0.1 * (double) json_integer_value (json_object_get (cell, "steps"));
    double sum = 0;
    size_t n = 0, i, p;
    json_t *look, *value;
    json_array_foreach ((json_t *) (uintptr_t) ginis, i, look) {
        if (i > 0 && (double) json_integer_value (json_array_get (steps, i)) >= limit)
            break;
        json_array_foreach (look, p, value) {
            sum += json_number_value (value);
            n++;
        }
    }
    return n ? sum / (double) n : 0;
}

static void s_result (FILE *file, const json_t *cell)
{
    static const char *const cell_keys[] = {"params", "steps", "lr", NULL};
    static const char *const last_keys[] = {"degree", "accuracy", "accuracy_deviation", "mean_accuracy", "loss", "mean_loss", "train_loss",
                                            "square", NULL};
    static const char *const cost_keys[] = {"virtual_s", "sent_bytes", NULL};
    const json_t *passes = json_object_get (cell, "passes"), *diverged = json_object_get (cell, "diverged");
    const json_t *last = json_array_get (passes, json_array_size (passes) ? json_array_size (passes) - 1 : 0);
    fprintf (file, "%s,%s,%s,%lld,%lld,%s", s_text (cell, "id"), s_text (cell, "app"), s_text (cell, "host"),
             (long long) json_integer_value (json_object_get (cell, "n")), (long long) json_integer_value (json_object_get (cell, "seed")),
             s_text (cell, "rule"));
    s_fields (file, cell, cell_keys);
    s_field (file, json_object_get (diverged, "step"));
    s_fields (file, last, last_keys);
    fprintf (file, ",%.7g", s_early_gini (cell));
    s_fields (file, last, cost_keys);
    fprintf (file, "\n");
}

static void s_passes (FILE *file, const json_t *cell)
{
    static const char *const keys[] = {"pass", "step", "lr", "degree", "train_loss", "accuracy", "accuracy_least", "accuracy_most",
                                       "accuracy_deviation", "loss", "mean_accuracy", "mean_loss", "square", "virtual_s", "sent_bytes", NULL};
    size_t i;
    json_t *pass;
    json_array_foreach (json_object_get (cell, "passes"), i, pass) {
        fprintf (file, "%s", s_text (cell, "id"));
        s_fields (file, pass, keys);
        fprintf (file, "\n");
    }
}

static void s_probes (FILE *file, const json_t *cell)
{
    static const char *const look_keys[] = {"step", "pass", "lr", "degree", NULL};
    static const char *const tensor_keys[] = {"norm", "gini_before", "dispersion_before", "cv_before", "quartile_before", "square_before",
                                              "gini_after", "dispersion_after", "cv_after", "quartile_after", "square_after", NULL};
    const json_t *probes = json_object_get (cell, "probes"), *tensors = json_object_get (cell, "tensors");
    for (size_t i = 0; i < json_array_size (json_object_get (probes, "step")); i++)
        for (size_t p = 0; p < json_array_size (tensors); p++) {
            fprintf (file, "%s", s_text (cell, "id"));
            for (size_t k = 0; look_keys[k]; k++)
                s_field (file, json_array_get (json_object_get (probes, look_keys[k]), i));
            fprintf (file, ",%s", json_string_value (json_array_get (tensors, p)));
            for (size_t k = 0; tensor_keys[k]; k++)
                s_field (file, json_array_get (json_array_get (json_object_get (probes, tensor_keys[k]), i), p));
            fprintf (file, "\n");
        }
}

static json_t *s_load (const rk_grid_t *grid, const char *id, const char *ending)
{
    char path[RK_GRID_PATH];
    rk_grid_path (grid, id, ending, path);
    return json_load_file (path, 0, NULL);
}

static void s_add_cell (s_table_t tables[N_TABLES], const rk_grid_t *grid, const char *id, const json_t *cell)
{
    static const char *const time_keys[] = {"wall_s", "cpu_s", "threads", NULL};
    s_result (tables[RESULTS].file, cell);
    s_passes (tables[PASSES].file, cell);
    s_probes (tables[PROBES].file, cell);
    json_t *time = s_load (grid, id, ".time");
    if (time) {
        fprintf (tables[TIMING].file, "%s", id);
        s_fields (tables[TIMING].file, time, time_keys);
        fprintf (tables[TIMING].file, "\n");
    }
    json_decref (time);
}

static json_t *s_axes (const rk_grid_t *grid)
{
    json_t *axes = json_object ();
    for (size_t a = 0; a < grid->n_axes; a++) {
        json_t *values = json_array ();
        for (size_t v = 0; v < grid->axes[a].n_values; v++)
            json_array_append_new (values, json_string (grid->axes[a].values[v]));
        json_object_set_new (axes, grid->axes[a].key, values);
    }
    return axes;
}

static rk_err_t s_write_all (const rk_grid_t *grid, s_table_t tables[N_TABLES], json_t *manifest, rk_error_t *err)
{
    char path[RK_GRID_PATH];
    rk_err_t code = RK_OK;
    for (int t = 0; t < N_TABLES && !code; t++) {
        fflush (tables[t].file);
        snprintf (path, sizeof path, "%s/%s", grid->dir, s_tables[t].name);
        code = rk_write_text (path, tables[t].text, tables[t].size, err);
    }
    char *text = code ? NULL : json_dumps (manifest, JSON_INDENT (1));
    if (!code && !text)
        code = rk_error_set (err, RK_ENOMEM, "out of memory");
    snprintf (path, sizeof path, "%s/manifest.json", grid->dir);
    if (!code)
        code = rk_write_text (path, text, strlen (text), err);
    free (text);
    return code;
}

rk_err_t rk_grid_collect (const rk_grid_t *grid, size_t *n_done, rk_error_t *err)
{
    s_table_t tables[N_TABLES] = {{0}};
    rk_err_t code = RK_OK;
    json_t *cells = json_array (), *manifest = json_pack ("{s:s,s:s,s:I}", "format", "rookery-dbench-1", "kernels", rk_blas_kernels (), "n_cells", (json_int_t) grid->n_cells);
    *n_done = 0;
    for (int t = 0; t < N_TABLES; t++) {
        tables[t].file = open_memstream (&tables[t].text, &tables[t].size);
        if (!tables[t].file)
            code = rk_error_set (err, RK_ENOMEM, "out of memory");
        else
            fputs (s_tables[t].head, tables[t].file);
    }
    for (size_t i = 0; i < grid->n_cells && !code; i++) {
        rk_cell_t cell;
        char id[RK_GRID_ID];
        code = rk_grid_cell (grid, i, &cell, id, err);
        json_t *root = code ? NULL : s_load (grid, id, ".json");
        if (!root)
            continue;
        s_add_cell (tables, grid, id, root);
        json_array_append_new (cells, json_pack ("{s:s,s:O}", "id", id, "settings", json_object_get (root, "settings")));
        json_decref (root);
        ++*n_done;
    }
    json_object_set_new (manifest, "axes", s_axes (grid));
    json_object_set_new (manifest, "cells", cells);
    if (!code)
        code = s_write_all (grid, tables, manifest, err);
    for (int t = 0; t < N_TABLES; t++) {
        if (tables[t].file)
            fclose (tables[t].file);
        free (tables[t].text);
    }
    json_decref (manifest);
    return code;
}
