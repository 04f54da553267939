/* SPDX-License-Identifier: MPL-2.0
 * Many lives of a simulated fleet: whatever happens, replicas are identical after every round, there is one view at a
 * time, the cursor is exact; and once the faults end, the run ends too. RK_FAULT_SEED=n shows one life;
 * RK_FAULT_SEEDS=n lives through as many, from RK_FAULT_FIRST (1) on.                                      */
#include "tests/cluster/fixtures.h"
#include "tests/support/fleet.h"

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 20 /* five times slower */
#else
#define SEEDS 200
#endif

static uint64_t s_asked (const char *name, uint64_t otherwise)
{
    const char *text = getenv (name);
    return text ? strtoull (text, NULL, 10) : otherwise;
}

static fleet_config_t s_config (uint64_t seed)
{
    return (fleet_config_t){.seed = seed, .n_nodes = 1 + (uint32_t) (seed * 7 % 8), .witness = seed % 5 == 0};
}

static void s_must_hold (const fleet_config_t *config, const fleet_result_t *result)
{
    if (result->broken[0])
        fail_msg ("seed %llu: %s (RK_FAULT_SEED=%llu shows its life)", (unsigned long long) config->seed,
                  result->broken, (unsigned long long) config->seed);
    if (!result->finished)
        fail_msg ("seed %llu: %llu rounds in %lld ms, %s (RK_FAULT_SEED=%llu shows its life)",
                  (unsigned long long) config->seed, (unsigned long long) result->rounds,
                  (long long) result->ended_ms, result->parked ? "parked" : "stuck",
                  (unsigned long long) config->seed);
}

static void calm (void **state)
{
    (void) state;
    for (uint32_t n = 1; n <= 8; n++) {
        const fleet_config_t config = {.seed = n, .n_nodes = n, .calm = true};
        fleet_result_t result;
        fleet_run (&config, &result);
        s_must_hold (&config, &result);
        assert_int_equal (result.views, 2);
        assert_int_equal (result.redone, 0);
    }
}

static void faults (void **state)
{
    (void) state;
    const uint64_t only = s_asked ("RK_FAULT_SEED", 0), first = only ? only : s_asked ("RK_FAULT_FIRST", 1),
                   n = only ? 1 : s_asked ("RK_FAULT_SEEDS", SEEDS);
    uint64_t crashes = 0, freezes = 0, cuts = 0, joins = 0, refused = 0, views = 0, redone = 0;
    int64_t longest = 0;
    for (uint64_t seed = first; seed < first + n; seed++) {
        fleet_config_t config = s_config (seed);
        config.verbose = only;
        fleet_result_t r;
        fleet_run (&config, &r);
        s_must_hold (&config, &r);
        crashes += r.crashes;
        freezes += r.freezes;
        cuts += r.cuts;
        joins += r.joins;
        refused += r.refused;
        views += r.views;
        redone += r.redone;
        longest = r.longest_stall_ms > longest ? r.longest_stall_ms : longest;
    }
    print_message (
        "%llu lives: %llu deaths, %llu freezes, %llu cuts, %llu joins, %llu refusals; %llu views, %llu rounds begun again, "
        "longest stall %lld ms\n",
        (unsigned long long) n, (unsigned long long) crashes, (unsigned long long) freezes, (unsigned long long) cuts,
        (unsigned long long) joins, (unsigned long long) refused, (unsigned long long) views, (unsigned long long) redone, (long long) longest);
    assert_true (only || (crashes && freezes && cuts && joins && refused && redone));
}

static void same_seed_same_life (void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const fleet_config_t config = s_config (seed);
        fleet_result_t once, again;
        fleet_run (&config, &once);
        fleet_run (&config, &again);
        assert_memory_equal (&once, &again, sizeof once);
        assert_int_equal (once.digest, again.digest);
    }
}

/* Every broken promise is noticed. */
static void noticed (void **state)
{
    (void) state;
    static const struct {
        uint32_t corrupt;
        const char *what;
    } all[] = {{FLEET_CORRUPT_EARLY, "commits early"},
               {FLEET_CORRUPT_BACK, "goes back too far"},
               {FLEET_CORRUPT_GO_ON, "trains on"},
               {FLEET_CORRUPT_DROP, "misses a minibatch"},
               {FLEET_CORRUPT_STALE, "takes old data"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool caught = false;
        for (uint64_t seed = 1; seed <= 200 && !caught; seed++) {
            fleet_config_t config = s_config (seed);
            config.corrupt = all[i].corrupt;
            fleet_result_t result;
            fleet_run (&config, &result);
            caught = result.broken[0];
        }
        if (!caught)
            fail_msg ("nobody notices a member that %s", all[i].what);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (calm), cmocka_unit_test (faults),
                                       cmocka_unit_test (same_seed_same_life), cmocka_unit_test (noticed)};
    return cmocka_run_group_tests_name ("faults", tests, NULL, NULL);
}
