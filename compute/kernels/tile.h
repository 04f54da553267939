/* SPDX-License-Identifier: MPL-2.0
 * The innermost kernels: a tile of a product held in registers, and the transposition that packs for it.
 * Every element is one chain over k in ascending order, alone in its register lane, so tiles of any height
 * and width give the same bits; the sets with fused multiply-add agree with each other as well.
 * Sets of pairs hold two bfloat16 factors, of products 2 p and 2 p + 1, where the others hold one float: same
 * places, half of k, sums in float.
 * Private to compute/blas.c and compute/kernels/.                                                     */
#ifndef RK_COMPUTE_KERNELS_TILE_H
#define RK_COMPUTE_KERNELS_TILE_H
#include <stdbool.h>
#include <stddef.h>

/* The next loop has at most n turns: where their number is constant take them apart, so that arrays become
 * registers.                                                                                          */
#define RK_PRAGMA(text) _Pragma (#text)
#if defined(__clang__)
#define RK_UNROLL(n) RK_PRAGMA (clang loop unroll (full))
#pragma clang diagnostic ignored "-Wpass-failed"
#else
#define RK_UNROLL(n) RK_PRAGMA (GCC unroll n)
#endif

/* C = beta C + alpha A B + bias, rounded after each operation; beta == 0 does not read C.
 * k runs over n_runs runs of k_run products each:
 *   A (i, run, p) = a[i a_row + run a_run + p a_k]     B (run, p, j) = b[(run k_run + p) b_k + j]      */
typedef struct {
    size_t n_runs, k_run;
    const float *a;
    size_t a_row, a_run, a_k;
    const float *b;
    size_t b_k;
    float *c;
    size_t c_row;
    float alpha, beta;
    const float *bias; /* one per row, or NULL */
    float *keep;       /* NULL, or gets the rows of B that were read, max_cols floats each */
} rk_tile_t;

/* Lanes [lane, lane + len) of one vector of a panel row come from src[from ..]. */
typedef struct {
    size_t from, lane, len;
} rk_piece_t;

/* Unrolling for convolutions: the panel gets one row of max_cols floats per (channel, tap row, tap column),
 * a vector at a time, each put together from pieces. Taps of one row lie `sub` apart, wrapping at pitch to
 * the place after the first: see border.h.                                                            */
typedef struct {
    const float *src; /* first channel */
    size_t channels, channel_stride, tap_rows, tap_cols, pitch, sub;
    const rk_piece_t *pieces; /* of vector 0, then of vector 1 */
    size_t n_pieces[2];       /* 0 for a vector that is not used, which is left alone */
    float *dst;
} rk_unroll_t;

/* A tile whose B is not unrolled but read from the bordered input where it lies: at most two pieces per vector.
 * A is packed, with rows side by side. What the caller would unroll and multiply, to the same bits.   */
#define RK_SLIDING_TAPS 64

typedef struct {
    const float *src; /* first channel */
    size_t channels, channel_stride, n_taps;
    const size_t *taps; /* offsets of one channel's taps */
    const rk_piece_t *pieces;
    size_t n_pieces[2]; /* 1 or 2; 0 for a second vector that is not used */
    rk_tile_t tile;     /* a, c, c_row, beta and bias; alpha is 1 */
} rk_sliding_tile_t;

typedef struct {
    size_t max_rows, max_cols; /* of one tile; max_cols, two vectors, is also the width of a packed panel */
    size_t flat_rows;          /* rows of a tile in BLIS's own loops; divides RK_GEMM_ROWS */
    void (*tile) (size_t rows, size_t cols, const rk_tile_t *t); /* 1 <= rows, cols <= max */
    /* dst = src (rows, cols), cols <= max_cols */
    void (*copy) (size_t rows, size_t cols, const float *src, size_t src_row, float *dst, size_t dst_row);
    /* dst (cols, rows) = the transpose of src (rows, cols) */
    void (*transpose) (size_t rows, size_t cols, const float *src, size_t src_row, float *dst, size_t dst_row);
    /* dst (cols, rows) = beta dst + the transpose of src, rounded after each operation; beta == 0 does not read dst */
    void (*turn) (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row);
    /* dst[i][l] = src[i][l step] */
    void (*pick) (size_t rows, size_t cols, const float *src, size_t src_row, size_t step, float *dst, size_t dst_row);
    /* dst[i][l step] = src[i][l], the floats between left alone; cols <= max_cols */
    void (*spread) (size_t rows, size_t cols, const float *src, size_t src_row, size_t step, float *dst, size_t dst_row);
    void (*unroll) (const rk_unroll_t *u);
    double (*spin) (size_t turns); /* see rk_blas_spin */
    /* Sets of pairs only. dst[i] = (even[i], odd[i]), odd NULL: 0;  dst[i] = (src[2 i], src[2 i + 1]), 0 after n */
    void (*pair_rows) (size_t n, const float *even, const float *odd, float *dst);
    void (*pair_along) (size_t n, const float *src, float *dst);
    bool rows_apart; /* tiles need a_k == 1, any a_row, and b_k of max_cols at least */
    /* NULL where masked loads cost more than the panel */
    void (*sliding_tile) (size_t rows, size_t cols, const rk_sliding_tile_t *t);
} rk_tile_set_t;

#endif
