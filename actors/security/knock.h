/* SPDX-License-Identifier: MPL-2.0
 * Knocking at a leader's door before joining: one connection that ends with a clear answer, where the
 * coordinator's own would only try again. thread: the caller's; waits, with deadlines, until *interrupted.  */
#ifndef RK_ACTORS_SECURITY_KNOCK_H
#define RK_ACTORS_SECURITY_KNOCK_H
#include "actors/security/identity.h"
#include "messages/wire.h"

typedef struct {
    const rk_identity_t *identity;   /* who knocks */
    const char *address;             /* "tcp://host:port" */
    const uint8_t *leader;           /* its public key; without encryption not used */
    int64_t patience_ms;             /* for somebody to be there at all; 0: 120 s */
    const volatile bool *interrupted;/* may be NULL */
} rk_knock_t;

/* RK_OK: somebody with that key is there and lets this node in. errors: RK_EPEER (it says no, has another key or
 * does not encrypt: what to do), RK_ETIMEDOUT (nobody there), RK_ECANCELED, RK_EIO.                         */
rk_err_t rk_knock (const rk_knock_t *knock, rk_error_t *err) RK_MUST_CHECK;

/* identity: of a ticket. Enrols guest_key, which is allowed from then on. errors: as rk_knock; RK_EPEER: the
 * ticket is not valid (used, expired, revoked).                                                            */
rk_err_t rk_knock_enrol (const rk_knock_t *knock, const uint8_t guest_key[RK_KEY_BYTES], rk_error_t *err) RK_MUST_CHECK;

/* One question, one answer, received into packet. answer_ms: for the answer, once the door is open.
 * errors: as rk_knock; RK_EPEER: a Stop came instead, with its reason.                                    */
rk_err_t rk_knock_ask (const rk_knock_t *knock, const rk_msg_t *question, int64_t answer_ms, rk_packet_t *packet,
                       rk_error_t *err) RK_MUST_CHECK;

#endif
