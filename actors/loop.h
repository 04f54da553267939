/* SPDX-License-Identifier: MPL-2.0
 * The running loop of one actor, shared by the two halves of its implementation: actor.c (thread, pipe, boot
 * reply) and loop.c (sockets, dispatch). Everybody else sees actors/actor.h only.                          */
#ifndef RK_ACTORS_LOOP_H
#define RK_ACTORS_LOOP_H
#include <poll.h>

#include "actors/actor.h"
#include "actors/security/identity.h"

#define RK_LOOP_ENDPOINT 256
#define RK_LOOP_ID 255 /* longest ROUTER routing id */
enum { RK_LOOP_PIPE = 0, RK_LOOP_INBOX, RK_LOOP_N_FIXED }; /* items; DEALERs follow */

/* One party we can send to: through a DEALER of ours, or back through the ROUTER by its routing id. */
typedef struct {
    uint32_t address;
    zsock_t *dealer;  /* NULL: the learned way back */
    void *socket;     /* of the dealer */
    char *endpoint;   /* ours: opened when first needed; NULL: none, or open already */
    bool answers;     /* on the DEALER to it */
    int item;         /* of the socket, if it is listened to, else -1 */
    uint64_t seq;     /* last one sent */
    uint64_t bytes;   /* sent */
    size_t n_routing; /* 0: not learned */
    uint8_t routing[RK_LOOP_ID];
} rk_loop_peer_t;

/* A socket that is listened to. libzmq's descriptor becomes readable once when something has changed; whatever
 * uses the socket, a send too, may take that signal away. So a socket that was signalled, or sent on, stays
 * `dirty` until a receive has found nothing.                                                               */
typedef struct {
    void *socket;
    bool dirty;
} rk_loop_item_t;

/* A connection whose end the class wants to hear of (tethers.c). */
typedef struct {
    uint32_t address;
    int fd;
    bool ended;
} rk_loop_tether_t;

struct rk_loop {
    const rk_actor_class_t *klass;
    const rk_actor_plumbing_t *plumbing; /* valid until the boot reply */
    void *self;
    zsock_t *pipe, *inbox;
    void *pipe_socket, *inbox_socket;
    uint32_t address;
    uint64_t view;
    char endpoint[RK_LOOP_ENDPOINT];
    size_t max_message_bytes;
    int hwm;
    rk_identity_t identity;    /* of all sockets */
    bool has_identity;         /* without one there is no tcp */
    char bound[RK_LOOP_ENDPOINT]; /* where it really is, if it is advertised at a relay; else "" */
    bool watched, guarded;     /* the gate hears of the inbox's connections; and the inbox encrypts */
    rk_packet_t *packet;       /* received into again and again */
    rk_loop_peer_t *peers;
    size_t n_peers, capacity;
    rk_loop_item_t *items;     /* pipe, inbox, then the DEALERs that are answered */
    struct pollfd *fds;        /* their descriptors, then the tethers' */
    int n_items;
    uint64_t n_changes;        /* of the list of items */
    rk_loop_tether_t *tethers;
    size_t n_tethers;
    bool ended;
    uint64_t bytes_sent, dropped, n_peer_errors;
    int64_t idle_ns;
};

/* All functions: thread of the actor. */
rk_err_t rk_loop_open (rk_loop_t *loop, zsock_t *pipe, const rk_actor_class_t *klass, const rk_actor_plumbing_t *plumbing,
                       rk_error_t *err) RK_MUST_CHECK;
void rk_loop_close (rk_loop_t *loop); /* also after a failed open */
void rk_loop_run (rk_loop_t *loop);
void rk_loop_plumb (rk_loop_t *loop, zsock_t *sock, void *raw); /* options every socket has */
void rk_loop_log_links (const rk_loop_t *loop);
rk_err_t rk_loop_list_items (rk_loop_t *loop) RK_MUST_CHECK;    /* after peers or tethers changed */

/* ---- tethers.c */
void rk_loop_untie (rk_loop_t *loop, uint32_t address); /* the list is to be made again */
void rk_loop_list_tethers (rk_loop_t *loop);
void rk_loop_look_at_tethers (rk_loop_t *loop); /* after a poll that found something */
void rk_loop_hear_hang_ups (rk_loop_t *loop);

#endif
