/* SPDX-License-Identifier: MPL-2.0
 * The order of nodes in a chain matters when layers differ: the node with little memory wants the layers
 * with few activations, the fast one the heavy layer. Orders are searched from three starts by exchanging
 * two nodes as long as that helps; every order is cut exactly.                                           */
#include "cluster/planners/groups.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"

#define N_SLOTS 8192      /* open addressing; a power of two */
#define MOST_KEPT 4000    /* answers */
#define FAR_TOO_MUCH (UINT64_C (1) << 56) /* lacking of a set that cannot be a cluster; 64 of them still add up */

struct rk_groups {
    rk_costs_t *costs;
    uint64_t effort;         /* steps that may go into the order of one set */
    rk_group_t *kept;        /* MOST_KEPT */
    uint32_t n_kept;
    uint16_t slots[N_SLOTS]; /* 1 + index into kept; 0: free */
};

rk_err_t rk_groups_new (rk_groups_t **groups_p, rk_costs_t *costs)
{
    rk_groups_t *g = calloc (1, sizeof *g);
    if (!g)
        return RK_ENOMEM;
    g->costs = costs;
    g->kept = malloc (MOST_KEPT * sizeof *g->kept);
    if (!g->kept)
        rk_groups_destroy (&g);
    *groups_p = g;
    return g ? RK_OK : RK_ENOMEM;
}

void rk_groups_destroy (rk_groups_t **groups_p)
{
    if (*groups_p)
        free ((*groups_p)->kept);
    free (*groups_p);
    *groups_p = NULL;
}

void rk_groups_forget (rk_groups_t *g, uint64_t effort)
{
    g->effort = effort;
    memset (g->slots, 0, sizeof g->slots);
    g->n_kept = 0;
}

/* ---- starts */
static uint64_t s_total_ns (const rk_costs_t *costs, uint32_t node)
{
    return rk_costs_ns (costs, node, costs->n_units);
}

static bool s_stronger (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    return s_total_ns (costs, a) < s_total_ns (costs, b);
}

static bool s_weaker (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    return s_total_ns (costs, a) > s_total_ns (costs, b);
}

static bool s_roomier (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    /* 0 is no limit: the most room */
    return costs->fleet->nodes[a].ram_bytes - 1 > costs->fleet->nodes[b].ram_bytes - 1;
}

static bool (*const s_starts[]) (const rk_costs_t *, uint32_t, uint32_t) = {s_stronger, s_weaker, s_roomier};

/* Members in the order `before`, equal ones by index. */
static void s_sort (const rk_costs_t *costs, uint64_t members, bool (*before) (const rk_costs_t *, uint32_t, uint32_t),
                    uint32_t *order)
{
    uint32_t n = 0;
    for (uint32_t node = 0; node < costs->n_nodes; node++) {
        if (!(members >> node & 1))
            continue;
        uint32_t i = n++;
        for (; i > 0 && before (costs, node, order[i - 1]); i--)
            order[i] = order[i - 1];
        order[i] = node;
    }
}

/* ---- one set */
/* What cutting cannot save: versions, gradients and stash of one unit, without scratch and buffers. */
static uint64_t s_sure_bytes (const rk_costs_t *costs, uint32_t unit, uint64_t in_flight)
{
    const rk_model_info_t *model = costs->model;
    const size_t at = (size_t) unit * (RK_MAX_UNITS + 1) + unit + 1;
    uint64_t work = 0, buffers = 2 * model->label_bytes;
    for (uint32_t l = costs->at[unit]; l < costs->at[unit + 1]; l++)
        work = model->layers[l].work_bytes > work ? model->layers[l].work_bytes : work;
    for (uint32_t side = 0; side < 2; side++)
        buffers += costs->at[unit + side] < model->n_layers ? 2 * model->layers[costs->at[unit + side]].cut_bytes : 0;
    return costs->fixed[at] - work + in_flight * (costs->each[at] - buffers);
}

/* Bytes by which the members' memory together falls short of that. 0 does not promise that a cut exists. */
static uint64_t s_lacking (const rk_costs_t *costs, const uint32_t *order, uint32_t k)
{
    uint64_t have = 0, need = 0;
    for (uint32_t s = 0; s < k; s++) {
        uint64_t ram = costs->fleet->nodes[order[s]].ram_bytes;
        if (ram == 0)
            return 0;
        have += ram;
    }
    for (uint32_t u = 0; u < costs->n_units; u++)
        need += s_sure_bytes (costs, u, rk_costs_in_flight (costs, k));
    return need > have ? need - have : 0;
}

/* The first cut of an order: the limit starts near what a perfect split would take and is relaxed. */
static bool s_cut_afresh (rk_costs_t *costs, const uint32_t *order, uint32_t k, uint32_t *first, uint64_t *ns)
{
    uint64_t together = 0, serial = 0;
    for (uint32_t s = 0; s < k; s++) {
        uint64_t total = s_total_ns (costs, order[s]) + 1;
        together += UINT64_C (1000000000000000000) / total;
        serial = total > serial ? total : serial;
    }
    uint64_t limit = UINT64_C (1000000000000000000) / (together + 1);
    limit += limit / 4 + 1;
    for (int tries = 0; tries < 3 && limit < serial; tries++, limit += limit / 2)
        if (rk_cut_chain (costs, order, k, RK_CUT_FASTEST, limit, first, ns))
            return true;
    return rk_cut_chain (costs, order, k, RK_CUT_FASTEST, UINT64_MAX, first, ns);
}

static bool s_alike (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    const rk_profile_t *p = &costs->fleet->nodes[a], *q = &costs->fleet->nodes[b];
    size_t bytes = (costs->n_units + 1) * sizeof *costs->ns;
    const size_t row = RK_MAX_UNITS + 1;
    return !costs->fleet->link_bytes_per_s && p->ram_bytes == q->ram_bytes &&
           memcmp (costs->ns + a * row, costs->ns + b * row, bytes) == 0;
}

/* Take a better order into *g. */
static bool s_try (rk_costs_t *costs, rk_group_t *g, const uint32_t *order)
{
    uint32_t first[RK_MAX_FLEET];
    uint64_t ns;
    bool better = g->fits ? rk_cut_chain (costs, order, g->k, RK_CUT_FASTEST, g->slowest_ns, first, &ns)
                          : s_cut_afresh (costs, order, g->k, first, &ns);
    if (!better)
        return false;
    g->fits = true;
    g->slowest_ns = ns;
    memcpy (g->order, order, g->k * sizeof *order);
    memcpy (g->first, first, g->k * sizeof *first);
    return true;
}

/* Exchange two nodes as long as that helps and the effort lasts. */
static void s_climb (rk_costs_t *costs, rk_group_t *g, uint32_t *order, uint64_t until)
{
    for (bool better = true; better;) {
        better = false;
        for (uint32_t i = 0; i < g->k; i++)
            for (uint32_t j = i + 1; j < g->k; j++) {
                if (costs->steps > until)
                    return;
                if (s_alike (costs, order[i], order[j]))
                    continue;
                uint32_t node = order[i];
                order[i] = order[j], order[j] = node;
                if (s_try (costs, g, order))
                    better = true;
                else
                    order[j] = order[i], order[i] = node;
            }
    }
}

/* Bound by the slowest stage, or by too small a window: a minibatch takes all stages' time to come back. */
static void s_fill_rate (const rk_costs_t *costs, rk_group_t *g)
{
    uint64_t turn = 0, in_flight = rk_costs_in_flight (costs, g->k);
    for (uint32_t s = 0; s < g->k; s++) {
        uint32_t last = s + 1 < g->k ? g->first[s + 1] : costs->n_units;
        uint64_t busy = rk_costs_busy_ns (costs, g->order, g->k, s, g->first[s], last);
        g->cpu_ns[s] = (uint64_t) ((unsigned __int128) busy * costs->fleet->nodes[g->order[s]].speed_ppm / 1000000);
        turn += busy;
    }
    uint64_t ns = turn / in_flight > g->slowest_ns ? turn / in_flight : g->slowest_ns;
    g->rate = rk_plan_rate (ns);
}

static void s_answer (rk_costs_t *costs, rk_group_t *g, uint64_t members, uint64_t effort)
{
    *g = (rk_group_t){.members = members, .k = (uint32_t) __builtin_popcountll (members), .lacking = FAR_TOO_MUCH};
    if (g->k == 0 || g->k > costs->n_units)
        return;
    uint32_t order[RK_MAX_FLEET], first[RK_MAX_FLEET];
    s_sort (costs, members, s_roomier, order);
    g->lacking = s_lacking (costs, order, g->k);
    uint64_t until = costs->steps + effort, value;
    for (size_t i = 0; g->lacking == 0 && i < sizeof s_starts / sizeof *s_starts; i++) {
        if (i > 0 && costs->steps > until)
            break;
        s_sort (costs, members, s_starts[i], order);
        s_try (costs, g, order);
        s_climb (costs, g, order, until);
    }
    if (!g->fits && g->lacking == 0) {
        /* By how much, so that a search knows in which direction it gets better. */
        s_sort (costs, members, s_roomier, order);
        bool cut = rk_cut_chain (costs, order, g->k, RK_CUT_FITTEST, costs->fixed[costs->n_units] / 16 + 1, first, &value) ||
                   rk_cut_chain (costs, order, g->k, RK_CUT_FITTEST, UINT64_MAX, first, &value);
        g->lacking = cut && value > 0 ? value : !s_try (costs, g, order);
    }
    if (g->fits)
        s_fill_rate (costs, g);
}

const rk_group_t *rk_groups_get (rk_groups_t *g, uint64_t members)
{
    uint32_t slot = (uint32_t) ((members * UINT64_C (0x9e3779b97f4a7c15)) >> 51) % N_SLOTS;
    for (; g->slots[slot]; slot = (slot + 1) % N_SLOTS)
        if (g->kept[g->slots[slot] - 1].members == members)
            return &g->kept[g->slots[slot] - 1];
    if (g->n_kept == MOST_KEPT)
        return NULL;
    s_answer (g->costs, &g->kept[g->n_kept], members, g->effort);
    g->slots[slot] = (uint16_t) ++g->n_kept;
    return &g->kept[g->n_kept - 1];
}
