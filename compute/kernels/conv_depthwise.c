/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/conv_depthwise.h"

#include <string.h>

#include "compute/kernels/vec.h"

typedef struct {
    const rk_conv_grouped_t *shape;
    size_t n, out_h, out_w, n_out; /* n_out: outputs of a group */
    const float *x, *w, *dy, *bias;
    float *y, *dx, *dw;
} s_job_t;

static s_job_t s_job (const rk_conv_grouped_t *s, size_t n)
{
    return (s_job_t) {.shape = s, .n = n, .out_h = rk_conv_grouped_out_h (s), .out_w = rk_conv_grouped_out_w (s),
                      .n_out = s->c_out / s->groups};
}

/* One tap of one pair of planes, row by row: n outputs from `out` on, with inputs `step` apart from `in` on. */
typedef struct {
    size_t rows, n, step;
    size_t in, in_row, out, out_row;
} s_tap_t;

static s_tap_t s_tap (const s_job_t *job, size_t tap)
{
    const rk_conv_grouped_t *s = job->shape;
    const rk_conv_reach_t r =
        rk_conv_reach (s->h, job->out_h, s->stride, tap / s->kernel_w * s->dilation, s->padding_h);
    const rk_conv_reach_t c =
        rk_conv_reach (s->w, job->out_w, s->stride, tap % s->kernel_w * s->dilation, s->padding_w);
    s_tap_t t = {.rows = r.end - r.first,
                 .n = c.end - c.first,
                 .step = s->stride,
                 .in_row = s->stride * s->w,
                 .out_row = job->out_w};
    if (t.n == 0)
        t.rows = 0;
    if (t.rows == 0)
        return t;
    t.in = rk_conv_reach_at (&r, s->stride, r.first) * s->w + rk_conv_reach_at (&c, s->stride, c.first);
    t.out = r.first * job->out_w + c.first;
    return t;
}

static void s_add_tap (const s_tap_t *t, float w, const float *x, float *y)
{
    for (size_t r = 0; r < t->rows; r++) {
        const float *from = x + t->in + r * t->in_row;
        float *to = y + t->out + r * t->out_row;
        if (t->step == 1)
            rk_vec ()->axpy (t->n, w, from, to);
        else
            for (size_t c = 0; c < t->n; c++)
                to[c] += w * from[c * t->step];
    }
}

static void s_add_tap_back (const s_tap_t *t, float w, const float *dy, float *dx)
{
    for (size_t r = 0; r < t->rows; r++) {
        const float *from = dy + t->out + r * t->out_row;
        float *to = dx + t->in + r * t->in_row;
        if (t->step == 1)
            rk_vec ()->axpy (t->n, w, from, to);
        else
            for (size_t c = 0; c < t->n; c++)
                to[c * t->step] += w * from[c];
    }
}

static double s_dot_tap (const s_tap_t *t, const float *x, const float *dy)
{
    double sum = 0;
    for (size_t r = 0; r < t->rows; r++) {
        const float *a = x + t->in + r * t->in_row, *b = dy + t->out + r * t->out_row;
        if (t->step == 1)
            sum += (double) rk_vec ()->dot (t->n, a, b);
        else
            for (size_t c = 0; c < t->n; c++)
                sum += (double) (a[c * t->step] * b[c]);
    }
    return sum;
}

static void s_forward_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_conv_grouped_t *s = job->shape;
    const size_t group = task % s->groups, taps = s->kernel_h * s->kernel_w, plane = job->out_h * job->out_w;
    const float *x = job->x + task * s->h * s->w;
    for (size_t o = 0; o < job->n_out; o++) {
        const size_t channel = group * job->n_out + o;
        float *y = job->y + (task * job->n_out + o) * plane;
        for (size_t i = 0; i < plane; i++)
            y[i] = job->bias ? job->bias[channel] : 0;
        for (size_t tap = 0; tap < taps; tap++) {
            const s_tap_t t = s_tap (job, tap);
            s_add_tap (&t, job->w[channel * taps + tap], x, y);
        }
    }
}

static void s_input_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_conv_grouped_t *s = job->shape;
    const size_t group = task % s->groups, taps = s->kernel_h * s->kernel_w, plane = job->out_h * job->out_w;
    float *dx = job->dx + task * s->h * s->w;
    memset (dx, 0, s->h * s->w * sizeof *dx);
    for (size_t o = 0; o < job->n_out; o++)
        for (size_t tap = 0; tap < taps; tap++) {
            const s_tap_t t = s_tap (job, tap);
            s_add_tap_back (&t, job->w[(group * job->n_out + o) * taps + tap],
                            job->dy + (task * job->n_out + o) * plane, dx);
        }
}

/* A task is an output channel. */
static void s_weight_task (void *arg, size_t channel, size_t worker)
{
    const s_job_t *job = arg;
    const rk_conv_grouped_t *s = job->shape;
    const size_t taps = s->kernel_h * s->kernel_w, plane = job->out_h * job->out_w, group = channel / job->n_out;
    for (size_t tap = 0; tap < taps; tap++) {
        const s_tap_t t = s_tap (job, tap);
        double sum = 0;
        for (size_t i = 0; i < job->n; i++)
            sum += s_dot_tap (&t, job->x + (i * s->groups + group) * s->h * s->w,
                              job->dy + (i * s->c_out + channel) * plane);
        job->dw[channel * taps + tap] += (float) sum;
    }
}

void rk_conv_depthwise_forward (const rk_conv_grouped_t *s, size_t n, const float *x, const float *w, const float *bias,
                                float *y, rk_pool_t *pool)
{
    s_job_t job = s_job (s, n);
    job.x = x, job.w = w, job.bias = bias, job.y = y;
    rk_pool_run (pool, n * s->groups, s_forward_task, &job);
}

void rk_conv_depthwise_backward_input (const rk_conv_grouped_t *s, size_t n, const float *dy, const float *w, float *dx,
                                       rk_pool_t *pool)
{
    s_job_t job = s_job (s, n);
    job.dy = dy, job.w = w, job.dx = dx;
    rk_pool_run (pool, n * s->groups, s_input_task, &job);
}

void rk_conv_depthwise_backward_weight (const rk_conv_grouped_t *s, size_t n, const float *x, const float *dy,
                                        float *dw, rk_pool_t *pool)
{
    s_job_t job = s_job (s, n);
    job.x = x, job.dy = dy, job.dw = dw;
    rk_pool_run (pool, s->c_out, s_weight_task, &job);
}
