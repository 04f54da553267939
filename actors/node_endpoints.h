/* SPDX-License-Identifier: MPL-2.0
 * Addresses as text. thread: any. */
#ifndef RK_ACTORS_NODE_ENDPOINTS_H
#define RK_ACTORS_NODE_ENDPOINTS_H
#include <stdbool.h>
#include <stddef.h>
#include "compute/error.h"

/* Is it an address at all? errors: RK_EINVAL. */
rk_err_t rk_node_check_endpoint (const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
/* Can this machine reach itself at the host of that endpoint (or at a host alone)? What does not resolve, and what is no tcp, is
 * left to whoever binds it. Waits a second at most. errors: RK_EINVAL: no address of this machine; RK_EIO: it cannot. */
rk_err_t rk_node_check_own (const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
/* The host part of "tcp://host:port"; "" for other transports. */
void rk_node_host_of (const char *endpoint, char *host, size_t size);
bool rk_node_is_loopback (const char *host);
bool rk_node_is_loopback_endpoint (const char *endpoint); /* or no tcp at all */
/* Address of the interface this machine uses towards host. */
void rk_node_interface (const char *host, char *address, size_t size);
/* "tcp://0.0.0.0:1234" as seen from a machine that reaches it by `host`. */
void rk_node_seen_from (const char *endpoint, const char *host, char *text, size_t size);

#endif
