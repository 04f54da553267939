/* SPDX-License-Identifier: MPL-2.0
 * Norms of tensors and of gradients. One tensor is always summed in the same order, and tensors are added one
 * after the other in double, the last of the model first: the order in which gradients come. So neither the
 * cuts of a model nor the kernel set change a bit.                                                       */
#ifndef RK_COMPUTE_OPTIM_NORM_H
#define RK_COMPUTE_OPTIM_NORM_H
#include "compute/model.h"

double rk_sum_of_squares (size_t n, const float *x);

/* Of each tensor of layers [first, last), the last first; 0 for buffers. grads: these layers' part of the flat
 * vector. squares: room for every tensor of the model. Returns their number.                              */
size_t rk_grad_squares (const rk_model_t *model, int first, int last, const float *grads, double *squares);

/* `above` + each of them in turn. *bad (may be NULL): which of them first made the sum no finite number; unchanged
 * when none did.                                                                                         */
double rk_add_squares (double above, size_t n, const double *squares, size_t *bad);

/* The tensor that stands at place `at` of rk_grad_squares (.., last, ..). */
const rk_param_t *rk_grad_squares_param (const rk_model_t *model, int last, size_t at);

#endif
