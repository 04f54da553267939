/* SPDX-License-Identifier: MPL-2.0
 * Warm copies (net.warm): a stage's state after every round is kept by other stages too, its guardians
 * (rk_handover_warm); a stage is one of those for its wards. A guardian fetches what it is offered, part by part, so
 * that neither side ever has more under way than a few parts. A round counts as applied (RoundApplied goes to the
 * coordinator) when all guardians have it: what is committed can be lost with two of them only.
 *
 *   S:Handover(G)        without planes and floats: the state after `rounds` can be had
 *   G:HandoverRequest(S) S:Handover(G)   as in taking over
 *   G:RoundApplied(S)    all of it is here                                                                 */
#ifndef RK_ACTORS_STAGE_WARM_H
#define RK_ACTORS_STAGE_WARM_H
#include "actors/stage.h"
#include "cluster/handover.h"
#include "messages/wire.h"

typedef struct rk_stage rk_stage_t;

#define RK_WARM_COPIES 2 /* the one that is committed, and the next */
#define RK_WARM_ROUNDS 4

typedef struct {
    bool full;
    uint64_t rounds;
    float *planes[RK_N_PLANES]; /* of the ward's floats each; NULL until first needed */
    uint64_t steps, n_good;
    float loss_scale;
    bool frozen;
} rk_warm_copy_t;

typedef struct {
    uint32_t stage, address, cluster; /* stage: index in the plan */
    uint64_t lo, hi;
    rk_warm_copy_t copies[RK_WARM_COPIES], *into; /* into: being filled; NULL: none is */
    uint64_t offered, last;    /* rounds of what can be had there and is not here: from, to; offered 0: nothing */
    uint64_t asked, here;      /* floats of `into` that are asked for, that have come: from lo on, in order */
} rk_stage_ward_t;

/* A round that is applied here and not with all guardians. */
typedef struct {
    uint64_t round;
    double distance;
    uint32_t lacks;            /* one bit for each guardian; 0: nothing is waited for */
} rk_warm_round_t;

typedef struct {
    uint32_t guardians[RK_WARM_MOST]; /* addresses */
    uint32_t n_guardians, n_wards;
    rk_stage_ward_t wards[RK_WARM_MOST];
    rk_warm_round_t rounds[RK_WARM_ROUNDS]; /* by round modulo them: there are never as many */
} rk_stage_warm_t;

void rk_stage_warm_open (rk_stage_t *self);
void rk_stage_warm_close (rk_stage_t *self);
void rk_stage_warm_forget (rk_stage_t *self); /* what is under way; copies that are complete stay */
/* The round is applied here: guardians are offered the state, the coordinator is told when they have it; at once
 * where there are none.                                                                                   */
rk_err_t rk_stage_warm_applied (rk_stage_t *self, uint64_t round, double distance, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_warm_fetch (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* what is offered and has a place now */
/* A Handover of a ward; true: it was one, and *code says what came of it. */
bool rk_stage_warm_take (rk_stage_t *self, const rk_packet_t *packet, rk_err_t *code, rk_error_t *err);
/* Whose copy holds this range of that replica; NULL: nobody's. */
rk_stage_ward_t *rk_stage_warm_ward (rk_stage_t *self, uint32_t replica, uint64_t lo, uint64_t n);
const rk_warm_copy_t *rk_stage_warm_copy (const rk_stage_ward_t *ward, uint64_t rounds); /* NULL: not here */
rk_err_t rk_stage_on_round_applied (void *self, rk_packet_t *packet, rk_error_t *err);    /* from a guardian */

#endif
