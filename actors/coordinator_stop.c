/* SPDX-License-Identifier: MPL-2.0
 * STOPPING and ENDED: every way a run comes to its end, with the reason told to everybody.                */
#include "actors/coordinator_self.h"

#include <stdarg.h>

static rk_msg_t s_stop (rk_coordinator_t *self)
{
    const uint32_t code = self->end_code == RK_OK ? RK_STOP_DONE : self->unsaved ? RK_STOP_UNSAVED : RK_STOP_FAILED;
    return (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = code, .reason = self->end_text}};
}

void rk_coordinator_tell_stop (rk_coordinator_t *self, uint32_t address)
{
    rk_msg_t stop = s_stop (self);
    rk_coordinator_send (self, address, &stop, NULL, 0);
}

/* ---- the last step */
static void s_finish (rk_coordinator_t *self)
{
    if (rk_coordinator_find (self, rk_address (RK_ACTOR_CHECKPOINTER, RK_FIRST)))
        rk_coordinator_tell_stop (self, rk_address (RK_ACTOR_CHECKPOINTER, RK_FIRST));
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_tell_stop (self, RK_TO_OBSERVER);
    if (!self->leads) {
        rk_msg_t stopped = {.kind = RK_MSG_STOPPED};
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &stopped, NULL, 0);
    }
    rk_coordinator_enter (self, RK_STATE_ENDED);
    rk_loop_say (self->loop, self->rejoins ? (self->apart ? "LATER" : "REJOIN") : self->end_code == RK_OK ? "DONE" : "FAILED", self->end_code, self->end_text);
}

/* Stages answer Stop with Stopped, after their last report; nobody else does. */
static rk_known_t *s_running_stage (rk_coordinator_t *self)
{
    for (size_t i = 0; i < self->n_known; i++)
        if (rk_address_kind (self->known[i].address) == RK_ACTOR_STAGE && !self->known[i].stopped)
            return &self->known[i];
    return NULL;
}

void rk_coordinator_check_stopped (rk_coordinator_t *self)
{
    if (self->state != RK_STATE_STOPPING || s_running_stage (self))
        return;
    rk_roster_mark (&self->roster, self->process, RK_STEP_STOPPED);
    if (!self->leads || self->left || rk_roster_all (&self->roster, RK_STEP_STOPPED))
        s_finish (self);
}

static void s_send_stop (rk_coordinator_t *self)
{
    rk_msg_t stop = s_stop (self);
    for (size_t i = 0; i < self->n_known; i++) {
        rk_actor_kind_t kind = rk_address_kind (self->known[i].address);
        if (kind != RK_ACTOR_COORDINATOR && kind != RK_ACTOR_CHECKPOINTER && kind != RK_ACTOR_PROFILER)
            rk_coordinator_tell_stop (self, self->known[i].address);
    }
    if (self->leads && !self->left) /* of a run that goes on without this process it is not the end */
        rk_coordinator_to_others (self, &stop, NULL, 0);
    if (self->leads && !self->left)
        rk_coordinator_to_joiners (self, &stop, NULL, 0);
}

void rk_coordinator_end (rk_coordinator_t *self, rk_err_t code, const char *fmt, ...)
{
    if (self->state >= RK_STATE_STOPPING)
        return;
    va_list args;
    va_start (args, fmt);
    vsnprintf (self->end_text, sizeof self->end_text, fmt, args);
    va_end (args);
    self->end_code = code;
    rk_coordinator_enter (self, RK_STATE_STOPPING);
    s_send_stop (self);
    rk_coordinator_check_stopped (self);
}

/* ---- what makes a run end early */
void rk_coordinator_lost (rk_coordinator_t *self, uint32_t process, const char *why)
{
    char name[96] = "the leading process";
    if (rk_coordinator_drop_joiner (self, process, why))
        return;
    if (!self->leads && self->under_way && !self->view && self->state < RK_STATE_STOPPING) /* others are there */
        self->rejoins = true;
    rk_member_leave (self->member, process);
    if (self->leads) {
        rk_roster_name (&self->roster, process, name, sizeof name);
        rk_roster_mark (&self->roster, process, RK_STEP_LOST);
    }
    rk_coordinator_end (self, RK_EPEER, "%s is lost: %s", name, why);
    rk_coordinator_check_stopped (self);
}

void rk_coordinator_missing (rk_coordinator_t *self, char *text, size_t size)
{
    static const unsigned step[RK_N_STATES] = {
        [RK_STATE_PROFILE] = RK_STEP_PROFILED, [RK_STATE_STOPPING] = RK_STEP_STOPPED};
    rk_known_t *stage = s_running_stage (self);
    if (self->leads && self->state == RK_STATE_WIRING)
        rk_roster_missing (&self->roster,
                           rk_roster_all (&self->roster, RK_STEP_WIRED) ? RK_STEP_READY : RK_STEP_WIRED, text, size);
    else if (self->state == RK_STATE_STOPPING && stage)
        snprintf (text, size, "the stage on node %u", rk_address_node (stage->address));
    else if (self->state == RK_STATE_PROFILE && self->links.probing)
        snprintf (text, size, "the measuring of links");
    else if (self->leads && step[self->state])
        rk_roster_missing (&self->roster, step[self->state], text, size);
    else if (self->leads && self->state == RK_STATE_RUN && self->next_close > rk_lease_committed (self->leases)) {
        const uint64_t round = rk_lease_committed (self->leases);
        const uint32_t late = rk_lease_unapplied (self->leases, round);
        int n = snprintf (text, size, "the averaging of round %llu", (unsigned long long) round);
        if (late < self->plan->n_stages)
            snprintf (text + n, size - (size_t) n, ": node %u has not applied it", self->plan->stages[late].node);
    }
    else if (self->leads && self->state == RK_STATE_RUN)
        snprintf (text, size, "minibatches of round %llu", (unsigned long long) self->next_close);
    else if (self->leads && self->state == RK_STATE_EVALUATE)
        snprintf (text, size, "minibatch %llu", (unsigned long long) rk_panel_waiting (&self->panel));
    else if (self->leads && self->state == RK_STATE_SAVE)
        snprintf (text, size, "the checkpoint of round %llu", (unsigned long long) rk_lease_committed (self->leases));
    else
        snprintf (text, size, "%s", self->join[0] ? self->join : "this process");
}

const char *rk_coordinator_doing (const rk_coordinator_t *self)
{
    static const char *const doing[RK_N_STATES] = {"joining",    "profiling", "wiring the plan", "training",
                                                   "evaluating", "saving",    "going on",        "stopping", "has ended"};
    return doing[self->state];
}

void rk_coordinator_late (rk_coordinator_t *self)
{
    char missing[256];
    rk_coordinator_missing (self, missing, sizeof missing);
    long long waited = (long long) rk_patience_limit_ms (&self->patience);
    if (self->state != RK_STATE_STOPPING) {
        rk_coordinator_end (self, RK_ETIMEDOUT, "%s: waited %lld ms for %s", rk_coordinator_doing (self), waited, missing);
        return;
    }
    if (self->end_code == RK_OK) {
        self->end_code = RK_ETIMEDOUT;
        snprintf (self->end_text, sizeof self->end_text, "stopping: waited %lld ms for %.180s", waited, missing);
    }
    rk_log (RK_LOG_WARNING, "NOT-STOPPED", "waited_ms=%lld for=%s", waited, missing);
    s_finish (self);
}

/* An actor that failed will not say Stopped any more. */
static void s_count_out (rk_coordinator_t *self, uint32_t node)
{
    for (size_t i = 0; i < self->n_known; i++)
        if (rk_address_kind (self->known[i].address) == RK_ACTOR_STAGE &&
            rk_address_node (self->known[i].address) == node)
            self->known[i].stopped = true;
}

/* ---- what does not end a run: others go on */
void rk_coordinator_leave (rk_coordinator_t *self, rk_err_t code, const char *why)
{
    self->leaving = true;
    self->end_code = code;
    snprintf (self->end_text, sizeof self->end_text, "%s", why);
    rk_log (RK_LOG_WARNING, "LEAVING", "process=%u %s", self->process, why);
    rk_msg_t stopped = {.kind = RK_MSG_STOPPED};
    rk_coordinator_to_others (self, &stopped, NULL, 0);
    rk_membership_leaving (self->membership, self->process, rk_coordinator_now_ms ());
    rk_coordinator_drive (self);
}

/* A heartbeat is overdue: this process was not running, and it heard nobody for that reason. */
static bool s_has_slept (const rk_coordinator_t *self, int64_t now_ms)
{
    return now_ms >= self->next_beat_ms + RK_HEARTBEAT_MS;
}

/* The leader is heard, and some other member has not been for a while: that is why. */
static bool s_is_apart (const rk_coordinator_t *self, char *text, size_t size)
{
    const int64_t now_ms = rk_coordinator_now_ms ();
    int64_t longest_ms = 0;
    uint32_t id = self->process;
    uint8_t key[RK_KEY_BYTES];
    bool has_key;
    rk_error_t unused;
    for (uint32_t i = 0; self->view && self->membership && i < self->view->n_members; i++) {
        const uint32_t other = self->view->members[i].id;
        const int64_t silent_ms = other == self->process || rk_membership_is_dead (self->membership, other)
                                      ? 0 : rk_membership_silent_ms (self->membership, other, now_ms);
        id = silent_ms > longest_ms ? other : id;
        longest_ms = silent_ms > longest_ms ? silent_ms : longest_ms;
    }
    if (id == self->process || s_has_slept (self, now_ms) || longest_ms < RK_MEMBER_LEAST_MS / 2 ||
        rk_membership_silent_ms (self->membership, self->leader, now_ms) > longest_ms / 2)
        return false;
    const rk_view_member_t *m = rk_view_find (self->view, id);
    char name[96], plain[RK_VIEW_CONTROL] = "";
    rk_view_name (self->view, id, name, sizeof name);
    if (m && rk_endpoint_split (m->control, plain, sizeof plain, key, &has_key, &unused))
        plain[0] = '\0';
    snprintf (text, size, "the others have gone on without it: it does not hear %.60s at %.40s; open tcp between these two machines, or start both with --reach relay",
              name, plain);
    return true;
}

void rk_coordinator_left_out (rk_coordinator_t *self, const rk_view_t *view)
{
    if (!self->leaving && self->leave_by_ms) { /* as it wished */
        self->leaving = true;
        self->end_code = RK_ECANCELED;
        snprintf (self->end_text, sizeof self->end_text, "interrupted; its state is with others");
    }
    if (!self->leaving)
        rk_coordinator_note_elsewhere (self, view);
    char why[sizeof self->end_text];
    memcpy (why, self->end_text, sizeof why);
    self->left = true;
    self->rejoins = !self->leaving;
    if (self->leaving)
        rk_coordinator_end (self, self->end_code, "%s", why);
    else if ((self->apart = s_is_apart (self, why, sizeof why)))
        rk_coordinator_end (self, RK_EPEER, "%s", why);
    else
        rk_coordinator_end (self, RK_EPEER, "the others have gone on without this process");
}

rk_err_t rk_coordinator_on_failed (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind != RK_FROM_LOCAL && origin.kind != RK_FROM_PROCESS)
        return rk_coordinator_refuse (packet, "it is no member", err);
    if (origin.kind == RK_FROM_PROCESS && rk_coordinator_drop_joiner (self, origin.process, packet->msg.failed.text))
        return RK_OK;
    const rk_failed_t *failed = &packet->msg.failed;
    if (origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_PROFILER)
        return RK_OK; /* its parent starts it again, or says that it has failed too often */
    /* The parent knows that the actor's thread has ended; an actor that says so itself may live on. */
    if (origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE)
        s_count_out (self, failed->node);
    if (rk_coordinator_survives (self, origin, packet))
        return RK_OK;
    if (!self->leads) /* the leader answers with Stop to everybody */
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &packet->msg, NULL, 0);
    else if (origin.kind == RK_FROM_PROCESS) {
        char name[96];
        rk_roster_name (&self->roster, origin.process, name, sizeof name);
        rk_coordinator_end (self, RK_EPEER, "%s failed: %s", name, failed->text);
    } else
        rk_coordinator_end (self, RK_EPEER, "node %u failed: %s", failed->node, failed->text);
    rk_coordinator_check_stopped (self);
    return RK_OK;
}

/* ---- Stop and Stopped */
#define LEAVE_MS 30000 /* for others to take over what it has, before it goes all the same */

static void s_interrupt (rk_coordinator_t *self)
{
    if (!self->leads && self->membership && self->state < RK_STATE_STOPPING && !self->leave_by_ms) {
        self->leave_by_ms = rk_coordinator_now_ms () + LEAVE_MS;
        rk_coordinator_ask_to_leave (self);
        return;
    }
    self->interrupted = true;
    if (!self->leads && self->membership && self->state < RK_STATE_STOPPING) {
        rk_coordinator_leave (self, RK_ECANCELED, "interrupted");
    } else if (self->leads && self->membership && self->view->number > 1 && (self->state == RK_STATE_VIEW || self->state == RK_STATE_WIRING)) {
        rk_log (RK_LOG_WARNING, "INTERRUPTED", "the run ends when its next view has begun");
    } else if (!self->leads) {
        rk_msg_t failed = {.kind = RK_MSG_FAILED, .failed = {.text = "interrupted by its user"}};
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &failed, NULL, 0);
        rk_coordinator_end (self, RK_ECANCELED, "interrupted");
    } else if (self->kind == RK_RUN_TRAIN && (self->state == RK_STATE_RUN || self->state == RK_STATE_EVALUATE))
        rk_coordinator_save_and_end (self);
    else if (self->state != RK_STATE_SAVE)
        rk_coordinator_end (self, RK_ECANCELED, "interrupted");
}

rk_err_t rk_coordinator_on_stop (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    const rk_stop_t *stop = &packet->msg.stop;
    if (origin.kind == RK_FROM_LEADER)
        rk_coordinator_end (self, stop->code ? RK_EPEER : RK_OK, "%s", stop->reason);
    else if (origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE)
        s_interrupt (self);
    else if (origin.kind == RK_FROM_PROCESS && self->leads)
        return rk_coordinator_let_leave (self, origin.process, packet, err);
    else
        return rk_coordinator_refuse (packet, "only the leader and the parent may stop a run", err);
    return RK_OK;
}

rk_err_t rk_coordinator_on_stopped (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE)
        rk_coordinator_retired (self);
    else if (origin.kind == RK_FROM_LOCAL)
        origin.known->stopped = true;
    else if (origin.kind == RK_FROM_PROCESS && rk_coordinator_drop_joiner (self, origin.process, "it has left"))
        return RK_OK;
    else if (origin.kind == RK_FROM_PROCESS || (origin.kind == RK_FROM_LEADER && self->membership)) {
        if (self->membership && self->state < RK_STATE_STOPPING) {
            rk_membership_leaving (self->membership, origin.process, rk_coordinator_now_ms ());
            rk_coordinator_drive (self);
            return RK_OK;
        }
        rk_roster_mark (&self->roster, origin.process, RK_STEP_STOPPED);
        rk_member_leave (self->member, origin.process);
        if (self->state < RK_STATE_STOPPING) {
            char name[96];
            rk_roster_name (&self->roster, origin.process, name, sizeof name);
            rk_coordinator_end (self, RK_EPEER, "%s left the run", name);
        }
    } else
        return rk_coordinator_refuse (packet, "it is no member", err);
    rk_coordinator_check_stopped (self);
    return RK_OK;
}
