/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/product_pairs.h"

#define MAX_COLS 32 /* of any set of pairs */
#define PAIRS_K (RK_PRODUCT_K / 2)
#define BLOCK_ROWS 128 /* of A, packed at a time */

/* One block: rows of A and k, against all columns of B. */
typedef struct {
    const rk_tile_set_t *set;
    const rk_product_t *p;
    size_t row, rows, k, k_len, pairs;
    float *a;            /* packed: (rows, pairs), or (pairs, rows) where A is transposed and tiles take it so */
    size_t a_row, a_k;
    float *b, *turning;  /* a panel (pairs, MAX_COLS); room of the same size */
} s_block_t;

static size_t s_least (size_t a, size_t b)
{
    return a < b ? a : b;
}

/* dst (pairs, n): rows 2 p and 2 p + 1 of src (k_len, n) side by side. */
static void s_pair_rows (const s_block_t *s, size_t n, const float *src, size_t src_row, float *dst, size_t dst_row)
{
    for (size_t p = 0; p < s->pairs; p++) {
        const float *even = src + 2 * p * src_row;
        s->set->pair_rows (n, even, 2 * p + 1 < s->k_len ? even + src_row : NULL, dst + p * dst_row);
    }
}

static void s_pack_a (s_block_t *s)
{
    const rk_product_t *p = s->p;
    const float *a = p->a + s->row * p->a_row + s->k * p->a_k;
    s->a_row = s->pairs;
    s->a_k = 1;
    if (p->a_k == 1) {
        for (size_t i = 0; i < s->rows; i++)
            s->set->pair_along (s->k_len, a + i * p->a_row, s->a + i * s->pairs);
    } else if (!s->set->rows_apart) {
        s->a_row = 1;
        s->a_k = s->rows;
        s_pair_rows (s, s->rows, a, p->a_k, s->a, s->rows);
    } else {
        for (size_t i = 0; i < s->rows; i += MAX_COLS) {
            const size_t n = s_least (s->rows - i, MAX_COLS);
            s_pair_rows (s, n, a + i, p->a_k, s->turning, MAX_COLS);
            s->set->transpose (s->pairs, n, s->turning, MAX_COLS, s->a + i * s->pairs, s->pairs);
        }
    }
}

static void s_pack_b (const s_block_t *s, size_t col, size_t cols)
{
    const rk_product_t *p = s->p;
    const float *b = p->b + s->k * p->b_k + col * p->b_col;
    if (p->b_col == 1) {
        s_pair_rows (s, cols, b, p->b_k, s->b, MAX_COLS);
        return;
    }
    for (size_t j = 0; j < cols; j++)
        s->set->pair_along (s->k_len, b + j * p->b_col, s->turning + j * PAIRS_K);
    s->set->transpose (cols, s->pairs, s->turning, PAIRS_K, s->b, MAX_COLS);
}

static void s_multiply (const s_block_t *s, size_t col, size_t cols)
{
    const rk_product_t *p = s->p;
    const size_t n_tiles = (s->rows + s->set->max_rows - 1) / s->set->max_rows;
    rk_tile_t t = {.n_runs = 1, .k_run = s->pairs, .a_row = s->a_row, .a_k = s->a_k, .b = s->b, .b_k = MAX_COLS,
                   .c_row = p->c_row, .alpha = p->alpha, .beta = s->k ? 1.0f : p->beta};
    for (size_t i = 0; i < n_tiles; i++) {
        const size_t from = s->rows * i / n_tiles, to = s->rows * (i + 1) / n_tiles;
        t.a = s->a + from * s->a_row;
        t.c = p->c + (s->row + from) * p->c_row + col;
        s->set->tile (to - from, cols, &t);
    }
}

void rk_product_pairs (const rk_tile_set_t *set, const rk_product_t *p)
{
    _Alignas (64) float a[BLOCK_ROWS * PAIRS_K], b[PAIRS_K * MAX_COLS], turning[PAIRS_K * MAX_COLS];
    s_block_t s = {.set = set, .p = p, .a = a, .b = b, .turning = turning};
    for (s.k = 0; s.k < p->k; s.k += RK_PRODUCT_K)
        for (s.row = 0; s.row < p->m; s.row += BLOCK_ROWS) {
            s.k_len = s_least (p->k - s.k, RK_PRODUCT_K);
            s.pairs = (s.k_len + 1) / 2;
            s.rows = s_least (p->m - s.row, BLOCK_ROWS);
            s_pack_a (&s);
            for (size_t col = 0; col < p->n; col += MAX_COLS) {
                const size_t cols = s_least (p->n - col, MAX_COLS);
                s_pack_b (&s, col, cols);
                s_multiply (&s, col, cols);
            }
        }
}
