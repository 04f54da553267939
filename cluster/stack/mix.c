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

typedef struct {
    rk_stack_t *stack;
    float *from;            /* (n, d): what is mixed */
    float *live;            /* NULL: mixed in place; else (n, d): live += mixed - from */
    const float *dense;     /* (n, n): W, or NULL: sparse */
    bool one_row;           /* all rows of W are the same */
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

/* Row i is the first of four of them, and they differ. */
static void s_mark_fours (rk_stack_t *self, bool one_row)
{
    memset (self->four, 0, self->config.n);
    for (uint32_t i = 0; !one_row && i + 4 <= self->config.n; i += self->four[i] ? 4 : 1)
        self->four[i] = !s_same_edges (self, i, i + 1) && s_are_four_means (self, i);
}

/* The cursors of four rows in their lists of peers, ascending. */
typedef struct {
    const rk_graph_edge_t *at[4], *end[4];
    float *out[4];
    bool begun[4];
} s_four_t;

/* The smallest peer that is left; which of the rows hear it, as bits; 0: none is left. */
static unsigned s_next_peer (const s_four_t *four, uint32_t *peer)
{
    const rk_graph_edge_t *const *at = four->at;
    unsigned who = 0;
    if (at[0] < four->end[0] && at[1] < four->end[1] && at[2] < four->end[2] && at[3] < four->end[3] && at[0]->peer == at[1]->peer &&
        at[1]->peer == at[2]->peer && at[2]->peer == at[3]->peer) { /* nearly always */
        *peer = at[0]->peer;
        return 15;
    }
    for (unsigned k = 0; k < 4; k++) {
        if (four->at[k] == four->end[k] || (who && four->at[k]->peer > *peer))
            continue;
        who = !who || four->at[k]->peer < *peer ? 1u << k : who | 1u << k;
        *peer = four->at[k]->peer;
    }
    return who;
}

static void s_take_one (s_four_t *four, unsigned k, const float *x, size_t width)
{
    if (four->begun[k])
        rk_vec ()->add (width, four->out[k], x, four->out[k]);
    else
        memcpy (four->out[k], x, width * sizeof *x);
    four->begun[k] = true;
}

/* Rows i .. i + 3 with the bits of rk_mix_row: each is summed in ascending order and divided. Peers that all four
 * hear one after the other are added in one go.                                                           */
static void s_four_rows (const s_mixing_t *m, rk_stack_worker_t *w, uint32_t i, size_t width, float *out, size_t step)
{
    const rk_stack_t *self = m->stack;
    s_four_t four = {.begun = {false}};
    for (uint32_t k = 0; k < 4; k++) {
        four.at[k] = self->edges + self->edges_at[i + k];
        four.end[k] = self->edges + self->edges_at[i + k + 1];
        four.out[k] = out + k * step;
    }
    size_t n_common = 0;
    const float **common = (const float **) w->peers;
    for (unsigned who = 1; who;) {
        uint32_t peer = 0;
        who = s_next_peer (&four, &peer);
        const float *x = w->panel + peer * width;
        const bool all = who == 15 && four.begun[0] && four.begun[1] && four.begun[2] && four.begun[3];
        if (all)
            common[n_common++] = x;
        else if (n_common) {
            rk_vec ()->sum4 (width, n_common, common, four.out);
            n_common = 0;
        }
        for (unsigned k = 0; k < 4; k++)
            if (who & 1u << k) {
                if (!all)
                    s_take_one (&four, k, x, width);
                four.at[k]++;
            }
    }
    for (uint32_t k = 0; k < 4; k++)
        rk_mix_end (true, (uint32_t) (self->edges_at[i + k + 1] - self->edges_at[i + k]), width, four.out[k]);
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
    for (uint32_t i = 0; i < self->config.n; i++)
        memcpy (w->panel + i * width, rk_stack_at (self, m->from, i) + at, width * sizeof (float));
    if (!m->live) {
        s_mix_panel (m, w, width, m->from + at, self->d);
        return;
    }
    s_mix_panel (m, w, width, w->mixed, width);
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
    const size_t n_edges = s_read_rows (self, at, m.one_row);
    s_mark_fours (self, m.one_row);
    const bool many = n_edges > (size_t) n * (n / 8 + 1);
    if (!m.one_row && (self->config.mixing == RK_MIXING_DENSE || (self->config.mixing == RK_MIXING_AUTO && many)))
        m.dense = s_fill_matrix (self);
    if (self->snapshot)
        s_mix_matrix (&m, self->snapshot, self->x);
    else
        s_mix_matrix (&m, self->x, NULL);
    for (int s = 0; self->config.mix_state && s < self->n_state; s++)
        s_mix_matrix (&m, self->state[s], NULL);
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
