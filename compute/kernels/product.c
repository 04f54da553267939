/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/product.h"

#include <stdbool.h>

#define MAX_COLS 32    /* of any tile set */
#define MAX_ROWS 14
#define BLOCK_ROWS 252 /* rows of A swept per panel of B: half of a 1 MiB cache at RK_PRODUCT_K */

/* What one sweep over a panel of B needs. */
typedef struct {
    const rk_tile_set_t *set;
    const rk_product_t *p;
    bool turned; /* A and B have changed roles: tiles are of the transpose of C */
    size_t row, rows, col, cols, k, k_len;
} s_sweep_t;

/* A tile of the transpose of C goes through a buffer, with the same roundings as s_store_tile. */
static void s_turned_tile (const s_sweep_t *s, size_t rows, rk_tile_t *t, float *c, size_t c_row)
{
    float tile[MAX_ROWS * MAX_COLS], turned[MAX_COLS * (MAX_ROWS + 2)];
    const float beta = t->beta;
    t->c = tile;
    t->c_row = MAX_COLS;
    t->beta = 0.0f;
    s->set->tile (rows, s->cols, t);
    t->beta = beta;
    s->set->transpose (rows, s->cols, tile, MAX_COLS, turned, MAX_ROWS + 2);
    for (size_t j = 0; j < s->cols; j++) {
        const float *from = turned + j * (MAX_ROWS + 2);
        float *to = c + j * c_row;
        if (beta == 0.0f)
            for (size_t i = 0; i < rows; i++)
                to[i] = from[i];
        else
            for (size_t i = 0; i < rows; i++)
                to[i] = beta * to[i] + from[i];
    }
}

static void s_sweep (const s_sweep_t *s, const float *panel, size_t panel_k)
{
    const rk_product_t *p = s->p;
    const size_t n_tiles = (s->rows + s->set->max_rows - 1) / s->set->max_rows;
    rk_tile_t t = {.n_runs = 1, .k_run = s->k_len, .a_row = p->a_row, .a_k = p->a_k, .b = panel, .b_k = panel_k,
                   .c_row = p->c_row, .alpha = p->alpha, .beta = s->k ? 1.0f : p->beta};
    for (size_t i = 0; i < n_tiles; i++) {
        const size_t from = s->row + s->rows * i / n_tiles, rows = s->row + s->rows * (i + 1) / n_tiles - from;
        t.a = p->a + from * p->a_row + s->k * p->a_k;
        if (s->turned) {
            s_turned_tile (s, rows, &t, p->c + s->col * p->c_row + from, p->c_row);
        } else {
            t.c = p->c + from * p->c_row + s->col;
            s->set->tile (rows, s->cols, &t);
        }
    }
}

/* The panel of B for columns [col, col + cols) and k [k, k + k_len): where it lies, or packed into room. */
static const float *s_panel (const s_sweep_t *s, float *room, size_t *panel_k)
{
    const rk_product_t *p = s->p;
    const float *b = p->b + s->k * p->b_k + s->col * p->b_col;
    const size_t width = s->set->max_cols;
    if (p->b_col == 1 && (p->b_k <= width || s->rows <= 2 * s->set->max_rows)) {
        *panel_k = p->b_k;
        return b;
    }
    *panel_k = width;
    if (p->b_col == 1)
        s->set->copy (s->k_len, s->cols, b, p->b_k, room, width);
    else
        s->set->transpose (s->cols, s->k_len, b, p->b_col, room, width);
    return room;
}

static void s_run (s_sweep_t *s)
{
    const rk_product_t *p = s->p;
    _Alignas (64) float room[RK_PRODUCT_K * MAX_COLS];
    for (s->k = 0; s->k < p->k; s->k += RK_PRODUCT_K)
        for (s->row = 0; s->row < p->m; s->row += BLOCK_ROWS)
            for (s->col = 0; s->col < p->n; s->col += s->set->max_cols) {
                size_t panel_k;
                s->k_len = p->k - s->k < RK_PRODUCT_K ? p->k - s->k : RK_PRODUCT_K;
                s->rows = p->m - s->row < BLOCK_ROWS ? p->m - s->row : BLOCK_ROWS;
                s->cols = p->n - s->col < s->set->max_cols ? p->n - s->col : s->set->max_cols;
                const float *panel = s_panel (s, room, &panel_k);
                s_sweep (s, panel, panel_k);
            }
}

void rk_product (const rk_tile_set_t *set, const rk_product_t *p)
{
    s_sweep_t s = {.set = set, .p = p};
    rk_product_t turned = {p->n, p->m, p->k, p->alpha, p->beta, p->b, p->b_col, p->b_k, p->a, p->a_k, p->a_row,
                           p->c, p->c_row};
    /* B must be turned by hand when its columns are not contiguous: turning A instead is less work when A
     * needs no turning, or is smaller. */
    if (p->b_col != 1 && (p->a_row == 1 || p->m < p->n)) {
        s.p = &turned;
        s.turned = true;
    }
    s_run (&s);
}
