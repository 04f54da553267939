/* SPDX-License-Identifier: MPL-2.0
 * Layers one at a time: equal ones once, and those that take long seldom.                                */
#include "actors/profiler_parts.h"

#include "actors/training.h"

#define MOST_REPEATS 9

/* What tells layers apart that take different times. */
typedef struct {
    const char *kind;
    rk_layer_cost_t cost;
    int n_in, n_out, layer; /* layer: 0 of the first, which may read tokens and has no gradient to hand on; else 1 */
    size_t n_params;
    rk_boundary_t in[RK_MAX_BOUNDARY], out[RK_MAX_BOUNDARY];
} s_look_t;

static void s_look (const rk_profile_job_t *job, int layer, s_look_t *look)
{
    memset (look, 0, sizeof *look); /* padding too: looks are compared as bytes */
    look->kind = rk_model_layer_kind (job->model, layer);
    look->layer = layer > 0;
    look->n_params = rk_model_slice_len (job->model, layer, layer + 1);
    rk_model_cost (job->model, layer, job->settings->train_batch, &look->cost);
    look->n_in = rk_model_boundary (job->model, layer, layer, look->in);
    look->n_out = rk_model_boundary (job->model, layer + 1, layer, look->out);
}

static bool s_alike_cuts (int n, const rk_boundary_t *a, const rk_boundary_t *b)
{
    for (int i = 0; i < n; i++)
        if (a[i].elems != b[i].elems || a[i].needs_grad != b[i].needs_grad || a[i].passes_through != b[i].passes_through)
            return false;
    return true;
}

static bool s_alike (const s_look_t *a, const s_look_t *b)
{
    return strcmp (a->kind, b->kind) == 0 && memcmp (&a->cost, &b->cost, sizeof a->cost) == 0 && a->layer == b->layer &&
           a->n_params == b->n_params && a->n_in == b->n_in && a->n_out == b->n_out && s_alike_cuts (a->n_in, a->in, b->in) &&
           s_alike_cuts (a->n_out, a->out, b->out);
}

/* ---- one layer */
static int s_compare (const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static uint64_t s_median (const rk_profile_times_t *times, int n, size_t at)
{
    uint64_t values[MOST_REPEATS];
    for (int i = 0; i < n; i++)
        memcpy (&values[i], (const char *) &times[i] + at, sizeof values[i]);
    qsort (values, (size_t) n, sizeof *values, s_compare);
    return values[n / 2];
}

/* One that eats its budget in the warm-up is taken at that. */
static rk_err_t s_layer (rk_profile_bench_t *b, int64_t budget_ns, rk_profile_times_t *out, rk_error_t *err)
{
    rk_profile_times_t times[MOST_REPEATS];
    const int64_t end = rk_now_ns () + budget_ns;
    rk_err_t rc = rk_profile_bench_once (b, &times[0], err);
    int n = 1;
    if (!rc && rk_now_ns () < end) /* the first was the warm-up: start over */
        for (n = 0; !rc && n < MOST_REPEATS && (n == 0 || rk_now_ns () < end); n++)
            rc = rk_profile_bench_once (b, &times[n], err);
    if (rc)
        return rc;
    *out = (rk_profile_times_t){s_median (times, n, offsetof (rk_profile_times_t, forward_ns)),
                                s_median (times, n, offsetof (rk_profile_times_t, backward_ns)),
                                s_median (times, n, offsetof (rk_profile_times_t, step_ns))};
    return RK_OK;
}

/* ---- all */
static rk_err_t s_measure (const rk_profile_job_t *job, int layer, int64_t budget_ns, rk_profile_times_t *out, rk_error_t *err)
{
    rk_profile_bench_t bench;
    rk_err_t rc = rk_profile_bench_open (&bench, job, layer, layer + 1, NULL, err);
    if (!rc)
        rc = s_layer (&bench, budget_ns, out, err);
    rk_profile_bench_close (&bench);
    return rc;
}

static rk_err_t s_all (const rk_profile_job_t *job, s_look_t *looks, int n_layers, rk_profile_told_fn *told, rk_layer_figures_t *out, rk_error_t *err)
{
    uint64_t *forward = out->times, *backward = out->times + out->n_layers;
    const int64_t start = rk_now_ns ();
    rk_err_t rc = RK_OK;
    for (int l = 0; !rc && l < n_layers; l++) {
        int like = 0;
        s_look (job, l, &looks[l]);
        while (like < l && !s_alike (&looks[like], &looks[l]))
            like++;
        rk_profile_times_t times = {forward[like], backward[like], out->steps[like]};
        if (like == l)
            rc = s_measure (job, l, (job->end_ns - rk_now_ns ()) / (n_layers - l), &times, err);
        forward[l] = times.forward_ns;
        backward[l] = times.backward_ns;
        out->steps[l] = times.step_ns;
        if (told)
            told (l + 1, n_layers, rk_now_ns () - start);
    }
    return rc;
}

rk_err_t rk_profile_layers (rk_layer_figures_t *out, const rk_model_t *model, const rk_settings_t *settings, int64_t budget_ns,
                            rk_profile_told_fn *told, rk_error_t *err)
{
    const int n = rk_model_n_layers (model);
    rk_profile_job_t job = {.model = model, .settings = settings, .config = rk_optim_config_of (settings),
                            .end_ns = rk_now_ns () + budget_ns / 2};
    *out = (rk_layer_figures_t){.n_layers = (size_t) n, .team_ppm = RK_ALONE_PPM, .crowd_ppm = RK_ALONE_PPM};
    s_look_t *looks = calloc ((size_t) n + 1, sizeof *looks);
    out->times = calloc (3 * (size_t) n + 1, sizeof *out->times);
    out->steps = out->times ? out->times + 2 * n : NULL;
    rk_err_t rc = looks && out->times ? rk_optim_by_name (&job.optim, settings->train_optimizer, &job.config, err)
                                      : rk_error_set (err, RK_ENOMEM, "no memory for the times of %d layers", n);
    if (!rc)
        rc = s_all (&job, looks, n, told, out, err);
    job.end_ns += budget_ns - budget_ns / 2;
    if (!rc)
        rc = rk_profile_together (&job, out, err);
    if (!rc)
        rk_profile_beside (&job, out);
    for (int l = 0; !rc && l < n; l++) /* a backward ends with the step */
        out->times[n + l] += out->steps[l];
    free (looks);
    return rc;
}
