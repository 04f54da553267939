/* SPDX-License-Identifier: MPL-2.0
 * A feeder between a scripted coordinator and a scripted stage 0: leases, window, data, refusals. */
#include "tests/actors/mock_peer.h"
#include "tests/support/rig.h"
#include "actors/feeder.h"
#include "cluster/lease.h"

#define BATCH 96 /* 4096 and 1000 samples are not multiples: the last minibatches are short */
#define WINDOW 3

typedef struct {
    rk_model_t *model;
    rk_plan_t *plan;
    rk_actor_t *feeder;
    mock_peer_t coordinator, stage;
} bench_t;

static void s_open (bench_t *b, uint32_t corrupt)
{
    rk_error_t err = {RK_OK, ""};
    memset (b, 0, sizeof *b);
    b->model = rig_mlp (1);
    rig_config_t config = {.model = b->model, .data = rig_data (), .n_clusters = 1, .counts = {1}};
    rig_settings (&config.settings);
    config.settings.train_batch = BATCH;
    config.settings.pipeline_in_flight = WINDOW;
    config.settings.run_passes = 2;
    b->plan = rig_plan (&config);
    mock_open (&b->coordinator, rk_address (RK_ACTOR_COORDINATOR, 0), b->plan->view);
    const rk_feeder_config_t feeder = {.plan = b->plan, .node = 0, .data = config.data, .coordinator = b->coordinator.endpoint,
                                       .corrupt = corrupt};
    assert_int_equal (rk_feeder_new (&b->feeder, &feeder, &err), RK_OK);
    mock_connect (&b->coordinator, b->feeder);
    assert_int_equal (mock_receive (&b->coordinator, RK_MSG_READY)->ready.digest, b->plan->digest);
    mock_open (&b->stage, rk_address (RK_ACTOR_STAGE, 0), b->plan->view);
    mock_connect (&b->stage, b->feeder);
    assert_int_equal (rk_actor_connect (b->feeder, b->stage.sender, b->stage.endpoint, &err), RK_OK);
}

static void s_close (bench_t *b)
{
    rk_packet_clear (b->stage.packet);
    rk_actor_stop (&b->feeder);
    mock_close (&b->stage);
    mock_close (&b->coordinator);
    rk_plan_destroy (&b->plan);
    rk_model_destroy (&b->model);
}

static void s_grant (bench_t *b, uint32_t mode, uint64_t first, size_t n)
{
    uint64_t f[64];
    for (size_t i = 0; i < n; i++)
        f[i] = first + i;
    mock_send (&b->coordinator,
               (rk_msg_t){.kind = RK_MSG_LEASE_GRANT,
                          .lease_grant = {.n = n, .f = f, .mode = mode, .round = mode ? 0 : rk_round_of (b->plan, first)}},
               NULL, 0);
}

static void s_credit (bench_t *b, uint64_t f)
{
    mock_send (&b->stage, (rk_msg_t){.kind = RK_MSG_CREDIT, .credit = {.f = f}}, NULL, 0);
}

/* The next activation must be f of this split. Returns how many labels are not the data's. */
static uint32_t s_expect (bench_t *b, uint64_t f, uint32_t mode, rk_split_t split, uint64_t pass, uint64_t index)
{
    static float x[BATCH * 784];
    int32_t labels[BATCH], got[BATCH];
    const rk_activation_t *a = &mock_receive (&b->stage, RK_MSG_ACTIVATION)->activation;
    size_t n = rk_data_batch (rig_data (), split, b->plan->settings.run_seed, pass, index, BATCH, x, labels);
    assert_true (a->f == f && a->mode == mode && a->n == n && a->dtype == RK_DTYPE_F32 && a->n_tensors == 1);
    assert_int_equal (zmq_msg_size (&b->stage.packet->frame[0]), n * 784 * sizeof (float));
    assert_memory_equal (zmq_msg_data (&b->stage.packet->frame[0]), x, n * 784 * sizeof (float));
    assert_int_equal (zmq_msg_size (&b->stage.packet->frame[1]), n * sizeof (int32_t));
    memcpy (got, zmq_msg_data (&b->stage.packet->frame[1]), n * sizeof (int32_t));
    uint32_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += got[i] != labels[i];
    return wrong;
}

static bool s_quiet (mock_peer_t *peer)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (peer->inbox), .events = ZMQ_POLLIN};
    return zmq_poll (&item, 1, 0) == 0;
}

static void the_window_is_kept_and_leases_are_asked_for (void **state)
{
    bench_t b;
    s_open (&b, 0);
    const rk_lease_request_t *request = &mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST)->lease_request;
    assert_true (request->cluster == 0 && request->n == WINDOW);
    s_grant (&b, RK_MB_TRAIN, 0, 3);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST); /* three wait at first, then fewer */
    s_grant (&b, RK_MB_TRAIN, 3, 1);
    for (uint64_t f = 0; f < WINDOW; f++)
        assert_int_equal (s_expect (&b, f, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, f), 0);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST); /* so the fourth has been looked at */
    assert_true (s_quiet (&b.stage));
    s_credit (&b, 0);
    assert_int_equal (s_expect (&b, 3, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, 3), 0);
    assert_true (s_quiet (&b.coordinator)); /* one request is out: no second one */
    s_close (&b);
}

/* A lease leaves the queue when its minibatch is built, and the queue's length shows in the next request. */
static void one_minibatch_is_made_while_the_window_is_full (void **state)
{
    bench_t b;
    s_open (&b, 0);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    s_grant (&b, RK_MB_TRAIN, 0, WINDOW);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    for (uint64_t f = 0; f < WINDOW; f++)
        assert_int_equal (s_expect (&b, f, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, f), 0);
    s_grant (&b, RK_MB_TRAIN, 3, 1);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    s_grant (&b, RK_MB_TRAIN, 4, WINDOW - 1); /* with a fourth lease in the queue it would be full and nothing asked for */
    assert_int_equal (mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST)->lease_request.n, 1);
    assert_true (s_quiet (&b.stage)); /* made, but not sent */
    s_credit (&b, 0);
    assert_int_equal (s_expect (&b, 3, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, 3), 0);
    s_close (&b);
}

static void data_are_of_the_pass_and_split_of_the_lease (void **state)
{
    bench_t b;
    s_open (&b, 0);
    assert_int_equal (b.plan->minibatches_per_pass, 43);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    s_grant (&b, RK_MB_TRAIN, 42, 1); /* the short one */
    assert_int_equal (s_expect (&b, 42, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, 42), 0);
    s_grant (&b, RK_MB_TRAIN, 43, 1); /* the next pass */
    assert_int_equal (s_expect (&b, 43, RK_MB_TRAIN, RK_SPLIT_TRAIN, 1, 0), 0);
    s_grant (&b, RK_MB_EVAL, 10, 1);
    assert_int_equal (s_expect (&b, 10, RK_MB_EVAL, RK_SPLIT_TEST, 0, 10), 0);
    s_credit (&b, 42);
    s_grant (&b, RK_MB_PREDICT, 0, 1);
    assert_int_equal (s_expect (&b, 0, RK_MB_PREDICT, RK_SPLIT_TEST, 0, 0), 0);
    s_close (&b);
}

static void nonsense_is_refused (void **state)
{
    bench_t b;
    s_open (&b, 0);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    const uint64_t f[] = {0, UINT64_MAX};
    const rk_lease_grant_t bad[] = {{.n = 0, .f = f}, {.n = 1, .f = f, .cluster = 1}, {.n = 1, .f = f, .round = 3},
                                    {.n = 2, .f = f}, {.n = 1, .f = f + 1, .round = UINT64_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        mock_send (&b.coordinator, (rk_msg_t){.kind = RK_MSG_LEASE_GRANT, .lease_grant = bad[i]}, NULL, 0);
    s_credit (&b, 0); /* nothing is out */
    mock_send (&b.stage, (rk_msg_t){.kind = RK_MSG_LEASE_GRANT, .lease_grant = {.n = 1, .f = f}}, NULL, 0);
    s_grant (&b, RK_MB_TRAIN, 0, 4);
    for (uint64_t i = 0; i < WINDOW; i++)
        assert_int_equal (s_expect (&b, i, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, i), 0);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    assert_true (s_quiet (&b.stage)); /* the false credit has not widened the window */
    mock_send (&b.coordinator, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.reason = "test"}}, NULL, 0);
    mock_receive (&b.coordinator, RK_MSG_STOPPED);
    s_close (&b);
}

static void a_swapped_label_is_swapped (void **state)
{
    bench_t b;
    s_open (&b, RK_CORRUPT_SWAPPED_LABEL);
    mock_receive (&b.coordinator, RK_MSG_LEASE_REQUEST);
    s_grant (&b, RK_MB_TRAIN, 0, 1);
    assert_int_equal (s_expect (&b, 0, RK_MB_TRAIN, RK_SPLIT_TRAIN, 0, 0), 2);
    s_close (&b);
}

static int s_end (void **state)
{
    rig_data_close ();
    return 0;
}

int main (void)
{
    setenv ("RK_LOG", "error", 0); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_window_is_kept_and_leases_are_asked_for),
        cmocka_unit_test (one_minibatch_is_made_while_the_window_is_full),
        cmocka_unit_test (data_are_of_the_pass_and_split_of_the_lease),
        cmocka_unit_test (nonsense_is_refused),
        cmocka_unit_test (a_swapped_label_is_swapped),
    };
    return cmocka_run_group_tests (tests, NULL, s_end);
}
