/* SPDX-License-Identifier: MPL-2.0
 * What socket monitors tell about the doors of a process, and the log of strangers. Private to the gate, in its
 * thread. libzmq tells the descriptor of a connection when it is accepted and when it ends; in between, a failed
 * handshake has no descriptor, but its end follows at once, so the two are put together.                   */
#ifndef RK_ACTORS_SECURITY_WATCH_H
#define RK_ACTORS_SECURITY_WATCH_H
#include <czmq.h>

#include "compute/error.h"

typedef struct rk_watch rk_watch_t; /* all doors */

rk_err_t rk_watch_new (rk_watch_t **watch_p) RK_MUST_CHECK;
void rk_watch_destroy (rk_watch_t **watch_p);
/* Listens to one more monitor. errors: RK_EIO, RK_ENOMEM. */
rk_err_t rk_watch_add (rk_watch_t *watch, const char *monitor, rk_error_t *err) RK_MUST_CHECK;
size_t rk_watch_n (const rk_watch_t *watch);
zsock_t *rk_watch_sock (const rk_watch_t *watch, size_t i);
/* Takes all events of door i; a door that has been closed is taken off the list. */
void rk_watch_hear (rk_watch_t *watch, size_t i, int64_t now_ms);
/* A line about a stranger, if not too many have been written lately; the next one says how many were left out. */
void rk_watch_log (rk_watch_t *watch, int64_t now_ms, const char *id, const char *fmt, ...) RK_PRINTF (4, 5);

#endif
