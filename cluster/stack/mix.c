/* SPDX-License-Identifier: MPL-2.0
 * Mixing in place. A task is a panel of columns: its n rows are copied to the worker's scratch, which a cache
 * holds, and written back mixed; every float of X is read once and written once from memory.              */
#include <math.h>
#include <string.h>

#include "cluster/mix.h"
#include "cluster/stack/stack_parts.h"
#include "compute/blas.h"
#include "compute/kernels/vec.h"

#define FOUR_AT_ONCE 8 /* edges from which four rows are worked out together */
#define LEAST_SIDE 2   /* of a lattice whose rows are formed as windows */

typedef struct {
    rk_stack_t *stack;
    float *from;            /* (n, d): what is mixed */
    float *live;            /* NULL: mixed in place; else (n, d): live += mixed - from */
    const float *dense;     /* (n, n): W, or NULL: sparse */
    bool one_row;           /* all rows of W are the same */
    uint32_t side;          /* above 0: rows are formed as windows of a ring lattice */
    rk_stack_range_t range; /* columns */
} s_mixing_t;

static bool s_same_edges (const rk_stack_t *self, uint32_t i, uint32_t j)
{
    const size_t ni = self->edges_at[i + 1] - self->edges_at[i], nj = self->edges_at[j + 1] - self->edges_at[j];
    return ni == nj && !memcmp (self->edges + self->edges_at[i], self->edges + self->edges_at[j], ni * sizeof *self->edges);
}

static void s_sparse_row (const s_mixing_t *m, rk_stack_worker_t *w, uint32_t i, size_t width, float *out)
{
    const rk_stack_t *self = m->stack;
    const rk_graph_edge_t *edges = self->edges + self->edges_at[i];
    const uint32_t n_edges = (uint32_t) (self->edges_at[i + 1] - self->edges_at[i]);
    for (uint32_t e = 0; e < n_edges; e++)
        w->peers[e] = w->panel + edges[e].peer * width;
    rk_mix_row (edges, n_edges, w->peers, width, out);
}

/* Are rows i .. i + 3 means of many, so that their inputs, mostly the same, had better be read once? */
static bool s_are_four_means (const rk_stack_t *self, uint32_t i)
{
    for (uint32_t k = i; k < i + 4; k++) {
        const size_t n_edges = self->edges_at[k + 1] - self->edges_at[k];
        if (n_edges < FOUR_AT_ONCE || !rk_mix_is_mean (self->edges + self->edges_at[k], (uint32_t) n_edges))
            return false;
    }
    return true;
}

/* The peers of rows i .. i + 3 in ascending order, each with the rows that hear it, as bits: worked out once for all
 * panels. Returns the end of the list.                                                                     */
static rk_stack_hearers_t *s_merge_four (const rk_stack_t *self, uint32_t i, rk_stack_hearers_t *out)
{
    const rk_graph_edge_t *at[4], *end[4];
    for (unsigned k = 0; k < 4; k++) {
        at[k] = self->edges + self->edges_at[i + k];
        end[k] = self->edges + self->edges_at[i + k + 1];
    }
    for (;; out++) {
        *out = (rk_stack_hearers_t){.peer = UINT32_MAX};
        for (unsigned k = 0; k < 4; k++)
            if (at[k] < end[k] && at[k]->peer < out->peer)
                out->peer = at[k]->peer;
        for (unsigned k = 0; k < 4; k++)
            if (at[k] < end[k] && at[k]->peer == out->peer) {
                out->who |= 1u << k;
                at[k]++;
            }
        if (!out->who)
            return out;
    }
}

/* Row i is the first of four that differ: marked, and their peers merged. Four lists of n edges have at most 4 n peers,
 * and one more entry ends them.                                                                            */
static void s_mark_fours (rk_stack_t *self, bool none)
{
    rk_stack_hearers_t *at = self->hearers;
    memset (self->four, 0, self->config.n * sizeof *self->four);
    for (uint32_t i = 0; !none && i + 4 <= self->config.n; i += self->four[i] ? 4 : 1) {
        if (s_same_edges (self, i, i + 1) || !s_are_four_means (self, i))
            continue;
        self->four[i] = at;
        at = s_merge_four (self, i, at) + 1;
    }
}

/* The first input of a row is copied, the others are added. */
static void s_take_one (float *out, bool *begun, const float *x, size_t width)
{
    if (*begun)
        rk_vec ()->add (width, out, x, out);
    else
        memcpy (out, x, width * sizeof *x);
    *begun = true;
}

/* Rows i .. i + 3 with the bits of rk_mix_row: each is summed in ascending order and divided. Peers that all four
 * hear one after the other are added in one go.                                                           */
static void s_four_rows (const s_mixing_t *m, rk_stack_worker_t *w, uint32_t i, size_t width, float *out, size_t step)
{
    const rk_stack_t *self = m->stack;
    float *const to[4] = {out, out + step, out + 2 * step, out + 3 * step};
    const float **common = (const float **) w->peers;
    bool begun[4] = {false};
    size_t n_common = 0;
    for (const rk_stack_hearers_t *at = self->four[i]; at->who; at++) {
        const float *x = w->panel + at->peer * width;
        if (at->who == 15 && begun[0] && begun[1] && begun[2] && begun[3]) {
            common[n_common++] = x;
            continue;
        }
        if (n_common)
            rk_vec ()->sum4 (width, n_common, common, to);
        n_common = 0;
        for (unsigned k = 0; k < 4; k++)
            if (at->who & 1u << k)
                s_take_one (to[k], &begun[k], x, width);
    }
    if (n_common)
        rk_vec ()->sum4 (width, n_common, common, to);
    for (uint32_t k = 0; k < 4; k++)
        rk_mix_end (true, (uint32_t) (self->edges_at[i + k + 1] - self->edges_at[i + k]), width, to[k]);
}

/* Row i of the panel, mixed, to row i of `out`, rows `step` floats apart. Equal rows of W are worked out once. */
static void s_mix_panel (const s_mixing_t *m, rk_stack_worker_t *w, size_t width, float *out, size_t step)
{
    const rk_stack_t *self = m->stack;
    const uint32_t n = self->config.n;
    if (m->dense) {
        rk_gemm (RK_N, RK_N, n, width, n, 1.0f, m->dense, n, w->panel, width, 0.0f, out, step);
        return;
    }
    if (m->side) {
        const rk_stack_windows_t windows = {.panel = w->panel, .n = n, .side = m->side, .width = width, .suffix = w->suffix};
        rk_stack_windows (&windows, out, step);
        return;
    }
    for (uint32_t i = 0; i < n;) {
        float *to = out + i * step;
        if (i > 0 && (m->one_row || s_same_edges (self, i, i - 1)))
            memcpy (to, to - step, width * sizeof *to);
        else if (self->four[i]) {
            s_four_rows (m, w, i, width, to, step);
            i += 4;
            continue;
        }
        else
            s_sparse_row (m, w, i, width, to);
        i++;
    }
}

static void s_panel (void *arg, size_t task, size_t worker)
{
    const s_mixing_t *m = arg;
    rk_stack_t *self = m->stack;
    rk_stack_worker_t *w = &self->workers[worker];
    const size_t first = task * self->width, at = m->range.begin + first;
    const size_t left = m->range.count - first, width = left < self->width ? left : self->width;
    const float share = 1.0f / (float) (2 * m->side + 1); /* sums of windows: taken on the way in, or out */
    for (uint32_t i = 0; i < self->config.n; i++)
        if (m->side && !m->live)
            rk_vec ()->scale (width, share, rk_stack_at (self, m->from, i) + at, w->panel + i * width);
        else
            memcpy (w->panel + i * width, rk_stack_at (self, m->from, i) + at, width * sizeof (float));
    if (!m->live) {
        s_mix_panel (m, w, width, m->from + at, self->d);
        return;
    }
    s_mix_panel (m, w, width, w->mixed, width);
    if (m->side)
        rk_vec ()->scale (self->config.n * width, share, w->mixed, w->mixed);
    for (uint32_t i = 0; i < self->config.n; i++)
        rk_mix_correct (width, w->mixed + i * width, w->panel + i * width, rk_stack_at (self, m->live, i) + at);
}

static void s_mix_matrix (s_mixing_t *m, float *from, float *live)
{
    m->from = from;
    m->live = live;
    for (size_t r = 0; r < m->stack->n_ranges; r++) {
        m->range = m->stack->ranges[r];
        rk_pool_run (m->stack->config.pool, (m->range.count + m->stack->width - 1) / m->stack->width, s_panel, m);
    }
}

/* The rows of W (t), or the one all have, behind each other; returns the number of edges. */
static size_t s_read_rows (rk_stack_t *self, const rk_graph_time_t *at, bool one_row)
{
    size_t n_edges = 0;
    for (uint32_t i = 0; i < (one_row ? 1 : self->config.n); i++) {
        n_edges += rk_graph_row (self->config.graph, at, i, self->edges + n_edges);
        self->edges_at[i + 1] = n_edges;
    }
    return n_edges;
}

static const float *s_fill_matrix (rk_stack_t *self)
{
    const size_t n = self->config.n;
    memset (self->matrix, 0, n * n * sizeof *self->matrix);
    for (size_t i = 0; i < n; i++)
        for (size_t e = self->edges_at[i]; e < self->edges_at[i + 1]; e++)
            self->matrix[i * n + self->edges[e].peer] = self->edges[e].weight;
    return self->matrix;
}

void rk_stack_mix (rk_stack_t *self, const rk_graph_time_t *at)
{
    if (!self->config.graph)
        return;
    const uint32_t n = self->config.n;
    s_mixing_t m = {.stack = self, .one_row = rk_graph_is_exact_at (self->config.graph, at)};
    if (!m.one_row && self->config.mixing == RK_MIXING_AUTO && rk_graph_side (self->config.graph, at) >= LEAST_SIDE)
        m.side = rk_graph_side (self->config.graph, at);
    const size_t n_edges = m.side ? 0 : s_read_rows (self, at, m.one_row);
    s_mark_fours (self, m.one_row || m.side);
    const bool many = n_edges > (size_t) n * (n / 8 + 1);
    if (!m.one_row && (self->config.mixing == RK_MIXING_DENSE || (self->config.mixing == RK_MIXING_AUTO && many)))
        m.dense = s_fill_matrix (self);
    rk_stack_orders_before (self);
    if (self->orders.mass)
        s_mix_matrix (&m, self->orders.mass, NULL);
    else if (self->snapshot)
        s_mix_matrix (&m, self->snapshot, self->x);
    else
        s_mix_matrix (&m, self->x, NULL);
    for (int s = 0; self->config.mix_state && s < self->n_state; s++)
        s_mix_matrix (&m, self->state[s], NULL);
    if (self->orders.y)
        s_mix_matrix (&m, self->orders.y, NULL);
    rk_stack_orders_after (self, m.one_row);
    self->mixed_at = self->n_steps;
    self->snapshot_is_old = true;
}

void rk_stack_merge (rk_stack_t *self)
{
    if (self->n_rows == 1)
        return;
    float *mean = self->workers[0].grads; /* free between steps */
    rk_stack_mean (self, mean);
    for (uint32_t i = 0; i < self->n_rows; i++)
        memcpy (rk_stack_at (self, self->x, i), mean, self->d * sizeof *mean);
    self->mixed_at = self->n_steps;
    self->snapshot_is_old = true;
}
