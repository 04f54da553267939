/* SPDX-License-Identifier: MPL-2.0
 * The coordinator against scripted parties: every actor around it is a DEALER of this test.               */
#include "tests/actors/cast.h"

#include "cluster/member.h"
#include "cluster/membership.h"
#include "cluster/roster.h"
#include "compute/blas.h"

#define MOST 16

/* ---- a whole run */

static void s_take_grant (cast_t *c, uint32_t cluster, uint32_t n, uint64_t round, unsigned *granted)
{
    s_request (c, cluster, n);
    const rk_msg_t *msg = s_hear (&c->feeders[cluster], RK_MSG_LEASE_GRANT);
    assert_int_equal (msg->lease_grant.mode, RK_MB_TRAIN);
    assert_int_equal (msg->lease_grant.cluster, cluster);
    assert_int_equal (msg->lease_grant.round, round);
    assert_int_equal (msg->lease_grant.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_true (msg->lease_grant.f[i] < 8);
        granted[msg->lease_grant.f[i]]++;
    }
}

/* Cluster 0 trains the first two or three, as it likes when rounds are not dealt; marks what was granted. */
static void s_train_round (cast_t *c, uint64_t round, unsigned *granted)
{
    const uint64_t counts[2] = {c->settings.average_mode == RK_AVERAGE_DRAINED ? 2 : 3,
                                c->settings.average_mode == RK_AVERAGE_DRAINED ? 2 : 1};
    s_take_grant (c, 0, 1, round, granted);
    s_take_grant (c, 1, (uint32_t) counts[1], round, granted);
    s_take_grant (c, 0, (uint32_t) counts[0] - 1, round, granted);
    for (int s = 0; s < 4; s++) {
        const rk_msg_t *closed = s_hear (&c->stages[s], RK_MSG_ROUND_CLOSED);
        assert_int_equal (closed->round_closed.round, round);
        assert_int_equal (closed->round_closed.n_clusters, 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal (closed->round_closed.counts[k], counts[k]);
            assert_int_equal (closed->round_closed.samples[k], 4 * counts[k]);
        }
    }
    s_apply (c, round);
    for (int s = 0; s < 4; s++)
        assert_int_equal (s_hear (&c->stages[s], RK_MSG_ROUND_COMMITTED)->round_committed.round, round);
}

/* 3 test minibatches; the answers come in the wrong order, one of them twice. */
static void s_evaluate (cast_t *c)
{
    s_request (c, 1, 2);
    const rk_msg_t *grant = s_hear (&c->feeders[1], RK_MSG_LEASE_GRANT);
    assert_int_equal (grant->lease_grant.mode, RK_MB_EVAL);
    assert_int_equal (grant->lease_grant.n, 2);
    s_request (c, 1, 2);
    grant = s_hear (&c->feeders[1], RK_MSG_LEASE_GRANT);
    assert_int_equal (grant->lease_grant.n, 1);
    assert_int_equal (grant->lease_grant.f[0], 2);
    #define ANSWER(f_, loss, correct, counted, n_) {.f = f_, .round = 2, .loss_sum = loss, .n_correct = correct, .n_counted = counted, .n = n_}
    const rk_evaluated_t answers[] = {ANSWER (2, 0.25, 2, 6, 2), ANSWER (0, 1.5, 3, 12, 4), ANSWER (0, 99, 0, 12, 4), ANSWER (1, 0.5, 4, 5, 4)};
    for (size_t i = 0; i < 4; i++)
        s_say (&c->stages[3], (rk_msg_t){.kind = RK_MSG_EVALUATED, .evaluated = answers[i]}, NULL, 0);
    const rk_msg_t *sum = s_hear (&c->parent, RK_MSG_EVALUATED);
    assert_int_equal (sum->evaluated.f, 8);
    assert_int_equal (sum->evaluated.round, 2);
    assert_int_equal (sum->evaluated.n_correct, 9);
    assert_int_equal (sum->evaluated.n, 10);
    assert_int_equal (sum->evaluated.n_counted, 23);
    assert_true (sum->evaluated.loss_sum == 2.25);
}

static void s_whole_run (bool drained)
{
    cast_t c;
    unsigned granted[8] = {0};
    s_start (&c, drained, 0);
    s_wire (&c);
    s_train_round (&c, 0, granted);
    s_train_round (&c, 1, granted);
    for (int f = 0; f < 8; f++)
        assert_int_equal (granted[f], 1);
    s_evaluate (&c);
    assert_int_equal (s_hear (&c.checkpointer, RK_MSG_SAVE_REQUEST)->save_request.round, 1);
    for (int s = 0; s < 4; s++) { /* all keep their state, cluster 0 sends the model */
        const rk_msg_t *save = s_hear (&c.stages[s], RK_MSG_SAVE_REQUEST);
        assert_int_equal (save->save_request.round, 1);
        assert_true (save->save_request.final);
        assert_int_equal (save->save_request.model, s < 2);
    }
    s_say (&c.checkpointer, (rk_msg_t){.kind = RK_MSG_SAVED, .saved = {1, 0xfeed, "somewhere"}}, NULL, 0);
    assert_int_equal (s_hear (&c.parent, RK_MSG_SAVED)->saved.digest, 0xfeed);
    for (int s = 0; s < 4; s++) {
        assert_int_equal (s_hear (&c.stages[s], RK_MSG_STOP)->stop.code, 0);
        s_say (&c.stages[s], (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    }
    assert_int_equal (s_hear (&c.checkpointer, RK_MSG_STOP)->stop.code, 0);
    s_expect_end (&c, "DONE", RK_OK, NULL);
    s_end (&c);
}

static void test_drained_run (void **state)
{
    (void) state;
    s_whole_run (true);
}

static void test_overlapped_run (void **state)
{
    (void) state;
    s_whole_run (false);
}

/* Overlapped: the second round opens while the first is being averaged; the one after the pass does not. */
static void test_overlapped_opens_one_ahead (void **state)
{
    (void) state;
    cast_t c;
    s_start_passes (&c, false, 2, 0);
    s_wire (&c);
    s_request (&c, 0, 4);
    assert_int_equal (s_hear (&c.feeders[0], RK_MSG_LEASE_GRANT)->lease_grant.n, 4);
    s_request (&c, 0, 8);
    const rk_msg_t *ahead = s_hear (&c.feeders[0], RK_MSG_LEASE_GRANT);
    assert_int_equal (ahead->lease_grant.round, 1);
    assert_int_equal (ahead->lease_grant.n, 4);
    s_request (&c, 0, 8);
    s_apply (&c, 0);
    s_hear (&c.stages[0], RK_MSG_ROUND_COMMITTED);
    s_apply (&c, 1);
    const rk_msg_t *grant = s_hear (&c.feeders[0], RK_MSG_LEASE_GRANT); /* the pass is over: test minibatches */
    assert_int_equal (grant->lease_grant.mode, RK_MB_EVAL);
    assert_int_equal (grant->lease_grant.n, 3);
    s_request (&c, 0, 1);
    for (uint64_t f = 0; f < 3; f++)
        s_say (&c.stages[1], (rk_msg_t){.kind = RK_MSG_EVALUATED, .evaluated = ANSWER (f, 1, 1, 2, 2)}, NULL, 0);
    assert_false (s_hear (&c.stages[0], RK_MSG_SAVE_REQUEST)->save_request.final);
    grant = s_hear (&c.feeders[0], RK_MSG_LEASE_GRANT); /* and on it goes; nobody waits for the checkpoint */
    assert_int_equal (grant->lease_grant.mode, RK_MB_TRAIN);
    assert_int_equal (grant->lease_grant.round, 2);
    assert_int_equal (grant->lease_grant.f[0], 8);
    s_end (&c);
}

/* ---- what is refused */
static void test_refuses (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 0);
    s_wire (&c);
    party_t stranger;
    s_join (&stranger, rk_actor_endpoint (c.coordinator), rk_address (RK_ACTOR_FEEDER, 0));
    s_say (&stranger, (rk_msg_t){.kind = RK_MSG_LEASE_REQUEST, .lease_request = {0, 4}}, NULL, 0);
    s_say (&stranger, (rk_msg_t){.kind = RK_MSG_READY}, NULL, 0);                                       /* too late */
    s_say (&stranger, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {0, "because"}}, NULL, 0);
    s_say (&stranger, (rk_msg_t){.kind = RK_MSG_FAILED, .failed = {0, "not me"}}, NULL, 0);
    s_say (&stranger, (rk_msg_t){.kind = RK_MSG_HEARTBEAT}, NULL, 0);
    s_say (&c.feeders[1], (rk_msg_t){.kind = RK_MSG_LEASE_REQUEST, .lease_request = {0, 4}}, NULL, 0);  /* another's */
    s_say (&c.feeders[1], (rk_msg_t){.kind = RK_MSG_LEASE_REQUEST, .lease_request = {7, 4}}, NULL, 0);  /* none */
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_ROUND_APPLIED, .round_applied = {0, 1}}, NULL, 0);   /* another's */
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_ROUND_APPLIED, .round_applied = {0, 0}}, NULL, 0);   /* too early */
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_ROUND_APPLIED, .round_applied = {0, 99}}, NULL, 0);
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_SAVED, .saved = {0, 1, "x"}}, NULL, 0);
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_WELCOME, .welcome = {0, "", 0}}, NULL, 0);
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_EVALUATED, .evaluated = {.loss_sum = 1, .n_correct = 1, .n_counted = 1, .n = 1}}, NULL, 0);
    zmq_send (zsock_resolve (stranger.dealer), "rubbish", 7, 0);
    assert_null (s_hear_within (&c.feeders[0], RK_MSG_LEASE_GRANT, 50));
    /* After all that the run goes on as if nothing had been said. */
    unsigned granted[8] = {0};
    s_train_round (&c, 0, granted);
    s_part (&stranger);
    s_end (&c);
}

static void test_hello_after_start_is_answered (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 0);
    s_wire (&c);
    party_t late;
    s_join (&late, rk_actor_endpoint (c.coordinator), rk_address (RK_ACTOR_COORDINATOR, 0xffffff));
    s_say (&late,
           (rk_msg_t){.kind = RK_MSG_HELLO,
                      .hello = {.name = "late", .control = "", .kernels = "blis", .software = "rookery-1"}},
           NULL, 0);
    const rk_msg_t *stop = s_hear (&late, RK_MSG_STOP);
    assert_int_equal (stop->stop.code, 1);
    assert_non_null (strstr (stop->stop.reason, "takes no other nodes"));
    unsigned granted[8] = {0};
    s_train_round (&c, 0, granted);
    s_part (&late);
    s_end (&c);
}

/* ---- supervision: the actors of the plan are ended, and built again in the next view */
static void test_failed_actor_is_started_again (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 0);
    s_wire (&c);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_FAILED, .failed = {2, "stage 2: no memory", rk_address (RK_ACTOR_STAGE, 2), false}}, NULL, 0);
    s_hear (&c.parent, RK_MSG_RETIRE);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    const rk_msg_t *plan = s_hear (&c.parent, RK_MSG_PLAN);
    assert_int_equal (plan->view, 2);
    assert_int_equal (plan->plan.redone, 0);
    s_end (&c);
}

/* ---- ends before the end */
static void test_failed_actor_ends_the_run (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 0);
    s_wire (&c);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_FAILED, .failed = {2, "stage 2: no memory", 0, true}}, NULL, 0);
    for (int s = 0; s < 4; s++) {
        const rk_msg_t *stop = s_hear (&c.stages[s], RK_MSG_STOP);
        assert_int_equal (stop->stop.code, 1);
        assert_non_null (strstr (stop->stop.reason, "node 2"));
        if (s != 2) /* that one is dead: nobody waits for it */
            s_say (&c.stages[s], (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    }
    s_expect_end (&c, "FAILED", RK_EPEER, "no memory");
    s_end (&c);
}

static void test_wrong_digest_ends_the_run (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 0);
    s_register (&c.parent, rk_actor_endpoint (c.coordinator), rk_address (RK_ACTOR_NODE, 0));
    s_hear (&c.parent, RK_MSG_PLAN);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_WIRED}, NULL, 0);
    s_hear (&c.parent, RK_MSG_PEERS);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_READY, .ready = {c.plan->digest ^ 1}}, NULL, 0);
    s_expect_end (&c, "FAILED", RK_EPLAN, "computed plan");
    s_end (&c);
}

static void test_every_state_has_a_deadline (void **state)
{
    (void) state;
    cast_t c;
    s_start (&c, true, 50);
    s_register (&c.parent, rk_actor_endpoint (c.coordinator), rk_address (RK_ACTOR_NODE, 0));
    s_expect_end (&c, "FAILED", RK_ETIMEDOUT, "wiring"); /* nobody answers the plan */
    s_end (&c);
    s_start (&c, true, 50);
    s_wire (&c);
    s_hear (&c.stages[0], RK_MSG_STOP); /* nobody asks for a lease; then nobody says Stopped */
    s_expect_end (&c, "FAILED", RK_ETIMEDOUT, "minibatches of round 0");
    s_end (&c);
}

static void test_interrupt_saves (void **state)
{
    (void) state;
    cast_t c;
    unsigned granted[8] = {0};
    s_start (&c, true, 0);
    s_wire (&c);
    s_train_round (&c, 0, granted);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {1, "interrupted"}}, NULL, 0);
    assert_int_equal (s_hear (&c.stages[1], RK_MSG_SAVE_REQUEST)->save_request.round, 0);
    s_say (&c.checkpointer, (rk_msg_t){.kind = RK_MSG_SAVED, .saved = {0, 1, "x"}}, NULL, 0);
    s_stop_all (&c);
    s_expect_end (&c, "FAILED", RK_ECANCELED, "interrupted");
    s_end (&c);
}

/* ---- several processes */
static void s_hello (party_t *p, const char *name)
{
    s_say (p,
           (rk_msg_t){.kind = RK_MSG_HELLO,
                      .hello = {.name = name,
                                .control = "",
                                .host = 7,
                                .cores = 2,
                                .pid = 4711,
                                .kernels = "blis",
                                .software = "rookery-1"}},
           NULL, 0);
}

static void s_beat (party_t *p)
{
    s_say (p, (rk_msg_t){.kind = RK_MSG_HEARTBEAT}, NULL, 0);
}

static void test_lost_process_is_named (void **state)
{
    (void) state;
    rk_settings_t settings = s_settings (true);
    rk_coordinator_config_t config = {
        .settings = &settings, .model = &s_model, .n_processes = 2, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*",
        .silence_ms = RK_MEMBER_LEAST_MS};
    cast_t c = {0};
    assert_int_equal (rk_coordinator_new (&c.coordinator, &config, NULL), RK_OK);
    const char *endpoint = rk_actor_endpoint (c.coordinator);
    char local[64]; /* actors of the process do not come over tcp */
    rk_endpoint_unique (local, sizeof local, "inproc", NULL);
    assert_int_equal (rk_actor_command (c.coordinator, "BIND", local, NULL), RK_OK);
    s_register (&c.parent, local, rk_address (RK_ACTOR_NODE, 0));
    party_t nodes[3];
    const char *names[] = {"ada", "bob", "eve"};
    for (int i = 0; i < 3; i++)
        s_join (&nodes[i], endpoint, rk_address (RK_ACTOR_COORDINATOR, 0xffffff));
    for (int i = 0; i < 2; i++) {
        s_hello (&nodes[i], names[i]);
        const rk_msg_t *welcome = s_hear (&nodes[i], RK_MSG_WELCOME);
        assert_int_equal (welcome->welcome.node, i); /* by arrival */
        assert_false (welcome->welcome.later);
        assert_non_null (strstr (welcome->welcome.settings, "train.batch = 4"));
    }
    s_hello (&nodes[2], names[2]);
    /* More than were waited for: welcome, but not before the run has begun. */
    const rk_msg_t *later = s_hear (&nodes[2], RK_MSG_WELCOME);
    assert_int_equal (later->welcome.process, 3);
    assert_true (later->welcome.later);
    assert_non_null (strstr (s_hear (&nodes[2], RK_MSG_PEERS)->peers.list[0].endpoint, "tcp://127.0.0.1:"));
    /* One at a time per host: the second is asked when the first has answered. */
    s_hear (&nodes[0], RK_MSG_PROFILE_REQUEST);
    assert_null (s_hear_within (&nodes[1], RK_MSG_PROFILE_REQUEST, 20));
    /* Both beat until the deadline is learned from the gaps, then one falls silent. */
    for (int i = 0; i < 12; i++) {
        s_hear (&nodes[0], RK_MSG_HEARTBEAT);
        s_beat (&nodes[0]);
        s_beat (&nodes[1]);
    }
    const rk_msg_t *stop = NULL;
    for (int i = 0; i < 60 && !stop; i++) {
        s_beat (&nodes[0]);
        stop = s_hear_within (&nodes[0], RK_MSG_STOP, 0);
        if (!stop)
            zmq_poll (NULL, 0, 100);
    }
    assert_non_null (stop);
    assert_int_equal (stop->stop.code, 1);
    assert_non_null (strstr (stop->stop.reason, "node 1 (bob, pid 4711) is lost"));
    s_say (&nodes[0], (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    s_expect_end (&c, "FAILED", RK_EPEER, "bob");
    for (int i = 0; i < 3; i++)
        s_part (&nodes[i]);
    s_end (&c);
}

/* A follower relays, in both directions, and ends with the leader. */
/* What a leader of one other process sends when the plan is made: the leader is member 0, the process under test 1. */
static size_t s_first_view (const rk_plan_t *plan, uint8_t *bytes, size_t room)
{
    uint8_t blob[1 << 14] = {0};
    const size_t n = rk_plan_encode (plan, NULL, 0), head = 32; /* passes evaluated, redone, bytes of plan and base */
    assert_true (head + n <= sizeof blob);
    for (int i = 0; i < 8; i++)
        blob[16 + i] = (uint8_t) ((uint64_t) n >> (8 * i));
    rk_plan_encode (plan, blob + head, n);
    rk_view_t *view = NULL;
    assert_int_equal (rk_view_new (&view, 2, blob, head + n), RK_OK);
    view->number = plan->view;
    view->next_id = view->next_node = 2;
    for (uint32_t i = 0; i < 2; i++) {
        view->members[i] = (rk_view_member_t){.id = i, .node = i ? 0 : RK_ROSTER_NO_NODE, .host = 1 + i, .pid = 1, .cores = 1};
        snprintf (view->members[i].control, sizeof view->members[i].control, "inproc://nobody-%u", i);
    }
    const size_t size = rk_view_encode (view, bytes, room);
    assert_true (size <= room);
    rk_view_destroy (&view);
    return size;
}

static void test_follower (void **state)
{
    (void) state;
    mock_peer_t leader;
    mock_open (&leader, rk_address (RK_ACTOR_COORDINATOR, 0), 0);
    rk_coordinator_config_t config = {.join = leader.endpoint, .name = "ada"};
    cast_t c = {.settings = s_settings (true)};
    c.plan = s_plan (&c.settings);
    assert_int_equal (rk_coordinator_new (&c.coordinator, &config, NULL), RK_OK);
    const char *endpoint = rk_actor_endpoint (c.coordinator);
    s_register (&c.parent, endpoint, rk_address (RK_ACTOR_NODE, 0xffffff));
    assert_string_equal (mock_receive (&leader, RK_MSG_HELLO)->hello.name, "ada");
    uint8_t routing[255];
    size_t n_routing = leader.packet->n_routing;
    memcpy (routing, leader.packet->routing, n_routing);
#define DOWN(frames, n, ...)                                                                                         \
    do {                                                                                                             \
        rk_msg_t down = {.view = 1, .sender = leader.sender, __VA_ARGS__};                                           \
        assert_int_equal (                                                                                           \
            rk_wire_send (zsock_resolve (leader.inbox), routing, n_routing, &down, frames, n, NULL, NULL), RK_OK);   \
    } while (0)
    char text[8192];
    rk_settings_write (&c.settings, text, sizeof text);
    DOWN (NULL, 0, .kind = RK_MSG_WELCOME, .welcome = {.node = 0, .settings = text, .process = 1, .token = 77});
    assert_int_equal (s_hear (&c.parent, RK_MSG_WELCOME)->welcome.node, 0);
    /* A request that comes before the profiler waits for it. */
    const uint64_t dims[] = {4};
    DOWN (NULL, 0, .kind = RK_MSG_PROFILE_REQUEST, .profile_request = {1, dims, 2});
    party_t profiler;
    s_register (&profiler, endpoint, rk_address (RK_ACTOR_PROFILER, 1));
    assert_int_equal (s_hear (&profiler, RK_MSG_PROFILE_REQUEST)->profile_request.dims[0], 4);
    s_say (&profiler, (rk_msg_t){.kind = RK_MSG_PROFILE}, NULL, 0);
    mock_receive (&leader, RK_MSG_PROFILE);
    uint8_t bytes[1 << 15];
    rk_frame_t frame = {.bytes = bytes, .size = s_first_view (c.plan, bytes, sizeof bytes)};
    DOWN (&frame, 1, .kind = RK_MSG_AGREEMENT, .agreement = {.kind = RK_AGREE_PAXOS, .paxos = RK_PAXOS_DECIDED, .has_value = true});
    assert_int_equal (s_hear (&c.parent, RK_MSG_PLAN)->plan.digest, c.plan->digest);
    assert_int_equal (c.parent.packet->n_frames, 1);
    s_register (&c.stages[0], endpoint, rk_address (RK_ACTOR_STAGE, 0));
    s_feeder_of (&c, 0);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_WIRED}, NULL, 0);
    mock_receive (&leader, RK_MSG_WIRED);
    DOWN (NULL, 0, .kind = RK_MSG_PEERS);
    s_hear (&c.parent, RK_MSG_PEERS);
    s_say (&c.parent, (rk_msg_t){.kind = RK_MSG_READY, .ready = {c.plan->digest}}, NULL, 0);
    assert_int_equal (mock_receive (&leader, RK_MSG_READY)->ready.digest, c.plan->digest);
    s_request (&c, 0, 2);
    assert_int_equal (mock_receive (&leader, RK_MSG_LEASE_REQUEST)->lease_request.n, 2);
    const uint64_t f[] = {5, 6};
    DOWN (NULL, 0, .kind = RK_MSG_LEASE_GRANT, .lease_grant = {.n = 2, .f = f, .cluster = 0});
    assert_int_equal (s_hear (&c.feeders[0], RK_MSG_LEASE_GRANT)->lease_grant.f[1], 6);
    const uint64_t counts[] = {2, 2}, samples[] = {8, 8};
    DOWN (NULL, 0, .kind = RK_MSG_ROUND_CLOSED, .round_closed = {0, 2, counts, samples});
    assert_int_equal (s_hear (&c.stages[0], RK_MSG_ROUND_CLOSED)->round_closed.counts[0], 2);
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_ROUND_APPLIED, .round_applied = {0, 0}}, NULL, 0);
    mock_receive (&leader, RK_MSG_ROUND_APPLIED);
    DOWN (NULL, 0, .kind = RK_MSG_STOP, .stop = {1, "node 3 is lost"});
    assert_string_equal (s_hear (&c.stages[0], RK_MSG_STOP)->stop.reason, "node 3 is lost");
    s_say (&c.stages[0], (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    mock_receive (&leader, RK_MSG_STOPPED);
    s_expect_end (&c, "FAILED", RK_EPEER, "node 3 is lost");
    s_part (&profiler);
    mock_close (&leader);
    s_end (&c);
}

static void test_port_in_use (void **state)
{
    (void) state;
    rk_settings_t settings = s_settings (true);
    rk_coordinator_config_t config = {
        .settings = &settings, .model = &s_model, .n_processes = 1, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*"};
    rk_actor_t *first = NULL, *second = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_coordinator_new (&first, &config, &err), RK_OK);
    config.bind = rk_actor_endpoint (first);
    assert_int_equal (rk_coordinator_new (&second, &config, &err), RK_EIO);
    assert_non_null (strstr (err.text, config.bind));
    rk_actor_stop (&first);
}

static int s_setup (void **state)
{
    (void) state;
    return rk_blas_init ("blis", NULL);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_drained_run),
        cmocka_unit_test (test_overlapped_run),
        cmocka_unit_test (test_overlapped_opens_one_ahead),
        cmocka_unit_test (test_refuses),
        cmocka_unit_test (test_hello_after_start_is_answered),
        cmocka_unit_test (test_failed_actor_is_started_again),
        cmocka_unit_test (test_failed_actor_ends_the_run),
        cmocka_unit_test (test_wrong_digest_ends_the_run),
        cmocka_unit_test (test_every_state_has_a_deadline),
        cmocka_unit_test (test_interrupt_saves),
        cmocka_unit_test (test_lost_process_is_named),
        cmocka_unit_test (test_follower),
        cmocka_unit_test (test_port_in_use),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
