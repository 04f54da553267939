/* SPDX-License-Identifier: MPL-2.0
 * One digit of the replica's number per step, averaged inside its group (radix.h). A control record says the
 * largest factor from then on, so that a closed loop buys spectrum with bytes; below the price of the cheapest
 * radix, steps without any exchange are put in between.                                                     */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/graphs/kind.h"
#include "cluster/graphs/radix.h"

#define DEFAULT_LARGEST 16

typedef struct {
    uint32_t rest;      /* steps without exchange after each digit */
    uint32_t n_choices;
    rk_radix_t usual, choices[]; /* what control records may ask for, largest factor ascending */
} s_state_t;

/* Of the divisors of n that a control record may name, each leads to one choice. */
static s_state_t *s_state_new (uint32_t n, uint32_t most)
{
    uint32_t n_divisors = 0;
    for (uint32_t d = 2; d <= most; d++)
        n_divisors += n % d == 0;
    s_state_t *state = calloc (1, sizeof *state + n_divisors * sizeof state->choices[0]);
    for (uint32_t d = 2; state && d <= most; d++)
        if (n % d == 0)
            state->choices[state->n_choices++] = rk_radix_make (n, d);
    return state;
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const rk_graph_config_t *c = &graph->config;
    const uint32_t most = c->degree >= c->n ? c->n : c->degree + 1;
    s_state_t *state = graph->state = s_state_new (c->n, most);
    if (!state)
        return rk_error_set (err, RK_ENOMEM, "no memory for a mixed radix of %u replicas", c->n);
    state->usual =
        c->budget > 0 ? rk_radix_within (c->n, c->budget) : rk_radix_make (c->n, c->group ? c->group : DEFAULT_LARGEST);
    if (c->budget > 0 && state->usual.models > c->budget)
        state->rest = (uint32_t) ceil (state->usual.models / c->budget - 1e-9) - 1;
    graph->max_row = state->usual.largest;
    for (uint32_t choice = 0; choice < state->n_choices; choice++)
        if (state->choices[choice].largest > graph->max_row)
            graph->max_row = state->choices[choice].largest;
    graph->exact = graph->max_row == c->n && state->rest == 0 && state->n_choices == 0;
    graph->period = state->usual.n_digits * (1 + state->rest);
    if (c->group > 1 && state->usual.largest > c->group)
        snprintf (graph->note, sizeof graph->note, "mixed radix of %u: no factors up to %u, its prime %u is used", c->n,
                  c->group, state->usual.largest);
    return RK_OK;
}

static const rk_radix_t *s_radix (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    const s_state_t *state = graph->state;
    const rk_radix_t *radix = &state->usual;
    for (uint32_t choice = 0; at->control > 0 && choice < state->n_choices; choice++)
        if (choice == 0 || state->choices[choice].largest <= at->control)
            radix = &state->choices[choice];
    return radix;
}

/* Factor and stride of the digit whose turn it is; factor 1: rest. A control record ends resting. */
static uint32_t s_digit (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t *stride)
{
    const rk_radix_t *radix = s_radix (graph, at);
    const uint32_t turns = at->control > 0 ? 1 : 1 + ((const s_state_t *) graph->state)->rest;
    const uint32_t digit = (uint32_t) (at->step / turns % radix->n_digits);
    *stride = 1;
    for (uint32_t d = 0; d < digit; d++)
        *stride *= radix->factors[d];
    return at->step % turns == 0 ? radix->factors[digit] : 1;
}

static bool s_exact (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    uint32_t stride;
    return s_digit (graph, at, &stride) == graph->config.n;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    uint32_t stride;
    const uint32_t factor = s_digit (graph, at, &stride);
    const uint32_t first = i - i / stride % factor * stride;
    for (uint32_t q = 0; q < factor; q++)
        edges[q] = (rk_graph_edge_t){first + q * stride, 1.0f / (float) factor};
    return factor;
}

static uint32_t s_group (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint32_t *members)
{
    uint32_t stride;
    const uint32_t factor = s_digit (graph, at, &stride);
    const uint32_t first = i - i / stride % factor * stride;
    for (uint32_t q = 0; members && q < factor; q++)
        members[q] = first + q * stride;
    return factor > 1 ? factor : 0;
}

static uint32_t s_turns (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    return s_radix (graph, at)->n_digits;
}

const rk_graph_kind_t rk_graph_kind_mixed_radix = {
    .open = s_open, .row = s_row, .exact = s_exact, .group = s_group, .turns = s_turns};
