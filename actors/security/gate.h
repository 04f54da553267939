/* SPDX-License-Identifier: MPL-2.0
 * The gate: one per process that uses encrypted tcp. libzmq asks it about every client key that completes a CURVE
 * handshake (ZAP, RFC 27); it also hears what happens at every door (tcp inbox) and logs strangers: address, door,
 * reason, at most some lines a second. Allowed are: the own key (other processes of the same owner), keys in
 * allowed/ of the folder (read again when it changes), keys admitted for this run (members, as told by the leader
 * one has joined), and at the door for joining the keys of open tickets, with which only Enrol can be said.
 * sockets: REP at inproc://zeromq.zap.01 (libzmq); ROUTER at rk_gate_endpoint (loops, coordinator, parent);
 *   one PAIR per door (its socket monitor).
 * A loop opens a door only after the gate has answered, and the gate is stopped last: libzmq takes everybody's
 * connection when nobody can be asked.                                                                      */
#ifndef RK_ACTORS_SECURITY_GATE_H
#define RK_ACTORS_SECURITY_GATE_H
#include "actors/security/keyring.h"

typedef struct rk_gate rk_gate_t;

/* identity: whose gate it is; its `gate` is filled in. folder: of keys; NULL: the own key alone, no tickets.
 * errors: RK_ESTATE: this process has a gate already (share it); RK_ENOMEM, RK_EIO.                        */
rk_err_t rk_gate_new (rk_gate_t **gate_p, rk_identity_t *identity, const char *folder, rk_error_t *err) RK_MUST_CHECK;
void rk_gate_stop (rk_gate_t **gate_p); /* NULL and repeated calls are fine */

/* Questions, from any thread; each waits for the answer. gate: rk_identity_t.gate.
 * errors: RK_ETIMEDOUT: the gate does not answer; else what it answers.                                    */
rk_err_t rk_gate_watch (const char *gate, const char *monitor, rk_error_t *err) RK_MUST_CHECK; /* inproc name of a socket monitor */
rk_err_t rk_gate_admit (const char *gate, const char *key_text, rk_error_t *err) RK_MUST_CHECK; /* for this run */
/* ticket: the number that authenticated the connection; key_text: the guest's own key from now on. */
rk_err_t rk_gate_redeem (const char *gate, const char *ticket, const char *key_text, rk_error_t *err) RK_MUST_CHECK;

/* Who a message came from, as the gate told libzmq: the key as text, or "ticket:ID". */
#define RK_GATE_TICKET "ticket:"

#endif
