/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig_parts.h"

#define DEADLINE_MS 60000 /* nothing here takes long; a run that hangs must fail, not stall the suite */

static void s_send (rig_t *rig, const way_t *way, rk_msg_t msg)
{
    rk_error_t err = {RK_OK, ""};
    msg.view = rig->plan->view;
    msg.sender = rk_address (RK_ACTOR_COORDINATOR, 0);
    msg.seq = 1;
    const rk_err_t code = rk_wire_send (rig->socket, way->routing, way->n_routing, &msg, NULL, 0, NULL, &err);
    if (code != RK_EPEER || !rig->config->fails) /* an actor that fails, as it should, is gone before it is heard of */
        rig_ok (code, &err);
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
    rig_ok (rk_lease_applied (rig->leases, applied->round, applied->stage, &committed, &err), &err);
    if (!committed)
        return;
    rig->committed++;
    rk_msg_t msg = {.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {.round = applied->round}};
    s_send_all (rig, msg);
    rk_msg_t save = {.kind = RK_MSG_SAVE_REQUEST, .save_request = {.round = applied->round, .model = true}};
    if (!rig->config->unsaved)
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
    rig->result->evaluated.n_counted += e->n_counted;
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
        if (!rig->config->fails)
            fail_msg ("%s", msg->failed.text);
        snprintf (rig->result->failure, sizeof rig->result->failure, "%s", msg->failed.text);
        break;
    default:
        fail_msg ("the leader got a %s", rk_msg_kind_name (msg->kind));
    }
}

/* Handles messages until `done`. */
static void s_until (rig_t *rig, bool (*done) (const rig_t *))
{
    rk_error_t err = {RK_OK, ""};
    while (!done (rig) && !*rig->result->failure) {
        zmq_pollitem_t item = {.socket = rig->socket, .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, DEADLINE_MS) <= 0)
            fail_msg ("the run stands still: round %llu of %llu, %u slices, %llu evaluated, %zu ready, %u stopped",
                      (unsigned long long) rig->committed, (unsigned long long) rig->n_rounds, rig->n_slices,
                      (unsigned long long) rig->eval_done, rig->n_ways, rig->n_stopped);
        rk_err_t code = rk_wire_receive (rig->socket, true, rig->packet, &err);
        if (code == RK_ETIMEDOUT)
            continue;
        rig_ok (code, &err);
        s_handle (rig);
        if (rig->leases && !*rig->result->failure)
            s_advance (rig);
    }
}

static bool s_all_ready (const rig_t *rig)
{
    return rig->n_ways == rig->n_actors;
}

static bool s_all_committed (const rig_t *rig)
{
    const uint64_t n_slices = rig->config->unsaved ? 0 : rig->n_rounds * rig->plan->n_stages;
    return rig->committed == rig->n_rounds && rig->n_slices == n_slices;
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

static void s_run (rig_t *rig)
{
    rk_error_t err = {RK_OK, ""};
    s_until (rig, s_all_ready);
    rig_ok (rk_lease_table_new (&rig->leases, rig->plan, 0, &err), &err);
    s_until (rig, s_all_committed);
    if (*rig->result->failure)
        return;
    rig->evaluating = rig->config->evaluate || rig->config->predict;
    s_advance (rig);
    if (rig->evaluating)
        s_until (rig, s_all_evaluated);
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 0, .reason = "done"}};
    s_send_all (rig, stop);
    s_until (rig, s_all_stopped);
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
    rig_ok (rk_packet_new (&rig->packet), &err);
    rig->means = calloc (rig->n_rounds * rig->plan->n_clusters * rig->plan->n_flat + 1, sizeof *rig->means);
    rig->slices_of = calloc (rig->n_rounds, sizeof *rig->slices_of);
    rig->counted = calloc (rig->n_rounds, sizeof *rig->counted);
    assert_true (rig->means && rig->slices_of && rig->counted);
    rig->result->reports = calloc (rig->plan->n_stages, sizeof *rig->result->reports);
    rig_start (rig);
}

void rig_run (const rig_config_t *config, rig_result_t *result)
{
    memset (result, 0, sizeof *result);
    rig_t *rig = calloc (1, sizeof *rig);
    assert_non_null (rig);
    rig->config = config;
    rig->result = result;
    rig->plan = result->plan = rig_plan (config);
    rig->n_rounds = result->rounds = rk_round_n (rig->plan);
    result->minibatches = rig->plan->minibatches_per_pass * rig->plan->settings.run_passes;
    s_open (rig);
    s_run (rig);
    for (size_t i = 0; i < rig->n_actors; i++)
        rk_actor_stop (&rig->actors[i]);
    for (uint32_t c = 0; c < rig->plan->n_clusters && !config->unsaved; c++) {
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
