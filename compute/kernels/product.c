/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/product.h"

#include <stdbool.h>

#define MAX_COLS 32    /* of any tile set */
#define MAX_ROWS 14
#define BLOCK_ROWS 252 /* rows of A swept per panel of B: half of a 1 MiB cache at RK_PRODUCT_K */

#define MAX_PANELS 8   /* packed at once if k is short: longer runs of B and C at a time */
#define COPY_ROWS 8

/* What one sweep over some panels of B needs. */
typedef struct {
    const rk_tile_set_t *set;
    const rk_product_t *p;
    bool turned; /* A and B have changed roles: tiles are of the transpose of C */
    size_t row, rows, col, cols, k, k_len;
    const float *panel; /* the first one, */
    size_t panel_k;     /* its rows, */
    size_t panel_step;  /* and the next one */
} s_sweep_t;

/* A tile of the transpose of C goes through a buffer, with the same roundings as s_store_tile. */
static void s_turned_tile (const s_sweep_t *s, size_t rows, size_t cols, rk_tile_t *t, float *c, size_t c_row)
{
    float tile[MAX_ROWS * MAX_COLS], turned[MAX_COLS * (MAX_ROWS + 2)];
    const float beta = t->beta;
    t->c = tile;
    t->c_row = MAX_COLS;
    t->beta = 0.0f;
    s->set->tile (rows, cols, t);
    t->beta = beta;
    s->set->transpose (rows, cols, tile, MAX_COLS, turned, MAX_ROWS + 2);
    for (size_t j = 0; j < cols; j++) {
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

static void s_sweep (const s_sweep_t *s)
{
    const rk_product_t *p = s->p;
    const size_t n_tiles = (s->rows + s->set->max_rows - 1) / s->set->max_rows, width = s->set->max_cols;
    rk_tile_t t = {.n_runs = 1, .k_run = s->k_len, .a_row = p->a_row, .a_k = p->a_k, .b_k = s->panel_k,
                   .c_row = p->c_row, .alpha = p->alpha, .beta = s->k ? 1.0f : p->beta};
    for (size_t i = 0; i < n_tiles; i++) {
        const size_t from = s->row + s->rows * i / n_tiles, rows = s->row + s->rows * (i + 1) / n_tiles - from;
        t.a = p->a + from * p->a_row + s->k * p->a_k;
        t.b = s->panel;
        for (size_t at = 0; at < s->cols; at += width, t.b += s->panel_step) {
            const size_t cols = s->cols - at < width ? s->cols - at : width;
            if (s->turned) {
                s_turned_tile (s, rows, cols, &t, p->c + (s->col + at) * p->c_row + from, p->c_row);
            } else {
                t.c = p->c + from * p->c_row + s->col + at;
                s->set->tile (rows, cols, &t);
            }
        }
    }
}

/* Columns of B that are contiguous, into panels, a few rows at a time. */
static void s_copy_panels (const s_sweep_t *s, const float *b, float *room)
{
    const size_t width = s->set->max_cols;
    for (size_t k = 0; k < s->k_len; k += COPY_ROWS)
        for (size_t at = 0; at < s->cols; at += width)
            s->set->copy (s->k_len - k < COPY_ROWS ? s->k_len - k : COPY_ROWS,
                          s->cols - at < width ? s->cols - at : width, b + k * s->p->b_k + at, s->p->b_k,
                          room + at * s->k_len + k * width, width);
}

/* The panels of B for columns [col, col + cols) and k [k, k + k_len): where they lie, or packed into room. */
static void s_find_panels (s_sweep_t *s, float *room)
{
    const rk_product_t *p = s->p;
    const float *b = p->b + s->k * p->b_k + s->col * p->b_col;
    const size_t width = s->set->max_cols;
    if (p->b_col == 1 && (p->b_k <= width || s->rows <= 2 * s->set->max_rows)) {
        s->panel = b;
        s->panel_k = p->b_k;
        s->panel_step = width;
        return;
    }
    s->panel = room;
    s->panel_k = width;
    s->panel_step = width * s->k_len;
    if (p->b_col == 1)
        s_copy_panels (s, b, room);
    else
        for (size_t at = 0; at < s->cols; at += width)
            s->set->transpose (s->cols - at < width ? s->cols - at : width, s->k_len, b + at * p->b_col, p->b_col,
                               room + at * s->k_len, width);
}

static size_t s_least (size_t a, size_t b)
{
    return a < b ? a : b;
}

static void s_run (s_sweep_t *s)
{
    const rk_product_t *p = s->p;
    _Alignas (64) float room[RK_PRODUCT_K * MAX_COLS];
    for (s->k = 0; s->k < p->k; s->k += RK_PRODUCT_K) {
        s->k_len = s_least (p->k - s->k, RK_PRODUCT_K);
        const size_t most = s_least (RK_PRODUCT_K / s->k_len, MAX_PANELS) * s->set->max_cols;
        for (s->row = 0; s->row < p->m; s->row += BLOCK_ROWS)
            for (s->col = 0; s->col < p->n; s->col += most) {
                s->rows = s_least (p->m - s->row, BLOCK_ROWS);
                s->cols = s_least (p->n - s->col, most);
                s_find_panels (s, room);
                s_sweep (s);
            }
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
