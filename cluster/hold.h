/* SPDX-License-Identifier: MPL-2.0
 * How a node of declared speed is as slow as it says: what it computes with `busy` CPU time takes busy / speed by the clock,
 * counted from when it began, so that waiting for a processor and waking up late are part of it and not on top. What took longer
 * still is owed: the next waits are shorter by it, and the mean speed is right. Times are arguments. Pure. thread: any. */
#ifndef RK_CLUSTER_HOLD_H
#define RK_CLUSTER_HOLD_H
#include "cluster/plan.h"

#define RK_HOLD_OWED_NS 10000000 /* at most so much is owed, or the length of one computation if that is more: who was stopped is no debtor */

typedef struct {
    uint64_t pace_ppm;  /* time by the clock over CPU time, in millionths; 0: as fast as it can */
    int64_t until_ns;   /* end of the wait that has begun */
    int64_t owed_ns, most_ns;
} rk_hold_t;

/* Of a node of this plan: 1 / speed, x how short its host's cores are: the sum of all its nodes' speeds over its cores, at least
 * 1 (as cluster/score). 0: full speed, or not of this plan.                                               */
uint64_t rk_hold_pace (const rk_plan_t *plan, uint32_t node);
/* A computation is over that began at start_ns: until when nothing more is to be done. In the past: nothing to wait for. */
int64_t rk_hold_begin (rk_hold_t *hold, int64_t start_ns, int64_t busy_ns);
/* The wait is over, now, or there was none. */
void rk_hold_end (rk_hold_t *hold, int64_t now_ns);
/* There was nothing to do for so long: then a node that had caught up would be no further. */
void rk_hold_idle (rk_hold_t *hold, int64_t idle_ns);

#endif
