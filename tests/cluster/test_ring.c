/* SPDX-License-Identifier: MPL-2.0
 * The ring arithmetic, by running it on numbers.                                                         */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "cluster/ring.h"

#define MOST 12

/* All ranks in lockstep: what rank r sends is what rank r + 1 expects, and everybody ends with all sums. */
static void test_all_reduce (void **state)
{
    (void) state;
    for (uint32_t n = 2; n <= MOST; n++) {
        uint64_t value[MOST][MOST], sum[MOST] = {0};
        for (uint32_t r = 0; r < n; r++)
            for (uint32_t p = 0; p < n; p++) {
                value[r][p] = 1 + r * 1000003ull + p * 77777ull;
                sum[p] += value[r][p];
            }
        for (uint32_t t = 0; t < rk_ring_n_steps (n); t++) {
            uint64_t sent[MOST];
            for (uint32_t r = 0; r < n; r++)
                sent[r] = value[r][rk_ring_step (r, n, t).send_piece];
            for (uint32_t r = 0; r < n; r++) {
                uint32_t from = (r + n - 1) % n;
                rk_ring_step_t step = rk_ring_step (r, n, t);
                assert_int_equal (step.receive_piece, rk_ring_step (from, n, t).send_piece);
                assert_int_equal (step.gather, t >= n - 1);
                value[r][step.receive_piece] = sent[from] + (step.gather ? 0 : value[r][step.receive_piece]);
            }
        }
        for (uint32_t r = 0; r < n; r++)
            for (uint32_t p = 0; p < n; p++)
                assert_true (value[r][p] == sum[p]);
    }
}

/* Every piece is sent n - 1 times in each half, and visits every rank once while it is summed. */
static void test_each_piece_visits_each_rank (void **state)
{
    (void) state;
    for (uint32_t n = 2; n <= MOST; n++) {
        uint32_t added[MOST][MOST] = {{0}}, copied[MOST][MOST] = {{0}};
        for (uint32_t t = 0; t < rk_ring_n_steps (n); t++)
            for (uint32_t r = 0; r < n; r++) {
                rk_ring_step_t step = rk_ring_step (r, n, t);
                (step.gather ? copied : added)[step.receive_piece][r]++;
            }
        for (uint32_t p = 0; p < n; p++) {
            uint32_t n_added = 0, n_copied = 0;
            for (uint32_t r = 0; r < n; r++) {
                assert_true (added[p][r] <= 1 && copied[p][r] <= 1);
                n_added += added[p][r];
                n_copied += copied[p][r];
            }
            assert_int_equal (n_added, n - 1);
            assert_int_equal (n_copied, n - 1);
        }
    }
    assert_int_equal (rk_ring_n_steps (1), 0);
    assert_int_equal (rk_ring_n_steps (5), 8);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_all_reduce),
        cmocka_unit_test (test_each_piece_visits_each_rank),
    };
    return cmocka_run_group_tests_name ("cluster/ring", tests, NULL, NULL);
}
