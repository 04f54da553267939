/* SPDX-License-Identifier: MPL-2.0
 * One reducer with scripted neighbours in a graph: other control records, strangers, repeats, wrong rounds. */
#include "tests/actors/mock_peer.h"
#include "tests/cluster/fixtures.h"
#include "actors/reducer.h"
#include "cluster/ring.h"

#define VIEW 9

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

/* ---- one reducer of four on a ring, its neighbours scripted */

enum { FLOATS = 64, NINE = 9 };

typedef struct {
    const rk_settings_t *settings;
    uint32_t n, apart; /* replicas; from one neighbour to the next */
    rk_plan_t *plan;
    rk_actor_t *reducer;
    mock_peer_t stage, neighbours[2]; /* 1 and 1 + apart */
} lone_t;

static void s_open_as (lone_t *lone)
{
    const rk_layer_info_t layer = {.flat_at = 0, .stash_bytes = 1, .work_bytes = 1, .cut_bytes = 1};
    const rk_model_info_t model = {.n_layers = 1, .layers = &layer, .n_flat = FLOATS, .train_samples = 60000, .test_samples = 1};
    uint32_t counts[NINE], cuts[NINE] = {0};
    for (uint32_t i = 0; i < NINE; i++)
        counts[i] = 1;
    rk_error_t err;
    s_ok (rk_plan_by_hand (&lone->plan, VIEW, &model, lone->settings, lone->n, counts, cuts, NULL, &err), &err);
    const rk_reducer_config_t config = {.plan = lone->plan, .node = 0};
    s_ok (rk_reducer_new (&lone->reducer, &config, &err), &err);
    mock_open (&lone->stage, rk_address (RK_ACTOR_STAGE, 0), VIEW);
    mock_connect (&lone->stage, lone->reducer);
    s_ok (rk_actor_connect (lone->reducer, lone->stage.sender, lone->stage.endpoint, &err), &err);
    for (uint32_t i = 2; i-- > 0;) { /* what comes to the first proves that the second is known */
        mock_open (&lone->neighbours[i], rk_address (RK_ACTOR_REDUCER, 1 + lone->apart * i), VIEW);
        mock_connect (&lone->neighbours[i], lone->reducer);
        s_ok (rk_actor_introduce (lone->reducer, lone->neighbours[i].sender, lone->neighbours[i].endpoint, &err), &err);
    }
}

/* Replica 0 of a ring of 4: it hears 1 and 3, not 2. */
static void s_open_lone (lone_t *lone)
{
    rk_settings_t settings;
    rk_settings_default (&settings);
    settings.average_weights = RK_WEIGHTS_EQUAL;
    snprintf (settings.average_graph, sizeof settings.average_graph, "ring");
    *lone = (lone_t){.settings = &settings, .n = 4, .apart = 2};
    s_open_as (lone);
}

static void s_close_lone (lone_t *lone)
{
    rk_actor_stop (&lone->reducer);
    mock_close (&lone->stage);
    mock_close (&lone->neighbours[0]);
    mock_close (&lone->neighbours[1]);
    rk_plan_destroy (&lone->plan);
}

static void s_mix_from (mock_peer_t *peer, uint64_t round, uint32_t control, float value)
{
    float data[FLOATS];
    for (int i = 0; i < FLOATS; i++)
        data[i] = value;
    const rk_frame_t frame = {.bytes = data, .size = sizeof data};
    mock_send (peer, (rk_msg_t){.kind = RK_MSG_CHUNK, .chunk = {.round = round, .n_floats = FLOATS, .total = 4, .mixing = true,
                                                                .control = control, .push = 1}}, &frame, 1);
}

static void s_begin_lone (lone_t *lone, uint64_t round, uint32_t control)
{
    float data[FLOATS] = {0};
    const rk_frame_t frame = {.bytes = data, .size = sizeof data};
    mock_send (&lone->stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.round = round, .n_planes = 1, .weight = 1, .total = 4,
                                                                              .control = control}}, &frame, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal (mock_receive (&lone->neighbours[i], RK_MSG_CHUNK)->chunk.control, control);
}

static void s_expect_lone (lone_t *lone, float want)
{
    mock_receive (&lone->stage, RK_MSG_MEAN);
    float got;
    memcpy (&got, zmq_msg_data (&lone->stage.packet->frame[0]), sizeof got);
    assert_true (got == want);
    rk_packet_clear (lone->stage.packet);
}

static void s_expect_nothing (lone_t *lone)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (lone->stage.inbox), .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 50), 0);
}

static void another_control_record_is_never_mixed (void **state)
{
    lone_t lone;
    s_open_lone (&lone);
    s_mix_from (&lone.neighbours[0], 0, 8, 100); /* early, and by another record */
    s_begin_lone (&lone, 0, 7);
    s_mix_from (&lone.neighbours[1], 0, 7, 6);
    s_mix_from (&lone.neighbours[1], 0, 8, 100);
    s_expect_nothing (&lone);
    s_mix_from (&lone.neighbours[0], 0, 7, 3);
    s_expect_lone (&lone, 3);
    s_begin_lone (&lone, 1, 8); /* what was parked is of a round that is over */
    s_mix_from (&lone.neighbours[0], 1, 8, 30);
    s_mix_from (&lone.neighbours[1], 1, 8, 60);
    s_expect_lone (&lone, 30);
    s_close_lone (&lone);
}

static void strangers_repeats_and_wrong_rounds_do_no_harm (void **state)
{
    lone_t lone;
    s_open_lone (&lone);
    s_begin_lone (&lone, 0, 0);
    lone.neighbours[0].sender = rk_address (RK_ACTOR_REDUCER, 2); /* of the plan, no neighbour */
    s_mix_from (&lone.neighbours[0], 0, 0, 100);
    lone.neighbours[0].sender = rk_address (RK_ACTOR_REDUCER, 9);
    s_mix_from (&lone.neighbours[0], 0, 0, 100);
    lone.neighbours[0].sender = rk_address (RK_ACTOR_REDUCER, 1);
    s_mix_from (&lone.neighbours[0], 2, 0, 100); /* two rounds ahead */
    s_mix_from (&lone.neighbours[0], 1, 0, 30);  /* one: kept */
    s_mix_from (&lone.neighbours[0], 0, 0, 3);
    s_mix_from (&lone.neighbours[0], 0, 0, 100); /* repeated */
    s_mix_from (&lone.neighbours[1], 0, 0, 6);
    s_expect_lone (&lone, 3);
    s_mix_from (&lone.neighbours[1], 0, 0, 100); /* a round that is over */
    s_begin_lone (&lone, 1, 0);
    s_mix_from (&lone.neighbours[1], 1, 0, 60);
    s_expect_lone (&lone, 30);
    s_close_lone (&lone);
}

/* ---- hops: replica 0 of 9 in groups of 3 sends to 1 and hears 2 */

static void s_hop_from (mock_peer_t *peer, uint32_t step, uint32_t piece, double in_sum, float value)
{
    float data[FLOATS];
    const uint32_t lo = FLOATS * piece / 3, n = FLOATS * (piece + 1) / 3 - lo;
    for (uint32_t i = 0; i < n; i++)
        data[i] = value;
    const rk_frame_t frame = {.bytes = data, .size = n * sizeof *data};
    mock_send (peer, (rk_msg_t){.kind = RK_MSG_CHUNK, .chunk = {.step = step, .piece = piece, .offset = lo, .n_floats = n, .total = NINE,
                                                                .mixing = true, .push = in_sum}}, &frame, 1);
}

static void hops_that_nobody_makes_do_no_harm (void **state)
{
    lone_t lone = {.n = NINE, .apart = 1};
    rk_settings_t settings;
    rk_settings_default (&settings);
    settings.average_weights = RK_WEIGHTS_EQUAL;
    settings.average_exchange = RK_EXCHANGE_CHEAPEST;
    settings.average_group = 3;
    snprintf (settings.average_graph, sizeof settings.average_graph, "mixed-radix");
    lone.settings = &settings;
    s_open_as (&lone);
    float data[FLOATS] = {0};
    const rk_frame_t frame = {.bytes = data, .size = sizeof data};
    mock_peer_t *before = &lone.neighbours[1];
    mock_send (&lone.stage, (rk_msg_t){.kind = RK_MSG_SNAPSHOT, .snapshot = {.n_planes = 1, .weight = 1, .total = NINE}}, &frame, 1);
    mock_receive (&lone.neighbours[0], RK_MSG_CHUNK);
    s_hop_from (before, 2, rk_ring_step (0, 3, 1).receive_piece, 2, 6); /* early: kept */
    const uint32_t first = rk_ring_step (0, 3, 0).receive_piece;
    s_mix_from (before, 0, 0, 100);                    /* directly */
    s_hop_from (before, 9, first, 1, 100);             /* no such hop */
    s_hop_from (before, 1, (first + 1) % 3, 1, 100);   /* another piece */
    s_hop_from (before, 1, first, 100, 100);           /* more replicas than there are */
    s_hop_from (before, 2, rk_ring_step (0, 3, 1).receive_piece, 2, 100); /* repeated */
    s_hop_from (&lone.neighbours[0], 1, first, 1, 100); /* the wrong one */
    s_hop_from (before, 1, first, 1, 3);
    s_hop_from (before, 4, rk_ring_step (0, 3, 3).receive_piece, 3, 6);
    s_expect_nothing (&lone);
    s_hop_from (before, 3, rk_ring_step (0, 3, 2).receive_piece, 3, 6);
    mock_receive (&lone.stage, RK_MSG_MEAN);
    float got[FLOATS];
    memcpy (got, zmq_msg_data (&lone.stage.packet->frame[0]), sizeof got);
    for (int i = 0; i < FLOATS; i++)
        assert_true (got[i] == 2);
    rk_packet_clear (lone.stage.packet);
    s_close_lone (&lone);
}

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (another_control_record_is_never_mixed),
        cmocka_unit_test (hops_that_nobody_makes_do_no_harm),
        cmocka_unit_test (strangers_repeats_and_wrong_rounds_do_no_harm),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
