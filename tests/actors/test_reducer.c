/* SPDX-License-Identifier: MPL-2.0
 * Rings of reducers with scripted stages: exact means for any layout, rule and transport; one reducer with a
 * scripted neighbour: malformed, early and repeated chunks. Values are small integers, so sums are exact.  */
#include "tests/actors/mock_peer.h"
#include "tests/cluster/fixtures.h"
#include "actors/reducer.h"
#include "cluster/ring.h"

#define VIEW 9
#define MOST 16

typedef struct {
    rk_plan_t *plan;
    uint32_t n_planes;
    rk_actor_t *reducers[MOST];
    mock_peer_t stages[MOST]; /* by index into plan->stages */
    float *values[MOST];      /* n_planes x the stage's range */
    size_t n[MOST];           /* floats of the range */
    const char *transport;
} ring_t;

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static rk_plan_t *s_plan (uint64_t *x, const rk_model_info_t *model, uint32_t n_clusters, rk_rings_t rings, bool planes)
{
    uint32_t counts[RK_MAX_CLUSTERS], cuts[RK_MAX_FLEET];
    rk_settings_t settings;
    rk_error_t err;
    rk_plan_t *plan = NULL;
    rk_settings_default (&settings);
    settings.plan_rings = rings;
    settings.train_momentum = 0.9;
    settings.average_optimizer_state = planes;
    fixture_layout (x, model->n_layers, n_clusters, 3, counts, cuts);
    s_ok (rk_plan_by_hand (&plan, VIEW, model, &settings, n_clusters, counts, cuts, NULL, &err), &err);
    return plan;
}

static void s_open (ring_t *ring, rk_plan_t *plan, const char *transport)
{
    rk_error_t err;
    *ring = (ring_t){.plan = plan, .transport = transport, .n_planes = plan->settings.average_optimizer_state ? 2 : 1};
    assert_true (plan->n_stages <= MOST);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        char bind[128];
        rk_endpoint_unique (bind, sizeof bind, transport, NULL);
        const rk_reducer_config_t config = {.plan = plan, .node = plan->stages[i].node, .identity = &rk_identity_plain, .bind = bind};
        s_ok (rk_reducer_new (&ring->reducers[i], &config, &err), &err);
        mock_open (&ring->stages[i], rk_address (RK_ACTOR_STAGE, plan->stages[i].node), VIEW);
        mock_connect (&ring->stages[i], ring->reducers[i]);
        s_ok (rk_actor_connect (ring->reducers[i], ring->stages[i].sender, ring->stages[i].endpoint, &err), &err);
        ring->n[i] = plan->stages[i].flat_hi - plan->stages[i].flat_lo;
        ring->values[i] = malloc ((ring->n_planes * ring->n[i] + 2) * sizeof (float));
        assert_non_null (ring->values[i]);
    }
    for (uint32_t s = 0; s < plan->n_segments; s++)
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            const uint32_t *owners = plan->owners + plan->segments[s].first_owner;
            uint32_t from = owners[c], to = owners[(c + 1) % plan->n_clusters];
            s_ok (rk_actor_connect (ring->reducers[from], rk_actor_address (ring->reducers[to]),
                                    rk_actor_endpoint (ring->reducers[to]), &err), &err);
        }
}

static void s_close (ring_t *ring)
{
    for (uint32_t i = 0; i < ring->plan->n_stages; i++) {
        rk_actor_stop (&ring->reducers[i]);
        mock_close (&ring->stages[i]);
        free (ring->values[i]);
    }
    rk_plan_destroy (&ring->plan);
}

/* What cluster c holds at float `at` of plane p in this round: -64 .. 63. */
static float s_value (uint32_t c, uint32_t p, uint64_t at, uint64_t round)
{
    uint64_t x = (at + 1) * UINT64_C (0x9e3779b97f4a7c15) + c * 77 + p * 1009 + round * 31337;
    return (float) ((int) ((x ^ x >> 29) % 128) - 64);
}

static uint32_t s_cluster (const rk_plan_t *plan, uint32_t stage)
{
    uint32_t cluster = 0;
    s_ok (rk_plan_stage_of_node (plan, plan->stages[stage].node, &cluster, NULL) == stage ? RK_OK : RK_EPLAN, &(rk_error_t){0});
    return cluster;
}

static void s_nothing (void *bytes, void *hint)
{
}

/* shift: bytes by which the snapshot is misaligned. */
static void s_send_snapshot (ring_t *ring, uint32_t i, uint64_t round, const uint64_t *weights, uint64_t total, size_t shift)
{
    uint32_t cluster = s_cluster (ring->plan, i);
    rk_frame_t frames[2];
    uint8_t *bytes = (uint8_t *) ring->values[i] + shift;
    for (uint32_t p = 0; p < ring->n_planes; p++) {
        uint8_t *plane = bytes + p * ring->n[i] * sizeof (float);
        for (size_t k = 0; k < ring->n[i]; k++) {
            float value = s_value (cluster, p, ring->plan->stages[i].flat_lo + k, round);
            memcpy (plane + k * sizeof value, &value, sizeof value);
        }
        frames[p] = (rk_frame_t){.bytes = plane, .size = ring->n[i] * sizeof (float), .release = s_nothing};
    }
    rk_msg_t msg = {.kind = RK_MSG_SNAPSHOT, .snapshot = {.round = round, .n_planes = ring->n_planes, .weight = weights[cluster],
                                                          .total = total}};
    mock_send (&ring->stages[i], msg, frames, (int) ring->n_planes);
}

static void s_expect_mean (ring_t *ring, uint32_t i, uint64_t round, const uint64_t *weights, uint64_t total)
{
    const rk_msg_t *msg = mock_receive (&ring->stages[i], RK_MSG_MEAN);
    assert_int_equal (msg->mean.round, round);
    assert_int_equal (ring->stages[i].packet->n_frames, ring->n_planes);
    for (uint32_t p = 0; p < ring->n_planes; p++) {
        assert_int_equal (zmq_msg_size (&ring->stages[i].packet->frame[p]), ring->n[i] * sizeof (float));
        const uint8_t *bytes = zmq_msg_data (&ring->stages[i].packet->frame[p]);
        for (size_t k = 0; k < ring->n[i]; k++) {
            int64_t sum = 0;
            for (uint32_t c = 0; c < ring->plan->n_clusters; c++)
                sum += (int64_t) weights[c] * (int64_t) s_value (c, p, ring->plan->stages[i].flat_lo + k, round);
            float got, right = (float) sum / (float) total;
            memcpy (&got, bytes + k * sizeof got, sizeof got);
            if (got != right)
                fail_msg ("stage %u plane %u float %zu: %g, not %g", i, p, k, (double) got, (double) right);
        }
    }
    rk_packet_clear (ring->stages[i].packet);
}

static void s_average (ring_t *ring, uint64_t round, bool equal, size_t shift)
{
    uint64_t weights[RK_MAX_CLUSTERS], total = 0;
    for (uint32_t c = 0; c < ring->plan->n_clusters; c++) {
        weights[c] = equal ? 1 : c == 1 ? 0 : 128 + 37 * c + round; /* a cluster may have trained nothing */
        total += weights[c];
    }
    /* Highest first: others begin before their neighbour has, so chunks are parked. */
    for (uint32_t i = ring->plan->n_stages; i-- > 0;)
        s_send_snapshot (ring, i, round, weights, total, shift);
    for (uint32_t i = 0; i < ring->plan->n_stages; i++)
        s_expect_mean (ring, i, round, weights, total);
}

static void the_mean_is_exact_for_any_layout (void **state)
{
    uint64_t x = 20240101;
    const char *const transports[] = {"inproc", "ipc", "tcp"};
    for (uint32_t n = 2; n <= 5; n++)
        for (uint32_t rings = RK_RINGS_INTERSECT; rings <= RK_RINGS_LARGEST; rings++) {
            fixture_model_t model;
            fixture_model (&model, &x, 12);
            ring_t ring;
            s_open (&ring, s_plan (&x, &model.info, n, (rk_rings_t) rings, n == 3), transports[(n + rings) % 3]);
            for (uint64_t round = 0; round < 3; round++)
                s_average (&ring, round, round == 1, 0);
            s_close (&ring);
        }
}

static void large_pieces_travel_in_parts (void **state)
{
    uint64_t x = 5;
    fixture_model_t model;
    fixture_model (&model, &x, 4);
    for (uint32_t l = 0; l < 4; l++) /* pieces of more than 1 MiB, with a ragged end */
        model.layers[l].flat_at = l * 400016;
    model.info.n_flat = 4 * 400016 + 16;
    const char *const transports[] = {"inproc", "tcp"};
    for (int t = 0; t < 2; t++) {
        ring_t ring;
        s_open (&ring, s_plan (&x, &model.info, 2, RK_RINGS_INTERSECT, false), transports[t]);
        s_average (&ring, 0, false, 0);
        s_average (&ring, 1, false, 0);
        s_close (&ring);
    }
}

static void misaligned_snapshots_are_read (void **state)
{
    uint64_t x = 77;
    fixture_model_t model;
    fixture_model (&model, &x, 2);
    model.layers[1].flat_at = 40000; /* large enough to be lent, so that the misalignment arrives */
    model.info.n_flat = 80000;
    ring_t ring;
    s_open (&ring, s_plan (&x, &model.info, 2, RK_RINGS_INTERSECT, false), "inproc");
    for (size_t shift = 0; shift < 4; shift++)
        s_average (&ring, shift, false, shift);
    s_close (&ring);
}

/* ---- one reducer, its neighbour scripted: 2 clusters of 1 stage, two pieces large enough to be lent */

enum { SMALL = 1024, HALF = 32768, WHOLE = 2 * HALF, BYTES = HALF * sizeof (float) };

typedef struct {
    rk_plan_t *plan;
    rk_actor_t *reducer;
    mock_peer_t stage, neighbour;
    float own[WHOLE];
} lone_t;

static void s_open_lone_of (lone_t *lone, uint64_t n_flat)
{
    const rk_layer_info_t layer = {.flat_at = 0, .stash_bytes = 1, .work_bytes = 1, .cut_bytes = 1};
    const rk_model_info_t model = {.n_layers = 1, .layers = &layer, .n_flat = n_flat, .train_samples = 100, .test_samples = 1};
    const uint32_t counts[] = {1, 1}, cuts[] = {0, 0};
    rk_settings_t settings;
    rk_error_t err;
    rk_settings_default (&settings);
    s_ok (rk_plan_by_hand (&lone->plan, VIEW, &model, &settings, 2, counts, cuts, NULL, &err), &err);
    const rk_reducer_config_t config = {.plan = lone->plan, .node = 0};
    s_ok (rk_reducer_new (&lone->reducer, &config, &err), &err);
    mock_open (&lone->stage, rk_address (RK_ACTOR_STAGE, 0), VIEW);
    mock_open (&lone->neighbour, rk_address (RK_ACTOR_REDUCER, 1), VIEW);
    mock_connect (&lone->stage, lone->reducer);
    mock_connect (&lone->neighbour, lone->reducer);
    s_ok (rk_actor_connect (lone->reducer, lone->stage.sender, lone->stage.endpoint, &err), &err);
    s_ok (rk_actor_connect (lone->reducer, lone->neighbour.sender, lone->neighbour.endpoint, &err), &err);
    for (int i = 0; i < WHOLE; i++)
        lone->own[i] = (float) (i % 1000);
}

static void s_open_lone (lone_t *lone)
{
    s_open_lone_of (lone, WHOLE);
}

static void s_close_lone (lone_t *lone)
{
    rk_actor_stop (&lone->reducer);
    mock_close (&lone->stage);
    mock_close (&lone->neighbour);
    rk_plan_destroy (&lone->plan);
}

/* A chunk of the neighbour's at `step`: the piece that the ring says, all of it. */
static rk_msg_t s_chunk (uint64_t round, uint32_t step)
{
    return (rk_msg_t){.kind = RK_MSG_CHUNK, .chunk = {.round = round, .step = step, .n_floats = HALF, .total = 4,
                                                      .piece = rk_ring_step (1, 2, step).send_piece}};
}

static void s_send_chunk (lone_t *lone, rk_msg_t msg, float value, size_t bytes)
{
    static float data[WHOLE];
    for (int i = 0; i < WHOLE; i++)
        data[i] = value;
    const rk_frame_t frame = {.bytes = data, .size = bytes};
    mock_send (&lone->neighbour, msg, &frame, 1);
}

static void s_send_own (lone_t *lone, uint64_t round)
{
    const rk_frame_t frame = {.bytes = lone->own, .size = sizeof lone->own};
    mock_send (&lone->stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.round = round, .n_planes = 1, .weight = 3, .total = 4}},
               &frame, 1);
}

static void s_send_bad_chunks (lone_t *lone)
{
    rk_msg_t msg = s_chunk (0, 0);
    msg.chunk.segment = 1;
    s_send_chunk (lone, msg, 9, BYTES);
    msg = s_chunk (0, 0);
    msg.chunk.plane = 1;
    s_send_chunk (lone, msg, 9, BYTES);
    msg = s_chunk (0, 0);
    msg.chunk.step = 2;
    s_send_chunk (lone, msg, 9, BYTES);
    msg = s_chunk (0, 0);
    msg.chunk.piece ^= 1;
    s_send_chunk (lone, msg, 9, BYTES);
    msg = s_chunk (0, 0);
    msg.chunk.offset = 16;
    s_send_chunk (lone, msg, 9, BYTES);
    msg = s_chunk (0, 0);
    msg.chunk.n_floats = HALF - 1;
    s_send_chunk (lone, msg, 9, BYTES - 4);
    s_send_chunk (lone, s_chunk (2, 0), 9, BYTES); /* two rounds ahead */
    msg = s_chunk (0, 0);
    msg.view = VIEW;
    lone->neighbour.sender = rk_address (RK_ACTOR_REDUCER, 7); /* nobody of the plan */
    s_send_chunk (lone, msg, 9, BYTES);
    lone->neighbour.sender = rk_address (RK_ACTOR_REDUCER, 1);
    lone->neighbour.view = VIEW + 1;
    s_send_chunk (lone, s_chunk (0, 0), 9, BYTES);
    lone->neighbour.view = VIEW;
}

static void s_send_bad_snapshots (lone_t *lone)
{
    const rk_frame_t short_frame = {.bytes = lone->own, .size = sizeof lone->own - 4};
    const rk_frame_t frames[2] = {{.bytes = lone->own, .size = sizeof lone->own}, {.bytes = lone->own, .size = sizeof lone->own}};
    mock_send (&lone->stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.n_planes = 1, .weight = 3, .total = 4}}, &short_frame, 1);
    mock_send (&lone->stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.n_planes = 2, .weight = 3, .total = 4}}, frames, 2);
    mock_send (&lone->neighbour, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.n_planes = 1, .weight = 3, .total = 4}}, frames, 1);
}

/* own x 3 + 4 x 1 (its own weight is in what it sends), over 4; and the mean of the other piece as it comes. */
static void s_expect_lone_mean (lone_t *lone, uint64_t round, float sum, float mean)
{
    const rk_msg_t *msg = mock_receive (&lone->stage, RK_MSG_MEAN);
    assert_int_equal (msg->mean.round, round);
    static float got[WHOLE];
    assert_int_equal (zmq_msg_size (&lone->stage.packet->frame[0]), sizeof got);
    memcpy (got, zmq_msg_data (&lone->stage.packet->frame[0]), sizeof got);
    uint32_t summed = rk_ring_step (0, 2, 0).receive_piece;
    for (uint32_t i = 0; i < WHOLE; i++)
        assert_true (got[i] == (i / HALF == summed ? (sum + 3 * lone->own[i]) / 4 : mean));
    rk_packet_clear (lone->stage.packet);
}

static void bad_early_and_repeated_chunks_do_no_harm (void **state)
{
    static lone_t lone;
    s_open_lone (&lone);
    s_send_bad_chunks (&lone);
    s_send_bad_snapshots (&lone);
    s_send_chunk (&lone, s_chunk (0, 0), 4, BYTES); /* early: parked until the snapshot comes */
    s_send_chunk (&lone, s_chunk (0, 0), 9, BYTES); /* repeated */
    s_send_own (&lone, 0);
    const rk_msg_t *sent = mock_receive (&lone.neighbour, RK_MSG_CHUNK);
    assert_int_equal (sent->chunk.step, 0);
    sent = mock_receive (&lone.neighbour, RK_MSG_CHUNK);
    assert_int_equal (sent->chunk.step, 1);
    s_send_bad_chunks (&lone);
    s_send_chunk (&lone, s_chunk (1, 0), 8, BYTES); /* the neighbour is already at the next round */
    rk_msg_t other = s_chunk (0, 1);
    other.chunk.total = 5; /* divides by something else: never mixed */
    s_send_chunk (&lone, other, 9, BYTES);
    rk_packet_clear (lone.neighbour.packet);
    s_send_chunk (&lone, s_chunk (0, 1), 7, BYTES);
    s_expect_lone_mean (&lone, 0, 4, 7);
    s_send_own (&lone, 0); /* a round that is over */
    s_send_own (&lone, 1);
    mock_receive (&lone.neighbour, RK_MSG_CHUNK);
    mock_receive (&lone.neighbour, RK_MSG_CHUNK);
    rk_packet_clear (lone.neighbour.packet);
    s_send_chunk (&lone, s_chunk (1, 1), 6, BYTES);
    s_expect_lone_mean (&lone, 1, 8, 6);
    s_close_lone (&lone);
}

/* Over inproc the chunk that the neighbour holds is the reducer's own memory: the mean of that piece must not be
 * written over it before it is given back.                                                                 */
static void a_lent_piece_is_not_overwritten (void **state)
{
    static lone_t lone;
    s_open_lone (&lone);
    s_send_own (&lone, 0);
    mock_receive (&lone.neighbour, RK_MSG_CHUNK); /* step 0, kept */
    zmq_msg_t kept;
    zmq_msg_init (&kept);
    zmq_msg_move (&kept, &lone.neighbour.packet->frame[0]);
    s_send_chunk (&lone, s_chunk (0, 1), 7, BYTES);
    s_send_chunk (&lone, s_chunk (0, 0), 4, BYTES);
    mock_receive (&lone.neighbour, RK_MSG_CHUNK); /* step 1: both have been handled */
    rk_packet_clear (lone.neighbour.packet);
    uint32_t piece = rk_ring_step (0, 2, 0).send_piece;
    const float *held = zmq_msg_data (&kept);
    for (uint32_t i = 0; i < HALF; i++)
        assert_true (held[i] == 3 * lone.own[HALF * piece + i]);
    zmq_pollitem_t item = {.socket = zsock_resolve (lone.stage.inbox), .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 0), 0); /* so there is no mean yet */
    zmq_msg_close (&kept);
    s_expect_lone_mean (&lone, 0, 4, 7);
    s_close_lone (&lone);
}

/* Two replicas swap a small segment whole: one chunk out, one in; nothing else of a ring is taken. */
static void a_pair_swaps_a_small_segment (void **state)
{
    static lone_t lone;
    s_open_lone_of (&lone, SMALL);
    rk_msg_t msg = {.kind = RK_MSG_CHUNK, .chunk = {.n_floats = SMALL, .total = 4}};
    rk_msg_t later = msg, half = msg, second = msg;
    later.chunk.step = 1;
    half.chunk.n_floats = SMALL / 2;
    second.chunk.piece = 1;
    s_send_chunk (&lone, later, 9, SMALL * sizeof (float));
    s_send_chunk (&lone, half, 9, SMALL / 2 * sizeof (float));
    s_send_chunk (&lone, second, 9, SMALL * sizeof (float));
    for (uint64_t round = 0; round < 3; round++) {
        msg.chunk.round = round;
        s_send_chunk (&lone, msg, 5, SMALL * sizeof (float)); /* parked: it is here first */
        const rk_frame_t frame = {.bytes = lone.own, .size = SMALL * sizeof (float)};
        mock_send (&lone.stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.round = round, .n_planes = 1, .weight = 3, .total = 4}},
                   &frame, 1);
        const rk_msg_t *sent = mock_receive (&lone.neighbour, RK_MSG_CHUNK);
        assert_int_equal (sent->chunk.n_floats, SMALL);
        const float *whole = zmq_msg_data (&lone.neighbour.packet->frame[0]);
        for (uint32_t i = 0; i < SMALL; i++)
            assert_true (whole[i] == 3 * lone.own[i]);
        rk_packet_clear (lone.neighbour.packet);
        assert_int_equal (mock_receive (&lone.stage, RK_MSG_MEAN)->mean.round, round);
        const float *mean = zmq_msg_data (&lone.stage.packet->frame[0]);
        for (uint32_t i = 0; i < SMALL; i++)
            assert_true (mean[i] == (5 + 3 * lone.own[i]) / 4);
        rk_packet_clear (lone.stage.packet);
    }
    s_close_lone (&lone);
}

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_mean_is_exact_for_any_layout),
        cmocka_unit_test (large_pieces_travel_in_parts),
        cmocka_unit_test (misaligned_snapshots_are_read),
        cmocka_unit_test (bad_early_and_repeated_chunks_do_no_harm),
        cmocka_unit_test (a_lent_piece_is_not_overwritten),
        cmocka_unit_test (a_pair_swaps_a_small_segment),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
