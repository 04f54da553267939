/* SPDX-License-Identifier: MPL-2.0
 * The promises of the pipeline and of averaging, bit for bit, each with a fault that must break it. */
#include "tests/support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static rk_model_t *s_mlp, *s_residual;

static rig_config_t s_config (const rk_model_t *model, uint32_t n_clusters, const uint32_t *counts, const char *transport)
{
    rig_config_t config = {.model = model, .data = rig_data (), .n_clusters = n_clusters, .transport = transport};
    memcpy (config.counts, counts, n_clusters * sizeof *counts);
    rig_settings (&config.settings);
    return config;
}

/* ---- one cluster against the plain loop */

/* Whether a cluster of n stages with one minibatch in flight ends with the plain loop's parameters. */
static bool s_equals_plain (const rk_model_t *model, uint32_t n_stages, const char *transport, uint32_t corrupt)
{
    rig_config_t config = s_config (model, 1, &n_stages, transport);
    config.settings.pipeline_in_flight = 1;
    config.corrupt = corrupt;
    rig_result_t result;
    rig_run (&config, &result);
    float *plain = rig_plain (&config, result.minibatches);
    bool equal = memcmp (plain, result.mean[0], result.plan->n_flat * sizeof *plain) == 0;
    free (plain);
    rig_clear (&result);
    return equal;
}

static void one_stage_is_the_plain_loop (void **state)
{
    assert_true (s_equals_plain (s_mlp, 1, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 1, "inproc", RK_CORRUPT_NONE));
}

static void swapped_label_is_seen (void **state)
{
    assert_false (s_equals_plain (s_mlp, 1, "inproc", RK_CORRUPT_SWAPPED_LABEL));
}

static void stages_with_window_one_are_the_plain_loop (void **state)
{
    for (uint32_t n = 2; n <= 6; n++)
        assert_true (s_equals_plain (s_mlp, n, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 6, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 3, "tcp", RK_CORRUPT_NONE));
}

static int s_open (void **state)
{
    s_mlp = rig_mlp (5);
    s_residual = rig_residual ();
    return 0;
}

static int s_close (void **state)
{
    rk_model_destroy (&s_mlp);
    rk_model_destroy (&s_residual);
    rig_data_close ();
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (one_stage_is_the_plain_loop),
        cmocka_unit_test (swapped_label_is_seen),
        cmocka_unit_test (stages_with_window_one_are_the_plain_loop),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
