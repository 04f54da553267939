/* SPDX-License-Identifier: MPL-2.0
 * The parent's half of an actor: start with a boot reply, commands on the pipe, orderly end; and the thread
 * function that joins both halves.                                                                         */
#include "actors/loop.h"
#include "actors/relay/tunnel.h"

#include <pthread.h>

#include <stdatomic.h>

/* Memory changes hands between the two threads twice: at the boot reply and at the end. The pipe orders both;
 * this says so to tools that cannot see into libzmq. Whoever lets go last frees it: when the pipe is full,
 * zactor_destroy does not wait for the thread.                                                             */
typedef struct {
    atomic_int holders;
} handover_t;

static void s_let_go (handover_t *handover)
{
    if (atomic_fetch_sub_explicit (&handover->holders, 1, memory_order_acq_rel) == 1)
        free (handover);
}

struct rk_actor {
    zactor_t *zactor;
    handover_t *handover;
    uint32_t address;
    bool left; /* its thread's last signal has been taken off the pipe */
    char endpoint[RK_LOOP_ENDPOINT], bound[RK_LOOP_ENDPOINT]; /* where others find its inbox, and where it is */
};

/* What the thread needs; lives on the parent's stack until the boot reply. */
typedef struct {
    const rk_actor_class_t *klass;
    const rk_actor_plumbing_t *plumbing;
    const void *config;
    handover_t *handover;
} boot_t;

/* Boot reply: code, text, endpoint, where that really is. The parent frees `boot` as soon as it has read this. */
static void s_reply (zsock_t *pipe, rk_err_t code, const char *text, const rk_loop_t *loop)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) code);
    zstr_sendx (pipe, digits, text, loop->endpoint, loop->bound[0] ? loop->bound : loop->endpoint, NULL);
}

/* What top -H and debuggers show; 15 characters. */
static void s_name_thread (const boot_t *boot)
{
    char name[16];
    snprintf (name, sizeof name, "%.9s %u", rk_actor_kind_name (boot->klass->kind), boot->plumbing->node % 100000);
    pthread_setname_np (pthread_self (), name);
}

static void s_thread (zsock_t *pipe, void *args)
{
    /* The signal comes first and always: zactor_new waits for it, and an actor that returned without one
     * could hang zactor_destroy. Failures travel in the boot reply.                                        */
    zsock_signal (pipe, 0);
    const boot_t *boot = args;
    s_name_thread (boot);
    rk_error_t err = {RK_OK, ""};
    rk_loop_t loop = {0};
    loop.self = calloc (1, boot->klass->self_size ? boot->klass->self_size : 1);
    rk_err_t code = loop.self ? rk_loop_open (&loop, pipe, boot->klass, boot->plumbing, &err)
                              : rk_error_set (&err, RK_ENOMEM, "no memory for an actor");
    bool opened = false;
    if (code == RK_OK) {
        opened = true;
        code = boot->klass->open (loop.self, &loop, boot->config, &err);
    }
    loop.plumbing = NULL;
    const rk_actor_class_t *klass = boot->klass;
    handover_t *handover = boot->handover;
    atomic_fetch_add_explicit (&handover->holders, 0, memory_order_release);
    s_reply (pipe, code, code == RK_OK ? "" : err.text, &loop);
    if (code == RK_OK)
        rk_loop_run (&loop);
    if (opened)
        klass->close (loop.self);
    rk_loop_close (&loop);
    free (loop.self);
    s_let_go (handover);
}

static rk_err_t s_boot (rk_actor_t *actor, const boot_t *boot, rk_error_t *err)
{
    actor->zactor = zactor_new (s_thread, (void *) boot);
    if (!actor->zactor) {
        s_let_go (actor->handover); /* the thread's share */
        return rk_error_set (err, RK_ENOMEM, "no thread for a %s", rk_actor_kind_name (boot->klass->kind));
    }
    /* Commands must not block on an actor that has left. */
    zsock_set_sndtimeo (zactor_sock (actor->zactor), 0);
    char *code_text = NULL, *text = NULL, *endpoint = NULL, *bound = NULL;
    rk_err_t code = RK_ENOMEM;
    if (zstr_recvx (actor->zactor, &code_text, &text, &endpoint, &bound, NULL) == 4) {
        atomic_load_explicit (&actor->handover->holders, memory_order_acquire);
        code = (rk_err_t) atoi (code_text);
        snprintf (actor->endpoint, sizeof actor->endpoint, "%s", endpoint);
        snprintf (actor->bound, sizeof actor->bound, "%s", bound);
    }
    if (code != RK_OK)
        rk_error_set (err, code, "%s %u: %s", rk_actor_kind_name (boot->klass->kind), boot->plumbing->node,
                      text && *text ? text : rk_strerror (code));
    zstr_free (&code_text);
    zstr_free (&text);
    zstr_free (&endpoint);
    zstr_free (&bound);
    return code;
}

rk_err_t rk_actor_start (rk_actor_t **actor_p, const rk_actor_class_t *klass, const rk_actor_plumbing_t *plumbing,
                         const void *config, rk_error_t *err)
{
    *actor_p = NULL;
    rk_actor_t *actor = calloc (1, sizeof *actor);
    handover_t *handover = malloc (sizeof *handover);
    if (!actor || !handover) {
        free (actor);
        free (handover);
        return rk_error_set (err, RK_ENOMEM, "no memory for an actor");
    }
    atomic_init (&handover->holders, 2);
    actor->handover = handover;
    actor->address = rk_address (klass->kind, plumbing->node);
    boot_t boot = {klass, plumbing, config, handover};
    rk_err_t code = s_boot (actor, &boot, err);
    if (code != RK_OK)
        rk_actor_stop (&actor);
    *actor_p = actor;
    return code;
}

/* zactor_destroy waits for the last signal if it can send. An actor that left by itself has given it, and is about to
 * close its end of the pipe: nothing can be sent then, and nothing is waited for.                          */
static void s_await_close (rk_actor_t *actor)
{
    const struct timespec pause = {.tv_nsec = 20000};
    while (actor->left && (zsock_events (zactor_sock (actor->zactor)) & ZMQ_POLLOUT))
        nanosleep (&pause, NULL);
}

void rk_actor_stop (rk_actor_t **actor_p)
{
    if (!*actor_p)
        return;
    if ((*actor_p)->zactor)
        s_await_close (*actor_p);
    zactor_destroy (&(*actor_p)->zactor);
    s_let_go ((*actor_p)->handover);
    free (*actor_p);
    *actor_p = NULL;
}

const char *rk_actor_endpoint (const rk_actor_t *actor)
{
    return actor->endpoint;
}

uint32_t rk_actor_address (const rk_actor_t *actor)
{
    return actor->address;
}

static rk_err_t s_unsent (rk_actor_t *actor, const char *command, rk_error_t *err)
{
    return rk_error_set (err, RK_EPEER, "%s %u does not take %s: it has ended or its pipe is full",
                         rk_actor_kind_name (rk_address_kind (actor->address)), rk_address_node (actor->address), command);
}

rk_err_t rk_actor_connect (rk_actor_t *actor, uint32_t address, const char *endpoint, rk_error_t *err)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%u", address);
    return zstr_sendx (actor->zactor, "CONNECT", digits, endpoint, NULL) == 0 ? RK_OK : s_unsent (actor, "CONNECT", err);
}

rk_err_t rk_actor_introduce (rk_actor_t *actor, uint32_t address, const char *endpoint, rk_error_t *err)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%u", address);
    return zstr_sendx (actor->zactor, "INTRODUCE", digits, endpoint, NULL) == 0 ? RK_OK : s_unsent (actor, "INTRODUCE", err);
}

rk_err_t rk_actor_command (rk_actor_t *actor, const char *command, const char *word, rk_error_t *err)
{
    return zstr_sendx (actor->zactor, command, word, NULL) == 0 ? RK_OK : s_unsent (actor, command, err);
}

rk_err_t rk_actor_move (rk_actor_t *actor, const char *tunnel, rk_error_t *err)
{
    char endpoint[RK_LOOP_ENDPOINT];
    if (!rk_endpoint_is_tcp (actor->bound))
        return RK_OK;
    snprintf (endpoint, sizeof endpoint, "%s", actor->bound);
    rk_err_t rc = tunnel[0] ? rk_tunnel_expose (tunnel, actor->bound, endpoint, sizeof endpoint, err) : RK_OK;
    if (!rc && zstr_sendx (actor->zactor, "MOVED", tunnel, endpoint, NULL) != 0)
        rc = s_unsent (actor, "MOVED", err);
    if (!rc)
        snprintf (actor->endpoint, sizeof actor->endpoint, "%s", endpoint);
    return rc;
}

zsock_t *rk_actor_pipe (rk_actor_t *actor)
{
    return zactor_sock (actor->zactor);
}

/* Takes one message off the pipe; false when it is not one of rk_loop_say's (a signal at the end). */
static bool s_said (zmsg_t *msg, char *word, size_t size, rk_error_t *err)
{
    if (zmsg_size (msg) != 3)
        return false;
    char *said = zmsg_popstr (msg), *code = zmsg_popstr (msg), *text = zmsg_popstr (msg);
    bool complete = said && code && text;
    if (complete) {
        snprintf (word, size, "%s", said);
        rk_error_set (err, (rk_err_t) atoi (code), "%s", text);
    }
    zstr_free (&said);
    zstr_free (&code);
    zstr_free (&text);
    return complete;
}

bool rk_actor_said (rk_actor_t *actor, char *word, size_t size, rk_error_t *err)
{
    zsock_t *pipe = zactor_sock (actor->zactor);
    while (zsock_events (pipe) & ZMQ_POLLIN) {
        zmsg_t *msg = zmsg_recv (pipe);
        if (!msg)
            return false;
        bool said = s_said (msg, word, size, err);
        actor->left = actor->left || zmsg_signal (msg) >= 0;
        zmsg_destroy (&msg);
        if (said)
            return true;
    }
    return false;
}
