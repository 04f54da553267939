/* SPDX-License-Identifier: MPL-2.0
 * Reducer: averages one stage's segments with their owners in the other clusters; all segments at once, event
 * driven. Exact (complete): over rings, a DEALER to the owner in the next cluster, chunks arrive at the ROUTER
 * inbox from the previous. Sparse graph: one exchange with each neighbour, cluster/exchange.h says when.
 * in:  Snapshot (own stage, lent, const), Chunk (previous owner, neighbours), Stop
 * out: Chunk, Mean (own stage, lent from a buffer of ours)
 * Ring: acc(piece) = n_own * x (first), received + n_own * x (next ranks); the last one divides by the total and the
 * result is copied around (two replicas with a small segment: one swap). Chunks of a round not begun here yet are kept
 * (bounded by one round); chunks whose view, round or total differ are refused. Large pieces go in parts of at most
 * 1 MiB.                                                                                                     */
#ifndef RK_ACTORS_REDUCER_H
#define RK_ACTORS_REDUCER_H
#include "actors/actor.h"
#include "cluster/plan.h"

typedef struct {
    const rk_plan_t *plan; /* copied */
    uint32_t node;
    const char *bind, *coordinator, *observer;
    const rk_identity_t *identity; /* for tcp (actor.h) */
    uint32_t corrupt;
} rk_reducer_config_t;
rk_err_t rk_reducer_new (rk_actor_t **actor_p, const rk_reducer_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
