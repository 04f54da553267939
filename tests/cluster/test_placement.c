/* SPDX-License-Identifier: MPL-2.0
 * The placement of dtfm against the published eight cities and four regions: 64 devices, 8 stages of 8 devices,
 * 0.65 GB of gradients, 0.47125 GB of activations, 5 ms and 2 Gbit/s inside a city.                       */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "cluster/planners/placement.h"

#define N 64
#define GRADIENTS 650000000
#define ACTIVATIONS 471250000

typedef struct {
    int a, b;
    double ms, gbit;
} s_road_t;

/* Oregon, Virginia, Ohio, Tokyo, Seoul, London, Frankfurt, Ireland */
static const s_road_t s_cities[] = {
    {0, 1, 67, .79},  {0, 2, 49, 1.10}, {0, 3, 96, .523}, {0, 4, 124, .46}, {0, 5, 136, .42}, {0, 6, 143, .404}, {0, 7, 124, .482},
    {1, 2, 11, 1.12}, {1, 3, 143, .524}, {1, 4, 172, .5}, {1, 5, 76, 1.16}, {1, 6, 90, 1.02}, {1, 7, 67, 1.05},
    {2, 3, 130, .694}, {2, 4, 159, .529}, {2, 5, 86, 1.05}, {2, 6, 99, .799}, {2, 7, 77, 1.14},
    {3, 4, 34, 1.10}, {3, 5, 210, .366}, {3, 6, 223, .36}, {3, 7, 199, .465},
    {4, 5, 238, .342}, {4, 6, 235, .358}, {4, 7, 228, .335},
    {5, 6, 14, 1.14}, {5, 7, 12, 1.09}, {6, 7, 24, 1.08}};
/* Virginia, Oregon, California, Ohio */
static const s_road_t s_regions[] = {{0, 1, 67, 1.15}, {0, 2, 59, 1.05}, {0, 3, 11, 1.12},
                                     {1, 2, 12, 1.25}, {1, 3, 49, 1.10}, {2, 3, 52, 1.02}};

static void s_open (rk_placement_t *p, const s_road_t *roads, size_t n_roads, int n_sites)
{
    static uint64_t latency[N * N], rate[N * N];
    for (int u = 0; u < N; u++)
        for (int v = 0; v < N; v++) {
            const int a = u * n_sites / N, b = v * n_sites / N;
            latency[u * N + v] = 5000000;
            rate[u * N + v] = 250000000;
            for (size_t i = 0; i < n_roads; i++)
                if ((roads[i].a == a && roads[i].b == b) || (roads[i].a == b && roads[i].b == a)) {
                    latency[u * N + v] = (uint64_t) (roads[i].ms * 1e6);
                    rate[u * N + v] = (uint64_t) (roads[i].gbit * 1.25e8);
                }
        }
    rk_error_t err = {0};
    if (rk_placement_open (p, 8, 8, latency, rate, GRADIENTS, ACTIVATIONS, 1, &err) != RK_OK)
        fail_msg ("%s", err.text);
}

static void s_check (uint64_t cost, double seconds)
{
    if (cost < seconds * 1e9 - 5e6 || cost > seconds * 1e9 + 5e6) /* published to 10 ms */
        fail_msg ("%.3f s, published %.2f s", (double) cost / 1e9, seconds);
}

static void s_compare (const s_road_t *roads, size_t n_roads, int n_sites, double by_group, double by_pipeline)
{
    rk_placement_t p;
    uint8_t group_of[N], path[N];
    uint64_t averaging;
    s_open (&p, roads, n_roads, n_sites);
    for (int u = 0; u < N; u++)
        group_of[u] = (uint8_t) (u / 8);
    s_check (rk_placement_cost (&p, group_of, path, &averaging), by_group);
    s_check (averaging, 4.62);
    rk_placement_by_group (&p, group_of);
    s_check (rk_placement_cost (&p, group_of, path, &averaging), by_group);
    rk_placement_by_pipeline (&p, group_of);
    s_check (rk_placement_cost (&p, group_of, path, &averaging), by_pipeline);
    uint64_t best;
    assert_int_equal (rk_placement_search (&p, 150, UINT64_MAX, group_of, &best), RK_OK);
    assert_true (best <= by_pipeline * 1e9 + 5e6);
    assert_true (best == rk_placement_cost (&p, group_of, NULL, NULL));
    int sizes[8] = {0};
    for (int u = 0; u < N; u++)
        sizes[group_of[u]]++;
    for (int g = 0; g < 8; g++)
        assert_int_equal (sizes[g], 8);
    rk_placement_close (&p);
}

static void test_eight_cities (void **state)
{
    (void) state;
    s_compare (s_cities, sizeof s_cities / sizeof *s_cities, 8, 59.44, 49.22);
}

static void test_four_regions (void **state)
{
    (void) state;
    s_compare (s_regions, sizeof s_regions / sizeof *s_regions, 4, 39.24, 34.80);
}

/* Where all links are alike, so are all placements. */
static void test_uniform (void **state)
{
    (void) state;
    rk_placement_t p;
    uint8_t group_of[N];
    s_open (&p, NULL, 0, 1);
    rk_placement_by_group (&p, group_of);
    const uint64_t a = rk_placement_cost (&p, group_of, NULL, NULL);
    rk_placement_by_pipeline (&p, group_of);
    assert_true (a == rk_placement_cost (&p, group_of, NULL, NULL));
    rk_placement_close (&p);
}

/* Matching: every device of the next group once, no edge longer than the best longest one. */
static void test_matching (void **state)
{
    (void) state;
    rk_placement_t p;
    uint8_t group_of[N];
    uint16_t partner[RK_PLACEMENT_MOST];
    s_open (&p, s_cities, sizeof s_cities / sizeof *s_cities, 8);
    rk_placement_by_pipeline (&p, group_of);
    rk_placement_match (&p, group_of, 2, 5, partner);
    bool seen[N] = {false};
    for (int i = 0; i < 8; i++) {
        assert_int_equal (group_of[partner[i]], 5);
        assert_false (seen[partner[i]]);
        seen[partner[i]] = true;
    }
    rk_placement_close (&p);
    rk_error_t err = {0};
    assert_int_equal (rk_placement_open (&p, 300, 1, NULL, NULL, 1, 1, 1, &err), RK_EINVAL);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_eight_cities), cmocka_unit_test (test_four_regions),
                                       cmocka_unit_test (test_uniform), cmocka_unit_test (test_matching)};
    return cmocka_run_group_tests_name ("cluster/placement", tests, NULL, NULL);
}
