/* SPDX-License-Identifier: MPL-2.0
 * A division of nodes into clusters, and what it is worth. Private to cluster/.
 *
 * Worth = predicted rate of all clusters, no host beyond its cores, less small dues that decide between
 * divisions of nearly the same rate:
 *   up to 10 % for unlike clusters (the strongest waits for the weakest at every drained averaging),
 *   up to 10 % for nodes left out (whoever brings a node wants it used; it also lowers memory),
 *   up to 2 % for long chains (each hop adds latency and staleness).
 * A division that does not fit in memory is worth less than any that does.                              */
#ifndef RK_CLUSTER_PLANNERS_DIVISION_H
#define RK_CLUSTER_PLANNERS_DIVISION_H
#include "cluster/planners/groups.h"

typedef struct {
    uint32_t n_groups;
    uint64_t groups[RK_MAX_CLUSTERS + 1]; /* sets of node indices; [n_groups]: left out */
    uint32_t n_unfit;
    uint64_t lacking;                     /* bytes, over all groups that do not fit */
    uint64_t worth;                       /* nano-rate */
} rk_division_t;

typedef struct {
    rk_costs_t *costs;
    rk_groups_t *groups;
    uint32_t n_nodes, n_hosts;
    uint32_t host[RK_MAX_FLEET];          /* of each node, 0 .. n_hosts - 1 */
    uint64_t cores[RK_MAX_FLEET];         /* of each host */
    uint64_t strength[RK_MAX_FLEET];      /* nano-rate of the whole model on the node */
    uint64_t room[RK_MAX_FLEET];          /* bytes */
    const uint32_t *layout;               /* sizes of the groups if forced, else NULL */
} rk_search_t;

static inline uint32_t rk_set_size (uint64_t set)
{
    return (uint32_t) __builtin_popcountll (set);
}

/* Everything but q->groups, which the planner makes. */
void rk_search_prepare (rk_search_t *q, rk_costs_t *costs);
/* Fill in n_unfit, lacking and worth. False when no more answers can be kept: the search must end.      */
bool rk_search_appraise (rk_search_t *q, rk_division_t *d);
bool rk_division_better (const rk_division_t *a, const rk_division_t *b);
/* First divisions: groups of like strength; groups of like and just sufficient memory. Appraised.       */
bool rk_search_start_strong (rk_search_t *q, rk_division_t *d, uint32_t n_groups);
bool rk_search_start_roomy (rk_search_t *q, rk_division_t *d, uint32_t n_groups);
/* RK_EPLAN: where the best attempt, a cluster of the layout or any, falls short, and by how much.         */
rk_err_t rk_search_refuse (rk_search_t *q, const rk_division_t *d, rk_error_t *err) RK_MUST_CHECK;

#endif
