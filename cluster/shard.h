/* SPDX-License-Identifier: MPL-2.0
 * data.shard = fixed | dirichlet: which training samples are a replica's own. Minibatch j of a pass (0 .. P - 1) is
 * number j / C of replica j % C, so that all counts are those of leased minibatches: no sample is dropped or
 * repeated. There are as many shards as the run had replicas at first (rk_plan_t.n_shards); when it has fewer, shard s
 * is inherited by cluster s % C. A replica's shard is as large as its minibatches, drawn once from the seed (fixed: at random;
 * dirichlet: by labels, class shares of each replica ~ Dir (alpha)), and shuffled anew in every pass.
 * Pure; the same answer on every node. thread: any, a shard is const once made.                             */
#ifndef RK_CLUSTER_SHARD_H
#define RK_CLUSTER_SHARD_H
#include "cluster/plan.h"
#include "compute/data.h"

typedef struct rk_shard rk_shard_t;

/* Whether minibatches belong to replicas. */
bool rk_shard_is_on (const rk_settings_t *settings);
uint32_t rk_shard_count (const rk_plan_t *plan);
/* The shard of minibatch f, and the cluster that trains it. */
uint32_t rk_shard_of (const rk_plan_t *plan, uint64_t f);
uint32_t rk_shard_owner (const rk_plan_t *plan, uint64_t f);

/* data: borrowed for the shard's life. errors: RK_ENOMEM, RK_EINVAL (dirichlet with labels that are no class).  */
rk_err_t rk_shard_new (rk_shard_t **shard_p, const rk_plan_t *plan, uint32_t replica, const rk_data_t *data, rk_error_t *err) RK_MUST_CHECK;
void rk_shard_destroy (rk_shard_t **shard_p);
uint64_t rk_shard_n (const rk_shard_t *shard); /* samples */
/* Sample number k of minibatch f, which is this replica's. */
size_t rk_shard_sample (const rk_shard_t *shard, uint64_t f, uint64_t k);
/* Minibatch f, as rk_data_batch gives them. Returns its samples; 0: not this replica's. */
size_t rk_shard_batch (const rk_shard_t *shard, uint64_t f, float *x, void *labels);

#endif
