/* SPDX-License-Identifier: MPL-2.0
 * The relay: for members that others cannot reach (behind NAT or a firewall) but that can dial out. The leading process
 * has one when it listens beyond loopback. A member opens a tunnel (tunnel.h); for each of its inboxes the relay listens
 * on a port of its own, and whoever connects there is passed on through a connection that the member dials for it. What
 * passes is the CURVE handshake and ciphertext of the two ends; the relay can read nothing and be nobody.
 * sockets: ROUTER for tunnels (encrypted as everything else, the gate decides); listening tcp sockets: the door, where
 *   members bring connections, and one port for each inbox; two for each connection that is passed on.
 * words:  member: PROBE ADDRESS WORD -> PROBED WORD 0|1 (dials there and says WORD); EXPOSE INBOX -> EXPOSED INBOX ENDPOINT
 *   ("": refused); HIDE INBOX.  relay: CALL INBOX TOKEN PORT: dial PORT, say TOKEN, and go on with INBOX.
 * bounds: per connection 128 KiB and 10 s to be brought; most_lines connections, 64 ports a member. */
#ifndef RK_ACTORS_RELAY_RELAY_H
#define RK_ACTORS_RELAY_RELAY_H
#include "actors/security/identity.h"

typedef struct rk_relay rk_relay_t;

typedef struct {
    const char *host;              /* to listen on, as the leader's own actors do */
    const rk_identity_t *identity;
    uint32_t most_lines;
} rk_relay_config_t;

/* errors: RK_EIO: an address that cannot be bound; RK_ENOMEM. */
rk_err_t rk_relay_new (rk_relay_t **relay_p, const rk_relay_config_t *config, rk_error_t *err) RK_MUST_CHECK;
const char *rk_relay_endpoint (const rk_relay_t *relay); /* "tcp://host:port/KEY", for tunnels */
void rk_relay_stop (rk_relay_t **relay_p);               /* NULL and repeated calls are fine */

#endif
