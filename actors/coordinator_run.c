/* SPDX-License-Identifier: MPL-2.0
 * RUN: leases are granted, rounds close and commit. Decisions are cluster/lease's.                        */
#include "actors/coordinator_self.h"

void rk_coordinator_begin_run (rk_coordinator_t *self)
{
    rk_msg_t start = {.kind = RK_MSG_START, .start = {.first_round = self->plan->first_round}};
    rk_coordinator_to_parent (self, &start, NULL, 0);
    rk_coordinator_to_others (self, &start, NULL, 0);
    rk_coordinator_ask_joiners (self); /* who came before there was a view */
    if (self->interrupted && self->kind == RK_RUN_TRAIN) {
        rk_coordinator_save_and_end (self);
        return;
    }
    const uint64_t f = self->plan->first_f, per_pass = self->plan->minibatches_per_pass;
    if (self->kind != RK_RUN_TRAIN)
        rk_coordinator_begin_evaluation (self);
    else if (f && f % per_pass == 0 && self->n_evaluated < f / per_pass) { /* the view before has not come to it */
        rk_lease_hold (self->leases, true);
        rk_coordinator_begin_evaluation (self);
    } else if (f && rk_lease_done (self->leases))
        rk_coordinator_save_and_end (self);
    else if (rk_lease_done (self->leases))
        rk_coordinator_end (self, RK_OK, "nothing to train");
    else {
        rk_coordinator_enter (self, RK_STATE_RUN);
        rk_coordinator_control_begin (self);
        rk_coordinator_save_begin (self);
        rk_coordinator_serve (self);
    }
}

/* ---- closing */
static void s_to_stages (rk_coordinator_t *self, rk_msg_t *msg)
{
    rk_coordinator_to_kind (self, RK_ACTOR_STAGE, msg);
    rk_coordinator_to_others (self, msg, NULL, 0);
}

static void s_announce_closed (rk_coordinator_t *self)
{
    uint64_t n_rounds = rk_round_n (self->plan);
    while (self->next_close < n_rounds &&
           rk_lease_closed (self->leases, self->next_close, self->counts, self->samples)) {
        rk_msg_t msg = {.kind = RK_MSG_ROUND_CLOSED,
                        .round_closed = {self->next_close, self->plan->n_clusters, self->counts, self->samples,
                                         rk_coordinator_control_at (self, self->next_close)}};
        s_to_stages (self, &msg);
        self->next_close++;
    }
}

/* ---- granting */
static uint32_t s_take (rk_coordinator_t *self, uint32_t cluster, uint32_t most, uint64_t *f, rk_lease_grant_t *grant)
{
    grant->mode = RK_MB_TRAIN;
    if (self->state == RK_STATE_RUN) {
        uint32_t n = rk_lease_grant (self->leases, cluster, most, f, &grant->round);
        /* A pass is evaluated before the next one begins: no round after its last is opened. */
        if (n && rk_round_ends_pass (self->plan, grant->round))
            rk_lease_hold (self->leases, true);
        return n;
    }
    if (self->state == RK_STATE_EVALUATE)
        return rk_coordinator_deal_evaluation (self, cluster, most, f, &grant->mode);
    return 0;
}

static bool s_grant (rk_coordinator_t *self, uint32_t cluster)
{
    uint64_t f[RK_GRANT_MOST];
    rk_msg_t msg = {.kind = RK_MSG_LEASE_GRANT,
                    .lease_grant = {.f = f, .round = rk_lease_committed (self->leases), .cluster = cluster}};
    uint32_t most = self->pending[cluster] < RK_GRANT_MOST ? self->pending[cluster] : RK_GRANT_MOST;
    msg.lease_grant.n = most ? s_take (self, cluster, most, f, &msg.lease_grant) : 0;
    if (msg.lease_grant.n == 0)
        return false;
    self->pending[cluster] = 0;
    uint32_t node = self->plan->stages[self->plan->clusters[cluster].first_stage].node;
    rk_coordinator_to_node (self, RK_ACTOR_FEEDER, node, &msg);
    return true;
}

/* Grants whatever can be had to whoever has asked. */
void rk_coordinator_serve (rk_coordinator_t *self)
{
    bool granted = false;
    for (uint32_t c = 0; c < self->plan->n_clusters; c++)
        granted |= s_grant (self, c);
    if (granted && self->state == RK_STATE_RUN)
        s_announce_closed (self);
}

rk_err_t rk_coordinator_on_lease_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    const rk_lease_request_t *request = &packet->msg.lease_request;
    if (self->state >= RK_STATE_VIEW)
        return RK_OK;
    if (self->view && rk_coordinator_of_view (self, packet, err))
        return RK_ESTALE;
    if (!self->plan && request->cluster < RK_MAX_CLUSTERS && rk_coordinator_origin (self, packet).kind != RK_FROM_STRANGER) {
        self->pending[request->cluster] = request->n; /* a feeder composed by hand may ask before the plan is taken */
        return RK_OK;
    }
    if (!self->plan || request->cluster >= self->plan->n_clusters || request->n == 0)
        return rk_coordinator_refuse (packet, "no such cluster", err);
    uint32_t node = self->plan->stages[self->plan->clusters[request->cluster].first_stage].node;
    if (!rk_coordinator_speaks_for (self, rk_coordinator_origin (self, packet), node))
        return rk_coordinator_refuse (packet, "another node feeds that cluster", err);
    self->pending[request->cluster] = request->n;
    rk_coordinator_progress (self);
    rk_coordinator_serve (self);
    return RK_OK;
}

/* For whoever keeps the books of a run from outside: which minibatches are trained for good. */
static void s_say_committed (const rk_coordinator_t *self, uint64_t round)
{
    uint64_t from, to;
    rk_round_range (self->plan, round, &from, &to);
    rk_log (RK_LOG_DEBUG, "COMMITTED", "view=%llu round=%llu from=%llu to=%llu", (unsigned long long) self->plan->view,
            (unsigned long long) round, (unsigned long long) from, (unsigned long long) to);
}

rk_err_t rk_coordinator_on_round_applied (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    const rk_round_applied_t *applied = &packet->msg.round_applied;
    if (self->state >= RK_STATE_VIEW) /* nothing more is committed in this view */
        return RK_OK;
    if (self->view && rk_coordinator_of_view (self, packet, err))
        return RK_ESTALE;
    if (!self->plan || applied->stage >= self->plan->n_stages)
        return rk_coordinator_refuse (packet, "no such stage", err);
    if (!rk_coordinator_speaks_for (self, rk_coordinator_origin (self, packet),
                                    self->plan->stages[applied->stage].node))
        return rk_coordinator_refuse (packet, "another node hosts that stage", err);
    bool committed = false;
    rk_err_t rc = rk_lease_applied (self->leases, applied->round, applied->stage, &committed, err);
    if (rc)
        return RK_ESTALE;
    rk_coordinator_control_hear (self, applied);
    rk_coordinator_progress (self);
    if (!committed)
        return RK_OK;
    s_say_committed (self, applied->round);
    rk_coordinator_control_decide (self, applied->round);
    rk_coordinator_committed (self, applied->round);
    rk_msg_t msg = {.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {applied->round}};
    s_to_stages (self, &msg);
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_send (self, RK_TO_OBSERVER, &msg, NULL, 0);
    if (self->state != RK_STATE_RUN) /* interrupted while this round was averaged: the one before is saved */
        return RK_OK;
    if (rk_round_ends_pass (self->plan, applied->round)) {
        rk_coordinator_begin_evaluation (self);
        return RK_OK;
    }
    rk_coordinator_save_if_due (self);
    rk_coordinator_consider (self);
    if (rk_coordinator_wants_change (self))
        rk_lease_hold (self->leases, true);
    rk_coordinator_serve (self);
    if (self->wants_view)
        rk_coordinator_want_view (self, "at the end of a round");
    rk_coordinator_move (self);
    return RK_OK;
}

/* From here on it is this plan's state that another plan would take over. */
void rk_coordinator_committed (rk_coordinator_t *self, uint64_t round)
{
    self->n_committed = round + 1;
    rk_coordinator_count_commit (self);
    if (self->moved)
        return;
    self->moved = true;
    rk_msg_t msg = {.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {round}};
    rk_coordinator_to_parent (self, &msg, NULL, 0);
}

/* ---- a follower passes on what the leader says */

/* Minibatches below `end` may have been trained: should the leader be lost, nobody else knows that they are trained again. */
static void s_issued (rk_coordinator_t *self, uint64_t end)
{
    self->issued = end > self->issued ? end : self->issued;
}

rk_err_t rk_coordinator_on_lease_grant (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_lease_grant_t *grant = &packet->msg.lease_grant;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || !self->plan ||
        grant->cluster >= self->plan->n_clusters)
        return rk_coordinator_refuse (packet, "not from the leader, or no such cluster", err);
    rk_err_t rc = rk_coordinator_of_view (self, packet, err);
    if (rc || self->state >= RK_STATE_VIEW)
        return rc;
    uint32_t node = self->plan->stages[self->plan->clusters[grant->cluster].first_stage].node;
    if (!rk_coordinator_find (self, rk_address (RK_ACTOR_FEEDER, node)))
        return rk_coordinator_refuse (packet, "this process does not feed that cluster", err);
    for (size_t i = 0; grant->mode == RK_MB_TRAIN && i < grant->n; i++)
        s_issued (self, grant->f[i] + 1);
    rk_coordinator_send (self, rk_address (RK_ACTOR_FEEDER, node), &packet->msg, NULL, 0);
    return RK_OK;
}

rk_err_t rk_coordinator_on_for_stages (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || !self->plan)
        return rk_coordinator_refuse (packet, "not from the leader, or before a plan", err);
    rk_err_t rc = rk_coordinator_of_view (self, packet, err);
    if (rc || self->state >= RK_STATE_VIEW)
        return rc;
    if (packet->msg.kind == RK_MSG_ROUND_COMMITTED)
        rk_coordinator_committed (self, packet->msg.round_committed.round);
    if (packet->msg.kind == RK_MSG_ROUND_CLOSED && packet->msg.round_closed.round < rk_round_n (self->plan))
        s_issued (self, rk_round_cursor (self->plan, packet->msg.round_closed.round + 1));
    rk_coordinator_to_kind (self, RK_ACTOR_STAGE, &packet->msg);
    return RK_OK;
}
