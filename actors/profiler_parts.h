/* SPDX-License-Identifier: MPL-2.0
 * What the files that measure layers share. Private to actors/profiler_*.c.                              */
#ifndef RK_ACTORS_PROFILER_PARTS_H
#define RK_ACTORS_PROFILER_PARTS_H
#include "actors/profiler.h"
#include "compute/optim.h"
#include "compute/slice.h"

typedef struct {
    const rk_model_t *model;
    const rk_settings_t *settings; /* batch, optimiser, updates, threads */
    const rk_optim_t *optim;
    rk_optim_config_t config;
    int64_t end_ns; /* when the budget is spent */
} rk_profile_job_t;

/* CPU time of the calling thread for one minibatch; the step is spread over the minibatches of an update. */
typedef struct {
    uint64_t forward_ns, backward_ns, step_ns;
} rk_profile_times_t;

typedef struct {
    const rk_profile_job_t *job;
    int first, last; /* layers [first, last) */
    rk_slice_t *slice;
    rk_pool_t *pool;
    int n_in, n_out;
    rk_boundary_t in_boundary[RK_MAX_BOUNDARY], out_boundary[RK_MAX_BOUNDARY];
    float *in[RK_MAX_BOUNDARY], *out[RK_MAX_BOUNDARY], *gin[RK_MAX_BOUNDARY], *gout[RK_MAX_BOUNDARY];
    float *flat, *other, *grads, *slots[RK_OPTIM_MAX_SLOTS];
    void *labels; /* all 0 */
    size_t batch;
    uint64_t n_steps;
    bool out_of_memory;
} rk_profile_bench_t;
/* Opened or not, it must be closed. errors: RK_ENOMEM, and those of slices. */
rk_err_t rk_profile_bench_open (rk_profile_bench_t *bench, const rk_profile_job_t *job, int first, int last, rk_pool_t *pool,
                                rk_error_t *err) RK_MUST_CHECK;
void rk_profile_bench_close (rk_profile_bench_t *bench);
rk_err_t rk_profile_bench_once (rk_profile_bench_t *bench, rk_profile_times_t *out, rk_error_t *err) RK_MUST_CHECK;

/* Layers of a run together against what they take alone; alone against as a team, and with company on every core. Sets
 * out->team_ppm and out->crowd_ppm and corrects out->times. errors: those of benches.                     */
rk_err_t rk_profile_together (const rk_profile_job_t *job, rk_layer_figures_t *out, rk_error_t *err) RK_MUST_CHECK;
/* Sets out->dispatch_ns, feed_ns and copy_bytes_per_s; what cannot be measured stays 0. */
void rk_profile_beside (const rk_profile_job_t *job, rk_layer_figures_t *out);

#endif
