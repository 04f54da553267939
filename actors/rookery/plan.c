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
#include "actors/rookery/fleetfile.h"
#include "actors/rookery/plan.h"
#include "actors/rookery/profile.h"
#include "actors/rookery/rundir.h"
#include "actors/training.h"
#include "cluster/score.h"
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
    rk_profile_t *nodes; /* one more than n_nodes: what if there were another? */
    uint32_t n_nodes;
    rk_fleetfile_t *file; /* NULL: the fleet of the settings */
    uint64_t *times; /* [node][forward, backward][layer], one more than n_nodes */
    rk_layer_figures_t measured;
    rk_plan_t *plan;
} self_t;

static void s_free (self_t *self)
{
    rk_plan_destroy (&self->plan);
    rk_model_info_destroy (&self->info);
    rk_data_close (&self->data);
    rk_model_destroy (&self->model);
    rk_fleetfile_destroy (&self->file);
    rk_layer_figures_clear (&self->measured);
    free (self->nodes);
    free (self->times);
    free (self);
}

/* A virtual node of the settings, or this machine as one node. */
static void s_declare (self_t *self, uint32_t i, const rk_host_t *host, rk_profile_t *node)
{
    const rk_fleet_node_t *declared = &self->settings.fleet[i];
    const bool virtual = self->settings.n_fleet > 0;
    node->host = host->id;
    node->cores = host->cores;
    node->speed_ppm = virtual ? (uint32_t) (declared->speed * 1e6 + 0.5) : 1000000;
    node->team_ppm = self->measured.team_ppm;
    node->crowd_ppm = self->measured.crowd_ppm;
    node->dispatch_ns = self->measured.dispatch_ns;
    node->feed_ns = self->measured.feed_ns;
    node->copy_bytes_per_s = self->measured.copy_bytes_per_s;
    node->ram_bytes = virtual && declared->ram_mb ? declared->ram_mb << 20 : host->ram_bytes / self->n_nodes;
    snprintf (node->name, sizeof node->name, "%s", virtual ? declared->name : "this-machine");
}

/* A machine of the fleet file; nodes of one host come together. */
static void s_machine (const self_t *self, uint32_t i, rk_profile_t *node)
{
    const rk_fleetfile_node_t *given = &self->file->nodes[i];
    node->host = i;
    for (uint32_t j = 0; *given->host && j < i; j++)
        if (!strcmp (self->file->nodes[j].host, given->host)) {
            node->host = j;
            break;
        }
    node->cores = given->cores;
    node->speed_ppm = 1000000;
    node->dispatch_ns = (uint64_t) ((double) self->measured.dispatch_ns / given->speed);
    node->feed_ns = (uint64_t) ((double) self->measured.feed_ns / given->speed);
    node->copy_bytes_per_s = (uint64_t) ((double) self->measured.copy_bytes_per_s * given->speed);
    node->ram_bytes = given->ram_mb << 20;
    snprintf (node->name, sizeof node->name, "%s", given->name);
}

/* The speeds of a fleet file are multiples of this machine's with all of its cores; those of virtual nodes are parts of one's. */
static void s_fill_times (self_t *self, uint32_t i, uint64_t *times)
{
    const size_t per_node = 2 * self->info->n_layers;
    const double speed = self->file ? self->file->nodes[i].speed * RK_ALONE_PPM / self->measured.team_ppm : self->nodes[i].speed_ppm / 1e6;
    for (size_t l = 0; l < per_node; l++)
        times[l] = (uint64_t) ((double) self->measured.times[l] / (speed > 0 ? speed : 1e-6)) + 1;
}

/* All nodes, with the figures of the model measured here. */
static rk_err_t s_nodes (self_t *self, rk_error_t *err)
{
    rk_host_t host;
    const size_t n_layers = self->info->n_layers, per_node = 2 * n_layers;
    rk_host_look (&host);
    self->n_nodes = self->file ? self->file->n_nodes : self->settings.n_fleet ? self->settings.n_fleet : 1;
    self->times = calloc ((self->n_nodes + 1) * per_node, sizeof *self->times);
    self->nodes = calloc (self->n_nodes + 1, sizeof *self->nodes);
    if (!self->times || !self->nodes)
        return rk_error_set (err, RK_ENOMEM, "no memory for the profiles of %u nodes", self->n_nodes);
    rk_err_t code = rk_profile_layers (&self->measured, self->model, &self->settings, BUDGET_NS, rk_profile_progress (), err);
    for (uint32_t i = 0; i < self->n_nodes && !code; i++) {
        uint64_t *times = self->times + i * per_node;
        self->nodes[i] = (rk_profile_t){.id = i, .gemm_mflops = 1, .forward_ns = times, .backward_ns = times + n_layers};
        if (self->file)
            s_machine (self, i, &self->nodes[i]);
        else
            s_declare (self, i, &host, &self->nodes[i]);
        s_fill_times (self, i, times);
    }
    if (!code)
        rk_profiles_settle (self->nodes, self->n_nodes, (uint32_t) n_layers);
    return code;
}

static rk_fleet_t s_fleet (const self_t *self)
{
    return (rk_fleet_t){.nodes = self->nodes, .n_nodes = self->n_nodes,
                        .link_bytes_per_s = self->file ? self->file->bytes_per_s : NULL,
                        .link_rtt_ns = self->file ? self->file->rtt_ns : NULL};
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
    const rk_fleet_t fleet = s_fleet (self);
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
/* The same fleet with its strongest node twice; links of the new one are not known. */
static void s_print_one_more (self_t *self, const rk_score_t *score)
{
    if (!self->nodes || self->n_nodes >= RK_PLAN_MAX_NODES || (self->file && self->file->bytes_per_s))
        return;
    uint32_t best = 0;
    for (uint32_t i = 1; i < self->n_nodes; i++)
        if (self->nodes[i].forward_ns[0] + self->nodes[i].backward_ns[0] < self->nodes[best].forward_ns[0] + self->nodes[best].backward_ns[0])
            best = i;
    rk_profile_t *more = &self->nodes[self->n_nodes];
    *more = self->nodes[best];
    more->id = self->nodes[self->n_nodes - 1].id + 1;
    more->host = self->file ? UINT64_MAX : more->host;
    uint64_t *times = self->times + (size_t) self->n_nodes * 2 * self->info->n_layers;
    memcpy (times, more->forward_ns, self->info->n_layers * sizeof *times);
    memcpy (times + self->info->n_layers, more->backward_ns, self->info->n_layers * sizeof *times);
    more->forward_ns = times;
    more->backward_ns = times + self->info->n_layers;
    rk_profiles_settle (self->nodes, self->n_nodes + 1, self->info->n_layers);
    const rk_fleet_t fleet = {.nodes = self->nodes, .n_nodes = self->n_nodes + 1};
    rk_plan_t *plan = NULL;
    rk_score_t other;
    if (rk_plan_make (&plan, VIEW, &fleet, self->info, &self->settings, self->plan->kernels, NULL))
        return;
    rk_plan_score (plan, &other);
    printf ("one more like %s: %.0f samples/s (%+.0f %%)\n", self->nodes[best].name, (double) other.samples_per_1000s / 1000,
            100.0 * ((double) other.samples_per_1000s / (double) (score->samples_per_1000s ? score->samples_per_1000s : 1) - 1));
    rk_plan_destroy (&plan);
}

/* With the plan's own figures, under virtual time. A plan whose rounds are too long to simulate has no such figures. */
static rk_err_t s_simulate (self_t *self, rk_plan_view_t *view, rk_simulated_t *out, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    const uint64_t every = rk_score_every (&plan->settings, plan->minibatches_per_pass, plan->n_clusters);
    rk_simulation_t in = {.plan = plan, .rounds = rk_simulated_rounds (plan, every), .seed = plan->settings.run_seed, .straggler = RK_NO_NODE};
    if (in.rounds == 0)
        return RK_OK;
    rk_simulated_stage_t *stages = calloc (plan->n_stages, sizeof *stages);
    if (!stages)
        return rk_error_set (err, RK_ENOMEM, "no memory to simulate %u stages", plan->n_stages);
    rk_simulated_costs (plan, view->fleet, self->info, stages);
    in.stages = stages;
    rk_err_t code = rk_simulate (&in, out, err);
    free (stages);
    if (!code) {
        view->simulated = out;
        view->simulated_rounds = in.rounds;
    }
    return code;
}

static rk_err_t s_show (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    const rk_fleet_t fleet = s_fleet (self);
    const char *svg = rk_args_get (args, "svg");
    rk_plan_view_t view = {.plan = self->plan, .model = self->model, .fleet = self->nodes ? &fleet : NULL};
    rk_simulated_t simulated = {0};
    rk_score_t score;
    rk_err_t code = s_simulate (self, &view, &simulated, err);
    if (!code && svg)
        code = rk_plan_write_svg (svg, &view, err);
    if (!code && rk_args_has (args, "json"))
        code = rk_planfile_print (self->plan, self->model, view.simulated, view.simulated_rounds, err);
    else if (!code) {
        rk_plan_print (&view);
        rk_plan_score (self->plan, &score);
        s_print_one_more (self, &score);
    }
    free (simulated.idle_ppm);
    return code;
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
    const char *fleet = rk_args_get (args, "fleet");
    if (!code && fleet) {
        code = rk_fleetfile_read (&self->file, fleet, err);
        self->settings.fleet_given = true;
    }
    if (!code)
        code = rk_command_check_names (&self->settings, err);
    *usage = code != RK_OK;
    if (code)
        return code;
    code = *self->settings.run_plan ? s_read (self, self->settings.run_plan, err) : s_make (self, err);
    *usage = self->file && code == RK_EPLAN; /* the fleet that was given is at fault */
    return code;
}

int rk_command_plan (const rk_args_t *args)
{
    rk_error_t err = {0};
    bool usage = false;
    self_t *self = calloc (1, sizeof *self);
    rk_err_t code = self ? s_plan (self, args, &usage, &err) : rk_error_set (&err, RK_ENOMEM, "out of memory");
    if (!code)
        code = s_show (self, args, &err);
    if (self)
        s_free (self);
    if (code)
        rk_program_fail (&err);
    return !code ? RK_EXIT_DONE : usage ? RK_EXIT_USAGE : RK_EXIT_FAILED;
}
