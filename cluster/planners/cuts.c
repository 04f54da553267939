/* SPDX-License-Identifier: MPL-2.0
 * Where to cut the model for one chain of stages: dynamic programming over (stage, unit). best[u] is the
 * least figure of the stages so far if they end before unit u. The time and memory of a stage, sending
 * aside, only grow with its units, so a row is left as soon as they pass the limit; with a limit near the
 * answer that makes the work about 2 n_units^2 whatever the number of stages. Whether a stage recomputes is
 * decided where its units are known: exactly when it does not fit otherwise, because it only costs time.   */
#include "cluster/planners/planner.h"

#include <string.h>
#include "cluster/plan_parts.h"

#define LATE 64    /* what a ns of filling too late costs */
#define HALVINGS 8 /* of the range of periods left, when the window binds: within 1 / 256 of it */

typedef struct {
    rk_costs_t *costs;
    const rk_needs_t *needs;
    rk_cut_goal_t goal;
    uint64_t limit;
    bool may_recompute, must_recompute;
    /* of the stage at hand */
    uint64_t ram, once_ns;
    const uint64_t *ns, *again_ns;
    uint64_t up_link_ns[RK_UNITS_ROW], down_link_ns[RK_UNITS_ROW]; /* sending gradients and activations across a cut */
    uint64_t up_rtt_ns, down_rtt_ns;                               /* half a round trip; 0 where there is no neighbour */
    bool has_up, has_down;
} s_chain_t;

/* Divisions, so done once per stage. */
static void s_fill_stage (s_chain_t *c, const uint16_t *order, uint32_t k, uint32_t s)
{
    const rk_costs_t *costs = c->costs;
    rk_pace_t up = {0}, down = {0};
    c->has_up = s > 0;
    c->has_down = s + 1 < k;
    if (c->has_up)
        up = rk_costs_link (costs, order[s], order[s - 1]);
    if (c->has_down)
        down = rk_costs_link (costs, order[s], order[s + 1]);
    c->up_rtt_ns = up.half_rtt_ns;
    c->down_rtt_ns = down.half_rtt_ns;
    for (uint32_t u = 0; u <= costs->n_units; u++) {
        c->up_link_ns[u] = c->has_up ? rk_pace_ns (&up, costs->wire[u]) : 0;
        c->down_link_ns[u] = c->has_down ? rk_pace_ns (&down, costs->wire[u]) : 0;
    }
    c->ram = costs->fleet->nodes[order[s]].ram_bytes;
    c->once_ns = costs->once_ns[order[s]] + (s > 0 ? 0 : costs->first_ns[order[s]]);
    c->ns = costs->ns + (size_t) order[s] * RK_UNITS_ROW;
    c->again_ns = costs->again_ns + (size_t) order[s] * RK_UNITS_ROW;
}

/* Can no stage that begins at `first` and ends at `last` or later be used? */
static inline bool s_hopeless (const s_chain_t *c, uint32_t first, uint32_t last)
{
    const uint64_t least = c->needs->least[(size_t) first * RK_UNITS_ROW + last];
    if (c->goal == RK_CUT_FITTEST)
        return c->ram > 0 && least > c->ram && least - c->ram >= c->limit;
    return c->ns[last] - c->ns[first] > c->limit || (c->ram > 0 && least > c->ram);
}

/* Figure of a stage with units [first, last); UINT64_MAX when the goal forbids it. */
static inline uint64_t s_figure (const s_chain_t *c, uint32_t first, uint32_t last)
{
    const size_t at = (size_t) first * RK_UNITS_ROW + last;
    const uint64_t lean = c->needs->lean[at];
    if (c->goal == RK_CUT_FITTEST) {
        const uint64_t excess = c->ram > 0 && lean > c->ram ? lean - c->ram : 0;
        return excess < c->limit ? excess : UINT64_MAX;
    }
    if (c->ram > 0 && lean > c->ram)
        return UINT64_MAX;
    const rk_costs_t *costs = c->costs;
    uint64_t busy = c->once_ns + c->ns[last] - c->ns[first] + (c->has_up ? costs->copy_ns[first] : 0) + (c->has_down ? costs->copy_ns[last] : 0);
    if (c->must_recompute || (c->may_recompute && c->ram > 0 && c->needs->plain[at] > c->ram))
        busy += c->again_ns[last] - c->again_ns[first];
    if (costs->averaging)
        busy += costs->mix_ns[last] - costs->mix_ns[first];
    const uint64_t up = c->up_link_ns[first], down = c->down_link_ns[last];
    uint64_t period = busy > up ? busy : up;
    period = period > down ? period : down;
    if (c->goal == RK_CUT_FASTEST)
        return period < c->limit ? period : UINT64_MAX;
    return period <= c->limit ? busy + up + down + c->up_rtt_ns + c->down_rtt_ns : UINT64_MAX;
}

/* One stage more: from best (ends of stage s - 1) to next (ends of stage s). False when it has no end. */
static bool s_extend (s_chain_t *c, uint32_t k, uint32_t s, const uint64_t *best, uint64_t *next, uint8_t *from)
{
    const uint32_t n_units = c->costs->n_units;
    bool is_last = s + 1 == k, any = false;
    uint64_t steps = n_units;
    for (uint32_t first = s; first + (k - s) <= n_units; first++) {
        if (best[first] == UINT64_MAX)
            continue;
        uint32_t most = n_units - (k - 1 - s);
        for (uint32_t last = is_last ? n_units : first + 1; last <= most; last++) {
            steps++;
            if (s_hopeless (c, first, last))
                break;
            uint64_t figure = s_figure (c, first, last);
            if (figure == UINT64_MAX)
                continue;
            if (c->goal == RK_CUT_SHORTEST)
                figure += best[first];
            else if (best[first] > figure)
                figure = best[first];
            if (figure < next[last]) {
                next[last] = figure;
                from[last] = (uint8_t) first;
                any = true;
            }
        }
    }
    c->costs->steps += steps;
    return any;
}

bool rk_cut_chain (rk_costs_t *costs, const uint16_t *order, uint32_t k, rk_cut_goal_t goal, uint64_t limit,
                   uint16_t *first, uint64_t *value)
{
    if (k == 0 || k > costs->n_units)
        return false;
    s_chain_t chain = {.costs = costs, .needs = rk_costs_needs (costs, rk_costs_in_flight (costs, k)), .goal = goal,
                       .limit = limit, .may_recompute = costs->settings->pipeline_recompute != RK_RECOMPUTE_OFF,
                       .must_recompute = costs->settings->pipeline_recompute == RK_RECOMPUTE_ON};
    if (!chain.needs)
        return false;
    uint64_t best[RK_UNITS_ROW], next[RK_UNITS_ROW];
    uint8_t from[RK_MAX_UNITS][RK_UNITS_ROW];
    const size_t row = (costs->n_units + 1) * sizeof *best;
    memset (best, 0xff, row);
    best[0] = 0;
    for (uint32_t s = 0; s < k; s++) {
        memset (next, 0xff, row);
        s_fill_stage (&chain, order, k, s);
        if (!s_extend (&chain, k, s, best, next, from[s]))
            return false;
        memcpy (best, next, row);
    }
    if (best[costs->n_units] == UINT64_MAX)
        return false;
    *value = best[costs->n_units];
    uint32_t end = costs->n_units;
    for (uint32_t s = k; s-- > 0;) {
        end = from[s][end];
        first[s] = (uint16_t) end;
    }
    return true;
}

/* ---- the period */
/* The host of stage s, when its nodes share its cores equally: CPU time of the chain there over its part of them. */
static uint64_t s_shared_ns (const rk_costs_t *costs, const rk_chain_t *chain, uint32_t s, const uint64_t *cpu_ns)
{
    const uint32_t h = costs->host[chain->node[s]];
    unsigned __int128 together = 0;
    uint64_t members = 0;
    if (!costs->is_tight[h])
        return 0;
    for (uint32_t i = 0; i < chain->k; i++)
        if (costs->host[chain->node[i]] == h) {
            if (i < s)
                return 0; /* counted */
            together += cpu_ns[i];
            members++;
        }
    const unsigned __int128 ns = together * costs->guests[h] / (costs->cores[h] * members);
    return ns < RK_PLAN_MAX_BUSY_NS ? (uint64_t) ns : RK_PLAN_MAX_BUSY_NS;
}

/* Every round begins with an empty pipeline and waits for the cluster that fills last: alone each minibatch bears its
 * part of that; among others only what is later than they are matters, and then more than any longer period. */
static uint64_t s_filling_ns (const rk_costs_t *costs, const rk_chain_t *chain)
{
    const uint64_t fill = rk_chain_fill_ns (chain), may = costs->may_fill_ns;
    if (may > 0)
        return fill > may ? (fill - may) * LATE : 0;
    return fill / rk_score_every (costs->settings, costs->pass_minibatches, 1);
}

/* Slowest stage or link, or too small a window: a minibatch takes its whole turn to come back. */
void rk_chain_appraise (rk_costs_t *costs, rk_chain_t *chain)
{
    chain->fits = true;
    chain->lacking = chain->turn_ns = chain->far_ns = chain->spread_ns = 0;
    uint64_t slowest = 0, cpu_ns[RK_MAX_UNITS];
    for (uint32_t s = 0; s < chain->k; s++) {
        const uint32_t last = s + 1 < chain->k ? chain->first[s + 1] : costs->n_units;
        const rk_stage_cost_t cost = rk_costs_stage (costs, chain->node, chain->k, s, chain->first[s], last);
        const uint64_t busiest = cost.busy_ns > cost.link_ns ? cost.busy_ns : cost.link_ns;
        slowest = busiest > slowest ? busiest : slowest;
        chain->turn_ns += cost.busy_ns + cost.hop_ns;
        cpu_ns[s] = (uint64_t) ((unsigned __int128) cost.busy_ns * costs->fleet->nodes[chain->node[s]].speed_ppm / 1000000) + cost.beside_ns;
        const rk_pace_t *uplink = &costs->uplink[chain->node[s]];
        const uint64_t spread = rk_pace_ns (uplink, 4 * (costs->flat[last] - costs->flat[chain->first[s]]));
        chain->far_ns = uplink->half_rtt_ns > chain->far_ns ? uplink->half_rtt_ns : chain->far_ns;
        chain->spread_ns = spread > chain->spread_ns ? spread : chain->spread_ns;
        if (!cost.fits) {
            const uint64_t lacks = cost.memory_bytes - costs->fleet->nodes[chain->node[s]].ram_bytes;
            chain->lacking = lacks > chain->lacking ? lacks : chain->lacking;
            chain->fits = false;
        }
    }
    const uint64_t window = chain->turn_ns / rk_costs_in_flight (costs, chain->k);
    chain->period_ns = window > slowest ? window : slowest;
    chain->rate = rk_plan_rate (chain->period_ns);
    chain->cost_ns = chain->period_ns;
    if (costs->settings->average_mode == RK_AVERAGE_DRAINED)
        chain->cost_ns += s_filling_ns (costs, chain);
    for (uint32_t s = 0; costs->n_tight > 0 && s < chain->k; s++) {
        const uint64_t shared = s_shared_ns (costs, chain, s, cpu_ns);
        chain->cost_ns = shared > chain->cost_ns ? shared : chain->cost_ns;
    }
}

/* The shortest turn with no stage above `most`; its cost. */
static bool s_shorten (rk_costs_t *costs, rk_chain_t *chain, uint64_t most)
{
    if (!rk_cut_chain (costs, chain->node, chain->k, RK_CUT_SHORTEST, most, chain->first, &chain->turn_ns))
        return false;
    rk_chain_appraise (costs, chain);
    return true;
}

/* A longer period lets stages be less even and so the turn shorter: the least period whose shortest turn its
 * window, and the cores, can bear is looked for by halving.                                              */
bool rk_cut_best (rk_costs_t *costs, rk_chain_t *chain, uint64_t limit)
{
    uint64_t low;
    rk_chain_t best = *chain, trial = *chain;
    if (!rk_cut_chain (costs, chain->node, chain->k, RK_CUT_FASTEST, limit, best.first, &low) || !s_shorten (costs, &best, low))
        return false;
    uint64_t high = best.cost_ns < best.turn_ns ? best.cost_ns : best.turn_ns;
    for (int i = 0; i < HALVINGS && high > low + low / 1000; i++) {
        const uint64_t middle = i == 0 && best.cost_ns > high ? high : low + (high - low) / 2;
        if (!s_shorten (costs, &trial, middle))
            break;
        if (trial.cost_ns < best.cost_ns)
            best = trial;
        if (trial.cost_ns > middle)
            low = middle;
        high = best.cost_ns < high ? best.cost_ns : high;
    }
    if (best.cost_ns >= limit)
        return false;
    *chain = best;
    return true;
}
