/* SPDX-License-Identifier: MPL-2.0
 * What rookery status is told, by any member, at any time: what this process knows, what its actors wait for (they are asked,
 * and one that does not answer computes), and the same of the others (their coordinators are asked; one that does not
 * answer is named, with the silence that was heard of it). One inquiry at a time; whoever asks meanwhile gets its result. */
#include "actors/coordinator_self.h"

#define ASKERS 16
#define ACTORS_MS 250 /* for actors of this process: they answer between two kernels */
#define OTHERS_MS 1000 /* for other members */
#define GUEST 0xff0000 /* strangers that have asked are learned under these numbers */

typedef struct {
    rk_status_member_t m; /* texts are those below */
    char name[32], control[256], state[32], waits_for[512];
    bool asked, answered;
} s_member_t;

struct rk_coordinator_status {
    bool on, own_done;    /* an inquiry is under way; what this process says is complete */
    bool asks_others, again;
    uint64_t view;        /* when it began */
    int64_t began_ms;
    size_t n_actors;      /* asked and not heard yet */
    struct {
        uint32_t address;
        bool guest, alone;
    } askers[ASKERS];
    size_t n_askers;
    s_member_t *members;
    size_t n_members;
    rk_waits_t *waits;
    size_t n_waits, n_own, waits_capacity; /* the first n_own are of this process */
};

/* ---- figures */
void rk_coordinator_count_commit (rk_coordinator_t *self)
{
    const size_t at = self->n_commits++ % RK_COMMITS;
    self->commits[at].ms = rk_coordinator_now_ms ();
    self->commits[at].f = rk_round_cursor (self->plan, self->n_committed);
}

static uint64_t s_milli_rate (const rk_coordinator_t *self)
{
    if (self->n_commits < 2)
        return 0;
    const size_t last = (self->n_commits - 1) % RK_COMMITS;
    const size_t first = self->n_commits > RK_COMMITS ? self->n_commits % RK_COMMITS : 0;
    const int64_t ms = rk_coordinator_now_ms () - self->commits[first].ms;
    return ms > 0 ? (self->commits[last].f - self->commits[first].f) * self->plan->settings.train_batch * 1000000 / (uint64_t) ms : 0;
}

static size_t s_why (const rk_coordinator_t *self, uint32_t id, int64_t now_ms, char *text, size_t size)
{
    char name[96];
    rk_view_name (self->view, id, name, sizeof name);
    int n;
    uint32_t from;
    if (rk_membership_is_cut (self->membership, id, &from)) {
        char other[96];
        rk_view_name (self->view, from, other, sizeof other);
        n = snprintf (text, size, "%s and %s did not hear one another", name, other);
    } else if (rk_membership_is_dead (self->membership, id))
        n = snprintf (text, size, "%s has ended", name);
    else if (rk_membership_is_alive (self->membership, id, now_ms))
        n = snprintf (text, size, "%s has left", name);
    else if (rk_membership_is_refused (self->membership, id))
        n = snprintf (text, size, "%s hung up, and nobody listens there", name);
    else
        n = snprintf (text, size, "%s was silent for %lld ms", name, (long long) rk_membership_silent_ms (self->membership, id, now_ms));
    return n > 0 && (size_t) n < size ? (size_t) n : 0;
}

void rk_coordinator_note_reason (rk_coordinator_t *self, const rk_view_t *next)
{
    const int64_t now_ms = rk_coordinator_now_ms ();
    char text[sizeof self->reason] = "";
    size_t n = 0;
    self->n_commits = 0;
    if (!self->view || !self->membership)
        return;
    for (uint32_t i = 0; i < self->view->n_members && n + 3 < sizeof text; i++)
        if (!rk_view_find (next, self->view->members[i].id)) {
            if (n)
                n += (size_t) snprintf (text + n, sizeof text - n, "; ");
            n += s_why (self, self->view->members[i].id, now_ms, text + n, sizeof text - n);
        }
    for (uint32_t i = 0; i < next->n_members && n + 3 < sizeof text; i++)
        if (!rk_view_find (self->view, next->members[i].id)) {
            char name[96];
            rk_view_name (next, next->members[i].id, name, sizeof name);
            const int more = snprintf (text + n, sizeof text - n, "%s%s has joined", n ? "; " : "", name);
            n += (size_t) more < sizeof text - n ? (size_t) more : 0;
        }
    if (n)
        snprintf (self->reason, sizeof self->reason, "%s", text);
    else if (!self->reason_given)
        snprintf (self->reason, sizeof self->reason, "with the same members, as the leader wished");
    self->reason_given = false;
    self->reason_ms = now_ms;
}

/* ---- what is told of members */
static s_member_t *s_find (rk_coordinator_status_t *st, uint32_t member)
{
    for (size_t i = 0; i < st->n_members; i++)
        if (st->members[i].m.member == member)
            return &st->members[i];
    return NULL;
}

static s_member_t *s_add (rk_coordinator_status_t *st, uint32_t member, uint32_t node, uint32_t pid, const char *name, const char *control)
{
    s_member_t *more = realloc (st->members, (st->n_members + 1) * sizeof *more);
    if (!more)
        return NULL;
    st->members = more;
    s_member_t *m = &more[st->n_members++];
    *m = (s_member_t){.m = {.member = member, .node = node, .pid = pid, .cluster = UINT32_MAX, .stage = UINT32_MAX}};
    snprintf (m->name, sizeof m->name, "%s", name);
    snprintf (m->control, sizeof m->control, "%s", control);
    return m;
}

static void s_add_members (rk_coordinator_t *self)
{
    rk_coordinator_status_t *st = self->status;
    for (uint32_t i = 0; self->view && i < self->view->n_members; i++) {
        const rk_view_member_t *v = &self->view->members[i];
        s_member_t *m = s_add (st, v->id, v->node, v->pid, v->name, v->control);
        if (m)
            m->m.witness = v->witness;
    }
    for (uint32_t p = 0; !self->view && p < self->roster.n; p++) {
        const rk_roster_entry_t *e = &self->roster.list[p];
        s_add (st, p, e->node, e->pid, e->name, e->control);
    }
    if (!s_find (st, self->process))
        s_add (st, self->process, UINT32_MAX, (uint32_t) getpid (), self->name, "");
    if (!s_find (st, self->leader))
        s_add (st, self->leader, UINT32_MAX, 0, "leader", self->join);
}

/* What this process knows of a member without asking it. */
static void s_look (rk_coordinator_t *self, s_member_t *m)
{
    const int64_t now_ms = rk_coordinator_now_ms ();
    const uint32_t id = m->m.member;
    m->m.leads = id == self->leader;
    if (self->plan && m->m.node != UINT32_MAX) {
        uint32_t cluster, stage;
        if (rk_plan_stage_of_node (self->plan, m->m.node, &cluster, &stage) != RK_NO_NODE) {
            m->m.cluster = cluster;
            m->m.stage = stage;
        }
    }
    if (id == self->process)
        return;
    int64_t silent_ms, limit_ms;
    bool ended = false, alive = true;
    if (self->membership) {
        ended = rk_membership_is_dead (self->membership, id);
        alive = rk_membership_is_alive (self->membership, id, now_ms);
        silent_ms = rk_membership_silent_ms (self->membership, id, now_ms);
        limit_ms = rk_membership_deadline_ms (self->membership, id);
    } else {
        silent_ms = rk_member_silent_ms (self->member, id, now_ms);
        limit_ms = rk_member_deadline_ms (self->member, id);
        alive = silent_ms <= limit_ms;
    }
    m->m.standing = ended ? RK_STANDING_ENDED : alive ? RK_STANDING_ALIVE : RK_STANDING_SUSPECTED;
    m->m.silent_ms = silent_ms > 0 ? (uint64_t) silent_ms : 0;
    m->m.limit_ms = limit_ms > 0 ? (uint64_t) limit_ms : 0;
}

static void s_describe_self (rk_coordinator_t *self)
{
    s_member_t *m = s_find (self->status, self->process);
    if (!m)
        return;
    const bool view = self->state == RK_STATE_VIEW && self->membership;
    const int64_t now_ms = rk_coordinator_now_ms (), since_ms = view ? rk_membership_since_ms (self->membership) : self->state_ms;
    if (view) {
        snprintf (m->state, sizeof m->state, "%s", rk_membership_state_name (rk_membership_state (self->membership)));
        rk_membership_explain (self->membership, now_ms, m->waits_for, sizeof m->waits_for);
    } else {
        snprintf (m->state, sizeof m->state, "%s", rk_coordinator_doing (self));
        if (self->leads || self->state != RK_STATE_RUN)
            rk_coordinator_missing (self, m->waits_for, sizeof m->waits_for);
        char rift[sizeof m->waits_for] = "";
        if (self->membership && self->state < RK_STATE_STOPPING)
            rk_membership_rift (self->membership, now_ms, rift, sizeof rift);
        if (rift[0])
            memcpy (m->waits_for, rift, sizeof rift);
    }
    m->m.state_ms = now_ms > since_ms ? (uint64_t) (now_ms - since_ms) : 0;
    m->answered = true;
}

static void s_add_wait (rk_coordinator_status_t *st, const rk_waits_t *w)
{
    if (st->n_waits == st->waits_capacity) {
        const size_t capacity = st->waits_capacity ? 2 * st->waits_capacity : 64;
        rk_waits_t *more = capacity <= RK_WIRE_MAX_LIST ? realloc (st->waits, capacity * sizeof *more) : NULL;
        if (!more)
            return;
        st->waits = more;
        st->waits_capacity = capacity;
    }
    st->waits[st->n_waits++] = *w;
}

/* ---- answering */
static void s_answer (rk_coordinator_t *self, uint32_t address, bool guest, bool alone)
{
    rk_coordinator_status_t *st = self->status;
    rk_status_member_t *list = calloc (st->n_members + 1, sizeof *list);
    rk_msg_t msg = {.kind = RK_MSG_STATUS,
                    .status = {.process = self->process, .redone = self->redone, .reason = self->reason, .members = list,
                               .reason_ms = self->reason[0] ? (uint64_t) (rk_coordinator_now_ms () - self->reason_ms) : 0,
                               .waits = st->waits, .n_waits = alone ? st->n_own : st->n_waits, .milli_rate = s_milli_rate (self)}};
    rk_status_t *s = &msg.status;
    if (self->plan) {
        s->committed = self->n_committed;
        s->n_rounds = rk_round_n (self->plan);
        s->f = rk_round_cursor (self->plan, self->n_committed);
        s->n_f = rk_round_cursor (self->plan, s->n_rounds);
        s->per_pass = self->plan->minibatches_per_pass;
    }
    for (size_t i = 0; list && i < st->n_members; i++) {
        s_member_t *m = &st->members[i];
        if (alone && m->m.member != self->process)
            continue;
        s_look (self, m);
        m->m.name = m->name;
        m->m.control = m->control;
        m->m.state = m->answered ? m->state : "";
        m->m.waits_for = m->waits_for;
        list[s->n_members++] = m->m;
    }
    rk_coordinator_send (self, address, &msg, NULL, 0);
    if (guest)
        rk_loop_forget (self->loop, address);
    free (list);
}

static void s_answer_askers (rk_coordinator_t *self, bool all)
{
    rk_coordinator_status_t *st = self->status;
    for (size_t i = st->n_askers; i-- > 0;) {
        if (!all && !st->askers[i].alone)
            continue;
        s_answer (self, st->askers[i].address, st->askers[i].guest, st->askers[i].alone);
        st->askers[i] = st->askers[--st->n_askers];
    }
}

/* ---- asking */
static void s_ask_actors (rk_coordinator_t *self)
{
    rk_msg_t msg = {.kind = RK_MSG_STATUS_REQUEST, .status_request = {.alone = true}};
    for (size_t i = 0; i < self->n_known; i++) {
        const rk_actor_kind_t kind = rk_address_kind (self->known[i].address);
        if (kind != RK_ACTOR_STAGE && kind != RK_ACTOR_REDUCER && kind != RK_ACTOR_FEEDER)
            continue;
        self->status->n_actors++;
        rk_coordinator_send (self, self->known[i].address, &msg, NULL, 0);
    }
}

static void s_ask_others (rk_coordinator_t *self)
{
    rk_coordinator_status_t *st = self->status;
    rk_msg_t msg = {.kind = RK_MSG_STATUS_REQUEST, .status_request = {.alone = true}};
    st->asks_others = true;
    for (size_t i = 0; i < st->n_members; i++) {
        const uint32_t address = rk_address (RK_ACTOR_COORDINATOR, st->members[i].m.member);
        st->members[i].asked = st->members[i].m.member != self->process && rk_loop_connected (self->loop, address);
        if (st->members[i].asked)
            rk_coordinator_send (self, address, &msg, NULL, 0);
    }
}

static void s_begin (rk_coordinator_t *self)
{
    rk_coordinator_status_t *st = self->status;
    if (st->on)
        return;
    st->on = true;
    st->own_done = st->asks_others = false;
    st->n_members = st->n_waits = st->n_own = st->n_actors = 0;
    st->view = rk_loop_view (self->loop);
    st->began_ms = rk_coordinator_now_ms ();
    s_add_members (self);
    s_ask_actors (self);
}

static bool s_all_answered (const rk_coordinator_status_t *st)
{
    for (size_t i = 0; i < st->n_members; i++)
        if (st->members[i].asked && !st->members[i].answered)
            return false;
    return true;
}

/* Actors answer first, so that theirs are the first waits in the list. */
static void s_drive (rk_coordinator_t *self)
{
    rk_coordinator_status_t *st = self->status;
    if (!st || !st->on)
        return;
    const int64_t ms = rk_coordinator_now_ms () - st->began_ms;
    if (!st->own_done && (!st->n_actors || ms >= ACTORS_MS)) {
        st->own_done = true;
        st->n_own = st->n_waits;
        s_describe_self (self);
        s_answer_askers (self, false);
    }
    if (!st->own_done)
        return;
    if (st->n_askers && !st->asks_others)
        s_ask_others (self);
    if (st->n_askers && !s_all_answered (st) && ms < ACTORS_MS + OTHERS_MS)
        return;
    st->on = false;
    const bool changed = st->n_askers && st->view != rk_loop_view (self->loop);
    if (changed && !st->again) { /* what was heard is of a view that is over */
        st->again = true;
        s_begin (self);
        s_drive (self);
        return;
    }
    st->again = false;
    s_answer_askers (self, true);
}

int64_t rk_coordinator_status_tick (rk_coordinator_t *self)
{
    rk_coordinator_status_t *st = self->status;
    s_drive (self);
    if (!st || !st->on)
        return INT64_MAX;
    return st->began_ms + (st->own_done ? ACTORS_MS + OTHERS_MS : ACTORS_MS);
}

void rk_coordinator_status_close (rk_coordinator_t *self)
{
    if (!self->status)
        return;
    free (self->status->members);
    free (self->status->waits);
    free (self->status);
    self->status = NULL;
}

/* ---- messages */
rk_err_t rk_coordinator_on_status_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_origin_t origin = rk_coordinator_origin (self, packet);
    const bool alone = packet->msg.status_request.alone, guest = origin.kind == RK_FROM_STRANGER;
    if (origin.kind == RK_FROM_LOCAL || (alone && guest))
        return rk_coordinator_refuse (packet, "members and whoever runs rookery status may ask that", err);
    if (!self->status && !(self->status = calloc (1, sizeof *self->status)))
        return RK_OK; /* whoever asks has a deadline */
    rk_coordinator_status_t *st = self->status;
    if (st->n_askers == ASKERS) {
        if (guest)
            rk_coordinator_refuse_stranger (self, packet, "too many ask at once; ask again in a second");
        return RK_OK;
    }
    uint32_t address = rk_address (RK_ACTOR_COORDINATOR, origin.process), at = 0;
    for (size_t i = 0; guest && i < st->n_askers; i++) /* a number that nobody has */
        if (st->askers[i].address == rk_address (RK_ACTOR_NODE, GUEST + at)) {
            at++;
            i = (size_t) -1;
        }
    if (guest) {
        address = rk_address (RK_ACTOR_NODE, GUEST + at);
        if (rk_loop_learn (self->loop, address, packet) != RK_OK)
            return RK_OK;
    }
    st->askers[st->n_askers].address = address;
    st->askers[st->n_askers].guest = guest;
    st->askers[st->n_askers++].alone = alone;
    s_begin (self);
    if (alone && st->own_done)
        s_answer_askers (self, false);
    s_drive (self);
    return RK_OK;
}

rk_err_t rk_coordinator_on_waits (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_coordinator_status_t *st = self->status;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LOCAL)
        return rk_coordinator_refuse (packet, "it is no actor of this process", err);
    if (!st || !st->on || st->own_done || !st->n_actors) /* late: it computed */
        return RK_OK;
    st->n_actors--;
    s_add_wait (st, &packet->msg.waits);
    s_drive (self);
    return RK_OK;
}

rk_err_t rk_coordinator_on_status (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_coordinator_status_t *st = self->status;
    const rk_origin_t origin = rk_coordinator_origin (self, packet);
    const rk_status_t *s = &packet->msg.status;
    if (origin.kind != RK_FROM_PROCESS && origin.kind != RK_FROM_LEADER)
        return rk_coordinator_refuse (packet, "it is no member", err);
    if (s->n_members != 1 || s->members[0].member != origin.process)
        return rk_coordinator_refuse (packet, "it tells of others than itself", err);
    s_member_t *m = st && st->on ? s_find (st, origin.process) : NULL;
    if (!m || m->answered || !m->asked)
        return RK_OK;
    m->answered = true;
    m->m.state_ms = s->members[0].state_ms;
    if (m->m.node == UINT32_MAX)
        m->m.node = s->members[0].node;
    snprintf (m->state, sizeof m->state, "%s", s->members[0].state);
    snprintf (m->waits_for, sizeof m->waits_for, "%s", s->members[0].waits_for);
    for (size_t i = 0; i < s->n_waits; i++)
        s_add_wait (st, &s->waits[i]);
    s_drive (self);
    return RK_OK;
}
