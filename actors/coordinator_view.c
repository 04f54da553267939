/* SPDX-License-Identifier: MPL-2.0
 * VIEW: how one view becomes the next. cluster/membership decides; here it gets to hear what happens, its messages
 * travel, and what it asks for is done: the actors of the plan end, the standing is told, the next view is
 * proposed and installed.                                                                                 */
#include "actors/coordinator_self.h"

#include "actors/host.h"

#define LINE_EVERY_MS 5000
#define DIAL_EVERY_MS 2000 /* while parked */

/* ---- messages */
static rk_agreement_t s_body (rk_coordinator_t *self, const rk_agree_msg_t *m)
{
    for (uint32_t i = 0; i < m->n_dead; i++)
        self->dead[i] = m->dead[i];
    const bool has_value = (m->kind == RK_AGREE_PAXOS ? m->paxos.value : m->value) != NULL;
    return (rk_agreement_t){.kind = (uint32_t) m->kind, .about = m->view, .ahead = m->ahead, .paxos = (uint32_t) m->paxos.kind,
                            .ballot = m->paxos.ballot.attempt, .ballot_node = m->paxos.ballot.node,
                            .accepted = m->paxos.accepted.attempt, .accepted_node = m->paxos.accepted.node,
                            .has_value = has_value, .n_dead = m->n_dead, .dead = self->dead};
}

static void s_send (rk_coordinator_t *self, uint32_t to, const rk_agree_msg_t *m)
{
    rk_msg_t msg = {.kind = RK_MSG_AGREEMENT, .agreement = s_body (self, m)};
    const bool paxos = m->kind == RK_AGREE_PAXOS;
    rk_frame_t frame = {.bytes = paxos ? m->paxos.value : m->value, .size = paxos ? m->paxos.size : m->size};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, to), &msg, &frame, msg.agreement.has_value);
}

static void s_flush (rk_coordinator_t *self)
{
    uint32_t to;
    rk_agree_msg_t m;
    while (self->membership && rk_membership_outgoing (self->membership, &to, &m))
        s_send (self, to, &m);
}

/* The first view comes from the leader that one has joined; later ones are the members' own decision. */
static bool s_is_first_view (const rk_coordinator_t *self, const rk_agreement_t *a)
{
    return !self->view && a->kind == RK_AGREE_PAXOS && a->paxos == RK_PAXOS_DECIDED && a->has_value;
}

rk_err_t rk_coordinator_on_agreement (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_agreement_t *a = &packet->msg.agreement;
    const rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind != RK_FROM_PROCESS && origin.kind != RK_FROM_LEADER)
        return rk_coordinator_refuse (packet, "it is no member", err);
    const uint8_t *value = a->has_value ? zmq_msg_data (&packet->frame[0]) : NULL;
    const size_t size = a->has_value ? zmq_msg_size (&packet->frame[0]) : 0;
    if (s_is_first_view (self, a) && origin.kind == RK_FROM_LEADER && self->state == RK_STATE_PROFILE)
        return rk_coordinator_install (self, value, size, err);
    if (!self->membership || self->state >= RK_STATE_STOPPING)
        return RK_OK;
    uint32_t *dead = (uint32_t *) (void *) self->dead;
    if (a->n_dead > self->view->n_members)
        return rk_coordinator_refuse (packet, "more dead than members", err);
    for (size_t i = 0; i < a->n_dead; i++)
        dead[i] = (uint32_t) a->dead[i];
    const rk_agree_msg_t m = {.kind = (rk_agree_kind_t) a->kind, .view = a->about, .ahead = a->ahead, .value = value, .size = size,
                              .dead = dead, .n_dead = (uint32_t) a->n_dead,
                              .paxos = {.kind = (rk_paxos_kind_t) a->paxos, .view = a->about, .ballot = {a->ballot, a->ballot_node},
                                        .accepted = {a->accepted, a->accepted_node}, .value = value, .size = size}};
    rk_err_t rc = rk_membership_receive (self->membership, origin.process, &m, rk_coordinator_now_ms (), err);
    rk_coordinator_drive (self);
    return rc == RK_ESTALE ? RK_OK : rc; /* an old view's words are to be expected while views change */
}

/* ---- stopping in this view */
#define MOST_RELAYS 16

/* Who could relay for this process from now on. */
static void s_retire (rk_coordinator_t *self)
{
    rk_endpoint_t relays[MOST_RELAYS];
    rk_msg_t retire = {.kind = RK_MSG_RETIRE, .retire = {0, relays}};
    const int64_t now_ms = rk_coordinator_now_ms ();
    for (uint32_t i = 0; i < self->view->n_members && retire.retire.n < MOST_RELAYS; i++) {
        const rk_view_member_t *m = &self->view->members[i];
        if (m->id != self->process && m->relay[0] && !m->leaves && rk_membership_is_alive (self->membership, m->id, now_ms))
            relays[retire.retire.n++] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, m->id), m->relay};
    }
    rk_coordinator_to_parent (self, &retire, NULL, 0);
}

static void s_stop (rk_coordinator_t *self)
{
    if (self->retiring)
        return;
    char why[256];
    rk_membership_explain (self->membership, rk_coordinator_now_ms (), why, sizeof why);
    rk_log (RK_LOG_INFO, "VIEW-ENDS", "view=%llu committed=%llu %s", (unsigned long long) self->view->number,
            (unsigned long long) self->n_committed, why);
    self->retiring = true;
    rk_coordinator_enter (self, RK_STATE_VIEW);
    s_retire (self);
}

/* Ids that were granted and not committed: they are granted again. A follower knows those of its own clusters and of rounds
 * that closed; ids are granted in ascending order, so the highest bounds how many there are.               */
static uint64_t s_beyond (const rk_coordinator_t *self)
{
    if (self->leases)
        return rk_lease_beyond (self->leases);
    const uint64_t committed = self->plan ? rk_round_cursor (self->plan, self->n_committed) : UINT64_MAX;
    return self->issued > committed ? self->issued - committed : 0;
}

void rk_coordinator_retired (rk_coordinator_t *self)
{
    if (!self->retiring)
        return;
    self->retiring = false;
    rk_coordinator_forget_plan (self);
    const uint64_t of_view = self->moved ? self->plan->view : self->base ? self->base->view : 0;
    const uint64_t words[] = {self->n_committed, of_view, self->n_evaluated, self->redone + s_beyond (self)};
    uint8_t bytes[RK_STANDING_BYTES + RK_VIEW_CONTROL];
    for (size_t i = 0; i < RK_STANDING_BYTES; i++)
        bytes[i] = (uint8_t) (words[i / 8] >> (8 * (i % 8)));
    rk_loop_hear (self->loop); /* it may have been told that it has moved */
    const char *control = rk_loop_endpoint (self->loop);
    const size_t n_control = strnlen (control, RK_VIEW_CONTROL - 1);
    memcpy (bytes + RK_STANDING_BYTES, control, n_control);
    if (self->membership && rk_membership_standing (self->membership, bytes, RK_STANDING_BYTES + n_control, rk_coordinator_now_ms ()))
        rk_coordinator_end (self, RK_ENOMEM, "no memory for a standing");
    rk_coordinator_drive (self);
}

/* ---- the next one */
static void s_propose (rk_coordinator_t *self)
{
    rk_error_t err = {RK_OK, ""};
    uint8_t *bytes = NULL;
    size_t size = 0;
    rk_err_t rc = rk_coordinator_next_view (self, &bytes, &size, &err);
    if (!rc && self->n_joiners) /* before anybody dials */
        rk_coordinator_tell_keys (self);
    if (!rc && (self->replan.changed || self->n_joiners)) { /* everybody plans again with the same figures */
        rk_coordinator_send_table (self, true);
        self->replan.changed = false;
    }
    if (!rc)
        rc = rk_membership_propose (self->membership, bytes, size, rk_coordinator_now_ms ());
    free (bytes);
    if (rc)
        rk_coordinator_end (self, rc, "those who are left cannot go on: %s", err.text[0] ? err.text : rk_strerror (rc));
}

static void s_install_decided (rk_coordinator_t *self)
{
    size_t size;
    rk_error_t err = {RK_OK, ""};
    const uint8_t *decided = rk_membership_decided (self->membership, &size);
    uint8_t *bytes = malloc (size);
    rk_err_t rc = bytes ? RK_OK : RK_ENOMEM;
    if (bytes) {
        memcpy (bytes, decided, size);
        rc = rk_coordinator_install (self, bytes, size, &err);
    }
    free (bytes);
    if (rc)
        rk_coordinator_end (self, rc, "the next view: %s", err.text[0] ? err.text : rk_strerror (rc));
}

/* Says once why nothing runs, and that it goes on. */
static void s_say_parked (rk_coordinator_t *self)
{
    char text[sizeof self->parked] = "";
    if (rk_membership_state (self->membership) == RK_MEMBERSHIP_PARKED)
        rk_membership_explain (self->membership, self->now_ms, text, sizeof text);
    if (text[0] && (!self->parked[0] || self->now_ms >= self->next_line_ms)) {
        rk_log (RK_LOG_WARNING, "PARKED", "view=%llu %s", (unsigned long long) self->view->number, text);
        self->next_line_ms = self->now_ms + LINE_EVERY_MS;
    }
    memcpy (self->parked, text, sizeof text);
}

void rk_coordinator_drive (rk_coordinator_t *self)
{
    for (bool again = true; again && self->membership && self->state < RK_STATE_STOPPING;) {
        const rk_membership_state_t state = rk_membership_state (self->membership);
        again = false;
        if (rk_membership_must_stop (self->membership))
            s_stop (self);
        if (state == RK_MEMBERSHIP_PROPOSE && !rk_coordinator_waits_for_state (self)) {
            s_propose (self);
            again = true;
        }
        s_flush (self);
        if (state == RK_MEMBERSHIP_DECIDED) {
            s_install_decided (self);
            again = true;
        } else if (state == RK_MEMBERSHIP_LEFT)
            rk_coordinator_left_out (self, self->view);
    }
}

/* ---- the clock */
static void s_look_at_host (rk_coordinator_t *self)
{
    const rk_view_member_t *own = rk_view_find (self->view, self->process);
    for (uint32_t i = 0; i < self->view->n_members; i++) {
        const rk_view_member_t *m = &self->view->members[i];
        if (m != own && m->host == own->host && rk_host_process_gone (m->pid))
            rk_membership_dead (self->membership, m->id, self->now_ms);
    }
}

/* Parked: others may have gone on without this process, and have hung up. It calls them, and is told. */
static void s_dial_silent (rk_coordinator_t *self)
{
    rk_error_t err = {RK_OK, ""};
    if (rk_membership_state (self->membership) != RK_MEMBERSHIP_PARKED || self->now_ms < self->next_dial_ms)
        return;
    self->next_dial_ms = self->now_ms + DIAL_EVERY_MS;
    for (uint32_t i = 0; i < self->view->n_members; i++) {
        const rk_view_member_t *m = &self->view->members[i];
        if (m->id != self->process && !rk_membership_is_dead (self->membership, m->id) &&
            !rk_membership_is_alive (self->membership, m->id, self->now_ms) &&
            rk_loop_connect (self->loop, rk_address (RK_ACTOR_COORDINATOR, m->id), m->control, &err))
            rk_log (RK_LOG_DEBUG, "UNSENT", "%s", err.text);
    }
}

void rk_coordinator_view_tick (rk_coordinator_t *self)
{
    if (self->now_ms >= self->next_beat_ms) {
        s_look_at_host (self);
        s_dial_silent (self);
        rk_coordinator_joiners_tick (self);
        rk_coordinator_leave_tick (self);
        rk_coordinator_move (self); /* a joiner may have waited long enough for others */
    }
    rk_membership_tick (self->membership, self->now_ms);
    rk_coordinator_question_tick (self);
    rk_coordinator_drive (self);
    if (self->membership)
        s_say_parked (self);
}

void rk_coordinator_want_view (rk_coordinator_t *self, const char *why)
{
    if (!self->membership || self->state >= RK_STATE_STOPPING)
        return;
    rk_log (RK_LOG_INFO, "VIEW-WANTED", "view=%llu %s", (unsigned long long) self->view->number, why);
    snprintf (self->reason, sizeof self->reason, "%s", why);
    self->reason_given = true;
    rk_membership_want (self->membership, rk_coordinator_now_ms ());
    rk_coordinator_drive (self);
}
