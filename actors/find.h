/* SPDX-License-Identifier: MPL-2.0
 * Whom to join, when that is not one address: a run on this network (its beacon), or the first of several members that
 * answers.
 *   lan[:NAME][/KEY | /CERTIFICATE | /TICKET]   the run of that name and key; without a key, one whose key this node knows
 *   A,B,C                                       addresses as --join takes them; the first that accepts a connection
 * A beacon is a hint: who answers at the address must still have the key, and still decides who comes in.
 * thread: the caller's; waits, with deadlines, until *interrupted.                                         */
#ifndef RK_ACTORS_FIND_H
#define RK_ACTORS_FIND_H
#include <stdbool.h>
#include <stdint.h>

#include "compute/error.h"

#define RK_FIND_TEXT 512

typedef struct {
    const char *join;
    const char *keys;                 /* folder; NULL: the user's */
    bool plain;                       /* without encryption */
    const volatile bool *interrupted; /* may be NULL */
    int64_t patience_ms;              /* 0: 120 s */
} rk_find_t;

/* text: what to join: an address (with its key), or a ticket for it; what is one already is passed on as it is.
 * errors: RK_ETIMEDOUT: nobody (and who else was heard), RK_EINVAL, RK_EPEER: several runs, RK_ECANCELED, RK_EIO.         */
rk_err_t rk_find_leader (const rk_find_t *find, char text[RK_FIND_TEXT], rk_error_t *err) RK_MUST_CHECK;

#endif
