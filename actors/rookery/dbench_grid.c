/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "actors/rookery/dbench.h"
#include "actors/rookery/runfile.h"

/* ---- reading */
static rk_err_t s_add_value (rk_grid_axis_t *axis, const char *value, size_t length, rk_error_t *err)
{
    while (length && value[length - 1] == ' ')
        length--;
    if (!length || length >= RK_GRID_TEXT)
        return rk_error_set (err, RK_EINVAL, "grid.%s: value %zu is empty or longer than %d characters", axis->key,
                             axis->n_values + 1, RK_GRID_TEXT - 1);
    if (axis->n_values == RK_GRID_MAX_VALUES)
        return rk_error_set (err, RK_EINVAL, "grid.%s: more than %d values", axis->key, RK_GRID_MAX_VALUES);
    memcpy (axis->values[axis->n_values], value, length);
    axis->values[axis->n_values++][length] = 0;
    return RK_OK;
}

static rk_err_t s_add_axis (rk_grid_t *grid, const char *key, const char *value, rk_error_t *err)
{
    if (grid->n_axes == RK_GRID_MAX_AXES || strlen (key) >= sizeof grid->axes->key)
        return rk_error_set (err, RK_EINVAL, "grid.%.48s: too long, or more than %d axes", key, RK_GRID_MAX_AXES);
    for (size_t a = 0; a < grid->n_axes; a++)
        if (!strcmp (grid->axes[a].key, key))
            return rk_error_set (err, RK_EINVAL, "grid.%s is there twice", key);
    rk_grid_axis_t *axis = &grid->axes[grid->n_axes++];
    snprintf (axis->key, sizeof axis->key, "%s", key);
    rk_err_t code = RK_OK;
    for (const char *at = value; !code;) {
        at += strspn (at, " ");
        const size_t length = strcspn (at, ",");
        code = s_add_value (axis, at, length, err);
        if (!at[length])
            break;
        at += length + 1;
    }
    return code;
}

static rk_err_t s_set (void *arg, const char *key, const char *value, rk_error_t *err)
{
    rk_grid_t *grid = arg;
    if (!strncmp (key, "grid.", 5))
        return s_add_axis (grid, key + 5, value, err);
    if (!strcmp (key, "run.dir")) {
        if (strlen (value) >= sizeof grid->dir)
            return rk_error_set (err, RK_EINVAL, "run.dir is longer than %zu characters", sizeof grid->dir - 1);
        snprintf (grid->dir, sizeof grid->dir, "%s", value);
        return RK_OK;
    }
    return rk_cell_set (&grid->base, key, value, err);
}

static rk_err_t s_check_all (const rk_grid_t *grid, rk_error_t *err)
{
    for (size_t i = 0; i < grid->n_cells; i++) {
        rk_cell_t cell;
        char id[RK_GRID_ID], label[64];
        rk_err_t code = rk_grid_cell (grid, i, &cell, id, err);
        if (!code)
            code = rk_cell_check (&cell, err);
        if (code)
            return rk_error_wrap (err, code, "cell %zu (%s, %s, n = %u)", i + 1, cell.settings.model_name,
                                  rk_cell_label (&cell, label), cell.n);
    }
    return RK_OK;
}

rk_err_t rk_grid_read (rk_grid_t *grid, const char *path, rk_error_t *err)
{
    memset (grid, 0, sizeof *grid);
    rk_cell_default (&grid->base);
    rk_err_t code = rk_runfile_each (path, s_set, grid, err);
    if (code)
        return code;
    grid->n_cells = 1;
    for (size_t a = 0; a < grid->n_axes; a++) {
        grid->n_cells *= grid->axes[a].n_values;
        if (grid->n_cells > RK_GRID_MAX_CELLS)
            return rk_error_set (err, RK_EINVAL, "%s: more than %d cells", path, RK_GRID_MAX_CELLS);
    }
    if (!*grid->dir) { /* beside nothing else: the file's own name */
        const char *name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
        snprintf (grid->dir, sizeof grid->dir, "runs/dbench-%.*s", (int) strcspn (name, "."), name);
    }
    code = s_check_all (grid, err);
    return code ? rk_error_wrap (err, code, "%s", path) : RK_OK;
}

/* ---- cells */
/* "lattice degree=8" of the axis average.graph. */
static rk_err_t s_apply (rk_cell_t *cell, const rk_grid_axis_t *axis, const char *value, rk_error_t *err)
{
    char text[RK_GRID_TEXT], key[2 * RK_GRID_TEXT], *rest = NULL;
    snprintf (text, sizeof text, "%s", value);
    char *word = strtok_r (text, " ", &rest);
    rk_err_t code = rk_cell_set (cell, axis->key, word, err);
    while (!code && (word = strtok_r (NULL, " ", &rest))) {
        char *equals = strchr (word, '=');
        if (!equals)
            return rk_error_set (err, RK_EINVAL, "grid.%s: \"%s\" in \"%s\" is not name=value", axis->key, word, value);
        *equals = 0;
        if (strchr (word, '.'))
            snprintf (key, sizeof key, "%s", word);
        else if (!strcmp (word, "label"))
            snprintf (key, sizeof key, "dbench.label");
        else
            snprintf (key, sizeof key, "%.*s.%s", (int) strcspn (axis->key, "."), axis->key, word);
        code = rk_cell_set (cell, key, equals + 1, err);
    }
    return code;
}

static rk_err_t s_name (const rk_grid_t *grid, const size_t *at, const rk_cell_t *cell, char id[RK_GRID_ID], rk_error_t *err)
{
    const size_t size = rk_cell_write (cell, NULL, 0);
    char *text = malloc (size + 1);
    size_t n = 0;
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    rk_cell_write (cell, text, size + 1);
    for (size_t a = 0; a < grid->n_axes; a++) {
        const char *value = grid->axes[a].values[at[a]];
        if (n && n < RK_GRID_ID - 18)
            id[n++] = '_';
        for (; *value && n < RK_GRID_ID - 18; value++)
            id[n++] = strchr (" /=:+()", *value) ? '-' : *value;
    }
    snprintf (id + n, RK_GRID_ID - n, "%s%016llx", n ? "_" : "",
              (unsigned long long) XXH64 (text, size, 1));
    free (text);
    return RK_OK;
}

rk_err_t rk_grid_cell (const rk_grid_t *grid, size_t idx, rk_cell_t *cell, char id[RK_GRID_ID], rk_error_t *err)
{
    size_t at[RK_GRID_MAX_AXES];
    for (size_t a = grid->n_axes, left = idx; a-- > 0; left /= grid->axes[a].n_values)
        at[a] = left % grid->axes[a].n_values;
    *cell = grid->base;
    rk_err_t code = RK_OK;
    for (size_t a = 0; a < grid->n_axes && !code; a++)
        code = s_apply (cell, &grid->axes[a], grid->axes[a].values[at[a]], err);
    return code ? code : s_name (grid, at, cell, id, err);
}

void rk_grid_path (const rk_grid_t *grid, const char *id, const char *ending, char path[RK_GRID_PATH])
{
    snprintf (path, RK_GRID_PATH, "%s/cells/%s%s", grid->dir, id, ending);
}

bool rk_grid_is_done (const rk_grid_t *grid, const char *id)
{
    char path[RK_GRID_PATH];
    rk_grid_path (grid, id, ".json", path);
    return access (path, R_OK) == 0;
}
