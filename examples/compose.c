/* SPDX-License-Identifier: MPL-2.0
 * Actors composed by hand: two replicas of one stage each, a feeder for each, and a pair of reducers that
 * averages them around a ring of two, led by a coordinator.
 *
 * What you will learn: every actor is a thread behind a constructor; the main program says who talks to whom and
 * answers the coordinator in a node's place. Run build/examples/compose: it needs no files and less than a second.
 * Expected output (~ stands for anything):
 *   test accuracy ~
 */
#include <stdio.h>

#include "actors/coordinator.h"
#include "actors/feeder.h"
#include "actors/modelinfo.h"
#include "actors/reducer.h"
#include "actors/stage.h"

enum { N = 2, LEADER = 3 * N }; /* stages 0 and 1, reducers, feeders, the coordinator */
static rk_actor_t *actors[LEADER + 1];
static rk_error_t err;

static void must (rk_err_t code)
{
    if (code != RK_OK) {
        fprintf (stderr, "compose: %s: %s\n", rk_strerror (code), err.text);
        exit (1);
    }
}

static rk_plan_t *plan_by_hand (const rk_model_t *model, const rk_data_t *data, const rk_settings_t *settings)
{
    const uint32_t stages[N] = {1, 1}, first_layer[N] = {0, 0};
    rk_model_info_t *info;
    rk_plan_t *plan;
    must (rk_model_info_new (&info, model, settings, rk_data_n (data, RK_SPLIT_TRAIN), rk_data_n (data, RK_SPLIT_TEST), &err));
    must (rk_plan_by_hand (&plan, 1, info, settings, N, stages, first_layer, NULL, &err));
    const rk_coordinator_config_t c = {.settings = settings, .model = info, .plan = plan};
    must (rk_coordinator_new (&actors[LEADER], &c, &err));
    rk_model_info_destroy (&info);
    return plan;
}

static void join (int from, int to)
{
    must (rk_actor_connect (actors[from], rk_actor_address (actors[to]), rk_actor_endpoint (actors[to]), &err));
}

static void start_actors (const rk_plan_t *plan, const rk_model_t *model, const rk_data_t *data, rk_endpoint_t *list)
{
    const char *leader = rk_actor_endpoint (actors[LEADER]);
    for (uint32_t node = 0; node < N; node++) {
        const rk_stage_config_t s = {.plan = plan, .node = node, .model = model, .coordinator = leader};
        const rk_reducer_config_t r = {.plan = plan, .node = node, .coordinator = leader};
        const rk_feeder_config_t f = {.plan = plan, .node = node, .data = data, .coordinator = leader};
        must (rk_stage_new (&actors[node], &s, &err));
        must (rk_reducer_new (&actors[N + node], &r, &err));
        must (rk_feeder_new (&actors[2 * N + node], &f, &err));
    }
    for (int stage = 0, reducer = N, feeder = 2 * N; stage < N; stage++, reducer++, feeder++) {
        join (feeder, stage);                /* activations */
        join (stage, feeder);                /* credit */
        join (stage, reducer);               /* snapshots */
        join (reducer, stage);               /* means */
        join (reducer, N + (stage + 1) % N); /* chunks, around the ring */
    }
    for (int i = 0; i < LEADER; i++)
        list[i] = (rk_endpoint_t){rk_actor_address (actors[i]), rk_actor_endpoint (actors[i])};
}

static void say (zsock_t *dealer, rk_msg_t msg)
{
    must (rk_wire_send (zsock_resolve (dealer), NULL, 0, &msg, NULL, 0, NULL, &err));
}

/* The node's part of the conversation; returns when the run has ended. */
static void converse (const rk_plan_t *plan, const rk_model_t *model, const rk_data_t *data)
{
    zsock_t *dealer = zsock_new_dealer (rk_actor_endpoint (actors[LEADER]));
    zpoller_t *poller = zpoller_new (dealer, rk_actor_pipe (actors[LEADER]), NULL);
    const uint32_t me = rk_address (RK_ACTOR_NODE, 0);
    rk_endpoint_t list[LEADER];
    rk_packet_t *packet;
    must (rk_packet_new (&packet));
    say (dealer, (rk_msg_t){.sender = me, .kind = RK_MSG_READY});
    while (zpoller_wait (poller, -1) == dealer) { /* else the coordinator has something to say: the end */
        must (rk_wire_receive (zsock_resolve (dealer), false, packet, &err));
        if (packet->msg.kind == RK_MSG_PLAN) {
            start_actors (plan, model, data, list);
            say (dealer, (rk_msg_t){.sender = me, .kind = RK_MSG_WIRED, .wired = {LEADER, list}});
        } else if (packet->msg.kind == RK_MSG_PEERS)
            say (dealer, (rk_msg_t){.sender = me, .kind = RK_MSG_READY, .ready = {plan->digest}});
        else if (packet->msg.kind == RK_MSG_EVALUATED)
            printf ("test accuracy %.2f\n", (double) packet->msg.evaluated.n_correct / (double) packet->msg.evaluated.n_counted);
    }
    char word[16];
    must (rk_actor_said (actors[LEADER], word, sizeof word, &err) ? err.code : RK_EPEER);
    rk_packet_destroy (&packet);
    zpoller_destroy (&poller);
    zsock_destroy (&dealer);
}

int main (void)
{
    rk_settings_t settings;
    rk_data_t *data;
    rk_model_t *model;
    rk_settings_default (&settings);
    settings.run_passes = 1;
    settings.average_every = 8;
    must (rk_data_open (&data, "synthetic", NULL, &err));
    must (rk_model_by_name (&model, "mlp", rk_data_shape (data), rk_data_n_classes (data), &err));
    rk_plan_t *plan = plan_by_hand (model, data, &settings);
    converse (plan, model, data);
    for (int i = 0; i <= LEADER; i++)
        rk_actor_stop (&actors[i]);
    rk_plan_destroy (&plan);
    rk_model_destroy (&model);
    rk_data_close (&data);
}
