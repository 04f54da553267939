/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: the largest of 2 x 2 windows, and its gradient. Included by vec_loops.h. */
#include <string.h>

#include "compute/kernels/vec_build.h"

typedef int32_t s_eight_ints_t __attribute__ ((vector_size (32)));

#define WINDOWS 16 /* taken at once, even past the end of a row: what that spoils is written afterwards */

/* The larger of each pair and which it is; the first of equals; NaN before anything. */
static inline void s_larger (size_t n, const float *a, const float *b, float *max, int32_t *which)
{
    RK_IVDEP
    for (size_t j = 0; j < n; j++) {
        const int32_t second = ((b[j] <= a[j]) | (a[j] != a[j])) ? 0 : 1;
        max[j] = second ? b[j] : a[j];
        which[j] = second;
    }
}

static inline void s_max_windows (size_t n, const float *top, const float *low, float *y, uint16_t *place)
{
    float corner[4][WINDOWS], upper[WINDOWS], lower[WINDOWS];
    int32_t second[WINDOWS], fourth[WINDOWS], below[WINDOWS];
    for (size_t j = 0; j < n; j++) {
        corner[0][j] = top[2 * j];
        corner[1][j] = top[2 * j + 1];
    }
    for (size_t j = 0; j < n; j++) {
        corner[2][j] = low[2 * j];
        corner[3][j] = low[2 * j + 1];
    }
    s_larger (n, corner[0], corner[1], upper, second);
    s_larger (n, corner[2], corner[3], lower, fourth);
    s_larger (n, upper, lower, y, below);
    for (size_t j = 0; j < n; j++)
        second[j] = below[j] ? 2 + fourth[j] : second[j];
    for (size_t j = 0; j < n; j++)
        place[j] = (uint16_t) second[j];
}

static void s_max_2x2 (size_t rows, size_t cols, const float *x, size_t x_row, float *y, uint16_t *place)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += WINDOWS) {
            const float *top = x + 2 * i * x_row + 2 * j, *low = top + x_row;
            const size_t at = i * cols + j, n = cols - j < WINDOWS ? cols - j : WINDOWS;
            const size_t read_end = (2 * i + 1) * x_row + 2 * (j + WINDOWS);
            if (at + WINDOWS <= rows * cols && read_end <= 2 * rows * x_row)
                s_max_windows (WINDOWS, top, low, y + at, place + at);
            else
                s_max_windows (n, top, low, y + at, place + at);
        }
}

/* One row of windows: dy where the place is `first` or the one after it. Vectors by hand: compilers turn
 * the choice into branches and interleave one float at a time.                                       */
static inline void s_spread_row (size_t n, const float *dy, const int32_t *place, int32_t first, float *dx)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        s_eight_ints_t g, at, even, odd, low, high;
        memcpy (&g, dy + j, sizeof g);
        memcpy (&at, place + j, sizeof at);
        even = g & (at == first);
        odd = g & (at == first + 1);
        low = __builtin_shufflevector (even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
        high = __builtin_shufflevector (even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
        memcpy (dx + 2 * j, &low, sizeof low);
        memcpy (dx + 2 * j + 8, &high, sizeof high);
    }
    for (; j < n; j++) {
        dx[2 * j] = place[j] == first ? dy[j] : 0.0f;
        dx[2 * j + 1] = place[j] == first + 1 ? dy[j] : 0.0f;
    }
}

static inline void s_spread_windows (size_t n, const float *dy, const uint16_t *place, float *top, float *low)
{
    int32_t wide[WINDOWS];
    for (size_t j = 0; j < n; j++)
        wide[j] = place[j];
    s_spread_row (n, dy, wide, 0, top);
    s_spread_row (n, dy, wide, 2, low);
}

static void s_max_2x2_backward (size_t rows, size_t cols, const float *dy, const uint16_t *place, float *dx,
                                size_t dx_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += WINDOWS) {
            float *top = dx + 2 * i * dx_row + 2 * j, *low = top + dx_row;
            const size_t at = i * cols + j, n = cols - j < WINDOWS ? cols - j : WINDOWS;
            const size_t write_end = (2 * i + 1) * dx_row + 2 * (j + WINDOWS);
            if (cols <= WINDOWS && dx_row == 2 * cols && at + WINDOWS <= rows * cols && write_end <= 2 * rows * dx_row)
                s_spread_windows (WINDOWS, dy + at, place + at, top, low);
            else
                s_spread_windows (n, dy + at, place + at, top, low);
        }
}
