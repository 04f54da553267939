/* SPDX-License-Identifier: MPL-2.0
 * Feeder: reads data, makes minibatches for the leases its cluster holds, injects them into stage 0 within
 * the credit window. One per cluster, on the node of stage 0.
 * in:  LeaseGrant (coordinator; mode train, eval or predict), Credit (stage 0), Stop
 * out: LeaseRequest (when fewer than in_flight leases wait; one request outstanding), Activation (stage 0)
 * Drained mode needs no special care here: the leader grants a round only after the one before committed.    */
#ifndef RK_ACTORS_FEEDER_H
#define RK_ACTORS_FEEDER_H
#include "actors/actor.h"
#include "cluster/plan.h"
#include "compute/data.h"

typedef struct {
    const rk_plan_t *plan; /* copied */
    uint32_t node;         /* of stage 0 of its cluster */
    const rk_data_t *data; /* const; borrowed for the actor's life */
    const char *bind, *coordinator, *observer;
    const rk_identity_t *identity; /* for tcp (actor.h) */
    uint32_t corrupt;
} rk_feeder_config_t;
rk_err_t rk_feeder_new (rk_actor_t **actor_p, const rk_feeder_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
