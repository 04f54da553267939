/* SPDX-License-Identifier: MPL-2.0
 * Real reducers with scripted stages on a graph, beside what cluster/mix and cluster/hops make of the same values. */
#ifndef RK_TESTS_REDUCER_NET_H
#define RK_TESTS_REDUCER_NET_H
#include "tests/actors/mock_peer.h"
#include "tests/cluster/fixtures.h"
#include "tests/cluster/hops_reference.h"
#include "actors/reducer.h"
#include "actors/stage.h" /* RK_CORRUPT_ */
#include "cluster/exchange.h"
#include "cluster/lease.h"
#include "cluster/mix.h"

#include <math.h>

#define VIEW 9
#define MOST 64

typedef struct {
    rk_plan_t *plan;
    rk_graph_t *graph;
    uint32_t n_planes, control;
    rk_actor_t *reducers[MOST];
    mock_peer_t stages[MOST]; /* by index into plan->stages */
    float *sent[MOST];        /* n_planes x the stage's range */
    size_t n[MOST];           /* floats of the range */
    int frozen;               /* replica, or -1 */
    uint64_t bytes[MOST];     /* sent since the start, as the newest mean says */
    /* what every replica should have: n_planes x n_flat by replica; push-sum's state */
    float *values[MOST], *mixed[MOST], *mass[MOST], *last[MOST];
    double weight[MOST];
    uint32_t n_hopped;        /* rounds */
    bool samples;             /* replica r trains s_samples of it in a round */
} net_t;

static inline void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static inline float *s_floats (size_t n)
{
    float *floats = calloc (n + 1, sizeof *floats);
    assert_non_null (floats);
    return floats;
}

typedef struct {
    const char *graph, *transport;
    uint32_t n, most_stages, n_layers, corrupt;
    bool planes, short_pass, large, cheapest;
    uint32_t n_floats, rounds_of_pass; /* of a small model of two layers; 0: as the fixture has */
    double k0, gamma;
    uint32_t group, degree;
} case_t;

static inline rk_plan_t *s_plan (uint64_t *x, const rk_model_info_t *model, const case_t *c)
{
    uint32_t counts[RK_MAX_CLUSTERS], cuts[RK_MAX_FLEET];
    rk_settings_t settings;
    rk_error_t err;
    rk_plan_t *plan = NULL;
    rk_settings_default (&settings);
    settings.average_weights = RK_WEIGHTS_EQUAL;
    settings.average_every = 1;
    settings.train_batch = 1;
    settings.average_optimizer_state = c->planes;
    snprintf (settings.average_graph, sizeof settings.average_graph, "%s", c->graph);
    settings.average_exchange = c->cheapest ? RK_EXCHANGE_CHEAPEST : RK_EXCHANGE_DIRECT;
    settings.average_group = c->group;
    settings.average_degree = c->degree;
    settings.average_push_sum = strcmp (c->graph, "directed") == 0;
    settings.average_k0 = c->k0 > 0 ? c->k0 : settings.average_k0;
    settings.average_gamma = c->gamma > 0 ? c->gamma : settings.average_gamma;
    fixture_layout (x, model->n_layers, c->n, c->most_stages, counts, cuts);
    s_ok (rk_plan_by_hand (&plan, VIEW, model, &settings, c->n, counts, cuts, NULL, &err), &err);
    return plan;
}

static inline void s_open (net_t *net, const case_t *c)
{
    uint64_t x = 4711 + c->n;
    rk_error_t err;
    fixture_model_t model;
    fixture_model (&model, &x, c->n_layers);
    if (c->large) { /* segments of more than 1 MiB, with a ragged end */
        model.layers[1].flat_at = 300016;
        model.info.n_flat = 700032;
    }
    if (c->n_floats) {
        model.layers[1].flat_at = c->n_floats / 2;
        model.info.n_flat = c->n_floats;
    }
    model.info.train_samples = c->rounds_of_pass ? c->rounds_of_pass * c->n : c->short_pass ? 2 * c->n : 60000; /* rounds of a pass: 2, or more than are tested */
    *net = (net_t){.plan = s_plan (&x, &model.info, c), .n_planes = c->planes ? 2 : 1, .frozen = -1};
    const rk_plan_t *plan = net->plan;
    s_ok (rk_exchange_graph (&net->graph, plan, &err), &err);
    assert_true (plan->n_stages <= MOST);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        char bind[128];
        rk_endpoint_unique (bind, sizeof bind, c->transport, NULL);
        const rk_reducer_config_t config = {.plan = plan, .node = plan->stages[i].node, .identity = &rk_identity_plain, .bind = bind, .corrupt = i ? 0 : c->corrupt};
        s_ok (rk_reducer_new (&net->reducers[i], &config, &err), &err);
        mock_open (&net->stages[i], rk_address (RK_ACTOR_STAGE, plan->stages[i].node), VIEW);
        mock_connect (&net->stages[i], net->reducers[i]);
        s_ok (rk_actor_connect (net->reducers[i], net->stages[i].sender, net->stages[i].endpoint, &err), &err);
        net->n[i] = plan->stages[i].flat_hi - plan->stages[i].flat_lo;
        net->sent[i] = s_floats (net->n_planes * net->n[i]);
    }
    for (uint32_t r = 0; r < plan->n_clusters; r++) {
        net->values[r] = s_floats (net->n_planes * plan->n_flat);
        net->mixed[r] = s_floats (net->n_planes * plan->n_flat);
        net->mass[r] = s_floats (net->n_planes * plan->n_flat);
        net->last[r] = s_floats (net->n_planes * plan->n_flat);
        net->weight[r] = 1;
    }
    for (uint32_t s = 0; s < plan->n_segments; s++)
        for (uint32_t a = 0; a < plan->n_clusters; a++)
            for (uint32_t b = 0; b < plan->n_clusters; b++) {
                const uint32_t *owners = plan->owners + plan->segments[s].first_owner;
                if (a != b)
                    s_ok (rk_actor_introduce (net->reducers[owners[a]], rk_actor_address (net->reducers[owners[b]]),
                                              rk_actor_endpoint (net->reducers[owners[b]]), &err), &err);
            }
}

static inline void s_close (net_t *net)
{
    for (uint32_t i = 0; i < net->plan->n_stages; i++) {
        rk_actor_stop (&net->reducers[i]);
        mock_close (&net->stages[i]);
        free (net->sent[i]);
    }
    for (uint32_t r = 0; r < net->plan->n_clusters; r++) {
        free (net->values[r]);
        free (net->mixed[r]);
        free (net->mass[r]);
        free (net->last[r]);
    }
    rk_graph_destroy (&net->graph);
    rk_plan_destroy (&net->plan);
}

static inline uint32_t s_cluster (const rk_plan_t *plan, uint32_t stage)
{
    uint32_t cluster = 0;
    assert_int_equal (rk_plan_stage_of_node (plan, plan->stages[stage].node, &cluster, NULL), stage);
    return cluster;
}

/* Values with full mantissas, so that another order of the sums is another result. */
static inline float s_value (uint32_t replica, uint64_t at, uint64_t round)
{
    uint64_t x = (at + 1) * UINT64_C (0x9e3779b97f4a7c15) ^ (replica * UINT64_C (0xbf58476d1ce4e5b9) + round * UINT64_C (0x94d049bb133111eb));
    x = (x ^ x >> 31) * UINT64_C (0xd6e8feb86659fd93);
    return (float) (x >> 40) / 8388608.0f - 1.0f;
}

static inline void s_make_values (net_t *net, uint64_t round)
{
    for (uint32_t r = 0; r < net->plan->n_clusters; r++)
        for (size_t k = 0; k < net->n_planes * net->plan->n_flat; k++)
            net->values[r][k] = s_value (r, k, round);
}

static inline uint32_t s_samples (const net_t *net, uint32_t r, uint64_t round)
{
    return net->samples ? 1 + (r + (uint32_t) round) % 4 * 5 : 1;
}

static inline uint32_t s_total (const net_t *net, uint64_t round)
{
    uint32_t total = 0;
    for (uint32_t r = 0; r < net->plan->n_clusters; r++)
        total += s_samples (net, r, round);
    return total;
}

static inline float s_share (const net_t *net, uint32_t r, uint64_t round)
{
    return (float) ((double) s_samples (net, r, round) * net->plan->n_clusters / s_total (net, round));
}

static inline void s_send_snapshot (net_t *net, uint32_t i, uint64_t round)
{
    const rk_plan_t *plan = net->plan;
    uint32_t r = s_cluster (plan, i);
    rk_frame_t frames[2];
    for (uint32_t p = 0; p < net->n_planes; p++) {
        float *plane = net->sent[i] + p * net->n[i];
        memcpy (plane, net->values[r] + p * plan->n_flat + plan->stages[i].flat_lo, net->n[i] * sizeof *plane);
        frames[p] = (rk_frame_t){.bytes = plane, .size = net->n[i] * sizeof (float)};
    }
    rk_msg_t msg = {.kind = RK_MSG_SNAPSHOT,
                    .snapshot = {.round = round, .n_planes = net->n_planes, .weight = s_samples (net, r, round), .total = s_total (net, round),
                                 .control = net->control, .frozen = (int) r == net->frozen}};
    mock_send (&net->stages[i], msg, frames, (int) net->n_planes);
}

/* ---- what should come out */

static inline void s_expect_row (net_t *net, const rk_graph_time_t *at, uint32_t r, float *const *own, size_t n)
{
    rk_graph_edge_t edges[MOST];
    const void *inputs[MOST];
    double weights[MOST];
    uint32_t n_edges = rk_graph_row (net->graph, at, r, edges);
    for (uint32_t e = 0; e < n_edges; e++) {
        uint32_t from = (int) edges[e].peer == net->frozen ? r : edges[e].peer;
        inputs[e] = own[from];
        weights[e] = net->weight[from];
    }
    if ((int) r == net->frozen)
        memcpy (net->mixed[r], own[r], n * sizeof (float));
    else
        rk_mix_row (edges, n_edges, inputs, n, net->mixed[r]);
    if (rk_graph_is_doubly_stochastic (net->graph))
        return;
    memcpy (net->last[r], net->mixed[r], n * sizeof (float)); /* for now: the mass */
    rk_mix_ratio (n, rk_mix_weight (edges, n_edges, weights), net->mixed[r], net->mixed[r]);
}

/* Hop by hop, part by part of every segment; false when every peer is heard. */
static inline bool s_expect_hops (net_t *net, const rk_graph_time_t *at)
{
    enum { PART = 262144 };
    const rk_plan_t *plan = net->plan;
    bool hops = true;
    for (uint32_t p = 0; p < net->n_planes; p++)
        for (uint32_t s = 0; s < plan->n_segments; s++)
            for (uint64_t lo = plan->segments[s].lo; lo < plan->segments[s].hi && hops; lo += PART) {
                float *own[MOST], *mixed[MOST];
                for (uint32_t r = 0; r < plan->n_clusters; r++) {
                    own[r] = net->values[r] + p * plan->n_flat + lo;
                    mixed[r] = net->mixed[r] + p * plan->n_flat + lo;
                }
                const uint64_t left = plan->segments[s].hi - lo;
                hops = hopping_mix (net->graph, at, own, left < PART ? left : PART, net->frozen, mixed);
            }
    net->n_hopped += hops;
    return hops;
}

static inline void s_expect_mixing (net_t *net, uint64_t round, const rk_graph_time_t *at)
{
    const uint32_t n = net->plan->n_clusters;
    if (net->plan->settings.average_exchange == RK_EXCHANGE_CHEAPEST && s_expect_hops (net, at))
        return;
    const size_t floats = net->n_planes * net->plan->n_flat;
    const bool push = !rk_graph_is_doubly_stochastic (net->graph);
    for (uint32_t r = 0; r < n && push; r++) {
        if (round)
            rk_mix_push (floats, s_share (net, r, round), net->last[r], net->values[r], net->mass[r]);
        for (size_t k = 0; k < floats && !round; k++)
            net->mass[r][k] = s_share (net, r, round) * net->values[r][k];
        net->weight[r] = round ? net->weight[r] : s_share (net, r, round);
    }
    for (uint32_t r = 0; r < n; r++)
        s_expect_row (net, at, r, push ? net->mass : net->values, floats);
    double next[MOST];
    for (uint32_t r = 0; r < n && push; r++) {
        rk_graph_edge_t edges[MOST];
        double weights[MOST];
        uint32_t n_edges = rk_graph_row (net->graph, at, r, edges);
        for (uint32_t e = 0; e < n_edges; e++)
            weights[e] = net->weight[edges[e].peer];
        next[r] = rk_mix_weight (edges, n_edges, weights);
    }
    for (uint32_t r = 0; r < n && push; r++) {
        net->weight[r] = next[r];
        memcpy (net->mass[r], net->last[r], floats * sizeof (float));
        memcpy (net->last[r], net->mixed[r], floats * sizeof (float));
    }
}

/* Floats of the stage's planes that are not the expected ones; the mean of all within 1e-6 when it is there. */
static inline size_t s_count_wrong (net_t *net, uint32_t i, uint64_t round, const rk_exchange_t *exchange)
{
    const rk_plan_t *plan = net->plan;
    const rk_msg_t *msg = mock_receive (&net->stages[i], RK_MSG_MEAN);
    rk_packet_t *packet = net->stages[i].packet;
    assert_int_equal (msg->mean.round, round);
    net->bytes[i] = msg->mean.bytes_sent;
    assert_int_equal (msg->mean.merged, exchange->mix && exchange->merge);
    assert_int_equal (packet->n_frames, net->n_planes + msg->mean.merged);
    uint32_t r = s_cluster (plan, i);
    uint64_t lo = plan->stages[i].flat_lo;
    size_t wrong = 0;
    double distance = 0;
    for (uint32_t p = 0; p < net->n_planes && exchange->mix; p++) {
        const char *bytes = zmq_msg_data (&packet->frame[p]);
        assert_int_equal (zmq_msg_size (&packet->frame[p]), net->n[i] * sizeof (float));
        for (size_t k = 0; k < net->n[i]; k++) {
            float got;
            memcpy (&got, bytes + k * sizeof got, sizeof got);
            wrong += got != net->mixed[r][p * plan->n_flat + lo + k];
            double d = p ? 0 : (double) net->values[r][lo + k] - got;
            distance += d * d;
        }
    }
    if (exchange->mix && rk_graph_is_doubly_stochastic (net->graph))
        wrong += fabs (msg->mean.distance - distance) > 1e-9 * (1 + distance);
    const char *merged = exchange->merge ? zmq_msg_data (&packet->frame[exchange->mix ? (int) net->n_planes : 0]) : NULL;
    for (size_t k = 0; k < net->n[i] && merged; k++) {
        float got;
        double mean = 0;
        memcpy (&got, merged + k * sizeof got, sizeof got);
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            mean += (double) net->values[c][lo + k] / plan->n_clusters;
        assert_true (fabs (got - mean) < 1e-6);
    }
    rk_packet_clear (packet);
    return wrong;
}

static inline size_t s_round (net_t *net, uint64_t round)
{
    rk_exchange_t exchange = rk_exchange_at (net->plan, net->graph, round, net->control);
    s_make_values (net, round);
    for (uint32_t i = net->plan->n_stages; i-- > 0;) /* highest first: chunks are parked */
        s_send_snapshot (net, i, round);
    if (exchange.mix)
        s_expect_mixing (net, round, &exchange.at);
    size_t wrong = 0;
    for (uint32_t i = 0; i < net->plan->n_stages; i++)
        wrong += s_count_wrong (net, i, round, &exchange);
    return wrong;
}

static inline size_t s_rounds (const case_t *c, uint64_t n_rounds)
{
    net_t net;
    size_t wrong = 0;
    s_open (&net, c);
    for (uint64_t round = 0; round < n_rounds; round++)
        wrong += s_round (&net, round);
    s_close (&net);
    return wrong;
}

#endif
