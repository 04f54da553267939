/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/gate.h"

#include <time.h>

#include "actors/actor.h"
#include "actors/security/tickets.h"
#include "actors/security/watch.h"

#define ZAP "inproc://zeromq.zap.01"
#define ANSWER_MS 10000 /* for a question; the gate may be writing a certificate */

struct rk_gate {
    zactor_t *zactor;
};

/* What the thread needs; lives on the parent's stack until the boot reply. */
typedef struct {
    const rk_identity_t *identity;
    const char *folder;
} s_boot_t;

typedef struct {
    zsock_t *pipe, *zap, *questions;
    rk_watch_t *watch;
    uint8_t own[RK_KEY_BYTES];
    char folder[RK_KEYRING_PATH]; /* "": none */
    uint64_t signature;           /* of the certificates below */
    rk_allowed_t *allowed;
    size_t n_allowed;
    uint8_t (*admitted)[RK_KEY_BYTES];
    size_t n_admitted, admitted_capacity;
    int64_t now_ms;
} self_t;

/* ---- who may come in */
static void s_reload (self_t *self)
{
    uint64_t signature = self->folder[0] ? rk_keyring_signature (self->folder) : 0;
    if (signature == self->signature)
        return;
    rk_allowed_t *list = NULL;
    size_t n = 0;
    rk_error_t err = {RK_OK, ""};
    if (rk_keyring_allowed (self->folder, &list, &n, &err)) /* nobody from a folder that others can write to */
        rk_log (RK_LOG_ERROR, "CERTIFICATES", "%s", err.text);
    free (self->allowed);
    self->allowed = list;
    self->n_allowed = n;
    self->signature = signature;
    rk_log (RK_LOG_INFO, "CERTIFICATES", "allowed=%zu folder=%s", n, self->folder);
}

static bool s_is_admitted (const self_t *self, const uint8_t *key)
{
    for (size_t i = 0; i < self->n_admitted; i++)
        if (memcmp (self->admitted[i], key, RK_KEY_BYTES) == 0)
            return true;
    return false;
}

static bool s_is_allowed (self_t *self, const uint8_t *key)
{
    s_reload (self);
    for (size_t i = 0; i < self->n_allowed; i++)
        if (memcmp (self->allowed[i].key, key, RK_KEY_BYTES) == 0)
            return true;
    return false;
}

/* Fills in who it is; false: nobody we know, and why. */
static bool s_decide (self_t *self, const uint8_t *key, bool join, char user[RK_KEY_TEXT], rk_error_t *why)
{
    rk_key_text (key, user);
    if (memcmp (key, self->own, RK_KEY_BYTES) == 0 || s_is_admitted (self, key) || s_is_allowed (self, key))
        return true;
    rk_invitation_t ticket;
    rk_err_t rc = RK_ENOTFOUND;
    if (join && self->folder[0])
        rc = rk_tickets_find (self->folder, key, (int64_t) time (NULL), &ticket, why);
    if (rc == RK_OK)
        snprintf (user, RK_KEY_TEXT, RK_GATE_TICKET "%s", ticket.id);
    else if (rc == RK_ENOTFOUND)
        rk_error_set (why, rc, "neither in allowed/ nor of an open ticket");
    return rc == RK_OK;
}

/* ---- libzmq asks: version, request, domain, address, identity, mechanism, key */
static void s_answer_zap (self_t *self, const char *request, const char *code, const char *text, const char *user)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstr (reply, "1.0");
    zmsg_addstr (reply, request);
    zmsg_addstr (reply, code);
    zmsg_addstr (reply, text);
    zmsg_addstr (reply, user);
    zmsg_addmem (reply, "", 0);
    if (zmsg_send (&reply, self->zap) != 0)
        zmsg_destroy (&reply);
}

static void s_judge (self_t *self, const char *request, const char *domain, const char *address, zframe_t *key)
{
    char user[RK_KEY_TEXT] = "";
    rk_error_t why = {RK_OK, ""};
    if (s_decide (self, zframe_data (key), strcmp (domain, RK_DOMAIN_JOIN) == 0, user, &why)) {
        rk_log (RK_LOG_DEBUG, "LET-IN", "address=%s key=%.12s", address, user);
        s_answer_zap (self, request, "200", "OK", user);
        return;
    }
    rk_watch_log (self->watch, self->now_ms, "STRANGER", "address=%s key=%s %s", address, user, why.text);
    s_answer_zap (self, request, "400", "not allowed", "");
}

static void s_on_zap (self_t *self)
{
    zmsg_t *msg = zmsg_recv (self->zap);
    char *version = msg ? zmsg_popstr (msg) : NULL, *request = msg ? zmsg_popstr (msg) : NULL;
    char *domain = msg ? zmsg_popstr (msg) : NULL, *address = msg ? zmsg_popstr (msg) : NULL;
    zframe_t *routing = msg ? zmsg_pop (msg) : NULL;
    char *mechanism = msg ? zmsg_popstr (msg) : NULL;
    zframe_t *key = msg ? zmsg_pop (msg) : NULL;
    if (key && zframe_size (key) == RK_KEY_BYTES && strcmp (mechanism, "CURVE") == 0)
        s_judge (self, request, domain, address, key);
    else if (msg)
        s_answer_zap (self, request ? request : "", "400", "encryption is required", "");
    zframe_destroy (&key);
    zframe_destroy (&routing);
    zstr_free (&version);
    zstr_free (&request);
    zstr_free (&domain);
    zstr_free (&address);
    zstr_free (&mechanism);
    zmsg_destroy (&msg);
}

/* ---- our own ask: verb, one or two words */
static rk_err_t s_admit (self_t *self, const char *key_text, rk_error_t *err)
{
    uint8_t key[RK_KEY_BYTES];
    if (!rk_key_parse (key_text, key))
        return rk_error_set (err, RK_EINVAL, "\"%.70s\" is no key", key_text);
    if (s_is_admitted (self, key))
        return RK_OK;
    if (self->n_admitted == self->admitted_capacity) {
        size_t capacity = self->admitted_capacity ? 2 * self->admitted_capacity : 16;
        uint8_t (*admitted)[RK_KEY_BYTES] = realloc (self->admitted, capacity * sizeof *admitted);
        if (!admitted)
            return rk_error_set (err, RK_ENOMEM, "no memory for key %zu", self->n_admitted);
        self->admitted = admitted;
        self->admitted_capacity = capacity;
    }
    memcpy (self->admitted[self->n_admitted++], key, RK_KEY_BYTES);
    return RK_OK;
}

static rk_err_t s_redeem (self_t *self, const char *ticket, const char *key_text, rk_error_t *err)
{
    uint8_t key[RK_KEY_BYTES];
    if (!self->folder[0] || !rk_key_parse (key_text, key))
        return rk_error_set (err, RK_EINVAL, "\"%.70s\" is no key", key_text);
    rk_err_t rc = rk_tickets_redeem (self->folder, ticket, key, (int64_t) time (NULL), err);
    if (!rc)
        rk_log (RK_LOG_WARNING, "ENROLLED", "ticket=%s key=%s", ticket, key_text);
    return rc;
}

static rk_err_t s_on_question (self_t *self, const char *verb, const char *first, const char *second, rk_error_t *err)
{
    if (strcmp (verb, "WATCH") == 0)
        return rk_watch_add (self->watch, first, err);
    if (strcmp (verb, "ADMIT") == 0)
        return s_admit (self, first, err);
    if (strcmp (verb, "REDEEM") == 0)
        return s_redeem (self, first, second, err);
    return rk_error_set (err, RK_EINVAL, "the gate does not know %s", verb);
}

static void s_on_questions (self_t *self)
{
    char *verb = NULL, *first = NULL, *second = NULL;
    if (zstr_recvx (self->questions, &verb, &first, &second, NULL) < 0)
        return;
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = s_on_question (self, verb ? verb : "", first ? first : "", second ? second : "", &err);
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) rc);
    zstr_sendx (self->questions, digits, rc ? err.text : "", NULL);
    zstr_free (&verb);
    zstr_free (&first);
    zstr_free (&second);
}

/* ---- the thread */
static rk_err_t s_open (self_t *self, zsock_t *pipe, const s_boot_t *boot, rk_error_t *err)
{
    self->pipe = pipe;
    memcpy (self->own, boot->identity->public_key, RK_KEY_BYTES);
    snprintf (self->folder, sizeof self->folder, "%s", boot->folder ? boot->folder : "");
    self->zap = zsock_new (ZMQ_REP);
    self->questions = zsock_new (ZMQ_REP);
    if (!self->zap || !self->questions || rk_watch_new (&self->watch))
        return rk_error_set (err, RK_ENOMEM, "no sockets for the gate: %s", zmq_strerror (errno));
    if (zmq_bind (zsock_resolve (self->zap), ZAP) != 0)
        return rk_error_set (err, errno == EADDRINUSE ? RK_ESTATE : RK_EIO, "cannot bind %s: %s", ZAP,
                             errno == EADDRINUSE ? "this process has a gate already" : zmq_strerror (errno));
    if (zmq_bind (zsock_resolve (self->questions), boot->identity->gate) != 0)
        return rk_error_set (err, RK_EIO, "cannot bind %s: %s", boot->identity->gate, zmq_strerror (errno));
    return RK_OK;
}

static void s_close (self_t *self)
{
    /* At once: a socket that is closed gives its name back only when libzmq's own thread gets to it. */
    if (self->zap && zmq_unbind (zsock_resolve (self->zap), ZAP) != 0)
        rk_log (RK_LOG_DEBUG, "GATE", "never bound %s", ZAP);
    zsock_destroy (&self->zap);
    zsock_destroy (&self->questions);
    rk_watch_destroy (&self->watch);
    free (self->allowed);
    free (self->admitted);
}

#define N_FIXED 3

static zmq_pollitem_t *s_items (self_t *self, size_t *n)
{
    *n = N_FIXED + rk_watch_n (self->watch);
    zmq_pollitem_t *items = calloc (*n, sizeof *items);
    zsock_t *const fixed[N_FIXED] = {self->pipe, self->zap, self->questions};
    for (size_t i = 0; items && i < *n; i++)
        items[i] = (zmq_pollitem_t){.socket = zsock_resolve (i < N_FIXED ? fixed[i] : rk_watch_sock (self->watch, i - N_FIXED)),
                                    .events = ZMQ_POLLIN};
    return items;
}

/* Returns false when the parent says so, or when there is no memory to go on. */
static bool s_once (self_t *self)
{
    size_t n;
    zmq_pollitem_t *items = s_items (self, &n);
    if (!items || (zmq_poll (items, (int) n, -1) < 0 && errno != EINTR)) {
        free (items);
        return false;
    }
    self->now_ms = rk_now_ns () / 1000000;
    bool end = items[0].revents & ZMQ_POLLIN;
    for (size_t i = n; i-- > N_FIXED;) /* from the end: a closed door takes the last one's place */
        if (items[i].revents & ZMQ_POLLIN)
            rk_watch_hear (self->watch, i - N_FIXED, self->now_ms);
    if (items[1].revents & ZMQ_POLLIN)
        s_on_zap (self);
    if (items[2].revents & ZMQ_POLLIN)
        s_on_questions (self);
    free (items);
    return !end;
}

static void s_thread (zsock_t *pipe, void *args)
{
    zsock_signal (pipe, 0);
    self_t self = {.pipe = pipe};
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = s_open (&self, pipe, args, &err);
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) rc);
    zstr_sendx (pipe, digits, rc ? err.text : "", NULL);
    while (!rc && s_once (&self))
        ;
    s_close (&self);
}

/* ---- facade */
rk_err_t rk_gate_new (rk_gate_t **gate_p, rk_identity_t *identity, const char *folder, rk_error_t *err)
{
    *gate_p = NULL;
    rk_gate_t *gate = calloc (1, sizeof *gate);
    if (!gate)
        return rk_error_set (err, RK_ENOMEM, "no memory for a gate");
    rk_endpoint_unique (identity->gate, sizeof identity->gate, "inproc", NULL);
    s_boot_t boot = {identity, folder};
    gate->zactor = zactor_new (s_thread, &boot);
    char *digits = NULL, *text = NULL;
    rk_err_t rc = RK_ENOMEM;
    if (gate->zactor && zstr_recvx (gate->zactor, &digits, &text, NULL) == 2)
        rc = (rk_err_t) atoi (digits);
    if (rc)
        rk_error_set (err, rc, "%s", text && *text ? text : "no thread for a gate");
    zstr_free (&digits);
    zstr_free (&text);
    *gate_p = gate;
    if (rc)
        rk_gate_stop (gate_p);
    return rc;
}

void rk_gate_stop (rk_gate_t **gate_p)
{
    if (*gate_p)
        zactor_destroy (&(*gate_p)->zactor);
    free (*gate_p);
    *gate_p = NULL;
}

static rk_err_t s_ask (const char *gate, const char *verb, const char *first, const char *second, rk_error_t *err)
{
    zsock_t *sock = zsock_new (ZMQ_REQ);
    if (!sock)
        return rk_error_set (err, RK_ENOMEM, "no socket to ask the gate: %s", zmq_strerror (errno));
    zsock_set_rcvtimeo (sock, ANSWER_MS);
    zsock_set_sndtimeo (sock, ANSWER_MS);
    char *digits = NULL, *text = NULL;
    rk_err_t rc = rk_error_set (err, RK_ETIMEDOUT, "the gate did not answer %s within %d ms", verb, ANSWER_MS);
    if (gate[0] && zmq_connect (zsock_resolve (sock), gate) == 0 && zstr_sendx (sock, verb, first, second, NULL) == 0 &&
        zstr_recvx (sock, &digits, &text, NULL) == 2) {
        rc = (rk_err_t) atoi (digits);
        if (rc)
            rk_error_set (err, rc, "%s", text);
        else
            rk_error_set (err, RK_OK, "%s", "");
    }
    zstr_free (&digits);
    zstr_free (&text);
    zsock_destroy (&sock);
    return rc;
}

rk_err_t rk_gate_watch (const char *gate, const char *monitor, rk_error_t *err)
{
    return s_ask (gate, "WATCH", monitor, "", err);
}

rk_err_t rk_gate_admit (const char *gate, const char *key_text, rk_error_t *err)
{
    return s_ask (gate, "ADMIT", key_text, "", err);
}

rk_err_t rk_gate_redeem (const char *gate, const char *ticket, const char *key_text, rk_error_t *err)
{
    return s_ask (gate, "REDEEM", ticket, key_text, err);
}
