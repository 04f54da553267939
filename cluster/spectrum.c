/* SPDX-License-Identifier: MPL-2.0
 * Walks: rows of a graph as checked sparse matrices, and what follows from their links.                     */
#include "cluster/spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/mix.h"
#include "cluster/walk.h"

#define MOST_WEIGHTS (1u << 26)
#define TOLERANCE 1e-12

uint32_t rk_walk_n_steps (const rk_walk_t *walk)
{
    return walk->n_steps;
}

void rk_walk_destroy (rk_walk_t **walk_p)
{
    rk_walk_t *walk = *walk_p;
    if (!walk)
        return;
    free (walk->first);
    free (walk->peers);
    free (walk->weights);
    free (walk);
    *walk_p = NULL;
}

void rk_walk_apply (const rk_walk_t *walk, uint32_t step, const double *x, double *out)
{
    const uint64_t *first = walk->first + (size_t) step * walk->n;
    for (uint32_t i = 0; i < walk->n; i++) {
        double sum = 0;
        for (uint64_t e = first[i]; e < first[i + 1]; e++)
            sum += walk->weights[e] * x[walk->peers[e]];
        out[i] = sum;
    }
}

void rk_walk_apply_turned (const rk_walk_t *walk, uint32_t step, const double *x, double *out)
{
    const uint64_t *first = walk->first + (size_t) step * walk->n;
    memset (out, 0, walk->n * sizeof *out);
    for (uint32_t i = 0; i < walk->n; i++)
        for (uint64_t e = first[i]; e < first[i + 1]; e++)
            out[walk->peers[e]] += walk->weights[e] * x[i];
}

/* ---- making and checking */
static rk_err_t s_grow (rk_walk_t *walk, uint64_t n_weights, rk_error_t *err)
{
    if (n_weights > MOST_WEIGHTS)
        return rk_error_set (err, RK_EUNSUPPORTED, "a walk over %u replicas in %u steps has more than %u weights",
                             walk->n, walk->n_steps, MOST_WEIGHTS);
    while (walk->room < n_weights)
        walk->room = walk->room ? 2 * walk->room : 1024;
    uint32_t *peers = realloc (walk->peers, walk->room * sizeof *peers);
    walk->peers = peers ? peers : walk->peers;
    double *weights = realloc (walk->weights, walk->room * sizeof *weights);
    walk->weights = weights ? weights : walk->weights;
    return peers && weights
               ? RK_OK
               : rk_error_set (err, RK_ENOMEM, "no memory for %llu weights", (unsigned long long) n_weights);
}

static rk_err_t s_row (rk_walk_t *walk, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint64_t *end,
                       rk_graph_edge_t *edges, rk_error_t *err)
{
    const uint32_t n_edges = rk_graph_row (graph, at, i, edges);
    const bool mean = rk_mix_is_mean (edges, n_edges);
    rk_err_t rc = *end + n_edges > walk->room ? s_grow (walk, *end + n_edges, err) : RK_OK;
    for (uint32_t e = 0; !rc && e < n_edges; e++) {
        if (!(edges[e].weight > 0) || edges[e].peer >= walk->n || (e > 0 && edges[e].peer <= edges[e - 1].peer))
            return rk_error_set (err, RK_EINVAL, "%s: row %u of step %llu is out of order or has a weight of %g",
                                 rk_graph_name (graph), i, (unsigned long long) at->step, (double) edges[e].weight);
        walk->peers[*end] = edges[e].peer;
        walk->weights[(*end)++] = mean ? 1.0 / n_edges : edges[e].weight;
    }
    return rc;
}

/* Sums of one matrix, and that what i sends (its column) is what others expect (their rows). */
static rk_err_t s_check (const rk_walk_t *walk, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t step,
                         double *sums, uint32_t *heard, rk_graph_edge_t *edges, rk_error_t *err)
{
    const uint64_t *first = walk->first + (size_t) step * walk->n;
    memset (sums, 0, walk->n * sizeof *sums);
    memset (heard, 0, walk->n * sizeof *heard);
    for (uint32_t i = 0; i < walk->n; i++) {
        double row = 0;
        for (uint64_t e = first[i]; e < first[i + 1]; e++) {
            row += walk->weights[e];
            sums[walk->peers[e]] += walk->weights[e];
            heard[walk->peers[e]] += walk->peers[e] != i;
        }
        if (fabs (row - 1) > TOLERANCE && !walk->push_sum)
            return rk_error_set (err, RK_EINVAL,
                                 "%s: row %u of step %llu sums to %.15g: not doubly stochastic, so it needs push-sum",
                                 rk_graph_name (graph), i, (unsigned long long) at->step, row);
    }
    for (uint32_t j = 0; j < walk->n; j++) {
        if (fabs (sums[j] - 1) > TOLERANCE)
            return rk_error_set (err, RK_EINVAL, "%s: column %u of step %llu sums to %.15g", rk_graph_name (graph), j,
                                 (unsigned long long) at->step, sums[j]);
        if (rk_graph_column (graph, at, j, edges) != heard[j])
            return rk_error_set (err, RK_EINVAL,
                                 "%s: replica %u of step %llu is heard by %u, but does not send to as many",
                                 rk_graph_name (graph), j, (unsigned long long) at->step, heard[j]);
    }
    return RK_OK;
}

static rk_err_t s_fill (rk_walk_t *walk, const rk_graph_t *graph, const rk_graph_time_t *at, rk_error_t *err)
{
    const uint32_t n = walk->n;
    rk_graph_edge_t *edges = malloc (rk_graph_max_row (graph) * sizeof *edges);
    double *sums = malloc (n * sizeof *sums);
    uint32_t *heard = malloc (n * sizeof *heard);
    walk->first = malloc (((size_t) walk->n_steps * n + 1) * sizeof *walk->first);
    rk_err_t rc = edges && sums && heard && walk->first
                      ? RK_OK
                      : rk_error_set (err, RK_ENOMEM, "no memory for a walk over %u replicas", n);
    uint64_t end = 0;
    for (uint32_t step = 0; !rc && step < walk->n_steps; step++) {
        const rk_graph_time_t now = {.step = at->step + step, .pass = at->pass, .control = at->control};
        for (uint32_t i = 0; !rc && i < n; i++) {
            walk->first[(size_t) step * n + i] = end;
            rc = s_row (walk, graph, &now, i, &end, edges, err);
        }
        walk->first[(size_t) (step + 1) * n] = end;
        if (!rc)
            rc = s_check (walk, graph, &now, step, sums, heard, edges, err);
    }
    free (edges);
    free (sums);
    free (heard);
    return rc;
}

rk_err_t rk_walk_new (rk_walk_t **walk_p, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t n_steps,
                      rk_error_t *err)
{
    rk_walk_t *walk = *walk_p = calloc (1, sizeof *walk);
    if (!walk)
        return rk_error_set (err, RK_ENOMEM, "no memory for a walk");
    walk->n = rk_graph_n (graph);
    walk->n_steps = n_steps ? n_steps : rk_graph_horizon (graph, at);
    walk->push_sum = !rk_graph_is_doubly_stochastic (graph);
    walk->irregular = rk_graph_is_irregular (graph);
    rk_err_t rc = s_fill (walk, graph, at, err);
    if (!rc)
        rc = rk_walk_reach (walk, rk_graph_name (graph), err);
    if (rc)
        rk_walk_destroy (walk_p);
    return rc;
}
