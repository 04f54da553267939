/* SPDX-License-Identifier: MPL-2.0
 * Closed loop on consensus distance: how dense the graph is follows what was measured. One place decides (the
 * leading coordinator, or the simulation); a decision is a control record (round, value) that every replica
 * applies from that round on, so that all of them always use the same W(t) (architecture §4). Pure: the same
 * observations give the same records; a log of records replays a run.

 * Why distance has to follow the learning rate (Kong et al., ICML 2021): replicas do no harm while Xi^2 stays
 * below about lr sigma^2 / (L n), so Xi may fall as slowly as the root of the learning rate, while Xi itself is
 * proportional to it: connections can be shed as the rate falls. The target is
 *   ratio x (distance at the densest graph and the peak rate) x (lr / peak)^power, power 1/2.               */
#ifndef RK_CLUSTER_CONTROL_H
#define RK_CLUSTER_CONTROL_H
#include "cluster/graph.h"

#define RK_CONTROL_LADDER 64 /* most values to choose from */

/* The graph's `control` is `value` from `round` on. */
typedef struct {
    uint64_t round;
    uint32_t value; /* above 0 */
} rk_control_record_t;

/* The value that holds in `round`: of the last record not behind it; 0: none. Records ascend by round. */
uint32_t rk_control_at (const rk_control_record_t *records, size_t n_records, uint64_t round);
/* "round value" per line, as logs keep them; records ascend, values are above 0. read: at most `most` records.
 * errors: RK_EFORMAT (names the line). write: as snprintf.                                                  */
rk_err_t rk_control_read (const char *text, size_t size, rk_control_record_t *records, size_t most, size_t *n_records,
                          rk_error_t *err) RK_MUST_CHECK;
size_t rk_control_write (const rk_control_record_t *records, size_t n_records, char *text, size_t size);

/* What a graph's control may be, sparse to dense: degrees in steps of about a half for ada and ada-spread (from
 * k_min to k0 or `degree`, whatever is more), largest factors for mixed-radix (up to `degree` + 1).
 * errors: RK_EINVAL (no closed-loop graph, or nothing to choose between).                                   */
rk_err_t rk_control_ladder (const rk_graph_config_t *graph, uint32_t values[RK_CONTROL_LADDER], uint32_t *n_values,
                            rk_error_t *err) RK_MUST_CHECK;
/* Leaves out the values at which every step is the exact mean: replicas that average over rings see no distance, so
 * a loop that begins there would never learn its reference. Not for who measures true distances.
 * errors: RK_EINVAL (fewer than two are left), as rk_graph_new.                                             */
rk_err_t rk_control_sparse_only (const rk_graph_config_t *graph, uint32_t *values, uint32_t *n_values,
                                 rk_error_t *err) RK_MUST_CHECK;
/* What a replica can measure without asking anybody, |x_i - (W x)_i|, sees little of slow modes: 388 times too
 * little on a ring of 16. sight[v]: by how much to multiply it at value v to have the consensus distance, if
 * disagreement is noise at momentum mu. errors: as rk_graph_new, rk_walk_new.                               */
rk_err_t rk_control_sight (const rk_graph_config_t *graph, const uint32_t *values, uint32_t n_values, double mu,
                           double *sight, rk_error_t *err) RK_MUST_CHECK;

typedef struct {
    const uint32_t *values;  /* the ladder, borrowed until rk_control_init returns */
    const double *sight;     /* NULL: distances are true ones */
    uint32_t n_values;
    double ratio;            /* 0: 1.5 */
    double raise, lower;     /* hysteresis around the target; 0: 1.25 and 0.8 */
    double power;            /* 0: 0.5; 1: distance keeps its proportion to the rate, nothing is shed */
    double lr_peak;
    uint32_t delay;          /* rounds from an observation to the record it causes; 0: 2 */
    uint32_t settle;         /* observations at a value before it is looked at, and of each look; 0: 20 */
    uint32_t retry;          /* observations after which a value that was too sparse may be tried again; 0: never,
                              * unless the learning rate allows it */
} rk_control_config_t;

typedef struct {
    rk_control_config_t config;
    uint32_t values[RK_CONTROL_LADDER];
    double sight[RK_CONTROL_LADDER];
    double too_far[RK_CONTROL_LADDER];    /* distance over target when a value was given up; 0: never was */
    double too_far_lr[RK_CONTROL_LADDER]; /* learning rate then */
    uint64_t given_up[RK_CONTROL_LADDER]; /* observation then */
    uint32_t at;             /* value in force or decided */
    uint64_t holds_from;     /* round */
    uint64_t n_observed;
    uint32_t n_here;         /* observations that count for the value in force */
    double sum;              /* of squared distances over squared targets, of those */
    double reference;        /* distance over learning rate at the densest graph; 0: not known yet */
} rk_control_t;

/* Begins at the densest value, which the caller's log begins with as well: (0, last of the ladder).
 * errors: RK_EINVAL.                                                                                        */
rk_err_t rk_control_init (rk_control_t *control, const rk_control_config_t *config, rk_error_t *err) RK_MUST_CHECK;
/* distance: root of the mean over replicas of squared distances, measured in `round` at learning rate lr; what is
 * not finite is left out. True: *record is decided. Rounds ascend.                                          */
bool rk_control_observe (rk_control_t *control, uint64_t round, double distance, double lr,
                         rk_control_record_t *record);
/* Distance allowed at that rate; 0 while the reference is not known. */
double rk_control_target (const rk_control_t *control, double lr);

#endif
