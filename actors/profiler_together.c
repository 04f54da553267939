/* SPDX-License-Identifier: MPL-2.0
 * What layers take together, on one core and on all. A layer that runs alone again and again finds its data in the cache;
 * a thread whose neighbours compute too has less of the memory; and a node that has a machine for itself computes on all
 * of its cores. A run of layers, the whole model if that is short, is measured in all three ways by turns.  */
#include "actors/profiler_parts.h"

#include "actors/host.h"
#include "compute/pool.h"


#define MOST_COPIES 16
#define MOST_ROUNDS 6
#define SHARE 10        /* of the budget: what one step of the run may take */
#define OF_MEMORY 4     /* of what is free: what the copies may take */
#define AT_LEAST_NS 2000000 /* of work in a row, so that threads that start late still meet */
#define MOST_IN_A_ROW 1000
#define MOST_PPM 4000000

typedef struct {
    const rk_profile_job_t *job;
    int first, last;
    uint64_t step_ns;    /* layers alone, added up */
    uint32_t n_copies, n_team;
    rk_pool_t *crowd_pool, *team_pool;
    rk_profile_bench_t team, copies[MOST_COPIES];
    bool opened_team, opened[MOST_COPIES];
    rk_err_t codes[MOST_COPIES];
    rk_profile_times_t times[MOST_COPIES];
} s_run_t;

/* ---- which layers */
static uint64_t s_of_layer (const rk_layer_figures_t *f, int l)
{
    return f->times[l] + f->times[f->n_layers + (size_t) l] + f->steps[l];
}

/* The longest layer and its neighbours, as far as the budget goes. */
static void s_choose (s_run_t *run, const rk_layer_figures_t *f, uint64_t most_ns)
{
    const int n = (int) f->n_layers;
    for (int l = 1; l < n; l++)
        run->first = s_of_layer (f, l) > s_of_layer (f, run->first) ? l : run->first;
    run->last = run->first + 1;
    run->step_ns = s_of_layer (f, run->first);
    for (bool grows = true; grows;) {
        grows = false;
        if (run->last < n && run->step_ns + s_of_layer (f, run->last) <= most_ns) {
            run->step_ns += s_of_layer (f, run->last++);
            grows = true;
        }
        if (run->first > 0 && run->step_ns + s_of_layer (f, run->first - 1) <= most_ns) {
            run->step_ns += s_of_layer (f, --run->first);
            grows = true;
        }
    }
}

static uint64_t s_cut_bytes (const rk_profile_job_t *job, int cut, int from)
{
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    const int n = rk_model_boundary (job->model, cut, from, boundary);
    uint64_t floats = 0;
    for (int i = 0; i < n; i++)
        floats += 2 * boundary[i].elems * job->settings->train_batch;
    return floats * sizeof (float);
}

/* How many copies the memory holds, at most one for each core; what a bench takes is known before it takes it. */
static rk_err_t s_count (s_run_t *run, const rk_host_t *host, rk_error_t *err)
{
    const rk_slice_config_t config = {.model = run->job->model, .first = run->first, .last = run->last,
                                      .batch = run->job->settings->train_batch, .n_contexts = 1, .seed = 1};
    size_t bytes = 0;
    rk_err_t rc = rk_slice_predict (&config, &bytes, err);
    bytes += s_cut_bytes (run->job, run->first, run->first) + s_cut_bytes (run->job, run->last, run->first);
    bytes += rk_model_slice_len (run->job->model, run->first, run->last) * sizeof (float) * (size_t) (3 + run->job->optim->n_slots);
    const uint64_t fit = host->ram_bytes / OF_MEMORY / (bytes ? bytes : 1);
    const uint32_t asked = run->job->settings->run_threads;
    run->n_copies = host->cores < MOST_COPIES ? host->cores : MOST_COPIES;
    run->n_copies = fit < run->n_copies + 1 ? fit > 1 ? (uint32_t) fit - 1 : 0 : run->n_copies;
    run->n_team = asked && asked < host->cores ? asked : host->cores;
    run->n_team = run->n_team < RK_POOL_MAX_THREADS ? run->n_team : RK_POOL_MAX_THREADS;
    return rc;
}

/* ---- the benches */
/* The first copy's tensors, which are never used at the same time, under a slice with threads. */
static rk_err_t s_open_team (s_run_t *run, rk_error_t *err)
{
    const rk_slice_config_t config = {.model = run->job->model, .first = run->first, .last = run->last, .batch = run->copies[0].batch,
                                      .n_contexts = 1, .seed = 1, .pool = run->team_pool};
    run->team = run->copies[0];
    run->team.pool = run->team_pool;
    run->team.slice = NULL;
    rk_err_t rc = rk_slice_new (&run->team.slice, &config, err);
    run->opened_team = !rc;
    return rc;
}

static rk_err_t s_open (s_run_t *run, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    for (uint32_t i = 0; !rc && i < run->n_copies; i++) {
        run->opened[i] = true;
        rc = rk_profile_bench_open (&run->copies[i], run->job, run->first, run->last, NULL, err);
    }
    if (!rc && run->n_copies > 1)
        rc = rk_pool_new (&run->crowd_pool, run->n_copies, err);
    if (rc || run->n_team < 2)
        return rc;
    rc = rk_pool_new (&run->team_pool, run->n_team, err);
    return rc ? rc : s_open_team (run, err);
}

static void s_close (s_run_t *run)
{
    for (uint32_t i = 0; i < run->n_copies; i++)
        if (run->opened[i])
            rk_profile_bench_close (&run->copies[i]);
    if (run->opened_team)
        rk_slice_destroy (&run->team.slice);
    rk_pool_destroy (&run->team_pool);
    rk_pool_destroy (&run->crowd_pool);
}

static uint64_t s_sum (const rk_profile_times_t *t)
{
    return t->forward_ns + t->backward_ns + t->step_ns;
}

static uint64_t s_in_a_row (const s_run_t *run)
{
    const uint64_t n = AT_LEAST_NS / (run->step_ns ? run->step_ns : 1) + 1;
    return n < MOST_IN_A_ROW ? n : MOST_IN_A_ROW;
}

/* The mean of some steps in a row. */
static rk_err_t s_steps (const s_run_t *run, rk_profile_bench_t *bench, rk_profile_times_t *mean, rk_error_t *err)
{
    const uint64_t n = s_in_a_row (run);
    rk_err_t rc = RK_OK;
    *mean = (rk_profile_times_t){0};
    for (uint64_t i = 0; !rc && i < n; i++) {
        rk_profile_times_t times;
        rc = rk_profile_bench_once (bench, &times, err);
        mean->forward_ns += times.forward_ns;
        mean->backward_ns += times.backward_ns;
        mean->step_ns += times.step_ns;
    }
    *mean = (rk_profile_times_t){mean->forward_ns / n + 1, mean->backward_ns / n + 1, mean->step_ns / n + 1};
    return rc;
}

static void s_copy (void *arg, size_t task, size_t worker)
{
    s_run_t *run = arg;
    (void) worker;
    run->codes[task] = s_steps (run, &run->copies[task], &run->times[task], NULL);
}

static rk_err_t s_crowd (s_run_t *run, rk_profile_times_t *mean, rk_error_t *err)
{
    *mean = (rk_profile_times_t){0};
    rk_pool_run (run->crowd_pool, run->n_copies, s_copy, run);
    for (uint32_t i = 0; i < run->n_copies; i++) {
        if (run->codes[i])
            return rk_error_set (err, run->codes[i], "layers %d to %d cannot run on all cores at once", run->first, run->last - 1);
        mean->forward_ns += run->times[i].forward_ns / run->n_copies;
        mean->backward_ns += run->times[i].backward_ns / run->n_copies;
        mean->step_ns += run->times[i].step_ns / run->n_copies;
    }
    return RK_OK;
}

/* ---- figures */
/* What the calling thread took, or an equal share of what all took: when other programs take the processor away, threads
 * that still have one do the work of those that have none.                                                */
static rk_err_t s_team (s_run_t *run, uint64_t *ns, rk_error_t *err)
{
    const uint64_t n = s_in_a_row (run);
    const int64_t own = rk_thread_cpu_ns (), all = rk_process_cpu_ns ();
    rk_profile_times_t times;
    rk_err_t rc = RK_OK;
    for (uint64_t i = 0; !rc && i < n; i++)
        rc = rk_profile_bench_once (&run->team, &times, err);
    const int64_t mine = rk_thread_cpu_ns () - own, share = (rk_process_cpu_ns () - all) / run->n_team;
    *ns = (uint64_t) (mine > share ? mine : share) / n + 1;
    return rc;
}

/* One round: each way in turn; the first round is the warm-up. */
static rk_err_t s_round (s_run_t *run, rk_profile_times_t *alone, rk_profile_times_t *crowd, uint64_t *team_ns, rk_error_t *err)
{
    rk_err_t rc = s_steps (run, &run->copies[0], alone, err);
    if (!rc && run->opened_team)
        rc = s_team (run, team_ns, err);
    if (!rc && run->n_copies > 1)
        rc = s_crowd (run, crowd, err);
    return rc;
}

static int s_compare (const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* Of all rounds but the first, if there are more. What disturbs training disturbs a measurement, too: neither the best nor the worst. */
static uint64_t s_median (uint64_t *ns, int n)
{
    if (n < 2)
        return ns[0];
    qsort (ns + 1, (size_t) n - 1, sizeof *ns, s_compare);
    return ns[1 + (n - 1) / 2];
}

static int s_compare_sums (const void *a, const void *b)
{
    const uint64_t x = s_sum (a), y = s_sum (b);
    return (x > y) - (x < y);
}

/* Better than most: a machine is slow by fits. */
static rk_profile_times_t s_middle (rk_profile_times_t *times, int n)
{
    if (n < 2)
        return times[0];
    qsort (times + 1, (size_t) n - 1, sizeof *times, s_compare_sums);
    return times[1 + (n - 1) / 4];
}

static uint32_t s_ppm (uint64_t ns, uint64_t of, uint32_t least)
{
    if (!ns || !of)
        return RK_ALONE_PPM;
    const uint64_t ppm = (uint64_t) ((double) ns / (double) of * RK_ALONE_PPM + 0.5);
    return ppm < least ? least : ppm > MOST_PPM ? MOST_PPM : (uint32_t) ppm;
}

static void s_scale (uint64_t *times, size_t n, uint64_t together, uint64_t apart)
{
    for (size_t l = 0; apart && l < n; l++) {
        const uint64_t ns = (uint64_t) ((double) times[l] * (double) together / (double) apart + 0.5);
        times[l] = ns ? ns : 1;
    }
}

static void s_tell (const s_run_t *run, const rk_profile_times_t *alone, const rk_profile_times_t *crowd, uint64_t team_ns, rk_layer_figures_t *out)
{
    uint64_t forward = 0, backward = 0, step = 0;
    for (int l = run->first; l < run->last; l++) {
        forward += out->times[l];
        backward += out->times[out->n_layers + (size_t) l];
        step += out->steps[l];
    }
    s_scale (out->times, out->n_layers, alone->forward_ns, forward);
    s_scale (out->times + out->n_layers, out->n_layers, alone->backward_ns, backward);
    s_scale (out->steps, out->n_layers, alone->step_ns, step);
    out->team_ppm = s_ppm (team_ns, s_sum (alone), RK_ALONE_PPM / (run->n_team ? run->n_team : 1));
    out->crowd_ppm = s_ppm (s_sum (crowd), s_sum (alone), RK_ALONE_PPM);
}

rk_err_t rk_profile_together (const rk_profile_job_t *job, rk_layer_figures_t *out, rk_error_t *err)
{
    rk_host_t host;
    rk_profile_times_t alone[MOST_ROUNDS] = {0}, crowd[MOST_ROUNDS] = {0};
    uint64_t team_ns[MOST_ROUNDS] = {0};
    const int64_t left = job->end_ns - rk_now_ns ();
    s_run_t *run = calloc (1, sizeof *run);
    if (!run)
        return rk_error_set (err, RK_ENOMEM, "no memory to measure layers together");
    run->job = job;
    rk_host_look (&host);
    s_choose (run, out, left > 0 ? (uint64_t) left / SHARE : 0);
    rk_err_t rc = s_count (run, &host, err);
    if (!rc && run->n_copies)
        rc = s_open (run, err);
    int n = 0;
    for (; !rc && run->n_copies && n < MOST_ROUNDS && (n == 0 || rk_now_ns () < job->end_ns); n++)
        rc = s_round (run, &alone[n], &crowd[n], &team_ns[n], err);
    if (!rc && run->n_copies) {
        const rk_profile_times_t usual = s_middle (alone, n), crowded = s_middle (crowd, n);
        s_tell (run, &usual, &crowded, s_median (team_ns, n), out);
    }
    s_close (run);
    free (run);
    return rc;
}
