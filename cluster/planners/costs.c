/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/planners/planner.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"

#define ROW (RK_MAX_UNITS + 1)

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

/* One node's time of a layer; recomputing repeats the forward. */
static uint64_t s_layer_ns (const rk_costs_t *costs, uint32_t node, uint32_t layer)
{
    const rk_profile_t *p = &costs->fleet->nodes[node];
    return (costs->settings->pipeline_recompute ? 2 : 1) * p->forward_ns[layer] + p->backward_ns[layer];
}

static void s_fill_times (rk_costs_t *costs)
{
    for (uint32_t node = 0; node < costs->n_nodes; node++) {
        uint64_t *ns = costs->ns + (size_t) node * ROW;
        ns[0] = 0;
        for (uint32_t u = 0; u < costs->n_units; u++) {
            ns[u + 1] = ns[u];
            for (uint32_t l = costs->at[u]; l < costs->at[u + 1]; l++)
                ns[u + 1] += s_layer_ns (costs, node, l);
        }
    }
}

static void s_fill_sizes (rk_costs_t *costs)
{
    const rk_model_info_t *model = costs->model;
    bool halved = costs->settings->pipeline_wire == RK_WIRE_F16;
    for (uint32_t u = 0; u <= costs->n_units; u++) {
        bool inside = u > 0 && u < costs->n_units;
        uint64_t bytes = inside ? model->layers[costs->at[u]].cut_bytes : 0;
        costs->wire[u] = halved ? bytes / 2 : bytes;
        costs->out[u] = 2 * bytes;
        costs->flat[u] = u < costs->n_units ? model->layers[costs->at[u]].flat_at : model->n_flat;
    }
    for (uint32_t first = 0; first < costs->n_units; first++)
        for (uint32_t last = first + 1; last <= costs->n_units; last++) {
            uint64_t none = rk_stage_memory (model, costs->settings, costs->at[first], costs->at[last], 0);
            uint64_t one = rk_stage_memory (model, costs->settings, costs->at[first], costs->at[last], 1);
            costs->fixed[first * ROW + last] = none;
            costs->each[first * ROW + last] = one - none;
        }
}

static int s_compare (const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* Time for so many bytes at a rate in bytes/s, at most a tenth of what a stage may take. */
static uint64_t s_ns (uint64_t bytes, uint64_t rate)
{
    unsigned __int128 ns = (unsigned __int128) bytes * 1000000000 / rate;
    return ns < RK_PLAN_MAX_BUSY_NS / 10 ? (uint64_t) ns : RK_PLAN_MAX_BUSY_NS / 10;
}

/* A node's median measured rate to the others, bytes/s; 0: none measured. */
static uint64_t s_uplink (const rk_costs_t *costs, uint32_t node)
{
    uint64_t rates[RK_MAX_FLEET];
    uint32_t n = 0;
    for (uint32_t j = 0; costs->fleet->link_bytes_per_s && j < costs->n_nodes; j++) {
        uint64_t rate = costs->fleet->link_bytes_per_s[node * costs->n_nodes + j];
        if (j != node && rate > 0)
            rates[n++] = rate;
    }
    qsort (rates, n, sizeof *rates, s_compare);
    return n > 0 ? rates[n / 2] : 0;
}

/* In a round each float goes out about twice; that is spread over the minibatches of the round. */
static void s_fill_mixing (rk_costs_t *costs)
{
    uint64_t every = costs->settings->average_every, batch = costs->settings->train_batch;
    uint64_t pass = (costs->model->train_samples + batch - 1) / batch;
    every = every == 0 || every > pass ? pass : every;
    for (uint32_t node = 0; node < costs->n_nodes; node++) {
        uint64_t uplink = s_uplink (costs, node);
        for (uint32_t u = 0; uplink > 0 && u <= costs->n_units; u++)
            costs->mix_ns[(size_t) node * ROW + u] = s_ns (8 * costs->flat[u] / every, uplink);
    }
}

rk_err_t rk_costs_init (rk_costs_t *costs, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings)
{
    *costs = (rk_costs_t){.fleet = fleet, .model = model, .settings = settings, .n_nodes = fleet->n_nodes};
    costs->ns = calloc ((size_t) fleet->n_nodes * ROW, sizeof *costs->ns);
    costs->fixed = calloc ((size_t) ROW * ROW, sizeof *costs->fixed);
    costs->each = calloc ((size_t) ROW * ROW, sizeof *costs->each);
    costs->mix_ns = calloc ((size_t) fleet->n_nodes * ROW, sizeof *costs->mix_ns);
    uint64_t *layer_ns = calloc (model->n_layers, sizeof *layer_ns);
    bool ok = costs->ns && costs->fixed && costs->each && costs->mix_ns && layer_ns;
    if (ok) {
        for (uint32_t l = 0; l < model->n_layers; l++)
            layer_ns[l] = s_layer_ns (costs, 0, l);
        s_choose_units (costs, layer_ns);
        s_fill_times (costs);
        s_fill_sizes (costs);
        s_fill_mixing (costs);
    } else
        rk_costs_clear (costs);
    free (layer_ns);
    return ok ? RK_OK : RK_ENOMEM;
}

void rk_costs_clear (rk_costs_t *costs)
{
    free (costs->ns);
    free (costs->fixed);
    free (costs->each);
    free (costs->mix_ns);
    *costs = (rk_costs_t){0};
}

uint32_t rk_costs_in_flight (const rk_costs_t *costs, uint32_t k)
{
    return costs->settings->pipeline_in_flight ? costs->settings->pipeline_in_flight : k;
}

uint64_t rk_costs_send_ns (const rk_costs_t *costs, uint32_t from, uint32_t to, uint32_t unit)
{
    const uint64_t *rates = costs->fleet->link_bytes_per_s;
    uint64_t rate = rates ? rates[from * costs->n_nodes + to] : 0;
    return s_ns (costs->wire[unit], rate ? rate : RK_PLAN_UNMEASURED_RATE);
}

uint64_t rk_costs_busy_ns (const rk_costs_t *costs, const uint32_t *order, uint32_t k, uint32_t s, uint32_t first,
                           uint32_t last)
{
    uint64_t busy = rk_costs_own_ns (costs, order[s], first, last);
    if (s + 1 < k)
        busy += rk_costs_send_ns (costs, order[s], order[s + 1], last);
    if (s > 0)
        busy += rk_costs_send_ns (costs, order[s], order[s - 1], first);
    return busy;
}
