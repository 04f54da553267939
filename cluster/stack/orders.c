/* SPDX-License-Identifier: MPL-2.0
 * What quasi-global momentum, gradient tracking and push-sum do around the mixing of all rows (cluster/mix.h), in the
 * order and with the bits of a run of actors. A task is a row.                                             */
#include <stdlib.h>
#include <string.h>

#include "cluster/mix.h"
#include "cluster/stack/stack_parts.h"
#include "compute/arena.h"

/* ---- memory */
static bool s_is_on (const rk_stack_config_t *c)
{
    return c->graph && (c->quasi_global || c->tracking || c->push_sum);
}

size_t rk_stack_orders_matrices (const rk_stack_config_t *c)
{
    return s_is_on (c) ? 1 + (size_t) c->quasi_global + 2 * (size_t) c->tracking + (size_t) c->push_sum : 0;
}

rk_err_t rk_stack_orders_check (const rk_stack_config_t *c, rk_error_t *err)
{
    const int asked = c->quasi_global + c->tracking + c->push_sum;
    if (c->graph && !c->push_sum && !rk_graph_is_doubly_stochastic (c->graph))
        return rk_error_set (err, RK_EINVAL, "the graph's matrix is not doubly stochastic: the mean would move; push-sum keeps it");
    if (asked && !c->graph)
        return rk_error_set (err, RK_EINVAL, "averaged gradients (centralised) know no quasi-global momentum, tracking or push-sum");
    if (asked > 1 || (asked && (c->order != RK_ORDER_ATC || c->mix_state || c->delay)))
        return rk_error_set (err, RK_EINVAL, "quasi-global momentum, gradient tracking and push-sum go alone: one of them, order "
                             "atc, no optimiser state mixed, no delay");
    if (c->quasi_global && (strcmp (c->optimizer, "sgd") || c->optim.momentum <= 0))
        return rk_error_set (err, RK_EINVAL, "quasi-global momentum needs sgd with momentum");
    if (c->tracking && (strcmp (c->optimizer, "sgd") || c->optim.momentum > 0))
        return rk_error_set (err, RK_EINVAL, "gradient tracking needs sgd without momentum");
    return RK_OK;
}

bool rk_stack_orders_open (rk_stack_t *self)
{
    const rk_stack_config_t *c = &self->config;
    rk_stack_orders_t *o = &self->orders;
    if (!s_is_on (c))
        return true;
    bool ok = (o->before = rk_stack_matrix (self->n_rows, self->d)) != NULL;
    if (c->quasi_global)
        ok = (o->start = rk_stack_matrix (self->n_rows, self->d)) && ok;
    if (c->tracking)
        ok = (o->y = rk_stack_matrix (self->n_rows, self->d)) && (o->change = rk_stack_matrix (self->n_rows, self->d)) && ok;
    if (c->push_sum)
        ok = (o->mass = rk_stack_matrix (self->n_rows, self->d)) && (o->weight = calloc (2 * (size_t) c->n, sizeof *o->weight)) && ok;
    for (uint32_t i = 0; ok && c->push_sum && i < c->n; i++)
        o->weight[i] = 1;
    return ok;
}

/* The rows as they are is where the first round begins. */
void rk_stack_orders_begin (rk_stack_t *self)
{
    if (self->orders.before)
        memcpy (self->orders.before, self->x, self->n_rows * self->d * sizeof (float));
}

void rk_stack_orders_close (rk_stack_t *self)
{
    free (self->orders.before);
    free (self->orders.start);
    free (self->orders.y);
    free (self->orders.change);
    free (self->orders.mass);
    free (self->orders.weight);
}

/* ---- before the mixing */
static void s_before (void *arg, size_t task, size_t worker)
{
    rk_stack_t *self = arg;
    rk_stack_orders_t *o = &self->orders;
    const size_t at = task * self->d;
    (void) worker;
    for (size_t r = 0; o->y && r < self->n_ranges; r++) {
        const size_t from = at + self->ranges[r].begin;
        rk_mix_track (self->ranges[r].count, o->before + from, self->x + from, o->y + from, o->change + from);
    }
    if (!o->mass)
        return;
    if (o->n_mixed)
        rk_mix_push (self->d, 1, o->before + at, self->x + at, o->mass + at);
    else
        memcpy (o->mass + at, self->x + at, self->d * sizeof (float));
}

void rk_stack_orders_before (rk_stack_t *self)
{
    if (self->orders.y || self->orders.mass)
        rk_pool_run (self->config.pool, self->n_rows, s_before, self);
}

/* ---- after it */
static void s_after (void *arg, size_t task, size_t worker)
{
    rk_stack_t *self = arg;
    rk_stack_orders_t *o = &self->orders;
    const size_t at = task * self->d, bytes = self->d * sizeof (float);
    (void) worker;
    for (size_t r = 0; o->mass && r < self->n_ranges; r++) {
        const size_t from = at + self->ranges[r].begin;
        rk_mix_ratio (self->ranges[r].count, o->weight[task], o->mass + from, self->x + from);
    }
    if (o->start && o->lr_sum > 0) {
        rk_mix_quasi_global (self->d, 1.0f - self->config.optim.momentum, (float) (1.0 / o->lr_sum), o->before + at,
                             self->x + at, o->start + at);
        memcpy (self->state[0] + at, o->start + at, bytes);
    }
    memcpy (o->before + at, self->x + at, bytes);
}

/* The weights of push-sum: mixed as the masses are; after an exact mean everybody's is 1. */
static void s_mix_weights (rk_stack_t *self, bool exact)
{
    rk_stack_orders_t *o = &self->orders;
    double *next = o->weight + self->config.n, heard[RK_STACK_PUSH_MOST];
    for (uint32_t i = 0; i < self->config.n; i++) {
        next[i] = 1;
        const size_t first = exact ? 0 : self->edges_at[i], n_edges = exact ? 0 : self->edges_at[i + 1] - first;
        for (size_t e = 0; e < n_edges; e++)
            heard[e] = o->weight[self->edges[first + e].peer];
        if (n_edges)
            next[i] = rk_mix_weight (self->edges + first, (uint32_t) n_edges, heard);
    }
    memcpy (o->weight, next, self->config.n * sizeof *next);
}

void rk_stack_orders_after (rk_stack_t *self, bool exact)
{
    rk_stack_orders_t *o = &self->orders;
    if (!o->before)
        return;
    if (o->mass)
        s_mix_weights (self, exact);
    rk_pool_run (self->config.pool, self->n_rows, s_after, self);
    o->lr_sum = 0;
    o->n_mixed++;
}
