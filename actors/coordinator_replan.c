/* SPDX-License-Identifier: MPL-2.0
 * Another plan while it runs: reports of all stages come to the leader, cluster/observed makes figures of them, and when
 * a round is committed cluster/watch says whether to think, cluster/replan whether to change. A change lets the open
 * rounds come to their end, so that nothing is done again, and then is a view like any other.              */
#include "actors/coordinator_self.h"

/* ---- figures */
rk_err_t rk_coordinator_figures_begin (rk_coordinator_t *self, rk_error_t *err)
{
    rk_coordinator_replan_t *r = &self->replan;
    rk_watch_begin (&r->watch, self->plan->first_round, r->moves);
    r->moves = false;
    rk_observed_destroy (&r->observed);
    if (self->kind == RK_RUN_TRAIN && rk_settings_replans (&self->plan->settings) && rk_observed_new (&r->observed, self->plan))
        return rk_error_set (err, RK_ENOMEM, "no memory for figures of %u stages", self->plan->n_stages);
    return RK_OK;
}

void rk_coordinator_figures_close (rk_coordinator_t *self)
{
    rk_observed_destroy (&self->replan.observed);
    rk_wires_destroy (&self->replan.wires);
}

rk_err_t rk_coordinator_figures_keep (rk_coordinator_t *self, rk_error_t *err)
{
    rk_profiles_t fresh;
    if (!self->replan.observed)
        return RK_OK;
    rk_err_t rc = rk_observed_table (self->replan.observed, &self->profiles, &fresh, err);
    if (rc)
        return rc;
    rk_profiles_clear (&self->profiles);
    self->profiles = fresh;
    self->replan.changed = true;
    rk_observed_destroy (&self->replan.observed);
    return RK_OK;
}

rk_err_t rk_coordinator_on_report (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    const rk_report_t *report = &packet->msg.report;
    if (self->state >= RK_STATE_VIEW || !self->plan || !self->replan.observed)
        return RK_OK;
    if (report->view != self->plan->view)
        return RK_ESTALE;
    if (report->cluster >= self->plan->n_clusters || report->stage >= self->plan->clusters[report->cluster].n_stages)
        return rk_coordinator_refuse (packet, "no such stage", err);
    const uint32_t stage = self->plan->clusters[report->cluster].first_stage + report->stage;
    if (!rk_coordinator_speaks_for (self, rk_coordinator_origin (self, packet), self->plan->stages[stage].node))
        return rk_coordinator_refuse (packet, "another node hosts that stage", err);
    const rk_observed_totals_t totals = {report->forward_ns, report->n_forward, report->backward_ns, report->n_backward,
                                         report->kernel_wall_ns};
    rk_observed_take (self->replan.observed, stage, &totals);
    return RK_OK;
}

/* ---- links: every process looks at its own connections, the leader gathers */
#define LOOK_MS 1000

rk_err_t rk_coordinator_wires_begin (rk_coordinator_t *self, const rk_endpoints_t *list, rk_error_t *err)
{
    rk_coordinator_replan_t *r = &self->replan;
    const rk_view_member_t *own = rk_view_find (self->view, self->process);
    rk_wires_destroy (&r->wires);
    if (!own || own->node == RK_ROSTER_NO_NODE || self->kind != RK_RUN_TRAIN || !rk_settings_replans (&self->plan->settings))
        return RK_OK;
    rk_err_t rc = rk_wires_new (&r->wires);
    for (size_t i = 0; !rc && i < list->n; i++) {
        const rk_actor_kind_t kind = rk_address_kind (list->list[i].address);
        const uint32_t node = rk_address_node (list->list[i].address);
        if ((kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER) && node != own->node)
            rc = rk_wires_add (r->wires, node, list->list[i].endpoint, err);
    }
    r->next_look_ms = self->now_ms + LOOK_MS;
    return rc;
}

void rk_coordinator_wires_tick (rk_coordinator_t *self)
{
    rk_coordinator_replan_t *r = &self->replan;
    rk_wire_t wires[RK_MAX_FLEET];
    if (!r->wires || self->state != RK_STATE_RUN || self->now_ms < r->next_look_ms)
        return;
    r->next_look_ms = self->now_ms + LOOK_MS;
    const uint32_t own = rk_view_find (self->view, self->process)->node;
    const size_t n = rk_wires_look (r->wires, self->now_ms * 1000000, wires, RK_MAX_FLEET);
    for (size_t i = 0; i < n; i++) {
        rk_log (RK_LOG_DEBUG, "LINK-USED", "from=%u to=%u bytes_per_s=%llu bytes=%llu", own, wires[i].node,
                (unsigned long long) wires[i].bytes_per_s, (unsigned long long) wires[i].bytes);
        rk_msg_t msg = {.kind = RK_MSG_LINK_MEASURED, .link_measured = {.from = own, .to = wires[i].node, .bytes_per_s = wires[i].bytes_per_s}};
        if (!self->leads)
            rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &msg, NULL, 0);
        else if (r->observed)
            rk_observed_link (r->observed, own, wires[i].node, wires[i].bytes_per_s);
    }
}

/* ---- thinking */

/* Of those who are here, as observed. */
static rk_err_t s_here (rk_coordinator_t *self, rk_profiles_t *here, rk_error_t *err)
{
    rk_profiles_t fresh;
    rk_err_t rc = rk_observed_table (self->replan.observed, &self->profiles, &fresh, err);
    if (rc)
        return rc;
    rc = rk_profiles_init (here, fresh.n + 1, fresh.n_layers);
    for (uint32_t i = 0; !rc && i < fresh.n; i++)
        if (self->view->n_members == 1 || rk_view_host_of (self->view, fresh.nodes[i].id))
            rc = rk_profiles_add (here, &fresh.nodes[i], fresh.n_layers, err);
    for (size_t i = 0; !rc && i < fresh.n_links; i++)
        rc = rk_profiles_link (here, &fresh.links[i], err);
    rk_profiles_clear (&fresh);
    return rc;
}

static void s_tell (rk_coordinator_t *self, uint64_t round, const rk_replan_out_t *out)
{
    rk_log (out->verdict == RK_REPLAN_MOVE ? RK_LOG_WARNING : RK_LOG_INFO, "REPLAN", "view=%llu round=%llu %s",
            (unsigned long long) self->view->number, (unsigned long long) round, out->text);
    rk_msg_t msg = {.kind = RK_MSG_REPLAN,
                    .replan = {.round = round, .verdict = (uint32_t) out->verdict, .running_score = out->running_score,
                               .new_score = out->new_score, .gain_ppm = out->gain_ppm, .move_bytes = out->move_bytes,
                               .move_ns = out->move_ns, .saved_ns = out->saved_ns, .text = out->text}};
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_send (self, RK_TO_OBSERVER, &msg, NULL, 0);
}

/* errors: as of rk_replan_decide. */
static rk_err_t s_decide (rk_coordinator_t *self, uint64_t round, rk_replan_out_t *out, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    const uint64_t left = plan->settings.run_passes * plan->minibatches_per_pass - rk_round_cursor (plan, round);
    rk_profiles_t here = {0};
    rk_fleet_t fleet;
    rk_err_t rc = rk_coordinator_own_model (self, err);
    if (!rc)
        rc = rk_coordinator_guess_profiles (self, err);
    if (!rc)
        rc = s_here (self, &here, err);
    if (!rc)
        rc = rk_profiles_fleet (&here, &fleet, err);
    const rk_replan_in_t in = {.running = plan, .fleet = &fleet, .model = &self->model, .settings = &plan->settings,
                               .view = self->view->number + 1, .kernels = plan->kernels,
                               .minibatches_left = left < plan->minibatches_per_pass ? left : plan->minibatches_per_pass,
                               .rounds_since = rk_watch_rounds_since (&self->replan.watch, round),
                               .least_rounds = rk_watch_least_rounds (&self->replan.watch)};
    if (!rc)
        rc = rk_replan_decide (&in, out, err);
    rk_profiles_clear (&here);
    return rc;
}

/* Replicas of a sparse graph differ, so each must find one to go on as. */
static bool s_keeps_replicas (const rk_plan_t *old, const rk_plan_t *fresh)
{
    return strcmp (old->settings.average_graph, "complete") == 0 || old->n_clusters == fresh->n_clusters;
}

static void s_think (rk_coordinator_t *self, const uint64_t *drift_ppm, uint64_t round)
{
    rk_coordinator_replan_t *r = &self->replan;
    rk_replan_out_t out = {.verdict = RK_REPLAN_STAY};
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = s_decide (self, round, &out, &err);
    if (!rc && out.verdict == RK_REPLAN_MOVE && !s_keeps_replicas (self->plan, out.plan))
        out.verdict = RK_REPLAN_STAY;
    if (rc)
        rk_log (RK_LOG_WARNING, "REPLAN", "view=%llu round=%llu the plan stays: no other can be made: %s",
                (unsigned long long) self->view->number, (unsigned long long) round, err.text);
    else
        s_tell (self, round, &out);
    rk_watch_thought (&r->watch, drift_ppm, 2 * self->plan->n_stages, out.verdict, rk_coordinator_now_ms ());
    if (!rc && out.verdict == RK_REPLAN_MOVE && !rk_coordinator_figures_keep (self, &err)) {
        r->moves = true;
        rk_lease_hold (self->leases, true);
    }
    rk_plan_destroy (&out.plan);
}

/* Of stages that take less than a tenth of the longest one nothing depends on what exactly they take. */
#define SMALL 10

static void s_drifts (const rk_coordinator_t *self, uint64_t *drift_ppm)
{
    uint64_t ns[RK_MAX_FLEET] = {0}, longest = 0, forward, backward;
    const uint32_t n = self->plan->n_stages;
    for (uint32_t s = 0; s < n; s++) {
        if (rk_observed_stage (self->replan.observed, s, &forward, &backward))
            ns[s] = forward + backward;
        longest = ns[s] > longest ? ns[s] : longest;
    }
    for (uint32_t s = 0; s < n; s++) {
        drift_ppm[s] = ns[s] && ns[s] < longest / SMALL ? 1000000 : rk_observed_drift_ppm (self->replan.observed, s, &self->profiles);
        drift_ppm[n + s] = rk_observed_link_drift_ppm (self->replan.observed, s, &self->profiles);
    }
}

void rk_coordinator_consider (rk_coordinator_t *self)
{
    rk_coordinator_replan_t *r = &self->replan;
    uint64_t drift_ppm[RK_WATCH_MOST];
    const uint64_t round = rk_lease_committed (self->leases);
    const uint32_t n = 2 * self->plan->n_stages;
    if (!r->observed || !self->membership || r->moves || n > RK_WATCH_MOST || rk_lease_done (self->leases))
        return;
    if (!self->profiles.n && (rk_coordinator_own_model (self, NULL) || rk_coordinator_guess_profiles (self, NULL)))
        return;
    s_drifts (self, drift_ppm);
    if (rk_watch_due (&r->watch, drift_ppm, n, round, rk_coordinator_now_ms ()))
        s_think (self, drift_ppm, round);
}

/* ---- changing */
void rk_coordinator_move (rk_coordinator_t *self)
{
    const char *why = rk_coordinator_wants_change (self);
    if (!why || self->state != RK_STATE_RUN || !self->leases || rk_lease_done (self->leases))
        return;
    rk_lease_hold (self->leases, true);
    if (!rk_lease_beyond (self->leases) && !self->save.under_way)
        rk_coordinator_want_view (self, why);
}
