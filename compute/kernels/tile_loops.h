/* SPDX-License-Identifier: MPL-2.0
 * The tile kernel behind compute/kernels/tile.h, written once over a vector of LANES floats. Included by each
 * tile_<set>.c, which defines before:
 *   TILES (name of the table), MAX_ROWS (up to 14), LANES, FLAT_ROWS, SLIDES (if masked loads are cheap), INLINE;
 *   vec_t and s_splat, s_load, s_fma, s_mul, s_add, s_even (of two vectors), s_store_even (n lanes, a gap between);
 *   part_t and s_part (first n lanes), s_load_part, s_store_part;
 *   piece_t and s_piece (lanes [lane, lane + len)), s_load_piece, s_merge_piece (zeros, or the old lanes, beside);
 *   s_turn_block (up to LANES x LANES: see turn).
 * A set of pairs also defines PAIRS, s_pair_rows and s_pair_along before, and its s_fma adds two products a lane.
 * Not a header for anybody else.                                                                      */
#include <stdbool.h>

#include "compute/kernels/tile.h"

#define PREFETCH_K 32 /* products during which C, or a row of A, can arrive */
#define S_THIRDS ((MAX_ROWS + 2) / 3)

/* Rows are addressed from every third one, so that fourteen of them need five pointers. */
typedef struct {
    const char *third[S_THIRDS];
    size_t row; /* bytes */
} s_rows_t;

INLINE void s_next_k (s_rows_t *a, int rows, size_t bytes)
{
    RK_UNROLL (5)
    for (int g = 0; g * 3 < rows; g++) {
        a->third[g] += bytes;
        __asm__ ("" : "+r"(a->third[g])); /* keeps the compiler from making a pointer per row */
    }
}

INLINE void s_store_tile (int rows, int vecs, const rk_tile_t *t, part_t last, vec_t acc[MAX_ROWS][2])
{
    const vec_t alpha = s_splat (t->alpha), beta = s_splat (t->beta);
    RK_UNROLL (14)
    for (int i = 0; i < rows; i++) {
        float *c = t->c + (size_t) i * t->c_row;
        RK_UNROLL (2)
        for (int v = 0; v < vecs; v++) {
            const part_t part = v == vecs - 1 ? last : s_part (LANES);
            vec_t value = s_mul (alpha, acc[i][v]);
            if (t->beta != 0.0f)
                value = s_add (s_mul (beta, s_load_part (part, c + v * LANES)), value);
            if (t->bias)
                value = s_add (value, s_splat (t->bias[i]));
            s_store_part (part, c + v * LANES, value);
        }
    }
}

/* unit: a_row is 1, rows lie side by side. FAR asks for those ahead, KEEP keeps B. */
#define FAR 1
#define KEEP 2
INLINE void s_tile (int rows, int vecs, int unit, int how, const rk_tile_t *t, part_t last)
{
    vec_t acc[MAX_ROWS][2];
    const float *b = t->b;
    float *kept = t->keep;
    const size_t step = t->a_k * sizeof (float);
    RK_UNROLL (14)
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = s_splat (0.0f);
    for (size_t run = 0; run < t->n_runs; run++) {
        s_rows_t a = {.row = t->a_row * sizeof (float)};
        RK_UNROLL (5)
        for (int g = 0; g < S_THIRDS; g++)
            a.third[g] = (const char *) (t->a + run * t->a_run) + (size_t) g * 3 * a.row;
        for (size_t p = 0; p < t->k_run; p++) {
            const vec_t b0 = vecs == 1 ? s_load_part (last, b) : s_load (b);
            const vec_t b1 = vecs == 1 ? b0 : s_load_part (last, b + LANES);
            if (how == KEEP) {
                s_store_part (s_part (LANES), kept, b0);
                if (vecs == 2)
                    s_store_part (s_part (LANES), kept + LANES, b1);
                kept += 2 * LANES;
            }
            RK_UNROLL (14)
            for (int i = 0; i < rows; i++) {
                const char *at = unit ? a.third[0] + (size_t) i * sizeof (float) : a.third[i / 3] + (size_t) (i % 3) * a.row;
                const vec_t ai = s_splat (*(const float *) at);
                acc[i][0] = s_fma (ai, b0, acc[i][0]);
                if (vecs == 2)
                    acc[i][1] = s_fma (ai, b1, acc[i][1]);
            }
            if (how == FAR) {
                __builtin_prefetch (a.third[0] + PREFETCH_K * step, 0, 3);
                __builtin_prefetch (a.third[0] + PREFETCH_K * step + (size_t) (rows - 1) * sizeof (float), 0, 3);
            }
            s_next_k (&a, unit ? 1 : rows, step);
            b += t->b_k;
        }
    }
    s_store_tile (rows, vecs, t, last, acc);
}

#ifdef SLIDES
/* Two pieces per vector; one of them may be empty. */
INLINE void s_slide_tile (int rows, const rk_sliding_tile_t *t, part_t last)
{
    vec_t acc[MAX_ROWS][2];
    ptrdiff_t at[4];
    piece_t piece[4];
    const float *a = t->tile.a;
    RK_UNROLL (4)
    for (size_t c = 0; c < 4; c++) {
        const size_t v = c / 2, idx = (v ? t->n_pieces[0] : 0) + c % 2;
        const bool used = c % 2 < t->n_pieces[v];
        at[c] = used ? (ptrdiff_t) t->pieces[idx].from - (ptrdiff_t) t->pieces[idx].lane : 0;
        piece[c] = used ? s_piece (t->pieces[idx].lane, t->pieces[idx].len) : s_piece (0, 0);
    }
    RK_UNROLL (14)
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = s_splat (0.0f);
    for (size_t channel = 0; channel < t->channels; channel++) {
        const float *plane = t->src + channel * t->channel_stride;
        for (size_t tap = 0; tap < t->n_taps; tap++, a += rows) {
            const float *src = plane + t->taps[tap];
            const vec_t b0 = s_merge_piece (s_load_piece (piece[0], src + at[0]), piece[1], src + at[1]);
            const vec_t b1 = s_merge_piece (s_load_piece (piece[2], src + at[2]), piece[3], src + at[3]);
            RK_UNROLL (14)
            for (int i = 0; i < rows; i++) {
                const vec_t ai = s_splat (a[i]);
                acc[i][0] = s_fma (ai, b0, acc[i][0]);
                acc[i][1] = s_fma (ai, b1, acc[i][1]);
            }
        }
    }
    if (t->n_pieces[1])
        s_store_tile (rows, 2, &t->tile, last, acc);
    else
        s_store_tile (rows, 1, &t->tile, last, acc);
}

typedef void (s_slide_fn_t) (const rk_sliding_tile_t *t, part_t last);

#define DEFINE_SLIDE(rows)                                                                                             \
    static void s_slide_##rows (const rk_sliding_tile_t *t, part_t last)                                               \
    {                                                                                                                  \
        s_slide_tile (rows, t, last);                                                                                  \
    }
#define SLIDE_ENTRY(rows) [rows] = s_slide_##rows,
#endif

typedef void (s_tile_fn_t) (const rk_tile_t *t, part_t last);

#define DEFINE(rows)                                                                                                   \
    static void s_narrow_##rows (const rk_tile_t *t, part_t last)                                                      \
    {                                                                                                                  \
        s_tile (rows, 1, 0, 0, t, last);                                                                                  \
    }                                                                                                                  \
    static void s_wide_##rows (const rk_tile_t *t, part_t last)                                                        \
    {                                                                                                                  \
        s_tile (rows, 2, 0, 0, t, last);                                                                                  \
    }                                                                                                                  \
    static void s_packed_##rows (const rk_tile_t *t, part_t last)                                                      \
    {                                                                                                                  \
        s_tile (rows, 2, 1, 0, t, last);                                                                               \
    }                                                                                                                  \
    static void s_far_##rows (const rk_tile_t *t, part_t last)                                                         \
    {                                                                                                                  \
        s_tile (rows, 2, 1, FAR, t, last);                                                                             \
    }                                                                                                                  \
    static void s_keep_narrow_##rows (const rk_tile_t *t, part_t last)                                                 \
    {                                                                                                                  \
        s_tile (rows, 1, 0, KEEP, t, last);                                                                            \
    }                                                                                                                  \
    static void s_keep_wide_##rows (const rk_tile_t *t, part_t last)                                                   \
    {                                                                                                                  \
        s_tile (rows, 2, 0, KEEP, t, last);                                                                            \
    }
#define ROWS_1_TO_4(x) x (1) x (2) x (3) x (4)
#define ROWS_5_TO_6(x) x (5) x (6)
#define ROWS_7_TO_14(x) x (7) x (8) x (9) x (10) x (11) x (12) x (13) x (14)
#define ENTRY(rows)                                                                                                    \
    [rows] = {s_narrow_##rows, s_wide_##rows, s_packed_##rows, s_far_##rows, s_keep_narrow_##rows, s_keep_wide_##rows},
#if MAX_ROWS == 14
#define ALL_ROWS(x) ROWS_1_TO_4 (x) ROWS_5_TO_6 (x) ROWS_7_TO_14 (x)
#elif MAX_ROWS == 6
#define ALL_ROWS(x) ROWS_1_TO_4 (x) ROWS_5_TO_6 (x)
#else
#define ALL_ROWS(x) ROWS_1_TO_4 (x)
#endif

ALL_ROWS (DEFINE)
static s_tile_fn_t *const s_fn[MAX_ROWS + 1][6] = {ALL_ROWS (ENTRY)};

static void s_prefetch_c (size_t rows, size_t cols, const rk_tile_t *t)
{
    for (size_t i = 0; i < rows; i++) {
        __builtin_prefetch (t->c + i * t->c_row, 1, 3);
        __builtin_prefetch (t->c + i * t->c_row + cols - 1, 1, 3);
    }
}

#ifdef SLIDES
ALL_ROWS (DEFINE_SLIDE)
static s_slide_fn_t *const s_slide_fn[MAX_ROWS + 1] = {ALL_ROWS (SLIDE_ENTRY)};

static void s_any_sliding_tile (size_t rows, size_t cols, const rk_sliding_tile_t *t)
{
    s_prefetch_c (rows, cols, &t->tile);
    s_slide_fn[rows](t, s_part ((cols - 1) % LANES + 1));
}
#endif

static void s_any_tile (size_t rows, size_t cols, const rk_tile_t *t)
{
    if (t->k_run >= PREFETCH_K)
        s_prefetch_c (rows, cols, t);
    const int plain = t->a_row > 1 ? 1 : t->k_run < 4 * PREFETCH_K ? 2 : 3;
    const int kind = t->keep ? (cols <= LANES ? 4 : 5) : cols <= LANES ? 0 : plain;
    s_fn[rows][kind](t, s_part ((cols - 1) % LANES + 1));
}

static void s_copy (size_t rows, size_t cols, const float *src, size_t src_row, float *dst, size_t dst_row)
{
    const part_t last = s_part ((cols - 1) % LANES + 1);
    if (cols <= LANES)
        for (size_t i = 0; i < rows; i++)
            s_store_part (last, dst + i * dst_row, s_load_part (last, src + i * src_row));
    else
        for (size_t i = 0; i < rows; i++) {
            s_store_part (s_part (LANES), dst + i * dst_row, s_load (src + i * src_row));
            s_store_part (last, dst + i * dst_row + LANES, s_load_part (last, src + i * src_row + LANES));
        }
}

INLINE void s_turn_by (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row)
{
    for (size_t i = 0; i < rows; i += LANES)
        for (size_t j = 0; j < cols; j += LANES) {
            const size_t high = rows - i < LANES ? rows - i : LANES, wide = cols - j < LANES ? cols - j : LANES;
            const float *from = src + i * src_row + j;
            float *to = dst + j * dst_row + i;
            if (high == LANES && wide == LANES)
                s_turn_block (LANES, LANES, from, src_row, beta, to, dst_row);
            else
                s_turn_block (high, wide, from, src_row, beta, to, dst_row);
        }
}

static void s_transpose (size_t rows, size_t cols, const float *src, size_t src_row, float *dst, size_t dst_row)
{
    s_turn_by (rows, cols, src, src_row, 0.0f, dst, dst_row);
}

static void s_turn (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row)
{
    if (beta == 0.0f)
        s_transpose (rows, cols, src, src_row, dst, dst_row);
    else
        s_turn_by (rows, cols, src, src_row, beta, dst, dst_row);
}

/* n even floats of x, without reading beyond the last of them. */
INLINE vec_t s_load_even (size_t n, const float *x)
{
    const size_t reach = 2 * n - 1;
    const vec_t low = s_load_part (s_part (reach < LANES ? reach : LANES), x);
    return s_even (low, reach > LANES ? s_load_part (s_part (reach - LANES), x + LANES) : low);
}

static void s_pick (size_t rows, size_t cols, const float *src, size_t src_row, size_t step, float *dst,
                    size_t dst_row)
{
    for (size_t i = 0; i < rows; i++, src += src_row, dst += dst_row)
        if (step == 2)
            for (size_t l = 0; l < cols; l += LANES) {
                const size_t n = cols - l < LANES ? cols - l : LANES;
                s_store_part (s_part (n), dst + l, s_load_even (n, src + 2 * l));
            }
        else
            for (size_t l = 0; l < cols; l++)
                dst[l] = src[l * step];
}

static void s_spread (size_t rows, size_t cols, const float *src, size_t src_row, size_t step, float *dst,
                      size_t dst_row)
{
    for (size_t i = 0; i < rows; i++, src += src_row, dst += dst_row)
        if (step == 2)
            for (size_t l = 0; l < cols; l += LANES) {
                const size_t n = cols - l < LANES ? cols - l : LANES;
                s_store_even (n, dst + 2 * l, s_load_part (s_part (n), src + l));
            }
        else
            for (size_t l = 0; l < cols; l++)
                dst[l * step] = src[l];
}

/* One vector of a panel row. n is known to the compiler in the usual cases, so that places and masks stay in
 * registers.                                                                                          */
INLINE vec_t s_assemble (size_t n, const ptrdiff_t *at, const piece_t *piece, const float *src)
{
    vec_t v = s_load_piece (piece[0], src + at[0]);
    RK_UNROLL (3)
    for (size_t c = 1; c < n; c++)
        v = s_merge_piece (v, piece[c], src + at[c]);
    return v;
}

INLINE void s_unroll_tap (size_t n_first, size_t n_second, const ptrdiff_t *at, const piece_t *piece, const float *src,
                          float *dst)
{
    s_store_part (s_part (LANES), dst, s_assemble (n_first, at, piece, src));
    if (n_second)
        s_store_part (s_part (LANES), dst + LANES, s_assemble (n_second, at + n_first, piece + n_first, src));
}

/* three: three taps per row at stride 1, the usual kernel. */
INLINE void s_unroll_by (const rk_unroll_t *u, size_t n_first, size_t n_second, bool three)
{
    ptrdiff_t at[2 * LANES];
    piece_t piece[2 * LANES];
    const size_t pitch = u->pitch, sub = u->sub, tap_rows = u->tap_rows, tap_cols = u->tap_cols;
    float *dst = u->dst;
    RK_UNROLL (6)
    for (size_t c = 0; c < n_first + n_second; c++) {
        at[c] = (ptrdiff_t) u->pieces[c].from - (ptrdiff_t) u->pieces[c].lane;
        piece[c] = s_piece (u->pieces[c].lane, u->pieces[c].len);
    }
    for (size_t channel = 0; channel < u->channels; channel++) {
        const float *row = u->src + channel * u->channel_stride;
        for (size_t i = 0; i < tap_rows; i++, row += pitch) {
            if (three) {
                RK_UNROLL (3)
                for (size_t j = 0; j < 3; j++)
                    s_unroll_tap (n_first, n_second, at, piece, row + j, dst + j * 2 * LANES);
                dst += 3 * 2 * LANES;
                continue;
            }
            const float *src = row;
            for (size_t j = 0, wrap = sub; j < tap_cols; j++, wrap += sub, dst += 2 * LANES) {
                s_unroll_tap (n_first, n_second, at, piece, src, dst);
                src += sub;
                if (wrap == pitch) { /* from the last residue of the stride to the next place of the first */
                    src -= pitch - 1;
                    wrap = 0;
                }
            }
        }
    }
}

#define UNROLL_CASES(three)                                                                                            \
    switch (few) {                                                                                                     \
    case 11:                                                                                                           \
        s_unroll_by (u, 1, 1, three);                                                                                  \
        break;                                                                                                         \
    case 12:                                                                                                           \
        s_unroll_by (u, 1, 2, three);                                                                                  \
        break;                                                                                                         \
    case 21:                                                                                                           \
        s_unroll_by (u, 2, 1, three);                                                                                  \
        break;                                                                                                         \
    case 22:                                                                                                           \
        s_unroll_by (u, 2, 2, three);                                                                                  \
        break;                                                                                                         \
    case 23:                                                                                                           \
        s_unroll_by (u, 2, 3, three);                                                                                  \
        break;                                                                                                         \
    case 32:                                                                                                           \
        s_unroll_by (u, 3, 2, three);                                                                                  \
        break;                                                                                                         \
    case 33:                                                                                                           \
        s_unroll_by (u, 3, 3, three);                                                                                  \
        break;                                                                                                         \
    default:                                                                                                           \
        s_unroll_by (u, first, second, three);                                                                         \
    }

static void s_unroll (const rk_unroll_t *u)
{
    const size_t first = u->n_pieces[0], second = u->n_pieces[1];
    const int few = first <= 3 && second <= 3 ? (int) (first * 10 + second) : 0;
    if (u->tap_cols == 3 && u->sub == u->pitch)
        UNROLL_CASES (true)
    else
        UNROLL_CASES (false)
}

#ifdef PAIRS
#define PER_LANE 4 /* operations of a multiply-add */
#else
#define PER_LANE 2
#endif

static double s_spin (size_t turns)
{
    vec_t acc[MAX_ROWS][2];
    const vec_t half = s_splat (0.5f), small = s_splat (0x1p-12f);
    float result[LANES];
    RK_UNROLL (14)
    for (int i = 0; i < MAX_ROWS; i++)
        for (int v = 0; v < 2; v++)
            acc[i][v] = s_splat (1.0f + (float) (2 * i + v)); /* all different, or compilers compute one for all */
    for (size_t t = 0; t < turns; t++) {
        RK_UNROLL (14)
        for (int i = 0; i < MAX_ROWS; i++) { /* grows by so little that it stops growing */
            acc[i][0] = s_fma (half, small, acc[i][0]);
            acc[i][1] = s_fma (small, half, acc[i][1]);
        }
        __asm__ volatile ("");
    }
    RK_UNROLL (14)
    for (int i = 1; i < MAX_ROWS; i++)
        acc[0][0] = s_add (acc[0][0], s_add (acc[i][0], acc[i][1]));
    s_store_part (s_part (LANES), result, s_add (acc[0][0], acc[0][1]));
    return result[0] > 0.0f ? (double) turns * MAX_ROWS * 2 * LANES * PER_LANE : 0.0;
}

const rk_tile_set_t TILES = {
    .max_rows = MAX_ROWS,
    .max_cols = 2 * LANES,
    .flat_rows = FLAT_ROWS,
    .tile = s_any_tile,
    .copy = s_copy,
    .transpose = s_transpose,
    .turn = s_turn,
    .pick = s_pick,
    .spread = s_spread,
    .unroll = s_unroll,
    .spin = s_spin,
#ifdef PAIRS
    .pair_rows = s_pair_rows,
    .pair_along = s_pair_along,
#endif
#ifdef SLIDES
    .sliding_tile = s_any_sliding_tile,
#endif
};
