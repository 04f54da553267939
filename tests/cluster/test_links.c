/* SPDX-License-Identifier: MPL-2.0
 * Links: every pair once, no machine twice at the same time, few pairs in large fleets; bursts; what is assumed of pairs
 * that were not measured; the table's matrix.                                                             */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "cluster/links.h"
#include "cluster/profiles.h"
#include "compute/rng.h"

#define MOST 300

typedef struct {
    uint32_t n, pairs, rounds;
    bool met[MOST][MOST];
} walk_t;

/* Takes all pairs that can be had, then ends them all: one round. */
static void s_walk (walk_t *walk, const uint64_t *hosts, uint32_t n, uint32_t n_known, uint64_t seed)
{
    memset (walk, 0, sizeof *walk);
    walk->n = n;
    rk_probing_t *probing = NULL;
    assert_int_equal (rk_probing_new (&probing, hosts, n, n_known, seed), RK_OK);
    const uint32_t n_all = rk_probing_n (probing);
    while (!rk_probing_over (probing)) {
        uint32_t taken[MOST][2], n_taken = 0;
        while (rk_probing_next (probing, &taken[n_taken][0], &taken[n_taken][1])) {
            const uint32_t a = taken[n_taken][0], b = taken[n_taken][1];
            assert_true (a < b && b < n && b >= n_known);
            assert_false (walk->met[a][b]);
            walk->met[a][b] = true;
            for (uint32_t t = 0; t < n_taken; t++)
                for (int side = 0; side < 2; side++)
                    assert_true (hosts[taken[t][side]] != hosts[a] && hosts[taken[t][side]] != hosts[b]);
            n_taken++;
        }
        assert_true (n_taken > 0); /* or it would stand still */
        for (uint32_t t = 0; t < n_taken; t++)
            assert_int_equal (rk_probing_done (probing, taken[t][1], taken[t][0]), RK_OK);
        assert_int_equal (rk_probing_done (probing, taken[0][0], taken[0][1]), RK_ESTATE);
        walk->pairs += n_taken;
        walk->rounds++;
    }
    assert_int_equal (walk->pairs, n_all);
    rk_probing_destroy (&probing);
}

static void s_hosts (uint64_t *hosts, uint32_t n, uint32_t n_hosts)
{
    for (uint32_t i = 0; i < n; i++)
        hosts[i] = 1000 + 7 * (i % n_hosts);
}

static walk_t s_walked;

static void test_all_pairs (void **state)
{
    (void) state;
    uint64_t hosts[MOST];
    for (uint32_t n = 0; n <= RK_LINKS_ALL_PAIRS; n++)
        for (uint32_t n_hosts = 1; n_hosts <= n; n_hosts++) {
            s_hosts (hosts, n, n_hosts);
            s_walk (&s_walked, hosts, n, 0, 1);
            assert_int_equal (s_walked.pairs, n * (n ? n - 1 : 0) / 2);
            if (n_hosts == n && n > 1) /* all machines at work in every round */
                assert_int_equal (s_walked.rounds, n % 2 ? n : n - 1);
        }
}

static uint32_t s_reached (const walk_t *walk)
{
    bool in[MOST] = {true};
    uint32_t n = 1;
    for (uint32_t again = 0; again < walk->n; again++)
        for (uint32_t i = 0; i < walk->n; i++)
            for (uint32_t j = 0; in[i] && j < walk->n; j++)
                if (!in[j] && (walk->met[i][j] || walk->met[j][i])) {
                    in[j] = true;
                    n++;
                }
    return n;
}

static void test_sampled (void **state)
{
    (void) state;
    uint64_t hosts[MOST];
    static const struct { uint32_t n, most; } cases[] = {{17, 17 * 4}, {64, 64 * 4}, {100, 100 * 5}, {300, 300 * 6}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            s_hosts (hosts, cases[c].n, cases[c].n);
            s_walk (&s_walked, hosts, cases[c].n, 0, seed);
            assert_true (s_walked.pairs <= cases[c].most && s_walked.pairs >= cases[c].n);
            assert_int_equal (s_reached (&s_walked), cases[c].n);
        }
}

/* Only pairs with a new one; a large fleet is not measured again for one that joins. */
static void test_joining (void **state)
{
    (void) state;
    uint64_t hosts[MOST];
    s_hosts (hosts, 10, 10);
    s_walk (&s_walked, hosts, 10, 8, 1);
    assert_int_equal (s_walked.pairs, 8 + 9);
    s_hosts (hosts, 101, 101);
    s_walk (&s_walked, hosts, 101, 100, 1);
    assert_true (s_walked.pairs >= 6 && s_walked.pairs <= 8);
}

static void test_drop (void **state)
{
    (void) state;
    const uint64_t hosts[] = {1, 2, 3, 4};
    rk_probing_t *probing = NULL;
    assert_int_equal (rk_probing_new (&probing, hosts, 4, 0, 1), RK_OK);
    uint32_t a, b, n = 0;
    assert_true (rk_probing_next (probing, &a, &b));
    const uint32_t gone = b;
    rk_probing_drop (probing, gone); /* its partner is free again */
    while (rk_probing_next (probing, &a, &b)) {
        assert_true (a != gone && b != gone);
        assert_int_equal (rk_probing_done (probing, a, b), RK_OK);
        n++;
    }
    assert_int_equal (n, 3);
    assert_true (rk_probing_over (probing));
    rk_probing_destroy (&probing);
}

/* What a bucket of tokens lets through at once does not count. */
static void test_burst (void **state)
{
    (void) state;
    rk_burst_t burst;
    rk_burst_start (&burst, 300000);
    int64_t now_ns = 5000;
    for (int i = 0; i < 10; i++) /* the bucket: at once */
        assert_false (rk_burst_take (&burst, 10000, now_ns));
    assert_int_equal (rk_burst_rate (&burst), 0);
    for (int i = 0; i < 20; i++) {
        now_ns += 1000000; /* 10,000 bytes a millisecond */
        assert_int_equal (rk_burst_take (&burst, 10000, now_ns), i == 19);
    }
    assert_int_equal (rk_burst_rate (&burst), 10000000);
    rk_burst_start (&burst, 100);
    assert_true (rk_burst_take (&burst, 100, 1));
    assert_int_equal (rk_burst_rate (&burst), 0); /* one message has no tail */
    assert_int_equal (rk_burst_bytes (10000000, 50000000), 500000);
    assert_int_equal (rk_burst_bytes (1, 50000000), RK_BURST_LEAST_BYTES);
    assert_int_equal (rk_burst_bytes (UINT64_MAX, 50000000), RK_BURST_MOST_BYTES);
}

/* Two machines of two nodes each and one of one: three pairs measured. */
static void test_fill (void **state)
{
    (void) state;
    const uint32_t ids[] = {2, 5, 6, 9, 11};
    const uint64_t hosts[] = {1, 1, 2, 2, 3};
    const rk_link_t links[] = {{2, 6, 100, 1000}, {6, 2, 80, 1200}, {6, 11, 30, 5000}, {2, 5, 9000, 10}, {77, 2, 1, 1}};
    uint64_t rate[25], rtt[25];
    assert_int_equal (rk_links_fill (links, 5, ids, hosts, 5, rate, rtt), RK_OK);
#define RATE(i, j) rate[5 * (i) + (j)]
#define RTT(i, j) rtt[5 * (i) + (j)]
    for (int i = 0; i < 5; i++)
        assert_true (RATE (i, i) == 0 && RTT (i, i) == 0);
    assert_int_equal (RATE (0, 2), 100); /* as measured */
    assert_int_equal (RATE (2, 0), 80);
    assert_int_equal (RTT (2, 0), 1200);
    assert_int_equal (RATE (4, 2), 30); /* as its opposite */
    assert_int_equal (RTT (4, 2), 5000);
    assert_int_equal (RATE (1, 3), 100); /* as the machines */
    assert_int_equal (RATE (3, 1), 80);
    assert_int_equal (RATE (0, 4), 30); /* the lesser of what one sends and the other receives */
    assert_int_equal (RTT (0, 4), 6000); /* by way of machine 2 */
    assert_int_equal (RTT (1, 3), 1000);
    assert_int_equal (RATE (0, 1), 9000);
    assert_int_equal (RATE (3, 2), 9000); /* of one machine */
    assert_int_equal (RTT (2, 3), 10);
#undef RATE
#undef RTT
}

/* A fleet of regions: what is assumed from samples is near the truth for access links, and never below the real round
 * trip where that obeys the triangle.                                                                     */
static void test_estimates (void **state)
{
    (void) state;
    enum { N = 64 };
    uint64_t hosts[N], access[N], *rate = calloc (2 * N * N, sizeof *rate), *rtt = rate + N * N;
    uint32_t ids[N], at[N];
    s_hosts (hosts, N, N);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t word[4];
        rk_rng_block (3, rk_rng_stream (RK_RNG_TEST, 0), i, word);
        ids[i] = i;
        access[i] = 1000000 + word[0] % 100000000;
        at[i] = word[1] % 1000000;
    }
#define TRUE_RATE(i, j) (access[i] < access[j] ? access[i] : access[j])
#define TRUE_RTT(i, j) (100 + (at[i] > at[j] ? at[i] - at[j] : at[j] - at[i]))
    s_walk (&s_walked, hosts, N, 0, 1);
    rk_link_t *links = calloc (N * N, sizeof *links);
    size_t n_links = 0;
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++)
            if (s_walked.met[i][j])
                links[n_links++] = (rk_link_t){i, j, TRUE_RATE (i, j), TRUE_RTT (i, j)};
    assert_true (n_links < N * N / 4);
    assert_int_equal (rk_links_fill (links, n_links, ids, hosts, N, rate, rtt), RK_OK);
    uint32_t close = 0, all = 0;
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++) {
            if (i == j)
                continue;
            assert_true (rate[i * N + j] > 0 && rate[i * N + j] <= TRUE_RATE (i, j));
            assert_true (rtt[i * N + j] >= TRUE_RTT (i, j));
            close += rate[i * N + j] * 10 >= TRUE_RATE (i, j) * 7;
            all++;
        }
    assert_true (close * 10 >= all * 8);
#undef TRUE_RATE
#undef TRUE_RTT
    free (links);
    free (rate);
}

static void s_add (rk_profiles_t *table, uint32_t id, uint64_t host)
{
    const uint64_t times[] = {1, 2};
    const rk_profile_t profile = {.id = id, .host = host, .cores = 1, .speed_ppm = 1000000, .forward_ns = times, .backward_ns = times};
    assert_int_equal (rk_profiles_add (table, &profile, 2, NULL), RK_OK);
}

static void test_table (void **state)
{
    (void) state;
    rk_profiles_t table;
    rk_fleet_t fleet;
    assert_int_equal (rk_profiles_init (&table, 3, 2), RK_OK);
    s_add (&table, 7, 1);
    assert_int_equal (rk_profiles_link (&table, &(rk_link_t){7, 3, 50, 9}, NULL), RK_OK); /* before node 3 is in */
    s_add (&table, 3, 2);
    assert_int_equal (rk_profiles_fleet (&table, &fleet, NULL), RK_OK);
    assert_int_equal (fleet.n_nodes, 2);
    assert_int_equal (fleet.link_bytes_per_s[2], 50); /* row of node 7, column of node 3 */
    assert_int_equal (fleet.link_bytes_per_s[1], 50);
    assert_int_equal (fleet.link_rtt_ns[2], 9);
    assert_int_equal (rk_profiles_link (&table, &(rk_link_t){7, 3, 60, 8}, NULL), RK_OK); /* newer */
    assert_int_equal (table.n_links, 1);
    s_add (&table, 5, 2);
    assert_int_equal (rk_profiles_fleet (&table, &fleet, NULL), RK_OK);
    assert_int_equal (fleet.link_bytes_per_s[6], 60);
    assert_int_equal (fleet.link_bytes_per_s[7], 60); /* node 5 is on node 3's machine */
    assert_int_equal (fleet.link_bytes_per_s[1], 0);  /* and nothing is known of links inside it */
    assert_int_equal (rk_profiles_link (&table, &(rk_link_t){3, 3, 60, 8}, NULL), RK_EFORMAT);
    assert_int_equal (rk_profiles_link (&table, &(rk_link_t){3, 4, UINT64_MAX, 8}, NULL), RK_EFORMAT);
    assert_int_equal (rk_profiles_link (&table, &(rk_link_t){3, 4, 1, UINT64_MAX}, NULL), RK_EFORMAT);
    rk_profiles_clear (&table);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_all_pairs), cmocka_unit_test (test_sampled), cmocka_unit_test (test_joining),
        cmocka_unit_test (test_drop),      cmocka_unit_test (test_burst),   cmocka_unit_test (test_fill),
        cmocka_unit_test (test_estimates), cmocka_unit_test (test_table),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
