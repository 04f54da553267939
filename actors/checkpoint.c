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

#include "actors/actor.h"
#include "messages/safetensors.h"

#define NAME "checkpoint-%08" PRIu64 ".safetensors"

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

/* All there are, fewest rounds first. owner: the caller frees. */
static rk_err_t s_list (const char *run_dir, uint64_t **rounds_p, size_t *n, rk_error_t *err)
{
    DIR *dir = opendir (run_dir);
    if (!dir)
        return rk_error_set (err, RK_EIO, "%s: %s", run_dir, strerror (errno));
    uint64_t *list = NULL, rounds;
    size_t room = 0;
    *n = 0;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir)) {
        if (!s_rounds (entry->d_name, &rounds))
            continue;
        uint64_t *more = *n == room ? realloc (list, (room = 2 * room + 16) * sizeof *list) : list;
        if (!more)
            break;
        list = more;
        list[(*n)++] = rounds;
    }
    closedir (dir);
    for (size_t i = 1; i < *n; i++) /* few */
        for (size_t j = i; j > 0 && list[j - 1] > list[j]; j--) {
            rounds = list[j];
            list[j] = list[j - 1];
            list[j - 1] = rounds;
        }
    *rounds_p = list;
    return RK_OK;
}

rk_err_t rk_checkpoint_latest (const char *run_dir, char path[RK_CHECKPOINT_PATH], rk_error_t *err)
{
    uint64_t *rounds = NULL;
    size_t n;
    rk_err_t code = s_list (run_dir, &rounds, &n, err);
    if (code == RK_OK && !n)
        code = rk_error_set (err, RK_ENOTFOUND, "%s: no checkpoint-*.safetensors in this folder", run_dir);
    for (size_t i = n; code == RK_OK && i-- > 0;) {
        rk_st_file_t *file = NULL;
        rk_error_t why = {RK_OK, ""};
        rk_checkpoint_path (run_dir, rounds[i], path);
        rk_err_t bad = rk_st_open (&file, path, &why);
        rk_st_close (&file);
        if (bad == RK_OK)
            break;
        rk_log (RK_LOG_WARNING, "CHECKPOINT-DAMAGED", "%s%s", why.text, i ? "; the one before it is taken" : "");
        if (i == 0)
            code = rk_error_set (err, RK_EFORMAT, "%s: none of its %zu checkpoints can be read: %.300s", run_dir, n, why.text);
    }
    free (rounds);
    return code;
}

void rk_checkpoint_prune (const char *run_dir, uint32_t keep)
{
    uint64_t *rounds = NULL;
    size_t n = 0;
    char path[RK_CHECKPOINT_PATH];
    if (s_list (run_dir, &rounds, &n, NULL) != RK_OK)
        return;
    for (size_t i = 0; i + keep < n; i++) {
        rk_checkpoint_path (run_dir, rounds[i], path);
        unlink (path);
    }
    free (rounds);
}

/* ---- the digest of parameters */
struct rk_digest {
    XXH64_state_t *state;
};

rk_digest_t *rk_digest_new (void)
{
    rk_digest_t *digest = calloc (1, sizeof *digest);
    if (digest)
        digest->state = XXH64_createState ();
    if (!digest || !digest->state) {
        free (digest);
        return NULL;
    }
    XXH64_reset (digest->state, 0);
    return digest;
}

void rk_digest_add (rk_digest_t *digest, const float *tensor, size_t n)
{
    uint64_t one = XXH64 (tensor, n * sizeof *tensor, 0);
    uint8_t bytes[8];
    for (int b = 0; b < 8; b++)
        bytes[b] = (uint8_t) (one >> (8 * b));
    XXH64_update (digest->state, bytes, sizeof bytes);
}

uint64_t rk_digest_end (rk_digest_t *digest)
{
    if (!digest)
        return 0;
    uint64_t sum = XXH64_digest (digest->state);
    XXH64_freeState (digest->state);
    free (digest);
    return sum;
}

uint64_t rk_checkpoint_digest (const rk_model_t *model, const float *flat)
{
    rk_digest_t *digest = rk_digest_new ();
    for (size_t i = 0; digest && i < rk_model_n_tensors (model); i++) {
        const rk_param_t *p = rk_model_param (model, i);
        if (p->trainable)
            rk_digest_add (digest, flat + p->offset, p->count);
    }
    return rk_digest_end (digest);
}
