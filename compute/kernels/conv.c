/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/conv.h"

#include <stdbool.h>

#include "compute/kernels/conv_weight.h"
#include "compute/kernels/sets.h"
#include "compute/kernels/slide.h"
#include "compute/kernels/winograd.h"

rk_err_t rk_conv_check (const rk_conv_shape_t *s, rk_error_t *err)
{
    if (!s->c_in || !s->h || !s->w || !s->c_out || !s->kernel || !s->stride)
        return rk_error_set (err, RK_ESHAPE, "convolution of (%zu, %zu, %zu) to %zu channels, kernel %zu, stride %zu: "
                             "none may be 0", s->c_in, s->h, s->w, s->c_out, s->kernel, s->stride);
    if (s->padding >= s->kernel || s->h + 2 * s->padding < s->kernel || s->w + 2 * s->padding < s->kernel)
        return rk_error_set (err, RK_ESHAPE, "convolution of (%zu, %zu, %zu) with kernel %zu, padding %zu: the padding "
                             "must be smaller than the kernel and the padded input at least as large",
                             s->c_in, s->h, s->w, s->kernel, s->padding);
    return RK_OK;
}

size_t rk_conv_out_h (const rk_conv_shape_t *s)
{
    return (s->h + 2 * s->padding - s->kernel) / s->stride + 1;
}

size_t rk_conv_out_w (const rk_conv_shape_t *s)
{
    return (s->w + 2 * s->padding - s->kernel) / s->stride + 1;
}

/* Channels two by two, for a set of pairs. */
static void s_pair (rk_slide_t *slide)
{
    slide->unpaired = slide->in.channels;
    slide->in.channels = (slide->in.channels + 1) / 2;
    rk_border_layout (&slide->in);
}

static rk_slide_t s_forward_slide (const rk_conv_shape_t *s, bool pairs)
{
    rk_slide_t slide = {.in = rk_conv_border (s), .n_out = s->c_out, .col_stride = 1};
    if (pairs)
        s_pair (&slide);
    slide.row_stride = slide.in.cols;
    slide.plane = slide.in.rows * slide.in.cols;
    return slide;
}

/* The rows (or columns) of the input that one residue of the stride reaches. With ih + padding = phase
 * (mod stride), the gradient at ih sums over the taps kh = phase + stride t of dy at (ih + padding - phase)
 * / stride - t.                                                                                       */
typedef struct {
    size_t first, count; /* ih = first, first + stride, .. */
    size_t taps;         /* t = 0 .. taps - 1 */
    ptrdiff_t border;    /* of dy */
} s_phase_t;

static s_phase_t s_phase (const rk_conv_shape_t *s, size_t phase, size_t size)
{
    s_phase_t p;
    p.first = (phase + s->stride * s->kernel - s->padding) % s->stride;
    p.count = p.first < size ? (size - p.first - 1) / s->stride + 1 : 0;
    p.taps = phase < s->kernel ? (s->kernel - phase - 1) / s->stride + 1 : 0;
    p.border = (ptrdiff_t) p.taps - 1 - (ptrdiff_t) ((p.first + s->padding - phase) / s->stride);
    return p;
}

/* Input gradients at one residue of rows and columns: a sliding sum over dy with reversed taps. */
static rk_slide_t s_backward_slide (const rk_conv_shape_t *s, const s_phase_t *row, const s_phase_t *col, bool pairs)
{
    rk_slide_t slide = {.in = {.channels = s->c_out, .h = rk_conv_out_h (s), .w = rk_conv_out_w (s),
                               .top = row->border, .left = col->border, .tap_rows = row->taps, .tap_cols = col->taps,
                               .step = 1, .rows = row->count, .cols = col->count},
                        .n_out = s->c_in, .first = row->first * s->w + col->first, .plane = s->h * s->w,
                        .row_stride = s->stride * s->w, .col_stride = s->stride};
    rk_border_layout (&slide.in);
    if (pairs)
        s_pair (&slide);
    return slide;
}

static size_t s_most (size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The floats of the weights as they come, (n_out, channels of x, taps): room for turning or pairing them. */
static size_t s_plain_weights (const rk_slide_t *slide)
{
    const size_t channels = slide->unpaired ? slide->unpaired : slide->in.channels;
    return (slide->n_out * channels * slide->in.tap_rows * slide->in.tap_cols + 15) / 16 * 16;
}

/* Scratch of a sliding sum: weights turned (backward only), as pairs, as tiles read them; what workers need. */
typedef struct {
    float *turned, *pairs, *packed, *workers;
} s_rooms_t;

static s_rooms_t s_rooms (const rk_slide_t *slide, float *scratch)
{
    float *pairs = scratch + s_plain_weights (slide), *packed = pairs + (slide->unpaired ? rk_slide_weights (slide) : 0);
    return (s_rooms_t){scratch, pairs, packed, packed + rk_slide_weights (slide)};
}

static size_t s_slide_scratch (const rk_slide_t *slide, size_t width, size_t n_threads)
{
    const size_t pairs = slide->unpaired ? rk_slide_weights (slide) : 0;
    return s_plain_weights (slide) + pairs + rk_slide_weights (slide) + n_threads * rk_slide_scratch (slide, width);
}

static size_t s_scratch (const rk_conv_shape_t *s, size_t width, size_t n_threads, bool pairs)
{
    const rk_slide_t forward = s_forward_slide (s, pairs);
    size_t most = s_slide_scratch (&forward, width, n_threads);
    for (size_t phase = 0; phase < s->stride * s->stride; phase++) {
        const s_phase_t row = s_phase (s, phase / s->stride, s->h), col = s_phase (s, phase % s->stride, s->w);
        if (row.count == 0 || col.count == 0)
            continue;
        const rk_slide_t back = s_backward_slide (s, &row, &col, pairs);
        most = s_most (most, s_slide_scratch (&back, width, n_threads));
    }
    return most;
}

/* Enough for every kernel set: it is part of a model's costs, which all nodes must agree on. */
size_t rk_conv_scratch (const rk_conv_shape_t *s, size_t n_threads)
{
    static const size_t widths[] = {8, 16, 32};
    size_t most = 0;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        most = s_most (most, s_scratch (s, widths[i], n_threads, false));
        most = s_most (most, rk_conv_weight_scratch (s, widths[i], n_threads));
    }
    if (rk_winograd_fits (s))
        most = s_most (most, rk_winograd_scratch (s, n_threads));
    return s_most (most, s_scratch (s, 32, n_threads, true)); /* the only width of sets of pairs */
}

/* Weights packed from `w`, then the sums. */
static void s_slide (const rk_slide_t *slide, const rk_tile_set_t *set, const s_rooms_t *rooms, const float *w,
                     rk_slide_call_t call, rk_pool_t *pool)
{
    if (slide->unpaired)
        rk_slide_pair (slide, set, w, rooms->pairs);
    rk_slide_pack (slide, set, slide->unpaired ? rooms->pairs : w, rooms->packed);
    call.slide = slide;
    call.set = set;
    call.packed = rooms->packed;
    call.scratch = rooms->workers;
    rk_slide (&call, pool);
}

static const rk_tile_set_t *s_set (void)
{
    const rk_kernel_set_t *set = rk_kernel_set ();
    return set->pairs ? set->pairs : set->tiles;
}

/* Pairs of bfloat16 have too few digits for the transforms. */
static bool s_by_winograd (const rk_conv_shape_t *s, const rk_tile_set_t *set)
{
    return !set->pair_rows && rk_winograd_fits (s);
}

void rk_conv_forward (const rk_conv_shape_t *s, size_t n, const float *x, const float *w, const float *bias,
                      float *y, const rk_conv_work_t *work)
{
    const rk_tile_set_t *set = s_set ();
    if (s_by_winograd (s, set)) {
        rk_winograd_forward (s, set, n, x, w, bias, y, work);
        return;
    }
    const rk_slide_t slide = s_forward_slide (s, set->pair_rows != NULL);
    const s_rooms_t rooms = s_rooms (&slide, work->scratch);
    s_slide (&slide, set, &rooms, w, (rk_slide_call_t){.n = n, .x = x, .bias = bias, .y = y}, work->pool);
}

/* (c_in, c_out, row taps, column taps), taps reversed, from w (c_out, c_in, kernel, kernel). */
static void s_turn_weights (const rk_conv_shape_t *s, size_t row_phase, size_t row_taps, size_t col_phase,
                            size_t col_taps, const float *w, float *turned)
{
    for (size_t ci = 0; ci < s->c_in; ci++)
        for (size_t co = 0; co < s->c_out; co++)
            for (size_t i = row_taps; i-- > 0;) {
                const float *from = w + ((co * s->c_in + ci) * s->kernel + row_phase + i * s->stride) * s->kernel;
                for (size_t j = col_taps; j-- > 0;)
                    *turned++ = from[col_phase + j * s->stride];
            }
}

void rk_conv_backward_input (const rk_conv_shape_t *s, size_t n, const float *dy, const float *w, float *dx,
                             const rk_conv_work_t *work)
{
    const rk_tile_set_t *set = s_set ();
    if (s_by_winograd (s, set)) {
        rk_winograd_backward_input (s, set, n, dy, w, dx, work);
        return;
    }
    for (size_t phase = 0; phase < s->stride * s->stride; phase++) {
        const size_t row_phase = phase / s->stride, col_phase = phase % s->stride;
        const s_phase_t row = s_phase (s, row_phase, s->h), col = s_phase (s, col_phase, s->w);
        if (row.count == 0 || col.count == 0)
            continue;
        const rk_slide_t slide = s_backward_slide (s, &row, &col, set->pair_rows != NULL);
        const s_rooms_t rooms = s_rooms (&slide, work->scratch);
        s_turn_weights (s, row_phase, row.taps, col_phase, col.taps, w, rooms.turned);
        s_slide (&slide, set, &rooms, rooms.turned, (rk_slide_call_t){.n = n, .x = dy, .y = dx}, work->pool);
    }
}

void rk_conv_backward_weight (const rk_conv_shape_t *s, size_t n, const float *x, const float *dy, float *dw,
                              const rk_conv_work_t *work)
{
    const rk_tile_set_t *set = s_set ();
    if (s_by_winograd (s, set))
        rk_winograd_backward_weight (s, set, n, x, dy, dw, work);
    else
        rk_conv_weight (s, n, x, dy, dw, work);
}

void rk_conv_backward_bias (const rk_conv_shape_t *s, size_t n, const float *dy, float *db)
{
    rk_vec ()->bias_planes_grad (n, s->c_out, rk_conv_out_h (s) * rk_conv_out_w (s), dy, db);
}
