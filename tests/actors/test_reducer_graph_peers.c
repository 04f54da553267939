/* SPDX-License-Identifier: MPL-2.0
 * One reducer with scripted neighbours in a graph: other control records, strangers, repeats, wrong rounds. */
#include "tests/actors/mock_peer.h"
#include "tests/cluster/fixtures.h"
#include "actors/reducer.h"

#define VIEW 9

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

/* ---- one reducer of four on a ring, its neighbours scripted */

enum { FLOATS = 64 };

typedef struct {
    rk_plan_t *plan;
    rk_actor_t *reducer;
    mock_peer_t stage, neighbours[2]; /* replicas 1 and 3 of 4; 2 is no neighbour */
} lone_t;

static void s_open_lone (lone_t *lone)
{
    const rk_layer_info_t layer = {.flat_at = 0, .stash_bytes = 1, .work_bytes = 1, .cut_bytes = 1};
    const rk_model_info_t model = {.n_layers = 1, .layers = &layer, .n_flat = FLOATS, .train_samples = 60000, .test_samples = 1};
    const uint32_t counts[] = {1, 1, 1, 1}, cuts[] = {0, 0, 0, 0};
    rk_settings_t settings;
    rk_error_t err;
    rk_settings_default (&settings);
    settings.average_weights = RK_WEIGHTS_EQUAL;
    snprintf (settings.average_graph, sizeof settings.average_graph, "ring");
    s_ok (rk_plan_by_hand (&lone->plan, VIEW, &model, &settings, 4, counts, cuts, NULL, &err), &err);
    const rk_reducer_config_t config = {.plan = lone->plan, .node = 0};
    s_ok (rk_reducer_new (&lone->reducer, &config, &err), &err);
    mock_open (&lone->stage, rk_address (RK_ACTOR_STAGE, 0), VIEW);
    mock_connect (&lone->stage, lone->reducer);
    s_ok (rk_actor_connect (lone->reducer, lone->stage.sender, lone->stage.endpoint, &err), &err);
    for (uint32_t i = 0; i < 2; i++) {
        mock_open (&lone->neighbours[i], rk_address (RK_ACTOR_REDUCER, 1 + 2 * i), VIEW);
        mock_connect (&lone->neighbours[i], lone->reducer);
        s_ok (rk_actor_introduce (lone->reducer, lone->neighbours[i].sender, lone->neighbours[i].endpoint, &err), &err);
    }
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

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (another_control_record_is_never_mixed),
        cmocka_unit_test (strangers_repeats_and_wrong_rounds_do_no_harm),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
