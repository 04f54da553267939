/* SPDX-License-Identifier: MPL-2.0
 * Which pairs are measured and when; bursts.                                                              */
#include "cluster/links.h"

#include <stdlib.h>
#include <string.h>

#include "compute/rng.h"

typedef struct {
    uint32_t a, b;
    bool taken;
} s_pair_t;

struct rk_probing {
    uint32_t n;
    uint32_t *host;    /* n: index of its machine */
    bool *busy;        /* n, by machine */
    s_pair_t *pairs;   /* not done yet */
    uint32_t n_pairs, n_all, capacity;
};

/* ---- the list of pairs */
static uint32_t s_log2 (uint32_t n)
{
    uint32_t bits = 0;
    while ((UINT32_C (1) << bits) < n)
        bits++;
    return bits;
}

static void s_add (rk_probing_t *p, uint32_t a, uint32_t b)
{
    if (a == b)
        return;
    const s_pair_t pair = {.a = a < b ? a : b, .b = a < b ? b : a};
    for (uint32_t i = 0; i < p->n_pairs; i++)
        if (p->pairs[i].a == pair.a && p->pairs[i].b == pair.b)
            return;
    if (p->n_pairs < p->capacity)
        p->pairs[p->n_pairs++] = pair;
}

static void s_all_pairs (rk_probing_t *p, uint32_t n_known)
{
    /* Round robin: partners of a round differ, so as many machines as possible are at work together. */
    const uint32_t even = p->n + (p->n & 1);
    for (uint32_t round = 1; round < even; round++)
        for (uint32_t i = 0; i < even / 2; i++) {
            const uint32_t a = i == 0 ? even - 1 : (round + i) % (even - 1), b = (round + even - 1 - i) % (even - 1);
            if (a < p->n && b < p->n && (a >= n_known || b >= n_known))
                s_add (p, a, b);
        }
}

/* A circle, so that all hang together, and random matchings. */
static void s_sampled_pairs (rk_probing_t *p, uint64_t seed)
{
    const uint32_t rounds = s_log2 (p->n);
    for (uint32_t round = 0; round + 1 < rounds; round++) {
        const rk_permutation_t order = rk_rng_permutation (seed, round, p->n);
        for (uint32_t i = 0; i < p->n; i += round == 0 ? 1 : 2)
            s_add (p, (uint32_t) rk_permutation_at (&order, i), (uint32_t) rk_permutation_at (&order, (i + 1) % p->n));
    }
}

/* Each new node with some of all. */
static void s_new_pairs (rk_probing_t *p, uint32_t n_known, uint64_t seed)
{
    for (uint32_t node = n_known; node < p->n; node++) {
        const rk_permutation_t order = rk_rng_permutation (seed, node, p->n);
        for (uint32_t i = 0; i <= s_log2 (p->n); i++)
            s_add (p, node, (uint32_t) rk_permutation_at (&order, i));
    }
}

static void s_index_hosts (rk_probing_t *p, const uint64_t *hosts)
{
    for (uint32_t i = 0; i < p->n; i++) {
        p->host[i] = i;
        for (uint32_t j = 0; j < i && p->host[i] == i; j++)
            if (hosts[j] == hosts[i])
                p->host[i] = p->host[j];
    }
}

rk_err_t rk_probing_new (rk_probing_t **probing_p, const uint64_t *hosts, uint32_t n, uint32_t n_known, uint64_t seed)
{
    rk_probing_t *p = calloc (1, sizeof *p);
    if (!p)
        return RK_ENOMEM;
    p->n = n;
    p->capacity = n <= RK_LINKS_ALL_PAIRS ? n * n / 2 + 1 : n * (s_log2 (n) + 2);
    p->host = calloc (n + 1, sizeof *p->host);
    p->busy = calloc (n + 1, sizeof *p->busy);
    p->pairs = calloc (p->capacity, sizeof *p->pairs);
    if (!p->host || !p->busy || !p->pairs) {
        rk_probing_destroy (&p);
        return RK_ENOMEM;
    }
    s_index_hosts (p, hosts);
    if (n <= RK_LINKS_ALL_PAIRS)
        s_all_pairs (p, n_known);
    else if (n_known < 2)
        s_sampled_pairs (p, seed);
    else
        s_new_pairs (p, n_known, seed);
    p->n_all = p->n_pairs;
    *probing_p = p;
    return RK_OK;
}

void rk_probing_destroy (rk_probing_t **probing_p)
{
    rk_probing_t *p = *probing_p;
    if (!p)
        return;
    free (p->host);
    free (p->busy);
    free (p->pairs);
    free (p);
    *probing_p = NULL;
}

/* ---- one after the other */
static void s_free_hosts (rk_probing_t *p, const s_pair_t *pair, bool busy)
{
    p->busy[p->host[pair->a]] = busy;
    p->busy[p->host[pair->b]] = busy;
}

bool rk_probing_next (rk_probing_t *p, uint32_t *a, uint32_t *b)
{
    for (uint32_t i = 0; i < p->n_pairs; i++) {
        s_pair_t *pair = &p->pairs[i];
        if (pair->taken || p->busy[p->host[pair->a]] || p->busy[p->host[pair->b]])
            continue;
        pair->taken = true;
        s_free_hosts (p, pair, true);
        *a = pair->a;
        *b = pair->b;
        return true;
    }
    return false;
}

static void s_remove (rk_probing_t *p, uint32_t at)
{
    if (p->pairs[at].taken)
        s_free_hosts (p, &p->pairs[at], false);
    memmove (p->pairs + at, p->pairs + at + 1, (p->n_pairs - at - 1) * sizeof *p->pairs);
    p->n_pairs--;
}

rk_err_t rk_probing_done (rk_probing_t *p, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < p->n_pairs; i++)
        if (p->pairs[i].taken && p->pairs[i].a == (a < b ? a : b) && p->pairs[i].b == (a < b ? b : a)) {
            s_remove (p, i);
            return RK_OK;
        }
    return RK_ESTATE;
}

void rk_probing_drop (rk_probing_t *p, uint32_t node)
{
    for (uint32_t i = p->n_pairs; i > 0; i--)
        if (p->pairs[i - 1].a == node || p->pairs[i - 1].b == node)
            s_remove (p, i - 1);
}

bool rk_probing_over (const rk_probing_t *p)
{
    return p->n_pairs == 0;
}

uint32_t rk_probing_n (const rk_probing_t *p)
{
    return p->n_all;
}

/* ---- bursts */
void rk_burst_start (rk_burst_t *burst, uint64_t expected)
{
    *burst = (rk_burst_t){.expected = expected};
}

bool rk_burst_take (rk_burst_t *burst, uint64_t n, int64_t now_ns)
{
    burst->got += n;
    burst->messages++;
    burst->last_ns = now_ns;
    if (!burst->head && 3 * burst->got >= burst->expected) {
        burst->head = burst->got;
        burst->head_ns = now_ns;
    }
    return burst->got >= burst->expected;
}

uint64_t rk_burst_rate (const rk_burst_t *burst)
{
    if (!burst->head || burst->got <= burst->head)
        return 0;
    const uint64_t ns = burst->last_ns > burst->head_ns ? (uint64_t) (burst->last_ns - burst->head_ns) : 1;
    const uint64_t rate = (uint64_t) ((unsigned __int128) (burst->got - burst->head) * 1000000000 / ns);
    return rate ? rate : 1;
}

uint64_t rk_burst_bytes (uint64_t bytes_per_s, uint64_t duration_ns)
{
    const unsigned __int128 bytes = (unsigned __int128) bytes_per_s * duration_ns / 1000000000;
    return bytes < RK_BURST_LEAST_BYTES ? RK_BURST_LEAST_BYTES : bytes > RK_BURST_MOST_BYTES ? RK_BURST_MOST_BYTES : (uint64_t) bytes;
}
