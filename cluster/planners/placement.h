/* SPDX-License-Identifier: MPL-2.0
 * Placement as in "Decentralized Training of Foundation Models in Heterogeneous Environments" (Yuan et al.,
 * NeurIPS 2022): P groups of D devices; a group holds one stage and averages it, a device of each group makes a
 * pipeline. Costs of one iteration:
 *   averaging: the most, over devices u, of sum over v of its group of 2 (latency + gradients / (D rate)),
 *   pipeline:  between two groups the perfect matching whose longest edge, latency + activations / rate, is least;
 *              the shortest path through all groups, there and back.
 * Sought by a memetic search: crossover of five places, repair, and cycles of moves that value a very fast link
 * more between stages than inside a group. Private to cluster/.                                           */
#ifndef RK_CLUSTER_PLANNERS_PLACEMENT_H
#define RK_CLUSTER_PLANNERS_PLACEMENT_H
#include <stdbool.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_PLACEMENT_MOST 256 /* devices */

typedef struct {
    uint32_t n, n_groups, group_size; /* n = n_groups x group_size */
    uint64_t *pipeline_ns, *average_ns; /* n x n, both symmetric: of an edge, of a pair */
    uint64_t seed, counter;
    uint64_t steps;                     /* work done */
} rk_placement_t;

/* latency_ns, bytes_per_s: n x n, the slower direction counts. errors: RK_ENOMEM, RK_EINVAL. */
rk_err_t rk_placement_open (rk_placement_t *p, uint32_t n_groups, uint32_t group_size, const uint64_t *latency_ns,
                            const uint64_t *bytes_per_s, uint64_t gradient_bytes, uint64_t activation_bytes, uint64_t seed,
                            rk_error_t *err) RK_MUST_CHECK;
void rk_placement_close (rk_placement_t *p);

/* ns per iteration of a placement, group_of[device]; path: groups in pipeline order, n_groups of them, or NULL. */
uint64_t rk_placement_cost (rk_placement_t *p, const uint8_t *group_of, uint8_t *path, uint64_t *averaging_ns);
/* The devices of group `b` matched with those of `a`: partner[i] of the i-th device of a, ascending, is a device. */
void rk_placement_match (rk_placement_t *p, const uint8_t *group_of, uint32_t a, uint32_t b, uint16_t *partner);

/* The two obvious layouts along a walk over the fastest links: groups of neighbours, pipelines of neighbours. */
void rk_placement_by_group (rk_placement_t *p, uint8_t *group_of);
void rk_placement_by_pipeline (rk_placement_t *p, uint8_t *group_of);
/* `trials` of the published search over a population of 100 and the two obvious layouts, or until `until` steps. */
rk_err_t rk_placement_search (rk_placement_t *p, uint32_t trials, uint64_t until, uint8_t *group_of, uint64_t *cost) RK_MUST_CHECK;

#endif
