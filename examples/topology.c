/* SPDX-License-Identifier: MPL-2.0
 * A topology scripted in a program: three clusters that hold the same model in 1, 2 and 3 stages.
 *
 * What you will learn: how to build a model layer by layer, how to write a plan by hand instead of having it
 * computed from measurements, and how one call runs it. The cuts differ from cluster to cluster, so the flat
 * parameter vector falls into segments, each averaged over the three stages that own it.
 *
 *   build/examples/topology            (needs no files; less than a second)
 *
 * Expected output (~ stands for anything):
 *   cluster 0: 1 stage: layers 0-6 (25824 floats)
 *   cluster 1: 2 stages: layers 0-2 (25120 floats), layers 3-6 (704 floats)
 *   cluster 2: 3 stages: layers 0-2 (25120 floats), layers 3-4 (528 floats), layers 5-6 (176 floats)
 *   3 rings; 3 segments: [0, 25120) [25120, 25648) [25648, 25824)
 *   trained 12288 samples on 3 clusters, 6 stages
 *   test accuracy ~
 */
#include <inttypes.h>
#include <stdio.h>

#include "actors/modelinfo.h"
#include "actors/node.h"

enum { N_CLUSTERS = 3 };
static const uint32_t counts[N_CLUSTERS] = {1, 2, 3};
static const uint32_t cuts[] = {0, 0, 3, 0, 3, 5}; /* first layer of each stage, cluster after cluster */

static rk_err_t build_model (rk_model_t **model_p, const rk_data_t *data, rk_error_t *err)
{
    rk_model_t *m = *model_p = rk_model_new (rk_data_shape (data));
    if (!m)
        return RK_ENOMEM;
    int t = rk_model_flatten (m, "flatten", 0);
    t = rk_model_linear (m, "fc1", t, 32, true);
    t = rk_model_relu (m, "relu1", t);
    t = rk_model_linear (m, "fc2", t, 16, true);
    t = rk_model_relu (m, "relu2", t);
    t = rk_model_linear (m, "fc3", t, rk_data_n_classes (data), true);
    rk_model_softmax_xent (m, "loss", t);
    return rk_model_seal (m, err);
}

static rk_err_t build_plan (rk_plan_t **plan_p, const rk_model_t *model, const rk_data_t *data, const rk_settings_t *s,
                            rk_error_t *err)
{
    rk_model_info_t *info = NULL;
    rk_err_t rc = rk_model_info_new (&info, model, s, rk_data_n (data, RK_SPLIT_TRAIN), rk_data_n (data, RK_SPLIT_TEST), err);
    if (!rc)
        rc = rk_plan_by_hand (plan_p, 1, info, s, N_CLUSTERS, counts, cuts, NULL, err);
    rk_model_info_destroy (&info);
    return rc;
}

static void show_plan (const rk_plan_t *plan)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const uint32_t n = plan->clusters[c].n_stages;
        printf ("cluster %" PRIu32 ": %" PRIu32 " stage%s:", c, n, n == 1 ? "" : "s");
        for (uint32_t s = 0; s < n; s++) {
            const rk_plan_stage_t *stage = rk_plan_stage (plan, c, s);
            printf ("%s layers %" PRIu32 "-%" PRIu32 " (%" PRIu64 " floats)", s ? "," : "", stage->first, stage->last - 1,
                    stage->flat_hi - stage->flat_lo);
        }
        printf ("\n");
    }
    printf ("%" PRIu32 " rings; %" PRIu32 " segments:", plan->n_rings, plan->n_segments);
    for (uint32_t i = 0; i < plan->n_segments; i++)
        printf (" [%" PRIu64 ", %" PRIu64 ")", plan->segments[i].lo, plan->segments[i].hi);
    printf ("\n");
}

int main (void)
{
    rk_settings_t s;
    rk_settings_default (&s);
    s.run_passes = 3;
    s.train_batch = 32;
    s.train_lr = 0.05;
    s.average_every = 8; /* minibatches of a cluster between two averagings */
    rk_data_t *data = NULL;
    rk_model_t *model = NULL;
    rk_plan_t *plan = NULL;
    rk_node_result_t result;
    rk_error_t err = {RK_OK, ""};

    rk_err_t rc = rk_data_open (&data, "synthetic", NULL, &err);
    if (!rc)
        rc = build_model (&model, data, &err);
    if (!rc)
        rc = build_plan (&plan, model, data, &s, &err);
    if (!rc) {
        show_plan (plan);
        const rk_node_config_t node = {.settings = s, .plan = plan, .model = model, .data = data, .quiet = true};
        rc = rk_node_run (&node, NULL, &result, &err);
    }
    if (!rc) {
        printf ("trained %" PRIu64 " samples on %" PRIu32 " clusters, %" PRIu32 " stages\n", result.samples, result.n_clusters,
                result.n_stages);
        printf ("test accuracy %.2f\n", result.test_accuracy);
    }
    else
        fprintf (stderr, "topology: %s: %s\n", rk_strerror (rc), err.text);

    rk_plan_destroy (&plan);
    rk_model_destroy (&model);
    rk_data_close (&data);
    return rc ? 1 : 0;
}
