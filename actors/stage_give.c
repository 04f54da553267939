/* SPDX-License-Identifier: MPL-2.0
 * A kept state, given away part by part to whoever takes over or saves.                                   */
#include "actors/stage_parts.h"

/* Frames of one part. Versions are lent, they do not change; what is copied every round is copied again. */
static int s_frames (const rk_stage_t *self, const rk_stage_kept_t *kept, const rk_handover_request_t *want, rk_frame_t *frames)
{
    const size_t at = want->flat_lo - self->plan->stages[self->index].flat_lo, bytes = want->n_floats * sizeof (float);
    int n = 0;
    for (uint32_t i = want->state_only ? 1 : 0; i < self->keep.n_planes; i++) {
        const rk_plane_t plane = self->keep.planes[i];
        rk_buffer_t *version = plane == RK_PLANE_PARAMS ? kept->params : plane == RK_PLANE_MIXTURE ? kept->mixture : NULL;
        if (version)
            frames[n++] = (rk_frame_t){.bytes = rk_buffer_floats (version) + at, .size = bytes, .release = rk_buffer_release,
                                       .hint = rk_buffer_ref (version)};
        else
            frames[n++] = (rk_frame_t){.bytes = kept->own[plane] + at, .size = bytes};
    }
    return n;
}

/* A copy may be written again while its frames are under way: they are copied. */
static int s_warm_frames (const rk_stage_t *self, const rk_stage_ward_t *ward, const rk_warm_copy_t *copy, const rk_handover_request_t *want,
                          rk_frame_t *frames)
{
    int n = 0;
    for (uint32_t i = want->state_only ? 1 : 0; i < self->keep.n_planes; i++)
        frames[n++] = (rk_frame_t){.bytes = copy->planes[self->keep.planes[i]] + (want->flat_lo - ward->lo), .size = want->n_floats * sizeof (float)};
    return n;
}

static int s_give_own (rk_stage_t *self, const rk_handover_request_t *want, rk_handover_t *h, rk_frame_t *frames)
{
    rk_stage_kept_t *kept = self->keep.take.on ? NULL : rk_stage_kept (self, want->rounds);
    const rk_stage_kept_t *last = rk_stage_kept_last (self);
    if (!kept) {
        h->rounds = last && last->rounds != want->rounds ? last->rounds : UINT64_MAX;
        return 0;
    }
    h->steps = kept->steps;
    h->n_good = kept->n_good;
    h->loss_scale = kept->loss_scale;
    h->frozen = kept->frozen;
    kept->n_given += want->n_floats;
    kept->pinned = kept->pinned && kept->n_given < self->n_flat;
    return s_frames (self, kept, want, frames);
}

static int s_give_warm (const rk_stage_t *self, const rk_stage_ward_t *ward, const rk_handover_request_t *want, rk_handover_t *h, rk_frame_t *frames)
{
    const rk_warm_copy_t *copy = rk_stage_warm_copy (ward, want->rounds);
    if (!copy) {
        h->rounds = UINT64_MAX;
        return 0;
    }
    h->steps = copy->steps;
    h->n_good = copy->n_good;
    h->loss_scale = copy->loss_scale;
    h->frozen = copy->frozen;
    return s_warm_frames (self, ward, copy, want, frames);
}

/* Retired before its plan committed anything: it has what it was taking over, all of it or some. Once all is here it is not
 * known any more whose it was: it is given to those who do not mind.                                      */
static bool s_was_taking (const rk_stage_t *self, uint64_t rounds)
{
    return self->stopped && (self->keep.take.on || (self->keep.taken && rounds == self->plan->first_round));
}

static int s_give_taken (rk_stage_t *self, const rk_handover_request_t *want, rk_handover_t *h, rk_frame_t *frames)
{
    const rk_stage_take_t *take = &self->keep.take;
    const rk_plan_stage_t *own = &self->plan->stages[self->index];
    if (!take->on && want->replica == RK_NO_NODE && want->flat_lo >= own->flat_lo && want->flat_lo + want->n_floats <= own->flat_hi)
        return s_give_own (self, want, h, frames);
    const int n = rk_stage_take_give (self, want, frames);
    if (n < 0) {
        h->rounds = UINT64_MAX;
        return 0;
    }
    h->steps = take->steps; /* the greatest that has come; donors of the rest say theirs */
    h->n_good = take->n_good;
    h->loss_scale = take->loss_scale;
    h->frozen = take->frozen;
    return n;
}

rk_err_t rk_stage_on_handover_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_handover_request_t *want = &packet->msg.handover_request;
    const rk_plan_stage_t *own = &self->plan->stages[self->index];
    const uint32_t asker = packet->msg.sender;
    const bool was_taking = s_was_taking (self, want->rounds);
    const bool is_own = !was_taking && want->replica == self->cluster && want->flat_lo >= own->flat_lo && want->flat_lo + want->n_floats <= own->flat_hi;
    const rk_stage_ward_t *ward = is_own || was_taking ? NULL : rk_stage_warm_ward (self, want->replica, want->flat_lo, want->n_floats);
    if (!is_own && !ward && !was_taking)
        return rk_error_set (err, RK_EFORMAT, "floats %llu + %llu of replica %u are wanted, here are %llu to %llu of %u",
                             (unsigned long long) want->flat_lo, (unsigned long long) want->n_floats, want->replica,
                             (unsigned long long) own->flat_lo, (unsigned long long) own->flat_hi, self->cluster);
    if (packet->n_routing && rk_loop_learn (self->loop, asker, packet) != RK_OK)
        return rk_error_set (err, RK_ENOMEM, "no memory for who takes over");
    if (self->corrupt == RK_CORRUPT_FAILS_LATE)
        rk_loop_say (self->loop, "FAILED", RK_ESTATE, "as its test wants, late");
    rk_frame_t frames[RK_N_PLANES];
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                    .handover = {.rounds = want->rounds, .replica = want->replica, .flat_lo = want->flat_lo,
                                 .n_floats = want->n_floats, .state_only = want->state_only, .source = RK_HANDOVER_STAGE,
                                 .exact = true, .loss_scale = 1}};
    const int n = is_own ? s_give_own (self, want, &msg.handover, frames)
                : ward   ? s_give_warm (self, ward, want, &msg.handover, frames)
                         : s_give_taken (self, want, &msg.handover, frames);
    msg.handover.n_planes = (uint32_t) n;
    rk_err_t code = rk_loop_send (self->loop, asker, &msg, frames, n, err);
    if (code == RK_EPEER) /* whoever asked has gone: not our concern */
        return rk_error_set (err, RK_ESTALE, "who wanted a handover is gone");
    return code;
}
