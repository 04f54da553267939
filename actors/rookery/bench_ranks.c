/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/bench_allreduce.h"

#include <string.h>

#include "cluster/exchange.h"

#define WAIT_MS 60000

/* One layer of n_floats, n clusters of one stage: a single ring. */
static rk_err_t s_plan (rk_ranks_t *r, rk_error_t *err)
{
    rk_layer_info_t layer = {.flat_at = 0};
    rk_model_info_t info = {.n_layers = 1, .layers = &layer, .n_flat = r->n_floats, .train_samples = UINT64_C (1) << 39,
                            .n_dims = 1, .dims = {1}, .n_classes = 2};
    rk_settings_t s;
    rk_settings_default (&s);
    s.train_batch = 1;
    s.average_every = 1;
    s.average_mode = RK_AVERAGE_DRAINED;
    s.average_weights = RK_WEIGHTS_EQUAL;
    snprintf (s.net_transport, sizeof s.net_transport, "%s", r->transport);
    rk_err_t code = rk_settings_set (&s, "average.graph", r->graph, err);
    if (code)
        return code;
    uint32_t counts[RK_RANKS_MAX], cuts[RK_RANKS_MAX] = {0};
    for (uint32_t i = 0; i < r->n; i++)
        counts[i] = 1;
    return rk_plan_by_hand (&r->plan, 1, &info, &s, r->n, counts, cuts, NULL, err);
}

static rk_err_t s_open_rank (rk_ranks_t *r, uint32_t rank, char endpoint[RK_RANKS_ENDPOINT], rk_error_t *err)
{
    char bind[RK_RANKS_ENDPOINT];
    rk_endpoint_unique (bind, sizeof bind, r->transport, NULL);
    rk_reducer_config_t config = {.plan = r->plan, .node = r->plan->stages[rank].node, .bind = bind, .identity = &r->identity};
    rk_err_t code = rk_reducer_new (&r->reducers[rank], &config, err);
    if (code)
        return code;
    snprintf (endpoint, RK_RANKS_ENDPOINT, "%s", rk_actor_endpoint (r->reducers[rank]));
    r->dealers[rank] = zsock_new (ZMQ_DEALER);
    char address[RK_RANKS_ENDPOINT];
    uint8_t key[RK_KEY_BYTES];
    bool has_key = false;
    code = rk_endpoint_split (endpoint, address, sizeof address, key, &has_key, err);
    if (!code && has_key && r->dealers[rank])
        code = rk_identity_call (&r->identity, zsock_resolve (r->dealers[rank]), key, err);
    if (code)
        return code;
    if (!r->dealers[rank] || zsock_connect (r->dealers[rank], "%s", address))
        return rk_error_set (err, RK_EIO, "cannot connect to %s", address);
    zsock_set_sndhwm (r->dealers[rank], 0);
    r->vectors[rank] = malloc (r->n_floats * sizeof (float));
    if (!r->vectors[rank])
        return rk_error_set (err, RK_ENOMEM, "no memory for %llu bytes", (unsigned long long) r->n_floats * 4);
    for (uint64_t i = 0; i < r->n_floats; i++)
        r->vectors[rank][i] = (float) (rank + 1);
    return RK_OK;
}

rk_err_t rk_ranks_open (rk_ranks_t *r, char (*endpoints)[RK_RANKS_ENDPOINT], rk_error_t *err)
{
    rk_err_t code = s_plan (r, err);
    if (!code)
        code = rk_packet_new (&r->packet);
    if (!code && !r->identity.plain)
        code = rk_gate_new (&r->gate, &r->identity, NULL, err);
    if (code)
        return code;
    rk_endpoint_unique (r->inbox_endpoint, sizeof r->inbox_endpoint, "inproc", NULL);
    r->inbox = zsock_new (ZMQ_ROUTER);
    if (!r->inbox || zsock_bind (r->inbox, "%s", r->inbox_endpoint) < 0)
        return rk_error_set (err, RK_EIO, "cannot bind %s", r->inbox_endpoint);
    for (uint32_t i = r->first; i < r->first + r->n_here && !code; i++)
        code = s_open_rank (r, i, endpoints[i], err);
    return code;
}

/* The vector is const while it is lent: nothing to do when the socket is done with it. */
static void s_released (void *bytes, void *hint)
{
    (void) bytes;
    (void) hint;
}

static rk_err_t s_send_snapshot (rk_ranks_t *r, uint32_t rank, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_SNAPSHOT,
                    .view = r->plan->view,
                    .sender = rk_address (RK_ACTOR_STAGE, r->plan->stages[rank].node),
                    .seq = r->round + 1,
                    .snapshot = {.round = r->round, .n_planes = 1, .weight = 1, .total = r->n}};
    rk_frame_t frame = {.bytes = r->vectors[rank], .size = r->n_floats * sizeof (float), .release = s_released};
    return rk_wire_send (zsock_resolve (r->dealers[rank]), NULL, 0, &msg, &frame, 1, NULL, err);
}

/* The mean of one rank; `wanted` is checked against every value when it is not 0. */
static rk_err_t s_receive_mean (rk_ranks_t *r, float wanted, rk_error_t *err)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (r->inbox), .events = ZMQ_POLLIN};
    if (zmq_poll (&item, 1, WAIT_MS) <= 0)
        return rk_error_set (err, RK_ETIMEDOUT, "no mean of round %llu in %d s", (unsigned long long) r->round, WAIT_MS / 1000);
    rk_err_t code = rk_wire_receive (item.socket, true, r->packet, err);
    if (code)
        return code;
    const rk_packet_t *p = r->packet;
    if (p->msg.kind != RK_MSG_MEAN || p->n_frames != 1 || zmq_msg_size (&r->packet->frame[0]) != r->n_floats * sizeof (float))
        return rk_error_set (err, RK_EFORMAT, "%s came instead of a mean", rk_msg_kind_name (p->msg.kind));
    const char *bytes = zmq_msg_data (&r->packet->frame[0]);
    for (uint64_t i = 0; wanted != 0 && i < r->n_floats; i++) {
        float x;
        memcpy (&x, bytes + i * sizeof x, sizeof x);
        if (x != wanted)
            return rk_error_set (err, RK_ESTATE, "mean is %g instead of %g at %llu", (double) x, (double) wanted,
                                 (unsigned long long) i);
    }
    rk_packet_clear (r->packet);
    return RK_OK;
}

static rk_err_t s_once (rk_ranks_t *r, float wanted, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (uint32_t i = r->first; i < r->first + r->n_here && !code; i++)
        code = s_send_snapshot (r, i, err);
    for (uint32_t i = 0; i < r->n_here && !code; i++)
        code = s_receive_mean (r, wanted, err);
    r->round++;
    return code;
}

rk_err_t rk_ranks_connect (rk_ranks_t *r, char (*endpoints)[RK_RANKS_ENDPOINT], rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (uint32_t i = r->first; i < r->first + r->n_here && !code; i++) {
        uint32_t next = (i + 1) % r->n;
        uint32_t own = r->plan->stages[i].node, other = r->plan->stages[next].node;
        code = rk_actor_connect (r->reducers[i], rk_address (RK_ACTOR_STAGE, own), r->inbox_endpoint, err);
        if (!code && r->n > 1)
            code = rk_actor_connect (r->reducers[i], rk_address (RK_ACTOR_REDUCER, other), endpoints[next], err);
        for (uint32_t j = 0; j < r->n && !code; j++)
            if (j != i && j != next)
                code = rk_actor_introduce (r->reducers[i], rk_address (RK_ACTOR_REDUCER, r->plan->stages[j].node), endpoints[j], err);
    }
    rk_graph_t *graph = NULL;
    if (!code)
        code = rk_exchange_graph (&graph, r->plan, err);
    /* ranks hold their number from 1: all the same mean, unless the graph leaves them different */
    float wanted = !code && rk_graph_is_exact (graph) ? (float) (r->n + 1) / 2 : 0;
    rk_graph_destroy (&graph);
    return code ? code : s_once (r, wanted, err);
}

rk_err_t rk_ranks_run (rk_ranks_t *r, uint64_t k, int64_t *elapsed_ns, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    int64_t start = rk_now_ns ();
    for (uint64_t i = 0; i < k && !code; i++)
        code = s_once (r, 0, err);
    *elapsed_ns = rk_now_ns () - start;
    return code;
}

void rk_ranks_close (rk_ranks_t *r)
{
    for (uint32_t i = 0; i < RK_RANKS_MAX; i++) {
        rk_actor_stop (&r->reducers[i]);
        zsock_destroy (&r->dealers[i]);
    }
    rk_gate_stop (&r->gate);
    rk_packet_destroy (&r->packet);
    zsock_destroy (&r->inbox);
    for (uint32_t i = 0; i < RK_RANKS_MAX; i++)
        free (r->vectors[i]);
    rk_plan_destroy (&r->plan);
}
