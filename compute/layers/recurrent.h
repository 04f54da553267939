/* SPDX-License-Identifier: MPL-2.0
 * What LSTM and GRU share: a whole sequence forward, and backward through time, inside one layer.
 * x: (S, F) per sample, y: (S, H); the state before the first step is zero. The product with the inputs of all
 * steps is one; each step adds its product with h. Four gates are kept per unit, time-major, as rk_vec_cell_t has
 * them. Private to compute/layers/.                                                                   */
#ifndef RK_COMPUTE_LAYERS_RECURRENT_H
#define RK_COMPUTE_LAYERS_RECURRENT_H
#include "compute/kernels/vec.h"
#include "compute/layer.h"

/* Blocks of H rows of weight_hh and the gates that their products with h belong to. */
typedef struct {
    size_t block, gate, count;
} rk_cell_part_t;

typedef struct {
    size_t n_blocks; /* of H rows in each weight: gate b takes the inputs' product with block b */
    bool has_state;  /* besides h */
    int n_parts;
    rk_cell_part_t part[2];
    void (*forward) (size_t n, const rk_vec_cell_t *at);
    void (*backward) (size_t n, const rk_vec_cell_t *at);
} rk_cell_t;

/* The functions of a layer type, with its cell. backward_input leaves in save what backward_params reads. */
rk_err_t rk_recurrent_infer (const rk_cell_t *cell, rk_layer_t *layer, rk_error_t *err) RK_MUST_CHECK;
void rk_recurrent_forward (const rk_cell_t *cell, const rk_layer_call_t *call);
void rk_recurrent_backward_input (const rk_cell_t *cell, const rk_layer_call_t *call);
void rk_recurrent_backward_params (const rk_cell_t *cell, const rk_layer_call_t *call);
void rk_recurrent_need (const rk_cell_t *cell, const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);

#endif
