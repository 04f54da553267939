/* SPDX-License-Identifier: MPL-2.0
 * Element-wise helpers shared by layers. Lengths in floats; results never depend on alignment.       */
#ifndef RK_COMPUTE_LAYERS_VECTOR_H
#define RK_COMPUTE_LAYERS_VECTOR_H
#include <stddef.h>

void rk_vec_relu (float *y, const float *x, size_t n);                            /* y may be x */
void rk_vec_relu_back (float *gx, const float *gy, const float *y, size_t n);     /* gx may be gy */
void rk_vec_sum (float *out, const float *a, const float *b, size_t n);           /* out may be a or b */
void rk_vec_add_row (float *y, const float *row, size_t n_rows, size_t n);        /* y: (n_rows, n) += row */
void rk_vec_sum_rows (float *sum, const float *x, size_t n_rows, size_t n);       /* sum: (n) += rows of x */

#endif
