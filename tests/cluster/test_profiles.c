/* SPDX-License-Identifier: MPL-2.0
 * Times of nodes that were measured alone, where they train: all of a machine's cores, a share of them, company.  */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/profiles.h"

enum { N_LAYERS = 2 };

static const uint64_t s_forward[N_LAYERS] = {1000, 2000}, s_backward[N_LAYERS] = {4000, 8000};

/* n nodes of speed `ppm` on one host of `cores`: a team takes 40 % of the time of one core, a crowd 20 % more. */
static void s_table (rk_profiles_t *table, uint32_t n, uint32_t cores, uint32_t ppm)
{
    assert_int_equal (rk_profiles_init (table, n, N_LAYERS), RK_OK);
    for (uint32_t i = 0; i < n; i++) {
        const rk_profile_t p = {.id = i, .host = 7, .cores = cores, .speed_ppm = ppm, .team_ppm = 400000, .crowd_ppm = 1200000,
                                .forward_ns = s_forward, .backward_ns = s_backward};
        assert_int_equal (rk_profiles_add (table, &p, N_LAYERS, NULL), RK_OK);
    }
}

static void s_check (rk_profiles_t *table, uint32_t n, uint64_t ppm)
{
    rk_fleet_t fleet;
    assert_int_equal (rk_profiles_fleet (table, &fleet, NULL), RK_OK);
    assert_int_equal (fleet.n_nodes, n);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t l = 0; l < N_LAYERS; l++) {
            assert_int_equal (fleet.nodes[i].settled_ppm, ppm);
            assert_int_equal (fleet.nodes[i].forward_ns[l], s_forward[l] * ppm / 1000000);
            assert_int_equal (fleet.nodes[i].backward_ns[l], s_backward[l] * ppm / 1000000);
        }
}

static void test_shares (void **state)
{
    (void) state;
    static const struct { uint32_t n, cores, speed_ppm; uint64_t ppm; } cases[] = {
        {1, 4, 1000000, 400000},  /* alone with all four */
        {4, 4, 1000000, 1200000}, /* each has a core, all compute */
        {9, 4, 1000000, 1200000},
        {4, 4, 250000, 1000000},  /* together no stronger than one core */
        {2, 1, 1000000, 1000000}, /* nobody computes at the same time */
        {2, 4, 1000000, 720000},  /* a team of two: 0.2 serial and 0.8 shared, in a crowd */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_profiles_t table;
        s_table (&table, cases[i].n, cases[i].cores, cases[i].speed_ppm);
        s_check (&table, cases[i].n, cases[i].ppm);
        s_check (&table, cases[i].n, cases[i].ppm); /* settled already */
        rk_profiles_clear (&table);
    }
}

/* One of two goes: the other has the machine for itself. */
static void test_anew (void **state)
{
    (void) state;
    rk_profiles_t table;
    s_table (&table, 2, 2, 1000000);
    s_check (&table, 2, 1200000);
    rk_profiles_drop (&table, 0);
    s_check (&table, 1, 400000);
    rk_profiles_clear (&table);
}

static void test_not_known (void **state)
{
    (void) state;
    rk_profiles_t table;
    assert_int_equal (rk_profiles_init (&table, 1, N_LAYERS), RK_OK);
    rk_profile_t p = {.id = 1, .cores = 8, .speed_ppm = 1000000, .forward_ns = s_forward, .backward_ns = s_backward};
    assert_int_equal (rk_profiles_add (&table, &p, N_LAYERS, NULL), RK_OK);
    s_check (&table, 1, 1000000);
    p.team_ppm = UINT32_MAX;
    p.id = 2;
    assert_int_equal (rk_profiles_put (&table, &p, N_LAYERS, NULL), RK_EFORMAT);
    rk_profiles_clear (&table);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_shares), cmocka_unit_test (test_anew), cmocka_unit_test (test_not_known)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
