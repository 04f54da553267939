/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/restart.h"

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014) */
static uint64_t s_random (rk_restart_t *r)
{
    uint64_t z = r->random += UINT64_C (0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C (0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C (0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool rk_restart_failed (rk_restart_t *r, int64_t now_ms, int64_t *at_ms)
{
    if (r->n && now_ms - r->last_ms >= r->forget_ms)
        r->n = 0;
    r->last_ms = now_ms;
    if (r->n >= r->most)
        return false;
    int64_t pause_ms = r->first_ms;
    for (uint32_t i = 0; i < r->n && pause_ms < RK_RESTART_LONGEST_MS; i++)
        pause_ms *= 2;
    if (pause_ms > RK_RESTART_LONGEST_MS)
        pause_ms = RK_RESTART_LONGEST_MS;
    r->n++;
    *at_ms = now_ms + pause_ms / 2 + (int64_t) (s_random (r) % (uint64_t) (pause_ms + 1));
    return true;
}
