/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/profile_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>
#include <xxhash.h>

#include "actors/actor.h"
#include "actors/host.h"
#include "actors/profiler.h"
#include "compute/blas.h"
#include "messages/file.h"

#define VALID_S (30 * 86400)
#define MOST_PPM 1000000000
#define MOST_BESIDE_NS INT64_C (60000000000)
#define MOST_COPIED INT64_C (1000000000000)
#define KEY_SIZE 1024
#define PATH_SIZE 4096

void rk_layer_figures_clear (rk_layer_figures_t *figures)
{
    free (figures->times);
    *figures = (rk_layer_figures_t){0};
}

/* ---- what figures belong to */
static void s_key (const rk_model_t *model, const rk_settings_t *settings, char *key, size_t size)
{
    rk_host_t host;
    char cpu[128], shape[RK_MAX_DIMS * 24] = "";
    struct stat program = {0};
    rk_host_look (&host);
    rk_host_cpu (cpu, sizeof cpu);
    const rk_shape_t sample = rk_model_tensor_shape (model, 0);
    for (int d = 0, used = 0; d < sample.n_dims && used < (int) sizeof shape; d++)
        used += snprintf (shape + used, sizeof shape - (size_t) used, "%s%zu", d ? "x" : "", sample.dim[d]);
    if (stat ("/proc/self/exe", &program) != 0)
        program.st_size = 0;
    snprintf (key, size, "format=2 model=%s shape=%s classes=%zu layers=%d floats=%zu batch=%u optimizer=%s update_every=%u kernels=%s cores=%u "
              "threads=%u program=%lld.%lld cpu=%s",
              settings->model_name, shape, (size_t) rk_model_n_classes (model), rk_model_n_layers (model),
              (size_t) rk_model_flat_at (model, rk_model_n_layers (model)), settings->train_batch, settings->train_optimizer,
              settings->pipeline_update_every, rk_blas_kernels (), host.cores, settings->run_threads, (long long) program.st_size, (long long) program.st_mtime, cpu);
}

/* The folder, made if it has to be; "": none. */
static void s_folder (bool make, char *path, size_t size)
{
    const char *cache = getenv ("XDG_CACHE_HOME"), *home = getenv ("HOME");
    path[0] = '\0';
    if (cache && cache[0] == '/' && strlen (cache) < size / 2)
        snprintf (path, size, "%s", cache);
    else if (home && home[0] == '/' && strlen (home) < size / 2)
        snprintf (path, size, "%s/.cache", home);
    else
        return;
    if (make)
        mkdir (path, 0700); /* whether it worked shows when a file is made in it */
    strncat (path, "/rookery", size - strlen (path) - 1);
    if (make)
        mkdir (path, 0700);
}

static void s_path (const char *key, bool make, char *path, size_t size)
{
    s_folder (make, path, size);
    const size_t used = strlen (path);
    if (used)
        snprintf (path + used, size - used, "/profile-%016" PRIx64 ".json", (uint64_t) XXH64 (key, strlen (key), 0));
}

void rk_profile_cache_path (const rk_model_t *model, const rk_settings_t *settings, char *path, size_t size)
{
    char key[KEY_SIZE];
    s_key (model, settings, key, sizeof key);
    s_path (key, false, path, size);
}

/* ---- reading: all of it is right, or none of it is used */
static bool s_times (const json_t *list, json_int_t least, uint64_t *times, size_t n)
{
    if (json_array_size (list) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_int_t ns = json_integer_value (json_array_get (list, i));
        if (ns < least || ns > INT64_C (3600000000000))
            return false;
        times[i] = (uint64_t) ns;
    }
    return true;
}

static bool s_take (const json_t *root, const char *key, rk_layer_figures_t *figures)
{
    const char *its_key = json_string_value (json_object_get (root, "key"));
    const json_int_t measured = json_integer_value (json_object_get (root, "measured")), now = (json_int_t) time (NULL);
    const json_int_t mflops = json_integer_value (json_object_get (root, "gemm_mflops"));
    if (!its_key || strcmp (its_key, key) != 0 || measured > now || now - measured > VALID_S || mflops < 1)
        return false;
    const json_int_t team = json_integer_value (json_object_get (root, "team_ppm"));
    const json_int_t crowd = json_integer_value (json_object_get (root, "crowd_ppm"));
    const json_int_t dispatch = json_integer_value (json_object_get (root, "dispatch_ns"));
    const json_int_t feed = json_integer_value (json_object_get (root, "feed_ns"));
    const json_int_t copy = json_integer_value (json_object_get (root, "copy_bytes_per_s"));
    if (team < 1 || team > MOST_PPM || crowd < 1 || crowd > MOST_PPM)
        return false;
    if (dispatch < 1 || dispatch > MOST_BESIDE_NS || feed < 1 || feed > MOST_BESIDE_NS || copy < 1 || copy > MOST_COPIED)
        return false;
    figures->gemm_mflops = (uint64_t) mflops;
    figures->team_ppm = (uint32_t) team;
    figures->crowd_ppm = (uint32_t) crowd;
    figures->dispatch_ns = (uint64_t) dispatch;
    figures->feed_ns = (uint64_t) feed;
    figures->copy_bytes_per_s = (uint64_t) copy;
    return s_times (json_object_get (root, "forward_ns"), 1, figures->times, figures->n_layers) &&
           s_times (json_object_get (root, "backward_ns"), 1, figures->times + figures->n_layers, figures->n_layers) &&
           s_times (json_object_get (root, "step_ns"), 0, figures->steps, figures->n_layers);
}

static bool s_read (const char *path, const char *key, rk_layer_figures_t *figures)
{
    json_t *root = json_load_file (path, JSON_REJECT_DUPLICATES, NULL);
    const bool good = root && s_take (root, key, figures);
    json_decref (root);
    return good;
}

/* ---- writing */
static json_t *s_list (const uint64_t *times, size_t n)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < n; i++)
        json_array_append_new (list, json_integer ((json_int_t) times[i]));
    return list;
}

static void s_write (const char *path, const char *key, const rk_layer_figures_t *figures)
{
    json_t *root = json_pack ("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "key", key, "measured", (json_int_t) time (NULL), "gemm_mflops",
                              (json_int_t) figures->gemm_mflops, "team_ppm", (json_int_t) figures->team_ppm, "crowd_ppm",
                              (json_int_t) figures->crowd_ppm, "dispatch_ns", (json_int_t) figures->dispatch_ns, "feed_ns",
                              (json_int_t) figures->feed_ns, "copy_bytes_per_s", (json_int_t) figures->copy_bytes_per_s, "step_ns", s_list (figures->steps, figures->n_layers), "forward_ns", s_list (figures->times, figures->n_layers),
                              "backward_ns", s_list (figures->times + figures->n_layers, figures->n_layers));
    char *text = root ? json_dumps (root, JSON_INDENT (1)) : NULL;
    rk_file_t *file = NULL;
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = text ? rk_file_create (&file, path, &err) : RK_ENOMEM;
    if (!rc)
        rc = rk_file_write (file, text, strlen (text), &err);
    if (!rc)
        rc = rk_file_commit (&file, &err);
    if (rc)
        rk_log (RK_LOG_INFO, "NOT-KEPT", "%s", err.text);
    rk_file_discard (&file);
    free (text);
    json_decref (root);
}

/* ---- both */
rk_err_t rk_profile_model (rk_layer_figures_t *figures, const rk_model_t *model, const rk_settings_t *settings, int64_t budget_ns,
                           rk_cache_mode_t mode, void (*told) (int n_done, int n_layers, int64_t ns), rk_error_t *err)
{
    char key[KEY_SIZE], path[PATH_SIZE] = "";
    const size_t n = (size_t) rk_model_n_layers (model);
    *figures = (rk_layer_figures_t){.n_layers = n, .times = calloc (3 * n + 1, sizeof *figures->times)};
    if (!figures->times)
        return rk_error_set (err, RK_ENOMEM, "no memory for the times of %zu layers", n);
    figures->steps = figures->times + 2 * n;
    if (mode != RK_CACHE_OFF) {
        s_key (model, settings, key, sizeof key);
        s_path (key, true, path, sizeof path);
    }
    if (mode == RK_CACHE_USE && path[0] && s_read (path, key, figures)) {
        figures->kept = true;
        rk_log (RK_LOG_INFO, "PROFILE-KEPT", "file=%s", path);
        return RK_OK;
    }
    rk_layer_figures_clear (figures);
    rk_err_t rc = rk_profile_layers (figures, model, settings, budget_ns, told, err);
    if (rc)
        return rc;
    figures->gemm_mflops = rk_profile_gemm (model, settings->train_batch, budget_ns / 10);
    if (path[0])
        s_write (path, key, figures);
    return RK_OK;
}
