/* SPDX-License-Identifier: MPL-2.0
 * rookery plan: who would do what, without training; or who did, from a run folder.                      */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors/host.h"
#include "actors/modelinfo.h"
#include "actors/planfile.h"
#include "actors/profiler.h"
#include "actors/rookery/commands.h"
#include "actors/rookery/rundir.h"
#include "actors/training.h"
#include "compute/blas.h"
#include "compute/data.h"

#define BUDGET_NS (1500 * INT64_C (1000000)) /* as a node's own profiler */
#define VIEW 1                               /* the first view of a run */

/* ---- a plan for this machine */
typedef struct {
    rk_settings_t settings;
    rk_model_t *model;
    rk_data_t *data;
    rk_model_info_t *info;
    rk_profile_t nodes[RK_MAX_FLEET];
    uint32_t n_nodes;
    uint64_t *times; /* [node][forward, backward][layer] */
    rk_plan_t *plan;
} self_t;

static void s_free (self_t *self)
{
    rk_plan_destroy (&self->plan);
    rk_model_info_destroy (&self->info);
    rk_data_close (&self->data);
    rk_model_destroy (&self->model);
    free (self->times);
    free (self);
}

/* The virtual nodes of the settings (or this machine as one node), with the figures measured here. */
static rk_err_t s_nodes (self_t *self, rk_error_t *err)
{
    rk_host_t host;
    size_t n_layers = self->info->n_layers, per_node = 2 * n_layers;
    rk_host_look (&host);
    self->n_nodes = self->settings.n_fleet ? self->settings.n_fleet : 1;
    self->times = calloc ((self->n_nodes + 1) * per_node, sizeof *self->times);
    if (!self->times)
        return rk_error_set (err, RK_ENOMEM, "no memory for the profiles of %u nodes", self->n_nodes);
    uint64_t *measured = self->times + self->n_nodes * per_node;
    rk_err_t code = rk_profile_layers (self->model, self->settings.train_batch, BUDGET_NS, measured, measured + n_layers, err);
    for (uint32_t i = 0; i < self->n_nodes && !code; i++) {
        const rk_fleet_node_t *declared = &self->settings.fleet[i];
        bool virtual = self->settings.n_fleet > 0;
        uint32_t ppm = virtual ? (uint32_t) (declared->speed * 1e6 + 0.5) : 1000000;
        uint64_t *times = self->times + i * per_node;
        for (size_t l = 0; l < per_node; l++)
            times[l] = measured[l] * 1000000 / (ppm ? ppm : 1);
        self->nodes[i] = (rk_profile_t){.id = i, .host = host.id, .cores = host.cores, .speed_ppm = ppm, .gemm_mflops = 1,
                                        .ram_bytes = virtual && declared->ram_mb ? declared->ram_mb << 20
                                                                                : host.ram_bytes / self->n_nodes,
                                        .forward_ns = times, .backward_ns = times + n_layers};
        snprintf (self->nodes[i].name, sizeof self->nodes[i].name, "%s", virtual ? declared->name : "this-machine");
    }
    return code;
}

static rk_err_t s_make (self_t *self, rk_error_t *err)
{
    const rk_data_options_t options = rk_data_options_of (&self->settings);
    rk_err_t code = rk_blas_init ("auto", err);
    if (!code)
        code = rk_data_open (&self->data, self->settings.data_name, &options, err);
    if (!code)
        code = rk_model_by_name (&self->model, self->settings.model_name, rk_data_shape (self->data),
                                 rk_data_n_classes (self->data), err);
    if (!code)
        code = rk_model_info_new (&self->info, self->model, &self->settings, rk_data_n (self->data, RK_SPLIT_TRAIN),
                                  rk_data_n (self->data, RK_SPLIT_TEST), err);
    if (!code)
        code = s_nodes (self, err);
    rk_fleet_t fleet = {.nodes = self->nodes, .n_nodes = self->n_nodes};
    const char *kernels = rk_blas_best (self->settings.run_precision == RK_PRECISION_BF16);
    if (!code)
        code = rk_plan_make (&self->plan, VIEW, &fleet, self->info, &self->settings, kernels, err);
    return code;
}

static rk_err_t s_read (self_t *self, const char *path, rk_error_t *err)
{
    rk_err_t code = rk_planfile_read (&self->plan, path, err);
    if (code)
        return code;
    self->settings = self->plan->settings;
    rk_shape_t shape = {.n_dims = (int) self->plan->n_dims};
    for (uint32_t d = 0; d < self->plan->n_dims && d < RK_MAX_DIMS; d++)
        shape.dim[d] = self->plan->dims[d];
    /* only for the names of layers; a model made by a program has none here */
    if (rk_model_by_name (&self->model, self->settings.model_name, shape, self->plan->n_classes, NULL))
        self->model = NULL;
    if (self->model && (uint32_t) rk_model_n_layers (self->model) != self->plan->n_layers)
        rk_model_destroy (&self->model);
    return RK_OK;
}

/* ---- for people */
static void s_layers (const rk_model_t *model, const rk_plan_stage_t *stage, char *text, size_t size)
{
    if (!model)
        snprintf (text, size, "layers %u to %u", stage->first, stage->last - 1);
    else if (stage->last == stage->first + 1)
        snprintf (text, size, "%s", rk_model_layer_name (model, (int) stage->first));
    else
        snprintf (text, size, "%s to %s", rk_model_layer_name (model, (int) stage->first),
                  rk_model_layer_name (model, (int) stage->last - 1));
}

static void s_print_stage (const self_t *self, uint32_t cluster, uint32_t at)
{
    const rk_plan_t *plan = self->plan;
    const rk_plan_stage_t *stage = rk_plan_stage (plan, cluster, at);
    char layers[64], name[48];
    double speed = 1;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i] == stage->node)
            speed = plan->node_speed_ppm[i] / 1e6;
    if (stage->node < plan->settings.n_fleet)
        snprintf (name, sizeof name, "%s", plan->settings.fleet[stage->node].name);
    else
        snprintf (name, sizeof name, "node %u", stage->node);
    s_layers (self->model, stage, layers, sizeof layers);
    printf ("  stage %-2u %-12s speed %-4.2g %-22s %8.2f ms %6.0f MB\n", at, name, speed, layers, (double) stage->busy_ns / 1e6,
            (double) stage->memory_bytes / 1048576);
}

static void s_print (const self_t *self)
{
    const rk_plan_t *plan = self->plan;
    rk_score_t score;
    rk_plan_score (plan, &score);
    printf ("plan %016" PRIx64 ": %s on %s, batch %u, kernels %s\n", plan->digest, plan->settings.model_name,
            plan->settings.data_name, plan->settings.train_batch, plan->kernels);
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const rk_plan_cluster_t *cluster = &plan->clusters[c];
        printf ("cluster %u: %.1f samples/s, %u in flight\n", c, (double) cluster->rate * plan->settings.train_batch / 1e9,
                cluster->in_flight);
        for (uint32_t s = 0; s < cluster->n_stages; s++)
            s_print_stage (self, c, s);
    }
    for (uint32_t r = 0; r < plan->n_rings; r++)
        printf ("ring %u: floats %" PRIu64 " to %" PRIu64 " (%.2f MB)\n", r, plan->rings[r].lo, plan->rings[r].hi,
                (double) (plan->rings[r].hi - plan->rings[r].lo) * sizeof (float) / 1e6);
    printf ("predicted: %.0f samples/s, %.2f MB per averaging, %.0f MB on the fullest node\n",
            (double) score.samples_per_1000s / 1000, (double) score.round_bytes / 1e6,
            (double) score.max_memory_bytes / 1048576);
}

static rk_err_t s_plan (self_t *self, const rk_args_t *args, bool *usage, rk_error_t *err)
{
    const char *word = args->n_words ? args->words[0] : NULL;
    char path[RK_CHECKPOINT_PATH];
    if (word && rk_rundir_is (word)) {
        snprintf (path, sizeof path, "%s/plan.json", word);
        return s_read (self, path, err);
    }
    rk_err_t code = rk_command_settings (&self->settings, args, word, err);
    if (!code)
        code = rk_command_check_names (&self->settings, err);
    *usage = code != RK_OK;
    if (code)
        return code;
    return *self->settings.run_plan ? s_read (self, self->settings.run_plan, err) : s_make (self, err);
}

int rk_command_plan (const rk_args_t *args)
{
    rk_error_t err = {0};
    bool usage = false;
    self_t *self = calloc (1, sizeof *self);
    rk_err_t code = self ? s_plan (self, args, &usage, &err) : rk_error_set (&err, RK_ENOMEM, "out of memory");
    if (!code && rk_args_has (args, "json"))
        code = rk_planfile_print (self->plan, self->model, &err);
    else if (!code)
        s_print (self);
    if (self)
        s_free (self);
    if (code)
        rk_program_fail (&err);
    return !code ? RK_EXIT_DONE : usage ? RK_EXIT_USAGE : RK_EXIT_FAILED;
}
