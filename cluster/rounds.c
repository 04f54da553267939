/* SPDX-License-Identifier: MPL-2.0
 * Arithmetic of rounds and passes, and drained dealing: pure functions of the plan.                      */
#include "cluster/lease.h"
#include "cluster/shard.h"

#include <string.h>

typedef unsigned __int128 s_wide_t;

uint64_t rk_round_longest (const rk_plan_t *plan)
{
    uint64_t every = plan->settings.average_every, pass = plan->minibatches_per_pass;
    uint64_t length = every * plan->n_clusters;
    return every == 0 || length > pass ? pass : length;
}

static uint64_t s_rounds_of (const rk_plan_t *plan, uint64_t n_minibatches)
{
    uint64_t length = rk_round_longest (plan);
    return (n_minibatches + length - 1) / length;
}

/* A plan may begin within a pass: its rounds are counted from there, those of later passes from their beginnings. */
typedef struct {
    uint64_t pass, n_rounds, per_pass; /* the first pass, its rounds from the cursor on, those of a whole pass */
} s_first_t;

static s_first_t s_first (const rk_plan_t *plan)
{
    uint64_t pass = plan->first_f / plan->minibatches_per_pass, left = (pass + 1) * plan->minibatches_per_pass - plan->first_f;
    return (s_first_t){pass, s_rounds_of (plan, left), s_rounds_of (plan, plan->minibatches_per_pass)};
}

uint64_t rk_round_n (const rk_plan_t *plan)
{
    s_first_t first = s_first (plan);
    if (first.pass >= plan->settings.run_passes)
        return plan->first_round;
    return plan->first_round + first.n_rounds + (plan->settings.run_passes - first.pass - 1) * first.per_pass;
}

uint64_t rk_pass_of (const rk_plan_t *plan, uint64_t f)
{
    return f / plan->minibatches_per_pass;
}

uint64_t rk_round_of (const rk_plan_t *plan, uint64_t f)
{
    s_first_t first = s_first (plan);
    uint64_t pass = rk_pass_of (plan, f), length = rk_round_longest (plan);
    if (f < plan->first_f)
        return UINT64_MAX;
    if (pass == first.pass)
        return plan->first_round + (f - plan->first_f) / length;
    return plan->first_round + first.n_rounds + (pass - first.pass - 1) * first.per_pass + f % plan->minibatches_per_pass / length;
}

void rk_round_range (const rk_plan_t *plan, uint64_t round, uint64_t *first, uint64_t *end)
{
    s_first_t begin = s_first (plan);
    uint64_t length = rk_round_longest (plan), at = round - plan->first_round, pass = begin.pass;
    *first = *end = plan->first_f;
    if (round < plan->first_round)
        return;
    if (at < begin.n_rounds)
        *first += at * length;
    else {
        pass += 1 + (at - begin.n_rounds) / begin.per_pass;
        *first = pass * plan->minibatches_per_pass + (at - begin.n_rounds) % begin.per_pass * length;
    }
    uint64_t pass_end = (pass + 1) * plan->minibatches_per_pass;
    *end = *first + length < pass_end ? *first + length : pass_end;
}

uint64_t rk_round_cursor (const rk_plan_t *plan, uint64_t n_rounds)
{
    uint64_t first, end = plan->first_f;
    if (n_rounds > plan->first_round)
        rk_round_range (plan, n_rounds - 1, &first, &end);
    return end;
}

bool rk_round_ends_pass (const rk_plan_t *plan, uint64_t round)
{
    return round >= plan->first_round && rk_round_cursor (plan, round + 1) % plan->minibatches_per_pass == 0;
}

uint64_t rk_minibatch_samples (const rk_plan_t *plan, uint64_t f)
{
    uint64_t before = f % plan->minibatches_per_pass * plan->settings.train_batch, left = plan->train_samples - before;
    return left < plan->settings.train_batch ? left : plan->settings.train_batch;
}

/* ---- dealing */
void rk_deal_quota (const rk_plan_t *plan, uint64_t round, uint64_t *quota)
{
    uint64_t first, end;
    rk_round_range (plan, round, &first, &end);
    uint64_t n = end - first, left = n;
    s_wide_t rates = 0, remainder[RK_MAX_CLUSTERS];
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        rates += plan->clusters[c].rate;
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        s_wide_t share = (s_wide_t) n * plan->clusters[c].rate;
        quota[c] = (uint64_t) (share / rates);
        remainder[c] = share % rates;
        left -= quota[c];
    }
    for (; left > 0; left--) {
        uint32_t best = 0;
        for (uint32_t c = 1; c < plan->n_clusters; c++)
            if (remainder[c] > remainder[best])
                best = c;
        quota[best]++;
        remainder[best] = 0;
    }
}

/* Would the next minibatch of a finish before that of b? Virtual time: the j-th ends at j / rate. */
static bool s_ends_before (const rk_plan_t *plan, const uint64_t *dealt, uint32_t a, uint32_t b)
{
    return (s_wide_t) (dealt[a] + 1) * plan->clusters[b].rate < (s_wide_t) (dealt[b] + 1) * plan->clusters[a].rate;
}

void rk_deal_round (const rk_plan_t *plan, uint64_t round, uint32_t *clusters)
{
    uint64_t quota[RK_MAX_CLUSTERS], dealt[RK_MAX_CLUSTERS] = {0}, first, end;
    rk_round_range (plan, round, &first, &end);
    if (rk_shard_is_on (&plan->settings)) {
        for (uint64_t f = first; f < end; f++)
            clusters[f - first] = rk_shard_owner (plan, f);
        return;
    }
    rk_deal_quota (plan, round, quota);
    for (uint64_t i = 0; i < end - first; i++) {
        uint32_t best = RK_MAX_CLUSTERS;
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            if (dealt[c] < quota[c] && (best == RK_MAX_CLUSTERS || s_ends_before (plan, dealt, c, best)))
                best = c;
        clusters[i] = best;
        dealt[best]++;
    }
}
