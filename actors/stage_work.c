/* SPDX-License-Identifier: MPL-2.0
 * What a stage does next: the drained order of the plan, or whatever is ready with backward first; and the
 * clock around its kernels, by which a node of declared speed is as slow as it says.                      */
#include "actors/stage_parts.h"

#define REPORT_NS 250000000

/* ---- kernels */

void rk_stage_kernel_begin (rk_stage_t *self)
{
    self->kernel_cpu_ns = rk_thread_cpu_ns ();
    self->kernel_wall_ns = rk_now_ns ();
}

rk_err_t rk_stage_kernel_end (rk_stage_t *self, rk_err_t (*next) (rk_stage_t *, rk_error_t *), rk_error_t *err)
{
    int64_t cpu_ns = rk_thread_cpu_ns () - self->kernel_cpu_ns;
    self->counts.busy_ns += cpu_ns;
    self->counts.kernels[self->counts.act].ns += cpu_ns;
    const int64_t now_ns = rk_now_ns ();
    self->counts.kernels[self->counts.act].wall_ns += now_ns - self->kernel_wall_ns;
    self->counts.dirty = true;
    if (!self->hold.pace_ppm)
        return next (self, err);
    const int64_t until_ns = rk_hold_begin (&self->hold, self->kernel_wall_ns, cpu_ns);
    if (until_ns <= now_ns) {
        rk_hold_end (&self->hold, now_ns);
        return next (self, err);
    }
    self->next = next;
    self->hold_from_ns = now_ns;
    self->hold_until_ns = until_ns;
    return RK_OK;
}

static rk_err_t s_continue (rk_stage_t *self, int64_t now_ns, rk_error_t *err)
{
    rk_err_t (*next) (rk_stage_t *, rk_error_t *) = self->next;
    if (self->hold_from_ns) { /* not the wait for a buffer */
        self->counts.declared_wait_ns += now_ns - self->hold_from_ns;
        rk_hold_end (&self->hold, now_ns);
    }
    self->hold_from_ns = self->hold_until_ns = 0;
    self->next = NULL;
    return next (self, err);
}

/* ---- choice */

static bool s_backward_ready (const rk_stage_t *self, const rk_slot_t *slot)
{
    /* A gradient of the next round waits until this round has ended here: the snapshot lies between them. */
    return slot->mode == RK_MB_TRAIN && slot->round == self->round && rk_stage_has_room (self) &&
           rk_stage_tied_has_share (self, slot->f) &&
           slot->state == (self->last ? RK_SLOT_STASHED : RK_SLOT_ANSWERED);
}

static bool s_forward_ready (const rk_stage_t *self, const rk_slot_t *slot)
{
    return slot->state == RK_SLOT_ARRIVED && (slot->mode != RK_MB_TRAIN || rk_stage_tied_may_forward (self));
}

static rk_slot_t *s_oldest (rk_stage_t *self, bool (*ready) (const rk_stage_t *, const rk_slot_t *))
{
    rk_slot_t *oldest = NULL;
    for (int i = 0; i < self->n_slots; i++)
        if (ready (self, &self->slots[i]) && (!oldest || self->slots[i].order < oldest->order))
            oldest = &self->slots[i];
    return oldest;
}

static bool s_has_ctx (const rk_stage_t *self)
{
    for (uint32_t i = 0; i < self->in_flight; i++)
        if (!self->ctx_busy[i])
            return true;
    return false;
}

/* The slot of the f that the plan deals at position `at` if it is ready, else NULL: then the stage waits. */
static rk_slot_t *s_dealt (rk_stage_t *self, uint64_t at, bool (*ready) (const rk_stage_t *, const rk_slot_t *))
{
    for (int i = 0; i < self->n_slots && at < self->n_dealt; i++) {
        rk_slot_t *slot = &self->slots[i];
        if (slot->mode == RK_MB_TRAIN && slot->f == self->dealt[at] && ready (self, slot))
            return slot;
    }
    return NULL;
}

static rk_act_t s_choose_drained (rk_stage_t *self, rk_slot_t **slot_p)
{
    rk_act_t act = rk_schedule_drained (self->stage, self->n_stages, self->in_flight, self->n_dealt, self->n_forward,
                                        self->n_backward);
    *slot_p = NULL;
    if (act == RK_ACT_FORWARD)
        *slot_p = s_dealt (self, self->n_forward, s_forward_ready);
    else if (act == RK_ACT_BACKWARD)
        *slot_p = s_dealt (self, self->n_backward, s_backward_ready);
    if (*slot_p || self->n_backward)
        return *slot_p ? act : RK_ACT_NONE;
    /* Forward-only minibatches come between rounds. */
    *slot_p = s_oldest (self, s_forward_ready);
    return *slot_p && (*slot_p)->mode != RK_MB_TRAIN ? RK_ACT_FORWARD : RK_ACT_NONE;
}

static rk_act_t s_choose_overlapped (rk_stage_t *self, rk_slot_t **slot_p)
{
    rk_slot_t *backward = s_oldest (self, s_backward_ready);
    rk_slot_t *forward = backward ? NULL : s_oldest (self, s_forward_ready);
    *slot_p = backward ? backward : forward;
    return rk_schedule_overlapped (forward != NULL, backward != NULL);
}

static bool s_advance (rk_stage_t *self, rk_err_t *code, rk_error_t *err)
{
    rk_slot_t *slot;
    if (rk_stage_take_verdict (self, code, err))
        return true;
    if (self->drained && self->first && self->n_settled < self->n_closed)
        return false; /* the verdict lies between its backward and the next forward */
    rk_act_t act = self->drained ? s_choose_drained (self, &slot) : s_choose_overlapped (self, &slot);
    if (act == RK_ACT_NONE || (act == RK_ACT_FORWARD && !s_has_ctx (self)))
        return false;
    self->at = slot;
    self->counts.act = slot->mode == RK_MB_TRAIN ? act : RK_ACT_NONE;
    self->counts.kernels[self->counts.act].n++;
    *code = act == RK_ACT_FORWARD ? rk_stage_forward (self, err) : rk_stage_backward (self, err);
    return true;
}

/* ---- the loop's call */

static int64_t s_report_wait (rk_stage_t *self, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_stage_counts_t *counts = &self->counts;
    if (!counts->dirty)
        return RK_FOREVER;
    if (!counts->next_report_ns)
        counts->next_report_ns = now_ns + REPORT_NS;
    if (now_ns >= counts->next_report_ns) {
        counts->next_report_ns = 0;
        counts->dirty = false;
        *code = rk_stage_report (self, false, err);
        return RK_FOREVER;
    }
    return counts->next_report_ns - now_ns;
}

int64_t rk_stage_work (void *self_, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_stage_t *self = self_;
    if (self->stopped || self->halted)
        return RK_FOREVER;
    int64_t wait_ns = s_report_wait (self, now_ns, code, err);
    if (*code != RK_OK)
        return 0;
    if (self->keep.take.on) {
        self->waits_ns = self->waits_ns ? self->waits_ns : now_ns;
        *code = rk_stage_take_ask (self, err);
        return wait_ns;
    }
    if (self->next) {
        if (now_ns < self->hold_until_ns)
            return self->hold_until_ns - now_ns < wait_ns ? self->hold_until_ns - now_ns : wait_ns;
        *code = s_continue (self, now_ns, err);
        return 0;
    }
    rk_hold_idle (&self->hold, self->waits_ns ? now_ns - self->waits_ns : 0);
    if (s_advance (self, code, err)) {
        self->waits_ns = 0;
        return 0;
    }
    self->waits_ns = self->waits_ns ? self->waits_ns : now_ns;
    return wait_ns;
}
