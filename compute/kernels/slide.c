/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/slide.h"

#include <stdbool.h>
#include <string.h>

#include "compute/kernels/inside.h"

#define MAX_COLS 32           /* of any tile set */
#define BLOCK_TAPS 512        /* products added before y is touched: part of the arithmetic */
#define GROUP_FLOATS 131072   /* padded input of one group of samples: half of a 1 MiB cache */

/* Everything that follows from the shape. */
typedef struct {
    size_t taps, k;           /* per channel; in all */
    size_t block, n_blocks;   /* channels */
    size_t positions, group;  /* outputs of one sample and m; samples */
    size_t paired, padded, panel; /* floats of scratch */
} s_layout_t;

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
    const rk_border_t *in = &s->in;
    s_layout_t l = {.taps = in->tap_rows * in->tap_cols, .positions = in->rows * in->cols};
    const size_t most = l.taps < BLOCK_TAPS && l.taps ? BLOCK_TAPS / l.taps : 1;
    l.k = in->channels * l.taps;
    l.n_blocks = l.taps ? (in->channels + most - 1) / most : 1;
    l.block = (in->channels + l.n_blocks - 1) / l.n_blocks;
    l.group = width / s_gcd (l.positions, width);
    if (l.group * in->sample_stride > GROUP_FLOATS)
        l.group = in->sample_stride > GROUP_FLOATS ? 1 : GROUP_FLOATS / in->sample_stride;
    l.paired = s->unpaired ? s_round_up (in->channels * in->h * in->w, 16) : 0;
    l.padded = l.group * in->sample_stride;
    l.panel = l.block * l.taps * width;
    return l;
}

size_t rk_slide_weights (const rk_slide_t *s)
{
    return s_round_up (s->n_out * s->in.channels * s->in.tap_rows * s->in.tap_cols, 16);
}

size_t rk_slide_scratch (const rk_slide_t *s, size_t width)
{
    const s_layout_t l = s_layout (s, width);
    return l.paired + l.padded + l.panel + s_round_up (s->n_out * width, 16);
}

static size_t s_tile_from (const rk_slide_t *s, const rk_tile_set_t *set, size_t tile)
{
    const size_t n_tiles = (s->n_out + set->max_rows - 1) / set->max_rows;
    return s->n_out * tile / n_tiles;
}

/* Planes (channels, plane) of x side by side, two by two. */
static void s_pair_planes (const rk_tile_set_t *set, size_t channels, size_t plane, const float *x, float *pairs)
{
    for (size_t c = 0; c < channels; c += 2, x += 2 * plane, pairs += plane)
        set->pair_rows (plane, x, c + 1 < channels ? x + plane : NULL, pairs);
}

void rk_slide_pair (const rk_slide_t *s, const rk_tile_set_t *set, const float *a, float *pairs)
{
    const size_t taps = s->in.tap_rows * s->in.tap_cols;
    for (size_t m = 0; m < s->n_out; m++)
        s_pair_planes (set, s->unpaired, taps, a + m * s->unpaired * taps, pairs + m * s->in.channels * taps);
}

void rk_slide_pack (const rk_slide_t *s, const rk_tile_set_t *set, const float *a, float *packed)
{
    const size_t k = s->in.channels * s->in.tap_rows * s->in.tap_cols;
    if (set->rows_apart) {
        memcpy (packed, a, s->n_out * k * sizeof *a);
        return;
    }
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
    size_t taps[RK_SLIDING_TAPS]; /* offsets in the bordered input, if they are not too many */
} s_job_t;

/* Outputs of a panel that lie side by side in y. */
typedef struct {
    size_t at, len, from;
} s_run_t;

/* One panel: positions [from, from + cols) of the group. */
typedef struct {
    size_t cols, n_runs, n_pieces[2];
    rk_piece_t pieces[MAX_COLS];
    s_run_t runs[MAX_COLS];
} s_panel_t;

/* The next `cols` outputs from *place on. */
static void s_describe (const s_job_t *job, rk_place_t *place, size_t cols, s_panel_t *panel)
{
    const rk_slide_t *s = job->call->slide;
    const bool flat = s->col_stride == 1 && s->row_stride == s->in.cols; /* runs do not end with a row */
    rk_place_t p = *place;
    panel->cols = cols;
    panel->n_runs = 0;
    for (size_t j = 0; j < cols;) {
        const size_t left = flat ? job->l.positions - p.row * s->in.cols - p.col : s->in.cols - p.col;
        const size_t len = left < cols - j ? left : cols - j;
        const size_t at = p.sample * s->n_out * s->plane + p.row * s->row_stride + p.col * s->col_stride;
        panel->runs[panel->n_runs++] = (s_run_t){at, len, j};
        j += len;
        if (len < left)
            break; /* the panel is full */
        p = flat || p.row + 1 == s->in.rows ? (rk_place_t){p.sample + 1, 0, 0} : (rk_place_t){p.sample, p.row + 1, 0};
    }
    rk_border_pieces (&s->in, job->call->set, place, cols, panel->pieces, panel->n_pieces);
}

/* All tiles of a panel for one block of channels; c: row m at c + m c_row. */
static void s_multiply (const s_job_t *job, size_t first_channel, size_t n_channels, const s_panel_t *panel,
                        const float *unrolled, float *c, size_t c_row)
{
    const rk_slide_call_t *call = job->call;
    const rk_tile_set_t *set = call->set;
    rk_tile_t t = {.n_runs = 1, .k_run = n_channels * job->l.taps, .b = unrolled, .b_k = set->max_cols,
                   .c_row = c_row, .alpha = 1.0f, .beta = first_channel ? 1.0f : 0.0f};
    for (size_t tile = 0, from = 0; from < call->slide->n_out; tile++) {
        const size_t to = s_tile_from (call->slide, set, tile + 1), rows = to - from;
        const size_t first = first_channel * job->l.taps;
        t.a = call->packed + from * job->l.k + (set->rows_apart ? first : first * rows);
        t.a_row = set->rows_apart ? job->l.k : 1;
        t.a_k = set->rows_apart ? 1 : rows;
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
            set->copy (s->n_out, run->len, tiles + run->from, set->max_cols, y + run->at, s->plane);
            continue;
        }
        set->spread (s->n_out, run->len, tiles + run->from, set->max_cols, s->col_stride, y + run->at, s->plane);
    }
}

/* All tiles of a panel for channels [first, end), from the bordered input itself. */
static void s_multiply_sliding (const s_job_t *job, size_t first, size_t end, const s_panel_t *panel,
                                const float *padded, float *c, size_t c_row)
{
    const rk_slide_call_t *call = job->call;
    const rk_border_t *in = &call->slide->in;
    rk_sliding_tile_t t = {padded + first * in->channel_stride, end - first, in->channel_stride, job->l.taps,
                           job->taps, panel->pieces, {panel->n_pieces[0], panel->n_pieces[1]},
                           {.c_row = c_row, .alpha = 1.0f, .beta = first ? 1.0f : 0.0f}};
    for (size_t tile = 0, from = 0; from < call->slide->n_out; tile++) {
        const size_t to = s_tile_from (call->slide, call->set, tile + 1), rows = to - from;
        t.tile.a = call->packed + from * job->l.k + first * job->l.taps * rows;
        t.tile.c = c + from * c_row;
        t.tile.bias = call->bias && first == 0 ? call->bias + from : NULL;
        call->set->sliding_tile (rows, panel->cols, &t);
        from = to;
    }
}

/* One panel of outputs, block by block of channels. */
static void s_work_panel (const s_job_t *job, const s_panel_t *panel, const float *padded, float *unrolled,
                          float *tiles, float *y)
{
    const rk_slide_call_t *call = job->call;
    const rk_border_t *in = &call->slide->in;
    const bool direct = panel->n_runs == 1 && call->slide->col_stride == 1;
    const bool sliding = call->set->sliding_tile && panel->n_pieces[0] <= 2 && panel->n_pieces[1] <= 2 &&
                         job->l.taps <= RK_SLIDING_TAPS;
    float *c = direct ? y + panel->runs[0].at : tiles;
    const size_t c_row = direct ? call->slide->plane : call->set->max_cols;
    for (size_t b = 0; b < job->l.n_blocks; b++) {
        const size_t first = in->channels * b / job->l.n_blocks, end = in->channels * (b + 1) / job->l.n_blocks;
        if (sliding) {
            s_multiply_sliding (job, first, end, panel, padded, c, c_row);
            continue;
        }
        const rk_unroll_t u = {padded + first * in->channel_stride, end - first, in->channel_stride, in->tap_rows,
                               in->tap_cols, in->pitch, in->sub, panel->pieces,
                               {panel->n_pieces[0], panel->n_pieces[1]}, unrolled};
        call->set->unroll (&u);
        s_multiply (job, first, end - first, panel, unrolled, c, c_row);
    }
    if (!direct)
        s_scatter (call->slide, call->set, panel, tiles, y);
}

/* A sample into its border. paired: room for it as pairs */
static void s_copy_sample (const rk_slide_call_t *call, size_t sample, float *paired, float *padded)
{
    const rk_slide_t *s = call->slide;
    const size_t plane = s->in.h * s->in.w, channels = s->unpaired ? s->unpaired : s->in.channels;
    const float *x = call->x + sample * channels * plane;
    if (s->unpaired)
        s_pair_planes (call->set, channels, plane, x, paired);
    rk_border_copy (&s->in, call->set, 0, s->in.channels, s->unpaired ? paired : x, padded);
}

static void s_group (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_slide_call_t *call = job->call;
    const rk_slide_t *s = call->slide;
    const s_layout_t *l = &job->l;
    const size_t width = call->set->max_cols, first = task * l->group;
    const size_t n = call->n - first < l->group ? call->n - first : l->group;
    float *padded = call->scratch + worker * job->n_scratch, *paired = padded + l->padded, *unrolled = paired + l->paired;
    float *tiles = unrolled + l->panel, *y = call->y + s->first + first * s->n_out * s->plane;
    s_panel_t panel;
    rk_place_t place = {0, 0, 0};
    rk_inside_products = 1;
    for (size_t i = 0; i < n; i++)
        s_copy_sample (call, first + i, paired, padded + i * s->in.sample_stride);
    for (size_t from = 0; from < n * l->positions; from += width) {
        const size_t left = n * l->positions - from;
        s_describe (job, &place, left < width ? left : width, &panel);
        s_work_panel (job, &panel, padded, unrolled, tiles, y);
    }
    rk_inside_products = 0;
}

void rk_slide (const rk_slide_call_t *call, rk_pool_t *pool)
{
    const size_t width = call->set->max_cols;
    s_job_t job = {call, s_layout (call->slide, width), rk_slide_scratch (call->slide, width), {0}};
    for (size_t t = 0; job.l.taps <= RK_SLIDING_TAPS && t < job.l.taps; t++)
        job.taps[t] = rk_border_tap (&call->slide->in, t / call->slide->in.tap_cols, t % call->slide->in.tap_cols);
    for (size_t worker = 0; worker < rk_pool_n_threads (pool); worker++)
        memset (call->scratch + worker * job.n_scratch, 0, job.l.padded * sizeof (float));
    rk_pool_run (pool, (call->n + job.l.group - 1) / job.l.group, s_group, &job);
}
