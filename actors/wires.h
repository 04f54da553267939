/* SPDX-License-Identifier: MPL-2.0
 * What the tcp connections of this process carry, as the kernel sees it: for each connection that was dialed to a known
 * endpoint the bytes that arrived there and the rate at which they did (TCP_INFO: its estimate counts only stretches in which
 * the sender had more to send, or that were faster). Nothing is measured beside the traffic, and nothing per message: looking
 * costs one walk over the open files. thread: one at a time.                                              */
#ifndef RK_ACTORS_WIRES_H
#define RK_ACTORS_WIRES_H
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_WIRES_LEAST_BYTES 65536 /* between two looks; less says nothing about a link */
#define RK_WIRES_LEAST_SHARE 10    /* of what it can carry, a tenth: on what is used less nothing depends */

typedef struct rk_wires rk_wires_t;
typedef struct {
    uint32_t node;
    uint64_t bytes_per_s, bytes; /* bytes: since the look before */
} rk_wire_t;

rk_err_t rk_wires_new (rk_wires_t **wires_p) RK_MUST_CHECK;
void rk_wires_destroy (rk_wires_t **wires_p);
/* An endpoint of an actor of that node ("tcp://HOST:PORT", with or without a key); others are ignored. errors: RK_ENOMEM. */
rk_err_t rk_wires_add (rk_wires_t *wires, uint32_t node, const char *endpoint, rk_error_t *err) RK_MUST_CHECK;
/* Links to other nodes that were in use since the look before; at most `most`. The first look only begins. */
size_t rk_wires_look (rk_wires_t *wires, int64_t now_ns, rk_wire_t *out, size_t most);

#endif
