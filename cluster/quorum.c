/* SPDX-License-Identifier: MPL-2.0
 * Why living members cannot be split. Two majorities meet. Half with the lowest id meets a majority, and the
 * other half lacks the lowest id. All that live meets every set that has a living member.                 */
#include "cluster/quorum.h"

typedef struct {
    uint32_t yes, open;
    bool first_yes, first_open;
} s_count_t;

static s_count_t s_count (const rk_vote_t *votes, uint32_t n)
{
    s_count_t c = {.first_yes = n && votes[0] == RK_VOTE_YES, .first_open = n && votes[0] == RK_VOTE_NONE};
    for (uint32_t i = 0; i < n; i++) {
        c.yes += votes[i] == RK_VOTE_YES;
        c.open += votes[i] == RK_VOTE_NONE;
    }
    return c;
}

static bool s_enough (const s_count_t *c, uint32_t n)
{
    return 2 * (uint64_t) c->yes > n || (c->first_yes && 2 * (uint64_t) c->yes == n) || (c->yes && !c->open);
}

bool rk_quorum (const rk_vote_t *votes, uint32_t n)
{
    const s_count_t c = s_count (votes, n);
    return s_enough (&c, n);
}

uint32_t rk_quorum_lacks (const rk_vote_t *votes, uint32_t n)
{
    s_count_t c = s_count (votes, n);
    uint32_t lacks = 0;
    for (; !s_enough (&c, n) && c.open; lacks++) {
        c.open--;
        c.yes++;
        c.first_yes |= c.first_open;
    }
    return lacks;
}
