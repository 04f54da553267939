/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/observed.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LAYER_NS UINT64_C (3600000000000) /* as in profiles */

typedef struct {
    uint64_t ns[RK_OBSERVED_WINDOW];
    uint32_t n; /* ever */
} s_window_t;

typedef struct {
    rk_observed_totals_t last;
    s_window_t forward, backward;
} s_stage_t;

struct rk_observed {
    rk_plan_t *plan;
    s_stage_t *stages;
};

rk_err_t rk_observed_new (rk_observed_t **observed_p, const rk_plan_t *plan)
{
    rk_observed_t *o = calloc (1, sizeof *o);
    rk_err_t rc = o ? rk_plan_copy (&o->plan, plan) : RK_ENOMEM;
    if (!rc)
        o->stages = calloc (plan->n_stages + 1, sizeof *o->stages);
    if (rc || !o->stages) {
        rk_observed_destroy (&o);
        return RK_ENOMEM;
    }
    *observed_p = o;
    return RK_OK;
}

void rk_observed_destroy (rk_observed_t **observed_p)
{
    rk_observed_t *o = *observed_p;
    if (!o)
        return;
    rk_plan_destroy (&o->plan);
    free (o->stages);
    free (o);
    *observed_p = NULL;
}

/* ---- windows */
static void s_push (s_window_t *w, uint64_t ns, uint64_t n)
{
    if (n)
        w->ns[w->n++ % RK_OBSERVED_WINDOW] = ns / n ? ns / n : 1;
}

static int s_compare (const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static uint64_t s_median (const s_window_t *w)
{
    uint64_t sorted[RK_OBSERVED_WINDOW];
    const uint32_t n = w->n < RK_OBSERVED_WINDOW ? w->n : RK_OBSERVED_WINDOW;
    if (n < RK_OBSERVED_LEAST)
        return 0;
    memcpy (sorted, w->ns, n * sizeof *sorted);
    qsort (sorted, n, sizeof *sorted, s_compare);
    return sorted[n / 2];
}

void rk_observed_take (rk_observed_t *o, uint32_t stage, const rk_observed_totals_t *now)
{
    if (stage >= o->plan->n_stages)
        return;
    s_stage_t *s = &o->stages[stage];
    const bool on = now->forward_ns >= s->last.forward_ns && now->n_forward >= s->last.n_forward &&
                    now->backward_ns >= s->last.backward_ns && now->n_backward >= s->last.n_backward;
    if (on) {
        s_push (&s->forward, now->forward_ns - s->last.forward_ns, now->n_forward - s->last.n_forward);
        s_push (&s->backward, now->backward_ns - s->last.backward_ns, now->n_backward - s->last.n_backward);
    }
    s->last = *now;
}

/* ---- answers */
static uint32_t s_speed_ppm (const rk_plan_t *plan, uint32_t node)
{
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i] == node && plan->node_speed_ppm[i])
            return plan->node_speed_ppm[i];
    return 1000000;
}

static uint64_t s_scale (uint64_t ns, uint64_t up, uint64_t down)
{
    const unsigned __int128 scaled = (unsigned __int128) ns * up / (down ? down : 1);
    return scaled < 1 ? 1 : scaled > MOST_LAYER_NS ? MOST_LAYER_NS : (uint64_t) scaled;
}

bool rk_observed_stage (const rk_observed_t *o, uint32_t stage, uint64_t *forward_ns, uint64_t *backward_ns)
{
    const s_stage_t *s = &o->stages[stage];
    const uint64_t forward = s_median (&s->forward), backward = s_median (&s->backward);
    if (!forward || !backward)
        return false;
    const uint32_t ppm = s_speed_ppm (o->plan, o->plan->stages[stage].node);
    *forward_ns = s_scale (forward, 1000000, ppm);
    *backward_ns = s_scale (backward, 1000000, ppm);
    return true;
}

static const rk_profile_t *s_profile (const rk_profiles_t *table, uint32_t node)
{
    for (uint32_t i = 0; i < table->n; i++)
        if (table->nodes[i].id == node)
            return &table->nodes[i];
    return NULL;
}

static uint64_t s_sum (const uint64_t *times, uint32_t first, uint32_t last)
{
    uint64_t ns = 0;
    for (uint32_t l = first; l < last; l++)
        ns += times[l];
    return ns;
}

uint64_t rk_observed_drift_ppm (const rk_observed_t *o, uint32_t stage, const rk_profiles_t *table)
{
    const rk_plan_stage_t *s = &o->plan->stages[stage];
    const rk_profile_t *p = s_profile (table, s->node);
    uint64_t forward, backward;
    if (!p || s->last > table->n_layers || !rk_observed_stage (o, stage, &forward, &backward))
        return 0;
    return s_scale (forward + backward, 1000000, s_sum (p->forward_ns, s->first, s->last) + s_sum (p->backward_ns, s->first, s->last));
}

/* Its layers elsewhere in the model change by the same factor: it is the node that is slower or faster. */
static rk_err_t s_add (const rk_observed_t *o, const rk_profile_t *p, uint32_t n_layers, uint64_t *times, rk_profiles_t *fresh,
                       rk_error_t *err)
{
    uint32_t cluster, at;
    const uint32_t stage = rk_plan_stage_of_node (o->plan, p->id, &cluster, &at);
    uint64_t forward = 0, backward = 0, old_forward = 0, old_backward = 0;
    if (stage != RK_NO_NODE && o->plan->stages[stage].last <= n_layers && rk_observed_stage (o, stage, &forward, &backward)) {
        old_forward = s_sum (p->forward_ns, o->plan->stages[stage].first, o->plan->stages[stage].last);
        old_backward = s_sum (p->backward_ns, o->plan->stages[stage].first, o->plan->stages[stage].last);
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        times[l] = old_forward ? s_scale (p->forward_ns[l], forward, old_forward) : p->forward_ns[l];
        times[n_layers + l] = old_backward ? s_scale (p->backward_ns[l], backward, old_backward) : p->backward_ns[l];
    }
    rk_profile_t now = *p;
    now.forward_ns = times;
    now.backward_ns = times + n_layers;
    return rk_profiles_add (fresh, &now, n_layers, err);
}

rk_err_t rk_observed_table (const rk_observed_t *o, const rk_profiles_t *table, rk_profiles_t *fresh, rk_error_t *err)
{
    uint64_t *times = malloc ((2 * (size_t) table->n_layers + 1) * sizeof *times);
    *fresh = (rk_profiles_t){0};
    rk_err_t rc = times && !rk_profiles_init (fresh, table->n, table->n_layers)
                      ? RK_OK
                      : rk_error_set (err, RK_ENOMEM, "no memory for the figures of %u nodes", table->n);
    for (uint32_t i = 0; !rc && i < table->n; i++)
        rc = s_add (o, &table->nodes[i], table->n_layers, times, fresh, err);
    for (size_t l = 0; !rc && l < table->n_links; l++)
        rc = rk_profiles_link (fresh, &table->links[l], err);
    free (times);
    if (rc)
        rk_profiles_clear (fresh);
    return rc;
}
