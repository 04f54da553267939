/* SPDX-License-Identifier: MPL-2.0
 * What every actor is made of: one thread, a command pipe, one ROUTER inbox (binds), one DEALER per peer
 * (connects), const dispatch tables, one loop. A reader who knows one actor knows all.
 *
 * Parent side: rk_actor_start runs the thread and returns after the boot reply, so that a constructor can
 * fail; commands are short strings on the pipe (never data); rk_actor_stop ends it ($TERM) and joins.
 * Actor side: a class supplies open, close, work and two tables. Handlers return a code that the loop sorts
 * once:  RK_EFORMAT, RK_ESTALE  drop and count;  RK_EPEER, RK_ETIMEDOUT  tell the coordinator (Failed) and go
 * on;  RK_ECANCELED  leave the loop in order;  anything else  send FAILED up the pipe and leave.            */
#ifndef RK_ACTORS_ACTOR_H
#define RK_ACTORS_ACTOR_H
#include <czmq.h>
#include "actors/security/identity.h"
#include "messages/wire.h"

typedef struct rk_actor rk_actor_t; /* parent's handle */
typedef struct rk_loop rk_loop_t;   /* the running loop, actor's side */

typedef struct {
    const char *command; /* "CONNECT", ... */
    /* words: the further strings of the command, NULL-terminated */
    rk_err_t (*handle) (void *self, char **words, rk_error_t *err);
} rk_command_t;

typedef rk_err_t (rk_handler_fn) (void *self, rk_packet_t *packet, rk_error_t *err);

typedef struct {
    rk_actor_kind_t kind;
    size_t self_size; /* zeroed before open */
    rk_err_t (*open) (void *self, rk_loop_t *loop, const void *config, rk_error_t *err); /* in the actor's thread; config valid until it returns */
    void (*close) (void *self);                    /* also after a failed open; idempotent */
    /* After a failure that would end the loop: the actor goes on for what it can still give (it has nothing else to do),
     * until its parent ends it. NULL: the loop ends.                                                       */
    void (*linger) (void *self);
    /* At most one unit of work (one kernel-sized step); returns ns to wait for messages before it wants to be
     * called again: 0 = poll without waiting, RK_FOREVER = only after a message.                           */
    int64_t (*work) (void *self, int64_t now_ns, rk_err_t *code, rk_error_t *err);
    /* The connection of a tether (rk_loop_tether) has ended, or may have. NULL: there are none. */
    void (*hung_up) (void *self, uint32_t address);
    rk_handler_fn *const *on;     /* [RK_N_MSG], NULL = not for this actor: dropped and counted */
    const rk_command_t *commands; /* ends with {NULL}; CONNECT, INTRODUCE, BIND, MOVED and $TERM are the loop's own */
} rk_actor_class_t;
#define RK_FOREVER INT64_MAX

typedef struct {
    const char *bind;        /* endpoint of the inbox: "inproc://x", "ipc:///run/x", "tcp://127.0.0.1:*"; NULL: a unique inproc one */
    const rk_identity_t *identity; /* for tcp: keys of this process, or &rk_identity_plain; NULL: no tcp. Copied */
    const char *coordinator; /* endpoint of this process's coordinator inbox, or NULL */
    const char *observer;    /* endpoint of this process's observer inbox, or NULL */
    uint32_t node;           /* id; with the class's kind it makes the address */
    uint64_t view;           /* messages of other views are stale (control kinds below RK_MSG_HELLO only) */
    size_t max_message_bytes;/* 0: no limit; larger ones end the peer's connection */
    int hwm;                 /* messages queued per peer; 0: 1000 */
} rk_actor_plumbing_t;

/* ---- parent */
rk_err_t rk_actor_start (rk_actor_t **actor_p, const rk_actor_class_t *klass, const rk_actor_plumbing_t *plumbing,
                         const void *config, rk_error_t *err) RK_MUST_CHECK;
void rk_actor_stop (rk_actor_t **actor_p);                       /* NULL and repeated calls are fine */
const char *rk_actor_endpoint (const rk_actor_t *actor);         /* where its inbox is bound, or a relay has a port for it */
/* Others find its inbox at another relay from now on, or, with an empty tunnel, where it is; not by tcp: nothing happens. Waits
 * for the relay, the actor does not. errors: as of rk_tunnel_expose, RK_EPEER.                             */
rk_err_t rk_actor_move (rk_actor_t *actor, const char *tunnel, rk_error_t *err) RK_MUST_CHECK;
uint32_t rk_actor_address (const rk_actor_t *actor);
/* Open the DEALER to a peer. */
rk_err_t rk_actor_connect (rk_actor_t *actor, uint32_t address, const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
/* Where a peer is: the DEALER to it is opened when first needed, if it ever is. */
rk_err_t rk_actor_introduce (rk_actor_t *actor, uint32_t address, const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_actor_command (rk_actor_t *actor, const char *command, const char *word, rk_error_t *err) RK_MUST_CHECK;
/* For a parent's poller: readable when the actor has something to say; then rk_actor_said returns true once
 * per message: "FAILED", code and text in *err; "DONE" with code RK_OK.                                     */
zsock_t *rk_actor_pipe (rk_actor_t *actor);
bool rk_actor_said (rk_actor_t *actor, char *word, size_t size, rk_error_t *err);

/* ---- actor */
uint32_t rk_loop_address (const rk_loop_t *loop);
const char *rk_loop_endpoint (const rk_loop_t *loop); /* tcp with the key: "tcp://host:port/KEY" */
const rk_identity_t *rk_loop_identity (const rk_loop_t *loop); /* all zero without one */
void rk_loop_set_address (rk_loop_t *loop, uint32_t address); /* a process is told its number when it joins */
uint64_t rk_loop_view (const rk_loop_t *loop);
void rk_loop_set_view (rk_loop_t *loop, uint64_t view);
rk_err_t rk_loop_connect (rk_loop_t *loop, uint32_t address, const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_loop_introduce (rk_loop_t *loop, uint32_t address, const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
bool rk_loop_connected (const rk_loop_t *loop, uint32_t address);
uint32_t rk_loop_find (const rk_loop_t *loop, rk_actor_kind_t kind); /* a peer of this kind, 0: none */
/* Remember that `address` is reached by answering this packet's sender (ROUTER routing id). */
rk_err_t rk_loop_learn (rk_loop_t *loop, uint32_t address, const rk_packet_t *packet) RK_MUST_CHECK;
/* What this peer says on the DEALER to it is heard, as it is from coordinators: it answers there. */
rk_err_t rk_loop_listen (rk_loop_t *loop, uint32_t address, rk_error_t *err) RK_MUST_CHECK;
/* Be told when the tcp connection that this packet of `address` came by ends; the last one counts. */
void rk_loop_tether (rk_loop_t *loop, uint32_t address, const rk_packet_t *packet);
void rk_loop_forget (rk_loop_t *loop, uint32_t address);
void rk_loop_rename (rk_loop_t *loop, uint32_t address, uint32_t to); /* the way to one is the way to the other */
void rk_loop_forget_peers (rk_loop_t *loop); /* all but the own coordinator and observer */
/* Send to an address: its DEALER, or the learned way back. Fills view, sender, seq. Never blocks.           */
rk_err_t rk_loop_send (rk_loop_t *loop, uint32_t address, rk_msg_t *msg, const rk_frame_t *frames, int n_frames,
                       rk_error_t *err) RK_MUST_CHECK;
void rk_loop_hear (rk_loop_t *loop); /* handle commands of the parent now: a message can overtake one */
#define RK_TO_COORDINATOR 0 /* special addresses: this process's own coordinator and observer */
#define RK_TO_OBSERVER 1
void rk_loop_say (rk_loop_t *loop, const char *word, rk_err_t code, const char *text); /* to the parent */
uint64_t rk_loop_bytes_sent (const rk_loop_t *loop);
uint64_t rk_loop_dropped (const rk_loop_t *loop);
int64_t rk_loop_idle_ns (const rk_loop_t *loop); /* time spent waiting in poll so far */
int64_t rk_now_ns (void);                        /* monotonic */
int64_t rk_thread_cpu_ns (void);
int64_t rk_process_cpu_ns (void);                /* of all its threads */
int64_t rk_thread_runnable_ns (void);            /* ready to run, but others ran (schedstat); 0 if the system does not say */

/* An endpoint for this process and transport that nobody else uses: inproc and ipc names are unique, tcp asks
 * for an ephemeral port on host (NULL: 127.0.0.1).                                                          */
void rk_endpoint_unique (char *text, size_t size, const char *transport, const char *host);

/* Log line on stderr: level, stable id, key=value text. Levels above the set one are silent. */
typedef enum { RK_LOG_ERROR, RK_LOG_WARNING, RK_LOG_INFO, RK_LOG_DEBUG } rk_log_level_t;
void rk_log (rk_log_level_t level, const char *id, const char *fmt, ...) RK_PRINTF (3, 4);

#endif
