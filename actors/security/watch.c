/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/watch.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "actors/actor.h"

#define MOST_PENDING 64  /* connections in their handshake that are told apart, per door */
#define LINES_BURST 16   /* lines about strangers at once, then */
#define LINES_PER_S 2
#define ADDRESS 64

typedef struct {
    int fd;
    bool maybe_in;        /* some connection of this door has got in since it was accepted */
    char address[ADDRESS];
} s_pending_t;

typedef struct {
    zsock_t *sock;
    char own[ADDRESS];    /* where it listens */
    s_pending_t pending[MOST_PENDING];
    size_t n_pending;
    bool told;            /* of this failure the gate has spoken already */
    char why[96];         /* of the handshake that has just failed */
} s_door_t;

struct rk_watch {
    s_door_t **doors;
    size_t n, capacity;
    double lines;         /* that may be written now */
    int64_t counted_ms;
    uint64_t left_out;
};

rk_err_t rk_watch_new (rk_watch_t **watch_p)
{
    *watch_p = calloc (1, sizeof **watch_p);
    if (!*watch_p)
        return RK_ENOMEM;
    (*watch_p)->lines = LINES_BURST;
    return RK_OK;
}

static void s_door_destroy (s_door_t *door)
{
    zsock_destroy (&door->sock);
    free (door);
}

void rk_watch_destroy (rk_watch_t **watch_p)
{
    rk_watch_t *watch = *watch_p;
    for (size_t i = 0; watch && i < watch->n; i++)
        s_door_destroy (watch->doors[i]);
    if (watch)
        free (watch->doors);
    free (watch);
    *watch_p = NULL;
}

rk_err_t rk_watch_add (rk_watch_t *watch, const char *monitor, rk_error_t *err)
{
    if (watch->n == watch->capacity) {
        size_t capacity = watch->capacity ? 2 * watch->capacity : 8;
        s_door_t **doors = realloc (watch->doors, capacity * sizeof *doors);
        if (!doors)
            return rk_error_set (err, RK_ENOMEM, "no memory for door %zu", watch->n);
        watch->doors = doors;
        watch->capacity = capacity;
    }
    s_door_t *door = calloc (1, sizeof *door);
    if (door)
        door->sock = zsock_new (ZMQ_PAIR);
    if (!door || !door->sock) {
        free (door);
        return rk_error_set (err, RK_ENOMEM, "no socket for door %zu", watch->n);
    }
    zsock_set_rcvhwm (door->sock, 0); /* libzmq's thread must not wait for this one */
    if (zmq_connect (zsock_resolve (door->sock), monitor) != 0) {
        s_door_destroy (door);
        return rk_error_set (err, RK_EIO, "cannot listen to %s: %s", monitor, zmq_strerror (errno));
    }
    watch->doors[watch->n++] = door;
    return RK_OK;
}

size_t rk_watch_n (const rk_watch_t *watch)
{
    return watch->n;
}

zsock_t *rk_watch_sock (const rk_watch_t *watch, size_t i)
{
    return watch->doors[i]->sock;
}

/* ---- lines */
void rk_watch_log (rk_watch_t *watch, int64_t now_ms, const char *id, const char *fmt, ...)
{
    watch->lines += (double) (now_ms - watch->counted_ms) * LINES_PER_S / 1000;
    if (watch->lines > LINES_BURST)
        watch->lines = LINES_BURST;
    watch->counted_ms = now_ms;
    if (watch->lines < 1) {
        watch->left_out++;
        return;
    }
    watch->lines -= 1;
    char text[256];
    va_list args;
    va_start (args, fmt);
    vsnprintf (text, sizeof text, fmt, args);
    va_end (args);
    if (watch->left_out)
        rk_log (RK_LOG_WARNING, id, "%s (and %llu more since the last line)", text, (unsigned long long) watch->left_out);
    else
        rk_log (RK_LOG_WARNING, id, "%s", text);
    watch->left_out = 0;
}

/* ---- events */
static void s_address_of (int fd, char address[ADDRESS])
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char host[INET6_ADDRSTRLEN] = "";
    snprintf (address, ADDRESS, "unknown");
    if (getpeername (fd, (struct sockaddr *) &peer, &size) != 0)
        return; /* it is gone already */
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) &peer;
        if (inet_ntop (AF_INET, &in->sin_addr, host, sizeof host))
            snprintf (address, ADDRESS, "%s:%u", host, ntohs (in->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *) &peer;
        if (inet_ntop (AF_INET6, &in->sin6_addr, host, sizeof host))
            snprintf (address, ADDRESS, "[%s]:%u", host, ntohs (in->sin6_port));
    }
}

static void s_accepted (s_door_t *door, int fd)
{
    if (door->n_pending == MOST_PENDING) /* a flood: the oldest is not told apart any more */
        memmove (door->pending, door->pending + 1, --door->n_pending * sizeof *door->pending);
    s_pending_t *p = &door->pending[door->n_pending++];
    *p = (s_pending_t){.fd = fd};
    s_address_of (fd, p->address);
}

static void s_got_in (s_door_t *door)
{
    if (door->n_pending == 1) { /* no doubt which */
        door->n_pending = 0;
        return;
    }
    for (size_t i = 0; i < door->n_pending; i++)
        door->pending[i].maybe_in = true;
}

static void s_failed (s_door_t *door, uint16_t event, uint32_t value)
{
    door->told = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH; /* the gate itself said no, with the key */
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
        snprintf (door->why, sizeof door->why, "it was told another key than this node's, or its message was changed");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        snprintf (door->why, sizeof door->why, "it does not encrypt");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        snprintf (door->why, sizeof door->why, "it broke the protocol in the handshake (0x%x)", value);
    else
        snprintf (door->why, sizeof door->why, "it left before the handshake was over");
}

static void s_ended (rk_watch_t *watch, s_door_t *door, int fd, int64_t now_ms)
{
    size_t i = 0;
    while (i < door->n_pending && door->pending[i].fd != fd)
        i++;
    if (i < door->n_pending) {
        const s_pending_t *p = &door->pending[i];
        if (!door->told && (door->why[0] || !p->maybe_in))
            rk_watch_log (watch, now_ms, "STRANGER", "address=%s at=%s %s", p->address, door->own,
                          door->why[0] ? door->why : "what it sent is no handshake");
        memmove (&door->pending[i], &door->pending[i + 1], (--door->n_pending - i) * sizeof *door->pending);
    }
    door->told = false;
    door->why[0] = '\0';
}

/* False when the door is no more. */
static bool s_event (rk_watch_t *watch, s_door_t *door, uint16_t event, uint32_t value, int64_t now_ms)
{
    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        s_accepted (door, (int) value);
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        s_got_in (door);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        s_failed (door, event, value);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        s_ended (watch, door, (int) value, now_ms);
        break;
    case ZMQ_EVENT_ACCEPT_FAILED:
        rk_watch_log (watch, now_ms, "NO-ROOM", "at=%s cannot take a connection: %s", door->own, strerror ((int) value));
        break;
    case ZMQ_EVENT_MONITOR_STOPPED:
        return false;
    default:
        break;
    }
    return true;
}

/* One event: frames of event (u16), value (u32), and the door's own address. */
static bool s_take (rk_watch_t *watch, s_door_t *door, int64_t now_ms)
{
    zmsg_t *msg = zmsg_recv (door->sock);
    zframe_t *facts = msg ? zmsg_first (msg) : NULL, *own = facts ? zmsg_next (msg) : NULL;
    bool open = true;
    if (facts && own && zframe_size (facts) == 6) {
        uint16_t event;
        uint32_t value;
        memcpy (&event, zframe_data (facts), sizeof event);
        memcpy (&value, zframe_data (facts) + sizeof event, sizeof value);
        size_t n = zframe_size (own) < ADDRESS ? zframe_size (own) : ADDRESS - 1;
        memcpy (door->own, zframe_data (own), n);
        door->own[n] = '\0';
        open = s_event (watch, door, event, value, now_ms);
    }
    zmsg_destroy (&msg);
    return open;
}

void rk_watch_hear (rk_watch_t *watch, size_t i, int64_t now_ms)
{
    s_door_t *door = watch->doors[i];
    while (zsock_events (door->sock) & ZMQ_POLLIN)
        if (!s_take (watch, door, now_ms)) {
            s_door_destroy (door);
            watch->doors[i] = watch->doors[--watch->n];
            return;
        }
}
