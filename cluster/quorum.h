/* SPDX-License-Identifier: MPL-2.0
 * When enough members of a view have agreed, architecture §8. Any two sets that pass share a member that is
 * alive, unless everybody of one of them is dead; so living members never follow two decisions.
 * Pure. thread: any.                                                                                      */
#ifndef RK_CLUSTER_QUORUM_H
#define RK_CLUSTER_QUORUM_H
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    RK_VOTE_NONE = 0, /* has not answered, or said no */
    RK_VOTE_YES,
    RK_VOTE_DEAD      /* its process is known to have ended, so it has no vote to come: not merely silent */
} rk_vote_t;

/* votes[i] of member i, members in ascending id; a witness is one more member. Enough are
 *   more than half of all members;
 *   exactly half, with the first of them (the lowest id);
 *   all that are not dead, at least one.                                                                  */
bool rk_quorum (const rk_vote_t *votes, uint32_t n);

/* The fewest further members whose yes would be enough; 0: it is. For the line that says what would help. */
uint32_t rk_quorum_lacks (const rk_vote_t *votes, uint32_t n);

#endif
