/* SPDX-License-Identifier: MPL-2.0
 * Who this process is and whom it lets in, before any of its sockets opens.                               */
#include "actors/node_self.h"

#include "actors/security/gate.h"
#include "actors/security/knock.h"
#include "actors/security/tickets.h"

/* ---- plaintext: on this machine when asked for, beyond it when asked twice */
static rk_err_t s_check_plain (const rk_node_t *self, const char *endpoint, rk_error_t *err)
{
    char host[64];
    rk_node_host_of (endpoint, host, sizeof host);
    if (self->config->insecure > 1 || !host[0] || rk_node_is_loopback (host))
        return RK_OK;
    return rk_error_set (err, RK_EINVAL, "%s is not a loopback address: without encryption anybody on the way could read and change the run; "
                         "leave --insecure out, or say it twice", endpoint);
}

/* ---- the keys of this process */
static rk_err_t s_open_keyring (rk_node_t *self, char folder[RK_KEYRING_PATH], rk_error_t *err)
{
    bool made = false;
    rk_err_t rc = rk_keyring_folder (self->config->keys, folder, err);
    if (!rc)
        rc = rk_keyring_open (folder, &self->identity, &made, err);
    if (!rc && made && !self->config->quiet)
        fprintf (stderr, "made a key for this user in %s\n", folder);
    return rc;
}

/* A run of one process whose actors speak over tcp: nobody else has any business there. */
static rk_err_t s_open_alone (rk_node_t *self, rk_error_t *err)
{
    rk_err_t rc = rk_identity_generate (&self->identity, err);
    return rc ? rc : rk_gate_new (&self->gate, &self->identity, NULL, err);
}

static rk_err_t s_open_own (rk_node_t *self, char folder[RK_KEYRING_PATH], rk_error_t *err)
{
    if (self->config->identity) { /* the program has a gate of its own */
        self->identity = *self->config->identity;
        return rk_keyring_folder (self->config->keys, folder, err);
    }
    rk_err_t rc = s_open_keyring (self, folder, err);
    return rc ? rc : rk_gate_new (&self->gate, &self->identity, folder, err);
}

rk_err_t rk_node_secure_leader (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    char folder[RK_KEYRING_PATH];
    bool tcp = c->n_processes || strcmp (self->settings.net_transport, "tcp") == 0;
    if (c->insecure || !tcp) {
        self->identity = rk_identity_plain;
        return c->n_processes && c->insecure ? s_check_plain (self, c->listen, err) : RK_OK;
    }
    return c->n_processes ? s_open_own (self, folder, err) : s_open_alone (self, err);
}

/* ---- whom a follower joins */

/* A ticket first makes this node's own key known; then it joins like everybody else. If the ticket is used up, it
 * may have been by this very node, so the door decides.                                                    */
static rk_err_t s_enrol (rk_node_t *self, char *address, size_t size, uint8_t key[RK_KEY_BYTES], rk_error_t *refusal, rk_error_t *err)
{
    rk_ticket_t ticket;
    rk_identity_t once;
    rk_err_t rc = rk_ticket_read (&ticket, self->config->join, err);
    if (!rc)
        rc = rk_identity_of_secret (&once, ticket.secret, err);
    if (rc)
        return rc;
    snprintf (address, size, "%s", ticket.address);
    memcpy (key, ticket.leader, RK_KEY_BYTES);
    rk_knock_t knock = {.identity = &once, .address = address, .leader = key, .interrupted = self->interrupted};
    rc = rk_knock_enrol (&knock, self->identity.public_key, err);
    if (rc == RK_EPEER)
        *refusal = *err;
    rk_identity_forget (&once);
    explicit_bzero (&ticket, sizeof ticket);
    return rc == RK_EPEER ? RK_OK : rc;
}

#define ANSWER_MS 15000
#define NOBODY 0xffffff /* a process without a number */

/* Is somebody there who lets this node in, and where is the relay? */
static rk_err_t s_knock (rk_node_t *self, const rk_knock_t *knock, rk_error_t *err)
{
    char key[RK_KEY_TEXT] = "";
    rk_packet_t *packet = NULL;
    if (!self->identity.plain)
        rk_key_text (self->identity.public_key, key);
    const rk_msg_t question = {.kind = RK_MSG_ENROL, .sender = rk_address (RK_ACTOR_COORDINATOR, NOBODY), .seq = 1, .enrol = {key}};
    rk_err_t rc = rk_packet_new (&packet);
    rc = rc ? rk_error_set (err, rc, "no memory for a packet") : rk_knock_ask (knock, &question, ANSWER_MS, packet, err);
    if (!rc && packet->msg.kind != RK_MSG_ENROLLED)
        rc = rk_error_set (err, RK_EPEER, "%s answers with %s", knock->address, rk_msg_kind_name (packet->msg.kind));
    if (!rc)
        snprintf (self->leader_relay, sizeof self->leader_relay, "%s", packet->msg.enrolled.relay);
    rk_packet_destroy (&packet);
    return rc;
}

/* Whom it joins, and for how long it knocks. */
typedef struct {
    const char *join, *folder;
    int64_t patience_ms; /* 0: as long as one who waits for a leader to start */
} s_door_t;

static rk_err_t s_meet_leader (rk_node_t *self, const s_door_t *door, rk_error_t *err)
{
    char address[RK_TICKET_ADDRESS], key_text[RK_KEY_TEXT];
    uint8_t key[RK_KEY_BYTES];
    rk_error_t refusal = {RK_OK, ""};
    rk_err_t rc = rk_ticket_is (door->join) ? s_enrol (self, address, sizeof address, key, &refusal, err)
                                            : rk_keyring_address (door->folder, door->join, self->identity.public_key, address, sizeof address, key, err);
    rk_knock_t knock = {.identity = &self->identity, .address = address, .leader = key, .interrupted = self->interrupted, .patience_ms = door->patience_ms};
    if (!rc)
        rc = s_knock (self, &knock, err);
    if (rc == RK_EPEER && refusal.code)
        *err = refusal;
    if (rc)
        return rc;
    rk_key_text (key, key_text);
    snprintf (self->join, sizeof self->join, "%s/%s", address, key_text);
    return rk_gate_admit (self->identity.gate, key_text, err);
}

static rk_err_t s_meet_plain (rk_node_t *self, const s_door_t *door, rk_error_t *err)
{
    rk_err_t rc = rk_ticket_is (door->join) ? rk_error_set (err, RK_EINVAL, "a ticket is for encrypted runs; leave --insecure out")
                                            : s_check_plain (self, door->join, err);
    rk_knock_t knock = {.identity = &self->identity, .address = self->join, .interrupted = self->interrupted, .patience_ms = door->patience_ms};
    return rc || !rk_endpoint_is_tcp (self->join) ? rc : s_knock (self, &knock, err);
}

static rk_err_t s_meet (rk_node_t *self, const s_door_t *door, rk_error_t *err)
{
    snprintf (self->join, sizeof self->join, "%s", door->join);
    if (self->identity.plain)
        return s_meet_plain (self, door, err);
    if (!rk_ticket_is (door->join) && !rk_endpoint_is_tcp (door->join)) /* ipc: the file's permissions decide */
        return RK_OK;
    return s_meet_leader (self, door, err);
}

#define AGAIN_MS 3000 /* for a member of a run that this process was in, or was sent to */

rk_err_t rk_node_secure_follower (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    char folder[RK_KEYRING_PATH] = "";
    rk_err_t rc = rk_ticket_is (c->join) ? RK_OK : rk_node_check_endpoint (c->join, err);
    if (!rc && c->insecure)
        self->identity = rk_identity_plain;
    else if (!rc)
        rc = s_open_own (self, folder, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < self->places->n; i++) {
        const s_door_t known = {.join = self->places->list[i], .folder = folder, .patience_ms = AGAIN_MS};
        rc = s_meet (self, &known, err);
        if (!rc || rc == RK_ECANCELED)
            return rc;
    }
    const s_door_t given = {.join = c->join, .folder = folder, .patience_ms = self->places->n ? AGAIN_MS : 0};
    if (self->places->n && rk_ticket_is (c->join)) /* used up: nobody is there who knows this node */
        return rc;
    return s_meet (self, &given, err);
}

void rk_node_unsecure (rk_node_t *self)
{
    rk_gate_stop (&self->gate);
    rk_identity_forget (&self->identity);
}

/* ---- members of the run, as the leader names them */
rk_err_t rk_node_on_keys (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_endpoints_t *keys = &packet->msg.keys;
    rk_err_t rc = RK_OK;
    for (size_t i = 0; !rc && !self->identity.plain && i < keys->n; i++)
        rc = rk_gate_admit (self->identity.gate, keys->list[i].endpoint, err);
    return rc;
}
