/* SPDX-License-Identifier: MPL-2.0
 * Checkpoint files of a run folder: names, the latest one, how many are kept, and the digest of parameters.
 * thread: any.                                                                                           */
#ifndef RK_ACTORS_CHECKPOINT_H
#define RK_ACTORS_CHECKPOINT_H
#include "cluster/handover.h"
#include "compute/optim.h"

#define RK_CHECKPOINT_PATH (RK_SETTINGS_TEXT + 64)

/* RUN_DIR/checkpoint-00000012.safetensors: after `rounds` committed rounds. */
void rk_checkpoint_path (const char *run_dir, uint64_t rounds, char path[RK_CHECKPOINT_PATH]);
/* The one with the most rounds that is whole; damaged ones are passed over with a warning that names them. errors: RK_EIO
 * (no such folder), RK_ENOTFOUND (none in it), RK_EFORMAT (none of them can be read).                      */
rk_err_t rk_checkpoint_latest (const char *run_dir, char path[RK_CHECKPOINT_PATH], rk_error_t *err) RK_MUST_CHECK;
/* Removes all but the `keep` latest. */
void rk_checkpoint_prune (const char *run_dir, uint32_t keep);

/* xxh64 over the little-endian xxh64 of each trainable tensor, in flat order: it does not depend on cuts,
 * padding or BatchNorm statistics.                                                                       */
typedef struct rk_digest rk_digest_t;
rk_digest_t *rk_digest_new (void); /* NULL: no memory */
void rk_digest_add (rk_digest_t *digest, const float *tensor, size_t n); /* each trainable tensor, in flat order */
uint64_t rk_digest_end (rk_digest_t *digest);                           /* frees it; NULL is fine */
uint64_t rk_checkpoint_digest (const rk_model_t *model, const float *flat);

/* ---- what a checkpoint holds (docs/checkpoints.md): the mean under the names of the layers; of every replica, under
 * replica.<c>.<tensor>.<plane>, the planes that cluster/handover.h names, its own parameters only where replicas
 * differ; and as metadata: settings, plan, cursor, steps, control records.                                */
#define RK_CHECKPOINT_FORMAT "rookery-2"
#define RK_CHECKPOINT_MEAN UINT32_MAX /* in place of a replica: the mean */

typedef struct {
    uint64_t steps, n_good; /* of the optimiser; since the loss scale last changed */
    float loss_scale;
    bool frozen;
} rk_checkpoint_replica_t;

typedef struct {
    const rk_plan_t *plan;
    const rk_model_t *model;
    uint64_t rounds;     /* committed */
    uint32_t n_planes;
    rk_plane_t planes[RK_N_PLANES];
    bool apart;          /* replicas differ: their parameters are there too */
    const char *control; /* records so far; "": none */
} rk_checkpoint_facts_t;

/* ---- writing: actors/checkpoint_draft.c. Parts come in any order, straight to the file. */
typedef struct rk_checkpoint_draft rk_checkpoint_draft_t;
/* errors: RK_EIO (a full disc among them), RK_ENOMEM. */
rk_err_t rk_checkpoint_draft_new (rk_checkpoint_draft_t **draft_p, const rk_checkpoint_facts_t *facts, const char *path,
                                  rk_error_t *err) RK_MUST_CHECK;
/* Floats [lo, lo + n) of the flat vector; what the file has no place for (padding, statistics of the optimiser) is left
 * out. replica: RK_CHECKPOINT_MEAN with RK_PLANE_PARAMS: the mean. floats at any address. errors: RK_EIO. */
rk_err_t rk_checkpoint_draft_put (rk_checkpoint_draft_t *draft, uint32_t replica, rk_plane_t plane, uint64_t lo, uint64_t n,
                                  const void *floats, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_checkpoint_draft_tell (rk_checkpoint_draft_t *draft, uint32_t replica, const rk_checkpoint_replica_t *numbers,
                                   rk_error_t *err) RK_MUST_CHECK;
/* average: the mean has not been put; it is formed from the replicas' parameters. digest: of the mean. errors: RK_EIO; the
 * files that were there are then still there.                                                              */
rk_err_t rk_checkpoint_draft_commit (rk_checkpoint_draft_t **draft_p, bool average, uint64_t *digest, rk_error_t *err) RK_MUST_CHECK;
void rk_checkpoint_draft_discard (rk_checkpoint_draft_t **draft_p);

/* ---- reading: actors/checkpoint_read.c */
typedef struct {
    char path[RK_CHECKPOINT_PATH];
    rk_settings_t settings;
    rk_plan_t *plan;
    uint64_t rounds, next_f; /* committed; the first minibatch that is not in them */
    uint32_t n_replicas, n_planes;
    rk_plane_t planes[RK_N_PLANES];
    bool apart;
    rk_checkpoint_replica_t replicas[RK_MAX_CLUSTERS];
    const char *control;     /* lives as long as the checkpoint */
    struct rk_st_file *file;
} rk_checkpoint_t;
/* Opens and validates: hash, every key, plan, cursor. errors: RK_EIO, RK_EFORMAT (the text names the file and what is
 * wrong), RK_EUNSUPPORTED (an older format), RK_ENOMEM.                                                   */
rk_err_t rk_checkpoint_open (rk_checkpoint_t *c, const char *path, rk_error_t *err) RK_MUST_CHECK;
void rk_checkpoint_close (rk_checkpoint_t *c);
/* Whether every tensor of the model and of every replica is there with its size. errors: RK_ESHAPE. */
rk_err_t rk_checkpoint_check (const rk_checkpoint_t *c, const rk_model_t *model, rk_error_t *err) RK_MUST_CHECK;
/* Floats [lo, lo + n) of one plane of a replica; zero where the file has none. A plane that was not saved: the mixture is
 * the parameters, others are zero. same: replicas are the file's, one by one; else parameters are the mean and the
 * optimiser's vectors those of replica `replica` modulo the file's.                                       */
void rk_checkpoint_take (const rk_checkpoint_t *c, const rk_model_t *model, bool same, uint32_t replica, rk_plane_t plane,
                         uint64_t lo, uint64_t n, float *floats);

#endif
