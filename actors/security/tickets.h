/* SPDX-License-Identifier: MPL-2.0
 * Join tickets: single use, expiring, revocable. A ticket is a string that carries the leader's address and public
 * key and the secret half of a key pair made for this one guest; the leader keeps only the public half, in
 * tickets/ID of its folder of keys (ID: its first 16 digits). Whoever connects with the ticket's key may say one
 * thing, Enrol, with the key it wants to use from then on: that key becomes allowed/NAME-ID.cert and the ticket is
 * gone. Files decide, so tickets outlive the leader's process and hold for several leaders of one folder.
 * thread: any; two processes may use one folder at once.                                                   */
#ifndef RK_ACTORS_SECURITY_TICKETS_H
#define RK_ACTORS_SECURITY_TICKETS_H
#include "actors/security/keyring.h"

#define RK_TICKET_TEXT 512
#define RK_TICKET_ADDRESS 186 /* an endpoint with a key behind it fits 255 */
#define RK_TICKET_ID 17

typedef struct {
    char address[RK_TICKET_ADDRESS]; /* "tcp://host:port" */
    uint8_t leader[RK_KEY_BYTES];    /* its public key */
    uint8_t secret[RK_KEY_BYTES];    /* of the ticket's own key pair */
} rk_ticket_t;

bool rk_ticket_is (const char *text); /* looks like one: "rookery-..." */
void rk_ticket_write (const rk_ticket_t *ticket, char text[RK_TICKET_TEXT]);
/* errors: RK_EINVAL: cut short, mistyped, or of another version. */
rk_err_t rk_ticket_read (rk_ticket_t *ticket, const char *text, rk_error_t *err) RK_MUST_CHECK;
void rk_ticket_id (const uint8_t public_key[RK_KEY_BYTES], char id[RK_TICKET_ID]);

/* What the leader keeps. Times: seconds since 1970, by the wall clock. */
typedef struct {
    char id[RK_TICKET_ID], name[RK_KEYRING_NAME];
    uint8_t key[RK_KEY_BYTES]; /* public */
    int64_t expires_s;
} rk_invitation_t;

/* A new ticket. name: of the guest: letters, digits, - and _. errors: RK_EINVAL (name, address), RK_EIO. */
rk_err_t rk_tickets_issue (const char *folder, const rk_identity_t *leader, const char *address, const char *name,
                           int64_t now_s, int64_t valid_s, rk_ticket_t *ticket, rk_invitation_t *kept, rk_error_t *err) RK_MUST_CHECK;
/* The open ticket with this public key. errors: RK_ENOTFOUND: none: never issued, used or revoked; RK_ETIMEDOUT:
 * expired; RK_EFORMAT, RK_EIO.                                                                             */
rk_err_t rk_tickets_find (const char *folder, const uint8_t key[RK_KEY_BYTES], int64_t now_s, rk_invitation_t *found,
                          rk_error_t *err) RK_MUST_CHECK;
/* Uses it up for `guest`, whose certificate is in allowed/ when this returns RK_OK. Exactly one guest can have a
 * ticket, also when two processes are asked at once; the same guest may ask again. errors: as rk_tickets_find;
 * RK_ESTATE: somebody else has used it.                                                                    */
rk_err_t rk_tickets_redeem (const char *folder, const char *id, const uint8_t guest[RK_KEY_BYTES], int64_t now_s, rk_error_t *err) RK_MUST_CHECK;
/* errors: RK_ENOTFOUND. */
rk_err_t rk_tickets_revoke (const char *folder, const char *id, rk_error_t *err) RK_MUST_CHECK;
/* All that are open or expired. *list_p is the caller's. errors: RK_ENOMEM. */
rk_err_t rk_tickets_list (const char *folder, rk_invitation_t **list_p, size_t *n, rk_error_t *err) RK_MUST_CHECK;

#endif
