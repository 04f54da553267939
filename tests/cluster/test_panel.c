/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/cluster/fixtures.h"
#include "cluster/panel.h"

enum { N = 5, REPLICAS = 3, MEASURE = 2 };

static rk_evaluation_part_t s_part (uint32_t correct)
{
    return (rk_evaluation_part_t){.loss_sum = 1, .n_correct = correct, .n_counted = 10, .n = 10};
}

static void equal_replicas_are_one_model (void **state)
{
    rk_panel_t panel;
    rk_error_t err;
    uint64_t f[16];
    rk_panel_kind_t kind;
    assert_int_equal (rk_panel_init (&panel, N, 0, 0, false), RK_OK);
    for (int pass = 0; pass < 2; pass++) {
        rk_panel_begin (&panel);
        assert_int_equal (rk_panel_deal (&panel, 7, 3, f, &kind), 3);
        assert_int_equal (kind, RK_PANEL_MODEL);
        assert_int_equal (rk_panel_deal (&panel, 1, 16, f + 3, &kind), 2);
        assert_int_equal (rk_panel_deal (&panel, 0, 16, f, &kind), 0);
        for (uint64_t i = 0; i < N; i++) {
            assert_false (rk_panel_done (&panel));
            assert_int_equal (rk_panel_waiting (&panel), i);
            assert_int_equal (rk_panel_answer (&panel, RK_PANEL_MODEL, 9, i, s_part (5), &err), RK_OK);
        }
        assert_true (rk_panel_done (&panel));
        assert_int_equal (rk_panel_answer (&panel, RK_PANEL_REPLICA, 0, 0, s_part (5), &err), RK_ESTALE);
        assert_int_equal (rk_panel_spread (&panel).n, 0);
    }
    rk_panel_clear (&panel);
}

static void every_replica_measures_first_and_is_evaluated_whole (void **state)
{
    rk_panel_t panel;
    rk_error_t err;
    assert_int_equal (rk_panel_init (&panel, N, REPLICAS, MEASURE, true), RK_OK);
    rk_panel_begin (&panel);
    uint32_t dealt[REPLICAS][3] = {0}, model = 0;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t r = 0; r < REPLICAS; r++) {
            uint64_t f[2];
            rk_panel_kind_t kind;
            uint32_t n = rk_panel_deal (&panel, r, 2, f, &kind);
            more |= n > 0;
            if (n && kind != RK_PANEL_MEASURE)
                assert_int_equal (dealt[r][RK_PANEL_MEASURE], MEASURE);
            if (n && kind == RK_PANEL_REPLICA)
                assert_int_equal (model, N);
            for (uint32_t i = 0; i < n; i++) {
                assert_false (rk_panel_done (&panel));
                assert_int_equal (rk_panel_answer (&panel, kind, r, f[i], s_part (kind == RK_PANEL_REPLICA ? 2 * r + 2 : 9), &err), RK_OK);
                assert_int_equal (rk_panel_answer (&panel, kind, r, f[i], s_part (1), &err), RK_ESTALE);
            }
            dealt[r][kind] += n;
            model += kind == RK_PANEL_MODEL ? n : 0;
        }
    }
    assert_true (rk_panel_done (&panel));
    for (uint32_t r = 0; r < REPLICAS; r++)
        assert_int_equal (dealt[r][RK_PANEL_REPLICA], N);
    rk_panel_spread_t spread = rk_panel_spread (&panel);
    assert_int_equal (spread.n, REPLICAS);
    assert_true (spread.least == 0.2 && spread.most == 0.6 && spread.mean > 0.399 && spread.mean < 0.401);
    assert_int_equal (rk_evaluation_sum (&panel.model).n_correct, 9 * N);
    rk_panel_clear (&panel);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (equal_replicas_are_one_model),
        cmocka_unit_test (every_replica_measures_first_and_is_evaluated_whole),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
