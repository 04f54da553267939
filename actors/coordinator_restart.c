/* SPDX-License-Identifier: MPL-2.0
 * Supervision: an actor of a plan that fails is built again, in a new view of the same members and with the same plan, after
 * a pause that doubles (cluster/restart.h). A process where one fails again and again, or that cannot build what a plan
 * wants of it, leaves the run and says why; one that is alone ends it. What would fail again (a number that is none, with
 * train.nonfinite = stop) ends the run everywhere.                                                       */
#include "actors/coordinator_self.h"

static bool s_is_of_plan (uint32_t actor)
{
    const rk_actor_kind_t kind = rk_address_kind (actor);
    return !actor || kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER ||
           kind == RK_ACTOR_KEEPER || kind == RK_ACTOR_NODE; /* a parent that could not build one */
}

static bool s_may_restart (rk_coordinator_t *self, int64_t *at_ms)
{
    const rk_settings_t *s = &self->plan->settings;
    rk_restart_t *r = &self->restart;
    if (!r->random)
        r->random = self->token + self->process + 1;
    r->most = s->net_restarts;
    r->first_ms = s->net_restart_ms;
    r->forget_ms = (int64_t) s->net_restart_forget * 1000;
    return rk_restart_failed (r, rk_coordinator_now_ms (), at_ms);
}

/* One of this process. */
static bool s_own_failure (rk_coordinator_t *self, const rk_failed_t *failed)
{
    char why[256];
    int64_t at_ms;
    const bool alone = self->view->n_members == 1;
    if (self->restart_ms) /* what fails because of the first one, or the same told by its parent */
        return true;
    if (!s_is_of_plan (failed->actor)) {
        if (!alone)
            rk_coordinator_leave (self, RK_EPEER, failed->text);
        return !alone;
    }
    if (s_may_restart (self, &at_ms)) {
        self->restart_ms = at_ms;
        snprintf (self->restart_why, sizeof self->restart_why, "%.199s", failed->text);
        rk_log (RK_LOG_WARNING, "FAILED", "process=%u failures=%u restart_in_ms=%lld %s", self->process, self->restart.n,
                (long long) (at_ms - rk_coordinator_now_ms ()), self->restart_why);
        return true;
    }
    if (alone)
        return false;
    snprintf (why, sizeof why, "an actor failed %u times (net.restarts): %.180s", self->restart.n + 1, failed->text);
    rk_coordinator_leave (self, RK_EPEER, why);
    return true;
}

bool rk_coordinator_survives (rk_coordinator_t *self, rk_origin_t origin, const rk_packet_t *packet)
{
    const rk_failed_t *failed = &packet->msg.failed;
    const bool alone = self->view && self->view->n_members == 1 && self->settings.net_on_loss == RK_LOSS_CONTINUE;
    if ((!self->membership && !alone) || failed->final || self->kind != RK_RUN_TRAIN || self->state >= RK_STATE_STOPPING ||
        self->state < RK_STATE_WIRING || self->leaving)
        return false;
    if (self->state == RK_STATE_WIRING && self->view->number == 1)
        return false;
    if (self->state == RK_STATE_VIEW || (packet->msg.view && packet->msg.view != self->view->number))
        return true;
    if (origin.kind == RK_FROM_LOCAL)
        return s_own_failure (self, failed);
    char name[96], why[320];
    rk_roster_name (&self->roster, origin.process, name, sizeof name);
    snprintf (why, sizeof why, "%s failed: %.200s", name, failed->text);
    rk_coordinator_want_view (self, why);
    return true;
}

/* The pause is over. */
static void s_restart (rk_coordinator_t *self)
{
    rk_error_t err = {RK_OK, ""};
    self->restart_ms = INT64_MAX;
    if (!self->leads) {
        rk_msg_t msg = {.kind = RK_MSG_FAILED, .failed = {.text = self->restart_why}};
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &msg, NULL, 0);
    } else if (rk_coordinator_watch_alone (self, &err))
        rk_coordinator_end (self, RK_ENOMEM, "%s", err.text);
    else
        rk_coordinator_want_view (self, self->restart_why);
}

int64_t rk_coordinator_restart_tick (rk_coordinator_t *self)
{
    if (!self->restart_ms || self->restart_ms == INT64_MAX || self->state == RK_STATE_VIEW || self->state >= RK_STATE_STOPPING)
        return INT64_MAX;
    if (self->now_ms < self->restart_ms)
        return self->restart_ms;
    s_restart (self);
    return self->now_ms;
}
