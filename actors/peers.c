/* SPDX-License-Identifier: MPL-2.0
 * Whom a loop can send to and whom it listens to: DEALERs by address, learned ways back, the poll list. */
#include "actors/loop.h"
#include "actors/node_endpoints.h"

#define LINGER_MS 1000 /* a goodbye has this long to get out after the actor ended */

void rk_loop_plumb (rk_loop_t *loop, zsock_t *sock, void *raw)
{
    zsock_set_sndhwm (sock, loop->hwm);
    zsock_set_rcvhwm (sock, loop->hwm);
    zsock_set_linger (sock, LINGER_MS);
    int64_t most = loop->max_message_bytes ? (int64_t) loop->max_message_bytes : -1;
    zmq_setsockopt (raw, ZMQ_MAXMSGSIZE, &most, sizeof most);
}

/* Coordinators and profilers answer on the DEALER that asked; nobody else does. */
static bool s_answers (uint32_t address)
{
    return address == RK_TO_COORDINATOR || rk_address_kind (address) == RK_ACTOR_COORDINATOR ||
           rk_address_kind (address) == RK_ACTOR_PROFILER;
}

static void s_list (rk_loop_t *loop, int at, void *socket)
{
    size_t size = sizeof loop->fds[at].fd;
    loop->items[at] = (rk_loop_item_t){.socket = socket, .dirty = true};
    loop->fds[at] = (struct pollfd){.fd = -1, .events = POLLIN};
    zmq_getsockopt (socket, ZMQ_FD, &loop->fds[at].fd, &size);
}

rk_err_t rk_loop_list_items (rk_loop_t *loop)
{
    size_t most = RK_LOOP_N_FIXED + loop->n_peers + loop->n_tethers;
    rk_loop_item_t *items = realloc (loop->items, most * sizeof *items);
    if (items)
        loop->items = items;
    struct pollfd *fds = realloc (loop->fds, most * sizeof *fds);
    if (fds)
        loop->fds = fds;
    if (!items || !fds)
        return RK_ENOMEM;
    s_list (loop, RK_LOOP_PIPE, loop->pipe_socket);
    s_list (loop, RK_LOOP_INBOX, loop->inbox_socket);
    int n = RK_LOOP_N_FIXED;
    for (size_t i = 0; i < loop->n_peers; i++) {
        rk_loop_peer_t *peer = &loop->peers[i];
        peer->item = !peer->dealer ? RK_LOOP_INBOX : peer->answers || s_answers (peer->address) ? n++ : -1;
        if (peer->item >= RK_LOOP_N_FIXED)
            s_list (loop, peer->item, peer->socket);
    }
    loop->n_items = n;
    rk_loop_list_tethers (loop);
    loop->n_changes++;
    return RK_OK;
}

static void s_log_link (const rk_loop_t *loop, const rk_loop_peer_t *peer)
{
    const char *kind = peer->address == RK_TO_COORDINATOR ? "coordinator" : rk_actor_kind_name (rk_address_kind (peer->address));
    bool own = peer->address == RK_TO_COORDINATOR || peer->address == RK_TO_OBSERVER;
    char node[16] = "own";
    if (!own)
        snprintf (node, sizeof node, "%u", rk_address_node (peer->address));
    rk_log (RK_LOG_INFO, "LINK", "from=%s:%u to=%s:%s messages=%llu bytes=%llu", rk_actor_kind_name (rk_address_kind (loop->address)),
            rk_address_node (loop->address), peer->address == RK_TO_OBSERVER ? "observer" : kind, node,
            (unsigned long long) peer->seq, (unsigned long long) peer->bytes);
}

/* What went over each DEALER, once, when the actor ends. */
void rk_loop_log_links (const rk_loop_t *loop)
{
    for (size_t i = 0; i < loop->n_peers; i++)
        if (loop->peers[i].dealer && loop->peers[i].seq)
            s_log_link (loop, &loop->peers[i]);
}

static rk_loop_peer_t *s_peer (const rk_loop_t *loop, uint32_t address)
{
    for (size_t i = 0; i < loop->n_peers; i++)
        if (loop->peers[i].address == address)
            return &loop->peers[i];
    return NULL;
}

static rk_loop_peer_t *s_add_peer (rk_loop_t *loop, uint32_t address)
{
    rk_loop_peer_t *peer = s_peer (loop, address);
    if (peer)
        return peer;
    if (loop->n_peers == loop->capacity) {
        size_t capacity = loop->capacity ? 2 * loop->capacity : 8;
        rk_loop_peer_t *peers = realloc (loop->peers, capacity * sizeof *peers);
        if (!peers)
            return NULL;
        loop->peers = peers;
        loop->capacity = capacity;
    }
    peer = &loop->peers[loop->n_peers++];
    *peer = (rk_loop_peer_t){.address = address, .item = RK_LOOP_INBOX};
    return peer;
}

/* Before a DEALER connects: encryption, and the address without the key. A tcp endpoint without one is of this
 * node's own owner.                                                                                        */
static rk_err_t s_secure (rk_loop_t *loop, void *socket, const char *endpoint, char plain[RK_LOOP_ENDPOINT], rk_error_t *err)
{
    uint8_t key[RK_KEY_BYTES];
    bool has_key = false;
    rk_err_t code = rk_endpoint_split (endpoint, plain, RK_LOOP_ENDPOINT, key, &has_key, err);
    if (code || !rk_endpoint_is_tcp (endpoint))
        return code;
    if (!loop->has_identity)
        return rk_error_set (err, RK_EINVAL, "cannot connect to %s: an actor needs an identity for tcp", plain);
    if (loop->identity.plain)
        return has_key ? rk_error_set (err, RK_EINVAL, "%s is encrypted, this process is not (--insecure)", plain) : RK_OK;
    return rk_identity_call (&loop->identity, socket, has_key ? key : loop->identity.public_key, err);
}

rk_err_t rk_loop_connect (rk_loop_t *loop, uint32_t address, const char *endpoint, rk_error_t *err)
{
    rk_loop_peer_t *peer = s_add_peer (loop, address);
    if (!peer)
        return rk_error_set (err, RK_ENOMEM, "no memory for peer %zu", loop->n_peers);
    zsock_destroy (&peer->dealer);
    rk_loop_untie (loop, address);
    peer->socket = NULL;
    peer->dealer = zsock_new (ZMQ_DEALER);
    if (!peer->dealer)
        return rk_error_set (err, RK_EIO, "no socket for peer %zu: %s (raise the socket limit)", loop->n_peers,
                             zmq_strerror (errno));
    peer->socket = zsock_resolve (peer->dealer);
    rk_loop_plumb (loop, peer->dealer, peer->socket);
    char plain[RK_LOOP_ENDPOINT];
    rk_err_t code = s_secure (loop, peer->socket, endpoint, plain, err);
    if (code)
        return code;
    char seen[RK_LOOP_ENDPOINT];
    rk_node_seen_from (plain, loop->has_identity ? loop->identity.any : "", seen, sizeof seen);
    if (zmq_connect (peer->socket, seen) != 0)
        return rk_error_set (err, RK_EIO, "cannot connect to %s: %s", seen, zmq_strerror (errno));
    if (rk_loop_list_items (loop) != RK_OK)
        return rk_error_set (err, RK_ENOMEM, "no memory to poll %zu peers", loop->n_peers);
    return RK_OK;
}

rk_err_t rk_loop_introduce (rk_loop_t *loop, uint32_t address, const char *endpoint, rk_error_t *err)
{
    rk_loop_peer_t *peer = s_add_peer (loop, address);
    if (peer && peer->dealer)
        return RK_OK; /* connected already */
    char *own = peer ? strdup (endpoint) : NULL;
    if (!own)
        return rk_error_set (err, RK_ENOMEM, "no memory for peer %zu", loop->n_peers);
    free (peer->endpoint);
    peer->endpoint = own;
    return RK_OK;
}

/* Opens the DEALER of a peer that has only been introduced. */
static rk_err_t s_open_introduced (rk_loop_t *loop, rk_loop_peer_t *peer, rk_error_t *err)
{
    char *endpoint = peer->endpoint;
    peer->endpoint = NULL;
    rk_err_t code = rk_loop_connect (loop, peer->address, endpoint, err);
    free (endpoint);
    return code;
}

bool rk_loop_connected (const rk_loop_t *loop, uint32_t address)
{
    const rk_loop_peer_t *peer = s_peer (loop, address);
    return peer && (peer->dealer || peer->n_routing || peer->endpoint);
}

uint32_t rk_loop_find (const rk_loop_t *loop, rk_actor_kind_t kind)
{
    for (size_t i = 0; i < loop->n_peers; i++)
        if (rk_address_kind (loop->peers[i].address) == kind)
            return loop->peers[i].address;
    return 0;
}

rk_err_t rk_loop_learn (rk_loop_t *loop, uint32_t address, const rk_packet_t *packet)
{
    if (!packet->n_routing || packet->n_routing > RK_LOOP_ID)
        return RK_EPEER;
    rk_loop_peer_t *peer = s_add_peer (loop, address);
    if (!peer)
        return RK_ENOMEM;
    memcpy (peer->routing, packet->routing, packet->n_routing);
    peer->n_routing = packet->n_routing;
    return RK_OK;
}

rk_err_t rk_loop_listen (rk_loop_t *loop, uint32_t address, rk_error_t *err)
{
    rk_loop_peer_t *peer = s_peer (loop, address);
    if (!peer || peer->answers)
        return peer ? RK_OK : rk_error_set (err, RK_EPEER, "no way to %s %u", rk_actor_kind_name (rk_address_kind (address)),
                                            rk_address_node (address));
    rk_err_t code = peer->endpoint ? s_open_introduced (loop, peer, err) : RK_OK;
    peer = s_peer (loop, address);
    peer->answers = code == RK_OK;
    if (code == RK_OK && rk_loop_list_items (loop) != RK_OK)
        code = rk_error_set (err, RK_ENOMEM, "no memory to poll %zu peers", loop->n_peers);
    return code;
}

void rk_loop_rename (rk_loop_t *loop, uint32_t address, uint32_t to)
{
    rk_loop_peer_t *peer = s_peer (loop, address);
    if (!peer || address == to)
        return;
    rk_loop_forget (loop, to);
    s_peer (loop, address)->address = to;
}

void rk_loop_forget (rk_loop_t *loop, uint32_t address)
{
    rk_loop_peer_t *peer = s_peer (loop, address);
    if (!peer)
        return;
    zsock_destroy (&peer->dealer);
    free (peer->endpoint);
    rk_loop_untie (loop, address);
    *peer = loop->peers[--loop->n_peers];
    if (rk_loop_list_items (loop) != RK_OK)
        loop->n_items = RK_LOOP_N_FIXED, loop->n_tethers = 0; /* cannot happen: the list only shrinks */
}

void rk_loop_forget_peers (rk_loop_t *loop)
{
    for (size_t i = loop->n_peers; i-- > 0;)
        if (loop->peers[i].address != RK_TO_COORDINATOR && loop->peers[i].address != RK_TO_OBSERVER)
            rk_loop_forget (loop, loop->peers[i].address);
}

rk_err_t rk_loop_send (rk_loop_t *loop, uint32_t address, rk_msg_t *msg, const rk_frame_t *frames, int n_frames, rk_error_t *err)
{
    rk_loop_peer_t *peer = s_peer (loop, address);
    if (!peer) { /* a message can overtake the CONNECT that its answer needs: they come over different sockets */
        rk_loop_hear (loop);
        peer = s_peer (loop, address);
    }
    void *socket = NULL;
    uint64_t seq = 0;
    const uint8_t *routing = NULL;
    size_t n_routing = 0;
    rk_err_t code = peer && peer->endpoint ? s_open_introduced (loop, peer, err) : RK_OK;
    if (peer && code == RK_OK) {
        seq = ++peer->seq;
        socket = peer->dealer ? peer->socket : loop->inbox_socket;
        routing = peer->dealer ? NULL : peer->routing;
        n_routing = peer->dealer ? 0 : peer->n_routing;
    }
    msg->view = loop->view;
    msg->sender = loop->address;
    msg->seq = seq;
    if (socket) {
        uint64_t before = loop->bytes_sent;
        code = rk_wire_send (socket, routing, n_routing, msg, frames, n_frames, &loop->bytes_sent, err);
        peer->bytes += loop->bytes_sent - before;
        if (peer->item >= 0) /* sending takes the signal of what has come meanwhile */
            loop->items[peer->item].dirty = true;
    } else {
        for (int i = 0; i < n_frames; i++) /* released all the same */
            if (frames[i].release && !frames[i].share)
                frames[i].release ((void *) frames[i].bytes, frames[i].hint);
        if (code == RK_OK)
            code = rk_error_set (err, RK_EPEER, "no way to %s %u", rk_actor_kind_name (rk_address_kind (address)),
                                 rk_address_node (address));
    }
    if (code == RK_EPEER)
        return rk_error_wrap (err, code, "%s %u to %s %u", rk_actor_kind_name (loop->klass->kind), rk_address_node (loop->address),
                              rk_actor_kind_name (rk_address_kind (address)), rk_address_node (address));
    return code;
}

void rk_loop_say (rk_loop_t *loop, const char *word, rk_err_t code, const char *text)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) code);
    if (zstr_sendx (loop->pipe, word, digits, text ? text : "", NULL) != 0)
        rk_log (RK_LOG_ERROR, "PARENT-DEAF", "%s %s", word, text ? text : "");
    if (loop->items)
        loop->items[RK_LOOP_PIPE].dirty = true;
}

uint32_t rk_loop_address (const rk_loop_t *loop)
{
    return loop->address;
}

void rk_loop_set_address (rk_loop_t *loop, uint32_t address)
{
    loop->address = address;
}

const char *rk_loop_endpoint (const rk_loop_t *loop)
{
    return loop->endpoint;
}

const rk_identity_t *rk_loop_identity (const rk_loop_t *loop)
{
    return &loop->identity;
}

uint64_t rk_loop_view (const rk_loop_t *loop)
{
    return loop->view;
}

void rk_loop_set_view (rk_loop_t *loop, uint64_t view)
{
    loop->view = view;
}

uint64_t rk_loop_bytes_sent (const rk_loop_t *loop)
{
    return loop->bytes_sent;
}

uint64_t rk_loop_dropped (const rk_loop_t *loop)
{
    return loop->dropped;
}

int64_t rk_loop_idle_ns (const rk_loop_t *loop)
{
    return loop->idle_ns;
}
