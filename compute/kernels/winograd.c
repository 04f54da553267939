/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/winograd.h"

#include <string.h>

#include "compute/kernels/winograd_tiles.h"

#define WIDE RK_WINOGRAD_WIDE
#define POSITIONS RK_WINOGRAD_POSITIONS
#define FEW_CHANNELS 12
#define MANY_CHANNELS 256
#define RUN_TILES 512       /* that a sum of weight gradients is made of at least */
#define RUN_FLOATS 2097152  /* of all such sums */
#define MAX_RUNS 8

bool rk_winograd_fits (const rk_conv_shape_t *s)
{
    return s->kernel == 3 && s->stride == 1 && s->c_in >= FEW_CHANNELS && s->c_out >= FEW_CHANNELS &&
           s->c_in <= MANY_CHANNELS && s->c_out <= MANY_CHANNELS;
}

/* The same convolution seen from its outputs: what the input gradient computes. */
static rk_conv_shape_t s_backward (const rk_conv_shape_t *s)
{
    return (rk_conv_shape_t){.c_in = s->c_out, .h = s->h + 2 * s->padding - 2, .w = s->w + 2 * s->padding - 2,
                             .c_out = s->c_in, .kernel = 3, .stride = 1, .padding = 2 - s->padding};
}

static size_t s_round_up (size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t s_most (size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Transformed weights, element (position, ci, co) at position pos + ci round (c_out) + co. */
static size_t s_weights_pos (size_t c_in, size_t c_out)
{
    return c_in * s_round_up (c_out, WIDE) + WIDE;
}

static size_t s_weights (const rk_conv_shape_t *s)
{
    const size_t turned = s_weights_pos (s->c_out, s->c_in);
    return POSITIONS * (s_weights_pos (s->c_in, s->c_out) + turned) + s->c_in * 9 * WIDE + s_round_up (s->c_out, WIDE);
}

static size_t s_max_runs (const rk_conv_shape_t *s)
{
    const size_t most = RUN_FLOATS / (POSITIONS * s_weights_pos (s->c_in, s->c_out));
    return most < 1 ? 1 : most < MAX_RUNS ? most : MAX_RUNS;
}

size_t rk_winograd_scratch (const rk_conv_shape_t *s, size_t n_threads)
{
    const rk_conv_shape_t back = s_backward (s);
    const rk_winograd_t f = rk_winograd_layout (s), b = rk_winograd_layout (&back);
    const size_t runs = POSITIONS * s_max_runs (s) * s_weights_pos (s->c_in, s->c_out);
    return s_most (s_weights (s), runs) + n_threads * s_most (s_most (f.worker, b.worker), 2 * s->c_in * 9 * WIDE);
}

/* w (c_out, c_in, 3, 3) to u; room for c_in 9 16 floats. */
static void s_transform_weights (const rk_conv_shape_t *s, const rk_tile_set_t *set, const float *w, float *room, float *u)
{
    const size_t k = s->c_in * 9;
    for (size_t c = 0; c < s->c_out; c += WIDE) {
        const size_t n = s->c_out - c < WIDE ? s->c_out - c : WIDE;
        if (n < WIDE)
            memset (room, 0, k * WIDE * sizeof *room);
        set->transpose (n, k, w + c * k, k, room, WIDE);
        rk_vec ()->winograd_weights (s->c_in, room, u + c, s_weights_pos (s->c_in, s->c_out), s_round_up (s->c_out, WIDE));
    }
}

/* u (position, ci, co) to turned (position, co, ci) of the weights turned by half a circle, which changes places of
 * the first and the last row and column of positions and no value.                                    */
static void s_turn_weights (const rk_conv_shape_t *s, const rk_tile_set_t *set, const float *u, float *turned)
{
    static const size_t other[4] = {3, 1, 2, 0};
    const size_t from = s_weights_pos (s->c_in, s->c_out), to = s_weights_pos (s->c_out, s->c_in);
    if (s->c_in % WIDE)
        memset (turned, 0, POSITIONS * to * sizeof *turned);
    for (size_t p = 0; p < POSITIONS; p++)
        set->transpose (s->c_in, s->c_out, u + p * from, s_round_up (s->c_out, WIDE),
                        turned + (other[p / 4] * 4 + other[p % 4]) * to, s_round_up (s->c_in, WIDE));
}

typedef struct {
    rk_winograd_t g;
    const rk_tile_set_t *set;
    size_t n_rows; /* tile rows of the minibatch */
    const float *x, *u, *bias;
    float *y, *workers;
} s_job_t;

static void s_block (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_winograd_t *g = &job->g;
    const rk_winograd_room_t room = rk_winograd_room (g, job->workers + worker * g->worker);
    const size_t first = task * g->rows, end = first + g->rows < job->n_rows ? first + g->rows : job->n_rows;
    const rk_winograd_product_t product = {
        .m = (end - first) * g->tile_cols, .n = g->out,
        .tile = {.n_runs = 1, .k_run = g->s.c_in, .a = room.inputs, .a_row = g->in, .a_k = 1, .b = job->u,
                 .b_k = g->out, .c = room.outputs, .c_row = g->out, .alpha = 1.0f},
        .a_pos = g->in_pos, .b_pos = s_weights_pos (g->s.c_in, g->s.c_out), .c_pos = g->out_pos};
    rk_winograd_read_inputs (g, job->set, &room, job->x, first, end);
    rk_winograd_multiply (job->set, &product);
    rk_winograd_write_outputs (g, job->set, &room, job->bias, job->y, first, end);
}

static void s_run (s_job_t *job, size_t n, rk_pool_t *pool)
{
    const rk_winograd_t *g = &job->g;
    job->n_rows = n * g->tile_rows;
    for (size_t worker = 0; worker < rk_pool_n_threads (pool); worker++) {
        const rk_winograd_room_t room = rk_winograd_room (g, job->workers + worker * g->worker);
        memset (room.zeros, 0, (size_t) (room.plane - room.zeros) * sizeof (float));
    }
    rk_pool_run (pool, (job->n_rows + g->rows - 1) / g->rows, s_block, job);
}

void rk_winograd_forward (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *x, const float *w,
                          const float *bias, float *y, const rk_conv_work_t *work)
{
    float *u = work->scratch, *room = u + POSITIONS * s_weights_pos (s->c_in, s->c_out), *wide = room + s->c_in * 9 * WIDE;
    const size_t out = s_round_up (s->c_out, WIDE);
    s_job_t job = {.g = rk_winograd_layout (s), .set = set, .x = x, .u = u, .y = y, .workers = work->scratch + s_weights (s)};
    s_transform_weights (s, set, w, room, u);
    if (bias) {
        memset (wide, 0, out * sizeof *wide);
        memcpy (wide, bias, s->c_out * sizeof *wide);
        job.bias = wide;
    }
    s_run (&job, n, work->pool);
}

void rk_winograd_backward_input (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *dy,
                                 const float *w, float *dx, const rk_conv_work_t *work)
{
    const rk_conv_shape_t back = s_backward (s);
    float *u = work->scratch, *turned = u + POSITIONS * s_weights_pos (s->c_in, s->c_out);
    float *room = turned + POSITIONS * s_weights_pos (s->c_out, s->c_in);
    s_job_t job = {.g = rk_winograd_layout (&back), .set = set, .x = dy, .u = turned, .y = dx,
                   .workers = work->scratch + s_weights (s)};
    s_transform_weights (s, set, w, room, u);
    s_turn_weights (s, set, u, turned);
    s_run (&job, n, work->pool);
}

/* ---- weights */

typedef struct {
    rk_winograd_t g;
    const rk_tile_set_t *set;
    size_t n_rows, n_runs, pos;
    const float *x, *dy;
    float *sums, *dw, *workers;
    size_t worker; /* floats */
} s_weight_job_t;

/* One run of tile rows, block by block, into a sum of its own. */
static void s_sum_run (void *arg, size_t task, size_t worker)
{
    const s_weight_job_t *job = arg;
    const rk_winograd_t *g = &job->g;
    const rk_winograd_room_t room = rk_winograd_room (g, job->workers + worker * job->worker);
    const size_t begin = job->n_rows * task / job->n_runs, stop = job->n_rows * (task + 1) / job->n_runs;
    rk_winograd_product_t product = {
        .m = g->s.c_in, .n = g->out,
        .tile = {.n_runs = 1, .a = room.inputs, .a_row = 1, .a_k = g->in, .b = room.outputs, .b_k = g->out,
                 .c = job->sums + task * POSITIONS * job->pos, .c_row = g->out, .alpha = 1.0f},
        .a_pos = g->in_pos, .b_pos = g->out_pos, .c_pos = job->pos};
    for (size_t first = begin; first < stop; first += g->rows) {
        const size_t end = first + g->rows < stop ? first + g->rows : stop;
        rk_winograd_read_inputs (g, job->set, &room, job->x, first, end);
        rk_winograd_read_gradients (g, job->set, &room, job->dy, first, end);
        product.tile.k_run = (end - first) * g->tile_cols;
        product.tile.beta = first > begin ? 1.0f : 0.0f;
        rk_winograd_multiply (job->set, &product);
    }
}

/* Sixteen output channels of dw. */
static void s_add_sums (void *arg, size_t task, size_t worker)
{
    const s_weight_job_t *job = arg;
    const rk_winograd_t *g = &job->g;
    const size_t c = task * WIDE, n = g->s.c_out - c < WIDE ? g->s.c_out - c : WIDE, k = g->s.c_in * 9;
    float *wide = job->workers + worker * job->worker, *turned = wide + k * WIDE;
    rk_vec ()->winograd_weights_back (g->s.c_in, job->n_runs, POSITIONS * job->pos, job->sums + c, job->pos, g->out, wide);
    job->set->transpose (k, n, wide, WIDE, turned, k);
    rk_vec ()->add (n * k, job->dw + c * k, turned, job->dw + c * k);
}

void rk_winograd_backward_weight (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *x,
                                  const float *dy, float *dw, const rk_conv_work_t *work)
{
    s_weight_job_t job = {.g = rk_winograd_layout (s), .set = set, .x = x, .dy = dy, .dw = dw,
                          .sums = work->scratch, .pos = s_weights_pos (s->c_in, s->c_out)};
    const size_t most = s_max_runs (s);
    job.n_rows = n * job.g.tile_rows;
    job.n_runs = job.n_rows * job.g.tile_cols / RUN_TILES;
    job.n_runs = job.n_runs < 1 ? 1 : job.n_runs < most ? job.n_runs : most;
    job.workers = work->scratch + POSITIONS * most * job.pos;
    job.worker = s_most (job.g.worker, 2 * s->c_in * 9 * WIDE);
    if (n == 0)
        return;
    for (size_t worker = 0; worker < rk_pool_n_threads (work->pool); worker++) {
        const rk_winograd_room_t room = rk_winograd_room (&job.g, job.workers + worker * job.worker);
        memset (room.zeros, 0, (size_t) (room.plane - room.zeros) * sizeof (float));
    }
    rk_pool_run (work->pool, job.n_runs, s_sum_run, &job);
    rk_pool_run (work->pool, job.g.out / WIDE, s_add_sums, &job);
}
