/* SPDX-License-Identifier: MPL-2.0
 * The stage of a process and what it keeps: minibatches down and up the pipeline, one exchange of all clusters at the
 * end of a round, states of the last rounds for whoever needs them next.                                  */
#include "tests/support/fleet_parts.h"

#define FETCH_MS 300

/* ---- keeper */
void fleet_keep (proc_t *p, uint64_t round, uint64_t lo, uint64_t hi, const float *x)
{
    state_t *at = NULL;
    for (uint32_t k = 0; k < KEPT; k++) {
        state_t *s = &p->kept[k];
        if (s->known && s->round == round && s->lo == lo && s->hi == hi)
            at = s;
    }
    for (uint32_t k = 0; k < KEPT && !at; k++)
        at = p->kept[k].known ? NULL : &p->kept[k];
    if (!at)
        abort (); /* committed rounds are forgotten in time */
    *at = (state_t){.known = true, .round = round, .lo = lo, .hi = hi};
    memcpy (at->x, x, (hi - lo) * sizeof *x);
}

void fleet_forget (proc_t *p, uint64_t below)
{
    for (uint32_t k = 0; k < KEPT; k++)
        if (p->kept[k].round < below)
            p->kept[k].known = false;
}

void fleet_forget_others (proc_t *p)
{
    for (uint32_t k = 0; k < KEPT; k++)
        if (!p->has_stage || p->kept[k].lo != p->lo || p->kept[k].hi != p->hi)
            p->kept[k].known = false;
}

/* What was applied beyond the round that a view begins with has been given up. */
static void s_forget_above (proc_t *p, uint64_t round)
{
    for (uint32_t k = 0; k < KEPT; k++)
        if (p->kept[k].round > round)
            p->kept[k].known = false;
}

/* ---- who is where */
uint32_t fleet_leader (const proc_t *p)
{
    const rk_view_member_t *leader = rk_view_leader (p->view);
    return leader ? leader->pid - 1 : NOBODY;
}

uint32_t fleet_stage_at (const fleet_t *w, const proc_t *p, uint32_t stage)
{
    (void) w;
    const rk_view_member_t *host = rk_view_host_of (p->view, p->plan->stages[stage].node);
    return host ? host->pid - 1 : NOBODY;
}

/* ---- life */
void fleet_stage_close (proc_t *p)
{
    while (p->early) {
        letter_t *letter = p->early;
        p->early = letter->next;
        fleet_drop (letter);
    }
    p->has_stage = false;
    p->n_tasks = p->n_done = 0;
}

static void s_begin_round (proc_t *p, uint64_t round)
{
    p->round = round;
    p->n_done = 0;
    p->closed = p->averaging = false;
    memset (p->heard_chunk, 0, sizeof p->heard_chunk);
}

/* Takes of a state what is still missing. */
static void s_fill (proc_t *p, uint64_t lo, uint64_t hi, const float *x)
{
    for (uint64_t i = lo > p->lo ? lo : p->lo; i < hi && i < p->hi; i++)
        if (!p->have[i]) {
            p->have[i] = true;
            p->live[i] = x[i - lo];
        }
}

void fleet_stage_open (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    fleet_stage_close (p);
    s_forget_above (p, p->view->round);
    p->halted = p->ready = false;
    const rk_view_member_t *self = rk_view_find (p->view, p->id);
    if (!p->plan || self->node == RK_NO_NODE)
        return;
    p->index = rk_plan_stage_of_node (p->plan, self->node, &p->cluster, &p->stage);
    if (p->index == RK_NO_NODE)
        return;
    p->has_stage = true;
    p->lo = p->plan->stages[p->index].flat_lo;
    p->hi = p->plan->stages[p->index].flat_hi;
    p->fetch_ms = w->now_ms;
    s_begin_round (p, p->view->round);
    memset (p->have, 0, sizeof p->have);
    for (uint32_t k = 0; k < KEPT; k++)
        if (p->kept[k].known && p->kept[k].round == p->view->round)
            s_fill (p, p->kept[k].lo, p->kept[k].hi, p->kept[k].x);
    for (uint64_t x = p->lo; p->view->round == 0 && x < p->hi; x++) {
        p->have[x] = true;
        p->live[x] = fleet_start (x);
    }
}

/* ---- the pipeline */
static void s_pass_on (fleet_t *w, uint32_t i, letter_kind_t kind, uint32_t stage, const task_t *task)
{
    proc_t *p = &w->procs[i];
    letter_t *l = fleet_letter (w, kind, i, kind == L_DONE ? fleet_leader (p) : fleet_stage_at (w, p, stage));
    l->f = task->f;
    l->round = task->round;
    l->a = p->cluster;
    fleet_post (w, l);
}

static void s_work (fleet_t *w, uint32_t i, const task_t *task)
{
    proc_t *p = &w->procs[i];
    const bool last = p->stage + 1 == p->plan->clusters[p->cluster].n_stages;
    if (!task->back && !last) {
        s_pass_on (w, i, L_ACT, p->index + 1, task);
        return;
    }
    if (!(w->config->corrupt & FLEET_CORRUPT_DROP && task->f % 37 == 5 && p->stage == 0))
        fleet_train (p->live, p->lo, p->hi, task->f);
    if (p->n_done < ROUND_MOST)
        p->done[p->n_done++] = task->f;
    if (p->stage)
        s_pass_on (w, i, L_GRAD, p->index - 1, task);
    else
        s_pass_on (w, i, L_DONE, 0, task);
}

static void s_task (fleet_t *w, proc_t *p, const letter_t *letter)
{
    if (p->n_tasks < sizeof p->tasks / sizeof *p->tasks && letter->round == p->round && p->ready)
        p->tasks[p->n_tasks++] = (task_t){letter->f, letter->round, w->now_ms + p->slow_ms, letter->kind == L_GRAD};
}

/* ---- averaging */
static void s_take_chunk (proc_t *p, const letter_t *letter)
{
    for (uint64_t x = letter->lo; x < letter->hi; x++) {
        p->heard_chunk[letter->a][x] = true;
        p->chunk[letter->a][x] = letter->x[x - letter->lo];
    }
}

/* What this stage holds goes to everybody whose range meets it. */
static void s_snapshot (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    p->averaging = true;
    fleet_truth_list (w, i);
    for (uint64_t x = p->lo; x < p->hi; x++) {
        p->heard_chunk[p->cluster][x] = true;
        p->chunk[p->cluster][x] = p->live[x];
    }
    for (uint32_t s = 0; s < p->plan->n_stages; s++) {
        const rk_plan_stage_t *other = &p->plan->stages[s];
        const uint64_t lo = other->flat_lo > p->lo ? other->flat_lo : p->lo,
                       hi = other->flat_hi < p->hi ? other->flat_hi : p->hi;
        if (s == p->index || lo >= hi)
            continue;
        letter_t *l = fleet_letter (w, L_CHUNK, i, fleet_stage_at (w, p, s));
        l->round = p->round;
        l->lo = lo;
        l->hi = hi;
        l->a = p->cluster;
        l->x = malloc ((hi - lo) * sizeof *l->x);
        if (!l->x)
            abort ();
        memcpy (l->x, p->live + lo, (hi - lo) * sizeof *l->x);
        fleet_post (w, l);
    }
    for (letter_t **at = &p->early; *at;) {
        letter_t *l = *at;
        if (l->round > p->round) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        if (l->round == p->round)
            s_take_chunk (p, l);
        fleet_drop (l);
    }
}

static bool s_all_here (const proc_t *p)
{
    for (uint32_t c = 0; c < p->plan->n_clusters; c++)
        for (uint64_t x = p->lo; x < p->hi; x++)
            if (!p->heard_chunk[c][x])
                return false;
    return true;
}

static void s_apply (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    for (uint64_t x = p->lo; x < p->hi; x++) {
        float sum = 0;
        for (uint32_t c = 0; c < p->plan->n_clusters; c++)
            sum += p->chunk[c][x];
        p->live[x] = sum / (float) p->plan->n_clusters;
    }
    fleet_truth_applied (w, i, p->round, p->live);
    fleet_keep (p, p->round + 1, p->lo, p->hi, p->live + p->lo);
    letter_t *l = fleet_letter (w, L_APPLIED, i, fleet_leader (p));
    l->round = p->round;
    l->a = p->index;
    fleet_post (w, l);
    s_begin_round (p, p->round + 1);
}

/* ---- handing over */
static void s_fetch (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    p->fetch_ms = w->now_ms + FETCH_MS;
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        const uint32_t q = fleet_proc_of (p->view, p->view->members[k].id);
        letter_t *l = q == i ? NULL : fleet_letter (w, L_FETCH, i, q);
        if (!l)
            continue;
        l->round = p->view->round;
        l->lo = p->lo;
        l->hi = p->hi;
        fleet_post (w, l);
    }
}

static void s_give (fleet_t *w, uint32_t i, const letter_t *asked)
{
    const proc_t *p = &w->procs[i];
    for (uint32_t k = 0; k < KEPT; k++) {
        const state_t *s = &p->kept[k];
        if (!s->known || s->round != asked->round || s->lo >= asked->hi || s->hi <= asked->lo)
            continue;
        letter_t *l = fleet_letter (w, L_STATE, i, asked->from);
        l->round = s->round;
        l->lo = s->lo;
        l->hi = s->hi;
        l->x = malloc ((s->hi - s->lo) * sizeof *l->x);
        if (!l->x)
            abort ();
        memcpy (l->x, s->x, (s->hi - s->lo) * sizeof *l->x);
        fleet_post (w, l);
    }
}

static void s_try_ready (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    for (uint64_t x = p->lo; x < p->hi; x++)
        if (!p->have[x]) {
            if (w->now_ms >= p->fetch_ms)
                s_fetch (w, i);
            return;
        }
    p->ready = true;
    fleet_keep (p, p->view->round, p->lo, p->hi, p->live + p->lo);
    letter_t *l = fleet_letter (w, L_READY, i, fleet_leader (p));
    l->a = p->index;
    fleet_post (w, l);
}

/* ---- the clock and the letters */
void fleet_stage_tick (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    if (!p->has_stage || p->halted)
        return;
    if (!p->ready)
        s_try_ready (w, i);
    if (!p->ready)
        return;
    if (p->n_tasks && p->tasks[0].ready_ms <= w->now_ms) {
        const task_t task = p->tasks[0];
        memmove (p->tasks, p->tasks + 1, --p->n_tasks * sizeof *p->tasks);
        s_work (w, i, &task);
    }
    if (p->closed && !p->averaging && p->n_done >= p->count)
        s_snapshot (w, i);
    if (p->averaging && s_all_here (p))
        s_apply (w, i);
}

void fleet_stage_take (fleet_t *w, letter_t *letter)
{
    proc_t *p = &w->procs[letter->to];
    if (letter->kind == L_FETCH) { /* also while it has stopped */
        s_give (w, letter->to, letter);
        return;
    }
    if (letter->kind == L_COMMITTED) {
        if (!p->halted) {
            p->committed = letter->round + 1;
            fleet_forget (p, letter->round + 1);
        }
        return;
    }
    if (letter->kind == L_START && !p->halted)
        fleet_forget_others (p);
    if (!p->has_stage || p->halted)
        return;
    if (letter->kind == L_STATE && letter->round == p->view->round && !p->ready)
        s_fill (p, letter->lo, letter->hi, letter->x);
    else if (letter->kind == L_GRANT || letter->kind == L_ACT || letter->kind == L_GRAD)
        s_task (w, p, letter);
    else if (letter->kind == L_CLOSED && letter->round == p->round) {
        p->closed = true;
        p->count = letter->a;
    } else if (letter->kind == L_CHUNK && letter->round >= p->round) {
        if (p->averaging && letter->round == p->round) {
            s_take_chunk (p, letter);
            return;
        }
        letter->next = p->early;
        p->early = letter;
        letter->to = NOBODY;
    }
}
