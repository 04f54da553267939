/* SPDX-License-Identifier: MPL-2.0
 * What the files of a cell share. Private to them.                                                    */
#ifndef RK_CLUSTER_STACK_CELL_PARTS_H
#define RK_CLUSTER_STACK_CELL_PARTS_H
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
    double *norms, *sorted;      /* (n, tensors); (n) */
    double *mean, *square[2];    /* (tensors) */
    double *metric[2][RK_CELL_N_METRICS];
} rk_cell_look_t;
rk_err_t rk_cell_look_new (rk_cell_look_t *look, const rk_stack_t *stack, rk_error_t *err) RK_MUST_CHECK;
void rk_cell_look_free (rk_cell_look_t *look);
/* when: 0 before mixing, 1 after. */
void rk_cell_look (rk_cell_look_t *look, rk_stack_t *stack, int when);

/* The test after a pass: replicas one by one and their mean. */
rk_err_t rk_cell_test (const rk_cell_t *cell, rk_stack_t *stack, float *flat, rk_cell_pass_t *out, rk_error_t *err) RK_MUST_CHECK;

#endif
