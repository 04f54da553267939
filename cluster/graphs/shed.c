/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/shed.h"

#include <math.h>

#include "cluster/ada.h"
#include "cluster/graphs/lattice.h"

#define EDGE 1e-9 /* gamma pass is meant to reach whole numbers: 0.02 x 350 is 7 */

uint32_t rk_ada_degree (const rk_graph_config_t *c, uint64_t pass)
{
    const double side = c->per_side ? 2 : 1, others = c->n > 1 ? c->n - 1 : 1;
    const double most = c->gamma < 0 && c->degree ? fmin (c->degree, others) : others;
    const double k0 = side * (c->k0 > 0 ? c->k0 : RK_ADA_K0);
    const double k_min = c->k_min ? side * c->k_min : 2;
    const double passes = pass > c->hold ? (double) (pass - c->hold) : 0;
    const double shed = c->rounded ? round (c->gamma * passes) : floor (c->gamma * passes + EDGE);
    return (uint32_t) fmin (fmax (fmin (k0, most) - side * shed, k_min), most);
}

rk_err_t rk_shed_open (rk_graph_t *graph, rk_error_t *err)
{
    const rk_graph_config_t *c = &graph->config;
    if (c->k_min == 1 && !c->per_side && c->n > 2)
        return rk_error_set (err, RK_EINVAL, "k_min 1: a ring lattice has at least 2 connections");
    if (c->gamma < 0 && !c->degree)
        return rk_error_set (err, RK_EINVAL, "gamma %g: connections grow, so average.degree must say how many at most", c->gamma);
    const uint32_t first = rk_ada_degree (c, 0), most = c->degree > first ? c->degree : first;
    const uint32_t h = rk_lattice_side (c->n, most);
    graph->dims[0] = most;
    graph->max_row = 2 * h + 1 >= c->n ? c->n : 2 * h + 1;
    graph->exact = c->n <= 3;
    graph->period = graph->exact ? 1 : 0;
    return RK_OK;
}

uint32_t rk_shed_side (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    const rk_graph_config_t *c = &graph->config;
    const uint32_t degree = at->control ? at->control : rk_ada_degree (c, at->pass);
    return rk_lattice_side (c->n, degree < graph->dims[0] ? degree : graph->dims[0]);
}

bool rk_shed_is_exact (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    return 2 * rk_shed_side (graph, at) + 1 >= graph->config.n;
}
