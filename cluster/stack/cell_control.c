/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>

#include "cluster/stack/cell_parts.h"

rk_err_t rk_cell_control_open (rk_cell_control_t *self, const rk_cell_t *cell, double lr, rk_error_t *err)
{
    uint32_t values[RK_CONTROL_LADDER];
    const rk_graph_config_t graph = rk_cell_graph (cell);
    rk_control_config_t config = {.values = values, .ratio = cell->control_ratio, .lr_peak = lr, .settle = cell->control_settle};
    self->on = cell->control && !cell->centralised;
    if (!self->on)
        return RK_OK;
    rk_err_t code = rk_control_ladder (&graph, values, &config.n_values, err);
    if (!code)
        code = rk_control_init (&self->control, &config, err);
    if (code)
        return code;
    self->records[self->n_records++] = (rk_control_record_t){0, values[config.n_values - 1]};
    return RK_OK;
}

uint32_t rk_cell_control_at (const rk_cell_control_t *self, uint64_t round)
{
    return self->on ? rk_control_at (self->records, self->n_records, round) : 0;
}

void rk_cell_control_observe (rk_cell_control_t *self, uint64_t round, double square, double lr)
{
    if (self->on && self->n_records < RK_CELL_MAX_RECORDS &&
        rk_control_observe (&self->control, round, sqrt (square), lr, &self->records[self->n_records]))
        self->n_records++;
}
