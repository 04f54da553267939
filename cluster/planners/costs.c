/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/planners/planner.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/memory.h"
#include "cluster/plan_parts.h"

#define OTHERS 4     /* what is not kernels may want this part more of a host's cores */

/* Models of more layers are cut only where it is cheap: the layers are dealt to buckets of equal time, and
 * each bucket offers the cut with the fewest bytes.                                                      */
static void s_choose_units (rk_costs_t *costs, const uint64_t *layer_ns)
{
    const rk_model_info_t *model = costs->model;
    if (model->n_layers <= RK_MAX_UNITS) {
        for (uint32_t l = 0; l <= model->n_layers; l++)
            costs->at[l] = l;
        costs->n_units = model->n_layers;
        return;
    }
    unsigned __int128 total = 0, before = 0;
    for (uint32_t l = 0; l < model->n_layers; l++)
        total += layer_ns[l] + 1;
    uint32_t n = 1, bucket = 0;
    costs->at[0] = 0;
    for (uint32_t l = 1; l < model->n_layers; l++) {
        before += layer_ns[l - 1] + 1;
        uint32_t now = (uint32_t) (before * RK_MAX_UNITS / total);
        bool fresh = now != bucket || n == 1;
        if (fresh && n < RK_MAX_UNITS)
            costs->at[n++] = l;
        else if (model->layers[l].cut_bytes < model->layers[costs->at[n - 1]].cut_bytes)
            costs->at[n - 1] = l;
        bucket = now;
    }
    costs->at[n] = model->n_layers;
    costs->n_units = n;
}

/* Copies of what a stage holds for each float, per minibatch of a round. */
static uint64_t s_copies_ns (const rk_costs_t *costs, uint64_t rate, uint64_t floats, uint64_t copies)
{
    const uint64_t every = rk_score_every (costs->settings, costs->pass_minibatches, 1);
    return rate ? (uint64_t) ((unsigned __int128) floats * copies * sizeof (float) * 1000000000 / rate / every) : 0;
}

/* After each round a stage keeps a copy of its optimiser's state. */
static void s_fill_times (rk_costs_t *costs)
{
    const rk_model_info_t *model = costs->model;
    for (uint32_t node = 0; node < costs->n_nodes; node++) {
        const rk_profile_t *p = &costs->fleet->nodes[node];
        uint64_t *ns = costs->ns + (size_t) node * RK_UNITS_ROW, *again = costs->again_ns + (size_t) node * RK_UNITS_ROW;
        for (uint32_t u = 0; u < costs->n_units; u++) {
            ns[u + 1] = ns[u];
            again[u + 1] = again[u];
            for (uint32_t l = costs->at[u]; l < costs->at[u + 1]; l++) {
                const uint64_t end = l + 1 < model->n_layers ? model->layers[l + 1].flat_at : model->n_flat;
                ns[u + 1] += p->forward_ns[l] + p->backward_ns[l];
                ns[u + 1] += s_copies_ns (costs, p->copy_bytes_per_s, end - model->layers[l].flat_at, model->optimizer_slots);
                again[u + 1] += p->forward_ns[l];
            }
        }
        const uint32_t h = costs->host[node];
        costs->once_ns[node] = p->dispatch_ns;
        costs->first_ns[node] = costs->guests[h] > 1 ? 0 : p->feed_ns / costs->cores[h]; /* its threads wait for one another */
    }
}

static uint64_t s_cpu_ns (uint64_t bytes)
{
    const rk_pace_t memory = {.ns_per_mib = (UINT64_C (1000000000) << 20) / RK_PLAN_COPY_RATE};
    return rk_pace_ns (&memory, bytes);
}

static void s_fill_sizes (rk_costs_t *costs)
{
    const rk_model_info_t *model = costs->model;
    const uint64_t every = rk_score_every (costs->settings, costs->pass_minibatches, 1);
    bool halved = costs->settings->pipeline_wire == RK_WIRE_F16;
    for (uint32_t u = 0; u <= costs->n_units; u++) {
        bool inside = u > 0 && u < costs->n_units;
        uint64_t bytes = inside ? model->layers[costs->at[u]].cut_bytes : 0;
        costs->wire[u] = halved ? bytes / 2 : bytes;
        costs->copy_ns[u] = s_cpu_ns (costs->wire[u]);
        costs->flat[u] = u < costs->n_units ? model->layers[costs->at[u]].flat_at : model->n_flat;
        /* In a round each float goes out about twice; that is spread over the minibatches of the round. Not by the rate of
         * copying, which a thread measured alone: sums and means come from other threads' caches. */
        costs->mix_ns[u] = s_cpu_ns (8 * costs->flat[u] / every);
    }
}

/* ---- memory */
static bool s_may_recompute (const rk_costs_t *costs)
{
    return costs->settings->pipeline_recompute != RK_RECOMPUTE_OFF;
}

static bool s_must_recompute (const rk_costs_t *costs)
{
    return costs->settings->pipeline_recompute == RK_RECOMPUTE_ON;
}

static void s_fill_needs (const rk_costs_t *costs, rk_needs_t *needs, uint32_t in_flight)
{
    for (uint32_t first = 0; first < costs->n_units; first++) {
        uint64_t least = UINT64_MAX;
        for (uint32_t last = costs->n_units; last > first; last--) {
            const size_t at = (size_t) first * RK_UNITS_ROW + last;
            rk_memory_sums_t sums;
            rk_memory_t plain, lean;
            rk_memory_sums (&sums, costs->model, costs->at[first], costs->at[last]);
            rk_memory_of (&plain, &sums, costs->settings, in_flight, s_must_recompute (costs));
            rk_memory_of (&lean, &sums, costs->settings, in_flight, s_may_recompute (costs));
            needs->plain[at] = plain.total;
            needs->lean[at] = lean.total;
            least = lean.total < least ? lean.total : least;
            needs->least[at] = least;
        }
    }
}

const rk_needs_t *rk_costs_needs (rk_costs_t *costs, uint32_t in_flight)
{
    rk_needs_t *needs = &costs->needs[in_flight];
    const size_t n = (size_t) RK_UNITS_ROW * RK_UNITS_ROW;
    if (needs->plain)
        return needs;
    needs->plain = malloc (3 * n * sizeof *needs->plain);
    if (!needs->plain) {
        costs->out_of_memory = true;
        return NULL;
    }
    needs->lean = needs->plain + n;
    needs->least = needs->plain + 2 * n;
    s_fill_needs (costs, needs, in_flight);
    return needs;
}

/* ---- hosts */
typedef struct {
    uint64_t host;
    uint32_t node;
} s_home_t;

static int s_by_host (const void *a, const void *b)
{
    const s_home_t *x = a, *y = b;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return x->node < y->node ? -1 : 1;
}

static bool s_fill_hosts (rk_costs_t *costs)
{
    s_home_t *homes = calloc (costs->n_nodes, sizeof *homes);
    if (!homes)
        return false;
    for (uint32_t i = 0; i < costs->n_nodes; i++)
        homes[i] = (s_home_t){costs->fleet->nodes[i].host, i};
    qsort (homes, costs->n_nodes, sizeof *homes, s_by_host);
    uint64_t wanted = 0;
    bool others = false;
    for (uint32_t i = 0; i < costs->n_nodes; i++) {
        const rk_profile_t *p = &costs->fleet->nodes[homes[i].node];
        bool fresh = i == 0 || homes[i].host != homes[i - 1].host;
        costs->n_hosts += fresh;
        uint32_t h = costs->n_hosts - 1;
        wanted = (fresh ? 0 : wanted) + p->speed_ppm;
        costs->host[homes[i].node] = h;
        costs->guests[h]++;
        costs->cores[h] = fresh || p->cores < costs->cores[h] ? p->cores : costs->cores[h];
        costs->n_tight -= costs->is_tight[h];
        others = (fresh ? false : others) || p->feed_ns || p->dispatch_ns;
        costs->is_tight[h] = wanted + (others && costs->guests[h] > 1 ? wanted / OTHERS : 0) > costs->cores[h] * 1000000;
        costs->n_tight += costs->is_tight[h];
    }
    free (homes);
    return true;
}

/* ---- links */
static rk_pace_t s_link (uint64_t rate, uint64_t rtt_us)
{
    rtt_us = rtt_us < RK_PLAN_MOST_RTT_US ? rtt_us : RK_PLAN_MOST_RTT_US;
    return (rk_pace_t){.ns_per_mib = (UINT64_C (1000000000) << 20) / rate, .half_rtt_ns = rtt_us * 500};
}

rk_pace_t rk_costs_link (const rk_costs_t *costs, uint32_t from, uint32_t to)
{
    const rk_fleet_t *fleet = costs->fleet;
    const size_t at = (size_t) from * costs->n_nodes + to;
    rk_pace_t link = costs->host[from] == costs->host[to] ? costs->local : costs->remote;
    if (fleet->link_bytes_per_s && fleet->link_bytes_per_s[at])
        link.ns_per_mib = (UINT64_C (1000000000) << 20) / fleet->link_bytes_per_s[at];
    if (fleet->link_rtt_ns && fleet->link_rtt_ns[at])
        link.half_rtt_ns = (fleet->link_rtt_ns[at] < RK_PLAN_MOST_RTT_US * 1000 ? fleet->link_rtt_ns[at] : RK_PLAN_MOST_RTT_US * 1000) / 2;
    return link;
}

static int s_nearer (const void *a, const void *b)
{
    const rk_pace_t *x = a, *y = b;
    const uint64_t p = x->ns_per_mib + x->half_rtt_ns, r = y->ns_per_mib + y->half_rtt_ns;
    return (p > r) - (p < r);
}

static void s_fill_links (rk_costs_t *costs)
{
    enum { MOST_SAMPLED = 15 };
    const uint32_t n = costs->n_nodes, step = (n + MOST_SAMPLED - 1) / MOST_SAMPLED;
    costs->local = s_link (RK_PLAN_LOCAL_RATE, RK_PLAN_LOCAL_RTT_US);
    costs->remote = s_link (RK_PLAN_UNMEASURED_RATE, RK_PLAN_UNMEASURED_RTT_US);
    for (uint32_t i = 0; i < n; i++) {
        rk_pace_t links[MOST_SAMPLED];
        uint32_t n_links = 0;
        for (uint32_t j = 0; j < n; j += step)
            if (j != i)
                links[n_links++] = rk_costs_link (costs, i, j);
        qsort (links, n_links, sizeof *links, s_nearer);
        costs->uplink[i] = n_links ? links[n_links / 2] : (rk_pace_t){0};
    }
}

/* ---- class */
rk_err_t rk_costs_init (rk_costs_t *costs, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings)
{
    const uint64_t batch = settings->train_batch;
    *costs = (rk_costs_t){.fleet = fleet, .model = model, .settings = settings, .n_nodes = fleet->n_nodes,
                          .pass_minibatches = (model->train_samples + batch - 1) / batch};
    costs->ns = calloc ((size_t) fleet->n_nodes * RK_UNITS_ROW, sizeof *costs->ns);
    costs->again_ns = calloc ((size_t) fleet->n_nodes * RK_UNITS_ROW, sizeof *costs->again_ns);
    costs->once_ns = calloc (2 * (size_t) fleet->n_nodes, sizeof *costs->once_ns);
    costs->first_ns = costs->once_ns ? costs->once_ns + fleet->n_nodes : NULL;
    costs->host = calloc (fleet->n_nodes, sizeof *costs->host);
    costs->cores = calloc (fleet->n_nodes, sizeof *costs->cores);
    costs->is_tight = calloc (fleet->n_nodes, sizeof *costs->is_tight);
    costs->guests = calloc (fleet->n_nodes, sizeof *costs->guests);
    costs->uplink = calloc (fleet->n_nodes, sizeof *costs->uplink);
    costs->load = calloc (fleet->n_nodes, sizeof *costs->load);
    costs->mixing = calloc (fleet->n_nodes + 1, sizeof *costs->mixing);
    uint64_t *layer_ns = calloc (model->n_layers, sizeof *layer_ns);
    bool ok = costs->ns && costs->again_ns && costs->once_ns && costs->host && costs->guests && costs->uplink && costs->cores && costs->is_tight && costs->load && costs->mixing && layer_ns;
    if (ok && (ok = s_fill_hosts (costs))) {
        for (uint32_t l = 0; l < model->n_layers; l++)
            layer_ns[l] = fleet->nodes[0].forward_ns[l] + fleet->nodes[0].backward_ns[l];
        s_fill_links (costs);
        s_choose_units (costs, layer_ns);
        s_fill_times (costs);
        s_fill_sizes (costs);
    }
    if (!ok)
        rk_costs_clear (costs);
    free (layer_ns);
    return ok ? RK_OK : RK_ENOMEM;
}

void rk_costs_clear (rk_costs_t *costs)
{
    free (costs->ns);
    free (costs->again_ns);
    free (costs->once_ns);
    free (costs->host);
    free (costs->cores);
    free (costs->is_tight);
    free (costs->guests);
    free (costs->uplink);
    free (costs->load);
    free (costs->mixing);
    for (size_t i = 0; i < RK_COSTS_WINDOWS; i++)
        free (costs->needs[i].plain);
    *costs = (rk_costs_t){0};
}

uint32_t rk_costs_in_flight (const rk_costs_t *costs, uint32_t k)
{
    return costs->settings->pipeline_in_flight ? costs->settings->pipeline_in_flight : k;
}

const rk_mixing_t *rk_costs_mixing (rk_costs_t *costs, uint32_t n_clusters)
{
    rk_mixing_t *mixing = &costs->mixing[n_clusters];
    if (mixing->messages == 0)
        *mixing = rk_score_mixing (costs->settings, n_clusters);
    return mixing;
}

/* ---- one stage */
static void s_add_sends (const rk_costs_t *costs, const uint16_t *order, uint32_t s, uint32_t to, uint32_t unit,
                         rk_stage_cost_t *cost)
{
    const rk_pace_t link = rk_costs_link (costs, order[s], order[to]);
    const uint64_t ns = rk_pace_ns (&link, costs->wire[unit]);
    cost->busy_ns += costs->copy_ns[unit];
    cost->link_ns = ns > cost->link_ns ? ns : cost->link_ns;
    cost->hop_ns += ns + link.half_rtt_ns;
}

rk_stage_cost_t rk_costs_stage (rk_costs_t *costs, const uint16_t *order, uint32_t k, uint32_t s, uint32_t first, uint32_t last)
{
    rk_stage_cost_t cost = {0};
    const rk_needs_t *needs = rk_costs_needs (costs, rk_costs_in_flight (costs, k));
    if (!needs)
        return cost;
    const size_t row = (size_t) order[s] * RK_UNITS_ROW, at = (size_t) first * RK_UNITS_ROW + last;
    const uint64_t ram = costs->fleet->nodes[order[s]].ram_bytes;
    cost.recompute = s_must_recompute (costs) || (s_may_recompute (costs) && ram && needs->plain[at] > ram);
    cost.memory_bytes = cost.recompute ? needs->lean[at] : needs->plain[at];
    cost.fits = ram == 0 || cost.memory_bytes <= ram;
    const rk_profile_t *p = &costs->fleet->nodes[order[s]];
    cost.busy_ns = costs->once_ns[order[s]] + (s > 0 ? 0 : costs->first_ns[order[s]]) + costs->ns[row + last] - costs->ns[row + first];
    if (costs->guests[costs->host[order[s]]] > 1) /* messages at full speed */
        cost.beside_ns = (s > 0 ? 0 : p->feed_ns) + p->dispatch_ns * (1000000 - p->speed_ppm) / 1000000;
    if (cost.recompute)
        cost.busy_ns += costs->again_ns[row + last] - costs->again_ns[row + first];
    if (costs->averaging)
        cost.busy_ns += costs->mix_ns[last] - costs->mix_ns[first];
    if (s > 0)
        s_add_sends (costs, order, s, s - 1, first, &cost);
    if (s + 1 < k)
        s_add_sends (costs, order, s, s + 1, last, &cost);
    return cost;
}
