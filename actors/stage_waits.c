/* SPDX-License-Identifier: MPL-2.0
 * What a stage waits for, from whom, since when: asked by its coordinator for rookery status. It answers between two kernels;
 * one that does not answer computes.                                                                      */
#include "actors/stage_parts.h"

static uint32_t s_donor (const rk_stage_take_t *take)
{
    for (size_t i = 0; i < take->n_parts; i++)
        if (take->parts[i].state == RK_PART_ASKED)
            return take->donors[take->parts[i].donor].address;
    return take->n_donors ? take->donors[0].address : 0;
}

/* Between rounds: the averaging, or the word that the round is closed. */
static rk_waits_t s_round (const rk_stage_t *self)
{
    if (self->snapshot)
        return (rk_waits_t){.what = RK_WAITS_MEAN, .from = self->reducer, .round = self->averaging};
    return (rk_waits_t){.what = RK_WAITS_CLOSE, .round = self->round};
}

static rk_waits_t s_drained (const rk_stage_t *self)
{
    const rk_act_t act = rk_schedule_drained (self->stage, self->n_stages, self->in_flight, self->n_dealt, self->n_forward, self->n_backward);
    if (self->snapshot || act == RK_ACT_NONE)
        return s_round (self);
    if (act == RK_ACT_FORWARD)
        return (rk_waits_t){.what = RK_WAITS_ACTIVATION, .from = self->upstream, .f = self->dealt[self->n_forward], .round = self->round};
    return (rk_waits_t){.what = RK_WAITS_GRADIENT, .from = self->downstream, .f = self->dealt[self->n_backward], .round = self->round};
}

static rk_waits_t s_overlapped (const rk_stage_t *self)
{
    const rk_slot_t *oldest = NULL;
    for (int i = 0; i < self->n_slots && !self->last; i++)
        if (self->slots[i].state == RK_SLOT_STASHED && (!oldest || self->slots[i].order < oldest->order))
            oldest = &self->slots[i];
    if (oldest)
        return (rk_waits_t){.what = RK_WAITS_GRADIENT, .from = self->downstream, .f = oldest->f, .round = oldest->round};
    if (self->snapshot)
        return s_round (self);
    return (rk_waits_t){.what = RK_WAITS_ACTIVATION, .from = self->upstream, .f = self->next_f, .round = self->round};
}

static rk_waits_t s_waits (const rk_stage_t *self, int64_t *since_ns)
{
    *since_ns = self->waits_ns;
    if (self->stopped || self->halted)
        return (rk_waits_t){.what = RK_WAITS_END, .round = self->round};
    if (self->keep.take.on)
        return (rk_waits_t){.what = RK_WAITS_STATE, .from = s_donor (&self->keep.take), .round = self->keep.take.rounds};
    if (self->next) {
        *since_ns = self->hold_from_ns;
        return (rk_waits_t){.what = RK_WAITS_SPEED, .round = self->round};
    }
    if (!self->waits_ns)
        return (rk_waits_t){.what = RK_WAITS_NOTHING, .round = self->round};
    if (self->drained && self->first && self->n_settled < self->n_closed)
        return (rk_waits_t){.what = RK_WAITS_NORM, .from = self->downstream, .round = self->round};
    return self->drained ? s_drained (self) : s_overlapped (self);
}

rk_err_t rk_stage_on_status_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    if (rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR)
        return rk_stage_expect (packet, 0, err);
    int64_t since_ns;
    rk_msg_t msg = {.kind = RK_MSG_WAITS, .waits = s_waits (self, &since_ns)};
    msg.waits.actor = rk_loop_address (self->loop);
    msg.waits.ms = since_ns ? (uint64_t) (rk_now_ns () - since_ns) / 1000000 : 0;
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}
