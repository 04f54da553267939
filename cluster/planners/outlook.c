/* SPDX-License-Identifier: MPL-2.0
 * From chains to the figures that the objective is made of.                                              */
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 s_wide_t;

#define MOST_NS (UINT64_C (1) << 62)

/* CPU time the chain takes from each host per 1e9 s at its own rate, in ns. */
static void s_add_load (rk_costs_t *costs, const rk_chain_t *c)
{
    for (uint32_t s = 0; s < c->k; s++) {
        const uint32_t h = costs->host[c->node[s]];
        if (!costs->is_tight[h])
            continue;
        const uint32_t last = s + 1 < c->k ? c->first[s + 1] : costs->n_units;
        const rk_stage_cost_t cost = rk_costs_stage (costs, c->node, c->k, s, c->first[s], last);
        costs->load[h] += (s_wide_t) c->rate * cost.busy_ns / 1000000 * costs->fleet->nodes[c->node[s]].speed_ppm + (s_wide_t) c->rate * cost.beside_ns;
    }
}

/* The chain's rate when its busiest host is shared. */
static uint64_t s_shared_rate (const rk_costs_t *costs, const rk_chain_t *c)
{
    uint64_t rate = c->rate;
    for (uint32_t s = 0; costs->n_tight > 0 && s < c->k; s++) {
        const uint32_t h = costs->host[c->node[s]];
        const s_wide_t have = (s_wide_t) costs->cores[h] * 1000000000 * 1000000000;
        if (!costs->is_tight[h] || costs->load[h] <= have)
            continue;
        /* Parts per 2^30, so that the product fits. */
        const uint64_t shared = (uint64_t) ((s_wide_t) c->rate * (uint64_t) (have / (costs->load[h] >> 30)) >> 30);
        rate = shared < rate ? shared : rate;
    }
    return rate > 0 ? rate : 1;
}

void rk_chains_judge (rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n, uint64_t averaging_ns, rk_outlook_t *o)
{
    *o = (rk_outlook_t){.n_clusters = n, .n_nodes = costs->n_nodes, .least = UINT64_MAX, .averaging_ns = averaging_ns};
    if (costs->n_tight > 0) {
        memset (costs->load, 0, costs->n_hosts * sizeof *costs->load);
        for (uint32_t c = 0; c < n; c++)
            s_add_load (costs, clusters[c]);
    }
    for (uint32_t c = 0; c < n; c++) {
        const rk_chain_t *chain = clusters[c];
        const uint64_t rate = s_shared_rate (costs, chain);
        const uint64_t fill = rk_chain_fill_ns (chain);
        const uint32_t in_flight = rk_costs_in_flight (costs, chain->k);
        o->rates += rate;
        o->least = rate < o->least ? rate : o->least;
        o->most = rate > o->most ? rate : o->most;
        o->fill_ns = fill > o->fill_ns ? (fill < MOST_NS ? fill : MOST_NS) : o->fill_ns;
        o->n_stages += chain->k;
        o->longest = chain->k > o->longest ? chain->k : o->longest;
        for (uint32_t s = 0; s < chain->k && costs->settings->plan_staleness > 0; s++)
            o->staleness += rk_score_staleness (costs->settings, s, in_flight);
    }
    rk_outlook_judge (o, costs->settings, costs->pass_minibatches);
}

/* ---- answers */
void rk_assignment_of (rk_assignment_t *out, const rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n)
{
    *out = (rk_assignment_t){.n_clusters = n};
    for (uint32_t c = 0; c < n; c++) {
        const rk_chain_t *chain = clusters[c];
        out->counts[c] = chain->k;
        for (uint32_t s = 0; s < chain->k; s++) {
            out->nodes[out->n_stages] = chain->node[s];
            out->first_layers[out->n_stages++] = costs->at[chain->first[s]];
        }
    }
}

static uint16_t s_unit_of (const rk_costs_t *costs, uint32_t layer)
{
    uint16_t u = 0;
    while (costs->at[u] < layer)
        u++;
    return u;
}

void rk_assignment_chains (rk_costs_t *costs, const rk_assignment_t *a, rk_chain_t *chains)
{
    costs->averaging = a->n_clusters > 1;
    for (uint32_t c = 0, at = 0; c < a->n_clusters; c++) {
        chains[c].k = a->counts[c];
        for (uint32_t s = 0; s < a->counts[c]; s++, at++) {
            chains[c].node[s] = (uint16_t) a->nodes[at];
            chains[c].first[s] = s_unit_of (costs, a->first_layers[at]);
        }
        rk_chain_appraise (costs, &chains[c]);
    }
}

rk_err_t rk_assignment_judge (rk_costs_t *costs, const rk_assignment_t *a, rk_outlook_t *out)
{
    rk_chain_t *chains = malloc (a->n_clusters * sizeof *chains);
    const rk_chain_t **ring = malloc (a->n_clusters * sizeof *ring);
    if (chains && ring) {
        rk_assignment_chains (costs, a, chains);
        for (uint32_t c = 0; c < a->n_clusters; c++)
            ring[c] = &chains[c];
        const uint64_t averaging = rk_ring_ns (costs, ring, a->n_clusters, rk_costs_mixing (costs, a->n_clusters));
        rk_chains_judge (costs, ring, a->n_clusters, averaging, out);
    }
    rk_err_t code = chains && ring && !costs->out_of_memory ? RK_OK : RK_ENOMEM;
    free (chains);
    free (ring);
    return code;
}
