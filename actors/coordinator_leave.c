/* SPDX-License-Identifier: MPL-2.0
 * Leaving in two steps: the others take over what this process has, then it goes.                         */
#include "actors/coordinator_self.h"

/* ---- who wants to go */
void rk_coordinator_ask_to_leave (rk_coordinator_t *self)
{
    if (!self->leave_by_ms || !self->membership || self->leaving)
        return;
    if (self->leads) { /* whoever led is gone, and this process is the next: nobody is asked any more */
        rk_coordinator_leave (self, RK_ECANCELED, "interrupted");
        return;
    }
    if (self->roster.list[self->process].steps & RK_STEP_LEAVING)
        return; /* the view knows */
    rk_log (RK_LOG_WARNING, "LEAVES", "process=%u others take over what it has, then it goes", self->process);
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = "it wants to leave"}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &stop, NULL, 0);
}

void rk_coordinator_leave_tick (rk_coordinator_t *self)
{
    if (self->leave_by_ms && !self->leaving && self->now_ms >= self->leave_by_ms)
        rk_coordinator_leave (self, RK_ECANCELED, "interrupted; nobody took over what it has in time");
}

/* ---- the leader */
bool rk_coordinator_is_leaving (const rk_coordinator_t *self, uint32_t process)
{
    return process < self->roster.n && (self->roster.list[process].steps & (RK_STEP_LEAVING | RK_STEP_LOST)) == RK_STEP_LEAVING;
}

/* A round has been committed without it: what it had is with others. */
bool rk_coordinator_has_given (const rk_coordinator_t *self, uint32_t process, uint64_t of_view)
{
    const rk_view_member_t *m = rk_view_find (self->view, process);
    return m && m->leaves && of_view == self->plan->view;
}

static bool s_others_can_host (const rk_coordinator_t *self, uint32_t process)
{
    for (uint32_t p = 0; p < self->roster.n; p++)
        if (p != process && self->roster.list[p].node != RK_ROSTER_NO_NODE && !(self->roster.list[p].steps & (RK_STEP_LOST | RK_STEP_LEAVING)))
            return true;
    return rk_coordinator_n_joining (self) > 0;
}

rk_err_t rk_coordinator_let_leave (rk_coordinator_t *self, uint32_t process, const rk_packet_t *packet, rk_error_t *err)
{
    char name[96];
    if (!self->membership || !rk_view_find (self->view, process))
        return rk_coordinator_drop_joiner (self, process, "it has left") ? RK_OK : rk_coordinator_refuse (packet, "it is no member", err);
    rk_roster_name (&self->roster, process, name, sizeof name);
    if (!s_others_can_host (self, process)) { /* the last one: the run ends as if its user had ended it */
        rk_log (RK_LOG_WARNING, "LEAVES", "%s wants to leave, and nobody else is there to train: the run is saved and ends", name);
        self->interrupted = true;
        if (self->kind == RK_RUN_TRAIN && (self->state == RK_STATE_RUN || self->state == RK_STATE_EVALUATE))
            rk_coordinator_save_and_end (self);
        return RK_OK;
    }
    if (!rk_coordinator_is_leaving (self, process))
        rk_log (RK_LOG_WARNING, "LEAVES", "%s wants to leave: others take over what it has", name);
    rk_roster_mark (&self->roster, process, RK_STEP_LEAVING);
    rk_coordinator_move (self);
    return RK_OK;
}

const char *rk_coordinator_wants_leave (const rk_coordinator_t *self)
{
    for (uint32_t i = 0; i < self->view->n_members; i++) {
        const rk_view_member_t *m = &self->view->members[i];
        if (m->leaves && self->moved)
            return "a node has given what it had, and goes";
        if (!m->leaves && rk_coordinator_is_leaving (self, m->id))
            return "a node leaves";
    }
    return NULL;
}
