/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/shard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"
#include "compute/rng.h"

#define FIXED_PASS UINT64_MAX /* of the permutation that shards are cut from: no pass of a run */

struct rk_shard {
    const rk_data_t *data;
    uint64_t seed, n, per_pass; /* n: samples of this replica; per_pass: minibatches of all */
    uint32_t replica, n_replicas, batch;
    rk_permutation_t fixed;
    uint32_t *samples; /* dirichlet: n; NULL: cut from `fixed` */
};

bool rk_shard_is_on (const rk_settings_t *settings)
{
    return strcmp (settings->data_shard, "leased") != 0;
}

uint32_t rk_shard_count (const rk_plan_t *plan)
{
    return plan->n_shards ? plan->n_shards : plan->n_clusters;
}

uint32_t rk_shard_of (const rk_plan_t *plan, uint64_t f)
{
    return (uint32_t) (f % plan->minibatches_per_pass % rk_shard_count (plan));
}

uint32_t rk_shard_owner (const rk_plan_t *plan, uint64_t f)
{
    return rk_shard_of (plan, f) % plan->n_clusters;
}

static uint64_t s_size (const rk_plan_t *plan, uint32_t replica)
{
    uint64_t n = 0;
    for (uint64_t j = replica; j < plan->minibatches_per_pass; j += rk_shard_count (plan))
        n += rk_minibatch_samples (plan, j);
    return n;
}

/* ---- Dirichlet */

static double s_uniform (uint64_t seed, uint64_t stream, uint64_t at)
{
    uint32_t words[4];
    rk_rng_block (seed, stream, at, words);
    return ((double) words[0] + (double) words[1] / 4294967296.0 + 1.0 / 8589934592.0) / 4294967296.0; /* in (0, 1) */
}

/* Gamma (alpha), log, as Marsaglia and Tsang draw it; alpha < 1: log Gamma (alpha + 1) + log (u) / alpha. */
static double s_log_gamma_draw (uint64_t seed, uint64_t stream, double alpha)
{
    double a = alpha < 1 ? alpha + 1 : alpha, d = a - 1.0 / 3.0, c = 1.0 / sqrt (9 * d);
    double boost = alpha < 1 ? log (s_uniform (seed, stream, 0)) / alpha : 0;
    for (uint64_t at = 1;; at++) {
        float x;
        rk_rng_normal (seed, stream, 4 * at, 1, 0, 1, &x);
        double v = 1 + c * (double) x;
        v = v * v * v;
        if (v > 0 && log (s_uniform (seed, stream, 4 * at + 2000000)) < 0.5 * (double) x * (double) x + d - d * v + d * log (v))
            return log (d * v) + boost;
    }
}

typedef struct {
    uint64_t seed;
    uint32_t n_replicas;
    size_t n_classes, n_samples;
    double *shares;          /* n_replicas x n_classes */
    uint64_t *left, *quota;  /* samples of a class not given yet; samples a replica is still due */
    size_t *next;            /* by class, into sorted */
    uint32_t *sorted;        /* samples, class after class, in the order of the fixed permutation */
} s_deal_t;

static void s_free_deal (s_deal_t *deal)
{
    free (deal->shares);
    free (deal->left);
    free (deal->quota);
    free (deal->next);
    free (deal->sorted);
}

/* Shares relative to each replica's largest, so that no small alpha makes all of them 0. */
static void s_draw_shares (s_deal_t *deal, double alpha)
{
    for (uint32_t r = 0; r < deal->n_replicas; r++) {
        double most = -INFINITY, *row = deal->shares + r * deal->n_classes;
        for (size_t k = 0; k < deal->n_classes; k++) {
            row[k] = s_log_gamma_draw (deal->seed, rk_rng_stream (RK_RNG_SHARD, r * deal->n_classes + k), alpha);
            most = row[k] > most ? row[k] : most;
        }
        for (size_t k = 0; k < deal->n_classes; k++)
            row[k] = exp (row[k] - most);
    }
}

/* A class by the replica's shares among those with samples left; where it has none of them, the fullest. */
static size_t s_draw_class (const s_deal_t *deal, uint32_t replica, uint64_t at)
{
    const double *row = deal->shares + replica * deal->n_classes;
    double sum = 0;
    size_t last = 0;
    for (size_t k = 0; k < deal->n_classes; k++) {
        sum += deal->left[k] ? row[k] : 0;
        last = deal->left[k] > deal->left[last] ? k : last;
    }
    double u = sum * s_uniform (deal->seed, rk_rng_stream (RK_RNG_SHARD, UINT64_C (1) << 40 | replica), at);
    for (size_t k = 0; k < deal->n_classes && sum > 0; k++) {
        if (deal->left[k] && u < row[k])
            return k;
        u -= deal->left[k] ? row[k] : 0;
    }
    return last;
}

/* Replicas take turns, so that none is left with what the others did not want. */
static void s_deal (s_deal_t *deal, uint32_t replica, uint32_t *samples)
{
    uint64_t n = 0;
    for (uint64_t at = 0, given = 0; given < deal->n_samples; at++)
        for (uint32_t r = 0; r < deal->n_replicas; r++) {
            if (!deal->quota[r])
                continue;
            size_t k = s_draw_class (deal, r, at);
            uint32_t sample = deal->sorted[deal->next[k]++];
            deal->left[k]--;
            deal->quota[r]--;
            given++;
            if (r == replica)
                samples[n++] = sample;
        }
}

static void s_sort (s_deal_t *deal, const rk_data_t *data, const rk_permutation_t *order)
{
    for (size_t i = 0; i < deal->n_samples; i++)
        deal->left[rk_data_class (data, RK_SPLIT_TRAIN, i)]++;
    for (size_t k = 1; k < deal->n_classes; k++)
        deal->next[k] = deal->next[k - 1] + deal->left[k - 1];
    for (size_t i = 0; i < deal->n_samples; i++) {
        uint32_t sample = (uint32_t) rk_permutation_at (order, i);
        deal->sorted[deal->next[rk_data_class (data, RK_SPLIT_TRAIN, sample)]++] = sample;
    }
    for (size_t k = 0; k < deal->n_classes; k++)
        deal->next[k] -= deal->left[k];
}

static rk_err_t s_dirichlet (rk_shard_t *shard, const rk_plan_t *plan, rk_error_t *err)
{
    const rk_labels_t *labels = rk_data_labels (shard->data);
    if (labels->n != 1 || labels->kind != RK_LABEL_CLASS)
        return rk_error_set (err, RK_EINVAL, "data.shard = dirichlet needs data with one class per sample");
    s_deal_t deal = {.seed = shard->seed, .n_replicas = rk_shard_count (plan), .n_classes = rk_data_n_classes (shard->data),
                     .n_samples = plan->train_samples};
    deal.shares = calloc (deal.n_replicas * deal.n_classes, sizeof *deal.shares);
    deal.left = calloc (deal.n_classes, sizeof *deal.left);
    deal.next = calloc (deal.n_classes, sizeof *deal.next);
    deal.quota = calloc (deal.n_replicas, sizeof *deal.quota);
    deal.sorted = calloc (deal.n_samples, sizeof *deal.sorted);
    shard->samples = calloc (shard->n + 1, sizeof *shard->samples);
    bool ok = deal.shares && deal.left && deal.next && deal.quota && deal.sorted && shard->samples;
    if (ok) {
        for (uint32_t r = 0; r < deal.n_replicas; r++)
            deal.quota[r] = s_size (plan, r);
        s_sort (&deal, shard->data, &shard->fixed);
        s_draw_shares (&deal, plan->settings.data_alpha);
        s_deal (&deal, shard->replica, shard->samples);
    }
    s_free_deal (&deal);
    return ok ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory to deal %zu samples", deal.n_samples);
}

/* ---- life */

rk_err_t rk_shard_new (rk_shard_t **shard_p, const rk_plan_t *plan, uint32_t replica, const rk_data_t *data, rk_error_t *err)
{
    rk_shard_t *shard = calloc (1, sizeof *shard);
    if (!shard)
        return rk_error_set (err, RK_ENOMEM, "no memory for a shard");
    *shard = (rk_shard_t){.data = data, .seed = plan->settings.run_seed, .replica = replica, .n_replicas = rk_shard_count (plan),
                          .batch = plan->settings.train_batch, .n = s_size (plan, replica), .per_pass = plan->minibatches_per_pass,
                          .fixed = rk_rng_permutation (plan->settings.run_seed, FIXED_PASS, plan->train_samples)};
    rk_err_t code = strcmp (plan->settings.data_shard, "dirichlet") == 0 ? s_dirichlet (shard, plan, err) : RK_OK;
    if (code != RK_OK)
        rk_shard_destroy (&shard);
    *shard_p = shard;
    return code;
}

void rk_shard_destroy (rk_shard_t **shard_p)
{
    if (*shard_p)
        free ((*shard_p)->samples);
    free (*shard_p);
    *shard_p = NULL;
}

uint64_t rk_shard_n (const rk_shard_t *shard)
{
    return shard->n;
}

size_t rk_shard_sample (const rk_shard_t *shard, uint64_t f, uint64_t k)
{
    uint64_t pass = f / shard->per_pass, number = f % shard->per_pass / shard->n_replicas;
    const rk_permutation_t order = rk_rng_permutation (shard->seed + 1 + shard->replica, pass, shard->n);
    uint64_t at = rk_permutation_at (&order, number * shard->batch + k);
    if (shard->samples)
        return shard->samples[at];
    return (size_t) rk_permutation_at (&shard->fixed, (at / shard->batch * shard->n_replicas + shard->replica) * shard->batch + at % shard->batch);
}

size_t rk_shard_batch (const rk_shard_t *shard, uint64_t f, float *x, void *labels)
{
    uint64_t number = f % shard->per_pass / shard->n_replicas, first = number * shard->batch;
    if (f % shard->per_pass % shard->n_replicas != shard->replica || first >= shard->n)
        return 0;
    size_t n = shard->n - first < shard->batch ? (size_t) (shard->n - first) : shard->batch;
    for (size_t k = 0; k < n; k++)
        rk_data_one (shard->data, RK_SPLIT_TRAIN, shard->seed, f / shard->per_pass, rk_shard_sample (shard, f, k), k, x, labels);
    return n;
}
