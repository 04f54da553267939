/* SPDX-License-Identifier: MPL-2.0
 * What the files of a cell share. Private to them.                                                    */
#ifndef RK_CLUSTER_STACK_CELL_PARTS_H
#define RK_CLUSTER_STACK_CELL_PARTS_H
#include "cluster/control.h"
#include "cluster/stack/cell.h"

/* Everything a cell is made into before it runs. */
typedef struct {
    rk_graph_t *graph; /* NULL: centralised */
    rk_stack_config_t stack;
    float lr;
} rk_cell_made_t;
rk_err_t rk_cell_make (const rk_cell_t *cell, const rk_data_t *data, rk_pool_t *pool, rk_cell_made_t *made, rk_error_t *err) RK_MUST_CHECK;

/* Memory of looks at a stack. */
typedef struct {
    size_t n, n_tensors;
    double *norms, *values, *sorted; /* (n, tensors); (n); (n) */
    double *mean, *square[2];    /* (tensors) */
    double *metric[2][RK_CELL_N_METRICS];
} rk_cell_look_t;
rk_err_t rk_cell_look_new (rk_cell_look_t *look, const rk_stack_t *stack, rk_error_t *err) RK_MUST_CHECK;
void rk_cell_look_free (rk_cell_look_t *look);
/* when: 0 before mixing, 1 after. */
void rk_cell_look (rk_cell_look_t *look, rk_stack_t *stack, int when);

/* Closed loop: the leader's part, on true distances of the looks (cluster/control.h). */
#define RK_CELL_MAX_RECORDS 1024
typedef struct {
    bool on;
    rk_control_t control;
    rk_control_record_t records[RK_CELL_MAX_RECORDS];
    size_t n_records;
} rk_cell_control_t;
rk_err_t rk_cell_control_open (rk_cell_control_t *self, const rk_cell_t *cell, double lr, rk_error_t *err) RK_MUST_CHECK;
uint32_t rk_cell_control_at (const rk_cell_control_t *self, uint64_t round);
void rk_cell_control_observe (rk_cell_control_t *self, uint64_t round, double square, double lr);

/* The graph's keys with name, n and seed filled in. */
rk_graph_config_t rk_cell_graph (const rk_cell_t *cell);

/* The test after a pass: replicas one by one and their mean. */
rk_err_t rk_cell_test (const rk_cell_t *cell, rk_stack_t *stack, float *flat, rk_cell_pass_t *out, rk_error_t *err) RK_MUST_CHECK;

#endif
