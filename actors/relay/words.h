/* SPDX-License-Identifier: MPL-2.0
 * What a relay and its tunnels say to one another: a few short words (relay.h), checked in full before any is used.
 * thread: any.                                                                                             */
#ifndef RK_ACTORS_RELAY_WORDS_H
#define RK_ACTORS_RELAY_WORDS_H
#include <czmq.h>

#include "compute/error.h"

#define RK_RELAY_ID 17      /* of a tunnel: its ZeroMQ routing id: "r" and random bits */
#define RK_RELAY_TOKEN 33   /* 128 random bits in hexadecimal, with the NUL */
#define RK_RELAY_WORD 96
#define RK_RELAY_WORDS 4
#define RK_RELAY_TEXT 256

/* Takes all frames of msg as words. false: too many, too long, or with bytes that are no printable ASCII. */
bool rk_relay_words (zmsg_t *msg, char words[][RK_RELAY_WORD], size_t *n);
void rk_relay_token (char token[RK_RELAY_TOKEN]);
void rk_relay_id (uint8_t id[RK_RELAY_ID]);
/* Both ends notice a connection that is dead, and what lies between keeps it open. */
void rk_relay_keep_alive (void *socket);

/* zactor_new cannot say why: code and text over the pipe. text: RK_RELAY_TEXT, what the thread says when all is well. */
void rk_relay_boot_reply (zsock_t *pipe, rk_err_t code, const char *text);
rk_err_t rk_relay_boot_wait (zactor_t *zactor, char *text, rk_error_t *err) RK_MUST_CHECK;

#endif
