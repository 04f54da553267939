/* SPDX-License-Identifier: MPL-2.0
 * A division of nodes into clusters, and what it is worth: the objective of cluster/score.h, no host beyond its
 * cores. A division that does not fit in memory is worth less than any that does. Private to cluster/.    */
#ifndef RK_CLUSTER_PLANNERS_DIVISION_H
#define RK_CLUSTER_PLANNERS_DIVISION_H
#include "cluster/planners/rings.h"

typedef struct {
    uint32_t n_groups;
    rk_chain_t *chains;     /* n_nodes of them; a group may become empty and is then no cluster */
    uint16_t *left;         /* nodes left out */
    uint32_t n_left;
    uint32_t n_unfit;
    uint64_t lacking;       /* bytes, over all groups that do not fit */
    uint64_t worth;
} rk_division_t;

typedef struct {
    rk_costs_t *costs;
    uint32_t n_nodes;
    const uint32_t *layout; /* sizes of the groups if forced, else NULL */
    uint64_t *strength;     /* nano-rate of the whole model on each node */
    uint64_t *room;         /* bytes */
    uint64_t effort;        /* steps for the order of one set */
    const rk_chain_t **ring; /* scratch */
    struct rk_chain_cache *cache;
} rk_search_t;

/* Some groups of a division by others, without touching it. */
typedef struct {
    uint32_t n;
    uint32_t group[2];
    const rk_chain_t *chain[2];
} rk_swap_t;

rk_err_t rk_search_open (rk_search_t *q, rk_costs_t *costs) RK_MUST_CHECK;
void rk_search_close (rk_search_t *q);
/* Forget all answers, because costs->averaging or the effort changes. */
void rk_search_forget (rk_search_t *q, uint64_t effort);
/* Order and cuts for the nodes in chain->node; remembered. */
void rk_search_solve (rk_search_t *q, rk_chain_t *chain);

rk_err_t rk_division_new (rk_division_t *d, uint32_t n_nodes) RK_MUST_CHECK;
void rk_division_free (rk_division_t *d);
void rk_division_copy (rk_division_t *to, const rk_division_t *from);
/* Nodes by group; group >= n_groups: left out. Solved and appraised. */
void rk_division_set (rk_search_t *q, rk_division_t *d, uint32_t n_groups, const uint16_t *group_of);

/* Fill in n_unfit, lacking and worth of d with some groups swapped (NULL: none). The ring of few clusters is put
 * into its best order, that of many is estimated.                                                          */
void rk_search_appraise (rk_search_t *q, const rk_division_t *d, const rk_swap_t *swap, rk_division_t *out);
/* The whole outlook, clusters in ring order in q->ring (n_groups of them, none empty). */
void rk_search_outlook (rk_search_t *q, const rk_division_t *d, rk_outlook_t *out);
bool rk_division_better (const rk_division_t *a, const rk_division_t *b);

/* First divisions, as group of each node: groups of like strength; of like and just sufficient memory; of
 * nodes near one another.                                                                                */
typedef void rk_start_fn (rk_search_t *q, uint32_t n_groups, uint16_t *group_of);
rk_start_fn rk_start_strong, rk_start_roomy, rk_start_near, rk_start_mixed;

/* RK_EPLAN: where the best attempt, a cluster of the layout or any, falls short, and by how much.         */
rk_err_t rk_search_refuse (rk_search_t *q, const rk_division_t *d, rk_error_t *err) RK_MUST_CHECK;

#endif
