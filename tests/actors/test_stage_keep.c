/* SPDX-License-Identifier: MPL-2.0
 * A stage gives its state away part by part and takes one over part by part: the same bits come out of any cut. */
#include "actors/stage_keep.h"
#include "tests/actors/mock_peer.h"
#include "tests/support/rig.h"

#define WIDTH 512 /* a layer of it has more than four parts */
#define ROUNDS 5
#define PLANES 3   /* adam */

typedef struct {
    rk_model_t *model;
    rk_plan_t *plan;
    rk_actor_t *stage;
    uint64_t lo, hi;
    bool tcp; /* between all of them; else inproc */
    mock_peer_t coordinator, asker, donor[3];
} scene_t;

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

/* The float that every donor has at `at` of the model: no two alike. */
static float s_value (uint32_t plane, uint64_t at)
{
    return (float) (at % 1000003) + 0.25f * (float) (plane + 1);
}

static void s_plan (scene_t *s)
{
    memset (s, 0, sizeof *s);
    s->model = rk_model_new (rk_shape_3 (1, 28, 28));
    int at = rk_model_flatten (s->model, "flatten", 0);
    at = rk_model_linear (s->model, "a", at, WIDTH, true);
    at = rk_model_linear (s->model, "b", at, WIDTH, true);
    at = rk_model_linear (s->model, "c", at, 10, true);
    rk_model_softmax_xent (s->model, "loss", at);
    rk_error_t err;
    s_ok (rk_model_seal (s->model, &err), &err);
    rig_config_t config = {.model = s->model, .data = rig_data (), .n_clusters = 1, .counts = {2}, .cuts = (uint32_t[]) {0, 2}};
    rig_settings (&config.settings);
    config.settings.train_batch = 8;
    snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "adam");
    config.settings.train_momentum = 0;
    s->plan = rig_plan (&config);
    s->lo = s->plan->stages[1].flat_lo;
    s->hi = s->plan->stages[1].flat_hi;
    assert_true (s->hi - s->lo > 4 * RK_STAGE_PART);
}

static void s_mock (const scene_t *s, mock_peer_t *peer, uint32_t sender)
{
    if (s->tcp)
        mock_open_at (peer, sender, s->plan->view, "tcp://127.0.0.1:*");
    else
        mock_open (peer, sender, s->plan->view);
}

/* One more stage of that place. half: who may have some of it already. */
static void s_start_stage (scene_t *s, const rk_stage_donor_t *donors, size_t n_donors, uint32_t half)
{
    rk_error_t err;
    const rk_stage_config_t config = {.plan = s->plan, .node = 1, .model = s->model, .coordinator = s->coordinator.endpoint,
                                      .bind = s->tcp ? "tcp://127.0.0.1:*" : NULL, .identity = s->tcp ? &rk_identity_plain : NULL,
                                      .donors = donors, .n_donors = n_donors, .half = half};
    s_ok (rk_stage_new (&s->stage, &config, &err), &err);
    s_mock (s, &s->asker, rk_address (RK_ACTOR_CHECKPOINTER, 0));
    mock_connect (&s->asker, s->stage);
    s_ok (rk_actor_connect (s->stage, s->asker.sender, s->asker.endpoint, &err), &err);
}

/* A donor that stage can ask. */
static void s_donor (scene_t *s, mock_peer_t *donor, uint32_t address)
{
    rk_error_t err;
    s_mock (s, donor, address);
    mock_connect (donor, s->stage);
    s_ok (rk_actor_connect (s->stage, donor->sender, donor->endpoint, &err), &err);
}

/* The second of two stages; donors: it takes over from mocks. */
static void s_open (scene_t *s, const rk_stage_donor_t *donors, size_t n_donors)
{
    rk_error_t err;
    if (n_donors)
        s_ok (rk_plan_set_cursor (s->plan, ROUNDS, 4 * ROUNDS, 0, &err), &err);
    s_mock (s, &s->coordinator, rk_address (RK_ACTOR_COORDINATOR, 0));
    s_start_stage (s, donors, n_donors, 0);
    mock_connect (&s->coordinator, s->stage);
    mock_receive (&s->coordinator, RK_MSG_READY);
}

static void s_close (scene_t *s)
{
    rk_actor_stop (&s->stage);
    for (int i = 0; i < 3; i++)
        mock_close (&s->donor[i]);
    mock_close (&s->asker);
    mock_close (&s->coordinator);
    rk_plan_destroy (&s->plan);
    rk_model_destroy (&s->model);
}

static const rk_handover_t *s_ask (scene_t *s, rk_handover_request_t want)
{
    mock_send (&s->asker, (rk_msg_t){.kind = RK_MSG_HANDOVER_REQUEST, .handover_request = want}, NULL, 0);
    return &mock_receive (&s->asker, RK_MSG_HANDOVER)->handover;
}

/* Questions may overtake the last answers, which come over other sockets. */
static void s_wait_taken (scene_t *s)
{
    int64_t end_ns = rk_now_ns () + MOCK_WAIT_MS * INT64_C (1000000);
    while (s_ask (s, (rk_handover_request_t){.rounds = ROUNDS, .flat_lo = s->lo, .n_floats = 1})->rounds != ROUNDS)
        if (rk_now_ns () > end_ns)
            fail_msg ("nothing was taken over");
}

static void gives_any_range (void **state)
{
    (void) state;
    scene_t s;
    s_plan (&s);
    s_open (&s, NULL, 0);
    float *want = calloc (s.hi - s.lo + 1, sizeof *want), got;
    rk_model_init (s.model, s.plan->settings.run_seed, (int) s.plan->stages[1].first, (int) s.plan->stages[1].last, want);
    for (uint64_t lo = s.lo; lo < s.hi; lo += 77773) {
        uint64_t n = s.hi - lo < 100001 ? s.hi - lo : 100001;
        const rk_handover_t *h = s_ask (&s, (rk_handover_request_t){.flat_lo = lo, .n_floats = n});
        assert_true (h->rounds == 0 && h->flat_lo == lo && h->n_floats == n && h->exact && h->steps == 0);
        assert_int_equal (h->n_planes, PLANES);
        assert_memory_equal (zmq_msg_data (&s.asker.packet->frame[0]), want + (lo - s.lo), n * sizeof *want);
        memcpy (&got, zmq_msg_data (&s.asker.packet->frame[PLANES - 1]), sizeof got);
        assert_true (got == 0); /* no step yet */
    }
    assert_int_equal (s_ask (&s, (rk_handover_request_t){.flat_lo = s.lo, .n_floats = 9, .state_only = true})->n_planes, PLANES - 1);
    const rk_handover_t *h = s_ask (&s, (rk_handover_request_t){.rounds = 3, .flat_lo = s.lo, .n_floats = 9});
    assert_true (h->n_planes == 0 && h->rounds == 0); /* not to be had */
    /* not its own: no answer, so the next answer is the next question's */
    const rk_handover_request_t bad[] = {{.flat_lo = s.lo - 1, .n_floats = 2}, {.flat_lo = s.hi - 1, .n_floats = 2},
                                         {.flat_lo = s.lo, .n_floats = 1, .replica = 1}};
    for (size_t i = 0; i < 3; i++)
        mock_send (&s.asker, (rk_msg_t){.kind = RK_MSG_HANDOVER_REQUEST, .handover_request = bad[i]}, NULL, 0);
    assert_int_equal (s_ask (&s, (rk_handover_request_t){.flat_lo = s.hi, .n_floats = 0})->flat_lo, s.hi);
    free (want);
    s_close (&s);
}

static void s_answer (mock_peer_t *donor, const rk_handover_request_t *want)
{
    static float planes[PLANES][RK_STAGE_PART];
    rk_frame_t frames[PLANES];
    for (uint32_t p = 0; p < PLANES; p++) {
        for (uint64_t i = 0; i < want->n_floats; i++)
            planes[p][i] = s_value (p, want->flat_lo + i);
        frames[p] = (rk_frame_t){.bytes = planes[p], .size = want->n_floats * sizeof (float)};
    }
    const rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                          .handover = {.rounds = want->rounds, .replica = want->replica, .flat_lo = want->flat_lo,
                                       .n_floats = want->n_floats, .n_planes = PLANES, .exact = true, .steps = 42, .loss_scale = 1}};
    mock_send (donor, msg, frames, PLANES);
}

/* Three donors give at once, each its own; an answer that another owes is dropped. */
static void takes_over_from_several (void **state)
{
    (void) state;
    scene_t s;
    s_plan (&s);
    uint64_t a = s.lo + 50001, b = a + 3 * RK_STAGE_PART + 5;
    rk_stage_donor_t donors[3] = {{.lo = b, .hi = s.hi}, {.lo = s.lo, .hi = a}, {.lo = a, .hi = b, .replica = 0}};
    for (uint32_t i = 0; i < 3; i++)
        donors[i].address = rk_address (RK_ACTOR_STAGE, 10 + i);
    s_open (&s, donors, 3);
    for (uint32_t i = 0; i < 3; i++)
        s_donor (&s, &s.donor[i], donors[i].address);
    assert_true (s_ask (&s, (rk_handover_request_t){.rounds = ROUNDS, .flat_lo = s.lo, .n_floats = 1})->n_planes == 0); /* not yet */
    rk_handover_request_t want[4];
    for (int i = 0; i < 4; i++) /* all of its range */
        want[i] = mock_receive (&s.donor[2], RK_MSG_HANDOVER_REQUEST)->handover_request;
    assert_true (want[0].flat_lo == a && want[0].rounds == ROUNDS && want[3].n_floats == 5);
    s_answer (&s.donor[2], &want[0]);
    s_answer (&s.donor[1], &mock_receive (&s.donor[1], RK_MSG_HANDOVER_REQUEST)->handover_request);
    s_answer (&s.donor[1], &want[3]); /* not its own: dropped */
    mock_receive (&s.donor[0], RK_MSG_HANDOVER_REQUEST);
    s_answer (&s.donor[0], &s.donor[0].packet->msg.handover_request);
    for (int i = 3; i > 0; i--) /* in any order */
        s_answer (&s.donor[2], &want[i]);
    uint64_t left = s.hi - b - s.donor[0].packet->msg.handover_request.n_floats;
    for (; left; left -= s.donor[0].packet->msg.handover_request.n_floats)
        s_answer (&s.donor[0], &mock_receive (&s.donor[0], RK_MSG_HANDOVER_REQUEST)->handover_request);
    s_wait_taken (&s);
    for (uint64_t lo = s.lo; lo < s.hi; lo += RK_STAGE_PART / 3) {
        uint64_t n = s.hi - lo < RK_STAGE_PART / 3 ? s.hi - lo : RK_STAGE_PART / 3;
        const rk_handover_t *h = s_ask (&s, (rk_handover_request_t){.rounds = ROUNDS, .flat_lo = lo, .n_floats = n});
        assert_true (h->rounds == ROUNDS && h->n_planes == PLANES && h->steps == 42);
        for (uint32_t p = 0; p < PLANES; p++) {
            const float *got = zmq_msg_data (&s.asker.packet->frame[p]);
            for (uint64_t i = 0; i < n; i++) {
                float value;
                memcpy (&value, got + i, sizeof value);
                if (value != s_value (p, lo + i))
                    fail_msg ("plane %u, float %llu: %g", p, (unsigned long long) (lo + i), (double) value);
            }
        }
    }
    s_close (&s);
}

/* Donors that leave a hole, overlap the neighbour's range or run backwards are refused before anything starts. */
static void bad_donors_are_refused (void **state)
{
    (void) state;
    scene_t s;
    s_plan (&s);
    const rk_stage_donor_t bad[][2] = {{{.lo = s.lo, .hi = s.hi - 1}, {.lo = s.lo, .hi = s.lo}},
                                       {{.lo = s.lo - 1, .hi = s.hi}, {.lo = s.lo, .hi = s.lo}},
                                       {{.lo = s.hi, .hi = s.lo}, {.lo = s.lo, .hi = s.hi}}};
    for (size_t i = 0; i < 3; i++) {
        rk_error_t err = {0};
        rk_actor_t *stage = NULL;
        const rk_stage_config_t config = {.plan = s.plan, .node = 1, .model = s.model, .donors = bad[i], .n_donors = 2};
        assert_int_equal (rk_stage_new (&stage, &config, &err), RK_EINVAL);
        assert_non_null (strstr (err.text, "donor"));
    }
    rk_plan_destroy (&s.plan);
    rk_model_destroy (&s.model);
}

/* A donor that has another state, or one of other settings, is named. */
static void a_donor_without_it_is_named (void **state)
{
    (void) state;
    for (int wrong = 0; wrong < 2; wrong++) {
        scene_t s;
        s_plan (&s);
        const rk_stage_donor_t donor = {.address = rk_address (RK_ACTOR_CHECKPOINTER, 0), .lo = s.lo, .hi = s.hi};
        s_open (&s, &donor, 1);
        rk_handover_request_t want = mock_receive (&s.asker, RK_MSG_HANDOVER_REQUEST)->handover_request;
        const rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                              .handover = {.rounds = wrong ? ROUNDS : 3, .flat_lo = want.flat_lo, .n_floats = want.n_floats,
                                           .loss_scale = 1}};
        mock_send (&s.asker, msg, NULL, 0);
        const rk_failed_t *failed = &mock_receive (&s.coordinator, RK_MSG_FAILED)->failed;
        assert_non_null (strstr (failed->text, wrong ? "0 vectors, 3 are needed" : "not to be had from checkpointer 0, which has that after 3"));
        s_close (&s);
    }
}

/* Two of the first donor's parts come and one of the other's, which is gone then, for ever. */
static void s_comes_half (scene_t *s, const rk_stage_donor_t donors[2])
{
    s_open (s, donors, 2);
    for (uint32_t i = 0; i < 2; i++)
        s_donor (s, &s->donor[i], donors[i].address);
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t k = 0; k < 2 - i; k++)
            s_answer (&s->donor[i], &mock_receive (&s->donor[i], RK_MSG_HANDOVER_REQUEST)->handover_request);
    for (uint32_t i = 0; i < 2; i++) { /* what comes behind an answer is answered after it was taken */
        mock_send (&s->donor[i], (rk_msg_t){.kind = RK_MSG_HANDOVER_REQUEST, .handover_request = {.flat_lo = s->lo, .n_floats = 1}}, NULL, 0);
        mock_receive (&s->donor[i], RK_MSG_HANDOVER);
    }
}

/* The third donor is asked for nothing below `from`. Returns how many floats it is asked for until all is there. */
static uint64_t s_comes_rest (scene_t *s, uint64_t from)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (s->donor[2].inbox), .events = ZMQ_POLLIN};
    uint64_t asked = 0;
    const int64_t end_ns = rk_now_ns () + MOCK_WAIT_MS * INT64_C (1000000);
    while (s_ask (s, (rk_handover_request_t){.rounds = ROUNDS, .flat_lo = s->lo, .n_floats = 1})->rounds != ROUNDS) {
        if (rk_now_ns () > end_ns)
            fail_msg ("nothing was taken over");
        if (zmq_poll (&item, 1, 0) <= 0)
            continue;
        const rk_handover_request_t want = mock_receive (&s->donor[2], RK_MSG_HANDOVER_REQUEST)->handover_request;
        assert_true (want.flat_lo >= from && want.rounds == ROUNDS && want.replica == 0);
        asked += want.n_floats;
        s_answer (&s->donor[2], &want);
    }
    return asked;
}

static void s_check_values (scene_t *s)
{
    for (uint64_t lo = s->lo; lo < s->hi; lo += RK_STAGE_PART) {
        const uint64_t n = s->hi - lo < RK_STAGE_PART ? s->hi - lo : RK_STAGE_PART;
        assert_int_equal (s_ask (s, (rk_handover_request_t){.rounds = ROUNDS, .flat_lo = lo, .n_floats = n})->steps, 42);
        for (uint32_t p = 0; p < PLANES; p++)
            for (uint64_t i = 0; i < n; i++) {
                float value;
                memcpy (&value, (char *) zmq_msg_data (&s->asker.packet->frame[p]) + i * sizeof value, sizeof value);
                if (value != s_value (p, lo + i))
                    fail_msg ("plane %u, float %llu: %g", p, (unsigned long long) (lo + i), (double) value);
            }
    }
}

/* A view ends while a stage takes over. The next stage has what had come, and asks its donors for the rest alone. */
static void goes_on_with_what_has_come (void **state)
{
    (void) state;
    for (int tcp = 0; tcp < 2; tcp++) {
        scene_t s;
        rk_error_t err;
        s_plan (&s);
        s.tcp = tcp;
        const uint64_t half = s.lo + 2 * RK_STAGE_PART;
        const rk_stage_donor_t donors[2] = {{.address = rk_address (RK_ACTOR_KEEPER, 10), .lo = s.lo, .hi = half, .alike = true},
                                            {.address = rk_address (RK_ACTOR_KEEPER, 11), .lo = half, .hi = s.hi, .alike = true, .replica = 1}};
        s_comes_half (&s, donors);
        s_ok (rk_actor_command (s.stage, "RETIRE", NULL, &err), &err);
        scene_t next = s;
        const rk_stage_donor_t other = {.address = rk_address (RK_ACTOR_KEEPER, 12), .lo = s.lo, .hi = s.hi, .alike = true};
        s_start_stage (&next, &other, 1, rk_address (RK_ACTOR_KEEPER, 1));
        s_ok (rk_actor_connect (next.stage, rk_address (RK_ACTOR_KEEPER, 1), rk_actor_endpoint (s.stage), &err), &err);
        s_donor (&next, &next.donor[2], other.address);
        assert_int_equal (s_comes_rest (&next, half + RK_STAGE_PART), s.hi - half - RK_STAGE_PART);
        s_check_values (&next);
        rk_actor_stop (&next.stage);
        mock_close (&next.asker);
        mock_close (&next.donor[2]);
        s_close (&s);
    }
}

/* Where replicas differ, what has come of one is not mixed with what another gives. */
static void takes_no_mixture (void **state)
{
    (void) state;
    scene_t s;
    rk_error_t err;
    s_plan (&s);
    const rk_stage_donor_t donors[2] = {{.address = rk_address (RK_ACTOR_KEEPER, 10), .lo = s.lo, .hi = s.lo + 2 * RK_STAGE_PART, .replica = 1},
                                        {.address = rk_address (RK_ACTOR_KEEPER, 11), .lo = s.lo + 2 * RK_STAGE_PART, .hi = s.hi, .replica = 1}};
    s_comes_half (&s, donors);
    s_ok (rk_actor_command (s.stage, "RETIRE", NULL, &err), &err);
    scene_t next = s;
    const rk_stage_donor_t other = {.address = rk_address (RK_ACTOR_KEEPER, 12), .lo = s.lo, .hi = s.hi};
    s_start_stage (&next, &other, 1, rk_address (RK_ACTOR_KEEPER, 1));
    s_ok (rk_actor_connect (next.stage, rk_address (RK_ACTOR_KEEPER, 1), rk_actor_endpoint (s.stage), &err), &err);
    s_donor (&next, &next.donor[2], other.address);
    assert_int_equal (s_comes_rest (&next, s.lo), s.hi - s.lo);
    rk_actor_stop (&next.stage);
    mock_close (&next.asker);
    mock_close (&next.donor[2]);
    s_close (&s);
}

/* ---- net.warm: the copy that this stage keeps of the one before it */
static void s_open_guardian (scene_t *s)
{
    rk_error_t err;
    s_plan (s);
    s->plan->settings.net_warm = 1;
    s_open (s, NULL, 0);
    mock_open (&s->donor[0], rk_address (RK_ACTOR_STAGE, s->plan->stages[0].node), s->plan->view);
    mock_connect (&s->donor[0], s->stage);
    s_ok (rk_actor_connect (s->stage, s->donor[0].sender, s->donor[0].endpoint, &err), &err);
}

static void s_offer (scene_t *s, uint64_t rounds)
{
    const rk_msg_t msg = {.kind = RK_MSG_HANDOVER, .handover = {.rounds = rounds, .exact = true, .loss_scale = 1}};
    mock_send (&s->donor[0], msg, NULL, 0);
}

/* The ward gives all it is asked for, until the copy is complete; at most two parts are ever under way. */
static void s_give_all (scene_t *s, uint64_t rounds)
{
    const rk_plan_stage_t *ward = &s->plan->stages[0];
    rk_handover_request_t want[2];
    uint64_t at = ward->flat_lo;
    int n = 0;
    while (at < ward->flat_hi) {
        for (; n < 2 && at + (n ? want[0].n_floats : 0) < ward->flat_hi; n++)
            want[n] = mock_receive (&s->donor[0], RK_MSG_HANDOVER_REQUEST)->handover_request;
        assert_true (want[0].rounds == rounds && want[0].flat_lo == at && want[0].replica == 0);
        zmq_pollitem_t item = {.socket = zsock_resolve (s->donor[0].inbox), .events = ZMQ_POLLIN};
        assert_int_equal (zmq_poll (&item, 1, 0), 0); /* no third one before an answer */
        s_answer (&s->donor[0], &want[0]);
        at += want[0].n_floats;
        want[0] = want[1];
        n--;
    }
    const rk_round_applied_t *done = &mock_receive (&s->donor[0], RK_MSG_ROUND_APPLIED)->round_applied;
    assert_true (done->round == rounds - 1 && done->stage == 0);
}

static const rk_handover_t *s_ask_copy (scene_t *s, uint64_t rounds, uint64_t lo, uint64_t n)
{
    return s_ask (s, (rk_handover_request_t){.rounds = rounds, .flat_lo = lo, .n_floats = n});
}

static void s_commit (scene_t *s, uint64_t round)
{
    mock_send (&s->coordinator, (rk_msg_t){.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {round}}, NULL, 0);
}

static void keeps_a_copy_of_its_ward (void **state)
{
    (void) state;
    scene_t s;
    s_open_guardian (&s);
    const uint64_t lo = s.plan->stages[0].flat_lo, hi = s.plan->stages[0].flat_hi;
    assert_int_equal (s_ask_copy (&s, 1, lo, 1)->n_planes, 0); /* nothing yet */
    s_offer (&s, 1);
    s_give_all (&s, 1);
    s_offer (&s, 2);
    s_give_all (&s, 2);
    s_offer (&s, 3); /* both copies may still be asked for: not before more is committed */
    s_offer (&s, 4);
    for (uint64_t rounds = 1; rounds <= 2; rounds++)
        for (uint64_t at = lo; at < hi; at += 99991) {
            const uint64_t n = hi - at < 99991 ? hi - at : 99991;
            const rk_handover_t *h = s_ask_copy (&s, rounds, at, n);
            assert_true (h->rounds == rounds && h->n_planes == PLANES && h->steps == 42 && h->flat_lo == at && h->n_floats == n);
            for (uint32_t p = 0; p < PLANES; p++)
                for (uint64_t i = 0; i < n; i++) {
                    float value;
                    memcpy (&value, (char *) zmq_msg_data (&s.asker.packet->frame[p]) + i * sizeof value, sizeof value);
                    if (value != s_value (p, at + i))
                        fail_msg ("plane %u, float %llu: %g", p, (unsigned long long) (at + i), (double) value);
                }
        }
    zmq_pollitem_t item = {.socket = zsock_resolve (s.donor[0].inbox), .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 0), 0);
    s_commit (&s, 1); /* two rounds: the copy after the first is needed no more */
    s_give_all (&s, 3);
    assert_int_equal (zmq_poll (&item, 1, 0), 0);
    assert_int_equal (s_ask_copy (&s, 1, lo, 1)->n_planes, 0);
    assert_int_equal (s_ask_copy (&s, 2, lo, 1)->n_planes, PLANES);
    assert_int_equal (s_ask_copy (&s, 3, lo, 0)->n_planes, PLANES); /* numbers alone */
    s_commit (&s, 2);
    s_give_all (&s, 4);
    s_close (&s);
}

/* The answer to a question, by whichever way it comes. */
static const rk_msg_t *s_ask_either (scene_t *s, uint64_t rounds, uint64_t lo, uint64_t n)
{
    const rk_msg_t want = {.kind = RK_MSG_HANDOVER_REQUEST, .handover_request = {.rounds = rounds, .flat_lo = lo, .n_floats = n}};
    zmq_pollitem_t items[] = {{.socket = zsock_resolve (s->asker.inbox), .events = ZMQ_POLLIN},
                              {.socket = zsock_resolve (s->asker.dealer), .events = ZMQ_POLLIN}};
    mock_send (&s->asker, want, NULL, 0);
    if (zmq_poll (items, 2, MOCK_WAIT_MS) <= 0)
        fail_msg ("no answer");
    const bool inbox = items[0].revents;
    rk_error_t err = {0};
    s_ok (rk_wire_receive (items[!inbox].socket, inbox, s->asker.packet, &err), &err);
    assert_int_equal (s->asker.packet->msg.kind, RK_MSG_HANDOVER);
    return &s->asker.packet->msg;
}

/* Copies outlive the work; one that is half here is none. */
static void gives_the_copy_when_retired (void **state)
{
    (void) state;
    scene_t s;
    rk_error_t err;
    s_open_guardian (&s);
    const uint64_t lo = s.plan->stages[0].flat_lo;
    s_offer (&s, 1);
    s_give_all (&s, 1);
    s_offer (&s, 2);
    s_answer (&s.donor[0], &mock_receive (&s.donor[0], RK_MSG_HANDOVER_REQUEST)->handover_request);
    s_ok (rk_actor_command (s.stage, "RETIRE", NULL, &err), &err);
    const int64_t end_ns = rk_now_ns () + MOCK_WAIT_MS * INT64_C (1000000);
    while (rk_address_kind (s_ask_either (&s, 1, lo, 1)->sender) != RK_ACTOR_KEEPER)
        if (rk_now_ns () > end_ns)
            fail_msg ("it does not retire");
    assert_int_equal (s_ask_either (&s, 1, lo, 9)->handover.n_planes, PLANES);
    assert_int_equal (s_ask_either (&s, 2, lo, 9)->handover.n_planes, 0);
    s_close (&s);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (gives_any_range),
        cmocka_unit_test (takes_over_from_several),
        cmocka_unit_test (bad_donors_are_refused),
        cmocka_unit_test (a_donor_without_it_is_named),
        cmocka_unit_test (goes_on_with_what_has_come),
        cmocka_unit_test (takes_no_mixture),
        cmocka_unit_test (keeps_a_copy_of_its_ward),
        cmocka_unit_test (gives_the_copy_when_retired),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
