/* SPDX-License-Identifier: MPL-2.0
 * Ranks of the all-reduce benchmark: real reducers, driven as their stages would drive them. One process
 * hosts ranks [first, first + n_here) of n.                                                              */
#ifndef RK_ACTORS_ROOKERY_BENCH_ALLREDUCE_H
#define RK_ACTORS_ROOKERY_BENCH_ALLREDUCE_H
#include "actors/reducer.h"
#include "actors/security/gate.h"
#include "actors/rookery/bench.h"

#define RK_RANKS_MAX 64
#define RK_RANKS_ENDPOINT 128

typedef struct {
    uint32_t n, first, n_here;
    const char *transport, *graph; /* as average.graph */
    uint64_t n_floats;
    rk_plan_t *plan;
    rk_actor_t *reducers[RK_RANKS_MAX];
    zsock_t *dealers[RK_RANKS_MAX]; /* into each reducer */
    float *vectors[RK_RANKS_MAX];   /* what each rank averages */
    zsock_t *inbox;                 /* where means arrive */
    char inbox_endpoint[RK_RANKS_ENDPOINT];
    rk_packet_t *packet;
    rk_identity_t identity;         /* one key for all ranks, made before there are several processes */
    rk_gate_t *gate;
    uint64_t round;
} rk_ranks_t;

/* Fills endpoints[first ...] with where the reducers of this process listen. */
rk_err_t rk_ranks_open (rk_ranks_t *r, char (*endpoints)[RK_RANKS_ENDPOINT], rk_error_t *err) RK_MUST_CHECK;
/* endpoints: of all n ranks. Also averages once and checks every value. */
rk_err_t rk_ranks_connect (rk_ranks_t *r, char (*endpoints)[RK_RANKS_ENDPOINT], rk_error_t *err) RK_MUST_CHECK;
/* k averages back to back. */
rk_err_t rk_ranks_run (rk_ranks_t *r, uint64_t k, int64_t *elapsed_ns, rk_error_t *err) RK_MUST_CHECK;
void rk_ranks_close (rk_ranks_t *r);

/* Who says how many averages come next, until 0. */
typedef struct {
    rk_chunks_t us;
    uint64_t k;
    int64_t end_ns, seconds_ns;
    rk_meter_t meter;
    double own_cpu_s; /* of all ranks at the start of the measurement */
    double other_cores;
    int n_calls;
} rk_pace_t;
uint64_t rk_pace_next (rk_pace_t *pace, int64_t elapsed_ns, double ranks_cpu_s, const volatile bool *interrupted);

/* Processes: one rank each, forked before this process has any socket. */
rk_err_t rk_ranks_fork (const rk_ranks_t *like, rk_pace_t *pace, const volatile bool *interrupted, rk_error_t *err) RK_MUST_CHECK;

#endif
