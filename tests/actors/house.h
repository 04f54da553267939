/* SPDX-License-Identifier: MPL-2.0
 * A house for tests of security: a folder of keys, a gate, one door that counts the Heartbeats it is given, and
 * ways to knock at it. While it stands, stderr goes to a file, so that log lines can be looked for.        */
#ifndef RK_TESTS_ACTORS_HOUSE_H
#define RK_TESTS_ACTORS_HOUSE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/actor.h"
#include "actors/security/gate.h"
#include "actors/security/knock.h"
#include "actors/security/tickets.h"

static inline int s_remove_one (const char *path, const struct stat *st, int what, struct FTW *at)
{
    (void) st, (void) what, (void) at;
    return remove (path);
}

static inline void remove_tree (const char *folder)
{
    assert_int_equal (nftw (folder, s_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#define WAIT_MS 20000 /* that only a failure reaches */

/* ---- the door */
typedef struct {
    rk_loop_t *loop;
} self_t;

static inline rk_err_t s_open (void *me, rk_loop_t *loop, const void *config, rk_error_t *err)
{
    (void) config, (void) err;
    ((self_t *) me)->loop = loop;
    return RK_OK;
}

static inline void s_close (void *me)
{
    (void) me;
}

static inline rk_err_t s_on_heartbeat (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    rk_loop_say (((self_t *) me)->loop, "DONE", RK_OK, packet->user);
    return RK_OK;
}

static inline rk_err_t s_on_enrol (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    return rk_gate_redeem (rk_loop_identity (self->loop)->gate, packet->user + sizeof RK_GATE_TICKET - 1, packet->msg.enrol.key, err);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {[RK_MSG_HEARTBEAT] = s_on_heartbeat, [RK_MSG_ENROL] = s_on_enrol};
static const rk_actor_class_t s_stage = {.kind = RK_ACTOR_STAGE, .self_size = sizeof (self_t), .open = s_open, .close = s_close, .on = s_on};
static const rk_actor_class_t s_coordinator = {
    .kind = RK_ACTOR_COORDINATOR, .self_size = sizeof (self_t), .open = s_open, .close = s_close, .on = s_on};

typedef struct {
    char folder[64];
    rk_identity_t own;
    rk_gate_t *gate;
    rk_actor_t *door;
    char address[128]; /* without the key */
    uint8_t key[RK_KEY_BYTES];
    int saved_stderr;
    char log[96];
} house_t;

static inline void s_ok (rk_err_t rc, const rk_error_t *err)
{
    if (rc)
        fail_msg ("%s", err->text);
}

/* Until the end of the house stderr goes to a file, so that log lines can be looked for. */
static inline void s_build (house_t *h, const rk_actor_class_t *klass)
{
    rk_error_t err = {RK_OK, ""};
    bool made;
    *h = (house_t){.gate = NULL};
    snprintf (h->folder, sizeof h->folder, "security-XXXXXX");
    assert_non_null (mkdtemp (h->folder));
    s_ok (rk_keyring_open (h->folder, &h->own, &made, &err), &err);
    assert_true (made);
    s_ok (rk_gate_new (&h->gate, &h->own, h->folder, &err), &err);
    const rk_actor_plumbing_t plumbing = {.bind = "tcp://127.0.0.1:*", .identity = &h->own, .max_message_bytes = 1 << 20};
    s_ok (rk_actor_start (&h->door, klass, &plumbing, NULL, &err), &err);
    bool has_key;
    s_ok (rk_endpoint_split (rk_actor_endpoint (h->door), h->address, sizeof h->address, h->key, &has_key, &err), &err);
    assert_true (has_key);
    assert_memory_equal (h->key, h->own.public_key, RK_KEY_BYTES);
    snprintf (h->log, sizeof h->log, "%s/log", h->folder);
    fflush (stderr);
    h->saved_stderr = dup (STDERR_FILENO);
    int fd = open (h->log, O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_true (fd >= 0 && dup2 (fd, STDERR_FILENO) >= 0);
    close (fd);
}

static inline void s_demolish (house_t *h)
{
    rk_actor_stop (&h->door);
    rk_gate_stop (&h->gate);
    fflush (stderr);
    dup2 (h->saved_stderr, STDERR_FILENO);
    close (h->saved_stderr);
    remove_tree (h->folder);
}

/* ---- looking */
static inline int s_lines (const house_t *h, const char *a, const char *b)
{
    FILE *file = fopen (h->log, "r");
    char line[1024];
    int n = 0;
    while (file && fgets (line, sizeof line, file))
        n += strstr (line, a) && strstr (line, b);
    if (file)
        fclose (file);
    return n;
}

static inline bool s_logged (const house_t *h, const char *a, const char *b)
{
    for (int64_t end = rk_now_ns () + WAIT_MS * INT64_C (1000000); rk_now_ns () < end; zmq_poll (NULL, 0, 5))
        if (s_lines (h, a, b))
            return true;
    return false;
}

/* The door has been given a Heartbeat, by whom. */
static inline bool s_beaten (const house_t *h, char user[RK_KEY_TEXT + 8], int wait_ms)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (h->door)), .events = ZMQ_POLLIN};
    char word[32];
    rk_error_t said = {RK_OK, ""};
    if (zmq_poll (&item, 1, wait_ms) <= 0 || !rk_actor_said (h->door, word, sizeof word, &said))
        return false;
    snprintf (user, RK_KEY_TEXT + 8, "%s", said.text);
    return strcmp (word, "DONE") == 0;
}

/* ---- calling */
static inline zsock_t *s_call (const house_t *h, const rk_identity_t *who, const uint8_t *server_key)
{
    zsock_t *dealer = zsock_new (ZMQ_DEALER);
    assert_non_null (dealer);
    rk_error_t err = {RK_OK, ""};
    if (who)
        s_ok (rk_identity_call (who, zsock_resolve (dealer), server_key, &err), &err);
    assert_int_equal (zmq_connect (zsock_resolve (dealer), h->address), 0);
    return dealer;
}

static inline void s_say (zsock_t *dealer, rk_msg_t msg)
{
    msg.sender = rk_address (RK_ACTOR_STAGE, 7);
    msg.seq = 1;
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_wire_send (zsock_resolve (dealer), NULL, 0, &msg, NULL, 0, NULL, &err), &err);
}

/* Somebody with this key is heard at the door, as himself. */
static inline bool s_gets_in (const house_t *h, const rk_identity_t *who)
{
    const rk_knock_t knock = {.identity = who, .address = h->address, .leader = h->key, .patience_ms = WAIT_MS};
    rk_error_t err = {RK_OK, ""};
    if (rk_knock (&knock, &err))
        return false;
    char user[RK_KEY_TEXT + 8] = "", key[RK_KEY_TEXT];
    rk_key_text (who->public_key, key);
    zsock_t *dealer = s_call (h, who, h->key);
    s_say (dealer, (rk_msg_t){.kind = RK_MSG_HEARTBEAT});
    bool heard = s_beaten (h, user, WAIT_MS) && strcmp (user, key) == 0;
    zsock_destroy (&dealer);
    return heard;
}

/* A plain tcp connection to the door. */
static inline int s_dial (const house_t *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons ((uint16_t) atoi (strrchr (h->address, ':') + 1))};
    to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval most = {.tv_sec = WAIT_MS / 1000};
    assert_true (fd >= 0 && connect (fd, (struct sockaddr *) &to, sizeof to) == 0);
    setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    return fd;
}

/* Reads until the other side hangs up: true if it did. */
static inline bool s_hung_up (int fd)
{
    char bytes[512];
    ssize_t n;
    while ((n = recv (fd, bytes, sizeof bytes, 0)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

#endif
