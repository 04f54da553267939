/* SPDX-License-Identifier: MPL-2.0
 * How long to wait for the next sign of progress: a multiple of the longest gap seen so far, never less than
 * a floor derived from the plan, so that a slow but living run is not called stuck. Pure.                  */
#ifndef RK_CLUSTER_PATIENCE_H
#define RK_CLUSTER_PATIENCE_H
#include <stdint.h>

#define RK_PATIENCE_FACTOR 10

typedef struct {
    int64_t floor_ms, last_ms, longest_ms;
} rk_patience_t;

static inline void rk_patience_start (rk_patience_t *p, int64_t floor_ms, int64_t now_ms)
{
    p->floor_ms = floor_ms;
    p->last_ms = now_ms;
}
static inline void rk_patience_progress (rk_patience_t *p, int64_t now_ms)
{
    if (now_ms - p->last_ms > p->longest_ms)
        p->longest_ms = now_ms - p->last_ms;
    p->last_ms = now_ms;
}
static inline int64_t rk_patience_limit_ms (const rk_patience_t *p)
{
    int64_t learned = RK_PATIENCE_FACTOR * p->longest_ms;
    return learned > p->floor_ms ? learned : p->floor_ms;
}
/* The time at which it runs out. */
static inline int64_t rk_patience_end_ms (const rk_patience_t *p)
{
    return p->last_ms + rk_patience_limit_ms (p);
}

#endif
