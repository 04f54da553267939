/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/score.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/traffic.h"

typedef unsigned __int128 s_wide_t;

#define MOST (UINT64_C (1) << 62)
#define MILLION 1000000
#define DUE_UNLIKE 20000 /* millionths */
#define DUE_UNUSED 20000
#define DUE_CHAINS 5000

static uint64_t s_bounded (s_wide_t x)
{
    return x < MOST ? (uint64_t) x : MOST;
}

uint64_t rk_score_every (const rk_settings_t *settings, uint64_t minibatches_per_pass, uint32_t n_clusters)
{
    uint64_t share = (minibatches_per_pass + n_clusters - 1) / n_clusters;
    share = share > 0 ? share : 1;
    return settings->average_every > 0 && settings->average_every < share ? settings->average_every : share;
}

uint64_t rk_score_staleness (const rk_settings_t *settings, uint32_t stage, uint32_t in_flight)
{
    const uint32_t out = rk_settings_judged (settings) || in_flight <= stage ? in_flight : in_flight - stage;
    if (!rk_settings_judged (settings) && in_flight <= stage)
        return 0;
    return (out - 1) / settings->pipeline_update_every;
}

/* ---- averaging */
static rk_mixing_t s_sparse (const rk_settings_t *settings, uint32_t n_clusters)
{
    const rk_graph_config_t config = {.name = settings->average_graph, .n = n_clusters, .seed = settings->run_seed,
                                      .degree = settings->average_degree, .probability = settings->average_probability,
                                      .k0 = settings->average_k0, .gamma = settings->average_gamma,
                                      .k_min = settings->average_k_min, .hold = settings->average_hold,
                                      .per_side = settings->average_k_unit, .rounded = settings->average_k_rounding,
                                      .group = settings->average_group, .budget = settings->average_budget};
    rk_mixing_t mixing = {2 * (uint64_t) (n_clusters - 1), 2 * (uint64_t) (n_clusters - 1) * MILLION / n_clusters};
    rk_graph_t *graph = NULL;
    if (rk_graph_new (&graph, &config, NULL)) /* no such graph for so many: the node that starts says so */
        return mixing;
    rk_graph_edge_t *edges = malloc ((rk_graph_max_row (graph) + 1) * sizeof *edges);
    const rk_graph_time_t at = {0};
    if (edges) {
        const rk_traffic_t traffic = rk_traffic_of (graph, &at, 0, settings->average_exchange == RK_EXCHANGE_DIRECT, edges);
        mixing = (rk_mixing_t){traffic.messages, (uint64_t) (traffic.models * MILLION + 0.5)};
    }
    free (edges);
    rk_graph_destroy (&graph);
    return mixing;
}

rk_mixing_t rk_score_mixing (const rk_settings_t *settings, uint32_t n_clusters)
{
    if (n_clusters < 2)
        return (rk_mixing_t){0};
    if (strcmp (settings->average_graph, "complete") != 0 && n_clusters <= RK_MAX_CLUSTERS)
        return s_sparse (settings, n_clusters);
    const uint64_t hops = 2 * (uint64_t) (n_clusters - 1);
    return (rk_mixing_t){hops, hops * MILLION / n_clusters};
}

/* ---- the objective */
static uint64_t s_millionths (double x)
{
    return (uint64_t) (x * MILLION + 0.5);
}

static uint64_t s_score (const rk_outlook_t *o, const rk_settings_t *settings, uint64_t samples_per_1e6s)
{
    const s_wide_t stale = (s_wide_t) s_millionths (settings->plan_staleness) * (o->staleness * 1000 / (o->n_stages ? o->n_stages : 1));
    const s_wide_t apart = (s_wide_t) s_millionths (settings->plan_disagreement) * 1000 * (o->n_clusters - 1) * o->every;
    return s_bounded ((s_wide_t) samples_per_1e6s * 1000000000 / (1000000000 + stale + apart));
}

static uint64_t s_dues (const rk_outlook_t *o)
{
    const uint64_t unlike = o->most ? (uint64_t) ((s_wide_t) (o->most - o->least) * DUE_UNLIKE / o->most) : 0;
    const uint64_t unused = (uint64_t) (o->n_nodes - o->n_stages) * DUE_UNUSED / o->n_nodes;
    const uint64_t chains = (uint64_t) (o->longest - 1) * DUE_CHAINS / o->n_nodes;
    return unlike + unused + chains;
}

void rk_outlook_judge (rk_outlook_t *o, const rk_settings_t *settings, uint64_t minibatches_per_pass)
{
    o->every = rk_score_every (settings, minibatches_per_pass, o->n_clusters);
    const s_wide_t minibatches = (s_wide_t) o->every * o->n_clusters;
    const s_wide_t training = minibatches * 1000000000 * 1000000000 / (o->rates ? o->rates : 1);
    s_wide_t ns;
    if (settings->average_mode == RK_AVERAGE_DRAINED)
        ns = training + o->fill_ns + o->averaging_ns;
    else
        ns = training > o->averaging_ns ? training : o->averaging_ns;
    ns = ns > 0 ? ns : 1;
    o->round_ns = s_bounded (ns);
    const s_wide_t samples = minibatches * settings->train_batch;
    o->samples_per_1000s = s_bounded (samples * 1000000000000 / ns);
    o->score = s_score (o, settings, s_bounded (samples * 1000000000000000 / ns));
    o->worth = (uint64_t) ((s_wide_t) o->score * (MILLION - s_dues (o)) / MILLION);
}
