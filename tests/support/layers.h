/* SPDX-License-Identifier: MPL-2.0
 * One or more layers as a slice of their own: what their values and gradients are tested with. The scalar
 * is L = sum of c[i] y[i] in double precision with random c, or the mean loss if the layer is the loss.
 * Whatever fails here fails the test.                                                                */
#ifndef RK_TESTS_SUPPORT_LAYERS_H
#define RK_TESTS_SUPPORT_LAYERS_H
#include "compute/slice.h"

#define RK_CHECK_BATCH 3
#define RK_CHECK_MAX_IN 4 /* tensors that may enter the slice */

typedef struct {
    rk_model_t *model; /* owned */
    rk_slice_t *slice;
    int first, last; /* layers under test */
    size_t n;        /* samples */
    int n_in;
    size_t in_len[RK_CHECK_MAX_IN], out_len, flat_len; /* floats */
    float *in[RK_CHECK_MAX_IN], *gin[RK_CHECK_MAX_IN];
    float *out, *c, *flat, *grads;
    void *labels;
    bool loss; /* the layer is the loss */
} rk_check_t;

/* Takes the model and seals it. The inputs get different values at least 0.05 apart and none within 0.02 of
 * zero, in random order: no difference of 0.02 crosses a kink of relu or a tie of maxpool.            */
rk_check_t *rk_check_new (rk_model_t *model, int first, int last);
rk_check_t *rk_check_new_n (rk_model_t *model, int first, int last, size_t n); /* instead of RK_CHECK_BATCH samples */
void rk_check_destroy (rk_check_t *check);

/* L after a forward in TRAIN mode; the context stays busy. */
double rk_check_forward (rk_check_t *check);
/* Forward and both backwards: gin and grads. */
void rk_check_backward (rk_check_t *check);

/* How many of n gradients are not the central difference quotient of L in `values`. */
int rk_check_wrong (rk_check_t *check, float *values, const float *grads, size_t n, float step);

/* All input and parameter gradients of layers [first, last) of the model, which it takes, with a minibatch of one
 * sample and of RK_CHECK_BATCH. */
#define RK_CHECK_LINEAR_STEP 0.25f /* where L is linear in each value, a long step costs nothing */
#define RK_CHECK_SMALL_STEP 0.01f
void rk_check_gradients (rk_model_t *model, int first, int last, float step);

/* A model whose tensor 1 needs a gradient and has this shape; layer 0 is not under test. */
rk_model_t *rk_check_head (size_t channels, size_t height, size_t width);
/* Flatten, a linear layer and the loss behind tensor t. */
void rk_check_tail (rk_model_t *model, int t);

#endif
