/* SPDX-License-Identifier: MPL-2.0
 * The other end of a relay (relay.h), in a process that others cannot reach: one thread that dials the relay for every
 * connection that comes for one of its inboxes, and ties it to the inbox. Loops ask it where an inbox is to be advertised
 * (rk_identity_t.tunnel), so no actor knows of it.
 * sockets: DEALER to the relay; REP for questions; two tcp sockets for each connection.
 * It dials nobody but the relay, and passes on to nothing but inboxes of its own that it has exposed.       */
#ifndef RK_ACTORS_RELAY_TUNNEL_H
#define RK_ACTORS_RELAY_TUNNEL_H
#include "actors/security/identity.h"

typedef struct rk_tunnel rk_tunnel_t;

/* identity: its `tunnel` is filled in. relay: "tcp://host:port/KEY" as this machine reaches it. errors: RK_EIO, RK_EINVAL, RK_ENOMEM. */
rk_err_t rk_tunnel_new (rk_tunnel_t **tunnel_p, rk_identity_t *identity, const char *relay, rk_error_t *err) RK_MUST_CHECK;
void rk_tunnel_stop (rk_tunnel_t **tunnel_p); /* NULL and repeated calls are fine */

/* Questions, from any thread; each waits for the answer, at most some seconds. tunnel: rk_identity_t.tunnel. */

/* Is the relay there? Waits patience_ms at most. */
bool rk_tunnel_answers (const char *tunnel, int patience_ms);
/* Can the relay's machine dial this one at `host`? Asks it to. errors: RK_ETIMEDOUT: the relay does not answer. */
rk_err_t rk_tunnel_probe (const char *tunnel, const char *host, bool *reached, rk_error_t *err) RK_MUST_CHECK;
/* inbox: "tcp://host:port/KEY" where it is bound -> where others reach it. errors: RK_EPEER: the relay refuses. */
rk_err_t rk_tunnel_expose (const char *tunnel, const char *inbox, char *text, size_t size, rk_error_t *err) RK_MUST_CHECK;
void rk_tunnel_hide (const char *tunnel, const char *inbox); /* it is no more; does not wait for the relay */

#endif
