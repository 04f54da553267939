/* SPDX-License-Identifier: MPL-2.0
 * Who is who: parties by routing id, and the ways to send to them.                                        */
#include "actors/coordinator_self.h"

/* ---- origins */
static rk_known_t *s_by_routing (rk_coordinator_t *self, const rk_packet_t *packet)
{
    for (size_t i = 0; i < self->n_known; i++) {
        rk_known_t *k = &self->known[i];
        if (k->n_routing == packet->n_routing && memcmp (k->routing, packet->routing, k->n_routing) == 0)
            return k;
    }
    return NULL;
}

rk_known_t *rk_coordinator_find (rk_coordinator_t *self, uint32_t address)
{
    for (size_t i = 0; i < self->n_known; i++)
        if (self->known[i].address == address)
            return &self->known[i];
    return NULL;
}

static void s_remove (rk_coordinator_t *self, rk_known_t *known)
{
    rk_loop_forget (self->loop, known->address);
    *known = self->known[--self->n_known];
}

void rk_coordinator_forget (rk_coordinator_t *self, uint32_t address)
{
    rk_known_t *known = rk_coordinator_find (self, address);
    if (known)
        s_remove (self, known);
    else
        rk_loop_forget (self->loop, address);
}

void rk_coordinator_forget_plan (rk_coordinator_t *self)
{
    for (size_t i = self->n_known; i-- > 0;) {
        const rk_actor_kind_t kind = rk_address_kind (self->known[i].address);
        if (kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER)
            s_remove (self, &self->known[i]);
    }
}

rk_err_t rk_coordinator_of_view (const rk_coordinator_t *self, const rk_packet_t *packet, rk_error_t *err)
{
    const uint64_t view = rk_loop_view (self->loop);
    if (packet->msg.view == view || (!packet->msg.view && view == 1)) /* a program need not number the first */
        return RK_OK;
    return rk_error_set (err, RK_ESTALE, "%s of view %llu, now %llu", rk_msg_kind_name (packet->msg.kind),
                         (unsigned long long) packet->msg.view, (unsigned long long) view);
}

rk_origin_t rk_coordinator_origin (rk_coordinator_t *self, const rk_packet_t *packet)
{
    /* Only a DEALER of ours has no routing id: before there is a view it leads to the leader, later to a member. */
    if (packet->n_routing == 0 && !self->view)
        return (rk_origin_t){.kind = RK_FROM_LEADER, .process = self->leader};
    rk_known_t *known = packet->n_routing ? s_by_routing (self, packet) : NULL;
    if (packet->n_routing && !known)
        return (rk_origin_t){.kind = RK_FROM_STRANGER};
    const uint32_t address = known ? known->address : packet->msg.sender;
    if (rk_address_kind (address) == RK_ACTOR_COORDINATOR) {
        const uint32_t process = rk_address_node (address);
        const bool leader = process == self->leader && !self->leads;
        return (rk_origin_t){leader ? RK_FROM_LEADER : RK_FROM_PROCESS, known, process};
    }
    if (!known)
        return (rk_origin_t){.kind = RK_FROM_STRANGER};
    return (rk_origin_t){RK_FROM_LOCAL, known, self->process};
}

rk_err_t rk_coordinator_know (rk_coordinator_t *self, uint32_t address, const rk_packet_t *packet, rk_error_t *err)
{
    if (self->n_known == self->known_capacity) {
        size_t capacity = self->known_capacity ? 2 * self->known_capacity : 32;
        rk_known_t *known = realloc (self->known, capacity * sizeof *known);
        if (!known)
            return rk_error_set (err, RK_ENOMEM, "no memory for party %zu", self->n_known);
        self->known = known;
        self->known_capacity = capacity;
    }
    rk_err_t rc = rk_loop_learn (self->loop, address, packet);
    if (rc)
        return rk_error_set (err, rc, "cannot answer %s %u", rk_actor_kind_name (rk_address_kind (address)),
                             rk_address_node (address));
    rk_known_t *k = &self->known[self->n_known++];
    *k = (rk_known_t){.address = address, .n_routing = packet->n_routing};
    memcpy (k->routing, packet->routing, packet->n_routing);
    return RK_OK;
}

rk_err_t rk_coordinator_refuse (const rk_packet_t *packet, const char *why, rk_error_t *err)
{
    return rk_error_set (err, RK_EFORMAT, "%s from %s %u refused: %s", rk_msg_kind_name (packet->msg.kind),
                         rk_actor_kind_name (rk_address_kind (packet->msg.sender)),
                         rk_address_node (packet->msg.sender), why);
}

uint32_t rk_coordinator_host_of (const rk_coordinator_t *self, uint32_t node)
{
    if (self->n_processes == 0)
        return self->process;
    for (uint32_t p = 0; p < self->roster.n; p++)
        if (self->roster.list[p].node == node && !(self->roster.list[p].steps & RK_STEP_LOST))
            return p;
    return UINT32_MAX;
}

bool rk_coordinator_speaks_for (const rk_coordinator_t *self, rk_origin_t origin, uint32_t node)
{
    if (origin.kind == RK_FROM_LOCAL)
        return rk_address_node (origin.known->address) == node;
    return origin.kind == RK_FROM_PROCESS && rk_coordinator_host_of (self, node) == origin.process;
}

/* ---- sending */
void rk_coordinator_send (rk_coordinator_t *self, uint32_t address, rk_msg_t *msg, const rk_frame_t *frames,
                          int n_frames)
{
    rk_error_t err = {RK_OK, ""};
    if (rk_loop_send (self->loop, address, msg, frames, n_frames, &err) != RK_OK)
        /* of a process that is gone its deadline will speak, once and with its name */
        rk_log (self->state >= RK_STATE_STOPPING || address == RK_TO_OBSERVER || msg->kind == RK_MSG_HEARTBEAT || msg->kind == RK_MSG_AGREEMENT ? RK_LOG_DEBUG : RK_LOG_WARNING, "UNSENT", "message=%s %s",
                rk_msg_kind_name (msg->kind), err.text);
}

void rk_coordinator_to_kind (rk_coordinator_t *self, rk_actor_kind_t kind, rk_msg_t *msg)
{
    for (size_t i = 0; i < self->n_known; i++)
        if (rk_address_kind (self->known[i].address) == kind)
            rk_coordinator_send (self, self->known[i].address, msg, NULL, 0);
}

void rk_coordinator_to_parent (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames)
{
    for (size_t i = 0; i < self->n_known; i++)
        if (rk_address_kind (self->known[i].address) == RK_ACTOR_NODE) {
            rk_coordinator_send (self, self->known[i].address, msg, frames, n_frames);
            return;
        }
}

void rk_coordinator_to_others (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames)
{
    for (uint32_t p = 0; p < self->roster.n; p++)
        if (p != self->process && !(self->roster.list[p].steps & RK_STEP_LOST))
            rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, p), msg, frames, n_frames);
}

void rk_coordinator_to_node (rk_coordinator_t *self, rk_actor_kind_t kind, uint32_t node, rk_msg_t *msg)
{
    uint32_t local = rk_address (kind, node);
    if (rk_coordinator_find (self, local))
        rk_coordinator_send (self, local, msg, NULL, 0);
    else
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, rk_coordinator_host_of (self, node)), msg, NULL,
                             0);
}

rk_err_t rk_coordinator_relay_up (rk_coordinator_t *self, rk_packet_t *packet, rk_error_t *err)
{
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LOCAL)
        return rk_coordinator_refuse (packet, "only actors of this process may say that here", err);
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &packet->msg, NULL, 0);
    return RK_OK;
}
