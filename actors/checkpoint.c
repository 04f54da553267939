/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "cluster/lease.h"
#include "messages/safetensors.h"

#define NAME "checkpoint-%08" PRIu64 ".safetensors"
#define MAX_NAME 160 /* of a tensor in the file */

/* ---- names in a run folder */
void rk_checkpoint_path (const char *run_dir, uint64_t rounds, char path[RK_CHECKPOINT_PATH])
{
    snprintf (path, RK_CHECKPOINT_PATH, "%s/" NAME, run_dir, rounds);
}

/* Rounds in a file name, or false when it is not a checkpoint's. */
static bool s_rounds (const char *name, uint64_t *rounds)
{
    int used = 0;
    return sscanf (name, "checkpoint-%" SCNu64 ".safetensors%n", rounds, &used) == 1 && used && !name[used];
}

/* The smallest and largest rounds there are, and how many files. */
static rk_err_t s_list (const char *run_dir, uint64_t *least, uint64_t *most, uint32_t *n, rk_error_t *err)
{
    *n = 0;
    DIR *dir = opendir (run_dir);
    if (!dir)
        return rk_error_set (err, RK_EIO, "%s: %s", run_dir, strerror (errno));
    uint64_t rounds;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir))
        if (s_rounds (entry->d_name, &rounds)) {
            *least = !*n || rounds < *least ? rounds : *least;
            *most = !*n || rounds > *most ? rounds : *most;
            ++*n;
        }
    closedir (dir);
    return RK_OK;
}

rk_err_t rk_checkpoint_latest (const char *run_dir, char path[RK_CHECKPOINT_PATH], rk_error_t *err)
{
    uint64_t least = 0, most = 0;
    uint32_t n;
    rk_err_t code = s_list (run_dir, &least, &most, &n, err);
    if (code)
        return code;
    if (!n)
        return rk_error_set (err, RK_ENOTFOUND, "%s: no checkpoint-*.safetensors in this folder", run_dir);
    rk_checkpoint_path (run_dir, most, path);
    return RK_OK;
}

void rk_checkpoint_prune (const char *run_dir, uint32_t keep)
{
    uint64_t least = 0, most = 0;
    uint32_t n;
    char path[RK_CHECKPOINT_PATH];
    while (s_list (run_dir, &least, &most, &n, NULL) == RK_OK && n > keep) {
        rk_checkpoint_path (run_dir, least, path);
        if (unlink (path))
            return;
    }
}

uint64_t rk_checkpoint_digest (const rk_model_t *model, const float *flat)
{
    XXH64_state_t *state = XXH64_createState ();
    if (!state)
        return 0;
    XXH64_reset (state, 0);
    for (size_t i = 0; i < rk_model_n_tensors (model); i++) {
        const rk_param_t *p = rk_model_param (model, i);
        if (!p->trainable)
            continue;
        uint64_t one = XXH64 (flat + p->offset, p->count * sizeof *flat, 0);
        uint8_t bytes[8];
        for (int b = 0; b < 8; b++)
            bytes[b] = (uint8_t) (one >> (8 * b));
        XXH64_update (state, bytes, sizeof bytes);
    }
    uint64_t digest = XXH64_digest (state);
    XXH64_freeState (state);
    return digest;
}

/* ---- writing */

/* Tensors of one plane from `at` on: all of the mean, only trainable ones of optimiser state. */
static size_t s_add_plane (const rk_checkpoint_t *c, uint32_t plane, rk_st_tensor_t *tensors, char (*names)[MAX_NAME], size_t at)
{
    for (size_t i = 0; i < rk_model_n_tensors (c->model); i++) {
        const rk_param_t *p = rk_model_param (c->model, i);
        if (plane && !p->trainable)
            continue;
        if (plane) /* replica.<cluster>.<layer>.<name>: state of cluster 0 */
            snprintf (names[at], MAX_NAME, "replica.0.%s.state%u", p->name, plane - 1);
        else
            snprintf (names[at], MAX_NAME, "%s", p->name);
        rk_st_tensor_t *t = &tensors[at];
        *t = (rk_st_tensor_t){.name = names[at], .n_dims = p->shape.n_dims, .data = c->planes[plane] + p->offset, .count = p->count};
        for (int d = 0; d < p->shape.n_dims && d < 4; d++)
            t->dim[d] = p->shape.dim[d];
        at++;
    }
    return at;
}

#define N_META 11
typedef struct {
    char number[N_META][24];
    const char *pairs[2 * N_META];
    size_t n;
} s_meta_t;

static void s_text (s_meta_t *meta, const char *key, const char *value)
{
    meta->pairs[2 * meta->n] = key;
    meta->pairs[2 * meta->n++ + 1] = value;
}

static void s_number (s_meta_t *meta, const char *key, const char *format, uint64_t value)
{
    snprintf (meta->number[meta->n], sizeof meta->number[0], format, value);
    s_text (meta, key, meta->number[meta->n]);
}

static void s_fill_meta (const rk_checkpoint_t *c, const char *settings, s_meta_t *meta)
{
    uint64_t end = rk_round_cursor (c->plan, c->round + 1);
    s_text (meta, "format", "rookery-1");
    s_text (meta, "model", c->plan->settings.model_name);
    s_number (meta, "seed", "%" PRIu64, c->plan->settings.run_seed);
    s_number (meta, "rounds", "%" PRIu64, c->round + 1);
    s_number (meta, "pass", "%" PRIu64, end ? rk_pass_of (c->plan, end - 1) + 1 : 0);
    s_number (meta, "next_minibatch", "%" PRIu64, end);
    s_number (meta, "optimizer_steps", "%" PRIu64, c->steps);
    s_number (meta, "planes", "%" PRIu64, c->n_planes);
    s_number (meta, "plan_digest", "%016" PRIx64, c->plan->digest);
    s_number (meta, "params_digest", "%016" PRIx64, c->digest);
    s_text (meta, "settings", settings);
}

rk_err_t rk_checkpoint_write (const rk_checkpoint_t *c, const char *path, rk_error_t *err)
{
    size_t room = rk_model_n_tensors (c->model) * c->n_planes + 1;
    size_t size = rk_settings_write (&c->plan->settings, NULL, 0) + 1;
    rk_st_tensor_t *tensors = calloc (room, sizeof *tensors);
    char(*names)[MAX_NAME] = calloc (room, sizeof *names);
    char *settings = calloc (1, size);
    rk_err_t code;
    if (!tensors || !names || !settings) {
        code = rk_error_set (err, RK_ENOMEM, "%s: no memory for the list of %zu tensors", path, room);
    }
    else {
        s_meta_t meta = {.n = 0};
        size_t n = 0;
        rk_settings_write (&c->plan->settings, settings, size);
        s_fill_meta (c, settings, &meta);
        for (uint32_t plane = 0; plane < c->n_planes; plane++)
            n = s_add_plane (c, plane, tensors, names, n);
        code = rk_st_write (path, tensors, n, meta.pairs, meta.n, err);
    }
    free (settings);
    free (names);
    free (tensors);
    return code;
}
