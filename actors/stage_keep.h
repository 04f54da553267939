/* SPDX-License-Identifier: MPL-2.0
 * The state of a stage between two rounds: kept when a round is applied, until the next one is committed (one more
 * while it is being saved), given away part by part, taken over from others part by part, gone back to. What it is made of says
 * cluster/handover.h. Parameter versions are held, not copied; what the optimiser writes in place is copied once a
 * round. In overlapped mode the optimiser's vectors are those of the snapshot, the parameters the mean.   */
#ifndef RK_ACTORS_STAGE_KEEP_H
#define RK_ACTORS_STAGE_KEEP_H
#include "actors/buffers.h"
#include "actors/stage.h"
#include "cluster/handover.h"
#include "messages/wire.h"

typedef struct rk_stage rk_stage_t;

#define RK_STAGE_KEPT 4

typedef struct {
    bool full, pinned;               /* pinned: being saved */
    uint64_t n_given;                /* floats, since it was pinned */
    uint64_t rounds;                 /* committed when this was the state */
    rk_buffer_t *params, *mixture;
    float *own[RK_N_PLANES];         /* n_flat each: the planes that are copied */
    uint64_t steps, n_good;
    float loss_scale;
    bool frozen;
} rk_stage_kept_t;

#define RK_STAGE_PART 65536 /* floats that are asked for at once: at most so much of each donor's is lost with a view that ends */

/* A part of what is taken over. */
typedef struct {
    uint32_t donor; /* index */
    uint64_t lo, n;
    bool half;      /* it may be had from take.half; where it is not, the donor is asked */
    enum { RK_PART_WANTED = 0, RK_PART_ASKED, RK_PART_HERE } state;
} rk_stage_part_t;

typedef struct {
    bool on;
    uint64_t rounds;
    rk_stage_donor_t *donors;
    uint32_t *n_asked;               /* beside donors: parts under way */
    size_t n_donors;
    rk_stage_part_t *parts;
    size_t n_parts, n_missing;
    uint32_t half, n_half;           /* who may have some of it already; parts under way from there */
    uint64_t half_bytes;             /* of planes that have come from there */
    int64_t began_ns;                /* when the first part was asked for; 0: none yet */
    uint64_t bytes;                  /* of planes that have come */
    rk_buffer_t *params, *mixture;   /* being filled */
    uint64_t steps, n_good;
    float loss_scale;
    bool frozen;
} rk_stage_take_t;

typedef struct {
    rk_plane_t planes[RK_N_PLANES];
    uint32_t n_planes;
    rk_stage_kept_t kept[RK_STAGE_KEPT];
    uint64_t committed;              /* rounds: what is older than that is needed no more */
    rk_stage_kept_t *begun;          /* what is copied already of the state that the round leads to; NULL: nothing */
    rk_stage_take_t take;
    bool taken;                      /* the state it began with is another plan's */
} rk_stage_keep_t;

/* ---- stage_keep.c */
rk_err_t rk_stage_keep_open (rk_stage_t *self) RK_MUST_CHECK; /* errors: RK_ENOMEM */
void rk_stage_keep_close (rk_stage_t *self);
/* The snapshot of a round has been taken: overlapped, the optimiser's vectors are copied now. */
rk_err_t rk_stage_keep_begin (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
/* `rounds` rounds are applied here: the state is complete. */
rk_err_t rk_stage_keep_end (rk_stage_t *self, uint64_t rounds, rk_error_t *err) RK_MUST_CHECK;
rk_stage_kept_t *rk_stage_kept (rk_stage_t *self, uint64_t rounds); /* NULL: not here (any more) */
rk_stage_kept_t *rk_stage_kept_last (rk_stage_t *self);             /* NULL: none yet */
/* It stays until all of it has been given away, or another one is pinned. */
void rk_stage_pin (rk_stage_t *self, rk_stage_kept_t *kept);
bool rk_stage_is_kept (const rk_stage_t *self, const rk_buffer_t *version);
/* Back to a kept state, whatever is under way here: minibatches are dropped, gradients cleared, round `rounds` begins.
 * errors: RK_ENOTFOUND.                                                                                   */
rk_err_t rk_stage_return (rk_stage_t *self, uint64_t rounds, rk_error_t *err) RK_MUST_CHECK;
/* From now on the state is this one; versions are taken (references), planes in place hold their values. */
void rk_stage_adopt (rk_stage_t *self, rk_buffer_t *params, rk_buffer_t *mixture, const rk_stage_kept_t *numbers);
float *rk_stage_plane (const rk_stage_t *self, rk_plane_t plane); /* where a plane is written in place; NULL: a version */

/* Command: computes no more and gives its states to whoever takes over; from now on a keeper by address. */
rk_err_t rk_stage_retire (void *self, char **words, rk_error_t *err);

/* After a failure: its states can still be taken over. */
void rk_stage_linger (void *self);

/* ---- stage_take.c */
/* Begins to take over; until everything is here the stage computes nothing. config->donors cover its own range and the
 * copy of a tied tensor. errors: RK_EINVAL (they do not), RK_ENOMEM.                                       */
rk_err_t rk_stage_take_begin (rk_stage_t *self, const rk_stage_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_stage_take_close (rk_stage_t *self);
rk_err_t rk_stage_take_ask (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* what may be asked for now */
/* Frames of a range of what has come of a state that is not complete; -1: not all of the range is here. replica: RK_NO_NODE: of any. */
int rk_stage_take_give (const rk_stage_t *self, const rk_handover_request_t *want, rk_frame_t *frames);
rk_err_t rk_stage_on_handover (void *self, rk_packet_t *packet, rk_error_t *err);         /* as taker */
rk_err_t rk_stage_on_handover_request (void *self, rk_packet_t *packet, rk_error_t *err); /* as donor: stage_give.c */

#endif
