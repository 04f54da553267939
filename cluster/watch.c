/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/watch.h"

#include <string.h>

void rk_watch_begin (rk_watch_t *w, uint64_t round, bool by_choice)
{
    if (by_choice && w->n_doublings < RK_WATCH_MOST_DOUBLINGS)
        w->n_doublings++;
    memset (w->thought_ppm, 0, sizeof w->thought_ppm);
    w->has_thought = w->has_news = false;
    w->since_round = w->quiet_round = round;
}

uint64_t rk_watch_least_rounds (const rk_watch_t *w)
{
    return (uint64_t) RK_REPLAN_LEAST_ROUNDS << w->n_doublings;
}

uint64_t rk_watch_rounds_since (const rk_watch_t *w, uint64_t round)
{
    return round > w->since_round ? round - w->since_round : 0;
}

static bool s_apart (uint64_t a, uint64_t b, uint64_t ppm)
{
    const uint64_t more = a > b ? a : b, less = a > b ? b : a;
    return less && more - less > less / 1000000 * ppm + less % 1000000 * ppm / 1000000;
}

static bool s_moved (const uint64_t *drift_ppm, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (s_apart (drift_ppm[i], 1000000, RK_WATCH_DRIFT_PPM))
            return true;
    return false;
}

/* What was thought of the same figures holds, until a reason against a change has gone. */
static bool s_is_news (const rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, uint64_t round)
{
    if (!w->has_thought)
        return true;
    if (w->verdict == RK_REPLAN_EARLY && rk_watch_rounds_since (w, round) >= rk_watch_least_rounds (w))
        return true;
    for (uint32_t i = 0; i < n && i < RK_WATCH_MOST; i++)
        if ((drift_ppm[i] == 0) != (w->thought_ppm[i] == 0) || s_apart (drift_ppm[i], w->thought_ppm[i], RK_WATCH_NEWS_PPM))
            return true;
    return false;
}

bool rk_watch_due (rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, uint64_t round, int64_t now_ms)
{
    if (w->n_doublings && round >= w->quiet_round + RK_WATCH_QUIET * rk_watch_least_rounds (w)) {
        w->n_doublings--;
        w->quiet_round = round;
    }
    const bool is_news = s_moved (drift_ppm, n) && s_is_news (w, drift_ppm, n, round);
    if (is_news && !w->has_news)
        w->news_ms = now_ms;
    w->has_news = is_news;
    return is_news && now_ms >= w->next_ms && now_ms - w->news_ms >= RK_WATCH_SETTLE_MS;
}

void rk_watch_thought (rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, rk_replan_verdict_t verdict, int64_t now_ms)
{
    for (uint32_t i = 0; i < RK_WATCH_MOST; i++)
        w->thought_ppm[i] = i < n ? drift_ppm[i] : 0;
    w->verdict = verdict;
    w->has_thought = true;
    w->has_news = false;
    w->next_ms = now_ms + RK_WATCH_EVERY_MS;
}
