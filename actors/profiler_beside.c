/* SPDX-License-Identifier: MPL-2.0
 * What a minibatch costs beside kernels: a real feeder feeds a real stage, with minibatches as large as the run's and a model
 * that is next to nothing, and the calling thread leads them. CPU time, of which other programs take least: the stage's
 * own outside of its kernels, and that of all others. And how fast memory is copied.                       */
#include "actors/profiler_parts.h"

#include "actors/feeder.h"
#include "actors/modelinfo.h"
#include "actors/stage.h"
#include "cluster/lease.h"

#define REPEATS 3          /* the least counts: what disturbs only adds */
#define MINIBATCHES 32
#define MOST_BYTES 500000 /* of a minibatch: larger ones are taken to cost as their size says */
#define PATIENCE_MS 500    /* for the next word */
#define HELD 4             /* times its parameters: what a stage goes through in a minibatch, so that copies come from beyond its caches */
#define MOST_COPIED 64000000
#define LEAST_COPIED 8000000

typedef struct {
    uint32_t address;
    uint8_t routing[255];
    size_t n_routing;
} s_way_t;

typedef struct {
    rk_model_t *model;
    rk_data_t *data;
    rk_plan_t *plan;
    rk_lease_table_t *leases;
    rk_actor_t *stage, *feeder;
    zsock_t *hub;
    rk_packet_t *packet;
    s_way_t ways[2];
    uint32_t n_ways, n_stopped, asked;
    uint64_t closed, committed;
    int64_t started_ns, took_ns; /* of the process's CPU time: at the first lease, until the last commit */
    bool told;
    rk_report_t report;
} s_beside_t;

/* ---- leading */
static rk_err_t s_send (s_beside_t *b, const s_way_t *way, rk_msg_t *msg, rk_error_t *err)
{
    msg->view = b->plan->view;
    msg->sender = rk_address (RK_ACTOR_COORDINATOR, 0);
    msg->seq = 1;
    return rk_wire_send (zsock_resolve (b->hub), way->routing, way->n_routing, msg, NULL, 0, NULL, err);
}

/* kind: of actor, or 0 for both */
static rk_err_t s_send_all (s_beside_t *b, rk_actor_kind_t kind, rk_msg_t msg, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    for (uint32_t i = 0; !rc && i < b->n_ways; i++)
        if (!kind || rk_address_kind (b->ways[i].address) == kind)
            rc = s_send (b, &b->ways[i], &msg, err);
    return rc;
}

static rk_err_t s_grant (s_beside_t *b, rk_error_t *err)
{
    uint64_t f[64], round = 0;
    const uint32_t most = b->asked < 64 ? b->asked : 64;
    const uint32_t n = most ? rk_lease_grant (b->leases, 0, most, f, &round) : 0;
    if (!n)
        return RK_OK;
    b->asked = 0;
    b->started_ns = b->started_ns ? b->started_ns : rk_process_cpu_ns ();
    return s_send_all (b, RK_ACTOR_FEEDER, (rk_msg_t){.kind = RK_MSG_LEASE_GRANT, .lease_grant = {.f = f, .n = n, .round = round}}, err);
}

static rk_err_t s_close_rounds (s_beside_t *b, rk_error_t *err)
{
    uint64_t count, samples;
    rk_err_t rc = RK_OK;
    while (!rc && b->closed < rk_round_n (b->plan) && rk_lease_closed (b->leases, b->closed, &count, &samples))
        rc = s_send_all (b, RK_ACTOR_STAGE,
                         (rk_msg_t){.kind = RK_MSG_ROUND_CLOSED,
                                    .round_closed = {.round = b->closed++, .n_clusters = 1, .counts = &count, .samples = &samples}}, err);
    return rc;
}

static rk_err_t s_on_applied (s_beside_t *b, uint64_t round, uint32_t stage, rk_error_t *err)
{
    bool committed = false;
    rk_err_t rc = rk_lease_applied (b->leases, round, stage, &committed, err);
    if (rc || !committed)
        return rc;
    if (++b->committed < rk_round_n (b->plan))
        return s_send_all (b, 0, (rk_msg_t){.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {.round = round}}, err);
    b->took_ns = rk_process_cpu_ns () - b->started_ns;
    return s_send_all (b, 0, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.reason = "done"}}, err);
}

static rk_err_t s_handle (s_beside_t *b, rk_error_t *err)
{
    const rk_msg_t *msg = &b->packet->msg;
    if (msg->kind == RK_MSG_READY && b->n_ways < 2) {
        s_way_t *way = &b->ways[b->n_ways++];
        *way = (s_way_t){.address = msg->sender, .n_routing = b->packet->n_routing};
        memcpy (way->routing, b->packet->routing, way->n_routing);
        return RK_OK;
    }
    if (msg->kind == RK_MSG_LEASE_REQUEST)
        b->asked = msg->lease_request.n;
    else if (msg->kind == RK_MSG_ROUND_APPLIED)
        return s_on_applied (b, msg->round_applied.round, msg->round_applied.stage, err);
    else if (msg->kind == RK_MSG_REPORT && msg->report.final) {
        b->report = msg->report;
        b->told = true;
    } else if (msg->kind == RK_MSG_STOPPED)
        b->n_stopped++;
    else if (msg->kind == RK_MSG_FAILED)
        return rk_error_set (err, RK_ESTATE, "%s", msg->failed.text);
    return RK_OK;
}

static rk_err_t s_lead (s_beside_t *b, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    while (!rc && !(b->told && b->n_stopped == 2)) {
        zmq_pollitem_t item = {.socket = zsock_resolve (b->hub), .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, PATIENCE_MS) <= 0)
            return rk_error_set (err, RK_ETIMEDOUT, "nothing came for %d ms", PATIENCE_MS);
        rc = rk_wire_receive (item.socket, true, b->packet, err);
        if (rc == RK_ETIMEDOUT)
            rc = RK_OK;
        else if (!rc)
            rc = s_handle (b, err);
        if (!rc && b->n_ways == 2)
            rc = s_grant (b, err);
        if (!rc)
            rc = s_close_rounds (b, err);
    }
    return rc;
}

/* ---- the two actors, and what they need */
static size_t s_batch (const rk_profile_job_t *job)
{
    const size_t bytes = rk_shape_elems (rk_model_tensor_shape (job->model, 0)) * sizeof (float), most = MOST_BYTES / (bytes ? bytes : 1);
    const size_t batch = job->settings->train_batch;
    return most < 1 ? 1 : most < batch ? most : batch;
}

static rk_err_t s_make_plan (s_beside_t *b, const rk_profile_job_t *job, rk_error_t *err)
{
    rk_settings_t s;
    rk_settings_default (&s);
    const uint64_t every = job->settings->average_every;
    s.average_every = every > 0 && every < MINIBATCHES ? every : MINIBATCHES;
    s.run_passes = 1;
    s.train_batch = s_batch (job);
    const uint64_t n = s.train_batch * (MINIBATCHES / s.average_every * s.average_every);
    const rk_shape_t shape = rk_model_tensor_shape (job->model, 0);
    rk_model_info_t *info = NULL;
    rk_err_t rc = rk_model_by_name (&b->model, "softmax", shape, 2, err);
    if (!rc)
        rc = rk_model_info_new (&info, b->model, &s, n, 0, err);
    const uint32_t one = 1, cut = 0;
    if (!rc)
        rc = rk_plan_by_hand (&b->plan, 1, info, &s, 1, &one, &cut, NULL, err);
    rk_model_info_destroy (&info);
    float *x = rc ? NULL : calloc (n * rk_shape_elems (shape), sizeof *x);
    void *labels = rc ? NULL : calloc (n, RK_LABEL_BYTES);
    const rk_data_split_t split[2] = {{n, x, labels}, {0, NULL, NULL}};
    if (!rc && (!x || !labels))
        rc = rk_error_set (err, RK_ENOMEM, "no memory for minibatches");
    if (!rc)
        rc = rk_data_from_memory (&b->data, shape, (rk_labels_t){.n = 1, .n_classes = 2}, split, err);
    free (x);
    free (labels);
    return rc;
}

static rk_err_t s_open (s_beside_t *b, const rk_profile_job_t *job, rk_error_t *err)
{
    char endpoint[128];
    rk_endpoint_unique (endpoint, sizeof endpoint, "inproc", NULL);
    rk_err_t rc = s_make_plan (b, job, err);
    if (!rc)
        rc = rk_lease_table_new (&b->leases, b->plan, 0, err);
    if (!rc)
        rc = rk_packet_new (&b->packet);
    b->hub = rc ? NULL : zsock_new (ZMQ_ROUTER);
    if (!rc && (!b->hub || zsock_bind (b->hub, "%s", endpoint) < 0))
        rc = rk_error_set (err, RK_EIO, "no socket to lead by");
    if (rc)
        return rc;
    zsock_set_router_mandatory (b->hub, 1);
    const rk_stage_config_t s = {.plan = b->plan, .node = 0, .model = b->model, .coordinator = endpoint, .observer = endpoint};
    const rk_feeder_config_t f = {.plan = b->plan, .node = 0, .data = b->data, .coordinator = endpoint, .observer = endpoint};
    rc = rk_stage_new (&b->stage, &s, err);
    if (!rc)
        rc = rk_feeder_new (&b->feeder, &f, err);
    if (!rc)
        rc = rk_actor_connect (b->stage, rk_actor_address (b->feeder), rk_actor_endpoint (b->feeder), err);
    if (!rc)
        rc = rk_actor_connect (b->feeder, rk_actor_address (b->stage), rk_actor_endpoint (b->stage), err);
    return rc;
}

static void s_close (s_beside_t *b)
{
    rk_actor_stop (&b->stage);
    rk_actor_stop (&b->feeder);
    rk_lease_table_destroy (&b->leases);
    rk_packet_destroy (&b->packet);
    zsock_destroy (&b->hub);
    rk_plan_destroy (&b->plan);
    rk_data_close (&b->data);
    rk_model_destroy (&b->model);
}

/* ---- figures */
static void s_less (uint64_t now, uint64_t *least)
{
    now = now ? now : 1;
    *least = *least && *least < now ? *least : now;
}

static rk_err_t s_once (const rk_profile_job_t *job, rk_layer_figures_t *out, rk_error_t *err)
{
    s_beside_t *b = calloc (1, sizeof *b);
    rk_err_t rc = b ? s_open (b, job, err) : rk_error_set (err, RK_ENOMEM, "no memory to measure messages");
    if (!rc)
        rc = s_lead (b, err);
    if (!rc && b->report.minibatches) {
        const uint64_t n = b->report.minibatches, stage = b->report.busy_ns + b->report.dispatch_ns;
        const uint64_t others = (uint64_t) b->took_ns > stage ? (uint64_t) b->took_ns - stage : 0;
        s_less (b->report.dispatch_ns / n, &out->dispatch_ns);
        s_less (others / n * job->settings->train_batch / b->plan->settings.train_batch, &out->feed_ns);
    }
    if (b)
        s_close (b);
    free (b);
    return rc;
}

static void s_copy (const rk_profile_job_t *job, rk_layer_figures_t *out)
{
    const size_t held = HELD * rk_model_flat_at (job->model, rk_model_n_layers (job->model)) * sizeof (float);
    const size_t bytes = held < LEAST_COPIED ? LEAST_COPIED : held < MOST_COPIED ? held : MOST_COPIED;
    char *from = malloc (bytes), *to = malloc (bytes);
    for (int i = 0; from && to && i <= REPEATS; i++) {
        memset (from, i, bytes); /* the first time both are new memory */
        const int64_t start = rk_thread_cpu_ns ();
        memcpy (to, from, bytes);
        const int64_t ns = rk_thread_cpu_ns () - start;
        const uint64_t rate = (uint64_t) ((double) bytes * 1e9 / (double) (ns > 0 ? ns : 1)) + (uint64_t) (to[bytes / 2] != i);
        out->copy_bytes_per_s = i > 0 && rate > out->copy_bytes_per_s ? rate : out->copy_bytes_per_s;
    }
    free (from);
    free (to);
}

void rk_profile_beside (const rk_profile_job_t *job, rk_layer_figures_t *out)
{
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = RK_OK;
    s_copy (job, out);
    for (int i = 0; !rc && i < REPEATS; i++)
        rc = s_once (job, out, &err);
    if (rc)
        rk_log (RK_LOG_INFO, "NOT-MEASURED", "messages between actors: %s", err.text);
}
