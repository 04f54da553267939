/* SPDX-License-Identifier: MPL-2.0
 * A plan as text for people.                                                                              */
#include "actors/rookery/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- for people */
const char *rk_plan_view_layers (const rk_plan_view_t *view, const rk_plan_stage_t *stage, char *text, size_t size)
{
    const rk_model_t *model = view->model;
    if (!model)
        snprintf (text, size, "layers %u to %u", stage->first, stage->last - 1);
    else if (stage->last == stage->first + 1)
        snprintf (text, size, "%s", rk_model_layer_name (model, (int) stage->first));
    else
        snprintf (text, size, "%s to %s", rk_model_layer_name (model, (int) stage->first),
                  rk_model_layer_name (model, (int) stage->last - 1));
    return text;
}

const rk_profile_t *rk_plan_view_profile (const rk_plan_view_t *view, uint32_t id)
{
    for (uint32_t i = 0; view->fleet && i < view->fleet->n_nodes; i++)
        if (view->fleet->nodes[i].id == id)
            return &view->fleet->nodes[i];
    return NULL;
}

const char *rk_plan_view_node (const rk_plan_view_t *view, uint32_t id, char *text, size_t size)
{
    const rk_profile_t *node = rk_plan_view_profile (view, id);
    if (node)
        snprintf (text, size, "%s", node->name);
    else if (id < view->plan->settings.n_fleet)
        snprintf (text, size, "%s", view->plan->settings.fleet[id].name);
    else
        snprintf (text, size, "node %u", id);
    return text;
}

/* Ten places, as full as the node is; nothing where its memory is not known. */
static void s_bar (const rk_plan_view_t *view, const rk_plan_stage_t *stage, char *text, size_t size)
{
    const rk_profile_t *node = rk_plan_view_profile (view, stage->node);
    const double mb = (double) stage->memory_bytes / 1048576;
    if (!node || node->ram_bytes == 0 || stage->memory_bytes > node->ram_bytes) {
        snprintf (text, size, "%.0f MB", mb);
        return;
    }
    const int full = (int) (10 * stage->memory_bytes / node->ram_bytes);
    snprintf (text, size, "%.*s%.*s %.0f/%.0f MB", full, "##########", 10 - full, "----------", mb, (double) node->ram_bytes / 1048576);
}

static void s_print_stage (const rk_plan_view_t *view, uint32_t cluster, uint32_t at)
{
    const rk_plan_stage_t *stage = rk_plan_stage (view->plan, cluster, at);
    char layers[64], name[48], bar[48], idle[24];
    rk_plan_view_layers (view, stage, layers, sizeof layers);
    s_bar (view, stage, bar, sizeof bar);
    snprintf (idle, sizeof idle, "%8s", "");
    if (view->simulated)
        snprintf (idle, sizeof idle, "idle %2u%%", (view->simulated->idle_ppm[view->plan->clusters[cluster].first_stage + at] + 5000) / 10000);
    printf ("  %-2u %-10.10s %-16.16s %8.2f ms %s %s %s\n", at, rk_plan_view_node (view, stage->node, name, sizeof name), layers,
            (double) stage->busy_ns / 1e6, idle, stage->recompute ? "R" : " ", bar);
}

/* Why it is not faster. */
static void s_print_bottleneck (const rk_plan_view_t *view, const rk_score_t *score)
{
    const rk_plan_t *plan = view->plan;
    char name[48], layers[64];
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const rk_plan_cluster_t *cluster = &plan->clusters[c];
        uint32_t slowest = 0;
        for (uint32_t s = 1; s < cluster->n_stages; s++)
            if (rk_plan_stage (plan, c, s)->busy_ns > rk_plan_stage (plan, c, slowest)->busy_ns)
                slowest = s;
        const rk_plan_stage_t *stage = rk_plan_stage (plan, c, slowest);
        const uint64_t period = UINT64_C (1000000000000000000) / cluster->rate;
        rk_plan_view_layers (view, stage, layers, sizeof layers);
        if (stage->busy_ns + stage->busy_ns / 50 >= period)
            printf ("cluster %u waits for %s (%s)\n", c, rk_plan_view_node (view, stage->node, name, sizeof name), layers);
        else
            printf ("cluster %u waits for links, its window or its hosts' cores: %.2f ms, stages %.2f\n", c, (double) period / 1e6,
                    (double) stage->busy_ns / 1e6);
    }
    if (plan->n_clusters > 1 && score->averaging_ns * 2 > score->round_ns)
        printf ("averaging takes %.0f %% of a round: average.every larger would help\n",
                100.0 * (double) score->averaging_ns / (double) score->round_ns);
}

void rk_plan_print (const rk_plan_view_t *view)
{
    const rk_plan_t *plan = view->plan;
    rk_score_t score;
    rk_plan_score (plan, &score);
    printf ("plan %016" PRIx64 ": %s on %s, batch %u, kernels %s\n", plan->digest, plan->settings.model_name,
            plan->settings.data_name, plan->settings.train_batch, plan->kernels);
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const rk_plan_cluster_t *cluster = &plan->clusters[c];
        printf ("cluster %u: %.1f samples/s, %u in flight\n", c, (double) cluster->rate * plan->settings.train_batch / 1e9,
                cluster->in_flight);
        for (uint32_t s = 0; s < cluster->n_stages; s++)
            s_print_stage (view, c, s);
    }
    for (uint32_t r = 0; r < plan->n_rings; r++)
        printf ("ring %u: floats %" PRIu64 " to %" PRIu64 " (%.2f MB)\n", r, plan->rings[r].lo, plan->rings[r].hi,
                (double) (plan->rings[r].hi - plan->rings[r].lo) * sizeof (float) / 1e6);
    s_print_bottleneck (view, &score);
    printf ("predicted: %.0f samples/s, %.1f s a pass; a round %.1f ms\n", (double) score.samples_per_1000s / 1000,
            (double) plan->train_samples * 1000 / (double) (score.samples_per_1000s ? score.samples_per_1000s : 1),
            (double) score.round_ns / 1e6);
    printf ("averaging: %.2f MB and %.1f ms; fullest node %.0f MB\n", (double) score.round_bytes / 1e6,
            (double) score.averaging_ns / 1e6, (double) score.max_memory_bytes / 1048576);
    if (view->simulated) {
        const rk_simulated_t *s = view->simulated;
        const double rounds = (double) view->simulated_rounds;
        printf ("simulated: %.0f samples/s, %.1f s a pass; a round averages %.2f MB in %.1f ms\n", (double) s->samples_per_1000s / 1000,
                (double) s->pass_ns / 1e9, (double) s->averaging_bytes / rounds / 1e6, (double) s->averaging_ns / rounds / 1e6);
    }
}
