/* SPDX-License-Identifier: MPL-2.0
 * A tied tensor across a cut: its owner (stage 0) steps it, a later stage reads a copy. The reader hands its share of
 * every minibatch's gradient to the owner, which adds it before its own and answers with the values: so both use the
 * same ones, and every one of them is the result of one step on the sum. Part of the inside of a stage.
 *
 * Which values a forward of the reader sees is fixed: before forward number j (from 0) it takes those after minibatch
 * number j - in_flight, which the owner had finished before j was let in; at the end of a round all of them. So no
 * bit depends on when a message arrives, and with one minibatch in flight the run is that of one stage.    */
#ifndef RK_ACTORS_STAGE_TIED_H
#define RK_ACTORS_STAGE_TIED_H
#include "actors/stage.h"
#include "messages/wire.h"

typedef struct rk_stage rk_stage_t;

#define RK_TIED_PLANES 8 /* of a Mean that waits */

/* A message that waits for its turn: values, a share, or the end of a round. */
typedef struct {
    rk_tied_t head;
    int n_frames;
    zmq_msg_t frame[2];
} rk_tied_message_t;

typedef struct {
    bool owns, reads;   /* at most one of them, and only if the two stages differ */
    uint32_t partner;   /* address */
    size_t at, count;   /* floats of the tensor in this stage's vectors: with its layer, or behind n_flat */
    rk_tied_message_t *queue; /* in order of arrival, of room_for; owner: shares, reader: values */
    uint32_t room, head, n;
    uint64_t n_forward, n_finished; /* reader: train forwards begun; minibatches whose values it has taken */
    uint64_t sent_steps;            /* owner: steps that the values sent last had taken */
    rk_tied_message_t mean[2];      /* reader: by parity of the round; n_frames 0: not here */
    /* reader: its own Mean, which came before the owner's */
    bool held;
    rk_mean_t held_mean;
    zmq_msg_t held_frame[RK_TIED_PLANES];
    int n_held;
} rk_stage_tied_t;

rk_err_t rk_stage_tied_open (rk_stage_t *self) RK_MUST_CHECK; /* after identity; errors: RK_ENOMEM */
void rk_stage_tied_close (rk_stage_t *self);
void rk_stage_tied_reset (rk_stage_t *self); /* as if nothing had been said */
rk_err_t rk_stage_on_tied (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- owner */
bool rk_stage_tied_has_share (const rk_stage_t *self, uint64_t f); /* or needs none */
/* Before its parameter gradients of f: adds the share of f to grads. */
void rk_stage_tied_add_share (rk_stage_t *self, uint64_t f, float *grads);
/* f is finished (what RK_TIED_VALUES), or the round has ended (RK_TIED_ROUND): what the tensor is now. */
rk_err_t rk_stage_tied_send_values (rk_stage_t *self, uint32_t what, uint64_t f, uint64_t round, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_tied_send_mean (rk_stage_t *self, uint64_t round, rk_error_t *err) RK_MUST_CHECK;

/* ---- reader */
bool rk_stage_tied_may_forward (const rk_stage_t *self);
/* A train forward begins: takes the values it has to see. */
rk_err_t rk_stage_tied_before_forward (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
/* After its parameter gradients of f: hands over the share in grads and clears it. */
rk_err_t rk_stage_tied_send_share (rk_stage_t *self, uint64_t f, uint64_t round, float *grads, rk_error_t *err) RK_MUST_CHECK;
/* At the end of a round: true when all values are here, and then they are taken. */
bool rk_stage_tied_end_round (rk_stage_t *self, uint64_t round, rk_err_t *code, rk_error_t *err);
/* Whether this Mean must wait for the owner's; then its frames are taken from the packet. */
bool rk_stage_tied_hold_mean (rk_stage_t *self, rk_packet_t *packet);
/* The owner's mean of the round being averaged, number `idx` (0 the mean, 1 that of all replicas), behind flat. */
void rk_stage_tied_copy_mean (rk_stage_t *self, int idx, float *flat);
void rk_stage_tied_drop_mean (rk_stage_t *self); /* it has been applied */

#endif
