/* SPDX-License-Identifier: MPL-2.0
 * EVALUATE: forward-only minibatches at the end of a pass (or as the whole run). */
#include "actors/coordinator_self.h"

/* ---- evaluation */
static const uint32_t s_mode_of[] = {[RK_PANEL_MODEL] = RK_MB_EVAL, [RK_PANEL_MEASURE] = RK_MB_MEASURE, [RK_PANEL_REPLICA] = RK_MB_REPLICA};

uint32_t rk_coordinator_deal_evaluation (rk_coordinator_t *self, uint32_t cluster, uint32_t most, uint64_t *f, uint32_t *mode)
{
    rk_panel_kind_t kind;
    uint32_t n = rk_panel_deal (&self->panel, cluster, most, f, &kind);
    *mode = self->kind == RK_RUN_PREDICT ? RK_MB_PREDICT : s_mode_of[kind];
    return n;
}

static rk_panel_kind_t s_kind_of (uint32_t mode)
{
    return mode == RK_MB_MEASURE ? RK_PANEL_MEASURE : mode == RK_MB_REPLICA ? RK_PANEL_REPLICA : RK_PANEL_MODEL;
}

void rk_coordinator_begin_evaluation (rk_coordinator_t *self)
{
    rk_coordinator_enter (self, RK_STATE_EVALUATE);
    rk_panel_begin (&self->panel);
    if (rk_panel_done (&self->panel)) /* no test samples */
        rk_coordinator_finish_evaluation (self);
    else
        rk_coordinator_serve (self);
}

rk_err_t rk_coordinator_on_evaluated (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    const rk_evaluated_t *e = &packet->msg.evaluated;
    if (rk_coordinator_origin (self, packet).kind == RK_FROM_STRANGER)
        return rk_coordinator_refuse (packet, "it is no member", err);
    if (self->state != RK_STATE_EVALUATE || (self->view && rk_coordinator_of_view (self, packet, err)))
        return rk_error_set (err, RK_ESTALE, "Evaluated of minibatch %llu outside an evaluation",
                             (unsigned long long) e->f);
    rk_evaluation_part_t part = {e->loss_sum, e->n_correct, e->n_counted, e->n};
    rk_err_t rc = rk_panel_answer (&self->panel, s_kind_of (e->mode), e->cluster, e->f, part, err);
    if (rc)
        return rc;
    rk_coordinator_progress (self);
    if (rk_panel_done (&self->panel))
        rk_coordinator_finish_evaluation (self);
    return RK_OK;
}

/* ---- the end of an evaluation */
void rk_coordinator_finish_evaluation (rk_coordinator_t *self)
{
    rk_evaluation_part_t sum = rk_evaluation_sum (&self->panel.model);
    uint64_t n_rounds = rk_lease_committed (self->leases), end = rk_round_cursor (self->plan, n_rounds);
    rk_panel_spread_t spread = rk_panel_spread (&self->panel);
    rk_msg_t msg = {.kind = RK_MSG_EVALUATED,
                    .evaluated = {.f = end, .round = n_rounds, .loss_sum = sum.loss_sum, .n_correct = sum.n_correct,
                                  .n_counted = sum.n_counted, .n = sum.n, .n_replicas = spread.n, .replica_mean = spread.mean,
                                  .replica_least = spread.least, .replica_most = spread.most}};
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_send (self, RK_TO_OBSERVER, &msg, NULL, 0);
    rk_coordinator_to_parent (self, &msg, NULL, 0);
    self->n_evaluated = end / self->plan->minibatches_per_pass;
    if (self->kind != RK_RUN_TRAIN) {
        rk_coordinator_end (self, RK_OK, "done");
        return;
    }
    if (rk_lease_done (self->leases)) {
        rk_coordinator_save_and_end (self);
        return;
    }
    rk_coordinator_save_now (self);
    rk_lease_hold (self->leases, rk_coordinator_wants_change (self) != NULL);
    rk_coordinator_enter (self, RK_STATE_RUN);
    rk_coordinator_consider (self);
    rk_coordinator_serve (self);
    rk_coordinator_move (self);
}
