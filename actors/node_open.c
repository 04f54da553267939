/* SPDX-License-Identifier: MPL-2.0
 * What a process has before there is a plan: settings, data, model, coordinator, observer, profiler.      */
#include <signal.h>
#include <sys/resource.h>

#include "actors/checkpointer.h"
#include "actors/node_self.h"
#include "actors/observer.h"
#include "actors/profiler.h"
#include "actors/training.h"
#include "compute/blas.h"

/* Counted in runs of 8 and 56 nodes, with room to spare: a socket has a descriptor of its own (18 per node) and
 * over tcp one per connection (another 12).                                                                */
#define SOCKETS_PER_NODE 64
#define SOCKETS_PER_PROCESS 128
#define FILES_PER_NODE 40
#define FILES_PER_PROCESS 64
#define FILES_PER_FOLLOWER 8

/* ---- the process */

/* Without descriptors CZMQ would end the process, so they are made sure of beforehand. */
static rk_err_t s_raise_file_limit (uint64_t needed, rk_error_t *err)
{
    struct rlimit files;
    if (getrlimit (RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
        return RK_OK;
    files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
    if (files.rlim_cur < needed || setrlimit (RLIMIT_NOFILE, &files) != 0)
        return rk_error_set (err, RK_EIO,
                             "this run needs %llu open files and sockets, the process may have %llu (ulimit -Hn)",
                             (unsigned long long) needed, (unsigned long long) files.rlim_max);
    return RK_OK;
}

/* CZMQ makes its context with a limit of sockets and with signal handlers of its own; the limit comes from
 * the fleet, the handlers stay the caller's.                                                              */
static rk_err_t s_prepare_process (uint32_t n_nodes, uint32_t n_followers, rk_error_t *err)
{
    rk_err_t rc = s_raise_file_limit (FILES_PER_PROCESS + (uint64_t) FILES_PER_NODE * n_nodes +
                                          (uint64_t) FILES_PER_FOLLOWER * n_followers, err);
    if (rc)
        return rc;
    struct sigaction on_int, on_term;
    sigaction (SIGINT, NULL, &on_int);
    sigaction (SIGTERM, NULL, &on_term);
    void *context = zsys_init ();
    sigaction (SIGINT, &on_int, NULL);
    sigaction (SIGTERM, &on_term, NULL);
    int wanted = SOCKETS_PER_PROCESS + SOCKETS_PER_NODE * (int) n_nodes;
    if (context && zmq_ctx_get (context, ZMQ_MAX_SOCKETS) < wanted)
        zmq_ctx_set (context, ZMQ_MAX_SOCKETS, wanted); /* no effect once there are sockets */
    return RK_OK;
}

static rk_err_t s_open_control (rk_node_t *self, rk_error_t *err)
{
    self->control = zsock_new (ZMQ_DEALER);
    if (!self->control || zmq_connect (zsock_resolve (self->control), self->coordinator) != 0)
        return rk_error_set (err, RK_EIO, "cannot reach the coordinator: %s", zmq_strerror (errno));
    zsock_set_linger (self->control, 0);
    rk_err_t rc = rk_packet_new (&self->packet);
    if (rc)
        return rk_error_set (err, rc, "no memory for a packet");
    rk_msg_t ready = {.kind = RK_MSG_READY};
    return rk_node_send (self, &ready, err);
}

static rk_err_t s_start_coordinator (rk_node_t *self, const rk_coordinator_config_t *config, rk_error_t *err)
{
    rk_actor_t *coordinator = NULL;
    rk_err_t rc = rk_coordinator_new (&coordinator, config, err);
    if (rc)
        return rc;
    if (config->bind) /* its own actors reach it without the network */
        rc = rk_actor_command (coordinator, "BIND", self->coordinator, err);
    else
        snprintf (self->coordinator, sizeof self->coordinator, "%s", rk_actor_endpoint (coordinator));
    if (rc) {
        rk_actor_stop (&coordinator);
        return rc;
    }
    if (config->bind && !self->follows && !self->config->quiet) /* a person would wonder; the port may have been "*" */
        fprintf (stderr, "waiting for %u node%s: rookery node --join %s\n", config->n_processes,
                 config->n_processes == 1 ? "" : "s", rk_actor_endpoint (coordinator));
    rc = rk_node_keep (self, coordinator, self->coordinator, true, err);
    return rc ? rc : s_open_control (self, err);
}

/* ---- observer */
rk_err_t rk_node_start_observer (rk_node_t *self, const char *leader, rk_error_t *err)
{
    char bind[RK_NODE_ENDPOINT];
    bool remote = self->follows || self->config->n_processes; /* a follower may lead one day */
    const rk_node_watched_t *again = &self->watched[RK_NODE_OBSERVER];
    if (remote && again->bind[0])
        snprintf (bind, sizeof bind, "%s", again->bind);
    else if (remote)
        rk_endpoint_unique (bind, sizeof bind, "tcp", self->host);
    if (leader)
        snprintf (self->leader_observer, sizeof self->leader_observer, "%s", leader);
    rk_observer_config_t config = {
        .bind = remote ? bind : self->observer,
        .identity = &self->identity,
        .leader = leader,
        .json = self->config->json && self->config->kind != RK_RUN_PROFILE, /* a table is told by whoever asked for it */
        .quiet = self->config->quiet || self->config->kind == RK_RUN_PROFILE,
        .kind = self->config->kind,
        .unjudged = self->model && !rk_labels_judged (rk_model_labels (self->model)),
        .goes_on = again->restart.n > 0,
        .plan = again->restart.n && self->leads ? self->plan : NULL,
        .redone = self->redone,
        .fails = self->n_observer_failed < self->config->observer_fails,
        .run_dir = !self->leads || self->config->kind != RK_RUN_TRAIN ? NULL : self->settings.run_dir};
    self->n_observer_failed += config.fails;
    rk_actor_t *observer = NULL;
    rk_err_t rc = rk_observer_new (&observer, &config, err);
    if (!rc && remote)
        rc = rk_actor_command (observer, "BIND", self->observer, err);
    if (rc) {
        rk_actor_stop (&observer);
        return rc;
    }
    return rk_node_keep (self, observer, self->observer, true, err);
}

/* ---- profiler */
static uint32_t s_profiled_nodes (const rk_node_t *self, rk_profiler_node_t *nodes)
{
    if (self->follows) {
        nodes[0] =
            (rk_profiler_node_t){.node = self->node, .speed = self->config->speed, .ram_mb = self->config->ram_mb};
        snprintf (nodes[0].name, sizeof nodes[0].name, "%s", self->config->name ? self->config->name : "");
        return 1;
    }
    uint32_t n = self->settings.n_fleet;
    for (uint32_t i = 0; i < n; i++) {
        const rk_fleet_node_t *declared = &self->settings.fleet[i];
        nodes[i] = (rk_profiler_node_t){.node = i, .speed = declared->speed, .ram_mb = declared->ram_mb};
        snprintf (nodes[i].name, sizeof nodes[i].name, "%s", declared->name);
    }
    if (n == 0)
        nodes[n++] = (rk_profiler_node_t){.name = "node"};
    return n;
}

rk_err_t rk_node_start_profiler (rk_node_t *self, rk_error_t *err)
{
    rk_profiler_node_t nodes[RK_MAX_FLEET];
    rk_profiler_config_t config = {.process = self->follows ? self->node + 1 : 0, .identity = &self->identity, .coordinator = self->coordinator,
                                   .settings = &self->settings, .model = self->model, .nodes = nodes,
                                   .cache = self->config->model ? RK_CACHE_OFF : self->config->cache};
    config.n_nodes = s_profiled_nodes (self, nodes);
    char bind[RK_NODE_ENDPOINT];
    if (self->follows) { /* others measure their links to this process: by tcp, as data will go */
        rk_endpoint_unique (bind, sizeof bind, rk_node_transport (self), self->host);
        config.bind = self->watched[RK_NODE_PROFILER].bind[0] ? self->watched[RK_NODE_PROFILER].bind : bind;
    }
    config.fails = self->n_profiler_failed < self->config->profiler_fails;
    self->n_profiler_failed += config.fails;
    rk_actor_t *profiler = NULL;
    rk_err_t rc = rk_profiler_new (&profiler, &config, err);
    return rc ? rc : rk_node_keep (self, profiler, NULL, false, err);
}

/* ---- data and model */
rk_err_t rk_node_open_data (rk_node_t *self, rk_error_t *err)
{
    self->data = self->config->data;
    if (self->data)
        return RK_OK;
    const rk_data_options_t options = rk_data_options_of (&self->settings);
    rk_err_t rc = rk_data_open (&self->own_data, self->settings.data_name, &options, err);
    self->data = self->own_data;
    if (!rc)
        rk_log (RK_LOG_INFO, "DATA", "name=%s train=%zu test=%zu", self->settings.data_name, rk_data_n (self->data, RK_SPLIT_TRAIN),
                rk_data_n (self->data, RK_SPLIT_TEST));
    return rc;
}

/* Of a plan only the first stages need data, so a machine without the file may well take part. */
void rk_node_prepare_data (rk_node_t *self)
{
    rk_error_t err = {RK_OK, ""};
    if (rk_node_open_data (self, &err))
        rk_log (RK_LOG_INFO, "NO-DATA", "name=%s %s", self->settings.data_name, err.text);
}

static const char *const s_label_words[] = {[RK_LABEL_CLASS] = "classes", [RK_LABEL_TARGET] = "values"};

static rk_err_t s_open_model (rk_node_t *self, rk_error_t *err)
{
    self->model = self->config->model;
    rk_err_t rc = RK_OK;
    if (!self->model) {
        rc = rk_model_by_name (&self->own_model, self->settings.model_name, rk_data_shape (self->data),
                               rk_data_n_classes (self->data), err);
        self->model = self->own_model;
    }
    const rk_label_kind_t kind = rc ? RK_LABEL_CLASS : rk_model_labels (self->model)->kind;
    if (!rc && !self->config->data && rk_data_labels (self->data)->kind != kind)
        return rk_error_set (err, RK_ESHAPE, "data.labels = %s, but model %s is of %s: another model.name, or data.labels = %s",
                             s_label_words[!kind], rk_model_name (self->model), s_label_words[kind], s_label_words[kind]);
    if (!rc)
        rc = rk_data_check_model (self->data, self->model, err);
    size_t n_train = rk_data_n (self->data, RK_SPLIT_TRAIN); /* a file to predict has none, a plan has at least one */
    if (!rc)
        rc = rk_model_info_new (&self->info, self->model, &self->settings, n_train ? n_train : 1,
                                rk_data_n (self->data, RK_SPLIT_TEST), err);
    return rc;
}

static rk_err_t s_check_leader (const rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    if (c->n_processes && !c->listen)
        return rk_error_set (err, RK_EINVAL, "%u nodes are to join, but there is no address to listen on",
                             c->n_processes);
    rk_err_t rc = c->listen && c->n_processes ? rk_node_check_endpoint (c->listen, err) : RK_OK;
    return rc ? rc : rk_settings_check (&self->settings, err);
}

/* ---- leader and follower */
rk_err_t rk_node_open_leader (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    self->leads = true;
    self->settings = c->settings;
    rk_err_t rc = s_check_leader (self, err);
    if (!rc)
        rc = rk_blas_init (c->plan && c->plan->kernels[0] ? c->plan->kernels : "auto", err);
    if (!rc)
        rc = rk_node_open_data (self, err);
    if (!rc)
        rc = s_open_model (self, err);
    if (rc)
        return rc;
    uint32_t n_nodes = c->plan ? c->plan->n_nodes : self->settings.n_fleet;
    rc = s_prepare_process (c->n_processes ? 0 : n_nodes, c->n_processes, err);
    if (rc)
        return rc;
    rk_node_host_of (c->n_processes ? c->listen : "", self->host, sizeof self->host);
    if (!self->host[0])
        snprintf (self->host, sizeof self->host, "127.0.0.1");
    rk_endpoint_unique (self->observer, sizeof self->observer, "inproc", NULL);
    rk_endpoint_unique (self->coordinator, sizeof self->coordinator, "inproc", NULL);
    uint64_t batch = self->settings.train_batch;
    self->n_forward_only = c->kind == RK_RUN_TRAIN || c->kind == RK_RUN_PROFILE ? 0 : (rk_data_n (self->data, RK_SPLIT_TEST) + batch - 1) / batch;
    rc = rk_node_secure_leader (self, err);
    if (!rc && c->listen && c->n_processes)
        rc = rk_node_check_own (c->listen, err);
    if (!rc)
        rk_node_open_relay (self);
    if (!rc)
        rc = rk_node_start_observer (self, NULL, err);
    rk_coordinator_config_t config = {.settings = &self->settings,
                                      .identity = &self->identity,
                                      .model = self->info,
                                      .program_model = c->model,
                                      .plan = c->plan,
                                      .cursor = c->cursor,
                                      .n_processes = c->n_processes,
                                      .bind = c->n_processes ? c->listen : NULL,
                                      .observer = self->observer,
                                      .relay = rk_node_relay (self),
                                      .kind = c->kind,
                                      .n_forward_only = self->n_forward_only};
    if (!rc)
        rc = s_start_coordinator (self, &config, err);
    if (!rc)
        rc = rk_node_open_beacon (self, err);
    if (!rc && !c->plan && !c->n_processes)
        rc = rk_node_start_profiler (self, err);
    return rc;
}

rk_err_t rk_node_open_follower (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    self->follows = true;
    rk_err_t rc = rk_blas_init ("auto", err);
    if (!rc)
        rc = s_prepare_process (1, 0, err);
    if (!rc)
        rc = rk_node_secure_follower (self, err);
    if (rc)
        return rc;
    rk_node_host_of (self->join, self->leader_host, sizeof self->leader_host);
    rk_node_interface (self->leader_host, self->host, sizeof self->host);
    rc = rk_node_check_own (self->host, err);
    if (!rc)
        rc = rk_node_reach (self, err);
    if (rc)
        return rc;
    rk_endpoint_unique (self->observer, sizeof self->observer, "inproc", NULL);
    char name[32];
    char machine[20] = "node";
    if (gethostname (machine, sizeof machine - 1) != 0)
        snprintf (machine, sizeof machine, "node");
    machine[sizeof machine - 1] = '\0';
    snprintf (name, sizeof name, "%s-%d", machine, (int) getpid ());
    /* Other members dial it once there is a view. */
    char bind[RK_NODE_ENDPOINT];
    rk_endpoint_unique (bind, sizeof bind, "tcp", self->host);
    rk_endpoint_unique (self->coordinator, sizeof self->coordinator, "inproc", NULL);
    rk_coordinator_config_t config = {.join = self->join, .name = c->name ? c->name : name, .observer = self->observer,
                                      .program_model = c->model, .bind = bind, .kind = c->kind, .witness = c->witness,
                                      .identity = &self->identity, .relay = rk_node_relay (self)};
    return s_start_coordinator (self, &config, err);
}
