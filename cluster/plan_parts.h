/* SPDX-License-Identifier: MPL-2.0
 * What the files that make plans share. Private to cluster/.                                            */
#ifndef RK_CLUSTER_PLAN_PARTS_H
#define RK_CLUSTER_PLAN_PARTS_H
#include "cluster/plan.h"

/* Stages of clusters as flat ranges: all that rings and segments depend on. */
typedef struct {
    rk_plan_ring_t *rings;
    rk_plan_segment_t *segments;
    uint32_t *owners; /* n_segments x n_clusters */
    uint32_t n_rings, n_segments;
} rk_ranges_t;

/* Rings and segments of plan->clusters and plan->stages by settings.plan_rings.
 * owner: the caller frees with rk_ranges_free. errors: RK_ENOMEM.                                        */
rk_err_t rk_ranges_derive (rk_ranges_t *out, const rk_plan_t *plan) RK_MUST_CHECK;
void rk_ranges_free (rk_ranges_t *ranges);

/* What is assumed of a link nobody measured: between nodes of one host, and between hosts (Gigabit Ethernet). */
#define RK_PLAN_LOCAL_RATE UINT64_C (2000000000)    /* bytes/s */
#define RK_PLAN_LOCAL_RTT_US UINT64_C (40)
#define RK_PLAN_UNMEASURED_RATE UINT64_C (117000000)
#define RK_PLAN_UNMEASURED_RTT_US UINT64_C (300)
#define RK_PLAN_MOST_RTT_US UINT64_C (100000000)
/* CPU time of handing bytes over, so that of two cuts with like loads the one with fewer bytes wins. */
#define RK_PLAN_COPY_RATE UINT64_C (2000000000)

/* A plan with zeroed arrays of the lengths in `sizes` (n_nodes, n_clusters, n_stages, n_rings, n_segments and
 * all scalars are copied from it), in one block. errors: RK_ENOMEM.                                      */
rk_err_t rk_plan_new (rk_plan_t **plan_p, const rk_plan_t *sizes) RK_MUST_CHECK;

/* From a plan with scalars, nodes, clusters and stages to a whole one: rings, segments, owners, digest.
 * The arrays of `half` are borrowed.                                                                     */
rk_err_t rk_plan_complete (rk_plan_t **plan_p, const rk_plan_t *half) RK_MUST_CHECK;

/* Scalars that follow from settings and model. errors: RK_EINVAL. */
rk_err_t rk_plan_start (rk_plan_t *half, uint64_t view, const rk_model_info_t *model, const rk_settings_t *settings,
                        rk_error_t *err) RK_MUST_CHECK;

/* errors: RK_EFORMAT. */
rk_err_t rk_plan_check_cursor (const rk_plan_t *plan, rk_error_t *err) RK_MUST_CHECK;

/* Bytes of the listing up to the digest, and the digest of a plan as it stands. */
uint64_t rk_plan_digest (const rk_plan_t *plan);

/* Predicted memory of a stage that holds layers [first, last) with in_flight minibatches out. */
uint64_t rk_stage_memory (const rk_model_info_t *model, const rk_settings_t *settings, uint32_t first, uint32_t last,
                          uint32_t in_flight, bool recompute);

/* Nano-rate of a minibatch every so many ns, within 1 .. RK_PLAN_MAX_RATE. */
static inline uint64_t rk_plan_rate (uint64_t ns)
{
    ns = ns < 10 ? 10 : ns;
    return ns < RK_PLAN_MAX_BUSY_NS ? RK_PLAN_MAX_BUSY_NS / ns : 1;
}

/* Lower the rates so that no host is planned beyond its cores (busy time x speed is its CPU time).        */
void rk_plan_cap_rates (rk_plan_t *plan);

#endif
