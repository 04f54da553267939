/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/stack/cell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stack/cell_parts.h"
#include "compute/arena.h"
#include "compute/names.h"

#define SPAN_STEPS 12   /* first steps whose times are told one by one ... */
#define SPAN_REPLICAS 8 /* ... of the first replicas */

/* ---- from keys to what runs */
rk_graph_config_t rk_cell_graph (const rk_cell_t *cell)
{
    rk_graph_config_t config = cell->graph;
    config.name = cell->graph_name;
    config.n = cell->n;
    config.seed = cell->settings.run_seed;
    return config;
}

static rk_err_t s_graph (const rk_cell_t *cell, rk_graph_t **graph_p, rk_error_t *err)
{
    const rk_graph_config_t config = rk_cell_graph (cell);
    return rk_graph_new (graph_p, &config, err);
}

/* ada.md §1.8: linear and root of the global batch, or by what a replica hears. */
static float s_rate (const rk_cell_t *cell, const rk_graph_t *graph)
{
    const double batch = cell->settings.train_batch, base = cell->lr_batch;
    const double heard = graph && !rk_graph_is_exact (graph) ? rk_graph_max_row (graph) : cell->n;
    const double factor[] = {1, cell->n * batch / base, sqrt (cell->n * batch / base), heard * batch / base};
    return (float) (cell->settings.train_lr * factor[cell->lr_rule]);
}

rk_err_t rk_cell_make (const rk_cell_t *cell, const rk_data_t *data, rk_pool_t *pool, rk_cell_made_t *made, rk_error_t *err)
{
    const rk_settings_t *s = &cell->settings;
    *made = (rk_cell_made_t){0};
    rk_err_t code = s_graph (cell, &made->graph, err);
    if (code)
        return code;
    made->lr = s_rate (cell, made->graph);
    if (cell->centralised)
        rk_graph_destroy (&made->graph);
    made->stack = (rk_stack_config_t){
        .model = s->model_name, .data = data, .graph = made->graph, .n = cell->n, .batch = s->train_batch, .seed = s->run_seed,
        .optimizer = s->train_optimizer,
        .optim = {.momentum = (float) s->train_momentum, .nesterov = s->train_nesterov, .weight_decay = (float) s->train_weight_decay,
                  .beta1 = (float) s->train_beta1, .beta2 = (float) s->train_beta2, .epsilon = (float) s->train_epsilon,
                  .trust = (float) s->train_trust, .exempt = (rk_exempt_t) s->train_exempt},
        .quasi_global = cell->momentum == 1, .tracking = cell->tracking, .push_sum = cell->push_sum, .shard = s->data_shard,
        .alpha = s->data_alpha, .mix_state = cell->mix_state, .order = (rk_stack_order_t) cell->order, .mixing = (rk_stack_mixing_t) cell->mixing,
        .delay = cell->delay, .quadratic = cell->quadratic, .pool = pool};
    return RK_OK;
}

static rk_lr_t s_schedule (const rk_settings_t *s, float base, uint64_t steps)
{
    rk_lr_t lr = {.name = s->train_schedule, .base = base, .warmup = s->train_warmup, .total = steps,
                  .floor = (float) s->train_lr_floor, .power = (float) s->train_lr_power, .step_every = s->train_step_every,
                  .step_gamma = (float) s->train_step_gamma};
    while (lr.n_milestones < RK_LR_MAX_MILESTONES && s->train_milestones[lr.n_milestones]) {
        lr.milestones[lr.n_milestones] = s->train_milestones[lr.n_milestones];
        lr.n_milestones++;
    }
    return lr;
}

rk_err_t rk_cell_check (const rk_cell_t *cell, rk_error_t *err)
{
    rk_graph_t *graph = NULL;
    rk_err_t code = strcmp (cell->settings.model_name, "quadratic") &&
                            rk_find_name ("model", cell->settings.model_name, rk_model_names (), err) < 0 ? RK_ENOTFOUND : RK_OK;
    if (!code)
        code = rk_settings_check (&cell->settings, err);
    if (!code)
        code = s_graph (cell, &graph, err);
    const bool doubly = code || rk_graph_is_doubly_stochastic (graph);
    if (!code && !doubly && !cell->push_sum)
        code = rk_error_set (err, RK_EINVAL, "average.graph = %s is not doubly stochastic: it needs average.push_sum = on",
                             cell->graph_name);
    if (!code && doubly && cell->push_sum)
        code = rk_error_set (err, RK_EINVAL, "average.push_sum = on with average.graph = %s: only directed needs it", cell->graph_name);
    rk_graph_destroy (&graph);
    rk_cell_made_t made = {0};
    if (!code)
        code = rk_cell_make (cell, NULL, NULL, &made, err);
    if (!code)
        code = rk_stack_orders_check (&made.stack, err);
    rk_graph_destroy (&made.graph);
    uint32_t values[RK_CONTROL_LADDER], n_values;
    const rk_graph_config_t config = rk_cell_graph (cell);
    if (!code && cell->control && !cell->probe_every)
        code = rk_error_set (err, RK_EINVAL, "average.control = on needs dbench.probe_every above 0: it sees what looks see");
    if (!code && cell->control && !cell->centralised)
        code = rk_control_ladder (&config, values, &n_values, err);
    return code;
}

rk_err_t rk_cell_predict (const rk_cell_t *cell, const rk_data_t *data, uint32_t threads, rk_cell_need_t *need, rk_error_t *err)
{
    rk_cell_made_t made = {0};
    rk_pool_t *pool = NULL;
    rk_stack_need_t of_stack = {0};
    rk_err_t code = rk_pool_new (&pool, threads ? threads : 1, err);
    if (!code)
        code = rk_cell_make (cell, data, pool, &made, err);
    if (!code)
        code = rk_stack_predict (&made.stack, &of_stack, err);
    if (!code) {
        const uint64_t of_data = data ? rk_data_n (data, RK_SPLIT_TRAIN) : 0, step = (uint64_t) cell->n * cell->settings.train_batch;
        uint64_t steps = data ? of_data / step : 256;
        steps = cell->steps && cell->steps < steps ? cell->steps : steps;
        need->bytes = of_stack.bytes;
        need->flops = of_stack.step_flops * (double) steps * (double) cell->settings.run_passes;
    }
    rk_graph_destroy (&made.graph);
    rk_pool_destroy (&pool);
    return code;
}

/* ---- the run */
typedef struct {
    const rk_cell_t *cell;
    const rk_cell_sink_t *sink;
    rk_cell_made_t made;
    rk_stack_t *stack;
    rk_clock_t *clock;
    rk_cell_look_t look;
    rk_cell_control_t control;
    rk_graph_edge_t *edges; /* one row */
    float *flat;            /* one row */
    uint64_t per_pass, steps;
    rk_lr_t lr;
    double loss, gradient_square; /* sums over the pass; over the run */
    uint64_t n_counted;
} s_run_t;

static rk_err_t s_open (s_run_t *run, const rk_data_t *data, rk_pool_t *pool, rk_error_t *err)
{
    const rk_cell_t *cell = run->cell;
    rk_err_t code = rk_cell_make (cell, data, pool, &run->made, err);
    if (!code)
        code = rk_stack_new (&run->stack, &run->made.stack, err);
    if (!code)
        code = rk_cell_look_new (&run->look, run->stack, err);
    if (code)
        return code;
    const uint64_t all = rk_stack_per_pass (run->stack);
    run->per_pass = cell->steps && cell->steps < all ? cell->steps : all;
    run->steps = run->per_pass * cell->settings.run_passes;
    run->lr = s_schedule (&cell->settings, run->made.lr, run->steps);
    const rk_clock_config_t clock = {
        .n = cell->n, .compute_s = rk_stack_step_flops (run->stack) / cell->n / (cell->gflops * 1e9), .jitter = cell->jitter,
        .stragglers = cell->stragglers, .slowdown = cell->slowdown, .alpha_s = cell->alpha_us / 1e6,
        .byte_s = 8 / (cell->gbps * 1e9), .seed = cell->settings.run_seed};
    code = rk_clock_new (&run->clock, &clock, err);
    run->flat = rk_arena_memory (rk_stack_d (run->stack) * sizeof *run->flat);
    run->edges = calloc (run->made.graph ? rk_graph_max_row (run->made.graph) : 1, sizeof *run->edges);
    if (!code && (!run->flat || !run->edges))
        code = rk_error_set (err, RK_ENOMEM, "no memory for a mean model");
    if (!code)
        code = rk_cell_control_open (&run->control, cell, (double) run->made.lr, err);
    return code ? code : rk_lr_check (&run->lr, err);
}

static void s_close (s_run_t *run)
{
    rk_clock_destroy (&run->clock);
    rk_cell_look_free (&run->look);
    rk_stack_destroy (&run->stack);
    rk_graph_destroy (&run->made.graph);
    free (run->flat);
    free (run->edges);
}

static rk_graph_time_t s_time (const s_run_t *run, uint64_t t)
{
    const uint64_t round = t / run->cell->every;
    return (rk_graph_time_t){.step = round, .pass = t / run->per_pass, .control = rk_cell_control_at (&run->control, round)};
}

static bool s_mixes (const s_run_t *run, uint64_t t)
{
    return run->cell->centralised || t % run->cell->every == run->cell->every - 1;
}

static uint32_t s_degree (const s_run_t *run, uint64_t t)
{
    const rk_graph_time_t at = s_time (run, t);
    return run->made.graph ? rk_graph_row (run->made.graph, &at, 0, run->edges) - 1 : run->cell->n - 1;
}

static void s_tell_probe (s_run_t *run, uint64_t t)
{
    const rk_cell_look_t *look = &run->look;
    rk_cell_probe_t probe = {.step = t, .pass = t / run->per_pass, .lr = rk_lr_at (&run->lr, t), .degree = s_degree (run, t),
                             .norm = look->mean, .square_before = look->square[0], .square_after = look->square[1]};
    for (int m = 0; m < RK_CELL_N_METRICS; m++) {
        probe.before[m] = look->metric[0][m];
        probe.after[m] = look->metric[1][m];
    }
    run->sink->probe (run->sink->arg, &probe);
    double square = 0;
    for (size_t p = 0; p < look->n_tensors; p++)
        square += look->square[0][p];
    rk_cell_control_observe (&run->control, t / run->cell->every, square, (double) probe.lr);
}

static void s_advance_clock (s_run_t *run, uint64_t t)
{
    rk_clock_step_t step = {.graph = run->made.graph, .at = s_time (run, t), .bytes = rk_stack_model_bytes (run->stack),
                            .mixes = s_mixes (run, t), .awc = run->cell->order == RK_ORDER_AWC, .cheapest = run->cell->exchange == 1};
    rk_clock_step (run->clock, &step);
    for (uint32_t i = 0; t < SPAN_STEPS && i < SPAN_REPLICAS && i < run->cell->n; i++) {
        const rk_cell_span_t span = {t, i, rk_clock_span (run->clock, i)};
        run->sink->span (run->sink->arg, &span);
    }
}

static rk_err_t s_step (s_run_t *run, uint64_t t, uint32_t *culprit, rk_error_t *err)
{
    const bool looks = run->cell->probe_every && t % run->cell->probe_every == 0;
    rk_loss_t loss;
    rk_err_t code = rk_stack_local (run->stack, t, rk_lr_at (&run->lr, t), &loss, culprit, err);
    if (code)
        return code;
    run->loss += loss.loss_sum;
    run->n_counted += loss.n_counted;
    if (looks)
        rk_cell_look (&run->look, run->stack, 0);
    const rk_graph_time_t at = s_time (run, t);
    if (s_mixes (run, t))
        rk_stack_mix (run->stack, &at);
    if (looks) {
        rk_cell_look (&run->look, run->stack, 1);
        s_tell_probe (run, t);
    }
    if (!strcmp (run->cell->settings.model_name, "quadratic")) {
        rk_stack_mean (run->stack, run->flat);
        run->gradient_square += rk_stack_gradient_square (run->stack, run->flat);
    }
    s_advance_clock (run, t);
    return RK_OK;
}

static rk_err_t s_end_pass (s_run_t *run, uint64_t t, rk_error_t *err)
{
    rk_cell_pass_t pass = {.pass = t / run->per_pass, .step = t + 1, .lr = rk_lr_at (&run->lr, t), .degree = s_degree (run, t),
                           .train_loss = run->loss / (double) (run->n_counted ? run->n_counted : 1),
                           .gradient_square = run->gradient_square / (double) (t + 1)};
    if (run->cell->final_merge && t + 1 == run->steps)
        rk_stack_merge (run->stack);
    rk_stack_probe (run->stack, NULL, run->look.square[0]);
    for (size_t p = 0; p < run->look.n_tensors; p++)
        pass.square += run->look.square[0][p];
    rk_err_t code = rk_cell_test (run->cell, run->stack, run->flat, &pass, err);
    if (code)
        return code;
    pass.time = rk_clock_totals (run->clock);
    pass.sent_bytes = pass.time.bytes / run->cell->n;
    run->sink->pass (run->sink->arg, &pass);
    run->loss = 0;
    run->n_counted = 0;
    return RK_OK;
}

static rk_err_t s_train (s_run_t *run, rk_cell_end_t *end, rk_error_t *err)
{
    for (uint64_t t = 0; t < run->steps; t++) {
        rk_err_t code = s_step (run, t, &end->culprit, err);
        if (code == RK_ESTATE) {
            end->diverged = true;
            end->step = t;
            return RK_OK;
        }
        if (!code && (t + 1) % run->per_pass == 0)
            code = s_end_pass (run, t, err);
        if (!code && run->sink->stop (run->sink->arg))
            code = rk_error_set (err, RK_ECANCELED, "stopped at step %llu", (unsigned long long) t);
        if (code)
            return code;
    }
    end->step = run->steps;
    return RK_OK;
}

rk_err_t rk_cell_run (const rk_cell_t *cell, const rk_data_t *data, rk_pool_t *pool, const rk_cell_sink_t *sink,
                      rk_cell_end_t *end, rk_error_t *err)
{
    *end = (rk_cell_end_t){0};
    s_run_t *run = calloc (1, sizeof *run);
    if (!run)
        return rk_error_set (err, RK_ENOMEM, "no memory for a cell");
    run->cell = cell;
    run->sink = sink;
    rk_err_t code = s_open (run, data, pool, err);
    if (!code) {
        const rk_cell_begin_t begin = {run->stack, run->per_pass, run->steps, run->made.lr,
                                       run->made.graph ? rk_graph_note (run->made.graph) : NULL};
        sink->begin (sink->arg, &begin);
        code = s_train (run, end, err);
    }
    s_close (run);
    free (run);
    return code;
}
