/* SPDX-License-Identifier: MPL-2.0
 * What a process's coordinator does, with the real membership: heartbeats, stopping, making the next view, installing
 * it, joining, and, where it leads, leases and rounds.                                                    */
#include "tests/support/fleet_parts.h"

#define BEAT_MS    200
#define HELLO_MS   400

/* ---- in and out of views */
void fleet_member_open (fleet_t *w, uint32_t i, const rk_view_t *view, const uint8_t *decision, size_t size,
                        const rk_membership_t *before)
{
    proc_t *p = &w->procs[i];
    rk_error_t err = {RK_OK, ""};
    for (uint32_t k = 0; k < view->n_members; k++)
        if (fleet_proc_of (view, view->members[k].id) == i)
            p->id = view->members[k].id;
    uint8_t *bytes = malloc (size ? size : 1);
    rk_view_t *copy = NULL;
    if (!bytes || rk_view_copy (&copy, view))
        abort ();
    memcpy (bytes, decision, size);
    const rk_membership_config_t config = {.view = view,
                                           .self = p->id,
                                           .survey_ms = 1500,
                                           .retry_ms = 150,
                                           .seed = w->config->seed + i,
                                           .before = before,
                                           .decision = bytes,
                                           .decision_size = size,
                                           .corrupt = w->config->corrupt & 15};
    rk_membership_t *m = NULL;
    if (rk_membership_new (&m, &config, w->now_ms, &err))
        fleet_broken (w, "process %u cannot take part in view %llu: %s", i, (unsigned long long) view->number,
                      err.text);
    rk_membership_destroy (&p->m);
    rk_view_destroy (&p->view);
    free (p->decision);
    rk_plan_destroy (&p->plan);
    p->m = m;
    p->view = copy;
    p->decision = bytes;
    p->decision_size = size;
    p->joined = m;
    p->sits_ms = 0;
    p->committed = p->committed < view->round ? p->committed : view->round; /* less than before: it was lost */
    if (view->plan_size && rk_plan_decode (&p->plan, view->plan, view->plan_size, &err))
        fleet_broken (w, "view %llu has no plan: %s", (unsigned long long) view->number, err.text);
    if (!m)
        return;
    for (uint32_t q = 0; q < PROCS; q++)
        p->heard[q] = w->now_ms;
    fleet_truth_view (w, i);
    fleet_stage_open (w, i);
    if (fleet_leader (p) == i)
        fleet_lead (w, p);
}

void fleet_member_close (proc_t *p)
{
    fleet_stage_close (p);
    rk_membership_destroy (&p->m);
    rk_view_destroy (&p->view);
    rk_plan_destroy (&p->plan);
    rk_lease_table_destroy (&p->leases);
    free (p->decision);
    p->decision = NULL;
    p->joined = false;
}

/* Others have gone on: what this process keeps may be of a branch that was given up. */
static void s_join_again (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    fleet_say (w, "process %u (member %u) joins again", i, p->id);
    fleet_member_close (p);
    memset (p->kept, 0, sizeof p->kept);
    p->committed = 0;
    p->n_waiting = 0;
    p->hello_ms = w->now_ms;
}

/* ---- the next view */
static uint32_t s_members (fleet_t *w, proc_t *p, rk_view_member_t *list, uint32_t *next_id, uint32_t *next_node)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < p->view->n_members; k++)
        if (rk_membership_goes_on (p->m, p->view->members[k].id, w->now_ms)) {
            list[n] = p->view->members[k];
            list[n].node = p->retires[list[n].pid - 1] ? RK_NO_NODE : list[n].node;
            n++;
        }
    for (uint32_t k = 0; k < p->n_waiting; k++) {
        const uint32_t q = p->waiting[k];
        bool is_in = false; /* another leader has taken it in meanwhile */
        for (uint32_t m = 0; m < n; m++)
            is_in |= list[m].pid == q + 1;
        if (is_in)
            continue;
        list[n] =
            (rk_view_member_t){.id = (*next_id)++, .node = (*next_node)++, .pid = q + 1, .host = w->procs[q].host};
        snprintf (list[n].name, sizeof list[n].name, "p%u", q);
        n++;
    }
    return n;
}

static rk_plan_t *s_plan (fleet_t *w, const proc_t *p, const rk_view_member_t *list, uint32_t n, uint64_t number,
                          uint64_t round)
{
    uint64_t ns[LAYERS];
    rk_profile_t nodes[PROCS];
    uint32_t n_nodes = 0;
    rk_settings_t s = w->settings;
    for (uint32_t l = 0; l < LAYERS; l++)
        ns[l] = 1000000;
    for (uint32_t k = 0; k < n; k++)
        if (list[k].node != RK_NO_NODE)
            nodes[n_nodes++] = (rk_profile_t){.id = list[k].node,
                                              .host = list[k].host,
                                              .cores = 64,
                                              .speed_ppm = 1000000,
                                              .forward_ns = ns,
                                              .backward_ns = ns};
    if (!n_nodes)
        return NULL;
    s.n_layout = n_nodes < 2 ? 1 : n_nodes / 2;
    for (uint32_t c = 0; c < s.n_layout; c++)
        s.fleet_layout[c] = n_nodes < 2 ? 1 : 2 + (c == 0 && n_nodes % 2);
    rk_plan_t *plan = NULL;
    rk_error_t err = {RK_OK, ""};
    const rk_fleet_t fleet = {.nodes = nodes, .n_nodes = n_nodes};
    rk_err_t rc = rk_plan_make (&plan, number, &fleet, &w->model, &s, "", &err);
    if (!rc)
        rc = rk_plan_set_cursor (plan, round, fleet_truth_cursor (w, number, round), 0, &err);
    if (rc)
        fleet_broken (w, "no plan for %u nodes: %s", n_nodes, err.text);
    return plan;
}

static void s_remember (fleet_t *w, uint64_t number, const rk_view_member_t *list, uint32_t n)
{
    proposal_t *proposal = &w->proposals[w->n_proposals++ % PROPOSALS];
    *proposal = (proposal_t){.number = number, .n = n};
    for (uint32_t k = 0; k < n; k++)
        proposal->procs[k] = list[k].pid - 1;
}

static void s_propose (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    rk_view_member_t list[PROCS];
    uint32_t next_id = p->view->next_id, next_node = p->view->next_node;
    const uint64_t round = fleet_round_to_go_on (w, p), number = p->view->number + 1;
    const uint32_t n = s_members (w, p, list, &next_id, &next_node);
    rk_plan_t *plan = s_plan (w, p, list, n, number, round);
    size_t size = plan ? rk_plan_encode (plan, NULL, 0) : 0;
    uint8_t *bytes = malloc (size + 1);
    rk_view_t *view = NULL;
    if (!bytes || (plan && rk_plan_encode (plan, bytes, size) != size) ||
        rk_view_new (&view, n, plan ? bytes : NULL, size))
        abort ();
    view->number = number;
    view->round = round;
    view->next_id = next_id;
    view->next_node = next_node;
    memcpy (view->members, list, n * sizeof *list);
    size = rk_view_encode (view, NULL, 0);
    uint8_t *value = malloc (size);
    if (!value || rk_view_encode (view, value, size) != size || rk_membership_propose (p->m, value, size, w->now_ms))
        abort ();
    s_remember (w, number, list, n);
    fleet_say (w, "process %u proposes view %llu: %u members, round %llu", i, (unsigned long long) number, n,
               (unsigned long long) round);
    free (value);
    free (bytes);
    rk_view_destroy (&view);
    rk_plan_destroy (&plan);
}

static void s_install (fleet_t *w, uint32_t i, const uint8_t *bytes, size_t size)
{
    proc_t *p = &w->procs[i];
    rk_error_t err = {RK_OK, ""};
    rk_view_t *view = NULL;
    if (rk_view_decode (&view, bytes, size, &err)) {
        fleet_broken (w, "process %u cannot read a view: %s", i, err.text);
        return;
    }
    bool in = false;
    for (uint32_t k = 0; k < view->n_members; k++)
        in |= fleet_proc_of (view, view->members[k].id) == i;
    if (in)
        fleet_member_open (w, i, view, bytes, size, p->m);
    else if (p->leaves)
        p->dead = true;
    else
        s_join_again (w, i);
    rk_view_destroy (&view);
}

/* ---- the clock */

static void s_beat (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        const uint32_t id = p->view->members[k].id, q = fleet_proc_of (p->view, id);
        if (q == i)
            continue;
        letter_t *beat = fleet_letter (w, L_BEAT, i, q);
        beat->a = w->now_ms - p->heard[q] < rk_membership_deadline_ms (p->m, id);
        fleet_post (w, beat);
        if (w->procs[q].dead && w->procs[q].host == p->host)
            rk_membership_dead (p->m, id, w->now_ms);
        const bool unheard =
            rk_membership_first (p->m, w->now_ms) == p->id && p->view->number > 1 && !w->procs[q].joined;
        if (unheard) { /* a joiner is told what it is in, also when its leader has died meanwhile */
            const rk_agree_msg_t welcome = {.kind = RK_AGREE_PAXOS,
                                            .view = p->view->number - 1,
                                            .paxos = {.kind = RK_PAXOS_DECIDED,
                                                      .view = p->view->number - 1,
                                                      .value = p->decision,
                                                      .size = p->decision_size}};
            fleet_post_agree (w, i, q, &welcome);
        }
    }
    if (p->leaves && fleet_leader (p) != i)
        fleet_post (w, fleet_letter (w, L_LEAVE, i, fleet_leader (p)));
    else if (p->leaves)
        fleet_lead_leave (w, i, i);
    p->beat_ms = w->now_ms + BEAT_MS;
}

/* Connections end with a process, and now and then for no reason; machines are asked about those who hung up. What ends
 * takes a moment to be gone, and of the living some are said not to listen either.                        */
static void s_look_for_ends (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    const bool calm = w->config->calm || w->now_ms >= w->quiet_from_ms;
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        const uint32_t id = p->view->members[k].id, q = fleet_proc_of (p->view, id);
        if (q == i || p->hung_up[q] || (!w->procs[q].dead && (calm || noise_between (&w->noise, 0, 99999))))
            continue;
        p->hung_up[q] = w->procs[q].dead;
        rk_membership_hung_up (p->m, id, w->now_ms);
    }
    for (uint32_t id; (id = rk_membership_ask (p->m, w->now_ms)) != UINT32_MAX;) {
        const uint32_t q = fleet_proc_of (p->view, id);
        if (w->procs[q].dead ? !noise_between (&w->noise, 0, 3) : calm || noise_between (&w->noise, 0, 3))
            continue;
        letter_t *answer = fleet_letter (w, L_REFUSED, q, i);
        answer->a = (uint64_t) w->now_ms;
        w->result->refused++;
        fleet_post (w, answer);
    }
}

static void s_send (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    rk_agree_msg_t msg;
    uint32_t to;
    while (rk_membership_outgoing (p->m, &to, &msg)) {
        uint32_t q = 0; /* also to those of other views */
        while (q < w->n_procs && (w->procs[q].id != to || !w->procs[q].used))
            q++;
        if (q < w->n_procs && q != i)
            fleet_post_agree (w, i, q, &msg);
    }
}

static void s_tick_joiner (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    if (w->now_ms < p->hello_ms)
        return;
    p->hello_ms = w->now_ms + HELLO_MS;
    const uint32_t q = (uint32_t) noise_between (&w->noise, 0, w->n_procs - 1);
    if (q != i)
        fleet_post (w, fleet_letter (w, L_HELLO, i, q));
}

void fleet_member_tick (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    if (!p->joined) {
        s_tick_joiner (w, i);
        return;
    }
    rk_membership_tick (p->m, w->now_ms);
    s_look_for_ends (w, i);
    if (w->now_ms >= p->beat_ms)
        s_beat (w, i);
    if (rk_membership_must_stop (p->m)) {
        p->halted = !(w->config->corrupt & FLEET_CORRUPT_GO_ON);
        if (!p->sits_ms)
            p->sits_ms = w->now_ms + (int64_t) noise_between (&w->noise, 1, 60);
        if (w->now_ms >= p->sits_ms)
            fleet_stand (w, i);
    }
    if (fleet_leader (p) == i)
        fleet_lead_tick (w, i);
    if (rk_membership_state (p->m) == RK_MEMBERSHIP_PROPOSE && !fleet_waits_for_state (w, p))
        s_propose (w, i);
    s_send (w, i);
    fleet_stage_tick (w, i);
    if (rk_membership_state (p->m) == RK_MEMBERSHIP_LEFT)
        s_join_again (w, i);
    else if (rk_membership_state (p->m) == RK_MEMBERSHIP_DECIDED) {
        size_t size;
        const uint8_t *bytes = rk_membership_decided (p->m, &size);
        s_install (w, i, bytes, size);
    }
}

/* ---- letters */
static void s_on_agree (fleet_t *w, uint32_t i, letter_t *letter)
{
    proc_t *p = &w->procs[i];
    const rk_agree_msg_t msg = fleet_read_agree (letter);
    if (p->joined) {
        rk_error_t err = {RK_OK, ""};
        rk_err_t rc = rk_membership_receive (p->m, w->procs[letter->from].id, &msg, w->now_ms, &err);
        if (rc == RK_EFORMAT && !w->config->corrupt && w->procs[letter->from].joined)
            fleet_say (w, "process %u: %s", i, err.text);
        return;
    }
    if (msg.kind != RK_AGREE_PAXOS || msg.paxos.kind != RK_PAXOS_DECIDED)
        return;
    rk_view_t *view = NULL;
    if (rk_view_decode (&view, msg.paxos.value, msg.paxos.size, NULL))
        return;
    bool in = false;
    for (uint32_t k = 0; k < view->n_members; k++)
        in |= fleet_proc_of (view, view->members[k].id) == i && view->members[k].id > p->id;
    rk_view_destroy (&view);
    if (in)
        s_install (w, i, msg.paxos.value, msg.paxos.size);
}

static void s_on_beat (fleet_t *w, uint32_t i, const letter_t *letter)
{
    proc_t *p = &w->procs[i];
    if (!p->joined)
        return;
    const uint32_t id = w->procs[letter->from].id;
    if (letter->view != p->view->number)
        rk_membership_other_view (p->m, id, letter->view, w->now_ms);
    else {
        p->heard[letter->from] = w->now_ms;
        rk_membership_heard (p->m, id, letter->a, w->now_ms);
    }
}

static void s_on_hello (fleet_t *w, uint32_t i, const letter_t *letter)
{
    proc_t *p = &w->procs[i];
    const uint32_t joiner = letter->a ? (uint32_t) letter->a - 1 : letter->from;
    if (!p->joined)
        return;
    if (fleet_leader (p) != i) {
        letter_t *relay = fleet_letter (w, L_HELLO, i, fleet_leader (p));
        relay->a = joiner + 1;
        fleet_post (w, relay);
        return;
    }
    for (uint32_t k = 0; k < p->n_waiting; k++)
        if (p->waiting[k] == joiner)
            return;
    for (uint32_t k = 0; k < p->view->n_members; k++)
        if (fleet_proc_of (p->view, p->view->members[k].id) == joiner) {
            /* In the view already: welcomed again with the next heartbeat, unless it is its former life that is. */
            if (p->view->members[k].id == w->procs[joiner].id)
                rk_membership_leaving (p->m, p->view->members[k].id, w->now_ms);
            return;
        }
    if (p->n_waiting < PROCS)
        p->waiting[p->n_waiting++] = joiner;
}

void fleet_member_take (fleet_t *w, letter_t *letter)
{
    const uint32_t i = letter->to;
    proc_t *p = &w->procs[i];
    const bool own_view = p->view && (letter->view == p->view->number || w->config->corrupt & FLEET_CORRUPT_STALE);
    switch (letter->kind) {
    case L_AGREE: s_on_agree (w, i, letter); break;
    case L_BEAT: s_on_beat (w, i, letter); break;
    case L_HELLO: s_on_hello (w, i, letter); break;
    case L_REFUSED:
        if (p->joined)
            rk_membership_refused (p->m, w->procs[letter->from].id, (int64_t) letter->a, w->now_ms);
        break;
    case L_LEAVE:
        if (p->joined && own_view)
            fleet_lead_leave (w, i, letter->from);
        break;
    case L_DONE:
    case L_APPLIED:
    case L_READY:
        if (p->joined && own_view)
            fleet_lead_take (w, i, letter);
        break;
    default:
        if (p->joined && own_view)
            fleet_stage_take (w, letter);
        break;
    }
    if (letter->to != NOBODY)
        fleet_drop (letter);
}
