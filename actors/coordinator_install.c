/* SPDX-License-Identifier: MPL-2.0
 * A decided view is taken into use: who is there, who leads, whom to dial, and the plan goes to the parent.      */
#include "actors/coordinator_self.h"

#define SURVEY_MS 20000 /* for a member that is alive to stop: it may be within a long kernel */
#define RETRY_MS 100    /* an Agreement that may have been lost */

/* ---- who is there */
static rk_err_t s_fill_roster (rk_coordinator_t *self, const rk_view_t *view)
{
    for (uint32_t p = 0; p < self->roster.n; p++)
        if (!rk_view_find (view, p))
            rk_roster_mark (&self->roster, p, RK_STEP_LOST);
    rk_roster_again (&self->roster, RK_STEP_WIRED | RK_STEP_READY | RK_STEP_STOPPED);
    for (uint32_t i = 0; i < view->n_members; i++) {
        const rk_view_member_t *m = &view->members[i];
        rk_err_t rc = rk_roster_reserve (&self->roster, m->id);
        if (rc)
            return rc;
        rk_roster_entry_t *e = &self->roster.list[m->id];
        const unsigned steps = RK_STEP_PROFILING | RK_STEP_PROFILED | (m->leaves ? RK_STEP_LEAVING : 0u);
        *e = (rk_roster_entry_t){.node = m->node, .host = m->host, .ram_bytes = m->ram_bytes, .cores = m->cores, .pid = m->pid, .steps = steps,
                                 .witness = m->witness};
        snprintf (e->name, sizeof e->name, "%s", m->name);
        snprintf (e->kernels, sizeof e->kernels, "%s", m->kernels);
        snprintf (e->control, sizeof e->control, "%s", m->control);
        snprintf (e->relay, sizeof e->relay, "%s", m->relay);
        snprintf (e->key, sizeof e->key, "%s", m->key);
    }
    return RK_OK;
}

/* Of two members the later one dials the earlier one, which answers the same way; a Heartbeat makes it known. One that others
 * cannot dial (it has no relay) dials those that can be, so that it hears them without anybody in between. */
static bool s_dials (const rk_view_member_t *own, const rk_view_member_t *other)
{
    const bool from = own->relay[0], to = other->relay[0];
    return from == to ? other->id < own->id : to;
}

/* A way to where it was before another relay had its inbox is none any more. */
static bool s_has_moved (const rk_coordinator_t *self, const rk_view_member_t *m)
{
    const rk_view_member_t *before = self->view ? rk_view_find (self->view, m->id) : NULL;
    return before && strcmp (before->control, m->control) != 0;
}

static rk_err_t s_dial (rk_coordinator_t *self, const rk_view_t *view, rk_error_t *err)
{
    const rk_view_member_t *own = rk_view_find (view, self->process);
    for (uint32_t i = 0; i < view->n_members; i++) {
        const rk_view_member_t *m = &view->members[i];
        const uint32_t address = rk_address (RK_ACTOR_COORDINATOR, m->id);
        if (m == own || !s_dials (own, m) || (rk_loop_connected (self->loop, address) && !s_has_moved (self, m)))
            continue;
        rk_err_t rc = rk_loop_connect (self->loop, address, m->control, err);
        if (rc)
            return rc;
    }
    return RK_OK;
}

static void s_hang_up (rk_coordinator_t *self, const rk_view_t *view)
{
    for (uint32_t p = 0; p < self->roster.n; p++)
        if (p != self->process && !rk_view_find (view, p))
            rk_coordinator_forget (self, rk_address (RK_ACTOR_COORDINATOR, p));
    for (uint32_t i = 0; i < view->n_members; i++) /* those in a view are watched by its membership */
        rk_member_leave (self->member, view->members[i].id);
}

static rk_err_t s_watch (rk_coordinator_t *self, const rk_view_t *view, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    const rk_membership_config_t config = {.view = view, .self = self->process, .survey_ms = SURVEY_MS, .retry_ms = RETRY_MS,
                                           .seed = self->token + self->process, .before = self->membership, .decision = bytes,
                                           .decision_size = size};
    rk_membership_t *next = NULL;
    rk_err_t rc = rk_membership_new (&next, &config, rk_coordinator_now_ms (), err);
    rk_membership_destroy (&self->membership);
    self->membership = next;
    return rc;
}

rk_err_t rk_coordinator_watch_alone (rk_coordinator_t *self, rk_error_t *err)
{
    return self->membership ? RK_OK : s_watch (self, self->view, NULL, 0, err);
}

/* ---- what was of the view before */
static void s_reset (rk_coordinator_t *self)
{
    for (size_t i = 0; i < self->n_wired; i++)
        free ((char *) self->wired[i].endpoint);
    self->n_wired = self->n_hosted = 0;
    free (self->counts);
    free (self->samples);
    self->counts = self->samples = NULL;
    memset (self->pending, 0, sizeof self->pending);
    memset (&self->save, 0, sizeof self->save);
    rk_panel_clear (&self->panel);
    rk_lease_table_destroy (&self->leases);
    self->restart_ms = 0;
    self->parent_ready = self->told_wired = self->has_peers = self->told_ready = self->moved = self->retiring = self->wants_view = false;
    rk_coordinator_forget_plan (self);
}

/* ---- to the own process */
static void s_send_plan (rk_coordinator_t *self, const rk_view_t *view)
{
    const size_t n_plan = rk_plan_encode (self->plan, NULL, 0), n_base = self->base ? rk_plan_encode (self->base, NULL, 0) : 0;
    uint8_t *bytes = malloc (n_plan + n_base + 1);
    const uint32_t n_alone = self->base && !self->n_processes ? self->base->n_nodes : 0;
    uint64_t *nodes = calloc (view->n_members + n_alone, sizeof *nodes);
    if (bytes && nodes) {
        rk_plan_encode (self->plan, bytes, n_plan);
        if (self->base)
            rk_plan_encode (self->base, bytes + n_plan, n_base);
        rk_msg_t msg = {.kind = RK_MSG_PLAN, .plan = {.digest = self->plan->digest, .leader = self->leader, .goes_on = self->base != NULL, .redone = self->redone, .nodes = nodes}};
        for (uint32_t i = 0; i < view->n_members && self->n_processes; i++)
            if (view->members[i].node != RK_ROSTER_NO_NODE)
                nodes[msg.plan.n_nodes++] = view->members[i].node;
        for (uint32_t i = 0; i < n_alone; i++) /* one process has them all */
            nodes[msg.plan.n_nodes++] = self->base->nodes[i];
        const rk_frame_t frames[2] = {{.bytes = bytes, .size = n_plan}, {.bytes = bytes + n_plan, .size = n_base}};
        rk_coordinator_to_parent (self, &msg, frames, 1 + msg.plan.goes_on);
        msg.plan.goes_on = false;
        if (self->leads && rk_loop_connected (self->loop, RK_TO_OBSERVER))
            rk_coordinator_send (self, RK_TO_OBSERVER, &msg, frames, 1);
    } else
        rk_coordinator_end (self, RK_ENOMEM, "no memory for a plan of %zu bytes", n_plan);
    free (bytes);
    free (nodes);
}

static void s_say_view (const rk_coordinator_t *self, const rk_view_t *view, uint32_t led)
{
    if (view->number == 1)
        return;
    char name[96];
    rk_view_name (view, self->leader, name, sizeof name);
    rk_log (RK_LOG_WARNING, "VIEW", "view=%llu members=%u leader=%s from_round=%llu%s", (unsigned long long) view->number, view->n_members, name,
            (unsigned long long) view->round, led != self->leader ? " which leads now" : "");
}

static rk_err_t s_take (rk_coordinator_t *self, const rk_view_t *view, rk_error_t *err)
{
    rk_plan_t *plan = NULL, *base = NULL;
    rk_err_t rc = rk_coordinator_view_plans (view, &plan, &base, &self->n_evaluated, &self->redone, err);
    if (rc)
        return rc;
    s_reset (self);
    rk_plan_destroy (&self->plan);
    rk_plan_destroy (&self->base);
    self->plan = plan;
    self->base = base;
    self->n_committed = plan->first_round;
    self->issued = 0;
    const uint32_t led = self->leader;
    const rk_view_member_t *leader = rk_view_leader (view);
    if (!leader)
        return rk_error_set (err, RK_EPLAN, "nobody in view %llu can lead", (unsigned long long) view->number);
    self->leader = leader->id;
    self->leads = leader->id == self->process;
    s_say_view (self, view, led);
    rk_loop_set_view (self->loop, view->number);
    return self->leads ? rk_coordinator_prepare (self, err) : RK_OK;
}

rk_err_t rk_coordinator_install (rk_coordinator_t *self, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    rk_view_t *view = NULL;
    rk_err_t rc = rk_view_decode (&view, bytes, size, err);
    if (rc)
        return rc;
    if (!rk_view_find (view, self->process)) {
        rk_coordinator_left_out (self, view);
        rk_view_destroy (&view);
        return RK_OK;
    }
    uint64_t *dead = realloc (self->dead, view->n_members * sizeof *dead);
    if (dead)
        self->dead = dead;
    rk_coordinator_note_reason (self, view);
    rc = dead && !s_fill_roster (self, view) ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for %u members", view->n_members);
    if (!rc)
        rc = s_take (self, view, err);
    rk_member_set_least (self->member, RK_MEMBER_LEAST_MS); /* the start is over */
    if (!rc && self->settings.net_on_loss == RK_LOSS_CONTINUE && (view->n_members > 1 || self->n_processes)) /* somebody may join */
        rc = s_watch (self, view, bytes, size, err);
    else
        rk_membership_destroy (&self->membership);
    if (!rc && self->membership)
        s_hang_up (self, view);
    if (!rc && self->membership)
        rc = s_dial (self, view, err);
    rk_view_destroy (&self->view);
    self->view = view;
    if (view->n_members > 1 || self->n_processes)
        self->n_processes = view->n_members > 1 ? view->n_members - 1 : 1; /* nodes are hosted by who says so, also when one is left */
    if (rc)
        return rc;
    rk_coordinator_admit_joiners (self, bytes, size);
    rk_coordinator_ask_to_leave (self);
    rk_coordinator_enter (self, RK_STATE_WIRING);
    self->next_beat_ms = 0; /* at once: it is what makes a new connection known */
    s_send_plan (self, view);
    return RK_OK;
}
