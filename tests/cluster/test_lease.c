/* SPDX-License-Identifier: MPL-2.0
 * Rounds, dealing, and the leader's table: nothing lost, nothing granted twice, whatever the order.      */
#include "tests/cluster/fixtures.h"
#include "cluster/lease.h"

#define MOST 5000

typedef struct {
    uint64_t train_samples, passes, every;
    uint32_t n_clusters, batch;
    rk_average_mode_t mode;
    uint64_t rates[8];
} s_run_t;

/* One layer per stage; cluster c has 1 + c % 3 stages. */
static rk_plan_t *s_plan (const s_run_t *run)
{
    rk_layer_info_t layers[3] = {{.flat_at = 0}, {.flat_at = 16}, {.flat_at = 32}};
    rk_model_info_t info = {.n_layers = 3, .layers = layers, .n_flat = 48, .train_samples = run->train_samples};
    rk_settings_t s;
    rk_settings_default (&s);
    s.train_batch = run->batch;
    s.run_passes = run->passes;
    s.average_every = run->every;
    s.average_mode = run->mode;
    uint32_t counts[8], cuts[24], n = 0;
    for (uint32_t c = 0; c < run->n_clusters; c++) {
        counts[c] = 1 + c % 3;
        for (uint32_t k = 0; k < counts[c]; k++)
            cuts[n++] = k;
    }
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &info, &s, run->n_clusters, counts, cuts, run->rates, &err) != RK_OK)
        fail_msg ("%s", err.text);
    return plan;
}

static s_run_t s_random_run (uint64_t *x, rk_average_mode_t mode)
{
    s_run_t run = {.train_samples = 1 + fixture_below (x, 900), .passes = 1 + fixture_below (x, 3),
                   .every = fixture_below (x, 4) ? 1 + fixture_below (x, 20) : 0, .n_clusters = 1 + fixture_below (x, 6),
                   .batch = 1 + fixture_below (x, 16), .mode = mode};
    for (uint32_t c = 0; c < 8; c++)
        run.rates[c] = 1 + fixture_below (x, 1000) * UINT64_C (1000000007);
    return run;
}

/* ---- arithmetic */
static void test_rounds_tile_the_run (void **state)
{
    (void) state;
    uint64_t x = 1001;
    for (int i = 0; i < 2000; i++) {
        s_run_t run = s_random_run (&x, RK_AVERAGE_OVERLAPPED);
        rk_plan_t *plan = s_plan (&run);
        uint64_t n = (run.train_samples + run.batch - 1) / run.batch, at = 0, samples = 0;
        assert_true (plan->minibatches_per_pass == n);
        for (uint64_t r = 0; r < rk_round_n (plan); r++) {
            uint64_t first, end;
            rk_round_range (plan, r, &first, &end);
            assert_true (first == at && end > first);
            assert_true (run.every == 0 || end - first <= run.every * run.n_clusters);
            /* Shorter than asked only at the end of a pass; never across one. */
            if (run.every > 0 && end - first < run.every * run.n_clusters)
                assert_true (end % n == 0);
            assert_true (rk_pass_of (plan, first) == rk_pass_of (plan, end - 1));
            assert_true (rk_round_ends_pass (plan, r) == (end % n == 0));
            for (uint64_t f = first; f < end; f++) {
                assert_true (rk_round_of (plan, f) == r);
                samples += rk_minibatch_samples (plan, f);
            }
            at = end;
        }
        assert_true (at == n * run.passes);
        assert_true (samples == run.train_samples * run.passes);
        rk_plan_destroy (&plan);
    }
}

/* The rounds of a plan that begins at a cursor go on from there as if nothing had been before. */
static void test_rounds_from_a_cursor (void **state)
{
    (void) state;
    uint64_t x = 4004;
    for (int i = 0; i < 2000; i++) {
        s_run_t run = s_random_run (&x, RK_AVERAGE_OVERLAPPED);
        rk_plan_t *plan = s_plan (&run);
        uint64_t n = plan->minibatches_per_pass, all = n * run.passes, before = plan->digest;
        uint64_t f0 = 1 + fixture_below (&x, all), r0 = 1 + fixture_below (&x, f0), at = f0, r;
        assert_int_equal (rk_plan_set_cursor (plan, r0, f0, 0, NULL), RK_OK);
        assert_true (plan->digest != before);
        for (r = r0; r < rk_round_n (plan); r++) {
            uint64_t first, end;
            rk_round_range (plan, r, &first, &end);
            assert_true (first == at && end > first && end - first <= rk_round_longest (plan));
            assert_true (end - first == rk_round_longest (plan) || end % n == 0);
            assert_true (rk_pass_of (plan, first) == rk_pass_of (plan, end - 1));
            assert_true (rk_round_ends_pass (plan, r) == (end % n == 0));
            assert_true (rk_round_cursor (plan, r) == first && rk_round_cursor (plan, r + 1) == end);
            for (uint64_t f = first; f < end; f++)
                assert_true (rk_round_of (plan, f) == r);
            at = end;
        }
        assert_true (at == all && rk_round_cursor (plan, r) == all);
        assert_true (rk_round_of (plan, f0 - 1) == UINT64_MAX);
        assert_int_equal (rk_plan_set_cursor (plan, r0, all + 1, 0, NULL), RK_EINVAL);
        assert_int_equal (rk_plan_set_cursor (plan, 0, f0, 0, NULL), RK_EINVAL);
        rk_plan_destroy (&plan);
    }
}

/* Two plans, one after the other, grant every minibatch of the run once. */
static void test_a_table_goes_on (void **state)
{
    (void) state;
    uint64_t x = 5005;
    for (int i = 0; i < 300; i++) {
        s_run_t run = s_random_run (&x, i % 2 ? RK_AVERAGE_DRAINED : RK_AVERAGE_OVERLAPPED);
        uint64_t f0 = 0, r0 = 0, total = 0, f[8], round;
        static unsigned seen[MOST];
        memset (seen, 0, sizeof seen);
        for (int leg = 0; leg < 2; leg++) {
            run.n_clusters = 1 + fixture_below (&x, 6);
            rk_plan_t *plan = s_plan (&run);
            rk_lease_table_t *table = NULL;
            total = plan->minibatches_per_pass * run.passes;
            assert_int_equal (rk_plan_set_cursor (plan, r0, f0, 0, NULL), RK_OK);
            assert_int_equal (rk_lease_table_new (&table, plan, r0, NULL), RK_OK);
            uint64_t last = leg || rk_round_n (plan) == r0 ? rk_round_n (plan) : r0 + 1 + fixture_below (&x, rk_round_n (plan) - r0);
            for (uint32_t c = 0; rk_lease_committed (table) < last; c = (c + 1) % run.n_clusters) {
                uint32_t n = rk_lease_grant (table, c, 8, f, &round);
                for (uint32_t k = 0; k < n && round < last; k++) /* what was granted of later rounds is granted again */
                    seen[f[k]]++;
                uint64_t counts[8], samples[8], at = rk_lease_committed (table);
                bool committed = false;
                for (uint32_t s = 0; s < plan->n_stages && rk_lease_closed (table, at, counts, samples) && at < last; s++)
                    assert_int_equal (rk_lease_applied (table, at, s, &committed, NULL), RK_OK);
            }
            r0 = last;
            f0 = rk_round_cursor (plan, last);
            rk_lease_table_destroy (&table);
            rk_plan_destroy (&plan);
        }
        for (uint64_t k = 0; k < total; k++)
            assert_int_equal (seen[k], 1);
    }
}

static void test_short_rounds_by_hand (void **state)
{
    (void) state;
    s_run_t run = {.train_samples = 95, .passes = 2, .every = 2, .n_clusters = 2, .batch = 10, .mode = RK_AVERAGE_DRAINED,
                   .rates = {1, 1}};
    rk_plan_t *plan = s_plan (&run); /* 10 minibatches a pass, rounds of 4, 4, 2 */
    assert_int_equal (rk_round_n (plan), 6);
    uint64_t first, end;
    rk_round_range (plan, 2, &first, &end);
    assert_true (first == 8 && end == 10);
    rk_round_range (plan, 3, &first, &end);
    assert_true (first == 10 && end == 14);
    assert_true (rk_round_ends_pass (plan, 2) && !rk_round_ends_pass (plan, 3));
    assert_int_equal (rk_minibatch_samples (plan, 8), 10);
    assert_int_equal (rk_minibatch_samples (plan, 9), 5);
    assert_int_equal (rk_minibatch_samples (plan, 19), 5);
    rk_plan_destroy (&plan);
}

/* ---- dealing */
static void test_quotas (void **state)
{
    (void) state;
    uint64_t x = 2002;
    for (int i = 0; i < 3000; i++) {
        s_run_t run = s_random_run (&x, RK_AVERAGE_DRAINED);
        rk_plan_t *plan = s_plan (&run);
        uint64_t round = fixture_next (&x) % rk_round_n (plan), first, end, quota[8], sum = 0;
        rk_round_range (plan, round, &first, &end);
        rk_deal_quota (plan, round, quota);
        double rates = 0;
        for (uint32_t c = 0; c < run.n_clusters; c++)
            rates += (double) run.rates[c];
        for (uint32_t c = 0; c < run.n_clusters; c++) {
            double share = (double) (end - first) * (double) run.rates[c] / rates;
            assert_true (quota[c] + 1.000001 > share && quota[c] < share + 1.000001); /* within one of its share */
            sum += quota[c];
        }
        assert_true (sum == end - first);
        rk_plan_destroy (&plan);
    }
}

static void test_largest_remainder (void **state)
{
    (void) state;
    /* 10 by 5 : 3 : 3 are 4.54, 2.72, 2.72: the two left over go to the larger remainders. */
    s_run_t run = {.train_samples = 10, .passes = 1, .n_clusters = 3, .batch = 1, .rates = {5, 3, 3}};
    rk_plan_t *plan = s_plan (&run);
    uint64_t quota[8];
    rk_deal_quota (plan, 0, quota);
    assert_true (quota[0] == 4 && quota[1] == 3 && quota[2] == 3);
    rk_plan_destroy (&plan);
    /* Equal remainders: the lower id. */
    run = (s_run_t){.train_samples = 10, .passes = 1, .n_clusters = 4, .batch = 1, .rates = {7, 7, 7, 7}};
    plan = s_plan (&run);
    rk_deal_quota (plan, 0, quota);
    assert_true (quota[0] == 3 && quota[1] == 3 && quota[2] == 2);
    rk_plan_destroy (&plan);
}

/* The deal is that of a queue of virtual finish times, worked out here with exact fractions. */
static void test_deal_order (void **state)
{
    (void) state;
    uint64_t x = 3003;
    static uint32_t deal[MOST];
    for (int i = 0; i < 1000; i++) {
        s_run_t run = s_random_run (&x, RK_AVERAGE_DRAINED);
        rk_plan_t *plan = s_plan (&run);
        uint64_t round = fixture_next (&x) % rk_round_n (plan), first, end, quota[8], dealt[8] = {0};
        rk_round_range (plan, round, &first, &end);
        rk_deal_quota (plan, round, quota);
        rk_deal_round (plan, round, deal);
        for (uint64_t k = 0; k < end - first; k++) {
            uint32_t c = deal[k];
            assert_true (c < run.n_clusters && dealt[c] < quota[c]);
            dealt[c]++;
            for (uint32_t d = 0; d < run.n_clusters; d++) {
                if (d == c || dealt[d] >= quota[d])
                    continue;
                /* Finish of c's, dealt[c] / rate, against that of d's next. */
                unsigned __int128 mine = (unsigned __int128) dealt[c] * run.rates[d];
                unsigned __int128 other = (unsigned __int128) (dealt[d] + 1) * run.rates[c];
                assert_true (c < d ? mine <= other : mine < other);
            }
        }
        rk_plan_destroy (&plan);
    }
}

static void test_deal_example (void **state)
{
    (void) state;
    s_run_t run = {.train_samples = 6, .passes = 1, .n_clusters = 2, .batch = 1, .rates = {2, 1}};
    rk_plan_t *plan = s_plan (&run);
    static const uint32_t expected[] = {0, 0, 1, 0, 0, 1}; /* ends at .5 1 1 1.5 2 2; ties to the lower id */
    uint32_t deal[6];
    rk_deal_round (plan, 0, deal);
    assert_memory_equal (deal, expected, sizeof deal);
    rk_plan_destroy (&plan);
}

/* ---- the table under random requests */
typedef struct {
    rk_plan_t *plan;
    rk_lease_table_t *table;
    uint64_t x;
    uint32_t granted_to[MOST]; /* 1 + cluster */
    uint64_t counts[MOST][8], samples[MOST][8]; /* per round */
    uint64_t applied[24];      /* rounds applied by each stage */
    uint64_t n_granted;
} s_trial_t;

static void s_request (s_trial_t *t)
{
    uint64_t f[7], round;
    uint32_t c = fixture_below (&t->x, t->plan->n_clusters), max = fixture_below (&t->x, 8);
    uint32_t n = rk_lease_grant (t->table, c, max, f, &round);
    assert_true (n <= max);
    for (uint32_t i = 0; i < n; i++) {
        assert_true (f[i] < t->plan->minibatches_per_pass * t->plan->settings.run_passes);
        assert_int_equal (t->granted_to[f[i]], 0); /* never twice */
        t->granted_to[f[i]] = 1 + c;
        assert_true (rk_round_of (t->plan, f[i]) == round); /* all of one round */
        assert_true (i == 0 || f[i] > f[i - 1]);
        t->counts[round][c]++;
        t->samples[round][c] += rk_minibatch_samples (t->plan, f[i]);
        t->n_granted++;
        uint64_t committed = rk_lease_committed (t->table);
        bool drained = t->plan->settings.average_mode == RK_AVERAGE_DRAINED;
        assert_true (round >= committed && round <= committed + (drained ? 0 : 1));
    }
}

/* One stage applies its next round if that is closed; what the table says then must be what was granted. */
static void s_apply (s_trial_t *t)
{
    uint32_t stage = fixture_below (&t->x, t->plan->n_stages);
    uint64_t round = t->applied[stage], counts[8], samples[8];
    if (round >= rk_round_n (t->plan))
        return;
    bool committed = false, closed = rk_lease_closed (t->table, round, counts, samples);
    uint64_t before = rk_lease_committed (t->table);
    rk_error_t err = {0};
    rk_err_t code = rk_lease_applied (t->table, round, stage, &committed, &err);
    assert_true ((code == RK_OK) == closed);
    if (!closed)
        return;
    assert_memory_equal (counts, t->counts[round], t->plan->n_clusters * sizeof *counts);
    assert_memory_equal (samples, t->samples[round], t->plan->n_clusters * sizeof *samples);
    t->applied[stage]++;
    bool all = true;
    for (uint32_t s = 0; s < t->plan->n_stages; s++)
        all = all && t->applied[s] > round;
    assert_true (committed == all && rk_lease_committed (t->table) == before + committed);
    assert_int_not_equal (rk_lease_applied (t->table, round, stage, &committed, &err), RK_OK); /* not twice */
}

static void s_run_trial (s_run_t run, uint64_t seed)
{
    static s_trial_t t;
    memset (&t, 0, sizeof t);
    t.x = seed;
    t.plan = s_plan (&run);
    rk_error_t err = {0};
    if (rk_lease_table_new (&t.table, t.plan, 0, &err) != RK_OK)
        fail_msg ("%s", err.text);
    uint64_t total = t.plan->minibatches_per_pass * run.passes;
    for (uint64_t turn = 0; !rk_lease_done (t.table); turn++) {
        assert_true (turn < 2000000);
        if (fixture_below (&t.x, 2))
            s_request (&t);
        else
            s_apply (&t);
    }
    assert_true (t.n_granted == total); /* none lost */
    uint64_t f, round;
    for (uint32_t c = 0; c < run.n_clusters; c++)
        assert_int_equal (rk_lease_grant (t.table, c, 1, &f, &round), 0);
    if (run.mode == RK_AVERAGE_DRAINED) { /* who trains what follows from the plan alone */
        static uint32_t deal[MOST];
        for (uint64_t r = 0; r < rk_round_n (t.plan); r++) {
            uint64_t first, end;
            rk_round_range (t.plan, r, &first, &end);
            rk_deal_round (t.plan, r, deal);
            for (uint64_t i = first; i < end; i++)
                assert_int_equal (t.granted_to[i], 1 + deal[i - first]);
        }
    }
    rk_lease_table_destroy (&t.table);
    assert_null (t.table);
    rk_plan_destroy (&t.plan);
}

static void test_random_requests (void **state)
{
    (void) state;
    uint64_t x = 4004;
    for (int i = 0; i < 300; i++)
        s_run_trial (s_random_run (&x, i & 1 ? RK_AVERAGE_DRAINED : RK_AVERAGE_OVERLAPPED), fixture_next (&x));
}

/* ---- windows, holds, resuming */
static void test_overlapped_window (void **state)
{
    (void) state;
    s_run_t run = {.train_samples = 12, .passes = 1, .every = 2, .n_clusters = 2, .batch = 1, .rates = {1, 1}};
    rk_plan_t *plan = s_plan (&run); /* rounds of 4; stages: 1 + 2 */
    rk_lease_table_t *t = NULL;
    assert_int_equal (rk_lease_table_new (&t, plan, 0, NULL), RK_OK);
    uint64_t f[16], round, counts[2], samples[2];
    bool committed;
    assert_int_equal (rk_lease_grant (t, 0, 3, f, &round), 3);
    assert_false (rk_lease_closed (t, 0, counts, samples));
    assert_int_equal (rk_lease_applied (t, 0, 0, &committed, NULL), RK_ESTATE);
    assert_int_equal (rk_lease_grant (t, 1, 16, f, &round), 1); /* one left of round 0: all of one round */
    assert_true (round == 0 && rk_lease_closed (t, 0, counts, samples));
    assert_true (counts[0] == 3 && counts[1] == 1);
    assert_int_equal (rk_lease_grant (t, 1, 16, f, &round), 4); /* the next round is open */
    assert_true (round == 1 && f[0] == 4);
    assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 0); /* the one after is not */
    assert_int_equal (rk_lease_applied (t, 1, 0, &committed, NULL), RK_ESTATE); /* round 0 first */
    assert_int_equal (rk_lease_applied (t, 0, 3, &committed, NULL), RK_EINVAL);
    assert_int_equal (rk_lease_applied (t, 0, 0, &committed, NULL), RK_OK);
    assert_int_equal (rk_lease_applied (t, 1, 0, &committed, NULL), RK_OK);
    assert_int_equal (rk_lease_applied (t, 0, 1, &committed, NULL), RK_OK);
    assert_false (committed);
    assert_int_equal (rk_lease_applied (t, 0, 2, &committed, NULL), RK_OK);
    assert_true (committed && rk_lease_committed (t) == 1);
    assert_int_equal (rk_lease_applied (t, 0, 2, &committed, NULL), RK_ESTALE);
    assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 4);
    assert_true (round == 2 && f[0] == 8);
    rk_lease_table_destroy (&t);
    rk_plan_destroy (&plan);
}

static void test_hold (void **state)
{
    (void) state;
    s_run_t run = {.train_samples = 12, .passes = 1, .every = 4, .n_clusters = 1, .batch = 1, .rates = {1}};
    for (int mode = 0; mode < 2; mode++) {
        run.mode = (rk_average_mode_t) mode;
        rk_plan_t *plan = s_plan (&run); /* rounds of 4, one stage */
        rk_lease_table_t *t = NULL;
        assert_int_equal (rk_lease_table_new (&t, plan, 0, NULL), RK_OK);
        uint64_t f[16], round;
        bool committed;
        assert_int_equal (rk_lease_grant (t, 0, 2, f, &round), 2);
        rk_lease_hold (t, true);
        assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 2); /* a round that has begun is finished */
        assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 0); /* no new one begins */
        assert_int_equal (rk_lease_applied (t, 0, 0, &committed, NULL), RK_OK);
        assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 0);
        rk_lease_hold (t, false);
        assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 4);
        assert_true (round == 1);
        rk_lease_table_destroy (&t);
        rk_plan_destroy (&plan);
    }
}

static void test_resume (void **state)
{
    (void) state;
    s_run_t run = {.train_samples = 10, .passes = 2, .every = 3, .n_clusters = 1, .batch = 1, .rates = {1}};
    rk_plan_t *plan = s_plan (&run); /* rounds of 3 3 3 1 | 3 3 3 1 */
    rk_lease_table_t *t = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_lease_table_new (&t, plan, 9, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "9"));
    assert_null (t);
    assert_int_equal (rk_lease_table_new (&t, plan, 8, NULL), RK_OK);
    assert_true (rk_lease_done (t)); /* nothing left */
    uint64_t f[16], round;
    assert_int_equal (rk_lease_grant (t, 0, 1, f, &round), 0);
    rk_lease_table_destroy (&t);
    assert_int_equal (rk_lease_table_new (&t, plan, 5, NULL), RK_OK);
    assert_int_equal (rk_lease_committed (t), 5);
    assert_int_equal (rk_lease_grant (t, 0, 16, f, &round), 3);
    assert_true (round == 5 && f[0] == 13);
    assert_int_equal (rk_lease_grant (t, 1, 16, f, &round), 0); /* no such cluster */
    rk_lease_table_destroy (&t);
    rk_plan_destroy (&plan);
}

/* One where asking is quick, more where minibatches are quicker, never more than a window and the one that is made. */
static void test_ahead (void **state)
{
    (void) state;
    assert_int_equal (rk_lease_ahead (100000, 7000000, 1), 1);
    assert_int_equal (rk_lease_ahead (100000, 7000000, 8), 1);
    assert_int_equal (rk_lease_ahead (0, 1, 8), 1);
    assert_int_equal (rk_lease_ahead (3000000, 2000000, 8), 4);
    assert_int_equal (rk_lease_ahead (3000000, 2000000, 2), 3);
    assert_int_equal (rk_lease_ahead (INT64_MAX, 1, 4), 5);
    assert_int_equal (rk_lease_ahead (5000, 0, 4), 5); /* nothing is known */
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_ahead), cmocka_unit_test (test_rounds_tile_the_run), cmocka_unit_test (test_short_rounds_by_hand),
        cmocka_unit_test (test_quotas),              cmocka_unit_test (test_largest_remainder),
        cmocka_unit_test (test_deal_order),          cmocka_unit_test (test_deal_example),
        cmocka_unit_test (test_random_requests),     cmocka_unit_test (test_overlapped_window),
        cmocka_unit_test (test_rounds_from_a_cursor), cmocka_unit_test (test_a_table_goes_on),
        cmocka_unit_test (test_hold),                cmocka_unit_test (test_resume),
    };
    return cmocka_run_group_tests_name ("cluster/lease", tests, NULL, NULL);
}
