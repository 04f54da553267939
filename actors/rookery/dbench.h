/* SPDX-License-Identifier: MPL-2.0
 * rookery dbench: what its files share. A grid is a run file: keys of a cell, and a section "grid" whose keys hold
 * several values between commas. The first word of a value is the key's; "name=value" words behind it set further
 * keys of the same section (or whole keys, when there is a dot in the name):
 *   grid
 *       average.graph = ring, lattice degree=8, complete dbench.centralised=on
 *       dbench.replicas = 8, 24                                                                            */
#ifndef RK_ACTORS_ROOKERY_DBENCH_H
#define RK_ACTORS_ROOKERY_DBENCH_H
#include <jansson.h>
#include "actors/rookery/args.h"
#include "cluster/stack/cell.h"

#define RK_GRID_MAX_AXES 12
#define RK_GRID_MAX_VALUES 64
#define RK_GRID_MAX_CELLS 20000
#define RK_GRID_TEXT 256
#define RK_GRID_ID 96
#define RK_GRID_PATH 512

typedef struct {
    char key[64];
    char values[RK_GRID_MAX_VALUES][RK_GRID_TEXT];
    size_t n_values;
} rk_grid_axis_t;

typedef struct {
    char dir[RK_GRID_TEXT];
    rk_cell_t base;
    rk_grid_axis_t axes[RK_GRID_MAX_AXES];
    size_t n_axes, n_cells;
} rk_grid_t;

/* errors: RK_EIO, RK_EINVAL, RK_ENOTFOUND: file and line, or the cell's values. Every cell is made and checked. */
rk_err_t rk_grid_read (rk_grid_t *grid, const char *path, rk_error_t *err) RK_MUST_CHECK;
/* Cell idx, the last axis running fastest. id: a file name made of its values and a hash of all its keys. */
rk_err_t rk_grid_cell (const rk_grid_t *grid, size_t idx, rk_cell_t *cell, char id[RK_GRID_ID], rk_error_t *err) RK_MUST_CHECK;

/* DIR/cells/ID.json, whole or not at all. */
void rk_grid_path (const rk_grid_t *grid, const char *id, const char *ending, char path[RK_GRID_PATH]);
bool rk_grid_is_done (const rk_grid_t *grid, const char *id);

/* Trains the cell and writes its result and how long it took. quiet: no line per pass. prefix: of these lines. */
typedef struct {
    const rk_grid_t *grid;
    const rk_cell_t *cell;
    const rk_data_t *data;
    const char *id, *prefix;
    uint32_t threads;
    bool quiet;
    const volatile bool *interrupted;
} rk_grid_work_t;
rk_err_t rk_grid_work (const rk_grid_work_t *work, rk_error_t *err) RK_MUST_CHECK;

/* What is known about the cell's graph before it runs, at the first and the last pass; NULL: no memory. */
json_t *rk_grid_facts (const rk_cell_t *cell);

/* results.csv, passes.csv, probes.csv, timing.csv and manifest.json of all cells that are done. */
rk_err_t rk_grid_collect (const rk_grid_t *grid, size_t *n_done, rk_error_t *err) RK_MUST_CHECK;

rk_err_t rk_write_text (const char *path, const char *text, size_t size, rk_error_t *err) RK_MUST_CHECK;

#endif
