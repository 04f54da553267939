/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: the transforms of a 3 x 3 convolution by 2 x 2 outputs (Winograd, 1980; Lavin and
 * Gray, 2016), sixteen channels side by side. Included by vec_loops.h.                                    */
#include <stdbool.h>

#include "compute/kernels/vec_build.h"

#define SIDE 4   /* of a transformed tile */
#define WIDE 16  /* channels */

typedef float s_channels_t __attribute__ ((vector_size (64), aligned (4), may_alias));

/* Not functions: vectors wider than the processor's are nothing to return or to pass. */
#define s_channels(x) (*(const s_channels_t *) (const void *) (x))
#define s_put_channels(x, v) (*(s_channels_t *) (void *) (x) = (v))

/* Column c of four rows, transformed along it; c outside: zeros. */
static inline void s_column (const rk_winograd_rows_t *at, size_t c, s_channels_t t[SIDE])
{
    if (c >= at->cols) {
        t[0] = t[1] = t[2] = t[3] = (s_channels_t){0};
        return;
    }
    const s_channels_t a = s_channels (at->row[0] + c * WIDE), b = s_channels (at->row[1] + c * WIDE);
    const s_channels_t e = s_channels (at->row[2] + c * WIDE), f = s_channels (at->row[3] + c * WIDE);
    t[0] = a - e;
    t[1] = b + e;
    t[2] = e - b;
    t[3] = b - f;
}

static void s_winograd_input (const rk_winograd_rows_t *at)
{
    s_channels_t a[SIDE], b[SIDE], c[SIDE], d[SIDE];
    float *to = at->tiles;
    s_column (at, 0 - at->left, a); /* below 0 is beyond the last */
    s_column (at, 1 - at->left, b);
    for (size_t tile = 0; tile < at->n; tile++, to += at->tile) {
        s_column (at, 2 * tile + 2 - at->left, c);
        s_column (at, 2 * tile + 3 - at->left, d);
        for (size_t i = 0; i < SIDE; i++) {
            float *pos = to + i * SIDE * at->pos;
            s_put_channels (pos, a[i] - c[i]);
            s_put_channels (pos + at->pos, b[i] + c[i]);
            s_put_channels (pos + 2 * at->pos, c[i] - b[i]);
            s_put_channels (pos + 3 * at->pos, b[i] - d[i]);
            a[i] = c[i];
            b[i] = d[i];
        }
    }
}

static void s_winograd_output (const rk_winograd_rows_t *at, const float *bias)
{
    const float *from = at->tiles;
    const s_channels_t add = bias ? s_channels (bias) : (s_channels_t){0};
    for (size_t tile = 0; tile < at->n; tile++, from += at->tile) {
        s_channels_t y[2][SIDE];
        for (size_t j = 0; j < SIDE; j++) {
            const float *m = from + j * at->pos;
            const s_channels_t b = s_channels (m + SIDE * at->pos), c = s_channels (m + 2 * SIDE * at->pos);
            y[0][j] = s_channels (m) + b + c;
            y[1][j] = b - c - s_channels (m + 3 * SIDE * at->pos);
        }
        for (size_t i = 0; i < 2; i++) {
            float *row = at->out[i];
            if (!row)
                continue;
            s_put_channels (row + 2 * tile * WIDE, y[i][0] + y[i][1] + y[i][2] + add);
            if (2 * tile + 1 < at->cols)
                s_put_channels (row + (2 * tile + 1) * WIDE, y[i][1] - y[i][2] - y[i][3] + add);
        }
    }
}

/* The transpose of the above: 2 x 2 gradients, zeros outside, as 4 x 4. */
static void s_winograd_gradient (const rk_winograd_rows_t *at)
{
    float *to = at->tiles;
    for (size_t tile = 0; tile < at->n; tile++, to += at->tile) {
        s_channels_t t[SIDE][2];
        for (size_t j = 0; j < 2; j++) {
            const size_t c = 2 * tile + j;
            const s_channels_t none = {0}, a = c < at->cols ? s_channels (at->row[0] + c * WIDE) : none;
            const s_channels_t b = c < at->cols ? s_channels (at->row[1] + c * WIDE) : none;
            t[0][j] = a;
            t[1][j] = a + b;
            t[2][j] = a - b;
            t[3][j] = -b;
        }
        for (size_t i = 0; i < SIDE; i++) {
            float *pos = to + i * SIDE * at->pos;
            s_put_channels (pos, t[i][0]);
            s_put_channels (pos + at->pos, t[i][0] + t[i][1]);
            s_put_channels (pos + 2 * at->pos, t[i][0] - t[i][1]);
            s_put_channels (pos + 3 * at->pos, -t[i][1]);
        }
    }
}

static void s_winograd_weights (size_t n, const float *w, float *u, size_t pos, size_t row)
{
    for (size_t r = 0; r < n; r++, w += 9 * WIDE, u += row) {
        s_channels_t t[SIDE][3];
        for (size_t j = 0; j < 3; j++) {
            const s_channels_t a = s_channels (w + j * WIDE), b = s_channels (w + (3 + j) * WIDE);
            const s_channels_t c = s_channels (w + (6 + j) * WIDE);
            t[0][j] = a;
            t[1][j] = (a + c + b) * 0.5f;
            t[2][j] = (a + c - b) * 0.5f;
            t[3][j] = c;
        }
        for (size_t i = 0; i < SIDE; i++) {
            float *to = u + i * SIDE * pos;
            s_put_channels (to, t[i][0]);
            s_put_channels (to + pos, (t[i][0] + t[i][2] + t[i][1]) * 0.5f);
            s_put_channels (to + 2 * pos, (t[i][0] + t[i][2] - t[i][1]) * 0.5f);
            s_put_channels (to + 3 * pos, t[i][2]);
        }
    }
}

static void s_winograd_weights_back (size_t n, size_t n_sums, size_t sum, const float *s, size_t pos, size_t row, float *dw)
{
    for (size_t r = 0; r < n; r++, dw += 9 * WIDE, s += row) {
        s_channels_t t[3][SIDE];
        for (size_t j = 0; j < SIDE; j++) {
            s_channels_t v[SIDE];
            for (size_t i = 0; i < SIDE; i++) {
                v[i] = s_channels (s + (i * SIDE + j) * pos);
                for (size_t k = 1; k < n_sums; k++)
                    v[i] = v[i] + s_channels (s + k * sum + (i * SIDE + j) * pos);
            }
            const s_channels_t half = (v[1] + v[2]) * 0.5f;
            t[0][j] = v[0] + half;
            t[1][j] = (v[1] - v[2]) * 0.5f;
            t[2][j] = half + v[3];
        }
        for (size_t i = 0; i < 3; i++) {
            const s_channels_t half = (t[i][1] + t[i][2]) * 0.5f;
            s_put_channels (dw + i * 3 * WIDE, t[i][0] + half);
            s_put_channels (dw + (i * 3 + 1) * WIDE, (t[i][1] - t[i][2]) * 0.5f);
            s_put_channels (dw + (i * 3 + 2) * WIDE, half + t[i][3]);
        }
    }
}

#undef SIDE
#undef WIDE
