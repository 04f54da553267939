/* SPDX-License-Identifier: MPL-2.0
 * Checkpoint files of a run folder: names, the latest one, how many are kept, and the digest of parameters.
 * thread: any.                                                                                           */
#ifndef RK_ACTORS_CHECKPOINT_H
#define RK_ACTORS_CHECKPOINT_H
#include "cluster/plan.h"
#include "compute/optim.h"

#define RK_CHECKPOINT_PATH (RK_SETTINGS_TEXT + 64)
#define RK_CHECKPOINT_MAX_PLANES (1 + RK_OPTIM_MAX_SLOTS) /* the mean and the optimiser's vectors */

/* RUN_DIR/checkpoint-00000012.safetensors: after `rounds` committed rounds. */
void rk_checkpoint_path (const char *run_dir, uint64_t rounds, char path[RK_CHECKPOINT_PATH]);
/* The one with the most rounds. errors: RK_EIO (no such folder), RK_ENOTFOUND (none in it). */
rk_err_t rk_checkpoint_latest (const char *run_dir, char path[RK_CHECKPOINT_PATH], rk_error_t *err) RK_MUST_CHECK;
/* Removes all but the `keep` latest. */
void rk_checkpoint_prune (const char *run_dir, uint32_t keep);

/* xxh64 over the little-endian xxh64 of each trainable tensor, in flat order: it does not depend on cuts,
 * padding or BatchNorm statistics.                                                                       */
uint64_t rk_checkpoint_digest (const rk_model_t *model, const float *flat);

/* Everything of one moment. planes[0] is the mean, whole flat vector; planes[1 ..] the optimiser state. */
typedef struct {
    const rk_plan_t *plan;
    const rk_model_t *model;
    const float *const *planes;
    uint32_t n_planes;
    uint64_t round;  /* the committed round */
    uint64_t steps;  /* optimiser steps taken by cluster 0 */
    uint64_t digest; /* rk_checkpoint_digest of planes[0] */
} rk_checkpoint_t;
/* Atomic. errors: RK_EIO, RK_ENOMEM. */
rk_err_t rk_checkpoint_write (const rk_checkpoint_t *c, const char *path, rk_error_t *err) RK_MUST_CHECK;

#endif
