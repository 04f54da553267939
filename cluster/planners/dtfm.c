/* SPDX-License-Identifier: MPL-2.0
 * The planner "dtfm": placement.h for every number of stages that divides the nodes (fleet.layout: for that one).
 * What is published knows equal devices and equal stages; here each pipeline it finds is cut by measured time
 * under each node's memory, and of all numbers of stages the one with the best score is taken.            */
#include "cluster/planners/placement.h"
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>

#define TRIALS 4900              /* as published */
#define MOST_STEPS 100000000     /* for all numbers of stages */

typedef struct {
    rk_costs_t *costs;
    uint64_t *latency_ns, *bytes_per_s;
    rk_chain_t *chains;
    const rk_chain_t **ring;
    uint64_t worth;
    uint32_t n_tried;
} s_dtfm_t;

static void s_fill_links (s_dtfm_t *d)
{
    const uint32_t n = d->costs->n_nodes;
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t v = 0; v < n; v++) {
            const rk_pace_t link = rk_costs_link (d->costs, u, v);
            d->latency_ns[(size_t) u * n + v] = link.half_rtt_ns;
            d->bytes_per_s[(size_t) u * n + v] = (UINT64_C (1000000000) << 20) / (link.ns_per_mib ? link.ns_per_mib : 1);
        }
}

/* Bytes across a cut in one round, the mean of all cuts. */
static uint64_t s_activations (const rk_costs_t *costs, uint32_t n_clusters)
{
    uint64_t sum = 0;
    for (uint32_t u = 1; u < costs->n_units; u++)
        sum += costs->wire[u] / costs->n_units;
    return sum * rk_score_every (costs->settings, costs->pass_minibatches, n_clusters);
}

/* Pipelines: from group to group along the matchings. */
static void s_chains (s_dtfm_t *d, rk_placement_t *p, const uint8_t *group_of, const uint8_t *path)
{
    uint16_t partner[RK_PLACEMENT_MOST], rank[RK_PLACEMENT_MOST];
    uint32_t c = 0;
    for (uint32_t u = 0; u < p->n; u++)
        if (group_of[u] == path[0])
            d->chains[c++].node[0] = (uint16_t) u;
    for (uint32_t s = 0; s + 1 < p->n_groups; s++) {
        rk_placement_match (p, group_of, path[s], path[s + 1], partner);
        for (uint32_t u = 0, i = 0; u < p->n; u++)
            if (group_of[u] == path[s])
                rank[u] = (uint16_t) i++;
        for (c = 0; c < p->group_size; c++)
            d->chains[c].node[s + 1] = partner[rank[d->chains[c].node[s]]];
    }
}

static void s_judge (s_dtfm_t *d, uint32_t k, uint32_t n_clusters, rk_assignment_t *out)
{
    rk_costs_t *costs = d->costs;
    costs->averaging = n_clusters > 1;
    for (uint32_t c = 0; c < n_clusters; c++) {
        d->chains[c].k = k;
        d->ring[c] = &d->chains[c];
        if (!rk_cut_best (costs, &d->chains[c], UINT64_MAX))
            return;
    }
    rk_outlook_t outlook;
    const rk_mixing_t *mixing = rk_costs_mixing (costs, n_clusters);
    const bool fixed = costs->settings->n_layout > 0;
    const uint64_t averaging = fixed ? rk_ring_ns (costs, d->ring, n_clusters, mixing) : rk_ring_arrange (costs, d->ring, n_clusters, mixing);
    rk_chains_judge (costs, d->ring, n_clusters, averaging, &outlook);
    if (outlook.worth <= d->worth)
        return;
    d->worth = outlook.worth;
    rk_assignment_of (out, costs, d->ring, n_clusters);
}

static rk_err_t s_try (s_dtfm_t *d, uint32_t k, uint64_t steps, rk_assignment_t *out, rk_error_t *err)
{
    const rk_costs_t *costs = d->costs;
    const uint32_t n_clusters = costs->n_nodes / k;
    rk_placement_t p;
    uint8_t group_of[RK_PLACEMENT_MOST], path[RK_PLACEMENT_MOST];
    uint64_t cost;
    rk_err_t code = rk_placement_open (&p, k, n_clusters, d->latency_ns, d->bytes_per_s, 4 * costs->model->n_flat / k,
                                       s_activations (costs, n_clusters), costs->settings->run_seed, err);
    if (code == RK_OK) {
        code = rk_placement_search (&p, TRIALS, steps, group_of, &cost);
        if (code == RK_OK) {
            cost = rk_placement_cost (&p, group_of, path, NULL);
            s_chains (d, &p, group_of, path);
            s_judge (d, k, n_clusters, out);
            d->n_tried++;
        }
        rk_placement_close (&p);
    }
    return code;
}

static bool s_open (s_dtfm_t *d, rk_costs_t *costs)
{
    const size_t n = costs->n_nodes;
    *d = (s_dtfm_t){.costs = costs, .latency_ns = malloc (n * n * sizeof *d->latency_ns), .bytes_per_s = malloc (n * n * sizeof *d->bytes_per_s),
                    .chains = calloc (n, sizeof *d->chains), .ring = calloc (n, sizeof *d->ring)};
    return d->latency_ns && d->bytes_per_s && d->chains && d->ring;
}

static void s_close (s_dtfm_t *d)
{
    free (d->latency_ns);
    free (d->bytes_per_s);
    free (d->chains);
    free (d->ring);
}

static bool s_is_allowed (const rk_costs_t *costs, uint32_t k)
{
    const rk_settings_t *settings = costs->settings;
    bool allowed = costs->n_nodes % k == 0 && k <= costs->n_units && (settings->n_layout == 0 || settings->n_layout == costs->n_nodes / k);
    for (uint32_t c = 0; allowed && c < settings->n_layout; c++)
        allowed = settings->fleet_layout[c] == k;
    return allowed;
}

rk_err_t rk_planner_dtfm (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    const uint32_t n = costs->n_nodes;
    if (n > RK_PLACEMENT_MOST)
        return rk_error_set (err, RK_EPLAN, "dtfm places up to %d nodes, there are %u; auto takes any number", RK_PLACEMENT_MOST, n);
    s_dtfm_t d;
    uint32_t n_allowed = 0;
    rk_err_t code = s_open (&d, costs) ? RK_OK : RK_ENOMEM;
    if (code == RK_OK)
        s_fill_links (&d);
    for (uint32_t k = 1; k <= n; k++)
        n_allowed += s_is_allowed (costs, k);
    for (uint32_t k = 1; code == RK_OK && k <= n; k++)
        if (s_is_allowed (costs, k))
            code = s_try (&d, k, MOST_STEPS / n_allowed, out, err);
    s_close (&d);
    if (code == RK_ENOMEM || costs->out_of_memory)
        return rk_error_set (err, RK_ENOMEM, "no memory to plan %u nodes", n);
    if (code == RK_OK && n_allowed == 0)
        code = rk_error_set (err, RK_EPLAN, "dtfm: %u nodes do not divide into equal clusters of up to %u stages", n, costs->n_units);
    else if (code == RK_OK && d.worth == 0)
        code = rk_error_set (err, RK_EPLAN, "dtfm: the model does not fit into the memory of any of its equal clusters");
    return code;
}
