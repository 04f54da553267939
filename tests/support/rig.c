/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "actors/feeder.h"
#include "actors/reducer.h"
#include "actors/training.h"
#include "cluster/lease.h"
#include "compute/arena.h"
#include "compute/blas.h"

#define DEADLINE_MS 60000 /* nothing here takes long; a run that hangs must fail, not stall the suite */
#define MOST_ACTORS 256

typedef struct {
    uint32_t address;
    uint8_t routing[255];
    size_t n_routing;
} way_t;

typedef struct {
    const rig_config_t *config;
    rig_result_t *result;
    rk_plan_t *plan;
    rk_actor_t *actors[MOST_ACTORS];
    size_t n_actors;
    zsock_t *hub;
    void *socket;
    char endpoint[128];
    rk_packet_t *packet;
    way_t ways[MOST_ACTORS];
    size_t n_ways;
    rk_lease_table_t *leases;
    uint64_t closed, committed, n_rounds;
    uint32_t asks[RIG_MOST_CLUSTERS]; /* leases a feeder waits for */
    uint64_t eval_next, eval_done;
    bool evaluating;
    uint32_t n_slices, n_stopped, n_final;
    float *means;                 /* n_rounds x n_clusters x n_flat */
    uint64_t *slices_of;          /* by round: the stages whose slice is here */
    bool *counted;
} rig_t;

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

/* ---- plan */

void rig_settings (rk_settings_t *s)
{
    rk_settings_default (s);
    s->run_seed = 7;
    s->run_passes = 1;
    s->train_batch = 128;
    snprintf (s->train_optimizer, sizeof s->train_optimizer, "sgd");
    snprintf (s->train_schedule, sizeof s->train_schedule, "constant");
    s->train_lr = 0.05;
    s->train_momentum = 0.9;
    s->train_weight_decay = 1e-4;
    s->pipeline_update_every = 1;
    s->average_every = 4;
    s->average_mode = RK_AVERAGE_DRAINED;
}

static void s_even_cuts (const rig_config_t *config, uint32_t *cuts)
{
    uint32_t n_layers = (uint32_t) rk_model_n_layers (config->model), n = 0;
    for (uint32_t c = 0; c < config->n_clusters; c++)
        for (uint32_t s = 0; s < config->counts[c]; s++)
            cuts[n++] = s * n_layers / config->counts[c];
}

static rk_plan_t *s_plan (const rig_config_t *config)
{
    uint32_t n_layers = (uint32_t) rk_model_n_layers (config->model);
    rk_layer_info_t layers[256] = {0};
    assert_true (n_layers <= 256);
    for (uint32_t i = 0; i < n_layers; i++)
        layers[i] = (rk_layer_info_t){.flat_at = rk_model_flat_at (config->model, (int) i), .stash_bytes = 1, .work_bytes = 1,
                                      .cut_bytes = 1};
    rk_shape_t shape = rk_data_shape (config->data);
    rk_model_info_t info = {.n_layers = n_layers, .layers = layers, .n_flat = rk_model_flat_at (config->model, (int) n_layers),
                            .train_samples = rk_data_n (config->data, RK_SPLIT_TRAIN),
                            .test_samples = rk_data_n (config->data, RK_SPLIT_TEST), .n_dims = (uint32_t) shape.n_dims,
                            .n_classes = (uint32_t) rk_data_n_classes (config->data)};
    for (int d = 0; d < shape.n_dims; d++)
        info.dims[d] = (uint32_t) shape.dim[d];
    uint32_t even[256];
    s_even_cuts (config, even);
    rk_plan_t *plan = NULL;
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_plan_by_hand (&plan, 1, &info, &config->settings, config->n_clusters, config->counts,
                           config->cuts ? config->cuts : even, config->rates, &err), &err);
    return plan;
}

/* ---- actors */

static void s_start_node (rig_t *rig, uint32_t cluster, uint32_t stage)
{
    const rig_config_t *config = rig->config;
    uint32_t node = rk_plan_stage (rig->plan, cluster, stage)->node;
    /* Who errs: all (a first stage of one layer has no use for its weights in a backward), else one node. */
    bool chosen = config->corrupt == RK_CORRUPT_STALE_VERSION || (cluster == 0 && stage == 0);
    char bind[3][128];
    for (int i = 0; i < 3; i++)
        rk_endpoint_unique (bind[i], sizeof bind[i], config->transport, NULL);
    uint32_t corrupt = chosen ? config->corrupt : RK_CORRUPT_NONE;
    rk_error_t err = {RK_OK, ""};
    const rk_stage_config_t s = {.plan = rig->plan, .node = node, .model = config->model, .bind = bind[0], .initial = config->initial,
                                 .coordinator = rig->endpoint, .observer = rig->endpoint, .corrupt = corrupt};
    s_ok (rk_stage_new (&rig->actors[rig->n_actors++], &s, &err), &err);
    const rk_reducer_config_t r = {.plan = rig->plan, .node = node, .bind = bind[1], .coordinator = rig->endpoint,
                                   .observer = rig->endpoint, .corrupt = corrupt};
    if (rig->plan->n_clusters > 1)
        s_ok (rk_reducer_new (&rig->actors[rig->n_actors++], &r, &err), &err);
    const rk_feeder_config_t f = {.plan = rig->plan, .node = node, .data = config->data, .bind = bind[2],
                                  .coordinator = rig->endpoint, .observer = rig->endpoint, .corrupt = corrupt};
    if (stage == 0)
        s_ok (rk_feeder_new (&rig->actors[rig->n_actors++], &f, &err), &err);
}

static rk_actor_t *s_actor (rig_t *rig, rk_actor_kind_t kind, uint32_t node)
{
    for (size_t i = 0; i < rig->n_actors; i++)
        if (rk_actor_address (rig->actors[i]) == rk_address (kind, node))
            return rig->actors[i];
    fail_msg ("no %s %u", rk_actor_kind_name (kind), node);
    return NULL;
}

static void s_join (rig_t *rig, rk_actor_kind_t kind, uint32_t node, rk_actor_kind_t to_kind, uint32_t to_node)
{
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_actor_connect (s_actor (rig, kind, node), rk_address (to_kind, to_node),
                            rk_actor_endpoint (s_actor (rig, to_kind, to_node)), &err), &err);
}

static void s_connect (rig_t *rig)
{
    const rk_plan_t *plan = rig->plan;
    rk_error_t err = {RK_OK, ""};
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++) {
            uint32_t node = rk_plan_stage (plan, c, s)->node;
            s_ok (rk_actor_connect (s_actor (rig, RK_ACTOR_STAGE, node), rk_address (RK_ACTOR_CHECKPOINTER, 0), rig->endpoint, &err),
                  &err);
            if (s == 0) {
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_FEEDER, node);
                s_join (rig, RK_ACTOR_FEEDER, node, RK_ACTOR_STAGE, node);
            } else {
                uint32_t before = rk_plan_stage (plan, c, s - 1)->node;
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_STAGE, before);
                s_join (rig, RK_ACTOR_STAGE, before, RK_ACTOR_STAGE, node);
            }
            if (plan->n_clusters > 1) {
                s_join (rig, RK_ACTOR_STAGE, node, RK_ACTOR_REDUCER, node);
                s_join (rig, RK_ACTOR_REDUCER, node, RK_ACTOR_STAGE, node);
            }
        }
    for (uint32_t s = 0; s < plan->n_segments && plan->n_clusters > 1; s++)
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            const uint32_t *owners = plan->owners + plan->segments[s].first_owner;
            s_join (rig, RK_ACTOR_REDUCER, plan->stages[owners[c]].node, RK_ACTOR_REDUCER,
                    plan->stages[owners[(c + 1) % plan->n_clusters]].node);
        }
}

/* ---- leader */

static void s_send (rig_t *rig, const way_t *way, rk_msg_t msg)
{
    rk_error_t err = {RK_OK, ""};
    msg.view = rig->plan->view;
    msg.sender = rk_address (RK_ACTOR_COORDINATOR, 0);
    msg.seq = 1;
    s_ok (rk_wire_send (rig->socket, way->routing, way->n_routing, &msg, NULL, 0, NULL, &err), &err);
}

static void s_send_all (rig_t *rig, rk_msg_t msg)
{
    for (size_t i = 0; i < rig->n_ways; i++)
        s_send (rig, &rig->ways[i], msg);
}

static void s_send_stages (rig_t *rig, rk_msg_t msg)
{
    for (size_t i = 0; i < rig->n_ways; i++)
        if (rk_address_kind (rig->ways[i].address) == RK_ACTOR_STAGE)
            s_send (rig, &rig->ways[i], msg);
}

static void s_grant (rig_t *rig, uint32_t cluster)
{
    uint64_t f[64], round = 0;
    uint32_t most = rig->asks[cluster] < 64 ? rig->asks[cluster] : 64, n = 0;
    rk_msg_t msg = {.kind = RK_MSG_LEASE_GRANT, .lease_grant = {.f = f, .cluster = cluster}};
    if (!most)
        return;
    if (rig->evaluating) {
        while (n < most && rig->eval_next < rig->plan->test_minibatches)
            f[n++] = rig->eval_next++;
        msg.lease_grant.mode = rig->config->predict ? RK_MB_PREDICT : RK_MB_EVAL;
    } else if (!rk_lease_done (rig->leases))
        n = rk_lease_grant (rig->leases, cluster, most, f, &round);
    if (!n)
        return;
    msg.lease_grant.n = n;
    msg.lease_grant.round = round;
    rig->asks[cluster] = 0;
    rig->result->granted[cluster] += rig->evaluating ? 0 : n;
    for (size_t i = 0; i < rig->n_ways; i++)
        if (rig->ways[i].address == rk_address (RK_ACTOR_FEEDER, rk_plan_stage (rig->plan, cluster, 0)->node))
            s_send (rig, &rig->ways[i], msg);
}

static void s_advance (rig_t *rig)
{
    uint64_t counts[RIG_MOST_CLUSTERS], samples[RIG_MOST_CLUSTERS];
    for (uint32_t c = 0; c < rig->plan->n_clusters; c++)
        s_grant (rig, c);
    while (rig->closed < rig->n_rounds && rk_lease_closed (rig->leases, rig->closed, counts, samples)) {
        rk_msg_t msg = {.kind = RK_MSG_ROUND_CLOSED,
                        .round_closed = {.round = rig->closed++, .n_clusters = rig->plan->n_clusters, .counts = counts,
                                         .samples = samples}};
        s_send_stages (rig, msg);
    }
}

static void s_on_applied (rig_t *rig, const rk_round_applied_t *applied)
{
    rk_error_t err = {RK_OK, ""};
    bool committed = false;
    s_ok (rk_lease_applied (rig->leases, applied->round, applied->stage, &committed, &err), &err);
    if (!committed)
        return;
    rig->committed++;
    rk_msg_t msg = {.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {.round = applied->round}};
    s_send_all (rig, msg);
    rk_msg_t save = {.kind = RK_MSG_SAVE_REQUEST, .save_request = {.round = applied->round}};
    s_send_stages (rig, save);
}

static void s_on_slice (rig_t *rig, rk_packet_t *packet)
{
    const rk_slice_msg_t *slice = &packet->msg.slice;
    rig_result_t *result = rig->result;
    assert_true (slice->stage < rig->plan->n_stages && packet->n_frames >= 1 && slice->round < rig->n_rounds);
    assert_int_equal (zmq_msg_size (&packet->frame[0]), slice->n_floats * sizeof (float));
    uint32_t cluster = 0;
    while (slice->stage >= rig->plan->clusters[cluster].first_stage + rig->plan->clusters[cluster].n_stages)
        cluster++;
    float *means = rig->means + slice->round * rig->plan->n_clusters * rig->plan->n_flat;
    memcpy (means + cluster * rig->plan->n_flat + slice->flat_lo, zmq_msg_data (&packet->frame[0]), slice->n_floats * sizeof (float));
    rig->n_slices++;
    /* An overlapped stage may be a round further by the time it answers: that round comes twice from it, and
     * this one stays incomplete.                                                                           */
    rig->slices_of[slice->round] |= UINT64_C (1) << slice->stage;
    if (rig->slices_of[slice->round] != (UINT64_C (2) << (rig->plan->n_stages - 1)) - 1 || rig->counted[slice->round])
        return;
    rig->counted[slice->round] = true;
    result->complete_rounds++;
    for (uint32_t c = 1; c < rig->plan->n_clusters; c++)
        if (memcmp (means + c * rig->plan->n_flat, means, rig->plan->n_flat * sizeof (float)) != 0) {
            result->unequal_rounds++;
            break;
        }
}

static void s_on_evaluated (rig_t *rig, const rk_evaluated_t *e)
{
    rig->result->evaluated.loss_sum += e->loss_sum;
    rig->result->evaluated.n_correct += e->n_correct;
    rig->result->evaluated.n_samples += e->n;
    rig->eval_done++;
}

static void s_on_prediction (rig_t *rig, rk_packet_t *packet)
{
    const rk_prediction_t *p = &packet->msg.prediction;
    assert_int_equal (packet->n_frames, 1);
    assert_int_equal (zmq_msg_size (&packet->frame[0]), p->n * p->n_classes * sizeof (float));
    int32_t labels[1024];
    float *x = malloc (rig->plan->settings.train_batch * rk_shape_elems (rk_data_shape (rig->config->data)) * sizeof *x);
    assert_non_null (x);
    size_t n = rk_data_batch (rig->config->data, RK_SPLIT_TEST, 0, 0, p->f, rig->plan->settings.train_batch, x, labels);
    free (x);
    assert_int_equal (n, p->n);
    for (size_t i = 0; i < n; i++) {
        float row[64];
        memcpy (row, (char *) zmq_msg_data (&packet->frame[0]) + i * p->n_classes * sizeof *row, p->n_classes * sizeof *row);
        uint32_t best = 0;
        for (uint32_t k = 1; k < p->n_classes; k++)
            best = row[k] > row[best] ? k : best;
        rig->result->predicted_correct += (int32_t) best == labels[i];
    }
    rig->result->predicted += n;
}

static void s_learn (rig_t *rig, const rk_packet_t *packet)
{
    assert_int_equal (packet->msg.ready.digest, rig->plan->digest);
    way_t *way = &rig->ways[rig->n_ways++];
    way->address = packet->msg.sender;
    way->n_routing = packet->n_routing;
    memcpy (way->routing, packet->routing, packet->n_routing);
}

static void s_handle (rig_t *rig)
{
    rk_packet_t *packet = rig->packet;
    const rk_msg_t *msg = &packet->msg;
    uint32_t cluster, stage;
    switch (msg->kind) {
    case RK_MSG_READY:
        s_learn (rig, packet);
        break;
    case RK_MSG_LEASE_REQUEST:
        rig->asks[msg->lease_request.cluster] = msg->lease_request.n;
        break;
    case RK_MSG_ROUND_APPLIED:
        s_on_applied (rig, &msg->round_applied);
        break;
    case RK_MSG_SLICE:
        s_on_slice (rig, packet);
        break;
    case RK_MSG_EVALUATED:
        s_on_evaluated (rig, &msg->evaluated);
        break;
    case RK_MSG_PREDICTION:
        s_on_prediction (rig, packet);
        break;
    case RK_MSG_REPORT:
        if (msg->report.final) {
            rig->result->reports[rk_plan_stage_of_node (rig->plan, rk_address_node (msg->sender), &cluster, &stage)] = msg->report;
            rig->n_final++;
        }
        break;
    case RK_MSG_STOPPED:
        rig->n_stopped++;
        break;
    case RK_MSG_FAILED:
        fail_msg ("%s", msg->failed.text);
        break;
    default:
        fail_msg ("the leader got a %s", rk_msg_kind_name (msg->kind));
    }
}

/* Handles messages until `done`. */
static void s_until (rig_t *rig, bool (*done) (const rig_t *))
{
    rk_error_t err = {RK_OK, ""};
    while (!done (rig)) {
        zmq_pollitem_t item = {.socket = rig->socket, .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, DEADLINE_MS) <= 0)
            fail_msg ("the run stands still: round %llu of %llu, %u slices, %llu evaluated, %zu ready, %u stopped",
                      (unsigned long long) rig->committed, (unsigned long long) rig->n_rounds, rig->n_slices,
                      (unsigned long long) rig->eval_done, rig->n_ways, rig->n_stopped);
        rk_err_t code = rk_wire_receive (rig->socket, true, rig->packet, &err);
        if (code == RK_ETIMEDOUT)
            continue;
        s_ok (code, &err);
        s_handle (rig);
        if (rig->leases)
            s_advance (rig);
    }
}

static bool s_all_ready (const rig_t *rig)
{
    return rig->n_ways == rig->n_actors;
}

static bool s_all_committed (const rig_t *rig)
{
    return rig->committed == rig->n_rounds && rig->n_slices == rig->n_rounds * rig->plan->n_stages;
}

static bool s_all_evaluated (const rig_t *rig)
{
    return rig->eval_done == rig->plan->test_minibatches &&
           (!rig->config->predict || rig->result->predicted == rig->plan->test_samples);
}

static bool s_all_stopped (const rig_t *rig)
{
    return rig->n_stopped == rig->n_actors && rig->n_final == rig->plan->n_stages;
}

static void s_open (rig_t *rig)
{
    rk_error_t err = {RK_OK, ""};
    rig->hub = zsock_new (ZMQ_ROUTER);
    assert_non_null (rig->hub);
    zsock_set_router_mandatory (rig->hub, 1);
    rk_endpoint_unique (rig->endpoint, sizeof rig->endpoint, "inproc", NULL);
    assert_true (zsock_bind (rig->hub, "%s", rig->endpoint) >= 0);
    rig->socket = zsock_resolve (rig->hub);
    s_ok (rk_packet_new (&rig->packet), &err);
    for (uint32_t c = 0; c < rig->plan->n_clusters; c++)
        for (uint32_t s = 0; s < rig->plan->clusters[c].n_stages; s++)
            s_start_node (rig, c, s);
    rig->means = calloc (rig->n_rounds * rig->plan->n_clusters * rig->plan->n_flat + 1, sizeof *rig->means);
    rig->slices_of = calloc (rig->n_rounds, sizeof *rig->slices_of);
    rig->counted = calloc (rig->n_rounds, sizeof *rig->counted);
    assert_true (rig->means && rig->slices_of && rig->counted);
    rig->result->reports = calloc (rig->plan->n_stages, sizeof *rig->result->reports);
    s_connect (rig);
}

void rig_run (const rig_config_t *config, rig_result_t *result)
{
    rk_error_t err = {RK_OK, ""};
    memset (result, 0, sizeof *result);
    rig_t *rig = calloc (1, sizeof *rig);
    assert_non_null (rig);
    rig->config = config;
    rig->result = result;
    rig->plan = result->plan = s_plan (config);
    rig->n_rounds = result->rounds = rk_round_n (rig->plan);
    result->minibatches = rig->plan->minibatches_per_pass * rig->plan->settings.run_passes;
    s_open (rig);
    s_until (rig, s_all_ready);
    s_ok (rk_lease_table_new (&rig->leases, rig->plan, 0, &err), &err);
    s_until (rig, s_all_committed);
    rig->evaluating = config->evaluate || config->predict;
    s_advance (rig);
    if (rig->evaluating)
        s_until (rig, s_all_evaluated);
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 0, .reason = "done"}};
    s_send_all (rig, stop);
    s_until (rig, s_all_stopped);
    for (size_t i = 0; i < rig->n_actors; i++)
        rk_actor_stop (&rig->actors[i]);
    for (uint32_t c = 0; c < rig->plan->n_clusters; c++) {
        result->mean[c] = malloc (rig->plan->n_flat * sizeof (float) + 1);
        assert_non_null (result->mean[c]);
        memcpy (result->mean[c], rig->means + ((rig->n_rounds - 1) * rig->plan->n_clusters + c) * rig->plan->n_flat,
                rig->plan->n_flat * sizeof (float));
    }
    free (rig->means);
    free (rig->slices_of);
    free (rig->counted);
    rk_lease_table_destroy (&rig->leases);
    rk_packet_destroy (&rig->packet);
    zsock_destroy (&rig->hub);
    free (rig);
}

void rig_clear (rig_result_t *result)
{
    for (int c = 0; c < RIG_MOST_CLUSTERS; c++)
        free (result->mean[c]);
    free (result->reports);
    rk_plan_destroy (&result->plan);
    memset (result, 0, sizeof *result);
}

/* ---- the plain loop */

float *rig_plain (const rig_config_t *config, uint64_t n_minibatches)
{
    rk_error_t err = {RK_OK, ""};
    rk_plan_t *plan = s_plan (config);
    rk_training_t training;
    s_ok (rk_training_of (plan, &training, &err), &err);
    s_ok (rk_blas_init ("auto", &err), &err);
    int n_layers = rk_model_n_layers (config->model);
    const rk_settings_t *settings = &config->settings;
    rk_slice_config_t sc = {.model = config->model, .last = n_layers, .batch = settings->train_batch, .n_contexts = 1,
                            .seed = settings->run_seed};
    rk_slice_t *slice = NULL;
    s_ok (rk_slice_new (&slice, &sc, &err), &err);
    size_t bytes = (plan->n_flat + 1) * sizeof (float);
    float *flat = rk_arena_memory (bytes), *grads = rk_arena_memory (bytes);
    float *slots[RK_OPTIM_MAX_SLOTS] = {rk_arena_memory (bytes), rk_arena_memory (bytes)};
    float *x = rk_arena_memory (settings->train_batch * rk_shape_elems (rk_data_shape (config->data)) * sizeof *x);
    int32_t *labels = rk_arena_memory (settings->train_batch * sizeof *labels);
    rk_model_init (config->model, settings->run_seed, 0, n_layers, flat);
    uint64_t t = 0;
    for (uint64_t f = 0; f < n_minibatches; f++) {
        const float *in[] = {x};
        float *gin[] = {NULL};
        rk_loss_t loss;
        rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = f, .flat = flat, .stats = flat, .in = in, .labels = labels, .loss = &loss};
        call.n = rk_data_batch (config->data, RK_SPLIT_TRAIN, settings->run_seed, f / plan->minibatches_per_pass,
                                f % plan->minibatches_per_pass, settings->train_batch, x, labels);
        s_ok (rk_slice_forward (slice, &call, &err), &err);
        s_ok (rk_slice_backward_input (slice, 0, flat, NULL, gin, &err), &err);
        s_ok (rk_slice_backward_params (slice, 0, flat, grads, &err), &err);
        rk_slice_release (slice, 0);
        if ((f + 1) % settings->pipeline_update_every && f + 1 < n_minibatches)
            continue;
        const rk_optim_update_t update = {.model = config->model, .last = n_layers, .lr = rk_lr_at (&training.lr, f), .t = ++t,
                                          .grad_scale = 1.0f / (float) settings->pipeline_update_every, .w_old = flat,
                                          .w_new = flat, .grads = grads, .slots = slots};
        rk_optim_update (training.optim, &training.config, &update);
        memset (grads, 0, bytes);
    }
    void *memory[] = {grads, slots[0], slots[1], x, labels};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free (memory[i]);
    rk_slice_destroy (&slice);
    rk_plan_destroy (&plan);
    return flat;
}

/* ---- models and data */

static rk_model_t *s_seal (rk_model_t *m)
{
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_model_seal (m, &err), &err);
    return m;
}

rk_model_t *rig_mlp (int hidden_layers)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, 28, 28));
    int at = rk_model_avgpool2d (m, "pool", 0, 4, 4, 0);
    at = rk_model_flatten (m, "flatten", at);
    for (int i = 0; i < hidden_layers; i++) {
        char name[32];
        snprintf (name, sizeof name, "fc%d", i);
        at = rk_model_linear (m, name, at, 24, true);
        snprintf (name, sizeof name, "relu%d", i);
        at = rk_model_relu (m, name, at);
    }
    at = rk_model_linear (m, "out", at, 10, true);
    rk_model_softmax_xent (m, "loss", at);
    return s_seal (m);
}

rk_model_t *rig_residual (void)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, 28, 28));
    int pooled = rk_model_maxpool2d (m, "pool", 0, 4, 4, 0);
    int stem = rk_model_conv2d (m, "stem", pooled, (rk_conv2d_t){.channels = 4, .kernel = 3, .stride = 1, .padding = 1});
    int at = rk_model_batchnorm2d (m, "stem.norm", stem);
    for (int i = 0; i < 3; i++) {
        char name[32];
        int before = at;
        snprintf (name, sizeof name, "block%d.conv", i);
        at = rk_model_conv2d (m, name, at, (rk_conv2d_t){.channels = 4, .kernel = 3, .stride = 1, .padding = 1});
        snprintf (name, sizeof name, "block%d.norm", i);
        at = rk_model_batchnorm2d (m, name, at);
        snprintf (name, sizeof name, "block%d.relu", i);
        at = rk_model_relu (m, name, at);
        snprintf (name, sizeof name, "block%d.add", i);
        at = rk_model_add (m, name, at, before);
    }
    at = rk_model_add (m, "long", at, stem);    /* crosses every cut between */
    int flat = rk_model_flatten (m, "flatten", at);
    at = rk_model_dropout (m, "dropout", flat, 0.1f);
    at = rk_model_linear (m, "fc", at, 49, true);
    int raw = rk_model_flatten (m, "raw", pooled); /* so does this one, from before the first parameters */
    at = rk_model_add (m, "again", at, raw);
    at = rk_model_linear (m, "out", at, 10, true);
    rk_model_softmax_xent (m, "loss", at);
    return s_seal (m);
}

static rk_data_t *s_data;

const rk_data_t *rig_data (void)
{
    rk_error_t err = {RK_OK, ""};
    if (!s_data)
        s_ok (rk_data_open (&s_data, "synthetic", NULL, &err), &err);
    return s_data;
}

void rig_data_close (void)
{
    if (s_data)
        rk_data_close (&s_data);
    s_data = NULL;
}
