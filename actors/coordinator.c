/* SPDX-License-Identifier: MPL-2.0
 * The coordinator's class: open, close, the clock, the table of messages. See coordinator_self.h.         */
#include "actors/coordinator_self.h"

#include <sys/random.h>

#include "actors/host.h"
#include "compute/blas.h"

#define LINE_EVERY_MS 5000 /* "waiting for ..." while processes gather */

/* ---- states and their deadlines */

/* A round's work on the slowest way through the plan, ms; the floor of RUN is a multiple of it. */
static int64_t s_minibatch_ms (const rk_plan_t *plan)
{
    uint64_t ns = 0;
    for (uint32_t s = 0; plan && s < plan->n_stages; s++)
        ns += plan->stages[s].busy_ns;
    return (int64_t) (ns / 1000000);
}

static int64_t s_floor_ms (const rk_coordinator_t *self, rk_state_t state)
{
    int64_t least = self->patience_ms;
    if (state == RK_STATE_GATHER && self->leads)
        return INT64_MAX / 4; /* as long as its user lets it wait */
    if (least)
        return least;
    switch (state) {
    case RK_STATE_GATHER:
        return 120000; /* a follower whose leader does not answer */
    case RK_STATE_STOPPING:
        return 10000 + 4 * s_minibatch_ms (self->plan);
    case RK_STATE_RUN:
    case RK_STATE_EVALUATE:
        return 60000 + 100 * s_minibatch_ms (self->plan);
    default:
        return 60000 + 10000 * (int64_t) self->n_processes;
    }
}

void rk_coordinator_enter (rk_coordinator_t *self, rk_state_t state)
{
    self->state = state;
    self->state_ms = rk_coordinator_now_ms ();
    rk_patience_start (&self->patience, s_floor_ms (self, state), rk_coordinator_now_ms ());
}

/* A follower sees little of the run; the leader's heartbeats stand for its progress. Only what it does by
 * itself has a deadline here.                                                                             */
static bool s_has_deadline (const rk_coordinator_t *self)
{
    if (self->state == RK_STATE_VIEW) /* its members wait by rules of their own */
        return false;
    if (self->leads)
        return self->state != RK_STATE_ENDED;
    return self->state == RK_STATE_GATHER || self->state == RK_STATE_STOPPING;
}

/* ---- the clock */

/* A heartbeat that finds no connection, to a process of this machine that is no more: nothing to wait for. */
static void s_beat_process (rk_coordinator_t *self, uint32_t process)
{
    const bool hears = !self->membership || rk_membership_hears (self->membership, process, self->now_ms);
    rk_msg_t beat = {.kind = RK_MSG_HEARTBEAT, .heartbeat = {self->now_ms, self->token, hears, self->n_missed, self->missed}};
    rk_error_t err;
    rk_err_t rc = rk_loop_send (self->loop, rk_address (RK_ACTOR_COORDINATOR, process), &beat, NULL, 0, &err);
    const rk_roster_entry_t *e = process < self->roster.n ? &self->roster.list[process] : NULL;
    if (rc && e && !self->membership && e->host == self->roster.list[self->process].host && rk_host_process_gone (e->pid))
        rk_coordinator_lost (self, process, "its process has ended");
}

static void s_beat_leader (rk_coordinator_t *self)
{
    s_beat_process (self, self->leader);
    if (self->leader_pid && rk_host_process_gone (self->leader_pid)) {
        self->leader_pid = 0;
        rk_coordinator_lost (self, self->leader, "its process has ended");
    }
}

/* In a view everybody hears everybody; before it, and where a loss ends the run, the leader and each of the others. */
static void s_beat (rk_coordinator_t *self)
{
    self->n_missed = self->membership ? rk_membership_missed (self->membership, self->now_ms, self->missed, RK_MISSED) : 0;
    if (!self->leads && !self->membership)
        s_beat_leader (self);
    for (uint32_t p = 0; (self->leads || self->membership) && p < self->roster.n; p++)
        if (p != self->process && !(self->roster.list[p].steps & (RK_STEP_LOST | RK_STEP_STOPPED)))
            s_beat_process (self, p);
    for (uint32_t i = 0; i < self->n_joiners; i++)
        s_beat_process (self, self->joiners[i].process);
    self->next_beat_ms = self->now_ms + RK_HEARTBEAT_MS;
}

static void s_gather_line (rk_coordinator_t *self)
{
    if (self->leads)
        rk_log (RK_LOG_WARNING, "WAITING", "for=nodes joined=%u of=%u at=%s", self->roster.n - 1, self->n_processes,
                rk_loop_endpoint (self->loop));
    else
        rk_log (RK_LOG_WARNING, "WAITING", "for=leader at=%s", self->join);
    self->next_line_ms = self->now_ms + LINE_EVERY_MS;
}

static bool s_has_others (const rk_coordinator_t *self)
{
    return self->membership || (self->leads ? self->roster.n > 1 : self->state > RK_STATE_GATHER);
}

/* Nobody waits for the last word of one who is gone. */
static void s_tick_stopping (rk_coordinator_t *self)
{
    for (uint32_t p = 0; self->leads && self->membership && p < self->roster.n; p++)
        if (p != self->process && !(self->roster.list[p].steps & (RK_STEP_LOST | RK_STEP_STOPPED)) &&
            !rk_membership_is_alive (self->membership, p, self->now_ms))
            rk_coordinator_lost (self, p, "its process has ended");
}

static int64_t s_tick_others (rk_coordinator_t *self)
{
    if (self->membership && self->state < RK_STATE_STOPPING)
        rk_coordinator_view_tick (self);
    if (self->state == RK_STATE_STOPPING)
        s_tick_stopping (self);
    if (self->now_ms >= self->next_beat_ms)
        s_beat (self);
    rk_coordinator_tell_again (self);
    rk_coordinator_wires_tick (self);
    int64_t silent_ms = 0;
    uint32_t process = rk_member_suspect (self->member, self->now_ms, &silent_ms);
    if (process != UINT32_MAX) {
        char why[96];
        snprintf (why, sizeof why, "no heartbeat for %lld ms (limit %lld ms)", (long long) silent_ms,
                  (long long) rk_member_deadline_ms (self->member, process));
        rk_coordinator_lost (self, process, why);
    }
    int64_t look_ms = rk_member_next_ms (self->member, self->now_ms);
    if (self->membership && self->state < RK_STATE_STOPPING) {
        const int64_t next_ms = rk_membership_next_ms (self->membership, self->now_ms), answer_ms = rk_coordinator_answer_ms (self);
        look_ms = answer_ms < look_ms ? answer_ms : look_ms;
        look_ms = next_ms < look_ms ? next_ms : look_ms;
    }
    return look_ms < self->next_beat_ms ? look_ms : self->next_beat_ms;
}

static int64_t s_work (void *arg, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    (void) code, (void) err;
    self->now_ms = now_ns / 1000000;
    if (self->state == RK_STATE_ENDED)
        return RK_FOREVER;
    int64_t next_ms = INT64_MAX;
    if (s_has_others (self))
        next_ms = s_tick_others (self);
    const int64_t restart_ms = rk_coordinator_restart_tick (self);
    next_ms = restart_ms < next_ms ? restart_ms : next_ms;
    const int64_t status_ms = rk_coordinator_status_tick (self);
    next_ms = status_ms < next_ms ? status_ms : next_ms;
    if (self->state == RK_STATE_GATHER && (self->n_processes || !self->leads)) {
        if (self->now_ms >= self->next_line_ms)
            s_gather_line (self);
        next_ms = self->next_line_ms < next_ms ? self->next_line_ms : next_ms;
    }
    if (s_has_deadline (self)) {
        int64_t end_ms = rk_patience_end_ms (&self->patience);
        if (self->now_ms >= end_ms) {
            rk_coordinator_late (self);
            return 0; /* the next state has a deadline of its own */
        }
        next_ms = end_ms < next_ms ? end_ms : next_ms;
    }
    const int64_t year_ms = INT64_C (365) * 86400000;
    if (self->state == RK_STATE_ENDED || next_ms - self->now_ms > year_ms)
        return RK_FOREVER;
    return next_ms > self->now_ms ? (next_ms - self->now_ms) * 1000000 : 0;
}

/* ---- open and close */
rk_err_t rk_coordinator_copy_model (rk_coordinator_t *self, const rk_model_info_t *model)
{
    self->model = *model;
    rk_layer_info_t *layers = malloc ((model->n_layers ? model->n_layers : 1) * sizeof *layers);
    if (!layers)
        return RK_ENOMEM;
    memcpy (layers, model->layers, model->n_layers * sizeof *layers);
    self->model.layers = layers;
    for (uint32_t d = 0; d < model->n_dims; d++)
        self->dims[d] = model->dims[d];
    self->request = (rk_profile_request_t){.n_dims = model->n_dims, .dims = self->dims, .n_classes = model->n_classes};
    return RK_OK;
}

/* The leader is the first of the roster. With followers it hosts no node, so it is never measured. */
static rk_err_t s_open_leader (rk_coordinator_t *self, const rk_coordinator_config_t *config, rk_error_t *err)
{
    self->settings = *config->settings;
    self->cursor = config->cursor;
    self->cursor.control = config->cursor.control ? strdup (config->cursor.control) : NULL;
    const uint32_t n_hosts = config->n_processes;
    uint32_t n_nodes = n_hosts ? n_hosts : self->settings.n_fleet ? self->settings.n_fleet : 1;
    rk_err_t rc = rk_coordinator_copy_model (self, config->model);
    if (!rc)
        rc = rk_roster_init (&self->roster, 1 + self->n_processes);
    if (!rc)
        rc = rk_profiles_init (&self->profiles, n_nodes, config->model->n_layers);
    if (!rc && config->plan)
        rc = rk_plan_copy (&self->given, config->plan);
    if (rc)
        return rk_error_set (err, rc, "no memory for %u processes", self->n_processes);
    if (config->plan && n_hosts && config->plan->n_nodes != n_hosts)
        return rk_error_set (err, RK_EPLAN, "the plan is for %u nodes, %u are to join", config->plan->n_nodes, n_hosts);
    rk_host_t host;
    rk_host_look (&host);
    rk_roster_entry_t own = {
        .node = RK_ROSTER_NO_NODE, .host = host.id, .cores = host.cores, .pid = (uint32_t) getpid ()};
    snprintf (own.name, sizeof own.name, "leader");
    snprintf (own.kernels, sizeof own.kernels, "%s", rk_blas_best (true));
    uint32_t process;
    rc = rk_roster_add (&self->roster, &own, &process, err);
    if (!rc && self->n_processes)
        rk_roster_mark (&self->roster, process, RK_STEP_PROFILED);
    return rc;
}

static rk_err_t s_open_follower (rk_coordinator_t *self, const rk_coordinator_config_t *config, rk_error_t *err)
{
    snprintf (self->join, sizeof self->join, "%s", config->join);
    snprintf (self->name, sizeof self->name, "%s", config->name ? config->name : "node");
    return rk_loop_connect (self->loop, rk_address (RK_ACTOR_COORDINATOR, self->leader), self->join, err);
}

static rk_err_t s_open (void *arg, rk_loop_t *loop, const void *arg_config, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_coordinator_config_t *config = arg_config;
    self->loop = loop;
    self->leads = config->join == NULL;
    self->process = self->leads ? RK_FIRST : RK_UNNUMBERED;
    self->leader = RK_FIRST;
    self->program_model = config->program_model;
    if (self->leads && getrandom (&self->token, sizeof self->token, 0) != sizeof self->token)
        self->token = (uint64_t) rk_now_ns () * 0x9e3779b97f4a7c15u ^ (uint64_t) getpid ();
    self->kind = config->kind; /* follower: RK_RUN_PROFILE, or it takes what comes */
    self->witness = config->witness;
    snprintf (self->relay, sizeof self->relay, "%s", config->relay ? config->relay : "");
    self->n_processes = config->n_processes;
    if (self->n_processes && config->settings)
        self->n_processes += config->settings->net_witness;
    self->n_forward_only = config->n_forward_only;
    self->patience_ms = config->patience_ms;
    self->now_ms = rk_now_ns () / 1000000;
    self->next_line_ms = self->now_ms + LINE_EVERY_MS;
    if (self->n_processes >= RK_MAX_PROCESSES || (self->leads && (!config->settings || !config->model)))
        return rk_error_set (err, RK_EINVAL, "%u processes, %s settings", self->n_processes,
                             config->settings ? "with" : "without");
    if (rk_member_new (&self->member, 1 + self->n_processes + RK_MAX_FLEET)) /* and those who join later */
        return rk_error_set (err, RK_ENOMEM, "no memory for %u processes", self->n_processes);
    rk_member_set_least (self->member, config->silence_ms ? config->silence_ms : RK_MEMBER_STARTING_MS);
    rk_coordinator_enter (self, RK_STATE_GATHER);
    return self->leads ? s_open_leader (self, config, err) : s_open_follower (self, config, err);
}

static void s_close (void *arg)
{
    rk_coordinator_t *self = arg;
    for (size_t i = 0; i < self->n_wired; i++)
        free ((char *) self->wired[i].endpoint);
    free (self->wired);
    free (self->known);
    free (self->hosted);
    free (self->joiners);
    free ((void *) self->model.layers);
    free ((char *) self->cursor.control);
    free (self->counts);
    free (self->samples);
    rk_panel_clear (&self->panel);
    rk_coordinator_control_close (self);
    rk_coordinator_status_close (self);
    rk_coordinator_figures_close (self);
    rk_lease_table_destroy (&self->leases);
    rk_plan_destroy (&self->given);
    rk_plan_destroy (&self->plan);
    rk_links_table_clear (&self->links);
    rk_plan_destroy (&self->base);
    rk_coordinator_drop_questions (self);
    rk_membership_destroy (&self->membership);
    rk_view_destroy (&self->view);
    free (self->dead);
    rk_profiles_clear (&self->profiles);
    rk_roster_clear (&self->roster);
    rk_member_destroy (&self->member);
}

/* ---- tables */
static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_HELLO] = rk_coordinator_on_hello,
    [RK_MSG_WELCOME] = rk_coordinator_on_welcome,
    [RK_MSG_PROFILE_REQUEST] = rk_coordinator_on_profile_request,
    [RK_MSG_PROFILE] = rk_coordinator_on_profile,
    [RK_MSG_LINK_REQUEST] = rk_coordinator_on_link_request,
    [RK_MSG_LINK_MEASURED] = rk_coordinator_on_link_measured,
    [RK_MSG_WIRED] = rk_coordinator_on_wired,
    [RK_MSG_PEERS] = rk_coordinator_on_peers,
    [RK_MSG_READY] = rk_coordinator_on_ready,
    [RK_MSG_START] = rk_coordinator_on_start,
    [RK_MSG_LEASE_REQUEST] = rk_coordinator_on_lease_request,
    [RK_MSG_LEASE_GRANT] = rk_coordinator_on_lease_grant,
    [RK_MSG_ROUND_CLOSED] = rk_coordinator_on_for_stages,
    [RK_MSG_ROUND_APPLIED] = rk_coordinator_on_round_applied,
    [RK_MSG_ROUND_COMMITTED] = rk_coordinator_on_for_stages,
    [RK_MSG_EVALUATED] = rk_coordinator_on_evaluated,
    [RK_MSG_REPORT] = rk_coordinator_on_report,
    [RK_MSG_SAVE_REQUEST] = rk_coordinator_on_for_stages,
    [RK_MSG_SAVED] = rk_coordinator_on_saved,
    [RK_MSG_HEARTBEAT] = rk_coordinator_on_heartbeat,
    [RK_MSG_AGREEMENT] = rk_coordinator_on_agreement,
    [RK_MSG_FAILED] = rk_coordinator_on_failed,
    [RK_MSG_STOP] = rk_coordinator_on_stop,
    [RK_MSG_STOPPED] = rk_coordinator_on_stopped,
    [RK_MSG_KEYS] = rk_coordinator_on_keys,
    [RK_MSG_ENROL] = rk_coordinator_on_enrol,
    [RK_MSG_STATUS_REQUEST] = rk_coordinator_on_status_request,
    [RK_MSG_WAITS] = rk_coordinator_on_waits,
    [RK_MSG_STATUS] = rk_coordinator_on_status,
};

static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_COORDINATOR,
    .self_size = sizeof (rk_coordinator_t),
    .open = s_open,
    .close = s_close,
    .work = s_work,
    .hung_up = rk_coordinator_hung_up,
    .on = s_on,
};

/* Larger than any plan or list of endpoints; a stranger's flood ends its connection. */
#define MOST_MESSAGE_BYTES (64u << 20)

rk_err_t rk_coordinator_new (rk_actor_t **actor_p, const rk_coordinator_config_t *config, rk_error_t *err)
{
    rk_actor_plumbing_t plumbing = {.bind = config->bind, .identity = config->identity, .observer = config->observer,
                                    .node = config->join ? RK_UNNUMBERED : RK_FIRST,
                                    .max_message_bytes = MOST_MESSAGE_BYTES, .hwm = 10000};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
