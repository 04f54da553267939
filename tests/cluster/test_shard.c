/* SPDX-License-Identifier: MPL-2.0
 * Shards cover the training set exactly once per pass, stay whose they are, and are as unequal as asked for;
 * leases go to the replica whose they are. */
#include "tests/cluster/fixtures.h"
#include "cluster/lease.h"
#include "cluster/shard.h"

enum { BATCH = 48, REPLICAS = 5 };

static rk_data_t *s_data;

static rk_plan_t *s_plan (const char *shard, double alpha, rk_average_mode_t mode)
{
    const rk_layer_info_t layer = {.flat_at = 0, .stash_bytes = 1, .work_bytes = 1, .cut_bytes = 1};
    const rk_model_info_t model = {.n_layers = 1, .layers = &layer, .n_flat = 64, .train_samples = rk_data_n (s_data, RK_SPLIT_TRAIN),
                                   .test_samples = 1};
    const uint32_t counts[REPLICAS] = {1, 1, 1, 1, 1}, cuts[REPLICAS] = {0};
    rk_settings_t settings;
    rk_error_t err = {0};
    rk_plan_t *plan = NULL;
    rk_settings_default (&settings);
    snprintf (settings.data_shard, sizeof settings.data_shard, "%s", shard);
    settings.data_alpha = alpha;
    settings.train_batch = BATCH;
    settings.run_passes = 2;
    settings.average_mode = mode;
    if (rk_plan_by_hand (&plan, 1, &model, &settings, REPLICAS, counts, cuts, NULL, &err) != RK_OK)
        fail_msg ("%s", err.text);
    return plan;
}

/* owner[sample] of one pass; every sample exactly once. */
static void s_cover (const rk_plan_t *plan, rk_shard_t *const *shards, uint64_t pass, uint32_t *owner)
{
    uint64_t n = plan->train_samples, seen = 0;
    memset (owner, 0xff, n * sizeof *owner);
    for (uint64_t j = 0; j < plan->minibatches_per_pass; j++) {
        uint64_t f = pass * plan->minibatches_per_pass + j;
        uint32_t r = rk_shard_owner (plan, f);
        assert_int_equal (r, j % REPLICAS);
        for (uint64_t k = 0; k < rk_minibatch_samples (plan, f); k++) {
            size_t sample = rk_shard_sample (shards[r], f, k);
            assert_true (sample < n && owner[sample] == UINT32_MAX);
            owner[sample] = r;
            seen++;
        }
    }
    assert_int_equal (seen, n);
}

/* Mean over replicas of the share of their most frequent class. */
static double s_skew (const rk_plan_t *plan, const uint32_t *owner)
{
    uint64_t counts[REPLICAS][10] = {0}, total[REPLICAS] = {0};
    for (uint64_t i = 0; i < plan->train_samples; i++) {
        counts[owner[i]][rk_data_class (s_data, RK_SPLIT_TRAIN, i)]++;
        total[owner[i]]++;
    }
    double skew = 0;
    for (int r = 0; r < REPLICAS; r++) {
        uint64_t most = 0;
        for (int k = 0; k < 10; k++)
            most = counts[r][k] > most ? counts[r][k] : most;
        skew += (double) most / (double) total[r] / REPLICAS;
    }
    return skew;
}

static double s_check (const char *name, double alpha)
{
    rk_plan_t *plan = s_plan (name, alpha, RK_AVERAGE_DRAINED);
    rk_shard_t *shards[REPLICAS];
    rk_error_t err = {0};
    uint32_t *first = calloc (plan->train_samples, sizeof *first), *second = calloc (plan->train_samples, sizeof *second);
    assert_true (first && second && plan->train_samples % BATCH != 0); /* the last minibatch is short */
    uint64_t sum = 0, same_place = 0;
    for (uint32_t r = 0; r < REPLICAS; r++) {
        if (rk_shard_new (&shards[r], plan, r, s_data, &err) != RK_OK)
            fail_msg ("%s", err.text);
        sum += rk_shard_n (shards[r]);
    }
    assert_int_equal (sum, plan->train_samples);
    s_cover (plan, shards, 0, first);
    s_cover (plan, shards, 1, second);
    assert_memory_equal (first, second, plan->train_samples * sizeof *first); /* whose they are does not change, */
    for (uint64_t k = 0; k < BATCH; k++)                                       /* their order does */
        same_place += rk_shard_sample (shards[0], 0, k) == rk_shard_sample (shards[0], plan->minibatches_per_pass, k);
    assert_true (same_place < BATCH / 2);
    float x[784];
    int32_t label;
    assert_int_equal (rk_shard_batch (shards[1], 0, NULL, NULL), 0); /* another's */
    rk_data_one (s_data, RK_SPLIT_TRAIN, 1, 0, rk_shard_sample (shards[0], 0, 0), 0, x, &label);
    assert_int_equal (label, rk_data_class (s_data, RK_SPLIT_TRAIN, rk_shard_sample (shards[0], 0, 0)));
    double skew = s_skew (plan, first);
    for (uint32_t r = 0; r < REPLICAS; r++)
        rk_shard_destroy (&shards[r]);
    rk_plan_destroy (&plan);
    free (first);
    free (second);
    return skew;
}

static void shards_cover_the_set_once_a_pass (void **state)
{
    double fixed = s_check ("fixed", 0.1), equal = s_check ("dirichlet", 1000), some = s_check ("dirichlet", 0.5),
           most = s_check ("dirichlet", 0.02);
    assert_true (fixed < 0.2 && equal < 0.2); /* of 10 classes */
    if (!(some > 0.22 && most > 0.33 && most > some)) /* a fifth of the set is two classes: at most about 0.5 */
        fail_msg ("skew %.3f at alpha 0.5, %.3f at 0.02", some, most);
}

/* A plan of two clusters that goes on with a run of five: the same samples in the same minibatches, with an heir. */
static void lost_shards_have_heirs (void **state)
{
    (void) state;
    const rk_layer_info_t layer = {.flat_at = 0, .stash_bytes = 1, .work_bytes = 1, .cut_bytes = 1};
    rk_plan_t *before = s_plan ("dirichlet", 0.5, RK_AVERAGE_DRAINED), *after = NULL;
    const rk_model_info_t model = {.n_layers = 1, .layers = &layer, .n_flat = 64, .train_samples = before->train_samples, .test_samples = 1};
    const uint32_t counts[2] = {1, 1}, cuts[2] = {0};
    rk_error_t err = {0};
    assert_int_equal (rk_plan_by_hand (&after, 2, &model, &before->settings, 2, counts, cuts, NULL, &err), RK_OK);
    assert_int_equal (rk_plan_set_cursor (after, 3, 7, rk_shard_count (before), &err), RK_OK);
    for (uint32_t r = 0; r < REPLICAS; r++) {
        rk_shard_t *was = NULL, *is = NULL;
        assert_int_equal (rk_shard_new (&was, before, r, s_data, &err), RK_OK);
        assert_int_equal (rk_shard_new (&is, after, r, s_data, &err), RK_OK);
        for (uint64_t f = 7; f < 2 * before->minibatches_per_pass; f++) {
            assert_int_equal (rk_shard_of (after, f), rk_shard_of (before, f));
            assert_int_equal (rk_shard_owner (after, f), rk_shard_of (before, f) % 2);
            if (rk_shard_of (before, f) == r)
                assert_int_equal (rk_shard_sample (is, f, f % 5), rk_shard_sample (was, f, f % 5));
        }
        rk_shard_destroy (&was);
        rk_shard_destroy (&is);
    }
    rk_plan_destroy (&before);
    rk_plan_destroy (&after);
}

static void leases_go_to_their_replica (void **state)
{
    for (int mode = RK_AVERAGE_OVERLAPPED; mode <= RK_AVERAGE_DRAINED; mode++) {
        rk_plan_t *plan = s_plan ("fixed", 0.1, (rk_average_mode_t) mode);
        rk_lease_table_t *table = NULL;
        rk_error_t err = {0};
        uint64_t counts[REPLICAS], samples[REPLICAS], n = 0, total = plan->minibatches_per_pass * 2, f[7], round;
        assert_int_equal (rk_lease_table_new (&table, plan, 0, &err), RK_OK);
        for (uint64_t step = 0; n < total; step++) {
            /* the last replica asks rarely: others may be a round ahead of it, not two */
            uint32_t cluster = step % 11 == 0 ? REPLICAS - 1 : (uint32_t) (step % (REPLICAS - 1));
            uint32_t got = rk_lease_grant (table, cluster, 7, f, &round);
            for (uint32_t i = 0; i < got; i++) {
                assert_int_equal (rk_shard_owner (plan, f[i]), cluster);
                assert_int_equal (rk_round_of (plan, f[i]), round);
            }
            n += got;
            assert_true (step < 1000 * total);
            while (rk_lease_committed (table) < rk_round_n (plan) && rk_lease_closed (table, rk_lease_committed (table), counts, samples)) {
                bool committed = false;
                uint64_t at = rk_lease_committed (table);
                for (uint32_t s = 0; s < REPLICAS; s++)
                    assert_int_equal (rk_lease_applied (table, at, s, &committed, &err), RK_OK);
                assert_true (committed);
            }
        }
        assert_true (rk_lease_done (table));
        rk_lease_table_destroy (&table);
        rk_plan_destroy (&plan);
    }
}

static int s_open (void **state)
{
    return rk_data_open (&s_data, "synthetic", NULL, NULL);
}

static int s_close (void **state)
{
    rk_data_close (&s_data);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (shards_cover_the_set_once_a_pass),
        cmocka_unit_test (leases_go_to_their_replica),
        cmocka_unit_test (lost_shards_have_heirs),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
