/* SPDX-License-Identifier: MPL-2.0
 * The inside of the simulation: simulation.c trains and averages exactly, simulation_mix.c mixes over graphs. */
#ifndef RK_TESTS_SUPPORT_SIMULATION_PARTS_H
#define RK_TESTS_SUPPORT_SIMULATION_PARTS_H
#include "tests/support/simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "actors/training.h"
#include "cluster/exchange.h"
#include "cluster/shard.h"
#include "compute/arena.h"

#define MOST_FLIGHT 16
#define MOST_HELD (2 * MOST_FLIGHT)

/* Values or gradients of the tensors of one cut for one context. */
typedef struct {
    float *at[RK_MAX_BOUNDARY];
} row_t;

/* A complete update that waits for its verdict. */
typedef struct {
    float *grads;
    uint64_t samples, f;
    bool overflows;      /* of halves on the wire */
    uint64_t n_backward; /* of the round, when it was complete */
    float loss_scale;
    rk_verdict_t verdict;
} held_t;

typedef struct {
    rk_slice_t *slice;
    int n_in, n_out;
    rk_boundary_t in[RK_MAX_BOUNDARY], out[RK_MAX_BOUNDARY];
    uint32_t first, last;
    size_t n_flat;
    float *live, *grads, *slots[RK_OPTIM_MAX_SLOTS], *seen[MOST_FLIGHT];
    row_t input[MOST_FLIGHT];    /* as it came over the wire */
    row_t output[MOST_FLIGHT];   /* as the kernel wrote it; NULL: passes through */
    row_t gin[MOST_FLIGHT];      /* as the kernel wrote it */
    row_t gout[MOST_FLIGHT];     /* as it came over the wire */
    uint64_t n_forward, n_backward, n_steps;
    uint32_t n_accumulated;
    double lr_sum; /* of the round */
    uint64_t samples;            /* accumulated */
    bool overflows;
    float loss_scale, begun_at;  /* of the next update; of the one that is being accumulated */
    held_t held[MOST_HELD];
    uint64_t n_closed, n_settled;
} stage_t;

typedef struct {
    const rk_plan_t *plan;
    const rk_model_t *model;
    const rk_data_t *data;
    rk_training_t training;
    stage_t *stages;
    int32_t *labels[RK_MAX_CLUSTERS][MOST_FLIGHT];
    uint64_t samples[RK_MAX_CLUSTERS];
    rk_verdict_state_t verdicts[RK_MAX_CLUSTERS];
    bool *local; /* by float: BatchNorm statistics that are not averaged */
    rk_shard_t *shards[RK_MAX_CLUSTERS]; /* NULL: leased */
    rk_graph_t *graph;
    float *merged; /* of the last round that merged beside mixing; NULL: replicas are equal */
    /* by cluster, whole flat vectors: what the round began with, and the state of momentum and tracking */
    float *before[RK_MAX_CLUSTERS], *start[RK_MAX_CLUSTERS], *y[RK_MAX_CLUSTERS], *d[RK_MAX_CLUSTERS];
} sim_t;

static inline void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static inline float *s_floats (size_t n)
{
    float *floats = rk_arena_memory ((n + 1) * sizeof *floats);
    assert_non_null (floats);
    return floats;
}

void sim_open_mixing (sim_t *sim); /* when all stages have their first parameters */
void sim_close_mixing (sim_t *sim);
void sim_mix (sim_t *sim, const rk_exchange_t *exchange);

#endif
