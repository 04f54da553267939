/* SPDX-License-Identifier: MPL-2.0
 * Who takes what from whom: every float once, from somebody alive who has it, and the same bits whatever the cuts. */
#include "cluster/handover.h"
#include "tests/cluster/fixtures.h"

#define MOST 4096

typedef struct {
    fixture_model_t model;
    rk_plan_t *old, *new;
    bool alive[64];
    rk_handover_range_t list[MOST];
    size_t n;
} case_t;

static rk_plan_t *s_plan (uint64_t *x, const fixture_model_t *m, uint32_t n_clusters)
{
    uint32_t counts[8], cuts[64];
    fixture_layout (x, m->info.n_layers, n_clusters, 8, counts, cuts);
    rk_settings_t s = fixture_settings ();
    s.net_warm = fixture_below (x, 4) * fixture_below (x, 2); /* every other plan has copies */
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &m->info, &s, n_clusters, counts, cuts, NULL, &err) != RK_OK)
        fail_msg ("%s", err.text);
    return plan;
}

static void s_open (case_t *c, uint64_t *x, uint32_t was, uint32_t is)
{
    fixture_model (&c->model, x, 1 + fixture_below (x, FIXTURE_LAYERS));
    c->old = s_plan (x, &c->model, was);
    c->new = s_plan (x, &c->model, is);
    for (uint32_t s = 0; s < c->old->n_stages; s++)
        c->alive[s] = fixture_below (x, 4) != 0;
}

static void s_list (case_t *c, bool alike)
{
    c->n = rk_handover_list (c->old, c->new, c->alive, alike, c->list, MOST);
    assert_true (c->n <= MOST);
}

static void s_close (case_t *c)
{
    rk_plan_destroy (&c->old);
    rk_plan_destroy (&c->new);
}

/* Whether a stage lives, or one of the N after it, as net.warm = N promises. */
static bool s_is_held (const case_t *c, uint32_t stage)
{
    const rk_plan_t *old = c->old;
    for (uint32_t k = 0; k <= old->settings.net_warm && k < old->n_stages; k++)
        if (c->alive[(stage + k) % old->n_stages])
            return true;
    return false;
}

/* Whether any stage alive holds this float; copies: or a copy of it. */
static bool s_is_alive (const case_t *c, uint64_t at, bool copies)
{
    for (uint32_t s = 0; s < c->old->n_stages; s++)
        if ((copies ? s_is_held (c, s) : c->alive[s]) && at >= c->old->stages[s].flat_lo && at < c->old->stages[s].flat_hi)
            return true;
    return false;
}

static uint32_t s_cluster_of (const rk_plan_t *plan, uint32_t stage)
{
    uint32_t cluster, position;
    assert_int_equal (rk_plan_stage_of_node (plan, plan->stages[stage].node, &cluster, &position), stage);
    return cluster;
}

static void s_check_range (const case_t *c, const rk_handover_range_t *r, uint32_t wanted, bool alike)
{
    assert_true (r->lo < r->hi);
    if (r->from == RK_FROM_CHECKPOINT) {
        assert_true (!r->exact && !r->stays && r->replica == wanted);
        assert_false (s_is_alive (c, r->lo, true) || s_is_alive (c, r->hi - 1, true));
        return;
    }
    const rk_plan_stage_t *of = &c->old->stages[r->of];
    const uint32_t n = c->old->n_stages, behind = (r->from + n - r->of) % n;
    assert_int_equal (s_cluster_of (c->old, r->of), r->replica);
    assert_true (c->alive[r->from] && r->lo >= of->flat_lo && r->hi <= of->flat_hi);
    assert_int_equal (r->exact, r->replica == wanted);
    assert_int_equal (r->stays, c->old->stages[r->from].node == c->new->stages[r->to].node);
    if (!behind)
        return;
    assert_true (behind <= c->old->settings.net_warm && !c->alive[r->of]); /* a copy, of one who is gone */
    if (alike || !r->exact) /* and of no use where the living have as good a one */
        assert_false (s_is_alive (c, r->lo, false) || s_is_alive (c, r->hi - 1, false));
}

static void test_every_float_once (void **state)
{
    (void) state;
    uint64_t x = 20260505;
    for (int i = 0; i < 4000; i++) {
        case_t c;
        uint32_t replicas[RK_MAX_CLUSTERS];
        s_open (&c, &x, 1 + fixture_below (&x, 7), 1 + fixture_below (&x, 7));
        s_list (&c, i & 1);
        rk_handover_replicas (c.old, c.new, replicas);
        size_t at = 0;
        for (uint32_t s = 0; s < c.new->n_stages; s++) {
            const rk_plan_stage_t *stage = &c.new->stages[s];
            uint32_t cluster, position;
            rk_plan_stage_of_node (c.new, stage->node, &cluster, &position);
            uint64_t f = stage->flat_lo;
            for (; at < c.n && c.list[at].to == s; f = c.list[at++].hi) {
                assert_true (c.list[at].lo == f);
                s_check_range (&c, &c.list[at], replicas[cluster], i & 1);
            }
            assert_true (f == stage->flat_hi);
        }
        assert_int_equal (at, c.n);
        bool all = true;
        for (uint32_t g = 0; g < c.old->n_segments && all; g++) /* cuts lie between them */
            all = s_is_alive (&c, c.old->segments[g].lo, true);
        assert_int_equal (rk_handover_covers (c.old, c.alive), all);
        s_close (&c);
    }
}

/* A short room is never overrun and the number needed is told. */
static void test_short_list (void **state)
{
    (void) state;
    uint64_t x = 3;
    for (int i = 0; i < 300; i++) {
        case_t c;
        s_open (&c, &x, 1 + fixture_below (&x, 7), 1 + fixture_below (&x, 7));
        s_list (&c, true);
        for (size_t room = 0; room <= c.n; room++) {
            rk_handover_range_t *some = calloc (room + 1, sizeof *some);
            some[room].lo = 77;
            assert_true (rk_handover_list (c.old, c.new, c.alive, true, some, room) >= c.n);
            assert_true (some[room].lo == 77 && (room == 0 || some[0].lo == c.list[0].lo));
            free (some);
        }
        s_close (&c);
    }
}

/* Everybody alive, as many clusters as before: each goes on with the bits of one old replica, none twice. */
static void test_same_bits (void **state)
{
    (void) state;
    uint64_t x = 99;
    for (int i = 0; i < 500; i++) {
        case_t c;
        uint32_t n = 1 + fixture_below (&x, 7), replicas[RK_MAX_CLUSTERS];
        s_open (&c, &x, n, n);
        memset (c.alive, true, sizeof c.alive);
        s_list (&c, false);
        rk_handover_replicas (c.old, c.new, replicas);
        bool used[RK_MAX_CLUSTERS] = {false};
        for (uint32_t k = 0; k < n; k++)
            if (replicas[k] != RK_NO_NODE) {
                assert_true (replicas[k] < n && !used[replicas[k]]);
                used[replicas[k]] = true;
            }
        for (size_t k = 0; k < c.n; k++) {
            uint32_t cluster, stage;
            rk_plan_stage_of_node (c.new, c.new->stages[c.list[k].to].node, &cluster, &stage);
            assert_true (replicas[cluster] == RK_NO_NODE ? !c.list[k].exact : c.list[k].exact && c.list[k].replica == replicas[cluster]);
        }
        s_close (&c);
    }
}

/* The same plan again: nothing travels. */
static void test_nothing_moves (void **state)
{
    (void) state;
    uint64_t x = 5;
    for (int i = 0; i < 300; i++) {
        case_t c;
        s_open (&c, &x, 1 + fixture_below (&x, 7), 1);
        rk_plan_destroy (&c.new);
        assert_int_equal (rk_plan_copy (&c.new, c.old), RK_OK);
        memset (c.alive, true, sizeof c.alive);
        s_list (&c, true);
        for (size_t k = 0; k < c.n; k++)
            assert_true (c.list[k].stays && c.list[k].exact && c.list[k].from == c.list[k].to);
        s_close (&c);
    }
}

/* Where replicas are alike a joiner's range is shared by all donors, nearly equally; else one gives it whole. */
static void test_joiner_has_several_donors (void **state)
{
    (void) state;
    rk_layer_info_t layer = {0};
    rk_model_info_t info = {.n_layers = 1, .layers = &layer, .n_flat = 160000, .train_samples = 10};
    const uint32_t counts[] = {1, 1, 1, 1}, cuts[] = {0, 0, 0, 0};
    rk_settings_t s = fixture_settings ();
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_plan_by_hand (&plan, 1, &info, &s, 4, counts, cuts, NULL, &err), RK_OK);
    bool alive[] = {true, true, false, true};
    rk_handover_range_t list[16];
    size_t n = rk_handover_sources (plan, alive, true, 2, 0, 160000, list, 16);
    assert_int_equal (n, 3);
    for (size_t i = 0; i < n; i++)
        assert_true (list[i].hi - list[i].lo > 53000 && list[i].hi - list[i].lo < 54000 && !list[i].exact && list[i].lo % 16 == 0);
    assert_int_equal (list[0].replica, 3); /* the one after it gives first */
    n = rk_handover_sources (plan, alive, false, 2, 100, 160000, list, 16);
    assert_int_equal (n, 1);
    assert_true (list[0].replica == 3 && list[0].lo == 100);
    n = rk_handover_sources (plan, (bool[4]){false}, true, 2, 0, 160000, list, 16);
    assert_true (n == 1 && list[0].from == RK_FROM_CHECKPOINT && list[0].replica == 2);
    n = rk_handover_list (NULL, plan, NULL, true, list, 16);
    assert_int_equal (n, 4);
    assert_true (list[3].from == RK_FROM_CHECKPOINT && list[3].replica == 3);
    rk_plan_destroy (&plan);
}

static void test_planes (void **state)
{
    (void) state;
    rk_plane_t planes[RK_N_PLANES];
    rk_settings_t s = fixture_settings ();
    assert_int_equal (rk_handover_planes (&s, 0, 4, planes), 1);
    assert_int_equal (rk_handover_planes (&s, 2, 4, planes), 3);
    assert_int_equal (planes[2], RK_PLANE_STATE1);
    s.average_order = RK_AVERAGE_AWC;
    s.average_tracking = true;
    s.average_momentum = RK_MOMENTUM_QUASI_GLOBAL;
    assert_int_equal (rk_handover_planes (&s, 1, 1, planes), 2); /* one cluster mixes with nobody */
    assert_int_equal (rk_handover_planes (&s, 1, 2, planes), 6);
    for (int i = 1; i < 6; i++) {
        assert_true (planes[i] > planes[i - 1]);
        assert_string_not_equal (rk_plane_name (planes[i]), rk_plane_name (planes[i - 1]));
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_float_once),
        cmocka_unit_test (test_short_list),
        cmocka_unit_test (test_same_bits),
        cmocka_unit_test (test_nothing_moves),
        cmocka_unit_test (test_joiner_has_several_donors),
        cmocka_unit_test (test_planes),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
