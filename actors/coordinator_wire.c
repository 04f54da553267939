/* SPDX-License-Identifier: MPL-2.0
 * WIRING: the plan goes to every process, their endpoints come back, everybody learns all of them.        */
#include "actors/coordinator_self.h"
#include "cluster/exchange.h"

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
                                       .n_layers = self->profiles.n_layers,
                                       .forward_ns = p->forward_ns,
                                       .backward_ns = p->backward_ns};
    }
    uint64_t *links = rk_links_pack (&self->profiles);
    rk_msg_t msg = {.kind = RK_MSG_PROFILE, .profile = {self->profiles.n, nodes, links ? (uint32_t) self->profiles.n_links : 0}};
    rk_frame_t frame = {.bytes = links, .size = self->profiles.n_links * 4 * sizeof *links};
    if (to_parent)
        rk_coordinator_to_parent (self, &msg, &frame, links != NULL);
    if (links || !self->profiles.n_links) /* half a table would make another plan */
        rk_coordinator_to_others (self, &msg, &frame, links != NULL);
    free (links);
    free (nodes);
}

static void s_send_plan (rk_coordinator_t *self, const uint8_t *bytes, size_t size)
{
    rk_msg_t msg = {.kind = RK_MSG_PLAN, .plan = {.digest = self->plan->digest}};
    rk_frame_t frame = {.bytes = bytes, .size = size};
    rk_coordinator_to_parent (self, &msg, &frame, 1);
    rk_coordinator_to_others (self, &msg, &frame, 1);
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_send (self, RK_TO_OBSERVER, &msg, &frame, 1);
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

static rk_err_t s_prepare (rk_coordinator_t *self, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    self->counts = calloc (plan->n_clusters, sizeof *self->counts);
    self->samples = calloc (plan->n_clusters, sizeof *self->samples);
    if (!self->counts || !self->samples)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u clusters", plan->n_clusters);
    rk_err_t rc = s_make_panel (self, err);
    if (rc)
        return rk_error_wrap (err, rc, "evaluations of %u clusters", plan->n_clusters);
    rc = rk_coordinator_control_open (self, err);
    if (rc)
        return rc;
    self->next_close = plan->first_round;
    return rk_lease_table_new (&self->leases, plan, plan->first_round, err);
}

void rk_coordinator_propose (rk_coordinator_t *self, rk_plan_t *plan)
{
    rk_error_t err = {RK_OK, ""};
    self->plan = plan;
    rk_loop_set_view (self->loop, plan->view);
    rk_coordinator_enter (self, RK_STATE_WIRING);
    for (uint32_t i = 0; i < plan->n_nodes; i++) /* some that joined may be left idle */
        if (rk_coordinator_host_of (self, plan->nodes[i]) == UINT32_MAX) {
            rk_coordinator_end (self, RK_EPLAN, "the plan has node %u, which is none of the %u that joined", plan->nodes[i],
                                self->n_processes);
            return;
        }
    size_t size = rk_plan_encode (plan, NULL, 0);
    uint8_t *bytes = malloc (size);
    rk_err_t rc = bytes ? s_prepare (self, &err) : rk_error_set (&err, RK_ENOMEM, "%zu bytes of plan", size);
    if (rc)
        rk_coordinator_end (self, rc, "%s", err.text);
    else {
        rk_plan_encode (plan, bytes, size);
        if (self->profiles.n)
            rk_coordinator_send_table (self, false);
        s_send_plan (self, bytes, size);
    }
    free (bytes);
}

/* ---- a follower takes it; its parent computes the digest again */
rk_err_t rk_coordinator_on_plan (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || self->state != RK_STATE_PROFILE)
        return rk_coordinator_refuse (packet, "not from the leader, or a second one", err);
    rk_err_t rc = rk_plan_decode (&self->plan, zmq_msg_data (&packet->frame[0]), zmq_msg_size (&packet->frame[0]), err);
    if (rc || self->plan->digest != packet->msg.plan.digest) {
        rk_msg_t failed = {.kind = RK_MSG_FAILED,
                           .failed = {.node = 0, .text = rc && err ? err->text : "the plan's digest is wrong"}};
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, RK_LEADER), &failed, NULL, 0);
        return RK_EFORMAT;
    }
    rk_loop_set_view (self->loop, self->plan->view);
    rk_coordinator_enter (self, RK_STATE_WIRING);
    rk_frame_t frame = {.share = &packet->frame[0]};
    rk_coordinator_to_parent (self, &packet->msg, &frame, 1);
    return RK_OK;
}

/* ---- endpoints */
static bool s_own (const rk_coordinator_t *self, uint32_t process, uint32_t address)
{
    static const bool per_node[] = {[RK_ACTOR_STAGE] = true, [RK_ACTOR_REDUCER] = true, [RK_ACTOR_FEEDER] = true,
                                    [RK_ACTOR_CHECKPOINTER] = false};
    uint32_t kind = rk_address_kind (address), node = rk_address_node (address);
    if (kind < sizeof per_node / sizeof *per_node && per_node[kind])
        return rk_coordinator_host_of (self, node) == process;
    return node == process;
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

rk_err_t rk_coordinator_on_wired (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    bool parent = origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE;
    rk_err_t code = parent ? s_host (self, &packet->msg.wired, err) : RK_OK;
    if (code)
        return code;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    if (!(parent || origin.kind == RK_FROM_PROCESS) || self->state != RK_STATE_WIRING ||
        self->roster.list[origin.process].steps & RK_STEP_WIRED)
        return rk_coordinator_refuse (packet, "not expected", err);
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
    }
    return RK_OK;
}

rk_err_t rk_coordinator_on_peers (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || self->state != RK_STATE_WIRING)
        return rk_coordinator_refuse (packet, "not from the leader, or before a plan", err);
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return RK_OK;
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
        rk_coordinator_step_ready (self, RK_LEADER, self->parent_digest);
        return;
    }
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {self->parent_digest}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, RK_LEADER), &ready, NULL, 0);
}

rk_err_t rk_coordinator_on_start (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || self->state != RK_STATE_WIRING)
        return rk_coordinator_refuse (packet, "not from the leader, or before a plan", err);
    rk_coordinator_enter (self, RK_STATE_RUN);
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return RK_OK;
}
