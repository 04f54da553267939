/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/observed.h"

#include <stdlib.h>
#include <string.h>

#define LINKS 16
#define MOST_LAYER_NS UINT64_C (3600000000000) /* as in profiles */

typedef struct {
    uint64_t ns[RK_OBSERVED_WINDOW];
    uint32_t n; /* ever */
} s_window_t;

typedef struct {
    rk_observed_totals_t last;
    s_window_t forward, backward, ratio; /* ratio: time over CPU time, in millionths */
} s_stage_t;

typedef struct {
    uint32_t from, to;
    s_window_t rate;
} s_link_t;

struct rk_observed {
    rk_plan_t *plan;
    s_stage_t *stages;
    s_link_t *links; /* n_nodes x LINKS at most: neighbours in a cluster, and in rings or a graph */
    uint32_t n_links;
};

rk_err_t rk_observed_new (rk_observed_t **observed_p, const rk_plan_t *plan)
{
    rk_observed_t *o = calloc (1, sizeof *o);
    rk_err_t rc = o ? rk_plan_copy (&o->plan, plan) : RK_ENOMEM;
    if (!rc)
        o->stages = calloc (plan->n_stages + 1, sizeof *o->stages);
    if (!rc)
        o->links = calloc ((size_t) plan->n_nodes * LINKS + 1, sizeof *o->links);
    if (rc || !o->stages || !o->links) {
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
    free (o->links);
    free (o);
    *observed_p = NULL;
}

/* ---- windows */
static void s_push (s_window_t *w, uint64_t ns, uint64_t n)
{
    if (n)
        w->ns[w->n++ % RK_OBSERVED_WINDOW] = ns / n ? ns / n : 1;
}

static uint64_t s_millionths (uint64_t ns)
{
    return ns < UINT64_MAX / 1000000 ? ns * 1000000 : UINT64_MAX;
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
                    now->backward_ns >= s->last.backward_ns && now->n_backward >= s->last.n_backward &&
                    now->wall_ns >= s->last.wall_ns;
    if (on) {
        s_push (&s->forward, now->forward_ns - s->last.forward_ns, now->n_forward - s->last.n_forward);
        s_push (&s->backward, now->backward_ns - s->last.backward_ns, now->n_backward - s->last.n_backward);
        if (now->wall_ns > s->last.wall_ns)
            s_push (&s->ratio, s_millionths (now->wall_ns - s->last.wall_ns),
                    now->forward_ns - s->last.forward_ns + now->backward_ns - s->last.backward_ns);
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

/* ---- what takes the processor away */
static uint32_t s_index (const rk_plan_t *plan, uint32_t node)
{
    uint32_t i = 0;
    while (i < plan->n_nodes && plan->nodes[i] != node)
        i++;
    return i;
}

/* The host whose cores are short, or all those whose are not. */
static uint64_t s_group (const rk_plan_t *plan, uint32_t node, bool *is_short)
{
    const uint32_t at = s_index (plan, node);
    uint32_t sharing = 0;
    for (uint32_t i = 0; i < plan->n_nodes && at < plan->n_nodes; i++)
        sharing += plan->node_hosts[i] == plan->node_hosts[at];
    *is_short = at < plan->n_nodes && sharing > plan->node_cores[at];
    return *is_short ? plan->node_hosts[at] : 0;
}

uint64_t rk_observed_stretch_ppm (const rk_observed_t *o, uint32_t stage)
{
    bool is_short, other_short;
    const uint64_t own = s_median (&o->stages[stage].ratio), group = s_group (o->plan, o->plan->stages[stage].node, &is_short);
    uint64_t least = own;
    for (uint32_t s = 0; own && s < o->plan->n_stages; s++) {
        const uint64_t ratio = s_median (&o->stages[s].ratio);
        if (ratio && ratio < least && s_group (o->plan, o->plan->stages[s].node, &other_short) == group && other_short == is_short)
            least = ratio;
    }
    const uint64_t stretch = least ? s_scale (own, 1000000, least) : 1000000;
    return stretch < RK_OBSERVED_STRETCHED ? 1000000 : stretch;
}

bool rk_observed_stage (const rk_observed_t *o, uint32_t stage, uint64_t *forward_ns, uint64_t *backward_ns)
{
    const s_stage_t *s = &o->stages[stage];
    const uint64_t forward = s_median (&s->forward), backward = s_median (&s->backward);
    if (!forward || !backward)
        return false;
    const uint64_t stretch = rk_observed_stretch_ppm (o, stage);
    const uint32_t ppm = s_speed_ppm (o->plan, o->plan->stages[stage].node);
    *forward_ns = s_scale (forward, stretch, ppm);
    *backward_ns = s_scale (backward, stretch, ppm);
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

/* ---- links */
static s_link_t *s_link (const rk_observed_t *o, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < o->n_links; i++)
        if (o->links[i].from == from && o->links[i].to == to)
            return &o->links[i];
    return NULL;
}

void rk_observed_link (rk_observed_t *o, uint32_t from, uint32_t to, uint64_t bytes_per_s)
{
    const uint32_t n = o->plan->n_nodes;
    s_link_t *link = s_link (o, from, to);
    if (!link && (from == to || s_index (o->plan, from) == n || s_index (o->plan, to) == n || o->n_links == n * LINKS))
        return;
    if (!link) {
        link = &o->links[o->n_links++];
        *link = (s_link_t){.from = from, .to = to};
    }
    s_push (&link->rate, bytes_per_s, 1);
}

static const rk_link_t *s_known (const rk_profiles_t *table, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < table->n_links; i++)
        if (table->links[i].from == from && table->links[i].to == to)
            return &table->links[i];
    return NULL;
}

uint64_t rk_observed_link_drift_ppm (const rk_observed_t *o, uint32_t stage, const rk_profiles_t *table)
{
    uint64_t worst = 0;
    for (uint32_t i = 0; i < o->n_links; i++) {
        const s_link_t *link = &o->links[i];
        const rk_link_t *known = link->from == o->plan->stages[stage].node ? s_known (table, link->from, link->to) : NULL;
        const uint64_t rate = known && known->bytes_per_s ? s_median (&link->rate) : 0;
        const uint64_t drift = rate ? s_scale (known->bytes_per_s, 1000000, rate) : 0;
        worst = drift > worst ? drift : worst;
    }
    return worst;
}

static rk_err_t s_add_links (const rk_observed_t *o, const rk_profiles_t *table, rk_profiles_t *fresh, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    for (size_t l = 0; !rc && l < table->n_links; l++)
        rc = rk_profiles_link (fresh, &table->links[l], err);
    for (uint32_t i = 0; !rc && i < o->n_links; i++) {
        const s_link_t *link = &o->links[i];
        const rk_link_t *known = s_known (table, link->from, link->to);
        const rk_link_t now = {link->from, link->to, s_median (&link->rate), known ? known->rtt_ns : 0};
        if (now.bytes_per_s)
            rc = rk_profiles_link (fresh, &now, err);
    }
    return rc;
}

/* The median drift of those that are observed, for those that are not; 1,000,000: fewer than two are. */
static uint64_t s_common_ppm (const rk_observed_t *o, const rk_profiles_t *table)
{
    uint64_t drifts[RK_MAX_FLEET];
    uint32_t n = 0;
    for (uint32_t s = 0; s < o->plan->n_stages && n < RK_MAX_FLEET; s++) {
        drifts[n] = rk_observed_drift_ppm (o, s, table);
        n += drifts[n] != 0;
    }
    qsort (drifts, n, sizeof *drifts, s_compare);
    return n < 2 ? 1000000 : drifts[n / 2];
}

/* Its layers elsewhere in the model change by the same factor: it is the node that is slower or faster. */
static rk_err_t s_add (const rk_observed_t *o, const rk_profile_t *p, uint32_t n_layers, uint64_t common_ppm, uint64_t *times,
                       rk_profiles_t *fresh, rk_error_t *err)
{
    uint32_t cluster, at;
    const uint32_t stage = rk_plan_stage_of_node (o->plan, p->id, &cluster, &at);
    uint64_t forward = 0, backward = 0, old_forward = 0, old_backward = 0;
    if (stage != RK_NO_NODE && o->plan->stages[stage].last <= n_layers && rk_observed_stage (o, stage, &forward, &backward)) {
        old_forward = s_sum (p->forward_ns, o->plan->stages[stage].first, o->plan->stages[stage].last);
        old_backward = s_sum (p->backward_ns, o->plan->stages[stage].first, o->plan->stages[stage].last);
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        times[l] = old_forward ? s_scale (p->forward_ns[l], forward, old_forward) : s_scale (p->forward_ns[l], common_ppm, 1000000);
        times[n_layers + l] =
            old_backward ? s_scale (p->backward_ns[l], backward, old_backward) : s_scale (p->backward_ns[l], common_ppm, 1000000);
    }
    rk_profile_t now = *p;
    now.forward_ns = times;
    now.backward_ns = times + n_layers;
    return rk_profiles_add (fresh, &now, n_layers, err);
}

rk_err_t rk_observed_table (const rk_observed_t *o, const rk_profiles_t *table, rk_profiles_t *fresh, rk_error_t *err)
{
    const uint64_t common_ppm = s_common_ppm (o, table);
    uint64_t *times = malloc ((2 * (size_t) table->n_layers + 1) * sizeof *times);
    *fresh = (rk_profiles_t){0};
    rk_err_t rc = times && !rk_profiles_init (fresh, table->n, table->n_layers)
                      ? RK_OK
                      : rk_error_set (err, RK_ENOMEM, "no memory for the figures of %u nodes", table->n);
    for (uint32_t i = 0; !rc && i < table->n; i++)
        rc = s_add (o, &table->nodes[i], table->n_layers, common_ppm, times, fresh, err);
    if (!rc)
        rc = s_add_links (o, table, fresh, err);
    free (times);
    if (rc)
        rk_profiles_clear (fresh);
    return rc;
}
