/* SPDX-License-Identifier: MPL-2.0
 * Who a process is: a long-lived CURVE key pair, one for all its sockets. The public key is the node's id: 64
 * hexadecimal digits, in Hello, in logs and behind tcp endpoints ("tcp://host:port/KEY"), so that whoever is told
 * where an actor is also knows who must answer there. tcp is encrypted in both directions and accepts only keys
 * that the gate (gate.h) allows; ipc and inproc stay inside one machine and are not encrypted.
 * thread: any; values are copied.                                                                         */
#ifndef RK_ACTORS_SECURITY_IDENTITY_H
#define RK_ACTORS_SECURITY_IDENTITY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_KEY_BYTES 32
#define RK_KEY_TEXT 65   /* hexadecimal, with the NUL */
#define RK_KEY_SHORT 13  /* the first 12 digits: enough for a log line */
#define RK_KEY_Z85 41    /* as certificates of CZMQ have it */

typedef struct {
    uint8_t public_key[RK_KEY_BYTES], secret_key[RK_KEY_BYTES];
    char gate[64]; /* inproc endpoint of the gate that says whose connections are taken */
    char tunnel[64]; /* inproc endpoint of the tunnel (relay/tunnel.h) by which others reach this process; "": directly */
    char any[64];  /* host that an advertised 0.0.0.0 stands for: the leader's, as this process reaches it; "": this machine */
    bool plain;    /* tcp without encryption: whoever reaches a port takes part */
} rk_identity_t;

extern const rk_identity_t rk_identity_plain;

/* A new key pair. errors: RK_EUNSUPPORTED when libzmq was built without CURVE. */
rk_err_t rk_identity_generate (rk_identity_t *identity, rk_error_t *err) RK_MUST_CHECK;
/* The pair of a secret key. errors: RK_EUNSUPPORTED. */
rk_err_t rk_identity_of_secret (rk_identity_t *identity, const uint8_t secret[RK_KEY_BYTES], rk_error_t *err) RK_MUST_CHECK;
void rk_identity_forget (rk_identity_t *identity); /* the secret is overwritten */

void rk_key_text (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_TEXT]);
void rk_key_short (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_SHORT]);
bool rk_key_parse (const char *text, uint8_t key[RK_KEY_BYTES]); /* exactly 64 hexadecimal digits */
bool rk_key_of_z85 (const char *text, uint8_t key[RK_KEY_BYTES]);
void rk_key_z85 (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_Z85]);

/* "tcp://host:port/KEY" -> "tcp://host:port" and the key; *has_key: there was one. Other endpoints as they are.
 * errors: RK_EINVAL: too long, or what follows the port is no key.                                         */
rk_err_t rk_endpoint_split (const char *endpoint, char *address, size_t size, uint8_t key[RK_KEY_BYTES], bool *has_key,
                            rk_error_t *err) RK_MUST_CHECK;
bool rk_endpoint_is_tcp (const char *endpoint);

/* Socket options, before bind or connect. join: the door that also takes one-time tickets.
 * errors: RK_EIO.                                                                                          */
#define RK_DOMAIN "rookery"
#define RK_DOMAIN_JOIN "rookery-join"
rk_err_t rk_identity_serve (const rk_identity_t *identity, void *socket, bool join, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_identity_call (const rk_identity_t *identity, void *socket, const uint8_t server_key[RK_KEY_BYTES],
                           rk_error_t *err) RK_MUST_CHECK;

#endif
