/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/vector.h"

void rk_vec_relu (float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

void rk_vec_relu_back (float *gx, const float *gy, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gx[i] = y[i] > 0 ? gy[i] : 0;
}

void rk_vec_sum (float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

void rk_vec_add_row (float *y, const float *row, size_t n_rows, size_t n)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n; i++)
            y[r * n + i] += row[i];
}

void rk_vec_sum_rows (float *sum, const float *x, size_t n_rows, size_t n)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n; i++)
            sum[i] += x[r * n + i];
}
