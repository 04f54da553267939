/* SPDX-License-Identifier: MPL-2.0
 * The actor's half: sockets, the poll loop, dispatch by table, and the one place where handlers' codes are
 * sorted. Nothing is allocated per message.                                                                */
#include "actors/loop.h"
#include "actors/relay/tunnel.h"
#include "actors/security/gate.h"

#define BURST 64                    /* messages taken from one socket before work gets its turn */
#define LOUD_DROPS 8                /* dropped messages that are logged; the rest is only counted */
#define LOUD_PEERS 8                /* of errors of others; then the 16th, 32nd, ... with their number */

/* ---- sorting of codes */

static void s_tell_coordinator (rk_loop_t *loop, rk_err_t code, const char *text)
{
    if (loop->klass->kind == RK_ACTOR_COORDINATOR || !rk_loop_connected (loop, RK_TO_COORDINATOR))
        return;
    rk_msg_t msg = {.kind = RK_MSG_FAILED, .failed = {.node = rk_address_node (loop->address), .text = text, .actor = loop->address,
                                                      .final = code == RK_ENONFINITE}};
    if (rk_loop_send (loop, RK_TO_COORDINATOR, &msg, NULL, 0, NULL) != RK_OK)
        rk_log (RK_LOG_ERROR, "COORDINATOR-GONE", "%s", text);
}

/* An actor whose peer is gone may fail to reach it thousands of times before somebody acts. */
static void s_log_peer (rk_loop_t *loop, const char *who, uint32_t node, const char *text)
{
    const uint64_t n = ++loop->n_peer_errors;
    if (n <= LOUD_PEERS)
        rk_log (RK_LOG_WARNING, "PEER", "actor=%s node=%u %s", who, node, text);
    else if ((n & (n - 1)) == 0)
        rk_log (RK_LOG_WARNING, "PEER", "actor=%s node=%u times=%llu %s", who, node, (unsigned long long) n, text);
}

static void s_sort (rk_loop_t *loop, rk_err_t code, const rk_error_t *err)
{
    const char *text = err->text[0] ? err->text : rk_strerror (code);
    const char *who = rk_actor_kind_name (loop->klass->kind);
    uint32_t node = rk_address_node (loop->address);
    switch (code) {
    case RK_OK:
        break;
    case RK_EFORMAT:
    case RK_ESTALE:
        if (++loop->dropped <= LOUD_DROPS)
            rk_log (code == RK_ESTALE ? RK_LOG_INFO : RK_LOG_WARNING, "DROPPED", "actor=%s node=%u %s", who, node, text);
        break;
    case RK_EPEER:
    case RK_ETIMEDOUT:
        s_log_peer (loop, who, node, text);
        s_tell_coordinator (loop, code, text);
        break;
    case RK_ECANCELED:
        loop->ended = true;
        break;
    default:
        s_tell_coordinator (loop, code, text);
        rk_loop_say (loop, "FAILED", code, text);
        if (loop->klass->linger)
            loop->klass->linger (loop->self);
        else
            loop->ended = true;
    }
}

/* ---- open and close */

/* libzmq waits for ever to tell nobody: a monitor is stopped while somebody listens. */
static void s_unwatch (rk_loop_t *loop)
{
    if (loop->watched && zmq_socket_monitor (loop->inbox_socket, NULL, 0) != 0)
        rk_log (RK_LOG_ERROR, "MONITOR", "cannot be stopped: %s", zmq_strerror (errno));
    loop->watched = false;
}

static void s_unheard (rk_loop_t *loop, const char *monitor)
{
    zsock_t *ear = zsock_new (ZMQ_PAIR);
    loop->watched = ear && zmq_connect (zsock_resolve (ear), monitor) == 0;
    s_unwatch (loop);
    zsock_destroy (&ear);
}

/* The gate hears of every connection before there can be one. */
static rk_err_t s_guard (rk_loop_t *loop, rk_error_t *err)
{
    char monitor[64];
    const int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_MONITOR_STOPPED |
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    rk_endpoint_unique (monitor, sizeof monitor, "inproc", NULL);
    if (zmq_socket_monitor (loop->inbox_socket, monitor, events) != 0)
        return rk_error_set (err, RK_EIO, "no monitor for an inbox: %s", zmq_strerror (errno));
    rk_err_t rc = rk_gate_watch (loop->identity.gate, monitor, err);
    loop->watched = rc == RK_OK;
    if (rc)
        s_unheard (loop, monitor);
    if (!rc)
        rc = rk_identity_serve (&loop->identity, loop->inbox_socket, loop->klass->kind == RK_ACTOR_COORDINATOR, err);
    loop->guarded = rc == RK_OK;
    return rc;
}

static rk_err_t s_bind (rk_loop_t *loop, const char *endpoint, rk_error_t *err)
{
    if (loop->items) /* binding takes the signal of whoever has connected and spoken already */
        loop->items[RK_LOOP_INBOX].dirty = true;
    char address[RK_LOOP_ENDPOINT];
    uint8_t key[RK_KEY_BYTES];
    bool has_key = false, tcp = rk_endpoint_is_tcp (endpoint);
    rk_err_t rc = rk_endpoint_split (endpoint, address, sizeof address, key, &has_key, err);
    if (!rc && has_key && (loop->identity.plain || memcmp (key, loop->identity.public_key, RK_KEY_BYTES) != 0))
        rc = rk_error_set (err, RK_EINVAL, "cannot bind %s: that is not the key of this node", endpoint);
    if (!rc && tcp && !loop->has_identity)
        rc = rk_error_set (err, RK_EINVAL, "cannot bind %s: an actor needs an identity for tcp", endpoint);
    if (!rc && tcp && !loop->identity.plain && !loop->guarded)
        rc = s_guard (loop, err);
    if (!rc && zmq_bind (loop->inbox_socket, address) != 0)
        rc = rk_error_set (err, RK_EIO, "cannot bind %s: %s", address, zmq_strerror (errno));
    /* Who connected before is attached now. Its pipe says nothing of what comes until it was once found empty. */
    if (!rc && loop->items)
        loop->items[RK_LOOP_INBOX].dirty = true;
    return rc;
}

/* Where the inbox is, for those who cannot reach it: at the relay. */
static rk_err_t s_expose (rk_loop_t *loop, rk_error_t *err)
{
    if (!loop->has_identity || !loop->identity.tunnel[0] || !rk_endpoint_is_tcp (loop->endpoint))
        return RK_OK;
    snprintf (loop->bound, sizeof loop->bound, "%s", loop->endpoint);
    return rk_tunnel_expose (loop->identity.tunnel, loop->bound, loop->endpoint, sizeof loop->endpoint, err);
}

/* Where the inbox is: tcp with the key of who answers there. */
static rk_err_t s_find_endpoint (rk_loop_t *loop, rk_error_t *err)
{
    size_t size = sizeof loop->endpoint - RK_KEY_TEXT - 1;
    if (zmq_getsockopt (loop->inbox_socket, ZMQ_LAST_ENDPOINT, loop->endpoint, &size) != 0)
        return rk_error_set (err, RK_EIO, "inbox has no endpoint: %s", zmq_strerror (errno));
    size_t n = strlen (loop->endpoint);
    if (loop->guarded) {
        loop->endpoint[n] = '/';
        rk_key_text (loop->identity.public_key, loop->endpoint + n + 1);
    }
    return s_expose (loop, err);
}

static rk_err_t s_open_inbox (rk_loop_t *loop, const char *bind, rk_error_t *err)
{
    loop->inbox = zsock_new (ZMQ_ROUTER);
    if (!loop->inbox)
        return rk_error_set (err, RK_ENOMEM, "no socket for an inbox: %s", zmq_strerror (errno));
    loop->inbox_socket = zsock_resolve (loop->inbox);
    rk_loop_plumb (loop, loop->inbox, loop->inbox_socket);
    zsock_set_router_mandatory (loop->inbox, 1); /* a send to nobody must be an error, not a loss */
    char own[RK_LOOP_ENDPOINT];
    if (!bind)
        rk_endpoint_unique (own, sizeof own, "inproc", NULL);
    rk_err_t code = s_bind (loop, bind ? bind : own, err);
    return code ? code : s_find_endpoint (loop, err);
}

rk_err_t rk_loop_open (rk_loop_t *loop, zsock_t *pipe, const rk_actor_class_t *klass, const rk_actor_plumbing_t *plumbing,
                       rk_error_t *err)
{
    loop->klass = klass;
    loop->plumbing = plumbing;
    loop->pipe = pipe;
    loop->pipe_socket = zsock_resolve (pipe);
    zsock_set_sndtimeo (pipe, 0); /* a parent that does not listen cannot block its actor */
    loop->address = rk_address (klass->kind, plumbing->node);
    loop->view = plumbing->view;
    loop->max_message_bytes = plumbing->max_message_bytes;
    loop->hwm = plumbing->hwm ? plumbing->hwm : 1000;
    loop->has_identity = plumbing->identity != NULL;
    if (loop->has_identity)
        loop->identity = *plumbing->identity;
    rk_err_t code = rk_packet_new (&loop->packet);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a packet");
    code = s_open_inbox (loop, plumbing->bind, err);
    if (code == RK_OK && plumbing->coordinator)
        code = rk_loop_connect (loop, RK_TO_COORDINATOR, plumbing->coordinator, err);
    if (code == RK_OK && plumbing->observer)
        code = rk_loop_connect (loop, RK_TO_OBSERVER, plumbing->observer, err);
    if (code == RK_OK && rk_loop_list_items (loop) != RK_OK)
        code = rk_error_set (err, RK_ENOMEM, "no memory to poll %zu peers", loop->n_peers);
    return code;
}

void rk_loop_close (rk_loop_t *loop)
{
    rk_loop_log_links (loop);
    rk_packet_destroy (&loop->packet);
    for (size_t i = 0; i < loop->n_peers; i++) {
        zsock_destroy (&loop->peers[i].dealer);
        free (loop->peers[i].endpoint);
    }
    s_unwatch (loop);
    if (loop->bound[0] && loop->identity.tunnel[0])
        rk_tunnel_hide (loop->identity.tunnel, loop->bound);
    zsock_destroy (&loop->inbox);
    rk_identity_forget (&loop->identity);
    free (loop->peers);
    free (loop->items);
    free (loop->fds);
    free (loop->tethers);
    loop->tethers = NULL;
    loop->n_tethers = 0;
    loop->peers = NULL;
    loop->items = NULL;
    loop->fds = NULL;
    loop->n_peers = loop->capacity = 0;
}

/* ---- commands */

static rk_err_t s_on_connect (rk_loop_t *loop, bool at_once, char **words, rk_error_t *err)
{
    if (!words[0] || !words[1])
        return rk_error_set (err, RK_EINVAL, "CONNECT needs an address and an endpoint");
    uint32_t address = (uint32_t) strtoul (words[0], NULL, 10);
    return at_once ? rk_loop_connect (loop, address, words[1], err) : rk_loop_introduce (loop, address, words[1], err);
}

/* Where a tunnel has the inbox now: its name, the endpoint. */
static rk_err_t s_on_moved (rk_loop_t *loop, char **words, rk_error_t *err)
{
    if (!words[0] || !words[1] || strlen (words[0]) >= sizeof loop->identity.tunnel)
        return rk_error_set (err, RK_EINVAL, "MOVED needs a tunnel and an endpoint");
    if (!loop->bound[0])
        snprintf (loop->bound, sizeof loop->bound, "%s", loop->endpoint);
    snprintf (loop->identity.tunnel, sizeof loop->identity.tunnel, "%s", words[0]);
    snprintf (loop->endpoint, sizeof loop->endpoint, "%s", words[1]);
    return RK_OK;
}

static rk_err_t s_command (rk_loop_t *loop, const char *command, char **words, rk_error_t *err)
{
    if (strcmp (command, "$TERM") == 0)
        return RK_ECANCELED;
    if (strcmp (command, "CONNECT") == 0 || strcmp (command, "INTRODUCE") == 0)
        return s_on_connect (loop, command[0] == 'C', words, err);
    if (strcmp (command, "MOVED") == 0)
        return s_on_moved (loop, words, err);
    if (strcmp (command, "BIND") == 0)
        return words[0] ? s_bind (loop, words[0], err) : rk_error_set (err, RK_EINVAL, "BIND needs an endpoint");
    for (const rk_command_t *c = loop->klass->commands; c && c->command; c++)
        if (strcmp (c->command, command) == 0)
            return c->handle (loop->self, words, err);
    return rk_error_set (err, RK_EFORMAT, "unknown command %s", command);
}

/* Commands are rare and small, so zmsg's allocations do not matter here. */
static void s_handle_command (rk_loop_t *loop, zmsg_t *msg)
{
    enum { MOST_WORDS = 8 };
    char *words[MOST_WORDS + 1] = {NULL};
    for (int i = 0; i < MOST_WORDS && zmsg_size (msg); i++)
        words[i] = zmsg_popstr (msg);
    rk_error_t err = {RK_OK, ""};
    if (words[0])
        s_sort (loop, s_command (loop, words[0], words + 1, &err), &err);
    for (int i = 0; i < MOST_WORDS; i++)
        zstr_free (&words[i]);
}

void rk_loop_hear (rk_loop_t *loop)
{
    loop->items[RK_LOOP_PIPE].dirty = false;
    while (!loop->ended && (zsock_events (loop->pipe) & ZMQ_POLLIN)) {
        zmsg_t *msg = zmsg_recv (loop->pipe);
        if (!msg)
            break;
        s_handle_command (loop, msg);
        zmsg_destroy (&msg);
    }
}

/* ---- messages */

static rk_err_t s_dispatch (rk_loop_t *loop, rk_packet_t *packet, rk_error_t *err)
{
    const rk_msg_t *msg = &packet->msg;
    rk_handler_fn *handle = msg->kind < RK_N_MSG ? loop->klass->on[msg->kind] : NULL;
    if (!handle)
        return rk_error_set (err, RK_EFORMAT, "%s from %s %u is not for this actor", rk_msg_kind_name (msg->kind),
                             rk_actor_kind_name (rk_address_kind (msg->sender)), rk_address_node (msg->sender));
    if (strncmp (packet->user, RK_GATE_TICKET, sizeof RK_GATE_TICKET - 1) == 0 && msg->kind != RK_MSG_ENROL)
        return rk_error_set (err, RK_EFORMAT, "%s from %s: with %s one may only enrol", rk_msg_kind_name (msg->kind), packet->remote,
                             packet->user);
    /* a state is told by the rounds it has had: it is taken over from one view into another */
    bool of_view = msg->kind < RK_MSG_HELLO && msg->kind != RK_MSG_HANDOVER_REQUEST && msg->kind != RK_MSG_HANDOVER;
    if (of_view && msg->view != loop->view)
        return rk_error_set (err, RK_ESTALE, "%s of view %llu, now %llu", rk_msg_kind_name (msg->kind),
                             (unsigned long long) msg->view, (unsigned long long) loop->view);
    return handle (loop->self, packet, err);
}

static void s_handle_socket (rk_loop_t *loop, int item, bool router)
{
    /* A handler may connect or forget; then the socket may be gone and the list is a new one. */
    uint64_t n_changes = loop->n_changes;
    void *socket = loop->items[item].socket;
    for (int i = 0; i < BURST && !loop->ended && n_changes == loop->n_changes; i++) {
        rk_error_t err = {RK_OK, ""};
        rk_err_t code = rk_wire_receive (socket, router, loop->packet, &err);
        if (code == RK_ETIMEDOUT) {
            loop->items[item].dirty = false;
            break;
        }
        if (code == RK_OK)
            code = s_dispatch (loop, loop->packet, &err);
        s_sort (loop, code, &err);
    }
    rk_packet_clear (loop->packet);
}

/* Commands, then coordinators, then the inbox: a word to stop never waits behind data. */
static void s_handle_dirty (rk_loop_t *loop)
{
    if (loop->items[RK_LOOP_PIPE].dirty)
        rk_loop_hear (loop);
    for (int i = RK_LOOP_N_FIXED; i < loop->n_items && !loop->ended; i++)
        if (loop->items[i].dirty)
            s_handle_socket (loop, i, false);
    if (loop->items[RK_LOOP_INBOX].dirty && !loop->ended)
        s_handle_socket (loop, RK_LOOP_INBOX, true);
}

/* ---- waiting */

static bool s_any_dirty (const rk_loop_t *loop)
{
    for (int i = 0; i < loop->n_items; i++)
        if (loop->items[i].dirty)
            return true;
    return false;
}

/* One system call, where zmq_poll needs three for every socket; and nanoseconds instead of milliseconds. */
static void s_poll (rk_loop_t *loop, int64_t wait_ns)
{
    if (s_any_dirty (loop))
        wait_ns = 0;
    struct timespec timeout = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int64_t start = wait_ns > 0 ? rk_now_ns () : 0;
    int n = ppoll (loop->fds, (nfds_t) loop->n_items + loop->n_tethers, wait_ns == RK_FOREVER ? NULL : &timeout, NULL);
    if (wait_ns > 0)
        loop->idle_ns += rk_now_ns () - start;
    for (int i = 0; i < loop->n_items && n > 0; i++)
        loop->items[i].dirty |= loop->fds[i].revents != 0;
    if (n > 0)
        rk_loop_look_at_tethers (loop);
}

void rk_loop_run (rk_loop_t *loop)
{
    while (!loop->ended) {
        rk_err_t code = RK_OK;
        rk_error_t err = {RK_OK, ""};
        int64_t wait_ns = RK_FOREVER;
        if (loop->klass->work)
            wait_ns = loop->klass->work (loop->self, rk_now_ns (), &code, &err);
        s_sort (loop, code, &err);
        if (loop->ended)
            break;
        s_poll (loop, wait_ns > 0 ? wait_ns : 0);
        s_handle_dirty (loop);
        rk_loop_hear_hang_ups (loop);
    }
}
