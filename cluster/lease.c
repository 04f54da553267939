/* SPDX-License-Identifier: MPL-2.0
 * The leader's table of leases. Ids are granted in ascending order, so a single cursor says what is out;
 * only dealt rounds (drained) need to remember who has had how many of his own.                          */
#include "cluster/lease.h"
#include "cluster/shard.h"

#include <stdlib.h>
#include <string.h>

/* Rounds remembered: the two that may be open and the two before them, which somebody may still ask for. */
#define KEPT 4

typedef struct {
    uint64_t round;
    uint64_t first, end;
    uint64_t granted;   /* ids */
    uint64_t *counts;   /* n_clusters: ids granted to each */
    uint64_t *samples;  /* n_clusters: samples in them */
    uint64_t *dealt;    /* n_clusters: where each looks on in the deal (drained) */
    bool *applied;      /* n_stages */
    uint32_t n_applied;
} s_round_t;

struct rk_lease_table {
    rk_plan_t *plan;
    uint64_t n_rounds, committed;
    bool hold;
    bool dealt;          /* the plan says who gets which id: drained, or shards */
    uint32_t *deal;      /* of round deal_round */
    uint64_t deal_round; /* UINT64_MAX: none yet */
    s_round_t rounds[KEPT];
};

static void s_begin_round (rk_lease_table_t *t, uint64_t round)
{
    s_round_t *r = &t->rounds[round % KEPT];
    r->round = round;
    r->granted = 0;
    r->n_applied = 0;
    rk_round_range (t->plan, round, &r->first, &r->end);
    memset (r->counts, 0, t->plan->n_clusters * sizeof *r->counts);
    memset (r->samples, 0, t->plan->n_clusters * sizeof *r->samples);
    memset (r->dealt, 0, t->plan->n_clusters * sizeof *r->dealt);
    memset (r->applied, 0, t->plan->n_stages * sizeof *r->applied);
}

static s_round_t *s_round (const rk_lease_table_t *t, uint64_t round)
{
    const s_round_t *r = &t->rounds[round % KEPT];
    return r->round == round ? (s_round_t *) r : NULL;
}

static bool s_allocate (rk_lease_table_t *t, const rk_plan_t *plan)
{
    if (rk_plan_copy (&t->plan, plan) != RK_OK)
        return false;
    for (int i = 0; i < KEPT; i++) {
        s_round_t *r = &t->rounds[i];
        r->round = UINT64_MAX;
        r->counts = calloc (plan->n_clusters, sizeof *r->counts);
        r->samples = calloc (plan->n_clusters, sizeof *r->samples);
        r->dealt = calloc (plan->n_clusters, sizeof *r->dealt);
        r->applied = calloc (plan->n_stages, sizeof *r->applied);
        if (!r->counts || !r->samples || !r->dealt || !r->applied)
            return false;
    }
    t->dealt = plan->settings.average_mode == RK_AVERAGE_DRAINED || rk_shard_is_on (&plan->settings);
    if (t->dealt)
        t->deal = calloc (rk_round_longest (plan), sizeof *t->deal);
    return t->deal || !t->dealt;
}

rk_err_t rk_lease_table_new (rk_lease_table_t **table_p, const rk_plan_t *plan, uint64_t first_round, rk_error_t *err)
{
    uint64_t n_rounds = rk_round_n (plan);
    if (first_round > n_rounds)
        return rk_error_set (err, RK_EINVAL, "round %llu of a run of %llu", (unsigned long long) first_round,
                             (unsigned long long) n_rounds);
    rk_lease_table_t *t = calloc (1, sizeof *t);
    if (!t || !s_allocate (t, plan)) {
        rk_lease_table_destroy (&t);
        return rk_error_set (err, RK_ENOMEM, "no memory for the lease table of %u clusters", plan->n_clusters);
    }
    t->n_rounds = n_rounds;
    t->committed = first_round;
    t->deal_round = UINT64_MAX;
    if (first_round < n_rounds)
        s_begin_round (t, first_round);
    *table_p = t;
    return RK_OK;
}

void rk_lease_table_destroy (rk_lease_table_t **table_p)
{
    rk_lease_table_t *t = *table_p;
    if (!t)
        return;
    for (int i = 0; i < KEPT; i++) {
        free (t->rounds[i].counts);
        free (t->rounds[i].samples);
        free (t->rounds[i].dealt);
        free (t->rounds[i].applied);
    }
    rk_plan_destroy (&t->plan);
    free (t->deal);
    free (t);
    *table_p = NULL;
}

/* ---- granting */
static uint64_t s_length (const s_round_t *r)
{
    return r->end - r->first;
}

/* Id number i of the round goes to the cluster. */
static uint64_t s_give (rk_lease_table_t *t, s_round_t *r, uint32_t cluster, uint64_t i)
{
    r->granted++;
    r->counts[cluster]++;
    r->samples[cluster] += rk_minibatch_samples (t->plan, r->first + i);
    return r->first + i;
}

static uint32_t s_grant_next (rk_lease_table_t *t, s_round_t *r, uint32_t cluster, uint32_t max, uint64_t *f)
{
    uint32_t n = 0;
    while (n < max && r->granted < s_length (r))
        f[n++] = s_give (t, r, cluster, r->granted);
    return n;
}

static uint32_t s_grant_dealt (rk_lease_table_t *t, s_round_t *r, uint32_t cluster, uint32_t max, uint64_t *f)
{
    if (t->deal_round != r->round) {
        rk_deal_round (t->plan, r->round, t->deal);
        t->deal_round = r->round;
    }
    uint32_t n = 0;
    for (; n < max && r->dealt[cluster] < s_length (r); r->dealt[cluster]++)
        if (t->deal[r->dealt[cluster]] == cluster)
            f[n++] = s_give (t, r, cluster, r->dealt[cluster]);
    return n;
}

/* The round, begun when it may be; NULL: it may not. */
static s_round_t *s_enter (rk_lease_table_t *t, uint64_t round)
{
    s_round_t *r = s_round (t, round);
    if (r && r->granted > 0)
        return r;
    if (t->hold)
        return NULL;
    s_begin_round (t, round);
    return s_round (t, round);
}

#define MARGIN 2 /* times what it usually takes */

uint32_t rk_lease_ahead (int64_t lead_ns, int64_t period_ns, uint32_t in_flight)
{
    if (period_ns <= 0 || lead_ns / period_ns >= in_flight)
        return in_flight + 1;
    const int64_t ahead = 1 + MARGIN * lead_ns / period_ns;
    return ahead < in_flight + 1 ? (uint32_t) ahead : in_flight + 1;
}

/* From the first open round that has something for this cluster: with shards others may still be due there. */
uint32_t rk_lease_grant (rk_lease_table_t *t, uint32_t cluster, uint32_t max, uint64_t *f, uint64_t *round)
{
    bool drained = t->plan->settings.average_mode == RK_AVERAGE_DRAINED;
    uint64_t last = t->committed + (drained ? 0 : 1);
    for (uint64_t at = t->committed; cluster < t->plan->n_clusters && max > 0 && at <= last && at < t->n_rounds; at++) {
        s_round_t *r = s_enter (t, at);
        if (!r)
            return 0;
        uint32_t n = t->dealt ? s_grant_dealt (t, r, cluster, max, f) : s_grant_next (t, r, cluster, max, f);
        if (n > 0) {
            *round = r->round;
            return n;
        }
    }
    return 0;
}

bool rk_lease_closed (const rk_lease_table_t *t, uint64_t round, uint64_t *counts, uint64_t *samples)
{
    const s_round_t *r = s_round (t, round);
    if (!r || r->granted < s_length (r))
        return false;
    memcpy (counts, r->counts, t->plan->n_clusters * sizeof *counts);
    memcpy (samples, r->samples, t->plan->n_clusters * sizeof *samples);
    return true;
}

rk_err_t rk_lease_applied (rk_lease_table_t *t, uint64_t round, uint32_t stage, bool *committed, rk_error_t *err)
{
    unsigned long long n = (unsigned long long) round;
    if (stage >= t->plan->n_stages)
        return rk_error_set (err, RK_EINVAL, "stage %u of %u applied round %llu", stage, t->plan->n_stages, n);
    if (round < t->committed)
        return rk_error_set (err, RK_ESTALE, "stage %u applied round %llu, which is committed", stage, n);
    s_round_t *r = s_round (t, round), *before = round > t->committed ? s_round (t, round - 1) : NULL;
    if (!r || r->granted < s_length (r))
        return rk_error_set (err, RK_ESTATE, "stage %u applied round %llu, which is still being granted", stage, n);
    if (before && !before->applied[stage])
        return rk_error_set (err, RK_ESTATE, "stage %u applied round %llu before the one before it", stage, n);
    if (r->applied[stage])
        return rk_error_set (err, RK_ESTALE, "stage %u applied round %llu twice", stage, n);
    r->applied[stage] = true;
    r->n_applied++;
    *committed = r->n_applied == t->plan->n_stages;
    if (*committed)
        t->committed++;
    return RK_OK;
}

uint32_t rk_lease_unapplied (const rk_lease_table_t *t, uint64_t round)
{
    const s_round_t *r = s_round (t, round);
    for (uint32_t s = 0; r && r->granted == s_length (r) && s < t->plan->n_stages; s++)
        if (!r->applied[s])
            return s;
    return UINT32_MAX;
}

uint64_t rk_lease_committed (const rk_lease_table_t *t)
{
    return t->committed;
}

void rk_lease_hold (rk_lease_table_t *t, bool hold)
{
    t->hold = hold;
}

uint64_t rk_lease_beyond (const rk_lease_table_t *t)
{
    uint64_t n = 0;
    for (int i = 0; i < KEPT; i++)
        if (t->rounds[i].round != UINT64_MAX && t->rounds[i].round >= t->committed)
            n += t->rounds[i].granted;
    return n;
}

bool rk_lease_done (const rk_lease_table_t *t)
{
    return t->committed == t->n_rounds;
}
