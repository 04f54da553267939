/* SPDX-License-Identifier: MPL-2.0
 * Keys: who says Hello is who its connection is, all members learn each other's keys before they are told where
 * to connect, and a guest with a ticket is enrolled (security/tickets.h).                                 */
#include "actors/coordinator_self.h"
#include "actors/security/gate.h"

const char *rk_coordinator_own_key (const rk_coordinator_t *self, char text[RK_KEY_TEXT])
{
    const rk_identity_t *identity = rk_loop_identity (self->loop);
    bool encrypted = !identity->plain && identity->gate[0];
    text[0] = '\0';
    if (encrypted)
        rk_key_text (identity->public_key, text);
    return text;
}

/* libzmq's word for a connection against the sender's own; over ipc and inproc, and without encryption, there is none. */
const char *rk_coordinator_impostor (const rk_packet_t *packet)
{
    const char *claimed = packet->msg.hello.key;
    if (packet->user[0] && strcmp (packet->user, claimed) != 0)
        return "the key it says is not the one it came with";
    return NULL;
}

void rk_coordinator_tell_keys (rk_coordinator_t *self)
{
    char own[RK_KEY_TEXT];
    rk_endpoint_t *list = calloc (self->roster.n + self->n_joiners + 1, sizeof *list);
    if (!list || !rk_coordinator_own_key (self, own)[0]) {
        free (list);
        return; /* plain; without memory whoever needs a key will say so */
    }
    size_t n = 0;
    for (uint32_t p = 0; p < self->roster.n; p++) {
        const char *key = p == self->process ? own : self->roster.list[p].key;
        if (key[0] && !(self->roster.list[p].steps & RK_STEP_LOST))
            list[n++] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, p), key};
    }
    for (uint32_t i = 0; i < self->n_joiners; i++)
        if (self->joiners[i].entry.key[0])
            list[n++] = (rk_endpoint_t){rk_address (RK_ACTOR_COORDINATOR, self->joiners[i].process), self->joiners[i].entry.key};
    rk_msg_t msg = {.kind = RK_MSG_KEYS, .keys = {n, list}};
    rk_coordinator_to_parent (self, &msg, NULL, 0);
    rk_coordinator_to_others (self, &msg, NULL, 0);
    rk_coordinator_to_joiners (self, &msg, NULL, 0);
    free (list);
}

rk_err_t rk_coordinator_on_keys (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER)
        return rk_coordinator_refuse (packet, "not from the leader", err);
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return RK_OK;
}

/* Its own, or of a member that is heard, if this process is one that others cannot reach. */
static const char *s_relay (const rk_coordinator_t *self)
{
    for (uint32_t i = 0; !self->relay[0] && self->view && self->membership && i < self->view->n_members; i++) {
        const rk_view_member_t *m = &self->view->members[i];
        if (m->relay[0] && !m->leaves && rk_membership_is_alive (self->membership, m->id, rk_coordinator_now_ms ()))
            return m->relay;
    }
    return self->relay;
}

/* The gate has let in a ticket; the loop lets it say this and nothing else. Whoever comes with the key it says is known, and
 * is told where the relay is.                                                                              */
rk_err_t rk_coordinator_on_enrol (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const size_t prefix = sizeof RK_GATE_TICKET - 1;
    const bool ticket = strncmp (packet->user, RK_GATE_TICKET, prefix) == 0;
    if (!ticket && strcmp (packet->user, packet->msg.enrol.key) != 0)
        return rk_coordinator_refuse (packet, "it has no ticket, and comes with another key", err);
    rk_error_t why = {RK_OK, ""};
    if (ticket && rk_gate_redeem (rk_loop_identity (self->loop)->gate, packet->user + prefix, packet->msg.enrol.key, &why)) {
        rk_coordinator_refuse_stranger (self, packet, why.text);
        return RK_OK;
    }
    rk_msg_t msg = {.kind = RK_MSG_ENROLLED, .enrolled = {s_relay (self)}};
    rk_coordinator_answer_stranger (self, packet, &msg);
    return RK_OK;
}
