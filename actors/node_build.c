/* SPDX-License-Identifier: MPL-2.0
 * From a plan to running, connected actors.                                                               */
#include <unistd.h>

#include "actors/checkpoint.h"
#include "actors/checkpointer.h"
#include "actors/feeder.h"
#include "actors/node_self.h"
#include "actors/reducer.h"
#include "actors/stage.h"
#include "cluster/handover.h"
#include "compute/blas.h"

/* ---- the plan, computed again */
static rk_err_t s_own_model (rk_node_t *self, rk_error_t *err)
{
    if (self->model)
        return RK_OK;
    const rk_plan_t *plan = self->plan;
    uint64_t dims[4];
    for (uint32_t d = 0; d < plan->n_dims; d++)
        dims[d] = plan->dims[d];
    rk_shape_t shape;
    rk_err_t rc = rk_shape_of_dims (&shape, dims, plan->n_dims, err);
    if (!rc)
        rc = rk_model_by_name (&self->own_model, self->settings.model_name, shape, plan->n_classes, err);
    self->model = self->own_model;
    return rc;
}

/* Profiles of the nodes that are there, a part of the table. */
static rk_err_t s_those_here (rk_node_t *self, const rk_plan_msg_t *msg, rk_profiles_t *here, rk_error_t *err)
{
    rk_err_t rc = rk_profiles_init (here, self->table.n, self->table.n_layers);
    if (rc)
        return rk_error_set (err, rc, "no memory for %u profiles", self->table.n);
    for (uint32_t i = 0; !rc && i < self->table.n; i++)
        for (size_t n = 0; !rc && n < msg->n_nodes; n++)
            if (self->table.nodes[i].id == msg->nodes[n])
                rc = rk_profiles_add (here, &self->table.nodes[i], self->table.n_layers, err);
    for (size_t i = 0; !rc && i < self->table.n_links; i++)
        rc = rk_profiles_link (here, &self->table.links[i], err);
    return rc;
}

/* Nobody's digest is trusted: same profiles, same model, same function, same bytes. */
static rk_err_t s_plan_again (rk_node_t *self, const rk_plan_msg_t *msg, rk_error_t *err)
{
    const rk_plan_t *given = self->plan;
    if (!self->table.n || !msg->n_nodes)
        return RK_OK;
    rk_profiles_t here = {0};
    rk_fleet_t fleet;
    rk_plan_t *plan = NULL;
    rk_model_info_destroy (&self->info);
    rk_err_t rc = rk_model_info_new (&self->info, self->model, &given->settings, given->train_samples, given->test_samples, err);
    if (!rc)
        rc = s_those_here (self, msg, &here, err);
    if (!rc)
        rc = rk_profiles_fleet (&here, &fleet, err);
    if (!rc)
        rc = rk_plan_make (&plan, given->view, &fleet, self->info, &given->settings, given->kernels, err);
    if (!rc && (given->first_round || given->n_shards))
        rc = rk_plan_set_cursor (plan, given->first_round, given->first_f, given->n_shards, err);
    if (!rc && plan->digest != given->digest)
        rc = rk_error_set (err, RK_EPLAN, "plan %016llx is proposed, the same profiles make %016llx here",
                           (unsigned long long) given->digest, (unsigned long long) plan->digest);
    rk_plan_destroy (&plan);
    rk_profiles_clear (&here);
    return rc;
}

/* ---- endpoints */

/* Where an actor binds, and what actors of this process call it. */
typedef struct {
    char bind[RK_NODE_ENDPOINT], local[RK_NODE_ENDPOINT];
    bool both; /* two endpoints: one for the network, one for this process */
} place_t;

static place_t s_place (const rk_node_t *self)
{
    place_t place = {.both = false};
    const char *transport = rk_node_transport (self);
    rk_endpoint_unique (place.bind, sizeof place.bind, transport, self->host);
    /* what others reach by a relay would come back by it */
    place.both = strcmp (transport, "inproc") != 0 && (strcmp (self->settings.net_transport, "inproc") == 0 || self->tunnel);
    if (place.both)
        rk_endpoint_unique (place.local, sizeof place.local, "inproc", NULL);
    return place;
}

/* Takes a just started actor into the list, with its second endpoint bound. */
static rk_err_t s_keep (rk_node_t *self, rk_actor_t *actor, const place_t *place, bool ends, rk_error_t *err)
{
    rk_err_t rc = place->both ? rk_actor_command (actor, "BIND", place->local, err) : RK_OK;
    if (rc) {
        rk_actor_stop (&actor);
        return rc;
    }
    return rk_node_keep (self, actor, place->both ? place->local : NULL, ends, err);
}

/* ---- actors of a node */
/* A run that goes on: the checkpointer of the leading process has everybody's state. */
static size_t s_donors (const rk_node_t *self, uint32_t node, rk_stage_donor_t donors[2])
{
    uint32_t cluster, position, index = rk_plan_stage_of_node (self->plan, node, &cluster, &position);
    const rk_plan_stage_t *stage = &self->plan->stages[index];
    const rk_tie_t *tie = rk_model_tie (self->model);
    const size_t n_tied = rk_model_n_tied (self->model, (int) stage->first, (int) stage->last);
    if (!self->plan->first_round)
        return 0;
    donors[0] = (rk_stage_donor_t){rk_address (RK_ACTOR_CHECKPOINTER, 0), cluster, stage->flat_lo, stage->flat_hi, false};
    if (n_tied)
        donors[1] = (rk_stage_donor_t){rk_address (RK_ACTOR_CHECKPOINTER, 0), cluster, tie->offset, tie->offset + n_tied, false};
    return n_tied ? 2 : 1;
}

/* For tests of supervision. */
static bool s_is_to_fail (const rk_node_t *self, uint32_t node, uint32_t times, uint32_t *n)
{
    const uint32_t first = self->follows ? self->node : self->plan->nodes[0];
    if (node != first || *n >= times)
        return false;
    ++*n;
    return true;
}

static rk_err_t s_build_stage (rk_node_t *self, uint32_t node, rk_error_t *err)
{
    place_t place = s_place (self);
    rk_stage_donor_t resumed[2], *donors = NULL;
    rk_stage_config_t config = {.plan = self->plan,
                                .node = node,
                                .model = self->model,
                                .bind = place.bind,
                                .identity = &self->identity,
                                .coordinator = self->coordinator,
                                .observer = self->observer,
                                .initial = self->config->initial,
                                .tells = rk_settings_replans (&self->plan->settings)};
    if (s_is_to_fail (self, node, self->config->stage_fails, &self->n_stage_failed))
        config.corrupt = RK_CORRUPT_FAILS;
    else if (self->config->fails_late)
        config.corrupt = RK_CORRUPT_FAILS_LATE;
    rk_actor_t *actor = NULL;
    rk_err_t rc = rk_node_donors (self, rk_plan_stage_of_node (self->plan, node, NULL, NULL), true, &donors, &config.n_donors, err);
    config.donors = donors;
    config.half = rk_node_half (self, node);
    if (!rc && !self->base) {
        config.n_donors = s_donors (self, node, resumed);
        config.donors = resumed;
    }
    if (!rc)
        rc = rk_stage_new (&actor, &config, err);
    free (donors);
    return rc ? rc : s_keep (self, actor, &place, false, err);
}

static rk_err_t s_build_reducer (rk_node_t *self, uint32_t node, rk_error_t *err)
{
    place_t place = s_place (self);
    rk_reducer_config_t config = {.plan = self->plan,
                                  .node = node,
                                  .bind = place.bind,
                                  .identity = &self->identity,
                                  .coordinator = self->coordinator,
                                  .observer = self->observer};
    if (s_is_to_fail (self, node, self->config->reducer_fails, &self->n_reducer_failed))
        config.corrupt = RK_CORRUPT_FAILS;
    rk_actor_t *actor = NULL;
    rk_err_t rc = rk_reducer_new (&actor, &config, err);
    return rc ? rc : s_keep (self, actor, &place, false, err);
}

static rk_err_t s_build_feeder (rk_node_t *self, uint32_t node, rk_error_t *err)
{
    place_t place = s_place (self);
    rk_err_t rc = self->data ? RK_OK : rk_node_open_data (self, err);
    size_t n_train = rc ? 0 : rk_data_n (self->data, RK_SPLIT_TRAIN); /* 0: a file to predict */
    if (n_train && n_train != self->plan->train_samples)
        return rk_error_set (err, RK_EINVAL, "%s has %zu training samples here, the plan was made for %llu",
                             self->settings.data_name, n_train, (unsigned long long) self->plan->train_samples);
    rk_feeder_config_t config = {.plan = self->plan, .node = node, .data = self->data, .bind = place.bind,
                                 .identity = &self->identity,                                 .coordinator = self->coordinator, .observer = self->observer};
    rk_actor_t *actor = NULL;
    if (!rc)
        rc = rk_feeder_new (&actor, &config, err);
    return rc ? rc : s_keep (self, actor, &place, false, err);
}

static rk_err_t s_build_node (rk_node_t *self, uint32_t node, rk_error_t *err)
{
    uint32_t cluster, stage;
    if (rk_plan_stage_of_node (self->plan, node, &cluster, &stage) == RK_NO_NODE)
        return RK_OK; /* the plan leaves it idle */
    /* The feeder first: reading data takes twice what keeping it does, and the stage's memory comes on top. */
    rk_err_t rc = stage == 0 ? s_build_feeder (self, node, err) : RK_OK;
    if (!rc)
        rc = s_build_stage (self, node, err);
    if (!rc && self->plan->n_clusters > 1)
        rc = s_build_reducer (self, node, err);
    return rc;
}

/* The checkpoint that the plan goes on from: a later view may go back to one that this run has written. */
static const char *s_resumed (const rk_node_t *self, char path[RK_CHECKPOINT_PATH])
{
    if (self->base || !self->plan->first_round)
        return NULL;
    rk_checkpoint_path (self->settings.run_dir, self->plan->first_round, path);
    return self->plan->view > 1 && access (path, R_OK) == 0 ? path : self->config->resume;
}

static rk_err_t s_build_checkpointer (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    char resumed[RK_CHECKPOINT_PATH];
    place_t place = s_place (self);
    bool train = c->kind == RK_RUN_TRAIN;
    rk_checkpointer_config_t config = {.plan = self->plan, .model = self->model, .bind = place.bind, .identity = &self->identity,
                                       .coordinator = self->coordinator, .observer = self->observer,
                                       .run_dir = train ? self->settings.run_dir : NULL, .predictions = c->predictions,
                                       .predictions_json = c->predictions_json,
                                       .keep = self->settings.save_keep, .resume = s_resumed (self, resumed),
                                       .n_predictions = c->kind == RK_RUN_PREDICT ? self->n_forward_only : 0};
    rk_actor_t *actor = NULL;
    rk_err_t rc = rk_checkpointer_new (&actor, &config, err);
    return rc ? rc : s_keep (self, actor, &place, true, err);
}

/* ---- Wired */
static rk_err_t s_send_wired (rk_node_t *self, rk_error_t *err)
{
    rk_endpoint_t *list = calloc (self->n_actors + 1, sizeof *list);
    if (!list)
        return rk_error_set (err, RK_ENOMEM, "no memory for %zu endpoints", self->n_actors);
    size_t n = 0;
    for (size_t i = 0; i < self->n_actors; i++) {
        rk_actor_kind_t kind = rk_address_kind (self->actors[i].address);
        bool told = kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_KEEPER ||
                    (self->leads && (kind == RK_ACTOR_OBSERVER || kind == RK_ACTOR_CHECKPOINTER));
        if (told)
            list[n++] = (rk_endpoint_t){self->actors[i].address, rk_actor_endpoint (self->actors[i].actor)};
    }
    rk_msg_t msg = {.kind = RK_MSG_WIRED, .wired = {n, list}};
    rk_err_t rc = rk_node_send (self, &msg, err);
    free (list);
    return rc;
}

static rk_err_t s_decode (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_plan_msg_t *msg = &packet->msg.plan;
    rk_plan_destroy (&self->plan);
    rk_err_t rc = rk_plan_decode (&self->plan, zmq_msg_data (&packet->frame[0]), zmq_msg_size (&packet->frame[0]), err);
    const uint8_t *base = msg->goes_on ? zmq_msg_data (&packet->frame[1]) : NULL;
    return rc ? rc : rk_node_take_base (self, msg, base, base ? zmq_msg_size (&packet->frame[1]) : 0, err);
}

rk_err_t rk_node_take_plan (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    rk_err_t rc = s_decode (self, packet, err);
    self->redone = packet->msg.plan.redone;
    if (!rc)
        rc = s_own_model (self, err);
    if (!rc)
        rc = s_plan_again (self, &packet->msg.plan, err);
    if (!rc && self->plan->kernels[0]) /* a plan by hand may leave the choice to each process */
        rc = rk_blas_init (self->plan->kernels, err);
    if (!rc && packet->msg.plan.leader == self->process)
        rc = rk_node_lead (self, err);
    if (!rc && self->leads)
        rc = s_build_checkpointer (self, err);
    for (uint32_t i = 0; !rc && i < self->plan->n_nodes; i++)
        if (rk_node_hosts (self, self->plan->nodes[i]))
            rc = s_build_node (self, self->plan->nodes[i], err);
    return rc ? rc : s_send_wired (self, err);
}

/* ---- connections */
static const char *s_endpoint_of (rk_node_t *self, const rk_endpoints_t *peers, uint32_t address)
{
    rk_node_actor_t *own = rk_node_find (self, address);
    if (own)
        return own->local;
    for (size_t i = 0; i < peers->n; i++)
        if (peers->list[i].address == address)
            return peers->list[i].endpoint;
    return NULL;
}

typedef rk_err_t (s_link_fn) (rk_actor_t *actor, uint32_t address, const char *endpoint, rk_error_t *err);

static rk_err_t s_link (rk_node_t *self, const rk_endpoints_t *peers, uint32_t from, uint32_t to, s_link_fn *link, rk_error_t *err)
{
    const char *endpoint = s_endpoint_of (self, peers, to);
    if (!endpoint)
        return rk_error_set (err, RK_EPEER, "nobody said where the %s of node %u is",
                             rk_actor_kind_name (rk_address_kind (to)), rk_address_node (to));
    char seen[RK_NODE_ENDPOINT];
    rk_node_seen_from (endpoint, self->leader_host, seen, sizeof seen);
    return link (rk_node_find (self, from)->actor, to, seen, err);
}

static rk_err_t s_connect (rk_node_t *self, const rk_endpoints_t *peers, uint32_t from, uint32_t to, rk_error_t *err)
{
    return s_link (self, peers, from, to, rk_actor_connect, err);
}

/* A ring passes each segment to its owner in the next cluster; one DEALER serves all segments it gets. Owners in
 * other clusters are spoken to when a graph says so, if ever.                                             */
static rk_err_t s_connect_reducer (rk_node_t *self, const rk_endpoints_t *peers, uint32_t node, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    uint32_t cluster, stage, own = rk_plan_stage_of_node (plan, node, &cluster, &stage);
    uint32_t from = rk_address (RK_ACTOR_REDUCER, node), next = (cluster + 1) % plan->n_clusters, last[RK_MAX_CLUSTERS];
    rk_err_t rc = s_connect (self, peers, from, rk_address (RK_ACTOR_STAGE, node), err);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        last[c] = RK_NO_NODE;
    for (uint32_t s = 0; !rc && s < plan->n_segments; s++) {
        const uint32_t *owners = plan->owners + plan->segments[s].first_owner;
        for (uint32_t c = 0; !rc && c < plan->n_clusters && owners[cluster] == own; c++) {
            if (c == cluster || owners[c] == last[c])
                continue;
            last[c] = owners[c]; /* segments ascend, and so do the owners */
            rc = s_link (self, peers, from, rk_address (RK_ACTOR_REDUCER, plan->stages[last[c]].node),
                         c == next ? rk_actor_connect : rk_actor_introduce, err);
        }
    }
    return rc;
}

static rk_err_t s_connect_stage (rk_node_t *self, const rk_endpoints_t *peers, uint32_t node, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    uint32_t cluster, stage, own = rk_plan_stage_of_node (plan, node, &cluster, &stage);
    uint32_t from = rk_address (RK_ACTOR_STAGE, node);
    bool last = stage + 1 == plan->clusters[cluster].n_stages;
    uint32_t before =
        stage ? rk_address (RK_ACTOR_STAGE, plan->stages[own - 1].node) : rk_address (RK_ACTOR_FEEDER, node);
    rk_err_t rc = s_connect (self, peers, from, before, err);
    if (!rc && !last)
        rc = s_connect (self, peers, from, rk_address (RK_ACTOR_STAGE, plan->stages[own + 1].node), err);
    if (!rc && plan->n_clusters > 1)
        rc = s_connect (self, peers, from, rk_address (RK_ACTOR_REDUCER, node), err);
    const uint32_t partner = rk_tied_partner (plan, self->model, cluster, stage);
    if (!rc && partner)
        rc = s_connect (self, peers, from, partner, err);
    if (!rc) /* slices come from every stage, predictions from the last ones */
        rc = s_connect (self, peers, from, rk_address (RK_ACTOR_CHECKPOINTER, 0), err);
    return rc;
}

/* Between a stage and those that keep its state, both ways; most know each other already. */
static rk_err_t s_introduce_warm (rk_node_t *self, const rk_endpoints_t *peers, uint32_t node, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    const uint32_t own = rk_plan_stage_of_node (plan, node, NULL, NULL);
    rk_err_t rc = RK_OK;
    for (uint32_t s = 0; s < plan->n_stages && !rc; s++)
        for (uint32_t k = 0; rk_handover_warm (plan, s, k) != RK_NO_NODE && !rc; k++) {
            const uint32_t keeper = rk_handover_warm (plan, s, k), other = s == own ? keeper : keeper == own ? s : RK_NO_NODE;
            if (other != RK_NO_NODE)
                rc = s_link (self, peers, rk_address (RK_ACTOR_STAGE, node), rk_address (RK_ACTOR_STAGE, plan->stages[other].node),
                             rk_actor_introduce, err);
        }
    return rc;
}

static rk_err_t s_connect_donors (rk_node_t *self, const rk_endpoints_t *peers, uint32_t node, rk_error_t *err)
{
    rk_stage_donor_t *donors = NULL;
    size_t n = 0;
    rk_err_t rc = rk_node_donors (self, rk_plan_stage_of_node (self->plan, node, NULL, NULL), false, &donors, &n, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = s_connect (self, peers, rk_address (RK_ACTOR_STAGE, node), donors[i].address, err);
    free (donors);
    if (!rc && rk_node_half (self, node))
        rc = s_connect (self, peers, rk_address (RK_ACTOR_STAGE, node), rk_node_half (self, node), err);
    return rc;
}

static rk_err_t s_connect_node (rk_node_t *self, const rk_endpoints_t *peers, uint32_t node, rk_error_t *err)
{
    uint32_t cluster, stage;
    if (rk_plan_stage_of_node (self->plan, node, &cluster, &stage) == RK_NO_NODE)
        return RK_OK;
    rk_err_t rc = s_connect_stage (self, peers, node, err);
    if (!rc)
        rc = s_introduce_warm (self, peers, node, err);
    if (!rc)
        rc = s_connect_donors (self, peers, node, err);
    if (!rc && self->plan->n_clusters > 1)
        rc = s_connect_reducer (self, peers, node, err);
    if (!rc && stage == 0)
        rc = s_connect (self, peers, rk_address (RK_ACTOR_FEEDER, node), rk_address (RK_ACTOR_STAGE, node), err);
    return rc;
}

/* Reports go to the observer of whoever leads now. */
static rk_err_t s_follow_observer (rk_node_t *self, const rk_endpoints_t *peers, rk_error_t *err)
{
    const char *leader = NULL; /* not the own one, which has the same address */
    for (size_t i = 0; i < peers->n; i++)
        if (rk_address_kind (peers->list[i].address) == RK_ACTOR_OBSERVER)
            leader = peers->list[i].endpoint;
    if (!leader)
        return rk_error_set (err, RK_EPEER, "nobody said where the leader's observer is");
    char seen[RK_NODE_ENDPOINT] = "";
    rk_node_seen_from (leader, self->leader_host, seen, sizeof seen);
    snprintf (self->leader_observer, sizeof self->leader_observer, "%s", seen);
    for (size_t i = 0; i < self->n_actors; i++)
        if (rk_address_kind (self->actors[i].address) == RK_ACTOR_OBSERVER)
            return rk_actor_connect (self->actors[i].actor, RK_TO_OBSERVER, seen, err);
    return rk_node_start_observer (self, seen, err);
}

rk_err_t rk_node_connect_all (rk_node_t *self, const rk_endpoints_t *peers, rk_error_t *err)
{
    if (!self->plan)
        return rk_error_set (err, RK_EFORMAT, "endpoints before a plan");
    rk_err_t rc = RK_OK;
    for (uint32_t i = 0; !rc && i < self->plan->n_nodes; i++)
        if (rk_node_hosts (self, self->plan->nodes[i]))
            rc = s_connect_node (self, peers, self->plan->nodes[i], err);
    if (!rc && !self->leads)
        rc = s_follow_observer (self, peers, err);
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}};
    return rc ? rc : rk_node_send (self, &ready, err);
}
