/* SPDX-License-Identifier: MPL-2.0
 * WIRING: the plan goes to every process, their endpoints come back, everybody learns all of them.        */
#include "actors/coordinator_self.h"
#include "cluster/exchange.h"

#define TELL_AGAIN_MS 250

/* ---- the leader proposes */
void rk_coordinator_send_table (rk_coordinator_t *self, bool to_parent)
{
    rk_node_profile_t *nodes = calloc (self->profiles.n, sizeof *nodes);
    if (!nodes) /* without the table followers take the plan as it is */
        return;
    for (uint32_t i = 0; i < self->profiles.n; i++) {
        const rk_profile_t *p = &self->profiles.nodes[i];
        nodes[i] = (rk_node_profile_t){.node = p->id,
                                       .name = p->name,
                                       .host = p->host,
                                       .cores = p->cores,
                                       .speed_ppm = p->speed_ppm,
                                       .ram_bytes = p->ram_bytes,
                                       .gemm_mflops = p->gemm_mflops,
                                       .team_ppm = p->team_ppm,
                                       .crowd_ppm = p->crowd_ppm,
                                       .settled_ppm = p->settled_ppm,
                                       .dispatch_ns = p->dispatch_ns,
                                       .feed_ns = p->feed_ns,
                                       .copy_bytes_per_s = p->copy_bytes_per_s,
                                       .n_layers = self->profiles.n_layers,
                                       .forward_ns = p->forward_ns,
                                       .backward_ns = p->backward_ns};
    }
    uint64_t *links = rk_links_pack (&self->profiles);
    rk_msg_t msg = {.kind = RK_MSG_PROFILE, .profile = {self->profiles.n, nodes, links ? (uint32_t) self->profiles.n_links : 0}};
    rk_frame_t frame = {.bytes = links, .size = self->profiles.n_links * 4 * sizeof *links};
    if (to_parent)
        rk_coordinator_to_parent (self, &msg, &frame, links != NULL);
    if (links || !self->profiles.n_links) { /* half a table would make another plan */
        rk_coordinator_to_others (self, &msg, &frame, links != NULL);
        rk_coordinator_to_joiners (self, &msg, &frame, links != NULL);
    }
    free (links);
    free (nodes);
}

/* Replicas of a sparse graph differ: each is evaluated, and statistics of their mean have to be measured. */
static rk_err_t s_make_panel (rk_coordinator_t *self, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    if (self->kind != RK_RUN_TRAIN)
        return rk_panel_init (&self->panel, self->n_forward_only, 0, 0, false);
    rk_graph_t *graph = NULL;
    rk_err_t rc = rk_exchange_graph (&graph, plan, err);
    if (rc)
        return rc;
    const rk_settings_t *s = &plan->settings;
    bool sparse = plan->n_clusters > 1 && rk_exchange_is_sparse (graph);
    bool measured = self->model.n_statistics && plan->n_clusters > 1 && rk_settings_bn (s) == RK_BN_RECALIBRATE;
    uint64_t n_measure = s->average_bn_batches < plan->minibatches_per_pass ? s->average_bn_batches : plan->minibatches_per_pass;
    rk_graph_destroy (&graph);
    return rk_panel_init (&self->panel, plan->test_minibatches, sparse || measured ? plan->n_clusters : 0, measured ? n_measure : 0,
                          sparse && s->average_evaluate == RK_EVALUATE_REPLICAS);
}

rk_err_t rk_coordinator_prepare (rk_coordinator_t *self, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    self->counts = calloc (plan->n_clusters, sizeof *self->counts);
    self->samples = calloc (plan->n_clusters, sizeof *self->samples);
    if (!self->counts || !self->samples)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u clusters", plan->n_clusters);
    rk_err_t rc = s_make_panel (self, err);
    if (rc)
        return rk_error_wrap (err, rc, "evaluations of %u clusters", plan->n_clusters);
    rk_coordinator_control_close (self);
    rc = rk_coordinator_control_open (self, err);
    if (rc)
        return rc;
    self->next_close = plan->first_round;
    rc = rk_coordinator_figures_begin (self, err);
    if (rc)
        return rc;
    return rk_lease_table_new (&self->leases, plan, plan->first_round, err);
}

static void s_tell_first_view (rk_coordinator_t *self, const uint8_t *bytes, size_t size)
{
    rk_msg_t msg = {.kind = RK_MSG_AGREEMENT, .agreement = {.kind = RK_AGREE_PAXOS, .paxos = RK_PAXOS_DECIDED, .has_value = true}};
    rk_frame_t frame = {.bytes = bytes, .size = size};
    rk_coordinator_to_others (self, &msg, &frame, 1);
}

void rk_coordinator_propose (rk_coordinator_t *self, rk_plan_t *plan)
{
    rk_error_t err = {RK_OK, ""};
    uint8_t *bytes = NULL;
    size_t size = 0;
    rk_err_t rc = RK_OK;
    for (uint32_t i = 0; i < plan->n_nodes && !rc; i++) /* some that joined may be left idle */
        if (rk_coordinator_host_of (self, plan->nodes[i]) == UINT32_MAX)
            rc = rk_error_set (&err, RK_EPLAN, "the plan has node %u, which is none of the %u that joined", plan->nodes[i],
                               self->n_processes);
    if (!rc)
        rc = rk_coordinator_first_view (self, plan, &bytes, &size, &err);
    if (!rc && self->profiles.n)
        rk_coordinator_send_table (self, false);
    if (!rc) {
        s_tell_first_view (self, bytes, size);
        rc = rk_coordinator_install (self, bytes, size, &err);
    }
    if (rc)
        rk_coordinator_end (self, rc, "%s", err.text);
    free (bytes);
    rk_plan_destroy (&plan);
}

/* ---- endpoints */
static bool s_own (const rk_coordinator_t *self, uint32_t process, uint32_t address)
{
    const rk_actor_kind_t kind = rk_address_kind (address);
    if (kind == RK_ACTOR_CHECKPOINTER || kind == RK_ACTOR_OBSERVER) /* there is one: the leader's */
        return process == self->leader;
    return rk_coordinator_host_of (self, rk_address_node (address)) == process;
}

static rk_err_t s_add_endpoint (rk_coordinator_t *self, rk_endpoint_t endpoint, rk_error_t *err)
{
    if (self->n_wired == self->wired_capacity) {
        size_t capacity = self->wired_capacity ? 2 * self->wired_capacity : 32;
        rk_endpoint_t *wired = realloc (self->wired, capacity * sizeof *wired);
        if (!wired)
            return rk_error_set (err, RK_ENOMEM, "no memory for endpoint %zu", self->n_wired);
        self->wired = wired;
        self->wired_capacity = capacity;
    }
    char *text = strdup (endpoint.endpoint);
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "no memory for endpoint %zu", self->n_wired);
    self->wired[self->n_wired++] = (rk_endpoint_t){endpoint.address, text};
    return RK_OK;
}

/* Remembers which of its own actors a process goes by, so that it is not ready before they all are known. */
static rk_err_t s_host (rk_coordinator_t *self, const rk_endpoints_t *list, rk_error_t *err)
{
    free (self->hosted);
    self->n_hosted = 0;
    self->hosted = calloc (list->n + 1, sizeof *self->hosted);
    if (!self->hosted)
        return rk_error_set (err, RK_ENOMEM, "no memory for %zu actors", list->n);
    for (size_t i = 0; i < list->n; i++) {
        rk_actor_kind_t kind = rk_address_kind (list->list[i].address);
        if (kind == RK_ACTOR_STAGE || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER)
            self->hosted[self->n_hosted++] = list->list[i].address;
    }
    return RK_OK;
}

/* A follower's are kept here until the leader has answered: it may learn of the view after this process. */
static rk_err_t s_tell_wired (rk_coordinator_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_endpoints_t *list = &packet->msg.wired;
    rk_err_t rc = RK_OK;
    for (size_t i = 0; !rc && i < list->n; i++)
        rc = s_add_endpoint (self, list->list[i], err);
    self->next_tell_ms = rk_coordinator_now_ms () + TELL_AGAIN_MS;
    self->told_wired = true;
    return rc ? rc : rk_coordinator_relay_up (self, packet, err);
}

void rk_coordinator_tell_again (rk_coordinator_t *self)
{
    if (self->leads || self->state != RK_STATE_WIRING || self->now_ms < self->next_tell_ms || !self->told_wired)
        return;
    rk_msg_t wired = {.kind = RK_MSG_WIRED, .wired = {self->n_wired, self->wired}};
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {self->parent_digest}};
    if (!self->has_peers)
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &wired, NULL, 0);
    else if (self->told_ready)
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &ready, NULL, 0);
    self->next_tell_ms = self->now_ms + TELL_AGAIN_MS;
}

rk_err_t rk_coordinator_on_wired (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    bool parent = origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE;
    rk_err_t code = parent ? s_host (self, &packet->msg.wired, err) : RK_OK;
    if (code)
        return code;
    if (!self->leads)
        return s_tell_wired (self, packet, err);
    if (self->state > RK_STATE_WIRING && origin.kind == RK_FROM_PROCESS) /* told again meanwhile */
        return RK_OK;
    if (parent && self->state >= RK_STATE_VIEW) /* its plan has ended meanwhile */
        return RK_OK;
    if (!(parent || (origin.kind == RK_FROM_PROCESS && origin.process < self->roster.n)) || self->state != RK_STATE_WIRING)
        return rk_coordinator_refuse (packet, "not expected", err);
    code = rk_coordinator_of_view (self, packet, err);
    if (code || self->roster.list[origin.process].steps & RK_STEP_WIRED)
        return code;
    const rk_endpoints_t *list = &packet->msg.wired;
    for (size_t i = 0; i < list->n; i++)
        if (!s_own (self, origin.process, list->list[i].address))
            return rk_coordinator_refuse (packet, "an endpoint of somebody else's actor", err);
    for (size_t i = 0; i < list->n; i++) {
        rk_err_t rc = s_add_endpoint (self, list->list[i], err);
        if (rc)
            return rc;
    }
    rk_roster_mark (&self->roster, origin.process, RK_STEP_WIRED);
    rk_coordinator_progress (self);
    if (rk_roster_all (&self->roster, RK_STEP_WIRED)) {
        rk_msg_t peers = {.kind = RK_MSG_PEERS, .peers = {self->n_wired, self->wired}};
        rk_coordinator_to_parent (self, &peers, NULL, 0);
        rk_coordinator_to_others (self, &peers, NULL, 0);
        return rk_coordinator_wires_begin (self, &peers.peers, err);
    }
    return RK_OK;
}

/* Where members of a run that is under way listen, for the parent. Who has asked at one that does not lead, asks there; so
 * does a joiner that was not taken in.                                                                    */
static rk_err_t s_take_places (rk_coordinator_t *self, rk_packet_t *packet)
{
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    const bool again = self->state == RK_STATE_GATHER || self->under_way;
    self->under_way = true;
    if (again) {
        self->rejoins = true;
        rk_coordinator_end (self, RK_EPEER, "%s leads, not %s", packet->msg.peers.list[0].endpoint, self->join);
    }
    return RK_OK;
}

rk_err_t rk_coordinator_on_peers (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_endpoints_t *list = &packet->msg.peers;
    const bool from_leader = rk_coordinator_origin (self, packet).kind == RK_FROM_LEADER;
    if (from_leader && !self->view && list->n && rk_address_kind (list->list[0].address) == RK_ACTOR_COORDINATOR)
        return s_take_places (self, packet);
    if (!from_leader || self->state != RK_STATE_WIRING)
        return rk_coordinator_refuse (packet, "not from the leader, or before a plan", err);
    rk_err_t rc = rk_coordinator_of_view (self, packet, err);
    if (rc || self->has_peers)
        return rc;
    self->has_peers = true;
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return rk_coordinator_wires_begin (self, &packet->msg.peers, err);
}

/* ---- Ready */
void rk_coordinator_step_ready (rk_coordinator_t *self, uint32_t process, uint64_t digest)
{
    if (digest != self->plan->digest) {
        char name[96];
        rk_roster_name (&self->roster, process, name, sizeof name);
        rk_coordinator_end (self, RK_EPLAN, "%s computed plan %016llx, this process %016llx", name,
                            (unsigned long long) digest, (unsigned long long) self->plan->digest);
        return;
    }
    if (process >= self->roster.n || (self->roster.list[process].steps & RK_STEP_READY))
        return;
    rk_roster_mark (&self->roster, process, RK_STEP_READY);
    rk_coordinator_progress (self);
    if (rk_roster_all (&self->roster, RK_STEP_READY))
        rk_coordinator_begin_run (self);
}

/* The parent's word may overtake its actors' own: every socket is a queue of its own. */
void rk_coordinator_check_ready (rk_coordinator_t *self)
{
    if (!self->parent_ready || self->state != RK_STATE_WIRING)
        return;
    for (size_t i = 0; i < self->n_hosted; i++)
        if (!rk_coordinator_find (self, self->hosted[i]))
            return;
    self->parent_ready = false;
    if (self->leads) {
        rk_coordinator_step_ready (self, self->process, self->parent_digest);
        return;
    }
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {self->parent_digest}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &ready, NULL, 0);
    self->told_ready = true;
}

rk_err_t rk_coordinator_on_start (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || self->state != RK_STATE_WIRING)
        return rk_coordinator_refuse (packet, "not from the leader, or before a plan", err);
    rk_err_t rc = rk_coordinator_of_view (self, packet, err);
    if (rc)
        return rc;
    rk_coordinator_enter (self, RK_STATE_RUN);
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return RK_OK;
}
