/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/relay/tunnel.h"

#include <sys/socket.h>

#include "actors/actor.h"
#include "actors/relay/splice.h"
#include "actors/relay/words.h"

#define MOST_LINES 512
#define MOST_INBOXES 64
#define DIAL_MS 10000
#define ANSWER_MS 8000   /* of the relay */
#define QUESTION_MS 10000
#define ACCEPT_MS 1000   /* for the word of a probe that has been said */

struct rk_tunnel {
    zactor_t *zactor;
    char name[RK_RELAY_TEXT];
};

typedef struct {
    const rk_identity_t *identity;
    const char *relay;
} s_boot_t;

typedef struct {
    bool tied;
    int relay, inbox;    /* while they are not */
    char token[RK_RELAY_TOKEN];
    int64_t end_ms;
    rk_splice_t splice;
} s_line_t;

typedef struct {
    zsock_t *pipe, *relay, *questions;
    char relay_host[RK_TCP_HOST];
    char inboxes[MOST_INBOXES][RK_RELAY_WORD];
    size_t n_inboxes;
    s_line_t *lines;
    size_t n_lines;
    struct pollfd *items;
    char asked[RK_RELAY_WORD]; /* inbox or word that an answer is waited for; "": none */
    int64_t asked_end_ms, now_ms;
} self_t;

/* ---- connections */
static void s_drop_line (self_t *self, size_t i)
{
    s_line_t *line = &self->lines[i];
    if (line->tied)
        rk_splice_close (&line->splice);
    else {
        close (line->relay);
        close (line->inbox);
    }
    *line = self->lines[--self->n_lines];
}

static bool s_is_own (const self_t *self, const char *inbox)
{
    for (size_t i = 0; i < self->n_inboxes; i++)
        if (strcmp (self->inboxes[i], inbox) == 0)
            return true;
    return false;
}

static void s_on_call (self_t *self, const char *inbox, const char *token, const char *digits)
{
    char host[RK_TCP_HOST];
    uint16_t port;
    const unsigned long door = strtoul (digits, NULL, 10);
    if (!s_is_own (self, inbox) || !rk_tcp_parse (inbox, host, &port) || strlen (token) != RK_RELAY_TOKEN - 1 || !door || door > UINT16_MAX ||
        self->n_lines == MOST_LINES) {
        rk_log (RK_LOG_WARNING, "TUNNEL", "does not take a call for %s, connections=%zu", inbox, self->n_lines);
        return;
    }
    s_line_t line = {.end_ms = self->now_ms + DIAL_MS, .relay = rk_tcp_dial (self->relay_host, (uint16_t) door), .inbox = rk_tcp_dial (host, port)};
    snprintf (line.token, sizeof line.token, "%s", token);
    if (line.relay >= 0 && line.inbox >= 0) {
        self->lines[self->n_lines++] = line;
        return;
    }
    rk_log (RK_LOG_WARNING, "TUNNEL", "cannot dial for %s: %s", inbox, strerror (errno));
    if (line.relay >= 0)
        close (line.relay);
    if (line.inbox >= 0)
        close (line.inbox);
}

/* The way to the relay is open: the token, then whatever is said. */
static bool s_tie (s_line_t *line)
{
    const size_t n = RK_RELAY_TOKEN - 1;
    if (!rk_tcp_connected (line->relay) || send (line->relay, line->token, n, MSG_NOSIGNAL) != (ssize_t) n ||
        rk_splice_open (&line->splice, line->relay, line->inbox))
        return false;
    line->tied = true;
    return true;
}

static void s_on_line (self_t *self, size_t i, short first, short second)
{
    s_line_t *line = &self->lines[i];
    if (!line->tied && first && !s_tie (line))
        s_drop_line (self, i);
    else if (line->tied && (first || second) && !rk_splice_move (&line->splice))
        s_drop_line (self, i);
}

/* ---- from the relay */
static void s_answer (self_t *self, rk_err_t code, const char *text)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) code);
    zstr_sendx (self->questions, digits, text, NULL);
    self->asked[0] = '\0';
}

static void s_on_word (self_t *self, char words[][RK_RELAY_WORD], size_t n)
{
    if (n == 4 && strcmp (words[0], "CALL") == 0)
        s_on_call (self, words[1], words[2], words[3]);
    else if (n >= 2 && self->asked[0] && strcmp (words[1], self->asked) == 0 && (strcmp (words[0], "EXPOSED") == 0 || strcmp (words[0], "PROBED") == 0))
        s_answer (self, n == 3 ? RK_OK : RK_EPEER, n == 3 ? words[2] : "the relay has no port for it");
}

static void s_hear_relay (self_t *self)
{
    while (zsock_events (self->relay) & ZMQ_POLLIN) {
        zmsg_t *msg = zmsg_recv (self->relay);
        char words[RK_RELAY_WORDS][RK_RELAY_WORD];
        size_t n = 0;
        if (msg && rk_relay_words (msg, words, &n))
            s_on_word (self, words, n);
        zmsg_destroy (&msg);
    }
}

/* ---- from this process: EXPOSE inbox, HIDE inbox, PROBE word address */
static void s_forget_inbox (self_t *self, const char *inbox)
{
    for (size_t i = 0; i < self->n_inboxes; i++)
        if (strcmp (self->inboxes[i], inbox) == 0) {
            self->n_inboxes--;
            memmove (self->inboxes[i], self->inboxes[self->n_inboxes], RK_RELAY_WORD);
            return;
        }
}

static void s_on_question (self_t *self, const char *verb, const char *about, const char *address)
{
    const bool expose = strcmp (verb, "EXPOSE") == 0, hide = strcmp (verb, "HIDE") == 0;
    snprintf (self->asked, sizeof self->asked, "%s", about);
    self->asked_end_ms = self->now_ms + ANSWER_MS;
    if (hide)
        s_forget_inbox (self, about);
    if (expose && self->n_inboxes == MOST_INBOXES) {
        s_answer (self, RK_EPEER, "too many inboxes");
        return;
    }
    if (expose)
        snprintf (self->inboxes[self->n_inboxes++], RK_RELAY_WORD, "%s", about);
    bool sent = expose || hide ? zstr_sendx (self->relay, verb, about, NULL) == 0
                               : zstr_sendx (self->relay, verb, address, about, NULL) == 0;
    if (hide || !sent)
        s_answer (self, hide ? RK_OK : RK_EIO, sent ? "" : "the relay cannot be asked");
}

static void s_hear_questions (self_t *self)
{
    while (!self->asked[0] && zsock_events (self->questions) & ZMQ_POLLIN) {
        char *verb = NULL, *about = NULL, *address = NULL;
        if (zstr_recvx (self->questions, &verb, &about, &address, NULL) == 3)
            s_on_question (self, verb, about, address);
        zstr_free (&verb);
        zstr_free (&about);
        zstr_free (&address);
    }
}

/* ---- the thread */
static rk_err_t s_open (self_t *self, const s_boot_t *boot, rk_error_t *err)
{
    char address[RK_RELAY_TEXT];
    uint8_t key[RK_KEY_BYTES], id[RK_RELAY_ID];
    uint16_t port;
    bool has_key = false;
    self->lines = calloc (MOST_LINES, sizeof *self->lines);
    self->items = calloc (3 + 2 * MOST_LINES, sizeof *self->items);
    self->relay = zsock_new (ZMQ_DEALER);
    self->questions = zsock_new (ZMQ_REP);
    if (!self->lines || !self->items || !self->relay || !self->questions)
        return rk_error_set (err, RK_ENOMEM, "no memory for a tunnel");
    void *socket = zsock_resolve (self->relay);
    rk_err_t rc = rk_endpoint_split (boot->relay, address, sizeof address, key, &has_key, err);
    if (!rc && !rk_tcp_parse (address, self->relay_host, &port))
        rc = rk_error_set (err, RK_EINVAL, "%s is no address of a relay", boot->relay);
    if (!rc && has_key == boot->identity->plain)
        rc = rk_error_set (err, RK_EINVAL, "the relay at %s is %s", address, has_key ? "encrypted" : "not encrypted");
    if (!rc && has_key)
        rc = rk_identity_call (boot->identity, socket, key, err);
    rk_relay_id (id);
    zmq_setsockopt (socket, ZMQ_ROUTING_ID, id, sizeof id);
    zsock_set_linger (self->relay, 0);
    zsock_set_sndtimeo (self->relay, 0);
    rk_relay_keep_alive (socket);
    if (!rc && zmq_connect (socket, address) != 0)
        rc = rk_error_set (err, RK_EIO, "cannot connect to %s: %s", address, zmq_strerror (errno));
    if (!rc && zmq_bind (zsock_resolve (self->questions), boot->identity->tunnel) != 0)
        rc = rk_error_set (err, RK_EIO, "cannot bind %s: %s", boot->identity->tunnel, zmq_strerror (errno));
    return rc;
}

static void s_close (self_t *self)
{
    while (self->n_lines)
        s_drop_line (self, self->n_lines - 1);
    zsock_destroy (&self->relay);
    zsock_destroy (&self->questions);
    free (self->lines);
    free (self->items);
}

enum { PIPE, RELAY, QUESTIONS, N_FIXED };

static void s_list (self_t *self)
{
    zsock_t *const fixed[N_FIXED] = {self->pipe, self->relay, self->questions};
    for (size_t i = 0; i < N_FIXED; i++)
        self->items[i] = (struct pollfd){.fd = zsock_fd (fixed[i]), .events = POLLIN};
    struct pollfd *at = self->items + N_FIXED;
    for (size_t i = 0; i < self->n_lines; i++, at += 2) {
        if (self->lines[i].tied)
            rk_splice_poll (&self->lines[i].splice, at);
        else {
            at[0] = (struct pollfd){.fd = self->lines[i].relay, .events = POLLOUT};
            at[1] = (struct pollfd){.fd = -1};
        }
    }
}

static int s_patience (const self_t *self)
{
    int64_t next_ms = self->asked[0] ? self->asked_end_ms : INT64_MAX;
    for (size_t i = 0; i < self->n_lines; i++)
        if (!self->lines[i].tied && self->lines[i].end_ms < next_ms)
            next_ms = self->lines[i].end_ms;
    return next_ms == INT64_MAX ? -1 : next_ms <= self->now_ms ? 0 : (int) (next_ms - self->now_ms);
}

static void s_tick (self_t *self)
{
    if (self->asked[0] && self->now_ms >= self->asked_end_ms)
        s_answer (self, RK_ETIMEDOUT, "the relay does not answer");
    for (size_t i = self->n_lines; i-- > 0;)
        if (!self->lines[i].tied && self->now_ms >= self->lines[i].end_ms)
            s_drop_line (self, i);
}

/* false: the parent says so, or waiting is impossible. */
static bool s_once (self_t *self)
{
    self->now_ms = rk_now_ns () / 1000000;
    s_tick (self);
    s_hear_relay (self);
    s_hear_questions (self);
    s_hear_relay (self); /* asking may have taken the signal of what has come meanwhile */
    if (zsock_events (self->pipe) & ZMQ_POLLIN)
        return false;
    if (!self->asked[0] && zsock_events (self->questions) & ZMQ_POLLIN)
        return true;
    s_list (self);
    const size_t n = self->n_lines;
    if (poll (self->items, (nfds_t) (N_FIXED + 2 * n), s_patience (self)) < 0)
        return errno == EINTR;
    self->now_ms = rk_now_ns () / 1000000;
    for (size_t i = n; i-- > 0;) /* from the end: what is dropped takes the place of what has been looked at */
        s_on_line (self, i, self->items[N_FIXED + 2 * i].revents, self->items[N_FIXED + 2 * i + 1].revents);
    return true;
}

static void s_thread (zsock_t *pipe, void *args)
{
    zsock_signal (pipe, 0);
    self_t self = {.pipe = pipe};
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = s_open (&self, args, &err);
    rk_relay_boot_reply (pipe, rc, rc ? err.text : "");
    while (!rc && s_once (&self))
        ;
    s_close (&self);
}

/* ---- facade */
rk_err_t rk_tunnel_new (rk_tunnel_t **tunnel_p, rk_identity_t *identity, const char *relay, rk_error_t *err)
{
    *tunnel_p = NULL;
    rk_tunnel_t *tunnel = calloc (1, sizeof *tunnel);
    if (!tunnel)
        return rk_error_set (err, RK_ENOMEM, "no memory for a tunnel");
    rk_endpoint_unique (identity->tunnel, sizeof identity->tunnel, "inproc", NULL);
    s_boot_t boot = {identity, relay};
    tunnel->zactor = zactor_new (s_thread, &boot);
    rk_err_t rc = rk_relay_boot_wait (tunnel->zactor, tunnel->name, err);
    *tunnel_p = tunnel;
    if (rc) {
        rk_tunnel_stop (tunnel_p);
        identity->tunnel[0] = '\0';
    }
    return rc;
}

void rk_tunnel_stop (rk_tunnel_t **tunnel_p)
{
    if (*tunnel_p)
        zactor_destroy (&(*tunnel_p)->zactor);
    free (*tunnel_p);
    *tunnel_p = NULL;
}

typedef struct {
    const char *verb, *about, *address;
    int patience_ms;
} s_question_t;

static rk_err_t s_ask (const char *tunnel, const s_question_t *q, char *answer, size_t size, rk_error_t *err)
{
    zsock_t *sock = zsock_new (ZMQ_REQ);
    if (!sock)
        return rk_error_set (err, RK_ENOMEM, "no socket to ask the tunnel: %s", zmq_strerror (errno));
    zsock_set_rcvtimeo (sock, q->patience_ms);
    zsock_set_sndtimeo (sock, q->patience_ms);
    zsock_set_linger (sock, 0);
    char *digits = NULL, *text = NULL;
    rk_err_t rc = rk_error_set (err, RK_ETIMEDOUT, "the tunnel did not answer %s within %d ms", q->verb, q->patience_ms);
    if (zmq_connect (zsock_resolve (sock), tunnel) == 0 && zstr_sendx (sock, q->verb, q->about, q->address, NULL) == 0 &&
        zstr_recvx (sock, &digits, &text, NULL) == 2) {
        rc = (rk_err_t) atoi (digits);
        if (rc)
            rk_error_set (err, rc, "%s", text);
        else {
            rk_error_set (err, RK_OK, "%s", "");
            snprintf (answer, size, "%s", text);
        }
    }
    zstr_free (&digits);
    zstr_free (&text);
    zsock_destroy (&sock);
    return rc;
}

/* No address: the relay says at once that it could not dial there. */
bool rk_tunnel_answers (const char *tunnel, int patience_ms)
{
    char word[RK_RELAY_TOKEN], answer[RK_RELAY_WORD];
    rk_error_t err = {RK_OK, ""};
    rk_relay_token (word);
    return s_ask (tunnel, &(s_question_t){"PROBE", word, "-", patience_ms}, answer, sizeof answer, &err) == RK_OK;
}

/* The word that the relay was asked to say, from whoever has connected. */
static bool s_heard (int listening, const char *word)
{
    char said[RK_RELAY_TOKEN] = "";
    bool heard = false;
    struct pollfd item = {.fd = listening, .events = POLLIN};
    for (int fd; !heard && poll (&item, 1, ACCEPT_MS) > 0 && (fd = rk_tcp_accept (listening)) >= 0; close (fd)) {
        struct pollfd from = {.fd = fd, .events = POLLIN};
        heard = poll (&from, 1, ACCEPT_MS) > 0 && recv (fd, said, sizeof said - 1, 0) == (ssize_t) (sizeof said - 1) && strcmp (said, word) == 0;
    }
    return heard;
}

rk_err_t rk_tunnel_probe (const char *tunnel, const char *host, bool *reached, rk_error_t *err)
{
    char address[RK_RELAY_WORD], word[RK_RELAY_TOKEN], answer[RK_RELAY_WORD] = "";
    int listening;
    uint16_t port;
    *reached = false;
    rk_err_t rc = rk_tcp_listen (host, &listening, &port, err);
    if (rc)
        return rc;
    rk_relay_token (word);
    snprintf (address, sizeof address, "%s:%u", host, port);
    rc = s_ask (tunnel, &(s_question_t){"PROBE", word, address, QUESTION_MS}, answer, sizeof answer, err);
    *reached = !rc && strcmp (answer, "1") == 0 && s_heard (listening, word);
    close (listening);
    return rc;
}

/* "tcp://host:port/KEY" -> "host:port" */
static void s_plain (const char *inbox, char word[RK_RELAY_WORD])
{
    const char *start = strncmp (inbox, "tcp://", 6) == 0 ? inbox + 6 : inbox;
    snprintf (word, RK_RELAY_WORD, "%.*s", (int) strcspn (start, "/"), start);
}

rk_err_t rk_tunnel_expose (const char *tunnel, const char *inbox, char *text, size_t size, rk_error_t *err)
{
    char word[RK_RELAY_WORD], public[RK_RELAY_WORD] = "";
    s_plain (inbox, word);
    rk_err_t rc = s_ask (tunnel, &(s_question_t){"EXPOSE", word, "", QUESTION_MS}, public, sizeof public, err);
    if (!rc && !public[0])
        rc = rk_error_set (err, RK_EPEER, "the relay has no port for %s", word);
    if (rc)
        return rk_error_wrap (err, rc, "others cannot reach %s, and neither does the relay help", word);
    const char *key = strchr (inbox + 6, '/');
    int n = snprintf (text, size, "%s%s", public, key ? key : "");
    return n < (int) size ? RK_OK : rk_error_set (err, RK_EINVAL, "address too long: %s", public);
}

void rk_tunnel_hide (const char *tunnel, const char *inbox)
{
    char word[RK_RELAY_WORD], answer[RK_RELAY_WORD];
    rk_error_t err = {RK_OK, ""};
    s_plain (inbox, word);
    if (s_ask (tunnel, &(s_question_t){"HIDE", word, "", QUESTION_MS}, answer, sizeof answer, &err))
        rk_log (RK_LOG_DEBUG, "TUNNEL", "%s", err.text);
}
