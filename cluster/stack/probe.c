/* SPDX-License-Identifier: MPL-2.0
 * Sums over replicas and tensors, in double: the spread between replicas is small beside the values.
 * Chunks of columns and rows are the tasks, so the number of threads cannot change a bit.                */
#include <math.h>
#include <string.h>

#include "cluster/stack/stack_parts.h"

#define LANES 8

typedef struct {
    rk_stack_t *stack;
    double *norms;       /* (n, tensors) */
    double *square;      /* of one tensor, by chunk */
    const rk_stack_tensor_t *tensor;
    float *mean;         /* (d) */
} s_look_t;

static double s_sum_of_squares (size_t n, const float *x)
{
    double lane[LANES] = {0}, sum = 0;
    size_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double) x[c + l] * (double) x[c + l];
    for (; c < n; c++)
        sum += (double) x[c] * (double) x[c];
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

static void s_norms_of_row (void *arg, size_t i, size_t worker)
{
    const s_look_t *look = arg;
    const rk_stack_t *self = look->stack;
    const float *row = rk_stack_at (self, self->x, (uint32_t) i);
    for (size_t p = 0; p < self->n_tensors; p++)
        look->norms[i * self->n_tensors + p] = sqrt (s_sum_of_squares (self->tensors[p].count, row + self->tensors[p].begin));
}

/* Means of up to RK_STACK_CHUNK columns. */
static void s_chunk_mean (const rk_stack_t *self, size_t at, size_t width, double *mean)
{
    memset (mean, 0, width * sizeof *mean);
    for (uint32_t i = 0; i < self->n_rows; i++) {
        const float *row = rk_stack_at (self, self->x, i) + at;
        for (size_t c = 0; c < width; c++)
            mean[c] += (double) row[c];
    }
    for (size_t c = 0; c < width; c++)
        mean[c] /= self->n_rows;
}

static void s_square_of_chunk (void *arg, size_t task, size_t worker)
{
    const s_look_t *look = arg;
    const rk_stack_t *self = look->stack;
    const size_t first = task * RK_STACK_CHUNK, left = look->tensor->count - first;
    const size_t width = left < RK_STACK_CHUNK ? left : RK_STACK_CHUNK, at = look->tensor->begin + first;
    double mean[RK_STACK_CHUNK], sum = 0;
    s_chunk_mean (self, at, width, mean);
    for (uint32_t i = 0; i < self->n_rows; i++) {
        const float *row = rk_stack_at (self, self->x, i) + at;
        double of_row = 0;
        for (size_t c = 0; c < width; c++)
            of_row += ((double) row[c] - mean[c]) * ((double) row[c] - mean[c]);
        sum += of_row;
    }
    look->square[task] = sum / self->n_rows;
}

static void s_mean_of_chunk (void *arg, size_t task, size_t worker)
{
    const s_look_t *look = arg;
    const size_t at = task * RK_STACK_CHUNK, left = look->stack->d - at;
    const size_t width = left < RK_STACK_CHUNK ? left : RK_STACK_CHUNK;
    double mean[RK_STACK_CHUNK];
    s_chunk_mean (look->stack, at, width, mean);
    for (size_t c = 0; c < width; c++)
        look->mean[at + c] = (float) mean[c];
}

static size_t s_n_chunks (size_t n)
{
    return (n + RK_STACK_CHUNK - 1) / RK_STACK_CHUNK;
}

/* Centralised, the replicas are one row: copies of its norms. */
static void s_copy_norms (const rk_stack_t *self, double *norms)
{
    for (uint32_t i = self->n_rows; i < self->config.n; i++)
        memcpy (norms + i * self->n_tensors, norms, self->n_tensors * sizeof *norms);
}

void rk_stack_probe (rk_stack_t *self, double *norms, double *square)
{
    s_look_t look = {.stack = self, .norms = norms, .square = (double *) (void *) self->workers[0].grads};
    if (norms) {
        rk_pool_run (self->config.pool, self->n_rows, s_norms_of_row, &look);
        s_copy_norms (self, norms);
    }
    for (size_t p = 0; square && p < self->n_tensors; p++) {
        look.tensor = &self->tensors[p];
        const size_t n_chunks = s_n_chunks (look.tensor->count);
        rk_pool_run (self->config.pool, n_chunks, s_square_of_chunk, &look);
        square[p] = 0;
        for (size_t c = 0; c < n_chunks; c++)
            square[p] += look.square[c];
    }
}

void rk_stack_mean (rk_stack_t *self, float *mean)
{
    s_look_t look = {.stack = self, .mean = mean};
    rk_pool_run (self->config.pool, s_n_chunks (self->d), s_mean_of_chunk, &look);
}
