/* SPDX-License-Identifier: MPL-2.0
 * What a closed loop chooses from, and how well each choice lets it see.                                    */
#include <math.h>
#include <string.h>

#include "cluster/ada.h"
#include "cluster/control.h"
#include "cluster/graphs/radix.h"
#include "cluster/spectrum.h"

static void s_add (uint32_t *values, uint32_t *n_values, uint32_t value)
{
    if (*n_values < RK_CONTROL_LADDER && (*n_values == 0 || values[*n_values - 1] < value))
        values[(*n_values)++] = value;
}

/* Even degrees, each about half as much again as the one before. */
static void s_degrees (const rk_graph_config_t *graph, uint32_t *values, uint32_t *n_values)
{
    const uint32_t first = rk_ada_degree (graph, 0), most = graph->degree > first ? graph->degree : first;
    const uint32_t top = most >= graph->n - 1 ? graph->n - 1 : most / 2 * 2;
    const uint32_t k_min = graph->k_min ? graph->k_min * (graph->per_side ? 2 : 1) : 2;
    for (uint32_t k = k_min / 2 * 2; k < top; k = k * 3 / 2 / 2 * 2 > k ? k * 3 / 2 / 2 * 2 : k + 2)
        s_add (values, n_values, k);
    s_add (values, n_values, top);
}

static void s_factors (const rk_graph_config_t *graph, uint32_t *values, uint32_t *n_values)
{
    const uint32_t most = graph->degree < graph->n ? graph->degree + 1 : graph->n;
    for (uint32_t d = 2; d <= most; d++)
        if (graph->n % d == 0)
            s_add (values, n_values, rk_radix_make (graph->n, d).largest);
}

rk_err_t rk_control_ladder (const rk_graph_config_t *graph, uint32_t values[RK_CONTROL_LADDER], uint32_t *n_values,
                            rk_error_t *err)
{
    const char *name = graph->name ? graph->name : "complete";
    *n_values = 0;
    if (graph->n > 3 && (strcmp (name, "ada") == 0 || strcmp (name, "ada-spread") == 0))
        s_degrees (graph, values, n_values);
    else if (graph->n > 3 && strcmp (name, "mixed-radix") == 0)
        s_factors (graph, values, n_values);
    if (*n_values < 2)
        return rk_error_set (err, RK_EINVAL,
                             "nothing to choose between for %s of %u replicas: a closed loop needs ada, ada-spread or "
                             "mixed-radix, and degrees above the least",
                             name, graph->n);
    return RK_OK;
}

static bool s_is_exact (const rk_graph_t *graph, uint32_t value)
{
    rk_graph_time_t at = {.control = value};
    const uint32_t n_steps = rk_graph_horizon (graph, &at);
    while (at.step < n_steps && rk_graph_is_exact_at (graph, &at))
        at.step++;
    return at.step == n_steps;
}

rk_err_t rk_control_sparse_only (const rk_graph_config_t *graph, uint32_t *values, uint32_t *n_values, rk_error_t *err)
{
    rk_graph_t *made;
    rk_err_t rc = rk_graph_new (&made, graph, err);
    if (rc)
        return rc;
    uint32_t kept = 0;
    for (uint32_t v = 0; v < *n_values; v++)
        if (!s_is_exact (made, values[v]))
            values[kept++] = values[v];
    rk_graph_destroy (&made);
    *n_values = kept;
    if (kept < 2)
        return rk_error_set (err, RK_EINVAL,
                             "a closed loop over %s of %u replicas: fewer than two degrees that are not the exact mean",
                             graph->name ? graph->name : "complete", graph->n);
    return RK_OK;
}

rk_err_t rk_control_sight (const rk_graph_config_t *graph, const uint32_t *values, uint32_t n_values, double mu,
                           double *sight, rk_error_t *err)
{
    rk_graph_t *made;
    rk_err_t rc = rk_graph_new (&made, graph, err);
    for (uint32_t v = 0; !rc && v < n_values; v++) {
        const rk_graph_time_t at = {.control = values[v]};
        rk_walk_t *walk;
        double before, after, seen;
        rc = rk_walk_new (&walk, made, &at, 0, err);
        if (rc)
            break;
        rc = rk_walk_noise (walk, mu, &before, &after, err);
        if (!rc)
            rc = rk_walk_seen (walk, mu, &seen, err);
        rk_walk_destroy (&walk);
        if (!rc)
            sight[v] = sqrt (before / seen);
    }
    rk_graph_destroy (&made);
    return rc;
}
