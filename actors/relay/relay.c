/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/relay/relay.h"

#include <sys/socket.h>

#include "actors/actor.h"
#include "actors/relay/splice.h"
#include "actors/relay/words.h"

#define MOST_PORTS 64       /* of one member */
#define MOST_MEMBERS 1024
#define BRING_MS 10000      /* for a member to bring a connection, and for whoever is at the door to say its token */
#define PROBE_MS 2000
#define FORGET_MS 60000     /* after which a member that cannot be called has no ports any more */
#define FULL_MS 100         /* before somebody is taken again when there are no descriptors */

struct rk_relay {
    zactor_t *zactor;
    char endpoint[RK_RELAY_TEXT];
};

typedef struct {
    const rk_relay_config_t *config;
} s_boot_t;

typedef struct {
    int fd;
    uint16_t port;
    uint8_t member[RK_RELAY_ID];
    char inbox[RK_RELAY_WORD];
    int64_t deaf_ms;            /* since when the member cannot be called; 0: it can */
} s_port_t;

typedef enum { CALLED, AT_DOOR, PROBING, PASSED_ON } s_state_t;

typedef struct {
    s_state_t state;
    int fd;                     /* while it is one */
    rk_splice_t splice;
    char token[RK_RELAY_TOKEN]; /* CALLED: to be said; AT_DOOR: said so far; PROBING: to say */
    size_t n;
    int64_t end_ms;             /* of its patience */
    uint8_t member[RK_RELAY_ID];/* PROBING: who asked */
} s_line_t;

typedef struct {
    zsock_t *pipe, *tunnels;
    int door;
    uint16_t door_port;
    char host[RK_TCP_HOST];
    s_port_t *ports;
    size_t n_ports, ports_capacity;
    s_line_t *lines;
    size_t n_lines, most_lines;
    struct pollfd *items;
    size_t items_capacity;
    int64_t now_ms, full_until_ms;
} self_t;

/* ---- to members */
static bool s_tell (self_t *self, const uint8_t member[RK_RELAY_ID], const char *verb, const char *a, const char *b, const char *c)
{
    zmsg_t *msg = zmsg_new ();
    zmsg_addmem (msg, member, RK_RELAY_ID);
    const char *const words[] = {verb, a, b, c};
    for (size_t i = 0; i < sizeof words / sizeof *words && words[i]; i++)
        zmsg_addstr (msg, words[i]);
    bool sent = zmsg_send (&msg, self->tunnels) == 0;
    zmsg_destroy (&msg);
    return sent;
}

/* ---- connections */
static s_line_t *s_add_line (self_t *self, s_state_t state, int fd, int64_t patience_ms)
{
    if (self->n_lines == self->most_lines) {
        rk_log (RK_LOG_WARNING, "RELAY-FULL", "lines=%zu", self->n_lines);
        close (fd);
        return NULL;
    }
    s_line_t *line = &self->lines[self->n_lines++];
    *line = (s_line_t){.state = state, .fd = fd, .splice = {.fd = {-1, -1}}, .end_ms = self->now_ms + patience_ms};
    return line;
}

static void s_drop_line (self_t *self, size_t i)
{
    s_line_t *line = &self->lines[i];
    if (line->state == PROBING && !s_tell (self, line->member, "PROBED", line->token, "0", NULL))
        rk_log (RK_LOG_DEBUG, "RELAY", "who asked for a probe is gone");
    if (line->fd >= 0)
        close (line->fd);
    rk_splice_close (&line->splice);
    *line = self->lines[--self->n_lines];
}

static void s_call (self_t *self, s_port_t *port, int fd)
{
    char digits[8];
    s_line_t *line = s_add_line (self, CALLED, fd, BRING_MS);
    if (!line)
        return;
    rk_relay_token (line->token);
    snprintf (digits, sizeof digits, "%u", self->door_port);
    if (s_tell (self, port->member, "CALL", port->inbox, line->token, digits)) {
        port->deaf_ms = 0;
        return;
    }
    port->deaf_ms = port->deaf_ms ? port->deaf_ms : self->now_ms;
    s_drop_line (self, self->n_lines - 1); /* it will try again, and by then the tunnel may be back */
}

/* A member has brought what was called for. */
static void s_join (self_t *self, size_t door)
{
    s_line_t *brought = &self->lines[door];
    for (size_t i = 0; i < self->n_lines; i++) {
        s_line_t *line = &self->lines[i];
        if (line->state != CALLED || memcmp (line->token, brought->token, sizeof line->token) != 0)
            continue;
        if (rk_splice_open (&line->splice, line->fd, brought->fd))
            break;
        line->state = PASSED_ON;
        line->fd = brought->fd = -1;
        break;
    }
    s_drop_line (self, door);
}

/* Somebody at the door says a token. false: hang up. */
static bool s_hear_door (s_line_t *line, bool *whole)
{
    ssize_t n = recv (line->fd, line->token + line->n, sizeof line->token - 1 - line->n, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    line->n += n > 0 ? (size_t) n : 0;
    *whole = line->n == sizeof line->token - 1;
    return true;
}

static void s_probed (self_t *self, size_t i)
{
    s_line_t *line = &self->lines[i];
    const size_t n = strlen (line->token);
    bool said = rk_tcp_connected (line->fd) && send (line->fd, line->token, n, MSG_NOSIGNAL) == (ssize_t) n;
    if (said && s_tell (self, line->member, "PROBED", line->token, "1", NULL))
        line->state = AT_DOOR; /* nothing more to be told when it is dropped */
    s_drop_line (self, i);
}

static void s_on_line (self_t *self, size_t i, short first, short second)
{
    s_line_t *line = &self->lines[i];
    bool whole = false;
    switch (line->state) {
    case CALLED: /* it has hung up before it was brought anywhere */
        if (first)
            s_drop_line (self, i);
        break;
    case AT_DOOR:
        if (first && !s_hear_door (line, &whole))
            s_drop_line (self, i);
        else if (whole)
            s_join (self, i);
        break;
    case PROBING:
        if (first)
            s_probed (self, i);
        break;
    case PASSED_ON:
        if ((first || second) && !rk_splice_move (&line->splice))
            s_drop_line (self, i);
        break;
    }
}

static int s_accept (self_t *self, int listening)
{
    int fd = rk_tcp_accept (listening);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        self->full_until_ms = self->now_ms + FULL_MS;
    return fd;
}

/* ---- ports */
static void s_drop_port (self_t *self, size_t i)
{
    close (self->ports[i].fd);
    self->ports[i] = self->ports[--self->n_ports];
}

static s_port_t *s_find_port (self_t *self, const uint8_t member[RK_RELAY_ID], const char *inbox, size_t *n_own)
{
    s_port_t *found = NULL;
    *n_own = 0;
    for (size_t i = 0; i < self->n_ports; i++) {
        if (memcmp (self->ports[i].member, member, RK_RELAY_ID) != 0)
            continue;
        (*n_own)++;
        if (strcmp (self->ports[i].inbox, inbox) == 0)
            found = &self->ports[i];
    }
    return found;
}

static s_port_t *s_add_port (self_t *self, const uint8_t member[RK_RELAY_ID], const char *inbox, rk_error_t *err)
{
    if (self->n_ports == self->ports_capacity) {
        size_t capacity = self->ports_capacity ? 2 * self->ports_capacity : 16;
        s_port_t *ports = realloc (self->ports, capacity * sizeof *ports);
        if (!ports) {
            rk_error_set (err, RK_ENOMEM, "no memory for port %zu", self->n_ports);
            return NULL;
        }
        self->ports = ports;
        self->ports_capacity = capacity;
    }
    s_port_t *port = &self->ports[self->n_ports];
    *port = (s_port_t){.fd = -1};
    if (rk_tcp_listen (self->host, &port->fd, &port->port, err))
        return NULL;
    memcpy (port->member, member, RK_RELAY_ID);
    snprintf (port->inbox, sizeof port->inbox, "%s", inbox);
    self->n_ports++;
    return port;
}

/* ---- from members */
static void s_on_expose (self_t *self, const uint8_t member[RK_RELAY_ID], const char *inbox)
{
    size_t n_own = 0;
    rk_error_t err = {RK_OK, ""};
    s_port_t *port = s_find_port (self, member, inbox, &n_own);
    if (!port && (n_own >= MOST_PORTS || self->n_ports >= MOST_MEMBERS * MOST_PORTS))
        rk_error_set (&err, RK_EIO, "this member has %zu ports already", n_own);
    else if (!port)
        port = s_add_port (self, member, inbox, &err);
    char endpoint[RK_RELAY_TEXT] = "";
    if (port)
        snprintf (endpoint, sizeof endpoint, "tcp://%s:%u", strcmp (self->host, "*") == 0 ? "0.0.0.0" : self->host, port->port);
    rk_log (port ? RK_LOG_INFO : RK_LOG_WARNING, "RELAY", "inbox=%s at=%s %s", inbox, endpoint, err.text);
    if (!s_tell (self, member, "EXPOSED", inbox, endpoint, NULL))
        rk_log (RK_LOG_DEBUG, "RELAY", "who asked for a port is gone");
}

static void s_on_hide (self_t *self, const uint8_t member[RK_RELAY_ID], const char *inbox)
{
    size_t n_own;
    s_port_t *port = s_find_port (self, member, inbox, &n_own);
    if (port)
        s_drop_port (self, (size_t) (port - self->ports));
}

static void s_on_probe (self_t *self, const uint8_t member[RK_RELAY_ID], const char *address, const char *word)
{
    char host[RK_TCP_HOST];
    uint16_t port;
    const bool good = rk_tcp_parse (address, host, &port) && strlen (word) == RK_RELAY_TOKEN - 1;
    int fd = good ? rk_tcp_dial (host, port) : -1;
    s_line_t *line = fd >= 0 ? s_add_line (self, PROBING, fd, PROBE_MS) : NULL;
    if (!line) {
        if (!s_tell (self, member, "PROBED", word, "0", NULL))
            rk_log (RK_LOG_DEBUG, "RELAY", "who asked for a probe is gone");
        return;
    }
    memcpy (line->member, member, RK_RELAY_ID);
    snprintf (line->token, sizeof line->token, "%s", word);
}

static void s_on_word (self_t *self, const uint8_t member[RK_RELAY_ID], char words[][RK_RELAY_WORD], size_t n)
{
    if (n == 2 && strcmp (words[0], "EXPOSE") == 0)
        s_on_expose (self, member, words[1]);
    else if (n == 2 && strcmp (words[0], "HIDE") == 0)
        s_on_hide (self, member, words[1]);
    else if (n == 3 && strcmp (words[0], "PROBE") == 0)
        s_on_probe (self, member, words[1], words[2]);
    else
        rk_log (RK_LOG_WARNING, "RELAY", "a word that it does not know, of %zu parts", n);
}

static void s_hear_tunnels (self_t *self)
{
    while (zsock_events (self->tunnels) & ZMQ_POLLIN) {
        zmsg_t *msg = zmsg_recv (self->tunnels);
        if (!msg)
            return;
        zframe_t *id = zmsg_pop (msg);
        char words[RK_RELAY_WORDS][RK_RELAY_WORD];
        size_t n = 0;
        if (id && zframe_size (id) == RK_RELAY_ID && rk_relay_words (msg, words, &n))
            s_on_word (self, zframe_data (id), words, n);
        zframe_destroy (&id);
        zmsg_destroy (&msg);
    }
}

/* ---- the thread */
static rk_err_t s_open_tunnels (self_t *self, const rk_relay_config_t *config, char endpoint[RK_RELAY_TEXT], rk_error_t *err)
{
    char bind[RK_RELAY_TEXT], key[RK_KEY_TEXT];
    self->tunnels = zsock_new (ZMQ_ROUTER);
    if (!self->tunnels)
        return rk_error_set (err, RK_ENOMEM, "no socket for tunnels: %s", zmq_strerror (errno));
    void *socket = zsock_resolve (self->tunnels);
    zsock_set_router_mandatory (self->tunnels, 1);
    zsock_set_router_handover (self->tunnels, 1); /* a member that dials anew is the same member: nobody else knows its number */
    zsock_set_linger (self->tunnels, 0);
    zsock_set_sndtimeo (self->tunnels, 0);
    rk_relay_keep_alive (socket);
    rk_err_t rc = config->identity->plain ? RK_OK : rk_identity_serve (config->identity, socket, false, err);
    rk_endpoint_unique (bind, sizeof bind, "tcp", config->host);
    if (!rc && zmq_bind (socket, bind) != 0)
        rc = rk_error_set (err, RK_EIO, "cannot bind %s: %s", bind, zmq_strerror (errno));
    size_t size = RK_RELAY_TEXT - RK_KEY_TEXT - 1;
    if (!rc && zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        rc = rk_error_set (err, RK_EIO, "no endpoint of %s: %s", bind, zmq_strerror (errno));
    if (!rc && !config->identity->plain) {
        rk_key_text (config->identity->public_key, key);
        snprintf (endpoint + strlen (endpoint), RK_KEY_TEXT + 1, "/%s", key);
    }
    return rc;
}

static rk_err_t s_open (self_t *self, const rk_relay_config_t *config, char endpoint[RK_RELAY_TEXT], rk_error_t *err)
{
    self->door = -1;
    self->most_lines = config->most_lines;
    self->lines = calloc (config->most_lines, sizeof *self->lines);
    if (!self->lines)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u connections", config->most_lines);
    snprintf (self->host, sizeof self->host, "%s", config->host);
    rk_err_t rc = rk_tcp_listen (self->host, &self->door, &self->door_port, err);
    return rc ? rc : s_open_tunnels (self, config, endpoint, err);
}

static void s_close (self_t *self)
{
    while (self->n_lines) {
        self->lines[self->n_lines - 1].state = self->lines[self->n_lines - 1].state == PROBING ? AT_DOOR : self->lines[self->n_lines - 1].state;
        s_drop_line (self, self->n_lines - 1);
    }
    while (self->n_ports)
        s_drop_port (self, self->n_ports - 1);
    if (self->door >= 0)
        close (self->door);
    zsock_destroy (&self->tunnels);
    free (self->ports);
    free (self->lines);
    free (self->items);
}

enum { PIPE, TUNNELS, DOOR, N_FIXED };

/* Pipe, tunnels, door, ports, two of each line. */
static bool s_list (self_t *self)
{
    size_t n = N_FIXED + self->n_ports + 2 * self->n_lines;
    if (n > self->items_capacity) {
        struct pollfd *items = realloc (self->items, 2 * n * sizeof *items);
        if (!items)
            return false;
        self->items = items;
        self->items_capacity = 2 * n;
    }
    struct pollfd *at = self->items;
    const bool full = self->now_ms < self->full_until_ms;
    *at++ = (struct pollfd){.fd = zsock_fd (self->pipe), .events = POLLIN};
    *at++ = (struct pollfd){.fd = zsock_fd (self->tunnels), .events = POLLIN};
    *at++ = (struct pollfd){.fd = full ? -1 : self->door, .events = POLLIN};
    for (size_t i = 0; i < self->n_ports; i++)
        *at++ = (struct pollfd){.fd = full ? -1 : self->ports[i].fd, .events = POLLIN};
    for (size_t i = 0; i < self->n_lines; i++, at += 2) {
        static const short wanted[] = {[CALLED] = POLLRDHUP, [AT_DOOR] = POLLIN, [PROBING] = POLLOUT};
        const s_line_t *line = &self->lines[i];
        if (line->state == PASSED_ON)
            rk_splice_poll (&line->splice, at);
        else {
            at[0] = (struct pollfd){.fd = line->fd, .events = wanted[line->state]};
            at[1] = (struct pollfd){.fd = -1};
        }
    }
    return true;
}

/* How long nothing has to be looked at by the clock; -1: for ever. */
static int s_patience (const self_t *self)
{
    int64_t next_ms = self->now_ms < self->full_until_ms ? self->full_until_ms : INT64_MAX;
    for (size_t i = 0; i < self->n_lines; i++)
        if (self->lines[i].state != PASSED_ON && self->lines[i].end_ms < next_ms)
            next_ms = self->lines[i].end_ms;
    for (size_t i = 0; i < self->n_ports; i++)
        if (self->ports[i].deaf_ms && self->ports[i].deaf_ms + FORGET_MS < next_ms)
            next_ms = self->ports[i].deaf_ms + FORGET_MS;
    return next_ms == INT64_MAX ? -1 : next_ms <= self->now_ms ? 0 : (int) (next_ms - self->now_ms);
}

static void s_tick (self_t *self)
{
    for (size_t i = self->n_lines; i-- > 0;)
        if (self->lines[i].state != PASSED_ON && self->now_ms >= self->lines[i].end_ms)
            s_drop_line (self, i);
    for (size_t i = self->n_ports; i-- > 0;)
        if (self->ports[i].deaf_ms && self->now_ms >= self->ports[i].deaf_ms + FORGET_MS)
            s_drop_port (self, i);
}

/* From the end: what is dropped takes the place of what has been looked at. New ones come behind what was listed. */
static void s_handle (self_t *self)
{
    const size_t n_ports = self->n_ports, n_lines = self->n_lines;
    const struct pollfd *lines = self->items + N_FIXED + n_ports;
    for (size_t i = n_lines; i-- > 0;)
        if (i < self->n_lines)
            s_on_line (self, i, lines[2 * i].revents, lines[2 * i + 1].revents);
    for (size_t i = 0; i < n_ports; i++)
        for (int fd; self->items[N_FIXED + i].revents && (fd = s_accept (self, self->ports[i].fd)) >= 0;)
            s_call (self, &self->ports[i], fd);
    for (int fd; self->items[DOOR].revents && (fd = s_accept (self, self->door)) >= 0;)
        s_add_line (self, AT_DOOR, fd, BRING_MS);
}

/* false: the parent says so, or there is no memory to go on. */
static bool s_once (self_t *self)
{
    self->now_ms = rk_now_ns () / 1000000;
    s_tick (self);
    /* libzmq's descriptor tells of a change once, so its sockets are looked at before waiting too. */
    s_hear_tunnels (self);
    if (zsock_events (self->pipe) & ZMQ_POLLIN || !s_list (self))
        return false;
    if (zsock_events (self->tunnels) & ZMQ_POLLIN)
        return true;
    if (poll (self->items, (nfds_t) (N_FIXED + self->n_ports + 2 * self->n_lines), s_patience (self)) < 0)
        return errno == EINTR;
    self->now_ms = rk_now_ns () / 1000000;
    s_handle (self);
    return true;
}

static void s_thread (zsock_t *pipe, void *args)
{
    const s_boot_t *boot = args;
    zsock_signal (pipe, 0);
    self_t self = {.pipe = pipe};
    rk_error_t err = {RK_OK, ""};
    char endpoint[RK_RELAY_TEXT] = "";
    rk_err_t rc = s_open (&self, boot->config, endpoint, &err);
    rk_relay_boot_reply (pipe, rc, rc ? err.text : endpoint);
    while (!rc && s_once (&self))
        ;
    s_close (&self);
}

/* ---- facade */
rk_err_t rk_relay_new (rk_relay_t **relay_p, const rk_relay_config_t *config, rk_error_t *err)
{
    *relay_p = NULL;
    rk_relay_t *relay = calloc (1, sizeof *relay);
    if (!relay)
        return rk_error_set (err, RK_ENOMEM, "no memory for a relay");
    s_boot_t boot = {config};
    relay->zactor = zactor_new (s_thread, &boot);
    rk_err_t rc = rk_relay_boot_wait (relay->zactor, relay->endpoint, err);
    *relay_p = relay;
    if (rc)
        rk_relay_stop (relay_p);
    return rc;
}

const char *rk_relay_endpoint (const rk_relay_t *relay)
{
    return relay->endpoint;
}

void rk_relay_stop (rk_relay_t **relay_p)
{
    if (*relay_p)
        zactor_destroy (&(*relay_p)->zactor);
    free (*relay_p);
    *relay_p = NULL;
}
