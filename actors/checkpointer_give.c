/* SPDX-License-Identifier: MPL-2.0
 * A run that goes on: every stage takes its state from here, so that nobody else needs to see the file. */
#include "actors/checkpointer_self.h"

rk_err_t rk_give_open (rk_checkpointer_self_t *self, const char *path, rk_error_t *err)
{
    rk_err_t code = rk_checkpoint_open (&self->resumed, path, err);
    if (code == RK_OK)
        code = rk_checkpoint_check (&self->resumed, self->model, err);
    if (code != RK_OK)
        return code;
    if (self->resumed.rounds != self->plan->first_round || self->resumed.next_f != self->plan->first_f)
        return rk_error_set (err, RK_EPLAN, "the plan goes on with round %llu, minibatch %llu; %s ends with %llu and %llu",
                             (unsigned long long) self->plan->first_round, (unsigned long long) self->plan->first_f, path,
                             (unsigned long long) self->resumed.rounds, (unsigned long long) self->resumed.next_f);
    self->scratch = malloc ((size_t) self->n_planes * RK_HANDOVER_PART * sizeof (float));
    return self->scratch ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory to hand over a checkpoint");
}

void rk_give_close (rk_checkpointer_self_t *self)
{
    rk_checkpoint_close (&self->resumed);
    free (self->scratch);
    self->scratch = NULL;
}

static int s_frames (rk_checkpointer_self_t *self, const rk_handover_request_t *want, bool same, rk_frame_t *frames)
{
    int n = 0;
    for (uint32_t i = want->state_only ? 1 : 0; i < self->n_planes; i++) {
        float *values = self->scratch + (size_t) i * RK_HANDOVER_PART;
        rk_checkpoint_take (&self->resumed, self->model, same, want->replica, self->planes[i], want->flat_lo, want->n_floats, values);
        frames[n++] = (rk_frame_t){.bytes = values, .size = want->n_floats * sizeof (float)}; /* copied by the socket */
    }
    return n;
}

rk_err_t rk_checkpointer_on_handover_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_checkpointer_self_t *self = self_;
    const rk_handover_request_t *want = &packet->msg.handover_request;
    const rk_checkpoint_t *c = &self->resumed;
    const uint32_t asker = packet->msg.sender;
    if (!c->file || want->replica >= self->plan->n_clusters || want->flat_lo + want->n_floats > self->plan->n_flat)
        return rk_error_set (err, RK_EFORMAT, "floats %llu + %llu of replica %u are wanted, which are not here",
                             (unsigned long long) want->flat_lo, (unsigned long long) want->n_floats, want->replica);
    if (packet->n_routing && rk_loop_learn (self->loop, asker, packet) != RK_OK)
        return rk_error_set (err, RK_ENOMEM, "no memory for who takes over");
    const bool same = c->n_replicas == self->plan->n_clusters, here = want->rounds == c->rounds;
    const rk_checkpoint_replica_t *numbers = &c->replicas[want->replica % c->n_replicas];
    rk_frame_t frames[RK_N_PLANES];
    int n = here ? s_frames (self, want, same, frames) : 0;
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                    .handover = {.rounds = c->rounds, .replica = want->replica, .flat_lo = want->flat_lo, .n_floats = want->n_floats,
                                 .n_planes = (uint32_t) n, .source = RK_HANDOVER_CHECKPOINT, .exact = same,
                                 .state_only = want->state_only, .steps = numbers->steps, .n_good = numbers->n_good,
                                 .loss_scale = numbers->loss_scale > 0 ? numbers->loss_scale : 1, .frozen = same && numbers->frozen}};
    return rk_loop_send (self->loop, asker, &msg, frames, n, err);
}
