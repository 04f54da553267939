/* SPDX-License-Identifier: MPL-2.0
 * When to think about another plan, and how soon it may be changed again. Planning takes time, and figures are never
 * quite the same: it is thought about only when what stages take has moved away from what the plan was made with, and
 * only once for the same figures, after they have settled: a median that has just turned shows half of a change. Each change doubles how many rounds the next one has to wait; quiet times halve it
 * again. A node that is fast and slow by turns costs a few changes, not one every round. Pure. thread: any.  */
#ifndef RK_CLUSTER_WATCH_H
#define RK_CLUSTER_WATCH_H
#include "cluster/replan.h"

#define RK_WATCH_DRIFT_PPM UINT64_C (80000) /* of a stage's time, from what the plan was made with */
#define RK_WATCH_NEWS_PPM UINT64_C (50000)  /* from what it was when it was last thought about */
#define RK_WATCH_MOST (2 * RK_MAX_FLEET)    /* figures: stages, and their links */
#define RK_WATCH_EVERY_MS 1000
#define RK_WATCH_SETTLE_MS 1000
#define RK_WATCH_MOST_DOUBLINGS 8
#define RK_WATCH_QUIET 16 /* times the wait: one doubling is forgotten */

typedef struct {
    uint64_t thought_ppm[RK_WATCH_MOST]; /* drifts when it was last thought about; 0: not known then */
    rk_replan_verdict_t verdict;        /* of it */
    bool has_thought;
    int64_t next_ms;
    bool has_news;                      /* since news_ms */
    int64_t news_ms;
    uint64_t since_round;               /* committed when the plan last changed */
    uint64_t quiet_round;               /* a doubling was last added or forgotten */
    uint32_t n_doublings;
} rk_watch_t;

/* A plan begins with `round` rounds committed. by_choice: it was taken because it is better. */
void rk_watch_begin (rk_watch_t *w, uint64_t round, bool by_choice);
/* A round has been committed. drift_ppm: observed over planned time of n things; 0: not known. */
bool rk_watch_due (rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, uint64_t round, int64_t now_ms);
/* It has been thought about. */
void rk_watch_thought (rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, rk_replan_verdict_t verdict, int64_t now_ms);
uint64_t rk_watch_least_rounds (const rk_watch_t *w);
uint64_t rk_watch_rounds_since (const rk_watch_t *w, uint64_t round);

#endif
