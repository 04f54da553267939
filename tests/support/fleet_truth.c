/* SPDX-License-Identifier: MPL-2.0
 * Sees everything. One decision per view number; a view begins with a round that no leader has committed beyond; what
 * a round trained is exactly its minibatches, each once; what every stage applies is, bit for bit, what one process
 * that does the same by itself would have.                                                                */
#include "tests/support/fleet_parts.h"

static truth_view_t *s_view (fleet_t *w, uint64_t number)
{
    for (uint32_t v = 0; v < w->n_views; v++)
        if (w->views[v]->number == number)
            return w->views[v];
    return NULL;
}

static truth_round_t *s_round (fleet_t *w, uint32_t p, uint64_t round)
{
    truth_view_t *v = s_view (w, w->procs[p].view->number);
    if (!v || round < v->round || round - v->round >= ROUNDS) {
        fleet_broken (w, "process %u is at round %llu of view %llu", p, (unsigned long long) round,
                      (unsigned long long) w->procs[p].view->number);
        return NULL;
    }
    return &v->rounds[round - v->round];
}

/* Whether the members of the new view that were there before keep the whole of a state. */
static bool s_kept (fleet_t *w, const rk_view_t *view, uint64_t round)
{
    bool have[FLOATS] = {false};
    for (uint32_t k = 0; k < view->n_members; k++) {
        const proc_t *p = &w->procs[fleet_proc_of (view, view->members[k].id)];
        for (uint32_t s = 0; s < KEPT; s++)
            for (uint64_t x = p->kept[s].lo; p->kept[s].known && p->kept[s].round == round && x < p->kept[s].hi; x++)
                have[x] = true;
    }
    for (uint32_t x = 0; x < FLOATS; x++)
        if (!have[x])
            return false;
    return true;
}

/* The newest view before `number` that begins no later than with `round`: the one before, unless it began with a round that
 * was not committed and whose state is lost since.                                                        */
static truth_view_t *s_view_of (fleet_t *w, uint64_t number, uint64_t round)
{
    truth_view_t *v = s_view (w, number - 1);
    while (v && v->round > round)
        v = s_view (w, v->number - 1);
    return v;
}

uint64_t fleet_truth_cursor (fleet_t *w, uint64_t number, uint64_t round)
{
    const truth_view_t *v = round ? s_view_of (w, number, round) : NULL;
    return v && v->plan ? rk_round_cursor (v->plan, round) : 0;
}

/* The state that a view begins with, from the view before. */
static void s_begin (fleet_t *w, truth_view_t *v, const rk_view_t *view)
{
    truth_view_t *before = s_view_of (w, v->number, v->round);
    const unsigned long long number = v->number, round = v->round;
    if (v->round < w->committed) {
        if (v->round || s_kept (w, view, w->committed))
            fleet_broken (w, "view %llu goes on with round %llu, but %llu rounds were committed", number, round,
                          (unsigned long long) w->committed);
        w->committed = v->round; /* nobody alive has it: from the beginning */
    }
    if (!v->round) {
        for (uint32_t x = 0; x < FLOATS; x++)
            v->start[x] = fleet_start (x);
        return;
    }
    if (!before) {
        fleet_broken (w, "view %llu has no view before it", number);
        return;
    }
    for (uint64_t r = v->round; r < before->round + ROUNDS; r++)
        w->result->redone += r >= before->round && before->rounds[r - before->round].listed[0];
    if (v->round == before->round)
        memcpy (v->start, before->start, sizeof v->start);
    else if (v->round > before->round && before->rounds[v->round - 1 - before->round].computed)
        memcpy (v->start, before->rounds[v->round - 1 - before->round].after, sizeof v->start);
    else
        fleet_broken (w, "view %llu goes on with round %llu, which nobody has applied", number, round);
}

void fleet_truth_view (fleet_t *w, uint32_t p)
{
    const proc_t *proc = &w->procs[p];
    truth_view_t *v = s_view (w, proc->view->number);
    fleet_mix (w, proc->view->number * 1000 + p);
    if (v) {
        if (v->size != proc->decision_size || memcmp (v->bytes, proc->decision, v->size))
            fleet_broken (w, "process %u follows another view %llu than others", p, (unsigned long long) v->number);
        return;
    }
    if (w->n_views == VIEWS) {
        fleet_broken (w, "more than %u views", VIEWS);
        return;
    }
    v = calloc (1, sizeof *v);
    if (!v || !(v->bytes = malloc (proc->decision_size + 1)))
        abort ();
    v->number = proc->view->number;
    v->round = proc->view->round;
    v->size = proc->decision_size;
    memcpy (v->bytes, proc->decision, v->size);
    if (proc->plan && rk_plan_copy (&v->plan, proc->plan))
        abort ();
    w->views[w->n_views++] = v;
    w->result->views = v->number;
    s_begin (w, v, proc->view);
    fleet_say (w, "view %llu: %u members, round %llu", (unsigned long long) v->number, proc->view->n_members,
               (unsigned long long) v->round);
}

void fleet_truth_list (fleet_t *w, uint32_t p)
{
    const proc_t *proc = &w->procs[p];
    truth_round_t *r = s_round (w, p, proc->round);
    const uint32_t c = proc->cluster;
    if (!r)
        return;
    if (r->listed[c] &&
        (r->n_lists[c] != proc->n_done || memcmp (r->lists[c], proc->done, proc->n_done * sizeof *proc->done)))
        fleet_broken (w, "two stages of cluster %u have trained different minibatches in round %llu", c,
                      (unsigned long long) proc->round);
    r->listed[c] = true;
    r->n_lists[c] = proc->n_done;
    memcpy (r->lists[c], proc->done, proc->n_done * sizeof *proc->done);
}

/* Each minibatch of the round exactly once. */
static void s_check_cursor (fleet_t *w, const truth_view_t *v, const truth_round_t *r, uint64_t round)
{
    uint64_t first, end;
    bool seen[ROUND_MOST * CLUSTERS] = {false};
    rk_round_range (v->plan, round, &first, &end);
    uint64_t n = 0;
    for (uint32_t c = 0; c < v->plan->n_clusters; c++)
        for (uint32_t k = 0; k < r->n_lists[c]; k++, n++) {
            const uint64_t f = r->lists[c][k];
            if (f < first || f >= end || seen[f - first])
                fleet_broken (w, "minibatch %llu is not of round %llu, or trained twice", (unsigned long long) f,
                              (unsigned long long) round);
            else
                seen[f - first] = true;
        }
    if (n != end - first)
        fleet_broken (w, "round %llu has trained %llu of %llu minibatches", (unsigned long long) round,
                      (unsigned long long) n, (unsigned long long) (end - first));
}

static void s_compute (fleet_t *w, truth_view_t *v, truth_round_t *r, uint64_t round)
{
    const float *before = round == v->round ? v->start : r[-1].after;
    float x[CLUSTERS][FLOATS];
    s_check_cursor (w, v, r, round);
    for (uint32_t c = 0; c < v->plan->n_clusters; c++) {
        memcpy (x[c], before, sizeof x[c]);
        for (uint32_t k = 0; k < r->n_lists[c]; k++)
            fleet_train (x[c], 0, FLOATS, r->lists[c][k]);
    }
    for (uint32_t i = 0; i < FLOATS; i++) {
        float sum = 0;
        for (uint32_t c = 0; c < v->plan->n_clusters; c++)
            sum += x[c][i];
        r->after[i] = sum / (float) v->plan->n_clusters;
    }
    r->computed = true;
}

void fleet_truth_applied (fleet_t *w, uint32_t p, uint64_t round, const float *x)
{
    const proc_t *proc = &w->procs[p];
    truth_view_t *v = s_view (w, proc->view->number);
    truth_round_t *r = s_round (w, p, round);
    if (!r || !v)
        return;
    if (round > v->round && !r[-1].computed) {
        fleet_broken (w, "process %u applies round %llu before the one before it", p, (unsigned long long) round);
        return;
    }
    if (!r->computed)
        s_compute (w, v, r, round);
    if (memcmp (x + proc->lo, r->after + proc->lo, (proc->hi - proc->lo) * sizeof *x))
        fleet_broken (
            w, "process %u (cluster %u, floats %llu to %llu) is not what it must be after round %llu of view %llu", p,
            proc->cluster, (unsigned long long) proc->lo, (unsigned long long) proc->hi, (unsigned long long) round,
            (unsigned long long) v->number);
    r->n_applied++;
}

void fleet_truth_committed (fleet_t *w, uint32_t p, uint64_t round)
{
    const truth_view_t *v = s_view (w, w->procs[p].view->number), *newest = w->views[w->n_views - 1];
    const truth_round_t *r = s_round (w, p, round);
    if (!r)
        return;
    if (r->n_applied < v->plan->n_stages)
        fleet_broken (w, "round %llu is committed, but %u of %u stages have applied it", (unsigned long long) round,
                      r->n_applied, v->plan->n_stages);
    if (newest != v && newest->round < round + 1)
        fleet_broken (w, "round %llu is committed in view %llu, but view %llu does not know",
                      (unsigned long long) round, (unsigned long long) v->number,
                      (unsigned long long) newest->number);
    if (round + 1 <= w->committed)
        return;
    w->committed = w->result->rounds = round + 1;
    if (w->now_ms - w->last_commit_ms > w->result->longest_stall_ms)
        w->result->longest_stall_ms = w->now_ms - w->last_commit_ms;
    w->last_commit_ms = w->now_ms;
}

void fleet_truth_close (fleet_t *w)
{
    for (uint32_t v = 0; v < w->n_views; v++) {
        free (w->views[v]->bytes);
        rk_plan_destroy (&w->views[v]->plan);
        free (w->views[v]);
    }
}
