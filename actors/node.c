/* SPDX-License-Identifier: MPL-2.0
 * One process's run from the parent's side: start, listen to the actors, end in order.                    */
#include "actors/node_self.h"

#define LOOK_MS 200        /* how late an interrupt may be noticed when no signal woke the poll */
#define LAST_WORDS_MS 10000 /* for observer and checkpointer to end after the coordinator has */

/* ---- actors */
rk_err_t rk_node_keep (rk_node_t *self, rk_actor_t *actor, const char *local, bool ends, rk_error_t *err)
{
    if (self->n_actors == self->capacity) {
        size_t capacity = self->capacity ? 2 * self->capacity : 16;
        rk_node_actor_t *actors = realloc (self->actors, capacity * sizeof *actors);
        if (!actors) {
            rk_actor_stop (&actor);
            return rk_error_set (err, RK_ENOMEM, "no memory for actor %zu", self->n_actors);
        }
        self->actors = actors;
        self->capacity = capacity;
    }
    rk_node_actor_t *kept = &self->actors[self->n_actors++];
    *kept = (rk_node_actor_t){.actor = actor, .address = rk_actor_address (actor), .ends = ends};
    snprintf (kept->local, sizeof kept->local, "%s", local ? local : rk_actor_endpoint (actor));
    return RK_OK;
}

rk_node_actor_t *rk_node_find (rk_node_t *self, uint32_t address)
{
    for (size_t i = 0; i < self->n_actors; i++)
        if (self->actors[i].address == address)
            return &self->actors[i];
    return NULL;
}

static rk_err_t s_send_of (rk_node_t *self, uint64_t view, rk_msg_t *msg, rk_error_t *err)
{
    msg->view = view;
    msg->sender = rk_address (RK_ACTOR_NODE, 0);
    msg->seq = ++self->seq;
    return rk_wire_send (zsock_resolve (self->control), NULL, 0, msg, NULL, 0, NULL, err);
}

static uint64_t s_view (const rk_node_t *self)
{
    return self->plan ? self->plan->view : 0;
}

rk_err_t rk_node_send (rk_node_t *self, rk_msg_t *msg, rk_error_t *err)
{
    return s_send_of (self, s_view (self), msg, err);
}

/* ---- failure of this process's own doing */
/* view: of the plan that it is a failure of. */
static void s_fail (rk_node_t *self, uint32_t actor, uint64_t view, rk_err_t code, const char *text)
{
    if (!self->first.code)
        rk_error_set (&self->first, code, "%s", text);
    rk_msg_t failed = {.kind = RK_MSG_FAILED,
                       .failed = {.node = rk_address_node (actor), .text = text, .actor = actor, .final = code == RK_ENONFINITE}};
    rk_error_t err;
    if (s_send_of (self, view, &failed, &err))
        rk_log (RK_LOG_ERROR, "COORDINATOR-GONE", "%s", text);
}

void rk_node_fail (rk_node_t *self, uint32_t actor, rk_err_t code, const char *text)
{
    s_fail (self, actor, s_view (self), code, text[0] ? text : rk_strerror (code));
}

/* ---- what the coordinator says */
static rk_err_t s_on_welcome (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_welcome_t *w = &packet->msg.welcome;
    self->node = w->node;
    self->process = w->process;
    if (rk_node_is_loopback (self->leader_host) && !rk_node_is_loopback_endpoint (w->listen))
        snprintf (self->host, sizeof self->host, "0.0.0.0"); /* others come from outside: they will use the leader's address */
    rk_err_t rc = rk_settings_read (&self->settings, w->settings, strlen (w->settings), err);
    if (rc || self->config->witness)
        return rc;
    if (w->later) /* before it can be measured: whoever is measured is taken in, and then the others wait for it */
        rk_node_prepare_data (self);
    return rk_node_start_profiler (self, err);
}

static rk_err_t s_on_profile (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_profile_msg_t *msg = &packet->msg.profile;
    if (!msg->n_nodes)
        return rk_error_set (err, RK_EFORMAT, "an empty table of profiles");
    rk_profiles_clear (&self->table);
    rk_err_t rc = rk_profiles_init (&self->table, (uint32_t) msg->n_nodes, (uint32_t) msg->nodes[0].n_layers);
    for (size_t i = 0; !rc && i < msg->n_nodes; i++) {
        const rk_profile_t profile = rk_profile_of_message (&msg->nodes[i], "");
        rc = rk_profiles_add (&self->table, &profile, msg->nodes[i].n_layers, err);
    }
    return rc ? rc : rk_links_unpack (&self->table, packet, err);
}

/* Coordinators: where to come again. */
static void s_note_places (rk_node_t *self, const rk_endpoints_t *peers)
{
    self->places->n = 0;
    for (size_t i = 0; i < peers->n && self->places->n < RK_NODE_PLACES; i++)
        rk_node_seen_from (peers->list[i].endpoint, self->leader_host, self->places->list[self->places->n++], RK_NODE_ENDPOINT);
}

static rk_err_t s_on_peers (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_endpoints_t *peers = &packet->msg.peers;
    if (peers->n && rk_address_kind (peers->list[0].address) == RK_ACTOR_COORDINATOR) {
        s_note_places (self, peers);
        return RK_OK;
    }
    return rk_node_connect_all (self, &packet->msg.peers, err);
}

/* The state of the plan before is needed no more. */
static rk_err_t s_on_committed (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    (void) packet, (void) err;
    rk_node_drop_retired (self, 0);
    return RK_OK;
}

static rk_err_t s_on_start (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    (void) packet, (void) err;
    self->start_ns = self->start_ns ? self->start_ns : rk_now_ns ();
    return RK_OK;
}

static rk_err_t s_on_stop (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self->stop_ns = rk_now_ns ();
    self->result->done = packet->msg.stop.code == RK_STOP_DONE || packet->msg.stop.code == RK_STOP_UNSAVED;
    return RK_OK;
}

static rk_err_t s_on_evaluated (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    const rk_evaluated_t *e = &packet->msg.evaluated;
    rk_node_result_t *r = self->result;
    r->test_accuracy = e->n_counted ? (double) e->n_correct / (double) e->n_counted : 0;
    r->judged = self->model && rk_labels_judged (rk_model_labels (self->model));
    r->test_loss = e->n_counted ? e->loss_sum / (double) e->n_counted : 0;
    if (self->plan && self->plan->minibatches_per_pass)
        r->samples = e->f / self->plan->minibatches_per_pass * self->plan->train_samples;
    return RK_OK;
}

static rk_err_t s_on_saved (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self->result->params_digest = packet->msg.saved.digest;
    return RK_OK;
}

typedef rk_err_t (node_handler_t) (rk_node_t *self, rk_packet_t *packet, rk_error_t *err);
static node_handler_t *const s_on[RK_N_MSG] = {
    [RK_MSG_WELCOME] = s_on_welcome, [RK_MSG_PROFILE] = s_on_profile, [RK_MSG_PLAN] = rk_node_take_plan,
    [RK_MSG_PEERS] = s_on_peers,     [RK_MSG_START] = s_on_start,     [RK_MSG_EVALUATED] = s_on_evaluated,
    [RK_MSG_SAVED] = s_on_saved,     [RK_MSG_STOP] = s_on_stop,       [RK_MSG_RETIRE] = rk_node_retire,
    [RK_MSG_ROUND_COMMITTED] = s_on_committed,
    [RK_MSG_KEYS] = rk_node_on_keys,
};

static void s_take_message (rk_node_t *self)
{
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = rk_wire_receive (zsock_resolve (self->control), false, self->packet, &err);
    if (rc == RK_ETIMEDOUT)
        return;
    node_handler_t *handle = rc ? NULL : s_on[self->packet->msg.kind];
    if (handle)
        rc = handle (self, self->packet, &err);
    else if (!rc)
        rc = rk_error_set (&err, RK_EFORMAT, "%s is not for a node", rk_msg_kind_name (self->packet->msg.kind));
    /* From one's own coordinator there is no harmless error: without this step there is no run. */
    if (rc)
        rk_node_fail (self, rk_address (RK_ACTOR_NODE, self->node), rc, err.text);
    rk_packet_clear (self->packet);
}

/* ---- what the actors say */
static void s_take_word (rk_node_t *self, rk_node_actor_t *a)
{
    char word[32];
    rk_error_t err = {RK_OK, ""};
    while (rk_actor_said (a->actor, word, sizeof word, &err)) {
        bool coordinator = rk_address_kind (a->address) == RK_ACTOR_COORDINATOR;
        const bool failed = strcmp (word, "FAILED") == 0;
        a->ended = !failed || rk_address_kind (a->address) != RK_ACTOR_STAGE; /* that one still has its states to give */
        if (coordinator) {
            self->over = true;
            self->apart = strcmp (word, "LATER") == 0;
            self->rejoins = self->apart || strcmp (word, "REJOIN") == 0;
            if (!err.code) /* what failed was started again */
                self->first = err;
            else if (!self->first.code)
                self->first = err;
        } else if (failed && !rk_node_restarts (self, a, &err)) /* a stage's word may be heard when it has been retired: it is of the plan before */
            s_fail (self, a->address, a->view ? a->view : s_view (self), err.code, err.text);
    }
}

static void s_tell_interrupt (rk_node_t *self)
{
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = "interrupted"}};
    rk_error_t err;
    self->told = true;
    if (rk_node_send (self, &stop, &err))
        rk_log (RK_LOG_ERROR, "COORDINATOR-GONE", "%s", err.text);
}

/* ---- the poll */
static rk_err_t s_poll_once (rk_node_t *self, zmq_pollitem_t **items, size_t *capacity)
{
    const int64_t restart_ms = rk_node_restart_tick (self);
    if (*capacity < self->n_actors + 1) {
        zmq_pollitem_t *more = realloc (*items, (self->n_actors + 16) * sizeof *more);
        if (!more)
            return RK_ENOMEM;
        *items = more;
        *capacity = self->n_actors + 16;
    }
    size_t n = self->n_actors;
    (*items)[0] = (zmq_pollitem_t){.socket = zsock_resolve (self->control), .events = ZMQ_POLLIN};
    for (size_t i = 0; i < n; i++)
        (*items)[i + 1] =
            (zmq_pollitem_t){.socket = zsock_resolve (rk_actor_pipe (self->actors[i].actor)), .events = ZMQ_POLLIN};
    if (zmq_poll (*items, (int) n + 1, restart_ms < LOOK_MS ? (long) restart_ms : LOOK_MS) <= 0)
        return RK_OK; /* nothing, or a signal */
    for (size_t i = 0; i < n; i++)
        if ((*items)[i + 1].revents)
            s_take_word (self, &self->actors[i]);
    if ((*items)[0].revents)
        s_take_message (self);
    return RK_OK;
}

static bool s_finished (const rk_node_t *self)
{
    for (size_t i = 0; i < self->n_actors; i++)
        if (self->actors[i].ends && !self->actors[i].ended)
            return false;
    return self->over;
}

static rk_err_t s_run (rk_node_t *self)
{
    zmq_pollitem_t *items = NULL;
    size_t capacity = 0;
    rk_err_t rc = RK_OK;
    int64_t end_ns = INT64_MAX;
    while (!rc && !s_finished (self) && rk_now_ns () < end_ns) {
        if (!self->told && self->interrupted && *self->interrupted)
            s_tell_interrupt (self);
        rc = s_poll_once (self, &items, &capacity);
        if (self->over && end_ns == INT64_MAX)
            end_ns = rk_now_ns () + LAST_WORDS_MS * INT64_C (1000000);
    }
    while (zsock_events (self->control) & ZMQ_POLLIN) /* said before DONE, on another socket */
        s_take_message (self);
    free (items);
    return rc;
}

/* ---- the end: those who speak first, those who are spoken to last */
static void s_stop_kind (rk_node_t *self, rk_actor_kind_t kind)
{
    for (size_t i = 0; i < self->n_actors; i++)
        if (rk_address_kind (self->actors[i].address) == kind)
            rk_actor_stop (&self->actors[i].actor);
}

static void s_close (rk_node_t *self)
{
    static const rk_actor_kind_t order[] = {RK_ACTOR_FEEDER,     RK_ACTOR_STAGE,        RK_ACTOR_REDUCER, RK_ACTOR_KEEPER,
                                            RK_ACTOR_PROFILER,   RK_ACTOR_CHECKPOINTER, RK_ACTOR_OBSERVER,
                                            RK_ACTOR_COORDINATOR};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        s_stop_kind (self, order[i]);
    rk_node_unreach (self);
    rk_node_unsecure (self);
    zsock_destroy (&self->control);
    rk_packet_destroy (&self->packet);
    free (self->actors);
    rk_profiles_clear (&self->table);
    rk_model_info_destroy (&self->info);
    rk_plan_destroy (&self->plan);
    rk_plan_destroy (&self->base);
    free (self->alive);
    rk_model_destroy (&self->own_model);
    rk_data_close (&self->own_data);
}

static void s_fill_result (rk_node_t *self)
{
    rk_node_result_t *r = self->result;
    if (self->plan) {
        r->n_clusters = self->plan->n_clusters;
        r->n_stages = self->plan->n_stages;
    }
    if (self->start_ns && self->stop_ns)
        r->seconds = (double) (self->stop_ns - self->start_ns) * 1e-9;
}

typedef struct {
    bool rejoins, trained, apart;
} s_life_t;

/* From joining to the end, or until the run has gone on without this process. */
static rk_err_t s_live (const rk_node_config_t *config, rk_node_places_t *places, const volatile bool *interrupted,
                        rk_node_result_t *result, s_life_t *life, rk_error_t *err)
{
    rk_node_t self = {.config = config, .places = places, .interrupted = interrupted, .result = result};
    rk_error_t first = {RK_OK, ""};
    rk_err_t rc = config->join ? rk_node_open_follower (&self, &first) : rk_node_open_leader (&self, &first);
    if (!rc)
        rc = s_run (&self);
    if (!rc && self.first.code) {
        first = self.first;
        rc = first.code;
    }
    s_fill_result (&self);
    if (!rc && config->kind == RK_RUN_PROFILE) {
        result->profiles = self.table;
        self.table = (rk_profiles_t){0};
    }
    life->rejoins = self.over && self.rejoins && !self.told && places->n;
    life->trained = self.plan != NULL;
    life->apart = self.apart;
    s_close (&self);
    return rc ? rk_error_set (err, rc, "%s", first.text[0] ? first.text : rk_strerror (rc)) : RK_OK;
}

#define MOST_VISITS 50  /* one after the other without taking part */
#define VISIT_EVERY_MS 200
#define APART_MS 5000        /* before one that does not hear another member comes again; doubles */
#define MOST_APART_MS 300000

/* Whoever led comes again as a node. */
static void s_come_again (rk_node_config_t *config, const rk_node_places_t *places, const s_life_t *life, const char *why)
{
    if (!config->join)
        *config = (rk_node_config_t){.join = places->list[0], .speed = 1, .insecure = config->insecure, .keys = config->keys, .model = config->model,
                                     .data = config->data, .identity = config->identity, .json = config->json, .quiet = config->quiet};
    if (life->trained)
        rk_log (RK_LOG_WARNING, "REJOINS", "at=%s %s", places->list[0], why);
}

/* Those two are as before unless something has changed between them: it does not cost the others a view every few seconds. What one
 * of them can do by itself it does: others reach it by a relay from now on.                                */
static void s_stay_apart (rk_node_config_t *config, int64_t *pause_ms, const volatile bool *interrupted, const char *why)
{
    *pause_ms = !*pause_ms ? APART_MS : 2 * *pause_ms < MOST_APART_MS ? 2 * *pause_ms : MOST_APART_MS;
    rk_log (RK_LOG_WARNING, "APART", "again_in_ms=%lld %s", (long long) *pause_ms, why);
    for (int64_t left_ms = *pause_ms; left_ms > 0 && !(interrupted && *interrupted); left_ms -= LOOK_MS)
        zmq_poll (NULL, 0, LOOK_MS);
    if (config->reach == RK_REACH_AUTO)
        config->reach = RK_REACH_RATHER_RELAY;
}

rk_err_t rk_node_run (const rk_node_config_t *given, const volatile bool *interrupted, rk_node_result_t *result, rk_error_t *err)
{
    rk_node_config_t config = *given;
    rk_node_places_t places = {.n = 0};
    int64_t pause_ms = 0;
    for (int visits = 0;; visits++) {
        rk_node_result_t unused = {0};
        s_life_t life = {false, false, false};
        rk_error_t why = {RK_OK, ""};
        rk_err_t rc = s_live (&config, &places, interrupted, &unused, &life, &why);
        visits = life.trained ? 0 : visits;
        if (!life.rejoins || visits == MOST_VISITS || (interrupted && *interrupted)) {
            if (result)
                *result = unused;
            else
                rk_profiles_clear (&unused.profiles);
            return rc ? rk_error_set (err, rc, "%s", why.text) : RK_OK;
        }
        s_come_again (&config, &places, &life, why.text);
        if (life.apart)
            s_stay_apart (&config, &pause_ms, interrupted, why.text);
        else if (visits)
            zmq_poll (NULL, 0, VISIT_EVERY_MS);
    }
}
