/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig_parts.h"

#include "actors/feeder.h"
#include "actors/reducer.h"

#define MOST_LAYERS 1024

void rig_settings (rk_settings_t *s)
{
    rk_settings_default (s);
    s->run_seed = 7;
    s->run_passes = 1;
    s->train_batch = 128;
    snprintf (s->train_optimizer, sizeof s->train_optimizer, "sgd");
    snprintf (s->train_schedule, sizeof s->train_schedule, "constant");
    s->train_lr = 0.05;
    s->train_momentum = 0.9;
    s->train_weight_decay = 1e-4;
    s->pipeline_update_every = 1;
    s->average_every = 4;
    s->average_mode = RK_AVERAGE_DRAINED;
}

static void s_even_cuts (const rig_config_t *config, uint32_t *cuts)
{
    uint32_t n_layers = (uint32_t) rk_model_n_layers (config->model), n = 0;
    for (uint32_t c = 0; c < config->n_clusters; c++)
        for (uint32_t s = 0; s < config->counts[c]; s++)
            cuts[n++] = s * n_layers / config->counts[c];
}

rk_plan_t *rig_plan (const rig_config_t *config)
{
    uint32_t n_layers = (uint32_t) rk_model_n_layers (config->model);
    rk_layer_info_t layers[MOST_LAYERS] = {0};
    assert_true (n_layers <= MOST_LAYERS);
    for (uint32_t i = 0; i < n_layers; i++)
        layers[i] = (rk_layer_info_t){.flat_at = rk_model_flat_at (config->model, (int) i), .stash_bytes = 1, .work_bytes = 1,
                                      .cut_bytes = 1};
    rk_shape_t shape = rk_data_shape (config->data);
    rk_model_info_t info = {.n_layers = n_layers, .layers = layers, .n_flat = rk_model_flat_at (config->model, (int) n_layers),
                            .train_samples = rk_data_n (config->data, RK_SPLIT_TRAIN),
                            .test_samples = rk_data_n (config->data, RK_SPLIT_TEST), .n_dims = (uint32_t) shape.n_dims,
                            .n_classes = (uint32_t) rk_data_n_classes (config->data)};
    for (int d = 0; d < shape.n_dims; d++)
        info.dims[d] = (uint32_t) shape.dim[d];
    uint32_t even[MOST_LAYERS];
    s_even_cuts (config, even);
    rk_plan_t *plan = NULL;
    rk_error_t err = {RK_OK, ""};
    rig_ok (rk_plan_by_hand (&plan, 1, &info, &config->settings, config->n_clusters, config->counts,
                           config->cuts ? config->cuts : even, config->rates, &err), &err);
    for (uint32_t i = 0; i < plan->n_stages && i < 32; i++)
        plan->stages[i].recompute = plan->stages[i].recompute || config->recompute >> i & 1;
    for (uint32_t i = 0; i < plan->n_nodes && config->speed_ppm; i++)
        plan->node_speed_ppm[i] = config->speed_ppm[i];
    return plan;
}

/* ---- actors */

static void s_start_node (rig_t *rig, uint32_t cluster, uint32_t stage)
{
    const rig_config_t *config = rig->config;
    uint32_t node = rk_plan_stage (rig->plan, cluster, stage)->node;
    /* Who errs: all (a first stage of one layer has no use for its weights in a backward), else one node. */
    bool chosen = config->corrupt == RK_CORRUPT_STALE_VERSION || (cluster == 0 && stage == 0);
    char bind[3][128];
    for (int i = 0; i < 3; i++)
        rk_endpoint_unique (bind[i], sizeof bind[i], config->transport, NULL);
    uint32_t corrupt = chosen ? config->corrupt : RK_CORRUPT_NONE;
    rk_error_t err = {RK_OK, ""};
    const rk_stage_config_t s = {.plan = rig->plan, .node = node, .identity = &rk_identity_plain, .model = config->model, .bind = bind[0], .initial = config->initial,
                                 .coordinator = rig->endpoint, .observer = rig->endpoint, .corrupt = corrupt};
    rig_ok (rk_stage_new (&rig->actors[rig->n_actors++], &s, &err), &err);
    const rk_reducer_config_t r = {.plan = rig->plan, .node = node, .identity = &rk_identity_plain, .bind = bind[1], .coordinator = rig->endpoint,
                                   .observer = rig->endpoint, .corrupt = corrupt};
    if (rig->plan->n_clusters > 1)
        rig_ok (rk_reducer_new (&rig->actors[rig->n_actors++], &r, &err), &err);
    const rk_feeder_config_t f = {.plan = rig->plan, .node = node, .identity = &rk_identity_plain, .data = config->data, .bind = bind[2],
                                  .coordinator = rig->endpoint, .observer = rig->endpoint, .corrupt = corrupt};
    if (stage == 0)
        rig_ok (rk_feeder_new (&rig->actors[rig->n_actors++], &f, &err), &err);
}

static rk_actor_t *s_actor (rig_t *rig, rk_actor_kind_t kind, uint32_t node)
{
    for (size_t i = 0; i < rig->n_actors; i++)
        if (rk_actor_address (rig->actors[i]) == rk_address (kind, node))
            return rig->actors[i];
    fail_msg ("no %s %u", rk_actor_kind_name (kind), node);
    return NULL;
}

static void s_join (rig_t *rig, rk_actor_kind_t kind, uint32_t node, rk_actor_kind_t to_kind, uint32_t to_node)
{
    rk_error_t err = {RK_OK, ""};
    rig_ok (rk_actor_connect (s_actor (rig, kind, node), rk_address (to_kind, to_node),
                            rk_actor_endpoint (s_actor (rig, to_kind, to_node)), &err), &err);
}

static void s_introduce (rig_t *rig, uint32_t node, uint32_t to)
{
    rk_error_t err = {RK_OK, ""};
    rig_ok (rk_actor_introduce (s_actor (rig, RK_ACTOR_REDUCER, node), rk_address (RK_ACTOR_REDUCER, to),
                                rk_actor_endpoint (s_actor (rig, RK_ACTOR_REDUCER, to)), &err), &err);
}

static void s_connect (rig_t *rig)
{
    const rk_plan_t *plan = rig->plan;
    rk_error_t err = {RK_OK, ""};
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++) {
            uint32_t node = rk_plan_stage (plan, c, s)->node;
            rig_ok (rk_actor_connect (s_actor (rig, RK_ACTOR_STAGE, node), rk_address (RK_ACTOR_CHECKPOINTER, 0), rig->endpoint, &err),
                  &err);
            if (s == 0) {
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_FEEDER, node);
                s_join (rig, RK_ACTOR_FEEDER, node, RK_ACTOR_STAGE, node);
            } else {
                uint32_t before = rk_plan_stage (plan, c, s - 1)->node;
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_STAGE, before);
                s_join (rig, RK_ACTOR_STAGE, before, RK_ACTOR_STAGE, node);
            }
            const uint32_t partner = rk_tied_partner (plan, rig->config->model, c, s);
            if (partner)
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_STAGE, rk_address_node (partner));
            if (plan->n_clusters > 1) {
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_REDUCER, node);
                s_join (rig, RK_ACTOR_REDUCER, node, RK_ACTOR_STAGE, node);
            }
        }
    for (uint32_t s = 0; s < plan->n_segments && plan->n_clusters > 1; s++)
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            for (uint32_t k = 1; k < plan->n_clusters; k++) {
                const uint32_t *owners = plan->owners + plan->segments[s].first_owner;
                s_introduce (rig, plan->stages[owners[c]].node, plan->stages[owners[(c + k) % plan->n_clusters]].node);
            }
}

void rig_start (rig_t *rig)
{
    for (uint32_t c = 0; c < rig->plan->n_clusters; c++)
        for (uint32_t s = 0; s < rig->plan->clusters[c].n_stages; s++)
            s_start_node (rig, c, s);
    s_connect (rig);
}
