/* SPDX-License-Identifier: MPL-2.0
 * Where to cut the model for one chain of stages: dynamic programming over (stage, unit). best[u] is the
 * least figure of the stages so far if they end before unit u. The time and memory of a stage, sending
 * aside, only grow with its units, so a row is left as soon as they pass the limit; with a limit near the
 * answer that makes the work about 2 n_units^2 whatever the number of stages.                            */
#include "cluster/planners/planner.h"

#include <string.h>

#define ROW (RK_MAX_UNITS + 1)

typedef struct {
    const uint32_t *order;
    uint32_t k, in_flight;
    rk_cut_goal_t goal;
    uint64_t limit;
    uint64_t up_ns[ROW], down_ns[ROW]; /* of the stage at hand: sending gradients and activations across a cut */
} s_chain_t;

/* Divisions, so done once per stage. */
static void s_fill_sends (const rk_costs_t *costs, s_chain_t *c, uint32_t s)
{
    for (uint32_t u = 0; u <= costs->n_units; u++) {
        c->up_ns[u] = s > 0 ? rk_costs_send_ns (costs, c->order[s], c->order[s - 1], u) : 0;
        c->down_ns[u] = s + 1 < c->k ? rk_costs_send_ns (costs, c->order[s], c->order[s + 1], u) : 0;
    }
}

/* Bytes by which units [first, last) exceed the memory of stage s; `sure`: without what is sent onwards,
 * which is the one part that may shrink with more units.                                                */
static inline uint64_t s_excess (const rk_costs_t *costs, const s_chain_t *c, uint32_t s, uint32_t first, uint32_t last,
                                 bool sure)
{
    uint64_t each = costs->each[first * ROW + last] - (sure ? costs->out[last] : 0);
    uint64_t need = costs->fixed[first * ROW + last] + c->in_flight * each, have = costs->fleet->nodes[c->order[s]].ram_bytes;
    return have == 0 || need <= have ? 0 : need - have;
}

/* Can no stage that begins at `first` and ends at `last` or later be used? */
static inline bool s_hopeless (const rk_costs_t *costs, const s_chain_t *c, uint32_t s, uint32_t first, uint32_t last)
{
    if (c->goal == RK_CUT_FITTEST)
        return s_excess (costs, c, s, first, last, true) >= c->limit;
    const uint64_t *ns = costs->ns + (size_t) c->order[s] * ROW;
    return ns[last] - ns[first] > c->limit || s_excess (costs, c, s, first, last, true) > 0;
}

/* Figure of stage s with units [first, last); UINT64_MAX when the goal forbids it. */
static inline uint64_t s_figure (const rk_costs_t *costs, const s_chain_t *c, uint32_t s, uint32_t first, uint32_t last)
{
    uint64_t excess = s_excess (costs, c, s, first, last, false);
    if (c->goal == RK_CUT_FITTEST)
        return excess < c->limit ? excess : UINT64_MAX;
    if (excess > 0)
        return UINT64_MAX;
    uint64_t busy = rk_costs_own_ns (costs, c->order[s], first, last) + c->up_ns[first] + c->down_ns[last];
    if (c->goal == RK_CUT_FASTEST)
        return busy < c->limit ? busy : UINT64_MAX;
    return busy <= c->limit ? costs->wire[last] : UINT64_MAX;
}

/* One stage more: from best (ends of stage s - 1) to next (ends of stage s). False when it has no end. */
static bool s_extend (rk_costs_t *costs, const s_chain_t *c, uint32_t s, const uint64_t *best, uint64_t *next,
                      uint8_t *from)
{
    bool is_last = s + 1 == c->k, any = false;
    costs->steps += costs->n_units;
    for (uint32_t first = s; first + (c->k - s) <= costs->n_units; first++) {
        if (best[first] == UINT64_MAX)
            continue;
        uint32_t most = costs->n_units - (c->k - 1 - s);
        for (uint32_t last = is_last ? costs->n_units : first + 1; last <= most; last++) {
            costs->steps++;
            if (s_hopeless (costs, c, s, first, last))
                break;
            uint64_t figure = s_figure (costs, c, s, first, last);
            if (figure == UINT64_MAX)
                continue;
            if (c->goal == RK_CUT_LEANEST)
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
    return any;
}

bool rk_cut_chain (rk_costs_t *costs, const uint32_t *order, uint32_t k, rk_cut_goal_t goal, uint64_t limit,
                   uint32_t *first, uint64_t *value)
{
    if (k == 0 || k > costs->n_units)
        return false;
    s_chain_t chain = {.order = order, .k = k, .in_flight = rk_costs_in_flight (costs, k), .goal = goal, .limit = limit};
    uint64_t best[ROW], next[ROW];
    uint8_t from[RK_MAX_FLEET][ROW];
    memset (best, 0xff, sizeof best);
    best[0] = 0;
    for (uint32_t s = 0; s < k; s++) {
        memset (next, 0xff, sizeof next);
        s_fill_sends (costs, &chain, s);
        if (!s_extend (costs, &chain, s, best, next, from[s]))
            return false;
        memcpy (best, next, sizeof best);
    }
    if (best[costs->n_units] == UINT64_MAX)
        return false;
    *value = best[costs->n_units];
    for (uint32_t s = k, end = costs->n_units; s-- > 0;)
        end = first[s] = from[s][end];
    return true;
}
