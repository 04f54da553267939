/* SPDX-License-Identifier: MPL-2.0
 * What a set of nodes can do as one cluster: the order of its nodes, the cuts, the rate. Answers are kept,
 * because a search asks for the same sets again and again. Private to cluster/.                          */
#ifndef RK_CLUSTER_PLANNERS_GROUPS_H
#define RK_CLUSTER_PLANNERS_GROUPS_H
#include "cluster/planners/planner.h"

typedef struct {
    uint64_t members;    /* bit i: node index i */
    bool fits;           /* in memory; rate and cuts only count if so */
    uint64_t lacking;    /* bytes the members' memory falls short, 0 if it fits, at least 1 if not */
    uint64_t slowest_ns; /* busy time of the slowest stage */
    uint64_t rate;       /* nano-rate, before host cores are shared */
    uint32_t k;
    uint32_t order[RK_MAX_FLEET], first[RK_MAX_FLEET]; /* node indices and first units, stage 0 first */
    uint64_t cpu_ns[RK_MAX_FLEET];                     /* of each stage per minibatch: busy time x speed */
} rk_group_t;

typedef struct rk_groups rk_groups_t;

rk_err_t rk_groups_new (rk_groups_t **groups_p, rk_costs_t *costs) RK_MUST_CHECK;
void rk_groups_destroy (rk_groups_t **groups_p);
/* The answer for a set, valid until the next call with another set; NULL when there is no room to keep more
 * answers, which ends a search.                                                                          */
const rk_group_t *rk_groups_get (rk_groups_t *groups, uint64_t members);
/* Forget all answers, because costs->averaging changes or more effort is worth it from here on: about
 * `effort` steps of work may go into the order of one set.                                               */
void rk_groups_forget (rk_groups_t *groups, uint64_t effort);

#endif
