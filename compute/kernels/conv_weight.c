/* SPDX-License-Identifier: MPL-2.0
 * dw[co][ci][i][j] += sum over samples and outputs (r, c) of dy[co][r][c] x[ci][r stride + i][c stride + j].
 * For each tap (i, j) that is a product (ci, positions) (positions, co): its left side is read from the
 * padded input where it lies, its right side is dy turned a few rows at a time. Sums are kept as (tap, ci,
 * co) until the last sample. With few input channels the tiles would be flat; then the roles change: rows
 * are output channels, read from dy where it lies, and the other side is the unrolled input, turned.
 * In a set of pairs, two positions side by side are a pair; taps begin at odd columns too, so each row of the
 * padded input is paired twice: from its first column and from its second.                             */
#include "compute/kernels/conv_weight.h"

#include <stdbool.h>
#include <string.h>

#include "compute/kernels/inside.h"
#include "compute/kernels/sets.h"

#define MAX_COLS 32
#define FEW_CHANNELS 6       /* below: the other roles */
#define BLOCK_POSITIONS 256  /* products added before a sum is touched: part of the arithmetic */

typedef struct {
    rk_border_t in;
    size_t taps, plane, rows;    /* rows of the output per block */
    size_t half, half_cols;      /* pairs in a padded row and in a row of outputs */
    size_t padded_h, paired_stride; /* rows of a padded channel; floats of a paired one */
    size_t padded, paired, turned, worker, sums; /* floats of scratch: of a worker and together; of all */
} s_layout_t;

static size_t s_round_up (size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

rk_border_t rk_conv_border (const rk_conv_shape_t *s)
{
    rk_border_t in = {.channels = s->c_in, .h = s->h, .w = s->w, .top = (ptrdiff_t) s->padding,
                      .left = (ptrdiff_t) s->padding, .tap_rows = s->kernel, .tap_cols = s->kernel, .step = s->stride,
                      .rows = rk_conv_out_h (s), .cols = rk_conv_out_w (s)};
    rk_border_layout (&in);
    return in;
}

static s_layout_t s_layout (const rk_conv_shape_t *s, size_t width, bool pairs)
{
    s_layout_t l = {.in = rk_conv_border (s), .taps = s->kernel * s->kernel};
    const size_t most = l.in.cols < BLOCK_POSITIONS ? BLOCK_POSITIONS / l.in.cols : 1;
    const size_t n_blocks = (l.in.rows + most - 1) / most, k = s->c_in * l.taps;
    l.plane = l.in.rows * l.in.cols;
    l.rows = (l.in.rows + n_blocks - 1) / n_blocks;
    l.padded = l.in.sample_stride;
    if (s->c_in < FEW_CHANNELS) {
        l.turned = s_round_up (l.rows * l.in.cols * s_round_up (k, width) + k * width, 16);
    } else {
        l.turned = s_round_up (l.rows * l.in.cols * width, 16);
        l.sums = s_round_up (k * s->c_out, 16);
    }
    if (pairs && s->c_in >= FEW_CHANNELS) {
        l.half = (l.in.pitch + 1) / 2;
        l.half_cols = (l.in.cols + 1) / 2;
        l.padded_h = (l.in.rows - 1) * s->stride + s->kernel;
        l.paired_stride = s_round_up (2 * l.padded_h * l.half, 16) | 16;
        l.paired = s->c_in * l.paired_stride;
        l.turned = s_round_up (2 * l.rows * l.half_cols * width, 16);
    }
    l.worker = l.padded + l.paired + l.turned;
    return l;
}

size_t rk_conv_weight_scratch (const rk_conv_shape_t *s, size_t width, size_t n_threads)
{
    const s_layout_t plain = s_layout (s, width, false), paired = s_layout (s, width, true);
    return n_threads * (plain.worker > paired.worker ? plain.worker : paired.worker) + plain.sums;
}

typedef struct {
    const rk_conv_shape_t *shape;
    const rk_tile_set_t *set;
    s_layout_t l;
    size_t n;
    const float *x, *dy;
    float *dw, *sums, *scratch;
    size_t n_tasks;
    bool by_channel; /* tasks share out input channels; otherwise panels of output channels */
} s_job_t;

static void s_pad (const s_job_t *job, size_t sample, size_t from, size_t to, float *padded)
{
    const rk_conv_shape_t *s = job->shape;
    rk_border_copy (&job->l.in, job->set, from, to, job->x + sample * s->c_in * s->h * s->w, padded);
}

/* One sample, one block of output rows, one panel of output channels, input channels [from, to). */
typedef struct {
    size_t sample, row, rows, co, n_co, from, to;
} s_block_t;

/* Channels [from, to) of a padded sample, each row from its first column on and from its second. */
static void s_pair_input (const s_job_t *job, size_t from, size_t to, const float *padded, float *paired)
{
    const s_layout_t *l = &job->l;
    for (size_t c = from; c < to; c++)
        for (size_t r = 0; r < l->padded_h; r++) {
            const float *row = padded + c * l->in.channel_stride + r * l->in.pitch;
            float *dst = paired + c * l->paired_stride + r * l->half;
            job->set->pair_along (l->in.pitch, row, dst);
            if (l->in.pitch > 1)
                job->set->pair_along (l->in.pitch - 1, row + 1, dst + l->padded_h * l->half);
        }
}

/* dy turned: (positions, n_co), or pairs of positions; the last of an odd row goes with a 0. */
static void s_turn_gradient (const s_job_t *job, const s_block_t *b, float *turned)
{
    const s_layout_t *l = &job->l;
    const size_t width = job->set->max_cols, n = b->rows * l->half_cols;
    const float *dy = job->dy + (b->sample * job->shape->c_out + b->co) * l->plane + b->row * l->in.cols;
    if (!l->half) {
        job->set->transpose (b->n_co, b->rows * l->in.cols, dy, l->plane, turned, width);
        return;
    }
    float *pairs = turned + n * width;
    for (size_t co = 0; co < b->n_co; co++)
        for (size_t r = 0; r < b->rows; r++)
            job->set->pair_along (l->in.cols, dy + co * l->plane + r * l->in.cols, pairs + co * n + r * l->half_cols);
    job->set->transpose (b->n_co, n, pairs, n, turned, width);
}

/* Where channel 0 of tap (i, j) of output row `row` begins. */
static const float *s_tap (const s_job_t *job, size_t row, size_t tap, const float *padded, const float *paired)
{
    const s_layout_t *l = &job->l;
    const size_t i = row * job->shape->stride + tap / job->shape->kernel, j = tap % job->shape->kernel;
    if (!l->half)
        return padded + rk_border_tap (&l->in, i, j);
    const size_t col = rk_border_tap (&l->in, 0, j);
    return paired + (col % 2 * l->padded_h + i) * l->half + col / 2;
}

static void s_add_block (const s_job_t *job, const s_block_t *b, const float *padded, const float *paired, float *turned)
{
    const rk_conv_shape_t *s = job->shape;
    const s_layout_t *l = &job->l;
    const size_t n_tiles = (b->to - b->from + job->set->max_rows - 1) / job->set->max_rows;
    const size_t channel = l->half ? l->paired_stride : l->in.channel_stride;
    s_turn_gradient (job, b, turned);
    rk_tile_t t = {.n_runs = b->rows, .k_run = l->half ? l->half_cols : l->in.cols, .a_row = channel,
                   .a_run = s->stride * (l->half ? l->half : l->in.pitch), .a_k = 1, .b = turned,
                   .b_k = job->set->max_cols, .c_row = s->c_out, .alpha = 1.0f,
                   .beta = b->sample || b->row ? 1.0f : 0.0f};
    for (size_t tile = 0; tile < n_tiles; tile++) {
        const size_t from = b->from + (b->to - b->from) * tile / n_tiles;
        const size_t to = b->from + (b->to - b->from) * (tile + 1) / n_tiles;
        for (size_t tap = 0; tap < l->taps; tap++) {
            t.a = s_tap (job, b->row, tap, padded, paired) + from * channel;
            t.c = job->sums + (tap * s->c_in + from) * s->c_out + b->co;
            job->set->tile (to - from, b->n_co, &t);
        }
    }
}

/* A task has its own part of the sums, and takes all samples in order. */
static void s_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_conv_shape_t *s = job->shape;
    const s_layout_t *l = &job->l;
    const size_t width = job->set->max_cols, n_panels = (s->c_out + width - 1) / width;
    float *padded = job->scratch + worker * l->worker, *paired = padded + l->padded, *turned = paired + l->paired;
    size_t panel = 0, end = n_panels;
    s_block_t b = {.to = s->c_in};
    if (job->by_channel) {
        b.from = s->c_in * task / job->n_tasks;
        b.to = s->c_in * (task + 1) / job->n_tasks;
    } else {
        panel = n_panels * task / job->n_tasks;
        end = n_panels * (task + 1) / job->n_tasks;
    }
    rk_inside_products = 1;
    for (b.sample = 0; b.sample < job->n; b.sample++) {
        s_pad (job, b.sample, b.from, b.to, padded);
        if (l->half)
            s_pair_input (job, b.from, b.to, padded, paired);
        for (size_t p = panel; p < end; p++)
            for (b.row = 0; b.row < l->in.rows; b.row += l->rows) {
                b.rows = l->in.rows - b.row < l->rows ? l->in.rows - b.row : l->rows;
                b.co = p * width;
                b.n_co = s->c_out - b.co < width ? s->c_out - b.co : width;
                s_add_block (job, &b, padded, paired, turned);
            }
    }
    rk_inside_products = 0;
}

/* dw (co, ci, tap) += sums (tap, ci, co), a cache line of output channels at a time. */
static void s_add_sums (const s_job_t *job)
{
    const rk_conv_shape_t *s = job->shape;
    const size_t k = s->c_in * job->l.taps;
    for (size_t first = 0; first < s->c_out; first += 16) {
        const size_t end = s->c_out - first < 16 ? s->c_out : first + 16;
        for (size_t ci = 0; ci < s->c_in; ci++)
            for (size_t tap = 0; tap < job->l.taps; tap++) {
                const float *from = job->sums + (tap * s->c_in + ci) * s->c_out;
                for (size_t co = first; co < end; co++)
                    job->dw[co * k + ci * job->l.taps + tap] += from[co];
            }
    }
}

/* ---- few input channels */

/* The unrolled input of rows [row, ..), count positions, turned: (count, taps), row stride `wide`. */
static void s_turn_input (const s_job_t *job, const float *padded, size_t row, size_t count, float *turned,
                          size_t wide)
{
    const rk_conv_shape_t *s = job->shape;
    const s_layout_t *l = &job->l;
    const size_t width = job->set->max_cols, k = s->c_in * l->taps;
    rk_place_t place = {0, row, 0};
    float *unrolled = turned + l->rows * l->in.cols * wide;
    rk_piece_t pieces[MAX_COLS];
    for (size_t at = 0; at < count; at += width) {
        const size_t cols = count - at < width ? count - at : width;
        rk_unroll_t u = {padded, s->c_in, l->in.channel_stride, s->kernel, s->kernel, l->in.pitch, l->in.sub, pieces,
                         {0, 0}, unrolled};
        rk_border_pieces (&l->in, job->set, &place, cols, pieces, u.n_pieces);
        job->set->unroll (&u);
        job->set->transpose (k, cols, unrolled, width, turned + at * wide, wide);
    }
}

/* A task has its own output channels. */
static void s_few_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_conv_shape_t *s = job->shape;
    const s_layout_t *l = &job->l;
    const size_t width = job->set->max_cols, k = s->c_in * l->taps, wide = s_round_up (k, width);
    const size_t first = s->c_out * task / job->n_tasks, n_co = s->c_out * (task + 1) / job->n_tasks - first;
    const size_t n_tiles = (n_co + job->set->max_rows - 1) / job->set->max_rows, plane = l->plane;
    float *padded = job->scratch + worker * l->worker, *turned = padded + l->padded;
    rk_tile_t t = {.n_runs = 1, .a_row = plane, .a_k = 1, .b_k = wide, .c_row = k, .alpha = 1.0f, .beta = 1.0f};
    rk_inside_products = 1;
    for (size_t sample = 0; sample < job->n; sample++) {
        s_pad (job, sample, 0, s->c_in, padded);
        for (size_t row = 0; row < l->in.rows; row += l->rows) {
            t.k_run = (l->in.rows - row < l->rows ? l->in.rows - row : l->rows) * l->in.cols;
            s_turn_input (job, padded, row, t.k_run, turned, wide);
            for (size_t tile = 0; tile < n_tiles; tile++) {
                const size_t co = first + n_co * tile / n_tiles, end = first + n_co * (tile + 1) / n_tiles;
                t.a = job->dy + (sample * s->c_out + co) * plane + row * l->in.cols;
                for (size_t tap = 0; tap < k; tap += width) {
                    t.b = turned + tap;
                    t.c = job->dw + co * k + tap;
                    job->set->tile (end - co, k - tap < width ? k - tap : width, &t);
                }
            }
        }
    }
    rk_inside_products = 0;
}

void rk_conv_weight (const rk_conv_shape_t *s, size_t n, const float *x, const float *dy, float *dw,
                     const rk_conv_work_t *work)
{
    const rk_kernel_set_t *kernels = rk_kernel_set ();
    const bool pairs = kernels->pairs && s->c_in >= FEW_CHANNELS;
    const rk_tile_set_t *set = pairs ? kernels->pairs : kernels->tiles;
    const size_t n_threads = rk_pool_n_threads (work->pool);
    s_job_t job = {.shape = s, .set = set, .l = s_layout (s, set->max_cols, pairs), .n = n, .x = x, .dy = dy, .dw = dw};
    const size_t n_panels = (s->c_out + set->max_cols - 1) / set->max_cols;
    if (n == 0)
        return;
    job.sums = work->scratch;
    job.scratch = work->scratch + job.l.sums;
    for (size_t worker = 0; worker < n_threads; worker++)
        memset (job.scratch + worker * job.l.worker, 0, job.l.padded * sizeof *dw);
    if (s->c_in < FEW_CHANNELS) {
        job.n_tasks = n_threads < s->c_out ? n_threads : s->c_out;
        rk_pool_run (work->pool, job.n_tasks, s_few_task, &job);
        return;
    }
    job.by_channel = n_panels < n_threads;
    const size_t most = job.by_channel ? s->c_in : n_panels;
    job.n_tasks = n_threads < most ? n_threads : most;
    rk_pool_run (work->pool, job.n_tasks, s_task, &job);
    s_add_sums (&job);
}
