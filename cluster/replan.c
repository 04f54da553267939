/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/replan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"
#include "cluster/planners/rings.h"

#define PAYS 2                                /* times what it costs */
#define START_NS UINT64_C (300000000)         /* new stages: memory, wiring, first touch */

/* ---- the running layout with new figures */
static bool s_node (const rk_fleet_t *fleet, uint32_t id, uint32_t *index)
{
    for (uint32_t i = 0; i < fleet->n_nodes; i++)
        if (fleet->nodes[i].id == id) {
            *index = i;
            return true;
        }
    return false;
}

static rk_err_t s_assignment (const rk_plan_t *plan, const rk_fleet_t *fleet, rk_assignment_t *a, rk_error_t *err)
{
    *a = (rk_assignment_t){.n_clusters = plan->n_clusters, .n_stages = plan->n_stages};
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        a->counts[c] = plan->clusters[c].n_stages;
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        a->first_layers[i] = plan->stages[i].first;
        if (!s_node (fleet, plan->stages[i].node, &a->nodes[i]))
            return rk_error_set (err, RK_EPLAN, "node %u of the running plan is not of the fleet any more", plan->stages[i].node);
    }
    return RK_OK;
}

static bool s_fits (rk_costs_t *costs, const rk_assignment_t *a, rk_chain_t *chains)
{
    bool fits = true;
    rk_assignment_chains (costs, a, chains);
    for (uint32_t c = 0; c < a->n_clusters; c++)
        fits = fits && chains[c].fits;
    return fits;
}

static rk_err_t s_judge (rk_costs_t *costs, const rk_plan_t *running, rk_assignment_t *a, rk_score_t *score, rk_error_t *err)
{
    rk_outlook_t outlook;
    rk_chain_t *chains = malloc (running->n_clusters * sizeof *chains);
    rk_err_t code = chains ? s_assignment (running, costs->fleet, a, err) : RK_ENOMEM;
    if (code == RK_OK && !s_fits (costs, a, chains))
        code = rk_error_set (err, RK_EPLAN, "the running plan needs more memory than a node has now");
    if (code == RK_OK)
        code = rk_assignment_judge (costs, a, &outlook);
    free (chains);
    if (code == RK_ENOMEM)
        return rk_error_set (err, code, "no memory to score a plan of %u stages", running->n_stages);
    if (code == RK_OK)
        *score = (rk_score_t){.samples_per_1000s = outlook.samples_per_1000s, .score = outlook.score, .round_ns = outlook.round_ns,
                              .averaging_ns = outlook.averaging_ns};
    return code;
}

rk_err_t rk_replan_score (const rk_plan_t *running, const rk_fleet_t *fleet, const rk_model_info_t *model,
                          const rk_settings_t *settings, rk_score_t *score, rk_error_t *err)
{
    rk_costs_t costs;
    rk_assignment_t *a = malloc (sizeof *a);
    if (!a)
        return rk_error_set (err, RK_ENOMEM, "no memory to score a plan");
    rk_err_t code = rk_costs_init (&costs, fleet, model, settings);
    if (code == RK_OK) {
        code = s_judge (&costs, running, a, score, err);
        rk_costs_clear (&costs);
    } else
        rk_error_set (err, code, "no memory to score a plan");
    free (a);
    return code;
}

/* ---- the move */
/* Floats of [lo, hi) that the node does not hold in the old plan. */
static uint64_t s_missing (const rk_plan_t *old, uint32_t node, uint64_t lo, uint64_t hi)
{
    for (uint32_t i = 0; i < old->n_stages; i++) {
        const rk_plan_stage_t *s = &old->stages[i];
        if (s->node != node)
            continue;
        const uint64_t from = s->flat_lo > lo ? s->flat_lo : lo, to = s->flat_hi < hi ? s->flat_hi : hi;
        return hi - lo - (to > from ? to - from : 0);
    }
    return hi - lo;
}

/* Nodes fetch at once, so the one with most to fetch over its slowest link sets the time. */
static void s_move (const rk_replan_in_t *in, rk_replan_out_t *out)
{
    uint64_t slowest = 0;
    const uint64_t planes = 1 + in->model->optimizer_slots;
    for (uint32_t i = 0; i < out->plan->n_stages; i++) {
        const rk_plan_stage_t *s = &out->plan->stages[i];
        const uint64_t bytes = 4 * planes * s_missing (in->running, s->node, s->flat_lo, s->flat_hi);
        uint64_t rate = 0;
        uint32_t to;
        out->move_bytes += bytes;
        for (uint32_t j = 0; in->fleet->link_bytes_per_s && s_node (in->fleet, s->node, &to) && j < in->fleet->n_nodes; j++) {
            const uint64_t link = in->fleet->link_bytes_per_s[(size_t) j * in->fleet->n_nodes + to];
            rate = j != to && link > 0 && (rate == 0 || link < rate) ? link : rate;
        }
        const unsigned __int128 ns = (unsigned __int128) bytes * 1000000000 / (rate ? rate : RK_PLAN_UNMEASURED_RATE);
        slowest = ns > slowest ? (ns < UINT64_MAX / 4 ? (uint64_t) ns : UINT64_MAX / 4) : slowest;
    }
    out->move_ns = slowest + START_NS;
}

/* ---- the decision */
static uint64_t s_parts (uint64_t part, uint64_t of)
{
    const unsigned __int128 ppm = (unsigned __int128) part * 1000000 / (of ? of : 1);
    return ppm < UINT64_MAX ? (uint64_t) ppm : UINT64_MAX;
}

/* Time for what is left with the running plan, less that with the new one. */
static uint64_t s_saved_ns (const rk_replan_in_t *in, uint64_t samples_per_1000s, const rk_replan_out_t *out)
{
    const unsigned __int128 left = (unsigned __int128) in->minibatches_left * in->settings->train_batch * 1000000000000;
    const unsigned __int128 ns = left / (samples_per_1000s ? samples_per_1000s : 1);
    if (out->new_score <= out->running_score)
        return 0;
    const unsigned __int128 saved = ns / out->new_score * (out->new_score - out->running_score);
    return saved < UINT64_MAX ? (uint64_t) saved : UINT64_MAX;
}

static void s_tell (const rk_replan_in_t *in, rk_replan_out_t *out)
{
    static const char *const words[] = {[RK_REPLAN_STAY] = "stays: the gain is within what measuring errors are",
                                        [RK_REPLAN_EARLY] = "stays for now: the last change is too recent",
                                        [RK_REPLAN_UNPAID] = "stays: the move does not pay within the pass",
                                        [RK_REPLAN_MOVE] = "changes"};
    snprintf (out->text, sizeof out->text,
              "the plan %s: now %.1f, best %.1f samples/s (+%.1f %%); %.1f MB to move in %.1f s, %.1f s saved in the %" PRIu64
              " minibatches left, %" PRIu64 " rounds since the last change",
              words[out->verdict], (double) out->running_score / 1e6, (double) out->new_score / 1e6, (double) out->gain_ppm / 1e4,
              (double) out->move_bytes / 1e6, (double) out->move_ns / 1e9, (double) out->saved_ns / 1e9, in->minibatches_left,
              in->rounds_since);
}

static rk_replan_verdict_t s_verdict (const rk_replan_in_t *in, const rk_replan_out_t *out)
{
    if (out->running_score == 0)
        return RK_REPLAN_MOVE; /* it cannot go on as it is */
    if (out->gain_ppm < RK_REPLAN_LEAST_PPM)
        return RK_REPLAN_STAY;
    if (in->rounds_since < (in->least_rounds ? in->least_rounds : RK_REPLAN_LEAST_ROUNDS))
        return RK_REPLAN_EARLY;
    return out->saved_ns / PAYS < out->move_ns ? RK_REPLAN_UNPAID : RK_REPLAN_MOVE;
}

rk_err_t rk_replan_decide (const rk_replan_in_t *in, rk_replan_out_t *out, rk_error_t *err)
{
    rk_score_t running = {0}, fresh;
    *out = (rk_replan_out_t){0};
    rk_err_t code = rk_replan_score (in->running, in->fleet, in->model, in->settings, &running, err);
    if (code != RK_OK && code != RK_EPLAN)
        return code;
    const bool goes_on = code == RK_OK;
    code = rk_plan_make (&out->plan, in->view, in->fleet, in->model, in->settings, in->kernels, err);
    if (code == RK_EPLAN && goes_on) { /* nothing new fits, as with a planner that cannot do this fleet */
        out->running_score = running.score;
        s_tell (in, out);
        return RK_OK;
    }
    if (code != RK_OK)
        return code;
    rk_plan_score (out->plan, &fresh);
    out->running_score = goes_on ? running.score : 0;
    out->new_score = fresh.score;
    out->gain_ppm = fresh.score > out->running_score ? s_parts (fresh.score - out->running_score, out->running_score) : 0;
    s_move (in, out);
    out->move_ns += in->running->fill_ns + out->plan->fill_ns; /* one pipeline empties, the other fills */
    out->saved_ns = s_saved_ns (in, running.samples_per_1000s, out);
    out->verdict = s_verdict (in, out);
    s_tell (in, out);
    return RK_OK;
}
