/* SPDX-License-Identifier: MPL-2.0
 * The beacon: a run says on its networks that it is there, and nodes find it without an address. One CZMQ zbeacon for each
 * interface (UDP broadcast, port 5669), four times a second, one packet of fixed size: protocol version, port, public key,
 * name of the run; nothing secret, and nothing that is believed: a packet is a hint where to knock, and who opens must have
 * the key.
 * thread: the caller's; zbeacon has one of its own.                                                        */
#ifndef RK_ACTORS_BEACON_H
#define RK_ACTORS_BEACON_H
#include <netinet/in.h>

#include "actors/security/identity.h"

#define RK_BEACON_NAME 32
#define RK_BEACON_BYTES 76

typedef struct {
    uint16_t port;
    bool plain;               /* the run does not encrypt; then there is no key */
    uint8_t key[RK_KEY_BYTES];
    char name[RK_BEACON_NAME];
} rk_beacon_facts_t;

void rk_beacon_write (const rk_beacon_facts_t *facts, uint8_t bytes[RK_BEACON_BYTES]);
/* false: another program, another version, or damaged. */
bool rk_beacon_read (rk_beacon_facts_t *facts, const uint8_t *bytes, size_t size);
/* Of a run: letters of any other kind become '-'. */
void rk_beacon_name (const char *text, char name[RK_BEACON_NAME]);

typedef struct rk_beacon rk_beacon_t;

/* facts NULL: listens, else says them, on all interfaces, or on the one with that address. host: as bound.
 * errors: RK_EIO: no network with broadcasts there; RK_ENOMEM.                                              */
rk_err_t rk_beacon_new (rk_beacon_t **beacon_p, const rk_beacon_facts_t *facts, const char *host, rk_error_t *err) RK_MUST_CHECK;
/* The next packet that is one. errors: RK_ETIMEDOUT: none within wait_ms. */
rk_err_t rk_beacon_hear (rk_beacon_t *beacon, int64_t wait_ms, rk_beacon_facts_t *facts, char host[INET_ADDRSTRLEN]) RK_MUST_CHECK;
void rk_beacon_stop (rk_beacon_t **beacon_p); /* NULL and repeated calls are fine */

#endif
