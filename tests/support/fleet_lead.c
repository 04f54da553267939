/* SPDX-License-Identifier: MPL-2.0
 * What the leader of a view does: leases, rounds, joiners and leavers.                                    */
#include "tests/support/fleet_parts.h"

#define PATIENCE_MS 3000 /* without any progress */

void fleet_lead (fleet_t *w, proc_t *p)
{
    rk_lease_table_destroy (&p->leases);
    p->n_ready = 0;
    p->n_waiting = 0;
    memset (p->retires, 0, sizeof p->retires);
    memset (p->is_ready, 0, sizeof p->is_ready);
    memset (p->under_way, 0, sizeof p->under_way);
    p->next_close = p->view->round;
    p->progress_ms = w->now_ms;
    if (p->plan && rk_lease_table_new (&p->leases, p->plan, p->view->round, NULL))
        abort ();
}

static void s_serve (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    if (!p->plan || p->n_ready < p->plan->n_stages)
        return;
    for (uint32_t c = 0; c < p->plan->n_clusters; c++)
        while (p->under_way[c] < WINDOW) {
            uint64_t f, round;
            if (!rk_lease_grant (p->leases, c, 1, &f, &round))
                break;
            letter_t *grant = fleet_letter (w, L_GRANT, i, fleet_stage_at (w, p, p->plan->clusters[c].first_stage));
            grant->f = f;
            grant->round = round;
            fleet_post (w, grant);
            p->under_way[c]++;
        }
    uint64_t counts[PROCS], samples[PROCS];
    while (p->next_close < rk_round_n (p->plan) && rk_lease_closed (p->leases, p->next_close, counts, samples)) {
        for (uint32_t s = 0; s < p->plan->n_stages; s++) {
            letter_t *closed = fleet_letter (w, L_CLOSED, i, fleet_stage_at (w, p, s));
            uint32_t c = 0;
            while (c + 1 < p->plan->n_clusters && p->plan->clusters[c + 1].first_stage <= s)
                c++;
            closed->round = p->next_close;
            closed->a = counts[c];
            fleet_post (w, closed);
        }
        p->next_close++;
    }
}

void fleet_lead_tick (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    if (rk_membership_state (p->m) != RK_MEMBERSHIP_STEADY)
        return;
    s_serve (w, i);
    const bool idle = !p->plan || p->n_ready < p->plan->n_stages;
    if ((p->n_waiting && idle && !p->plan) || (p->plan && w->now_ms - p->progress_ms > PATIENCE_MS))
        rk_membership_want (p->m, w->now_ms);
    if (p->leases && rk_lease_done (p->leases))
        w->result->finished = true;
}

static void s_tell_members (fleet_t *w, uint32_t i, letter_kind_t kind, uint64_t round)
{
    const proc_t *p = &w->procs[i];
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        letter_t *told = fleet_letter (w, kind, i, fleet_proc_of (p->view, p->view->members[k].id));
        told->round = round;
        fleet_post (w, told);
    }
}

static void s_on_applied (fleet_t *w, uint32_t i, const letter_t *letter)
{
    proc_t *p = &w->procs[i];
    bool committed = false;
    p->progress_ms = w->now_ms;
    if (!p->leases || rk_lease_applied (p->leases, letter->round, (uint32_t) letter->a, &committed, NULL))
        return;
    if (!committed && !(w->config->corrupt & FLEET_CORRUPT_EARLY))
        return;
    fleet_truth_committed (w, i, letter->round);
    s_tell_members (w, i, L_COMMITTED, letter->round);
    if (p->n_waiting)
        rk_membership_want (p->m, w->now_ms);
}

void fleet_lead_take (fleet_t *w, uint32_t i, const letter_t *letter)
{
    proc_t *p = &w->procs[i];
    const bool stopped =
        rk_membership_state (p->m) != RK_MEMBERSHIP_STEADY && !(w->config->corrupt & FLEET_CORRUPT_GO_ON);
    if (fleet_leader (p) != i || stopped)
        return;
    p->progress_ms = w->now_ms;
    if (letter->kind == L_READY && p->plan && letter->a < p->plan->n_stages && !p->is_ready[letter->a]) {
        p->is_ready[letter->a] = true;
        if (++p->n_ready == p->plan->n_stages)
            s_tell_members (w, i, L_START, 0);
    } else if (letter->kind == L_DONE && p->under_way[letter->a])
        p->under_way[letter->a]--;
    else if (letter->kind == L_APPLIED)
        s_on_applied (w, i, letter);
}

/* First its stage goes to others, from whose hands nothing is lost; then it may go itself. */
void fleet_lead_leave (fleet_t *w, uint32_t i, uint32_t from)
{
    proc_t *p = &w->procs[i];
    const rk_view_member_t *m = rk_view_find (p->view, w->procs[from].id);
    p->retires[from] = true;
    if (m && m->node != RK_NO_NODE)
        rk_membership_want (p->m, w->now_ms);
    else if (m && (!p->plan || p->n_ready == p->plan->n_stages))
        rk_membership_leaving (p->m, m->id, w->now_ms);
}
