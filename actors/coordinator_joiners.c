/* SPDX-License-Identifier: MPL-2.0
 * Nodes that come while a run is under way: they are known and measured at once, and taken in with the next view.
 * Until then they are no members: no round and no agreement waits for them.                               */
#include "actors/coordinator_self.h"

#include "actors/host.h"
#include "actors/node_endpoints.h"

#define TOGETHER_MS 3000 /* how long one that is measured waits for others that are not yet: they come with one view */
#define MOST_PLACES 16   /* of other members that a joiner is told */

/* ---- who they are */
static rk_coordinator_joiner_t *s_find (const rk_coordinator_t *self, uint32_t process)
{
    for (uint32_t i = 0; i < self->n_joiners; i++)
        if (self->joiners[i].process == process)
            return &self->joiners[i];
    return NULL;
}

bool rk_coordinator_is_joiner (const rk_coordinator_t *self, uint32_t process)
{
    return s_find (self, process) != NULL;
}

static bool s_is_ready (const rk_coordinator_joiner_t *j)
{
    return (j->entry.steps & RK_STEP_PROFILED) && !j->hung_up_ms;
}

uint32_t rk_coordinator_n_joining (const rk_coordinator_t *self)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->n_joiners; i++)
        n += s_is_ready (&self->joiners[i]);
    return n;
}

const rk_coordinator_joiner_t *rk_coordinator_joining (const rk_coordinator_t *self, uint32_t i)
{
    for (uint32_t j = 0; j < self->n_joiners; j++)
        if (s_is_ready (&self->joiners[j]) && i-- == 0)
            return &self->joiners[j];
    return NULL;
}

bool rk_coordinator_joins (const rk_coordinator_t *self, uint32_t node)
{
    for (uint32_t i = 0; i < self->n_joiners; i++)
        if (s_is_ready (&self->joiners[i]) && self->joiners[i].entry.node == node)
            return true;
    return false;
}

const char *rk_coordinator_unwelcome_now (const rk_coordinator_t *self)
{
    if (self->state >= RK_STATE_STOPPING || self->leaving)
        return "the run is at its end";
    if (!self->n_processes)
        return "this run takes no other nodes";
    if (self->kind != RK_RUN_TRAIN)
        return "all nodes of this run have joined already";
    if (self->settings.net_on_loss != RK_LOSS_CONTINUE)
        return "all nodes of this run have joined already, and with net.on_loss = stop it takes nobody in later";
    if (self->roster.n + self->n_joiners >= RK_MAX_PROCESSES || self->n_processes + self->n_joiners >= RK_MAX_FLEET)
        return "this run has as many nodes as there can be";
    return NULL;
}

/* Numbers that no member has, and no other joiner. */
static void s_number (const rk_coordinator_t *self, uint32_t *process, uint32_t *node)
{
    *process = self->view && self->view->next_id > self->roster.n ? self->view->next_id : self->roster.n;
    *node = self->view ? self->view->next_node : self->roster.n;
    for (uint32_t i = 0; i < self->n_joiners; i++) {
        *process = self->joiners[i].process >= *process ? self->joiners[i].process + 1 : *process;
        *node = self->joiners[i].entry.node >= *node ? self->joiners[i].entry.node + 1 : *node;
    }
}

static rk_err_t s_add (rk_coordinator_t *self, const rk_roster_entry_t *entry, rk_coordinator_joiner_t **joiner_p, rk_error_t *err)
{
    if (self->n_joiners == self->joiner_capacity) {
        const uint32_t capacity = self->joiner_capacity ? 2 * self->joiner_capacity : 8;
        rk_coordinator_joiner_t *joiners = realloc (self->joiners, capacity * sizeof *joiners);
        if (!joiners)
            return rk_error_set (err, RK_ENOMEM, "no memory for joiner %u", self->n_joiners);
        self->joiners = joiners;
        self->joiner_capacity = capacity;
    }
    rk_coordinator_joiner_t joiner = {.entry = *entry};
    s_number (self, &joiner.process, &joiner.entry.node);
    joiner.entry.steps = 0;
    self->joiners[self->n_joiners] = joiner;
    *joiner_p = &self->joiners[self->n_joiners++];
    return RK_OK;
}

/* ---- where members listen */

/* A leader that listens everywhere is reached where it was joined. */
static void s_place_of (const rk_coordinator_t *self, const rk_view_member_t *m, char *text, size_t size)
{
    char host[64] = "";
    if (m->id == RK_FIRST && self->join[0])
        rk_node_host_of (self->join, host, sizeof host);
    if (m->id == self->process)
        snprintf (text, size, "%s", rk_loop_endpoint (self->loop));
    else
        rk_node_seen_from (m->control, host, text, size);
}

typedef struct {
    rk_endpoint_t list[MOST_PLACES];
    char text[MOST_PLACES][RK_VIEW_CONTROL];
    size_t n;
} s_places_t;

static void s_add_place (s_places_t *places, const rk_coordinator_t *self, const rk_view_member_t *m)
{
    if (places->n == MOST_PLACES || m->witness)
        return;
    s_place_of (self, m, places->text[places->n], sizeof places->text[0]);
    places->list[places->n] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, m->id), places->text[places->n]};
    places->n++;
}

/* The leader first, then those of the view that are not known to be gone. */
static void s_places (const rk_coordinator_t *self, const rk_view_t *view, bool with_self, s_places_t *places)
{
    places->n = 0;
    const rk_view_member_t *leader = view ? rk_view_leader (view) : NULL;
    if (leader && (with_self || leader->id != self->process))
        s_add_place (places, self, leader);
    for (uint32_t i = 0; view && i < view->n_members; i++) {
        const rk_view_member_t *m = &view->members[i];
        const bool gone = self->membership && rk_view_find (self->view, m->id) && rk_membership_is_dead (self->membership, m->id);
        if (m != leader && !gone && (with_self || m->id != self->process))
            s_add_place (places, self, m);
    }
    if (!view && with_self)
        places->list[places->n++] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, self->process), rk_loop_endpoint (self->loop)};
    else if (!places->n && self->join[0])
        places->list[places->n++] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, self->leader), self->join};
}

void rk_coordinator_send_elsewhere (rk_coordinator_t *self, const rk_packet_t *packet)
{
    s_places_t places;
    s_places (self, self->view, false, &places);
    rk_msg_t msg = {.kind = RK_MSG_PEERS, .peers = {places.n, places.list}};
    rk_log (RK_LOG_INFO, "ELSEWHERE", "address=%s key=%.12s asks to join; the leader is at %s", packet->remote[0] ? packet->remote : "local",
            packet->user, places.n ? places.list[0].endpoint : "an unknown address");
    rk_coordinator_answer_stranger (self, packet, &msg);
}

void rk_coordinator_note_elsewhere (rk_coordinator_t *self, const rk_view_t *view)
{
    s_places_t places;
    s_places (self, view, false, &places);
    rk_msg_t msg = {.kind = RK_MSG_PEERS, .peers = {places.n, places.list}};
    if (places.n)
        rk_coordinator_to_parent (self, &msg, NULL, 0);
}

/* ---- coming */
rk_err_t rk_coordinator_take_joiner (rk_coordinator_t *self, const rk_packet_t *packet, const rk_roster_entry_t *entry, rk_error_t *err)
{
    rk_coordinator_joiner_t *j = NULL;
    rk_err_t rc = s_add (self, entry, &j, err);
    if (rc)
        return rc;
    const uint32_t address = rk_address (RK_ACTOR_COORDINATOR, j->process);
    rc = rk_coordinator_know (self, address, packet, err);
    if (!rc && rk_member_join (self->member, j->process, rk_coordinator_now_ms ()))
        rc = rk_error_set (err, RK_ENOMEM, "no memory for process %u", j->process);
    if (!rc)
        rc = rk_coordinator_welcome (self, j->process, j->entry.node, err);
    if (rc) {
        rk_coordinator_drop_joiner (self, j->process, "no memory");
        return rc;
    }
    s_places_t places; /* it will need them if this process is lost before the next view */
    s_places (self, self->view, true, &places);
    rk_msg_t msg = {.kind = RK_MSG_PEERS, .peers = {places.n, places.list}};
    rk_coordinator_send (self, address, &msg, NULL, 0);
    rk_log (RK_LOG_WARNING, "JOINS", "node=%u name=%s pid=%u key=%.12s cores=%u; it is measured and taken in between two rounds", j->entry.node,
            j->entry.name, j->entry.pid, j->entry.key, j->entry.cores);
    rk_coordinator_ask_joiners (self);
    return RK_OK;
}

bool rk_coordinator_drop_joiner (rk_coordinator_t *self, uint32_t process, const char *why)
{
    rk_coordinator_joiner_t *j = s_find (self, process);
    if (!j)
        return false;
    rk_log (RK_LOG_WARNING, "JOINS-NOT", "node=%u name=%s pid=%u %s", j->entry.node, j->entry.name, j->entry.pid, why);
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = why}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, process), &stop, NULL, 0);
    rk_coordinator_forget (self, rk_address (RK_ACTOR_COORDINATOR, process));
    rk_member_leave (self->member, process);
    const uint32_t at = (uint32_t) (j - self->joiners);
    memmove (j, j + 1, (self->n_joiners - at - 1) * sizeof *j);
    self->n_joiners--;
    rk_coordinator_ask_joiners (self);
    return true;
}

/* No view is made with one whose connection has ended: everybody would wait for it. Its silence, or its own word, decides. */
void rk_coordinator_joiner_hung_up (rk_coordinator_t *self, uint32_t process, int64_t now_ms)
{
    rk_coordinator_joiner_t *j = s_find (self, process);
    if (j)
        j->hung_up_ms = now_ms;
}

/* What was on its way when the connection ended says nothing. */
void rk_coordinator_joiner_heard (rk_coordinator_t *self, uint32_t process, int64_t now_ms)
{
    rk_coordinator_joiner_t *j = s_find (self, process);
    if (j && now_ms >= j->hung_up_ms + RK_HEARTBEAT_MS)
        j->hung_up_ms = 0;
}

/* ---- being measured */
static bool s_host_is_measured (const rk_coordinator_t *self, uint64_t host)
{
    for (uint32_t i = 0; i < self->n_joiners; i++) {
        const rk_coordinator_joiner_t *j = &self->joiners[i];
        if (j->entry.host == host && (j->entry.steps & (RK_STEP_PROFILING | RK_STEP_PROFILED)) == RK_STEP_PROFILING && !j->hung_up_ms)
            return true;
    }
    return false;
}

void rk_coordinator_ask_joiners (rk_coordinator_t *self)
{
    rk_error_t err = {RK_OK, ""};
    if (!self->n_joiners || !self->view || !self->plan || self->state >= RK_STATE_STOPPING)
        return;
    if (rk_coordinator_own_model (self, &err) || rk_coordinator_guess_profiles (self, &err)) {
        rk_log (RK_LOG_WARNING, "JOINS-NOT", "%s", err.text);
        return;
    }
    for (uint32_t i = 0; i < self->n_joiners; i++) {
        rk_coordinator_joiner_t *j = &self->joiners[i];
        if ((j->entry.steps & RK_STEP_PROFILING) || s_host_is_measured (self, j->entry.host))
            continue;
        j->entry.steps |= RK_STEP_PROFILING;
        rk_msg_t msg = {.kind = RK_MSG_PROFILE_REQUEST, .profile_request = self->request};
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, j->process), &msg, NULL, 0);
    }
}

rk_err_t rk_coordinator_joiner_profile (rk_coordinator_t *self, uint32_t process, const rk_node_profile_t *p, rk_error_t *err)
{
    rk_coordinator_joiner_t *j = s_find (self, process);
    if (!j || p->node != j->entry.node || !(j->entry.steps & RK_STEP_PROFILING))
        return rk_error_set (err, RK_EFORMAT, "process %u measured node %u, which nobody asked for", process, p->node);
    const rk_profile_t profile = rk_profile_of_message (p, j->entry.name);
    rk_err_t rc = rk_profiles_put (&self->profiles, &profile, p->n_layers, err);
    if (rc)
        return rc;
    j->entry.steps |= RK_STEP_PROFILED;
    j->ready_ms = rk_coordinator_now_ms ();
    rk_coordinator_ask_joiners (self);
    rk_coordinator_move (self);
    return RK_OK;
}

/* ---- time */
void rk_coordinator_joiners_tick (rk_coordinator_t *self)
{
    const uint64_t host = self->roster.n > self->process ? self->roster.list[self->process].host : 0;
    for (uint32_t i = self->n_joiners; i-- > 0;) {
        const rk_coordinator_joiner_t *j = &self->joiners[i];
        if (j->entry.host == host && rk_host_process_gone (j->entry.pid))
            rk_coordinator_drop_joiner (self, j->process, "its process has ended");
    }
}

/* ---- taken in */
void rk_coordinator_to_joiners (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames)
{
    for (uint32_t i = 0; i < self->n_joiners; i++)
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->joiners[i].process), msg, frames, n_frames);
}

/* Of the view: the member of that number is this very process. */
static bool s_is_in (const rk_view_t *view, const rk_coordinator_joiner_t *j)
{
    const rk_view_member_t *m = rk_view_find (view, j->process);
    return m && m->pid == j->entry.pid && m->host == j->entry.host && strcmp (m->control, j->entry.control) == 0;
}

void rk_coordinator_admit_joiners (rk_coordinator_t *self, const uint8_t *bytes, size_t size)
{
    rk_msg_t decided = {.kind = RK_MSG_AGREEMENT, .agreement = {.kind = RK_AGREE_PAXOS, .paxos = RK_PAXOS_DECIDED, .has_value = true}};
    const rk_frame_t frame = {.bytes = bytes, .size = size};
    s_places_t places;
    s_places (self, self->view, true, &places);
    rk_msg_t elsewhere = {.kind = RK_MSG_PEERS, .peers = {places.n, places.list}};
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->n_joiners; i++) {
        const rk_coordinator_joiner_t *j = &self->joiners[i];
        const uint32_t address = rk_address (RK_ACTOR_COORDINATOR, j->process);
        if (s_is_in (self->view, j)) {
            rk_coordinator_send (self, address, &decided, &frame, 1);
            if (j->hung_up_ms && self->membership)
                rk_membership_hung_up (self->membership, j->process, rk_coordinator_now_ms ());
        } else if (self->leads && j->process >= self->view->next_id && j->entry.node >= self->view->next_node)
            self->joiners[n++] = *j; /* with the next one */
        else {
            rk_coordinator_send (self, address, &elsewhere, NULL, 0);
            rk_coordinator_forget (self, address);
            rk_member_leave (self->member, j->process);
        }
    }
    self->n_joiners = n;
}

/* All who are on their way are measured, or one has waited long enough for the others. */
static bool s_ready (const rk_coordinator_t *self)
{
    bool all = true, late = false;
    for (uint32_t i = 0; i < self->n_joiners; i++) {
        const rk_coordinator_joiner_t *j = &self->joiners[i];
        all = all && (s_is_ready (j) || j->hung_up_ms);
        late = late || (s_is_ready (j) && rk_coordinator_now_ms () - j->ready_ms >= TOGETHER_MS);
    }
    return rk_coordinator_n_joining (self) && (all || late);
}

const char *rk_coordinator_wants_change (const rk_coordinator_t *self)
{
    if (!self->leads || !self->membership)
        return NULL;
    return self->replan.moves ? "a better plan" : s_ready (self) ? "nodes join" : rk_coordinator_wants_leave (self);
}
