/* SPDX-License-Identifier: MPL-2.0
 * The objective, the only one: what all planners, re-planning and people compare plans by.
 *
 *   score = predicted samples/s x 1 / (1 + a x mean staleness + b x (C - 1) x H)
 *
 * with a = plan.staleness, b = plan.disagreement, C clusters and H minibatches of each in a round. A round takes
 *   overlapped: the longer of training (H x C minibatches at the clusters' rates) and averaging;
 *   drained:    training, one empty pipeline, and averaging, one after the other.
 * Dues decide between plans of nearly the same score, within what measuring errors are: up to 2 % for unlike
 * clusters, up to 2 % for nodes left out, up to 0.5 % for long chains. Integers only. Pure. thread: any.   */
#ifndef RK_CLUSTER_SCORE_H
#define RK_CLUSTER_SCORE_H
#include "cluster/plan.h"

typedef struct {
    /* in */
    uint32_t n_clusters, n_stages, longest; /* longest: stages of a cluster */
    uint32_t n_nodes;                       /* of the fleet */
    uint64_t rates, least, most;            /* nano-rates, hosts' cores shared: all clusters, the slowest, the fastest */
    uint64_t averaging_ns;                  /* of one round; 0 with one cluster */
    uint64_t fill_ns;                       /* from an empty pipeline to its first result, less one period */
    uint64_t staleness;                     /* updates that others made meanwhile, summed over all stages */
    /* out */
    uint64_t every;             /* H */
    uint64_t round_ns;
    uint64_t samples_per_1000s;
    uint64_t score;             /* samples per 1e6 s, times efficiency */
    uint64_t worth;             /* score less dues */
} rk_outlook_t;

/* minibatches_per_pass: of the whole run. */
void rk_outlook_judge (rk_outlook_t *outlook, const rk_settings_t *settings, uint64_t minibatches_per_pass);
/* H: average.every, or the clusters' share of a pass. */
uint64_t rk_score_every (const rk_settings_t *settings, uint64_t minibatches_per_pass, uint32_t n_clusters);
/* Updates between a forward and its backward at a stage, of a window of minibatches. */
uint64_t rk_score_staleness (const rk_settings_t *settings, uint32_t stage, uint32_t in_flight);
/* What one averaging of C replicas costs each: messages one after the other, and models sent, in millionths. */
typedef struct {
    uint64_t messages, models_ppm;
} rk_mixing_t;
rk_mixing_t rk_score_mixing (const rk_settings_t *settings, uint32_t n_clusters);

#endif
