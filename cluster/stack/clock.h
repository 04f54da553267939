/* SPDX-License-Identifier: MPL-2.0
 * Simulated time of n replicas: when each begins its next step if computing takes what it takes and messages what
 * they take (max-plus; ada.md §6.2). Virtual: no clock is read. Units: seconds. thread: one at a time.       */
#ifndef RK_CLUSTER_STACK_CLOCK_H
#define RK_CLUSTER_STACK_CLOCK_H
#include "cluster/graph.h"
#include "cluster/stack.h"

typedef struct {
    uint32_t n;
    double compute_s;    /* mean time of one replica's gradient and update */
    double jitter;       /* coefficient of variation of it, normal, cut off at 0 */
    uint32_t stragglers; /* this many replicas, evenly spread, are slower ... */
    double slowdown;     /* ... by this factor, always */
    double alpha_s;      /* a message's latency */
    double byte_s;       /* seconds per byte of a replica's link; sends leave one after the other */
    uint64_t seed;
} rk_clock_config_t;

typedef struct rk_clock rk_clock_t;

rk_err_t rk_clock_new (rk_clock_t **clock_p, const rk_clock_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_clock_destroy (rk_clock_t **clock_p);

/* Step t: everybody computes; graph NULL or exact now: a ring all-reduce of `bytes`; else everybody sends `bytes` to
 * each of its hearers and waits for those it hears. mixes false: no exchange in this step. awc: the exchange
 * runs beside the computing. cheapest: rows are formed in the way that sends least (cluster/traffic.h).     */
typedef struct {
    const rk_graph_t *graph;
    rk_graph_time_t at;
    uint64_t bytes;
    bool mixes, awc, cheapest;
} rk_clock_step_t;
void rk_clock_step (rk_clock_t *clock, const rk_clock_step_t *step);

/* Of the last step, replica i: computing from begin to computed, waiting until ready. */
typedef struct {
    double begin_s, computed_s, ready_s;
    uint32_t waited_for; /* the replica whose message came last; i itself: none */
} rk_clock_span_t;
rk_clock_span_t rk_clock_span (const rk_clock_t *clock, uint32_t i);

typedef struct {
    double now_s;              /* when the last replica is ready */
    double compute_s, wait_s;  /* sums over replicas and steps */
    uint64_t messages, bytes;  /* sent, sums over replicas and steps */
    uint32_t slowest;          /* the replica others waited for most often; n: nobody waited */
} rk_clock_totals_t;
rk_clock_totals_t rk_clock_totals (const rk_clock_t *clock);

#endif
