/* SPDX-License-Identifier: MPL-2.0
 * What stages are seen to take while they train, against what was measured before: the median over the last reports, so
 * that one slow moment is none. It makes the fleet that a re-planner plans for: the profile table with the times of
 * every observed node scaled to what its stage takes.
 * CPU time, as in profiles: nodes that share the cores of a host are the business of the objective. What takes the
 * processor away from one node and not from the others (a stopped process, another program, a limit) is seen by the clock:
 * time over CPU time of its kernels, against the least such ratio among nodes like it. Nodes of a host with more
 * nodes than cores are compared with one another, all others with one another. Pure. thread: one at a time. */
#ifndef RK_CLUSTER_OBSERVED_H
#define RK_CLUSTER_OBSERVED_H
#include "cluster/profiles.h"

#define RK_OBSERVED_WINDOW 9 /* reports with work in them */
#define RK_OBSERVED_LEAST 3

/* Totals of a stage since it began, of training alone. */
typedef struct {
    uint64_t forward_ns, n_forward, backward_ns, n_backward;
    uint64_t wall_ns; /* of both, by the clock; 0: not known */
} rk_observed_totals_t;

typedef struct rk_observed rk_observed_t;
rk_err_t rk_observed_new (rk_observed_t **observed_p, const rk_plan_t *plan) RK_MUST_CHECK; /* the plan is copied */
void rk_observed_destroy (rk_observed_t **observed_p);
/* A report of a stage (index into plan->stages). Totals that are lower than before start anew. */
void rk_observed_take (rk_observed_t *observed, uint32_t stage, const rk_observed_totals_t *totals);
/* A link carried so many bytes/s while it was in use; the median counts. Unknown nodes are ignored. */
void rk_observed_link (rk_observed_t *observed, uint32_t from, uint32_t to, uint64_t bytes_per_s);
/* The rate of the table over the observed one, of the link from the stage's node that has become slowest, in millionths; 0: no
 * link from there is observed. */
uint64_t rk_observed_link_drift_ppm (const rk_observed_t *observed, uint32_t stage, const rk_profiles_t *table);
#define RK_OBSERVED_STRETCHED 1250000 /* what is less is noise */
/* How much longer than its like the stage takes for the same CPU time, in millionths; 1,000,000: no longer. */
uint64_t rk_observed_stretch_ppm (const rk_observed_t *observed, uint32_t stage);
/* ns per minibatch, declared speed and stretch applied. false: too few reports yet. */
bool rk_observed_stage (const rk_observed_t *observed, uint32_t stage, uint64_t *forward_ns, uint64_t *backward_ns);
/* Observed times of the stage's layers over those of the table, in millionths; 0: not known. */
uint64_t rk_observed_drift_ppm (const rk_observed_t *observed, uint32_t stage, const rk_profiles_t *table);
/* A copy of the table in which the layers of observed nodes take what was observed, and observed links are as fast as they were
 * seen to be; their round trips stay. A node that is
 * not observed, with two or more that are, is taken to have drifted as the median of them.
 * errors: RK_ENOMEM, and those of rk_profiles_add.                                                        */
rk_err_t rk_observed_table (const rk_observed_t *observed, const rk_profiles_t *table, rk_profiles_t *fresh,
                            rk_error_t *err) RK_MUST_CHECK;

#endif
