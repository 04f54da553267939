/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/product.h"

#include <stdbool.h>
#include <string.h>

#define MAX_COLS 32     /* of any tile set */
#define BLOCK_ROWS 224  /* of A swept per panel of B: half of a 1 MiB cache at RK_PRODUCT_K; more if k is short */
#define TURNED_ROWS 112 /* of a strip of C' that is turned at a time: whole tiles and whole vectors */
#define ALIASED 512     /* floats: rows of A at a multiple of this fall into the same few sets of a first-level cache, */
#define APART 16        /* so a block of them is copied to rows with a gap, where enough panels use it */
#define COPIED_PANELS 6
#define MAX_PANELS 8    /* packed at once if k is short: longer runs of B and C at a time */

/* What one sweep over some panels of B needs. A panel lies where it is, is packed, or is packed by the first tile that
 * reads it.                                                                                           */
typedef struct {
    const rk_tile_set_t *set;
    const rk_product_t *p;
    bool turned; /* A and B have changed roles: tiles are of the transpose of C */
    const float *a; /* of (row, k), */
    size_t a_row;   /* and its next row */
    size_t row, rows, col, cols, k, k_len;
    const float *b; /* the first row, in place; NULL: all is packed */
    float *room;    /* of packed panels; NULL: none is packed */
} s_sweep_t;

static size_t s_least (size_t a, size_t b)
{
    return a < b ? a : b;
}

static rk_tile_t s_tile_of (const s_sweep_t *s)
{
    return (rk_tile_t) {.n_runs = 1, .k_run = s->k_len, .a_row = s->a_row, .a_k = s->p->a_k, .c_row = s->p->c_row,
                        .alpha = s->p->alpha, .beta = s->k ? 1.0f : s->p->beta};
}

/* Rows from `from` of A and columns from `at` of the sweep. */
static void s_aim (const s_sweep_t *s, size_t from, size_t at, rk_tile_t *t)
{
    const bool in_place = s->b && (from == s->row || !s->room);
    t->a = s->a + (from - s->row) * s->a_row;
    t->b = in_place ? s->b + at : s->room + at * s->k_len;
    t->b_k = in_place ? s->p->b_k : s->set->max_cols;
    t->keep = in_place && s->room ? s->room + at * s->k_len : NULL;
}

static void s_sweep (const s_sweep_t *s)
{
    const rk_product_t *p = s->p;
    const size_t n_tiles = (s->rows + s->set->max_rows - 1) / s->set->max_rows, width = s->set->max_cols;
    rk_tile_t t = s_tile_of (s);
    for (size_t i = 0; i < n_tiles; i++) {
        const size_t from = s->row + s->rows * i / n_tiles, rows = s->row + s->rows * (i + 1) / n_tiles - from;
        for (size_t at = 0; at < s->cols; at += width) {
            s_aim (s, from, at, &t);
            t.c = p->c + from * p->c_row + s->col + at;
            s->set->tile (rows, s_least (s->cols - at, width), &t);
        }
    }
}

/* A strip of the transpose of C goes through a buffer, with the same roundings as s_store_tile. */
static void s_turned_strip (const s_sweep_t *s, size_t row, size_t rows, size_t at)
{
    const rk_product_t *p = s->p;
    const size_t n_tiles = (rows + s->set->max_rows - 1) / s->set->max_rows, cols = s_least (s->cols - at, s->set->max_cols);
    _Alignas (64) float strip[TURNED_ROWS * MAX_COLS];
    rk_tile_t t = s_tile_of (s);
    const float beta = t.beta;
    t.beta = 0.0f;
    t.c_row = MAX_COLS;
    for (size_t i = 0; i < n_tiles; i++) {
        const size_t from = rows * i / n_tiles;
        s_aim (s, row + from, at, &t);
        t.c = strip + from * MAX_COLS;
        s->set->tile (rows * (i + 1) / n_tiles - from, cols, &t);
    }
    s->set->turn (rows, cols, strip, MAX_COLS, beta, p->c + (s->col + at) * p->c_row + row, p->c_row);
}

static void s_turned_sweep (const s_sweep_t *s)
{
    for (size_t row = 0; row < s->rows; row += TURNED_ROWS)
        for (size_t at = 0; at < s->cols; at += s->set->max_cols)
            s_turned_strip (s, s->row + row, s_least (s->rows - row, TURNED_ROWS), at);
}

static void s_find_rows (s_sweep_t *s, float *room)
{
    const rk_product_t *p = s->p;
    s->a = p->a + s->row * p->a_row + s->k * p->a_k;
    s->a_row = p->a_row;
    if (p->a_k != 1 || p->a_row % ALIASED || s->k_len < ALIASED / 2 || p->n < COPIED_PANELS * s->set->max_cols)
        return;
    for (size_t i = 0; i < s->rows; i++)
        memcpy (room + i * (s->k_len + APART), s->a + i * s->a_row, s->k_len * sizeof *room);
    s->a = room;
    s->a_row = s->k_len + APART;
}

/* The panels of B for columns [col, col + cols) and k [k, k + k_len). */
static void s_find_panels (s_sweep_t *s, float *room)
{
    const rk_product_t *p = s->p;
    const float *b = p->b + s->k * p->b_k + s->col * p->b_col;
    const size_t width = s->set->max_cols;
    s->b = p->b_col == 1 ? b : NULL;
    s->room = s->b && (p->b_k <= width || s->rows <= 2 * s->set->max_rows) ? NULL : room;
    for (size_t at = 0; !s->b && at < s->cols; at += width)
        s->set->transpose (s_least (s->cols - at, width), s->k_len, b + at * p->b_col, p->b_col, room + at * s->k_len, width);
}

static void s_run (s_sweep_t *s)
{
    const rk_product_t *p = s->p;
    _Alignas (64) float room[RK_PRODUCT_K * MAX_COLS], rows[BLOCK_ROWS * (RK_PRODUCT_K + 2 * APART)];
    for (s->k = 0; s->k < p->k; s->k += RK_PRODUCT_K) {
        s->k_len = s_least (p->k - s->k, RK_PRODUCT_K);
        const size_t most = s_least (RK_PRODUCT_K / s->k_len, MAX_PANELS) * s->set->max_cols;
        const size_t block = BLOCK_ROWS * (RK_PRODUCT_K / s->k_len);
        for (s->row = 0; s->row < p->m; s->row += block) {
            s->rows = s_least (p->m - s->row, block);
            s_find_rows (s, rows);
            for (s->col = 0; s->col < p->n; s->col += most) {
                s->cols = s_least (p->n - s->col, most);
                s_find_panels (s, room);
                (s->turned ? s_turned_sweep : s_sweep) (s);
            }
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
