/* SPDX-License-Identifier: MPL-2.0
 * Norms of tensors and of gradients. One tensor is always summed in the same order and tensors one after the
 * other in double, so that a sum does not depend on where the model is cut.                             */
#ifndef RK_COMPUTE_OPTIM_NORM_H
#define RK_COMPUTE_OPTIM_NORM_H
#include "compute/model.h"

/* Sum of x^2: the same bits with every kernel set. */
double rk_sum_of_squares (size_t n, const float *x);

/* `below` + the sum of squares of the trainable tensors of layers [first, last), the last tensor first: the
 * order in which gradients come. grads: these layers' part of the flat vector. *bad: index of the first tensor
 * that made the sum NaN or infinite; unchanged when none did.                                             */
double rk_grad_sum_of_squares (const rk_model_t *model, int first, int last, const float *grads, double below,
                               size_t *bad);

#endif
