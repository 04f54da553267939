/* SPDX-License-Identifier: MPL-2.0
 * A model cut into slices that run one after the other in one thread, as a pipeline of stages would run
 * them, but without messages: what tests compare with the model in one piece.                        */
#ifndef RK_TESTS_SUPPORT_CHAIN_H
#define RK_TESTS_SUPPORT_CHAIN_H
#include "compute/slice.h"

#define RK_CHAIN_MAX 80

typedef struct {
    const rk_model_t *model; /* borrowed */
    int n_slices, n_contexts;
    int cut[RK_CHAIN_MAX + 1]; /* slice s holds layers [cut[s], cut[s + 1]) */
    rk_slice_t *slices[RK_CHAIN_MAX];
    size_t batch;
    float *values[RK_CHAIN_MAX + 1]; /* boundary at each cut: all its tensors, once per context */
    float *grads_at[RK_CHAIN_MAX + 1];
    float *x;       /* (batch, input), once per context */
    void *labels; /* (batch, labels), once per context */
    float *grads;   /* of the whole flat vector */
    float *tied_flat, *tied_grads; /* of the slice with the copy of a tied tensor; NULL: none */
    rk_loss_t loss; /* of the last forward */
} rk_chain_t;

/* cuts: n_slices - 1 layers, ascending. Fails the test if anything fails. */
rk_chain_t *rk_chain_new (const rk_model_t *model, const int *cuts, int n_slices, const rk_slice_config_t *config);
/* n_slices parts as equal in layers as possible. */
rk_chain_t *rk_chain_new_even (const rk_model_t *model, int n_slices, const rk_slice_config_t *config);
void rk_chain_destroy (rk_chain_t **chain_p);

/* Minibatch f of n samples whose values are a function of f, at the whole model's parameters `flat`. */
void rk_chain_forward (rk_chain_t *chain, int ctx, uint64_t f, size_t n, float *flat, float *stats);
/* Both backward passes of every slice; adds into chain->grads; releases the context. */
void rk_chain_backward (rk_chain_t *chain, int ctx, const float *flat);

/* Logits or whatever the last slice before the loss gives: the value of `tensor` in ctx; it must cross a cut. */
const float *rk_chain_value (const rk_chain_t *chain, int ctx, int tensor);

#endif
