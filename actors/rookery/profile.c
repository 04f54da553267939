/* SPDX-License-Identifier: MPL-2.0
 * rookery profile: what this machine can do for a model; or, with --listen or --join, a whole fleet.      */
#include "actors/rookery/profile.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "actors/find.h"
#include "actors/host.h"
#include "actors/node.h"
#include "actors/profiler.h"
#include "actors/rookery/commands.h"
#include "actors/training.h"
#include "compute/blas.h"

#define BUDGET_NS (1500 * INT64_C (1000000)) /* as a node's own profiler */
#define DISC_NS (1000 * INT64_C (1000000))
#define PRODUCT_NS (50 * INT64_C (1000000))
#define MOST_PRODUCTS 8
#define PATIENCE_NS (500 * INT64_C (1000000))
#define MOST_LINES 40 /* layers printed for people; the longest ones */

/* ---- this machine */
typedef struct {
    rk_settings_t settings;
    rk_model_t *model;
    rk_data_t *data;
    rk_host_t host;
    char cpu[128], features[160];
    uint64_t ram_total, disc;
    rk_layer_figures_t layers;
    rk_product_t products[MOST_PRODUCTS];
    uint64_t mflops[MOST_PRODUCTS];
    size_t n_products;
} self_t;

static void s_free (self_t *self)
{
    rk_layer_figures_clear (&self->layers);
    rk_data_close (&self->data);
    rk_model_destroy (&self->model);
    free (self);
}

static rk_err_t s_open (self_t *self, rk_error_t *err)
{
    const rk_data_options_t options = rk_data_options_of (&self->settings);
    rk_err_t code = rk_blas_init (self->settings.run_precision == RK_PRECISION_BF16 ? "bf16" : "auto", err);
    if (!code)
        code = rk_data_open (&self->data, self->settings.data_name, &options, err);
    if (!code)
        code = rk_model_by_name (&self->model, self->settings.model_name, rk_data_shape (self->data),
                                 rk_data_n_classes (self->data), err);
    return code;
}

/* Where runs go, as far as that is there already. */
static const char *s_disc (const self_t *self)
{
    struct stat info;
    if (*self->settings.run_dir && stat (self->settings.run_dir, &info) == 0 && S_ISDIR (info.st_mode))
        return self->settings.run_dir;
    return stat ("runs", &info) == 0 && S_ISDIR (info.st_mode) ? "runs" : ".";
}

/* For somebody who waits at a terminal. */
static void s_progress (int n_done, int n_layers, int64_t ns)
{
    if (ns < PATIENCE_NS)
        return;
    if (n_done < n_layers)
        fprintf (stderr, "\rmeasured %d of %d layers", n_done, n_layers);
    else
        fprintf (stderr, "\r\033[K");
    fflush (stderr);
}

rk_profile_told_fn *rk_profile_progress (void)
{
    return isatty (STDERR_FILENO) ? s_progress : NULL;
}

static rk_err_t s_measure (self_t *self, bool fresh, rk_error_t *err)
{
    rk_host_look (&self->host);
    rk_host_cpu (self->cpu, sizeof self->cpu);
    rk_host_features (self->features, sizeof self->features);
    self->ram_total = rk_host_ram_total ();
    self->n_products = rk_profile_products (self->model, self->settings.train_batch, self->products, MOST_PRODUCTS);
    for (size_t i = 0; i < self->n_products; i++)
        self->mflops[i] = rk_profile_product (&self->products[i], PRODUCT_NS);
    rk_err_t code = rk_host_disc_rate (s_disc (self), DISC_NS, &self->disc, err);
    if (code)
        return code;
    return rk_profile_model (&self->layers, self->model, &self->settings, BUDGET_NS, fresh ? RK_CACHE_FRESH : RK_CACHE_USE,
                             rk_profile_progress (), err);
}

static uint64_t s_sum (const uint64_t *times, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += times[i];
    return sum;
}

/* ---- for people */
static void s_print_layer (const self_t *self, size_t l, double whole)
{
    const uint64_t *forward = self->layers.times, *backward = forward + self->layers.n_layers;
    printf ("  %-34.34s %10.3f %10.3f %8.1f %%\n", rk_model_layer_name (self->model, (int) l), (double) forward[l] / 1e6,
            (double) backward[l] / 1e6, 100 * (double) (forward[l] + backward[l]) / whole);
}

/* In a long model only layers that matter, in the model's order. */
static void s_print_layers (const self_t *self)
{
    const size_t n = self->layers.n_layers;
    const uint64_t *forward = self->layers.times, *backward = forward + n;
    const double whole = (double) s_sum (self->layers.times, 2 * n);
    double least = 0;
    size_t shown = n, others = 0;
    for (; shown > MOST_LINES; least = least > 0 ? 1.3 * least : whole / 1000)
        for (size_t l = shown = 0; l < n; l++)
            shown += (double) (forward[l] + backward[l]) >= (least > 0 ? 1.3 * least : whole / 1000);
    printf ("\n  %-34s %10s %10s %10s\n", "layer", "forward ms", "back ms", "share");
    uint64_t rest = 0;
    for (size_t l = 0; l < n; l++)
        if ((double) (forward[l] + backward[l]) >= least)
            s_print_layer (self, l, whole);
        else {
            others++;
            rest += forward[l] + backward[l];
        }
    if (others)
        printf ("  %zu other layers %51.1f %%\n", others, 100 * (double) rest / whole);
    const double seconds = whole / 1e9;
    printf ("  %-34s %10s %10.3f %8.1f %%\n", "of it the optimiser's step", "", (double) s_sum (self->layers.steps, n) / 1e6,
            100 * (double) s_sum (self->layers.steps, n) / whole);
    printf ("  %-34s %10.3f %10.3f  %.0f samples/s\n", "all, on one core", (double) s_sum (forward, n) / 1e6,
            (double) s_sum (backward, n) / 1e6, (double) self->settings.train_batch / seconds);
    if (self->host.cores > 1)
        printf ("  %u cores: %.2f times as fast together; one each takes %.2f times as long\n", self->host.cores, 1e6 / self->layers.team_ppm,
                self->layers.crowd_ppm / 1e6);
    if (self->layers.dispatch_ns)
        printf ("  beside layers a minibatch takes %.3f ms of a stage,\n    %.3f ms of other actors; memory copies %.1f GB/s\n",
                (double) self->layers.dispatch_ns / 1e6, (double) self->layers.feed_ns / 1e6, (double) self->layers.copy_bytes_per_s / 1e9);
}

static void s_print (const self_t *self)
{
    char rate[32];
    rk_profile_rate_text (self->disc, rate, sizeof rate);
    printf ("processor  %.60s, %u core%s to use\n", self->cpu, self->host.cores, self->host.cores == 1 ? "" : "s");
    printf ("features   %.68s\n", self->features);
    printf ("kernels    %s; with factors rounded to bfloat16: %s\n", rk_blas_best (false), rk_blas_best (true));
    printf ("memory     %.1f GB free of %.1f GB\n", (double) self->host.ram_bytes / 1e9, (double) self->ram_total / 1e9);
    printf ("disc       %s into %s, flushed\n", rate, s_disc (self));
    printf ("\n%s on %s, batch %u%s\n\n", self->settings.model_name, self->settings.data_name, self->settings.train_batch,
            self->layers.kept ? " (layer times of an earlier run; --fresh measures again)" : "");
    printf ("  %-34s %10s\n", "product (m x k) (k x n)", "GFLOP/s");
    for (size_t i = 0; i < self->n_products; i++) {
        char shape[64];
        snprintf (shape, sizeof shape, "(%zu x %zu) (%zu x %zu)", self->products[i].m, self->products[i].k, self->products[i].k,
                  self->products[i].n);
        printf ("  %-34s %10.1f\n", shape, (double) self->mflops[i] / 1e3);
    }
    s_print_layers (self);
}

/* ---- for programs */
static json_t *s_layers_json (const self_t *self)
{
    json_t *list = json_array ();
    const size_t n = self->layers.n_layers;
    for (size_t l = 0; l < n; l++)
        json_array_append_new (list, json_pack ("{s:s,s:I,s:I,s:I}", "name", rk_model_layer_name (self->model, (int) l), "forward_ns",
                                                (json_int_t) self->layers.times[l], "backward_ns",
                                                (json_int_t) self->layers.times[n + l], "step_ns", (json_int_t) self->layers.steps[l]));
    return list;
}

static json_t *s_products_json (const self_t *self)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < self->n_products; i++)
        json_array_append_new (list, json_pack ("{s:I,s:I,s:I,s:I}", "m", (json_int_t) self->products[i].m, "n",
                                                (json_int_t) self->products[i].n, "k", (json_int_t) self->products[i].k,
                                                "mflops", (json_int_t) self->mflops[i]));
    return list;
}

static rk_err_t s_print_json (const self_t *self, rk_error_t *err)
{
    json_t *root = json_pack ("{s:s,s:s,s:I,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "event", "machine", "cpu", self->cpu,
                              "cores", (json_int_t) self->host.cores, "features", self->features, "kernels",
                              rk_blas_best (false), "kernels_bf16", rk_blas_best (true), "ram_free_bytes",
                              (json_int_t) self->host.ram_bytes, "ram_total_bytes", (json_int_t) self->ram_total,
                              "disc_bytes_per_s", (json_int_t) self->disc, "model", self->settings.model_name, "data",
                              self->settings.data_name, "batch", (json_int_t) self->settings.train_batch, "kept",
                              (int) self->layers.kept, "team_ppm", (json_int_t) self->layers.team_ppm, "crowd_ppm", (json_int_t) self->layers.crowd_ppm,
                              "dispatch_ns", (json_int_t) self->layers.dispatch_ns, "feed_ns", (json_int_t) self->layers.feed_ns, "copy_bytes_per_s",
                              (json_int_t) self->layers.copy_bytes_per_s, "products", s_products_json (self), "layers", s_layers_json (self));
    char *text = root ? json_dumps (root, JSON_COMPACT) : NULL;
    if (text)
        puts (text);
    const rk_err_t code = text ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for the text of %zu layers", self->layers.n_layers);
    free (text);
    json_decref (root);
    return code;
}

static rk_err_t s_machine (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = s_open (self, err);
    if (!code)
        code = s_measure (self, rk_args_has (args, "fresh"), err);
    if (!code && rk_args_has (args, "json"))
        return s_print_json (self, err);
    if (!code)
        s_print (self);
    return code;
}

/* ---- a fleet */
static rk_err_t s_tell_fleet (rk_profiles_t *table, const rk_args_t *args, rk_error_t *err)
{
    rk_fleet_t fleet;
    const char *svg = rk_args_get (args, "svg");
    rk_err_t code = rk_profiles_fleet (table, &fleet, err);
    if (!code && rk_args_has (args, "json"))
        code = rk_profile_print_json (table, &fleet, err);
    else if (!code)
        rk_profile_print_fleet (&fleet, table->n_layers);
    if (!code && svg)
        code = rk_profile_write_svg (svg, &fleet, table->n_layers, err);
    return code;
}

static rk_err_t s_fleet (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    uint64_t n_nodes = 0;
    rk_node_config_t config = {.kind = RK_RUN_PROFILE, .settings = self->settings, .join = rk_args_get (args, "join"),
                               .name = rk_args_get (args, "name"), .speed = 1, .insecure = rk_args_count (args, "insecure"), .keys = rk_args_get (args, "keys"),
                               .quiet = rk_args_has (args, "quiet"),
                               .cache = rk_args_has (args, "fresh") ? RK_CACHE_FRESH : RK_CACHE_USE};
    rk_err_t code = rk_args_number (args, "nodes", 1, RK_MAX_FLEET, &n_nodes, err);
    if (!code && !config.join && (!n_nodes || !*self->settings.net_listen))
        code = rk_error_set (err, RK_EINVAL, n_nodes ? "--nodes needs --listen ENDPOINT, where they can join"
                                                     : "--listen needs --nodes N: how many processes will join");
    if (!code && config.join && (n_nodes || *self->settings.net_listen))
        code = rk_error_set (err, RK_EINVAL, "--join is for one that joins, --listen and --nodes for the one that waits for them");
    if (code)
        return code;
    char leader[RK_FIND_TEXT];
    const rk_find_t find = {.join = config.join, .keys = config.keys, .plain = config.insecure, .interrupted = args->interrupted};
    if (config.join && (code = rk_find_leader (&find, leader, err)))
        return code;
    if (config.join)
        config.join = leader;
    config.beacon = rk_args_has (args, "beacon");
    config.n_processes = (uint32_t) n_nodes;
    config.listen = config.join ? NULL : self->settings.net_listen;
    rk_node_result_t result = {0};
    code = rk_node_run (&config, args->interrupted, &result, err);
    if (!code)
        code = s_tell_fleet (&result.profiles, args, err);
    rk_profiles_clear (&result.profiles);
    return code;
}

int rk_command_profile (const rk_args_t *args)
{
    rk_error_t err = {0};
    self_t *self = calloc (1, sizeof *self);
    rk_err_t code = self ? RK_OK : rk_error_set (&err, RK_ENOMEM, "out of memory");
    if (!code)
        code = rk_command_settings (&self->settings, args, args->n_words ? args->words[0] : NULL, &err);
    if (!code)
        code = rk_command_check_names (&self->settings, &err);
    bool usage = code != RK_OK;
    if (!code && (rk_args_has (args, "join") || rk_args_has (args, "nodes") || *self->settings.net_listen))
        code = s_fleet (self, args, &err);
    else if (!code && rk_args_has (args, "svg"))
        code = rk_error_set (&err, RK_EINVAL, "--svg draws a fleet: it goes with --join or --listen");
    else if (!code)
        code = s_machine (self, args, &err);
    if (self)
        s_free (self);
    if (code)
        return usage || code == RK_EINVAL ? rk_program_fail (&err), RK_EXIT_USAGE : rk_program_fail_run (&err);
    return RK_EXIT_DONE;
}
