/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/conv_grouped.h"

#include <string.h>

#include "compute/kernels/conv_depthwise.h"
#include "compute/kernels/product.h"
#include "compute/kernels/sets.h"
#include "compute/kernels/vec.h"

#define BLOCK_POSITIONS 256 /* outputs of a block, and.. */
#define BLOCK_TAPS 1024     /* ..taps, all channels together, of a panel: both part of the arithmetic */
#define BLOCK_CHANNELS 32   /* outputs of one task of the weight gradient */

rk_err_t rk_conv_grouped_check (const rk_conv_grouped_t *s, rk_error_t *err)
{
    if (!s->c_in || !s->h || !s->w || !s->c_out || !s->kernel_h || !s->kernel_w || !s->stride || !s->groups ||
        !s->dilation)
        return rk_error_set (err, RK_ESHAPE,
                             "convolution of (%zu, %zu, %zu) to %zu channels, kernel %zu x %zu, stride %zu, "
                             "%zu groups, dilation %zu: none may be 0",
                             s->c_in, s->h, s->w, s->c_out, s->kernel_h, s->kernel_w, s->stride, s->groups,
                             s->dilation);
    if (s->c_in % s->groups || s->c_out % s->groups)
        return rk_error_set (err, RK_ESHAPE,
                             "convolution of %zu to %zu channels in %zu groups: both must be multiples of it", s->c_in,
                             s->c_out, s->groups);
    if (s->kernel_h > RK_MAX_ELEMS || s->kernel_w > RK_MAX_ELEMS || s->dilation > RK_MAX_ELEMS ||
        s->stride > RK_MAX_ELEMS)
        return rk_error_set (err, RK_ESHAPE, "kernel %zu x %zu, dilation %zu, stride %zu: too large", s->kernel_h,
                             s->kernel_w, s->dilation, s->stride);
    const size_t reach_h = (s->kernel_h - 1) * s->dilation + 1, reach_w = (s->kernel_w - 1) * s->dilation + 1;
    if (s->padding_h >= reach_h || s->padding_w >= reach_w || s->h + 2 * s->padding_h < reach_h ||
        s->w + 2 * s->padding_w < reach_w)
        return rk_error_set (err, RK_ESHAPE,
                             "convolution of (%zu, %zu, %zu) with a kernel that reaches over %zu x %zu, padding "
                             "%zu x %zu: the padding must be smaller than that and the padded input at least as large",
                             s->c_in, s->h, s->w, reach_h, reach_w, s->padding_h, s->padding_w);
    return RK_OK;
}

size_t rk_conv_grouped_out_h (const rk_conv_grouped_t *s)
{
    return (s->h + 2 * s->padding_h - (s->kernel_h - 1) * s->dilation - 1) / s->stride + 1;
}

size_t rk_conv_grouped_out_w (const rk_conv_grouped_t *s)
{
    return (s->w + 2 * s->padding_w - (s->kernel_w - 1) * s->dilation - 1) / s->stride + 1;
}

/* ---- the cut into blocks */

typedef struct {
    size_t in, out, taps;         /* channels of a group; taps of a channel */
    size_t out_w, plane;          /* of the output */
    size_t rows, cols, channels;  /* of a block */
} s_layout_t;

static s_layout_t s_layout (const rk_conv_grouped_t *s)
{
    s_layout_t l = {.in = s->c_in / s->groups, .out = s->c_out / s->groups, .taps = s->kernel_h * s->kernel_w,
                    .out_w = rk_conv_grouped_out_w (s)};
    l.plane = rk_conv_grouped_out_h (s) * l.out_w;
    l.cols = l.out_w < BLOCK_POSITIONS ? l.out_w : BLOCK_POSITIONS;
    l.rows = l.cols < l.out_w ? 1 : BLOCK_POSITIONS / l.out_w;
    l.channels = l.taps < BLOCK_TAPS ? BLOCK_TAPS / l.taps : 1;
    l.channels = l.channels < l.in ? l.channels : l.in;
    return l;
}

size_t rk_conv_grouped_scratch (const rk_conv_grouped_t *s, size_t n_threads)
{
    const s_layout_t l = s_layout (s);
    const size_t panel = l.channels * l.taps * l.rows * l.cols;
    return n_threads * ((panel + 15) / 16 * 16);
}

typedef struct {
    const rk_conv_grouped_t *shape;
    s_layout_t l;
    size_t n;
    const float *x, *w, *dy, *bias;
    float *y, *dx, *dw;
    const rk_conv_work_t *work;
} s_job_t;

/* A block of one sample and group: outputs [row, row + rows) x [col, col + cols), input channels from `channel`. */
typedef struct {
    size_t sample, group, row, rows, col, cols, channel, channels;
    float *panel; /* (channels taps, rows cols) */
} s_block_t;

static float *s_panel (const s_job_t *job, size_t worker)
{
    return job->work->scratch + worker * rk_conv_grouped_scratch (job->shape, 1);
}

/* The next block in the order of summation: outputs outside, channels inside. False after the last. */
static bool s_next (const s_job_t *job, s_block_t *b)
{
    const s_layout_t *l = &job->l;
    const size_t out_h = l->plane / l->out_w;
    b->channel += b->channels;
    if (b->channels == 0 || b->channel == l->in) {
        b->channel = 0;
        b->col += b->cols;
        if (b->col == l->out_w || b->cols == 0) {
            b->row += b->rows;
            b->col = 0;
        }
        if (b->row == out_h)
            return false;
        b->rows = out_h - b->row < l->rows ? out_h - b->row : l->rows;
        b->cols = l->out_w - b->col < l->cols ? l->out_w - b->col : l->cols;
    }
    b->channels = l->in - b->channel < l->channels ? l->in - b->channel : l->channels;
    return true;
}

/* One row of a panel: outputs (row, col ..) read input row `in` (or zeros) from column at + c stride on. */
typedef struct {
    const rk_conv_grouped_t *shape;
    rk_conv_reach_t cols; /* those that lie inside the input */
    size_t col, n;
} s_row_t;

static void s_gather (const s_row_t *r, const float *in, float *to)
{
    const size_t first = r->cols.first > r->col ? r->cols.first - r->col : 0;
    const size_t end = r->cols.end > r->col ? (r->cols.end - r->col < r->n ? r->cols.end - r->col : r->n) : 0;
    if (!in || first >= end) {
        memset (to, 0, r->n * sizeof *to);
        return;
    }
    memset (to, 0, first * sizeof *to);
    const float *from = in + rk_conv_reach_at (&r->cols, r->shape->stride, r->col + first);
    if (r->shape->stride == 1)
        memcpy (to + first, from, (end - first) * sizeof *to);
    else
        for (size_t c = first; c < end; c++)
            to[c] = from[(c - first) * r->shape->stride];
    memset (to + end, 0, (r->n - end) * sizeof *to);
}

static void s_scatter (const s_row_t *r, float *in, const float *from)
{
    const size_t first = r->cols.first > r->col ? r->cols.first - r->col : 0;
    const size_t end = r->cols.end > r->col ? (r->cols.end - r->col < r->n ? r->cols.end - r->col : r->n) : 0;
    if (!in || first >= end)
        return;
    float *to = in + rk_conv_reach_at (&r->cols, r->shape->stride, r->col + first);
    if (r->shape->stride == 1)
        rk_vec ()->add (end - first, to, from + first, to);
    else
        for (size_t c = first; c < end; c++)
            to[(c - first) * r->shape->stride] += from[c];
}

/* The panel from the input, or added to the input's gradient. */
static void s_walk_panel (const s_job_t *job, const s_block_t *b, const float *x, float *dx)
{
    const rk_conv_grouped_t *s = job->shape;
    const size_t plane = s->h * s->w;
    const size_t base = (b->sample * s->c_in + b->group * job->l.in + b->channel) * plane;
    float *panel = b->panel;
    for (size_t ci = 0; ci < b->channels; ci++)
        for (size_t tap = 0; tap < job->l.taps; tap++) {
            const rk_conv_reach_t rows = rk_conv_reach (s->h, rk_conv_grouped_out_h (s), s->stride,
                                                        tap / s->kernel_w * s->dilation, s->padding_h);
            const s_row_t row = {
                s, rk_conv_reach (s->w, job->l.out_w, s->stride, tap % s->kernel_w * s->dilation, s->padding_w), b->col,
                b->cols};
            for (size_t r = b->row; r < b->row + b->rows; r++, panel += b->cols) {
                const bool inside = r >= rows.first && r < rows.end;
                const size_t at = base + ci * plane + (inside ? rk_conv_reach_at (&rows, s->stride, r) * s->w : 0);
                if (x)
                    s_gather (&row, inside ? x + at : NULL, panel);
                else
                    s_scatter (&row, inside ? dx + at : NULL, panel);
            }
        }
}

/* Where the block's outputs begin. */
static size_t s_out_at (const s_job_t *job, const s_block_t *b)
{
    return (b->sample * job->shape->c_out + b->group * job->l.out) * job->l.plane + b->row * job->l.out_w + b->col;
}

/* Where the weights of the block's first output and input channel begin. */
static size_t s_weight_at (const s_job_t *job, const s_block_t *b)
{
    return (b->group * job->l.out * job->l.in + b->channel) * job->l.taps;
}

/* ---- the three products; a task is a sample and group */

static void s_forward_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const s_layout_t *l = &job->l;
    s_block_t b = {
        .sample = task / job->shape->groups, .group = task % job->shape->groups, .panel = s_panel (job, worker)};
    while (s_next (job, &b)) {
        s_walk_panel (job, &b, job->x, NULL);
        const size_t cols = b.rows * b.cols;
        const rk_product_t p = {.m = l->out,
                                .n = cols,
                                .k = b.channels * l->taps,
                                .alpha = 1,
                                .beta = b.channel ? 1 : 0,
                                .a = job->w + s_weight_at (job, &b),
                                .a_row = l->in * l->taps,
                                .a_k = 1,
                                .b = b.panel,
                                .b_k = cols,
                                .b_col = 1,
                                .c = job->y + s_out_at (job, &b),
                                .c_row = l->plane};
        rk_product (rk_kernel_set ()->tiles, &p);
    }
    if (job->bias)
        rk_vec ()->bias_planes (1, l->out, l->plane, job->bias + b.group * l->out, job->y + task * l->out * l->plane);
}

static void s_input_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const s_layout_t *l = &job->l;
    const size_t plane = job->shape->h * job->shape->w;
    s_block_t b = {
        .sample = task / job->shape->groups, .group = task % job->shape->groups, .panel = s_panel (job, worker)};
    memset (job->dx + task * l->in * plane, 0, l->in * plane * sizeof *job->dx);
    while (s_next (job, &b)) {
        const size_t cols = b.rows * b.cols;
        const rk_product_t p = {.m = b.channels * l->taps,
                                .n = cols,
                                .k = l->out,
                                .alpha = 1,
                                .beta = 0,
                                .a = job->w + s_weight_at (job, &b),
                                .a_row = 1,
                                .a_k = l->in * l->taps,
                                .b = job->dy + s_out_at (job, &b),
                                .b_k = l->plane,
                                .b_col = 1,
                                .c = b.panel,
                                .c_row = cols};
        rk_product (rk_kernel_set ()->tiles, &p);
        s_walk_panel (job, &b, NULL, job->dx);
    }
}

/* A task has some output channels of one group, and takes all samples in order. */
static void s_weight_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const s_layout_t *l = &job->l;
    const size_t n_blocks = (l->out + BLOCK_CHANNELS - 1) / BLOCK_CHANNELS, first = task % n_blocks * BLOCK_CHANNELS;
    const size_t n_out = l->out - first < BLOCK_CHANNELS ? l->out - first : BLOCK_CHANNELS;
    for (size_t sample = 0; sample < job->n; sample++) {
        s_block_t b = {.sample = sample, .group = task / n_blocks, .panel = s_panel (job, worker)};
        while (s_next (job, &b)) {
            s_walk_panel (job, &b, job->x, NULL);
            const size_t cols = b.rows * b.cols, row = l->in * l->taps;
            float *dw = job->dw + s_weight_at (job, &b) + first * row;
            const rk_product_t p = {.m = n_out, .n = b.channels * l->taps, .k = cols, .alpha = 1, .beta = 1,
                                    .a = job->dy + s_out_at (job, &b) + first * l->plane, .a_row = l->plane, .a_k = 1,
                                    .b = b.panel, .b_k = 1, .b_col = cols, .c = dw, .c_row = row};
            rk_product (rk_kernel_set ()->tiles, &p);
        }
    }
}

/* ---- calls */

void rk_conv_grouped_forward (const rk_conv_grouped_t *s, size_t n, const float *x, const float *w, const float *bias,
                              float *y, const rk_conv_work_t *work)
{
    s_job_t job = {.shape = s, .l = s_layout (s), .n = n, .x = x, .w = w, .bias = bias, .y = y, .work = work};
    if (job.l.in == 1)
        rk_conv_depthwise_forward (s, n, x, w, bias, y, work->pool);
    else
        rk_pool_run (work->pool, n * s->groups, s_forward_task, &job);
}

void rk_conv_grouped_backward_input (const rk_conv_grouped_t *s, size_t n, const float *dy, const float *w, float *dx,
                                     const rk_conv_work_t *work)
{
    s_job_t job = {.shape = s, .l = s_layout (s), .n = n, .dy = dy, .w = w, .dx = dx, .work = work};
    if (job.l.in == 1)
        rk_conv_depthwise_backward_input (s, n, dy, w, dx, work->pool);
    else
        rk_pool_run (work->pool, n * s->groups, s_input_task, &job);
}

void rk_conv_grouped_backward_weight (const rk_conv_grouped_t *s, size_t n, const float *x, const float *dy, float *dw,
                                      const rk_conv_work_t *work)
{
    s_job_t job = {.shape = s, .l = s_layout (s), .n = n, .x = x, .dy = dy, .dw = dw, .work = work};
    if (job.l.in == 1)
        rk_conv_depthwise_backward_weight (s, n, x, dy, dw, work->pool);
    else
        rk_pool_run (work->pool, s->groups * ((job.l.out + BLOCK_CHANNELS - 1) / BLOCK_CHANNELS), s_weight_task, &job);
}
