/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/slide.h"

#include <string.h>

#define MAX_COLS 32           /* of any tile set */
#define BLOCK_TAPS 512        /* products added before y is touched: part of the arithmetic */
#define GROUP_FLOATS 131072   /* padded input of one group of samples: half of a 1 MiB cache */

/* Everything that follows from the shape. */
typedef struct {
    size_t taps, k;               /* per channel; in all */
    size_t block, n_blocks;       /* channels */
    size_t positions;             /* outputs of one sample and m */
    size_t pitch, channel_stride; /* floats of the padded input */
    size_t sample_stride, group;
    size_t padded, panel;         /* floats of scratch, slack included */
} s_layout_t;

/* Positions j .. j + len of a panel that lie side by side, in x for chunks and in y for runs. */
typedef struct {
    size_t at, len, to;
} s_run_t;

static size_t s_gcd (size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t s_round_up (size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static s_layout_t s_layout (const rk_slide_t *s, size_t width)
{
    s_layout_t l = {.taps = s->tap_rows * s->tap_cols, .positions = s->rows * s->cols};
    const size_t most = l.taps < BLOCK_TAPS && l.taps ? BLOCK_TAPS / l.taps : 1;
    l.k = s->channels * l.taps;
    l.n_blocks = l.taps ? (s->channels + most - 1) / most : 1;
    l.block = (s->channels + l.n_blocks - 1) / l.n_blocks;
    l.pitch = (s->cols - 1) * s->step + s->tap_cols;
    /* an odd number of cache lines, so that channels do not share cache sets */
    l.channel_stride = s_round_up (((s->rows - 1) * s->step + s->tap_rows) * l.pitch, 16) | 16;
    l.sample_stride = s->channels * l.channel_stride;
    l.group = width / s_gcd (l.positions, width);
    if (l.group * l.sample_stride > GROUP_FLOATS)
        l.group = l.sample_stride > GROUP_FLOATS ? 1 : GROUP_FLOATS / l.sample_stride;
    l.padded = s_round_up (l.group * l.sample_stride + RK_CHUNK * s->step, 16);
    l.panel = l.block * l.taps * width + RK_CHUNK;
    return l;
}

size_t rk_slide_weights (const rk_slide_t *s)
{
    return s_round_up (s->n_out * s->channels * s->tap_rows * s->tap_cols, 16);
}

size_t rk_slide_scratch (const rk_slide_t *s, size_t width)
{
    const s_layout_t l = s_layout (s, width);
    return l.padded + l.panel + s_round_up (s->n_out * width, 16);
}

static size_t s_tile_from (const rk_slide_t *s, const rk_tile_set_t *set, size_t tile)
{
    const size_t n_tiles = (s->n_out + set->max_rows - 1) / set->max_rows;
    return s->n_out * tile / n_tiles;
}

void rk_slide_pack (const rk_slide_t *s, const rk_tile_set_t *set, const float *a, float *packed)
{
    const size_t k = s->channels * s->tap_rows * s->tap_cols;
    for (size_t tile = 0, from = 0; from < s->n_out; tile++) {
        const size_t to = s_tile_from (s, set, tile + 1);
        set->transpose (to - from, k, a + from * k, k, packed + from * k, to - from);
        from = to;
    }
}

typedef struct {
    const rk_slide_call_t *call;
    s_layout_t l;
    size_t n_scratch;
} s_job_t;

/* One panel: positions [from, from + cols) of the group, in runs of x rows and of y. */
typedef struct {
    size_t cols, n_chunks, n_runs;
    rk_chunk_t chunks[MAX_COLS];
    s_run_t runs[MAX_COLS];
} s_panel_t;

static void s_describe (const rk_slide_t *s, const s_layout_t *l, size_t from, size_t cols, s_panel_t *panel)
{
    const int flat = s->col_stride == 1 && s->row_stride == s->cols; /* runs in y do not end with a row */
    panel->cols = cols;
    panel->n_chunks = panel->n_runs = 0;
    for (size_t to = 0; to < cols;) {
        const size_t sample = (from + to) / l->positions, place = (from + to) % l->positions;
        const size_t row = place / s->cols, col = place % s->cols;
        const size_t len = s->cols - col < cols - to ? s->cols - col : cols - to;
        const size_t x = sample * l->sample_stride + (row * l->pitch + col) * s->step;
        for (size_t i = 0; i < len; i += RK_CHUNK)
            panel->chunks[panel->n_chunks++] = (rk_chunk_t){x + i * s->step, to + i};
        s_run_t *last = panel->n_runs ? &panel->runs[panel->n_runs - 1] : NULL;
        if (last && flat && place > 0)
            last->len += len;
        else
            panel->runs[panel->n_runs++] = (s_run_t){
                sample * s->n_out * s->plane + row * s->row_stride + col * s->col_stride, len, to};
        to += len;
    }
}

/* Copies the planes of one sample inside their border of zeros, which stays from call to call. */
static void s_pad (const rk_slide_t *s, const s_layout_t *l, const rk_tile_set_t *set, const float *x, float *padded)
{
    const size_t padded_h = (s->rows - 1) * s->step + s->tap_rows;
    const size_t skip_rows = s->top < 0 ? (size_t) -s->top : 0, skip_cols = s->left < 0 ? (size_t) -s->left : 0;
    const size_t top = s->top > 0 ? (size_t) s->top : 0, left = s->left > 0 ? (size_t) s->left : 0;
    if (skip_rows >= s->h || skip_cols >= s->w || top >= padded_h || left >= l->pitch)
        return;
    const size_t rows = s->h - skip_rows < padded_h - top ? s->h - skip_rows : padded_h - top;
    const size_t cols = s->w - skip_cols < l->pitch - left ? s->w - skip_cols : l->pitch - left;
    for (size_t channel = 0; channel < s->channels; channel++) {
        const float *from = x + (channel * s->h + skip_rows) * s->w + skip_cols;
        float *to = padded + channel * l->channel_stride + top * l->pitch + left;
        for (size_t c = 0; c < cols; c += set->max_cols)
            set->copy (rows, cols - c < set->max_cols ? cols - c : set->max_cols, from + c, s->w, to + c, l->pitch);
    }
}

/* All tiles of a panel for one block of channels; c: row m at c + m c_row. */
static void s_multiply (const s_job_t *job, size_t first_channel, size_t n_channels, const s_panel_t *panel,
                        const float *unrolled, float *c, size_t c_row)
{
    const rk_slide_call_t *call = job->call;
    const rk_tile_set_t *set = call->set;
    rk_tile_t t = {.n_runs = 1, .k_run = n_channels * job->l.taps, .a_row = 1, .b = unrolled, .b_k = set->max_cols,
                   .c_row = c_row, .alpha = 1.0f, .beta = first_channel ? 1.0f : 0.0f};
    for (size_t tile = 0, from = 0; from < call->slide->n_out; tile++) {
        const size_t to = s_tile_from (call->slide, set, tile + 1), rows = to - from;
        t.a = call->packed + from * job->l.k + first_channel * job->l.taps * rows;
        t.a_k = rows;
        t.c = c + from * c_row;
        t.bias = call->bias && first_channel == 0 ? call->bias + from : NULL;
        set->tile (rows, panel->cols, &t);
        from = to;
    }
}

/* Finished tiles from the buffer to where they belong. */
static void s_scatter (const rk_slide_t *s, const rk_tile_set_t *set, const s_panel_t *panel, const float *tiles,
                       float *y)
{
    for (size_t r = 0; r < panel->n_runs; r++) {
        const s_run_t *run = &panel->runs[r];
        if (s->col_stride == 1) {
            set->copy (s->n_out, run->len, tiles + run->to, set->max_cols, y + run->at, s->plane);
            continue;
        }
        for (size_t m = 0; m < s->n_out; m++) {
            const float *from = tiles + m * set->max_cols + run->to;
            float *to = y + run->at + m * s->plane;
            for (size_t i = 0; i < run->len; i++)
                to[i * s->col_stride] = from[i];
        }
    }
}

static void s_group (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_slide_call_t *call = job->call;
    const rk_slide_t *s = call->slide;
    const s_layout_t *l = &job->l;
    const size_t width = call->set->max_cols, first = task * l->group;
    const size_t n = call->n - first < l->group ? call->n - first : l->group;
    float *padded = call->scratch + worker * job->n_scratch, *unrolled = padded + l->padded;
    float *tiles = unrolled + l->panel, *y = call->y + s->first + first * s->n_out * s->plane;
    s_panel_t panel;
    for (size_t i = 0; i < n; i++)
        s_pad (s, l, call->set, call->x + (first + i) * s->channels * s->h * s->w, padded + i * l->sample_stride);
    for (size_t from = 0; from < n * l->positions; from += width) {
        const size_t left = n * l->positions - from;
        s_describe (s, l, from, left < width ? left : width, &panel);
        const int direct = panel.n_runs == 1 && s->col_stride == 1;
        for (size_t b = 0; b < l->n_blocks; b++) {
            const size_t channel = s->channels * b / l->n_blocks, end = s->channels * (b + 1) / l->n_blocks;
            const rk_unroll_t u = {padded + channel * l->channel_stride, end - channel, l->channel_stride, s->tap_rows,
                                   s->tap_cols, l->pitch, s->step, panel.n_chunks, panel.chunks, unrolled};
            call->set->unroll (&u);
            s_multiply (job, channel, end - channel, &panel, unrolled, direct ? y + panel.runs[0].at : tiles,
                        direct ? s->plane : width);
        }
        if (!direct)
            s_scatter (s, call->set, &panel, tiles, y);
    }
}

void rk_slide (const rk_slide_call_t *call, rk_pool_t *pool)
{
    const size_t width = call->set->max_cols;
    s_job_t job = {call, s_layout (call->slide, width), rk_slide_scratch (call->slide, width)};
    for (size_t worker = 0; worker < rk_pool_n_threads (pool); worker++)
        memset (call->scratch + worker * job.n_scratch, 0, job.l.padded * sizeof (float));
    rk_pool_run (pool, (call->n + job.l.group - 1) / job.l.group, s_group, &job);
}
