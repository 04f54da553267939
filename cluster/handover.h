/* SPDX-License-Identifier: MPL-2.0
 * Who takes what from whom when a plan is followed by another: after a loss, for a joiner, when layers move, after a
 * checkpoint. The state of a replica is a few flat vectors (planes) and some numbers; any range of them may be taken
 * by itself, so stages of any cut are put together from stages of any other cut, bit for bit. Pure.       */
#ifndef RK_CLUSTER_HANDOVER_H
#define RK_CLUSTER_HANDOVER_H
#include "cluster/plan.h"

/* ---- what a replica's state is made of, between two rounds; one flat vector each */
typedef enum {
    RK_PLANE_PARAMS = 0,     /* parameters and BatchNorm statistics, as this replica has them */
    RK_PLANE_STATE0,         /* the optimiser's vectors */
    RK_PLANE_STATE1,
    RK_PLANE_MIXTURE,        /* average.order = awc: what is added when the next round ends */
    RK_PLANE_MOMENTUM,       /* average.momentum = quasi-global */
    RK_PLANE_TRACKED,        /* average.tracking */
    RK_PLANE_TRACKED_BEFORE,
    RK_N_PLANES
} rk_plane_t;
const char *rk_plane_name (rk_plane_t plane); /* in a checkpoint: "params", "state0" ... */
/* Those of a run, ascending; the first is RK_PLANE_PARAMS. Returns how many. */
uint32_t rk_handover_planes (const rk_settings_t *settings, uint32_t optimizer_slots, uint32_t n_clusters,
                             rk_plane_t planes[RK_N_PLANES]);

/* ---- from whom */
#define RK_FROM_CHECKPOINT UINT32_MAX

typedef struct {
    uint32_t to;      /* stage of the new plan */
    uint32_t from;    /* stage of the old plan, or RK_FROM_CHECKPOINT: nobody alive has it */
    uint32_t of;      /* stage of the old plan whose state this is: `from`, or one that `from` keeps a warm copy of */
    uint32_t replica; /* of the old plan, the cluster of `of`; with RK_FROM_CHECKPOINT the one wanted, RK_NO_NODE: any */
    uint64_t lo, hi;  /* floats */
    bool exact;       /* the state of the very replica that is continued */
    bool stays;       /* `from` and `to` are on one node: nothing has to travel */
} rk_handover_range_t;

/* replicas[c]: the cluster of the old plan that cluster c of the new one continues: by floats that stay on their
 * nodes, largest first, ties by lowest numbers; each is continued once; RK_NO_NODE: a new replica. n_clusters of the
 * new plan.                                                                                              */
void rk_handover_replicas (const rk_plan_t *old, const rk_plan_t *new, uint32_t *replicas);

/* Warm copies (net.warm = N): the N stages after one in the plan, around its end, keep its state after each round as
 * well. The stage that keeps copy k of `stage`, or RK_NO_NODE: there is no such copy.                     */
uint32_t rk_handover_warm (const rk_plan_t *plan, uint32_t stage, uint32_t k);
/* Who has the state of `stage`: itself while it is alive, else a living one with a warm copy; RK_NO_NODE: nobody.
 * alive: n_stages of the plan.                                                                            */
uint32_t rk_handover_holder (const rk_plan_t *plan, const bool *alive, uint32_t stage);
/* Whether all of the model can be had from those who are alive, of whatever replica. */
bool rk_handover_covers (const rk_plan_t *plan, const bool *alive);

/* Where floats [lo, hi) of that replica can be had: its own stage while it is alive; other replicas' if they are
 * alike; a warm copy; other replicas' and warm copies of those; else the checkpoint. alike: replicas do not differ after a round (exact averaging), so that several donors share a range;
 * else it comes from one of them as far as possible. alive: n_stages of the plan. replica: RK_NO_NODE: anybody's.
 * Ascending, covering [lo, hi) exactly once; at most 2 n_segments x n_clusters + 1. `to` and `stays` are not set.
 * Returns how many there are; writes at most `max`.                                                       */
size_t rk_handover_sources (const rk_plan_t *old, const bool *alive, bool alike, uint32_t replica, uint64_t lo, uint64_t hi,
                            rk_handover_range_t *list, size_t max);

/* The whole list, stage after stage of the new plan; old NULL: everything from a checkpoint. Returns how many. */
size_t rk_handover_list (const rk_plan_t *old, const rk_plan_t *new, const bool *alive, bool alike,
                         rk_handover_range_t *list, size_t max);

#endif
