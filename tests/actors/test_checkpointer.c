/* SPDX-License-Identifier: MPL-2.0
 * The checkpointer gathers slices of any cut into one file keyed by layer, with a digest that does not know
 * the cut; predictions come out in order; what is wrong is refused and replaces nothing.                 */
#include "tests/actors/mock_peer.h"

#include <sys/stat.h>

#include "actors/checkpoint.h"
#include "actors/checkpointer.h"
#include "actors/planfile.h"
#include "actors/predictions.h"
#include "messages/safetensors.h"

#define VIEW 3

typedef struct {
    rk_model_t *model;
    size_t n_flat;
    float *planes[2]; /* the mean, one optimiser vector */
    char folder[64];
} fixture_t;

static int s_setup (void **state)
{
    fixture_t *f = calloc (1, sizeof *f);
    rk_shape_t shape = {.n_dims = 3, .dim = {1, 28, 28}};
    assert_int_equal (rk_model_by_name (&f->model, "mlp", shape, 10, NULL), RK_OK);
    f->n_flat = rk_model_flat_at (f->model, rk_model_n_layers (f->model));
    for (int p = 0; p < 2; p++) {
        f->planes[p] = calloc (f->n_flat, sizeof (float));
        for (size_t i = 0; i < f->n_flat; i++)
            f->planes[p][i] = (float) ((i * 2654435761u + (size_t) p) % 1000) / 1000;
    }
    snprintf (f->folder, sizeof f->folder, "/tmp/rk-checkpointer-XXXXXX");
    assert_non_null (mkdtemp (f->folder));
    *state = f;
    return 0;
}

static int s_teardown (void **state)
{
    fixture_t *f = *state;
    zdir_t *dir = zdir_new (f->folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
    rk_model_destroy (&f->model);
    free (f->planes[0]);
    free (f->planes[1]);
    free (f);
    return 0;
}

/* A plan of one cluster with these first layers. */
static rk_plan_t *s_plan (const fixture_t *f, uint32_t n_stages, const uint32_t *cuts)
{
    rk_layer_info_t layers[32] = {{0}};
    rk_model_info_t info = {.layers = layers, .n_flat = f->n_flat, .train_samples = 1000, .test_samples = 100, .n_dims = 3,
                            .dims = {1, 28, 28}, .n_classes = 10, .optimizer_slots = 1};
    info.n_layers = (uint32_t) rk_model_n_layers (f->model);
    for (uint32_t i = 0; i < info.n_layers; i++)
        layers[i].flat_at = rk_model_flat_at (f->model, (int) i);
    rk_settings_t settings;
    rk_settings_default (&settings);
    snprintf (settings.model_name, sizeof settings.model_name, "mlp");
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, VIEW, &info, &settings, 1, &n_stages, cuts, NULL, &err))
        fail_msg ("%s", err.text);
    return plan;
}

typedef struct {
    mock_peer_t peer;
    rk_actor_t *actor;
    rk_plan_t *plan;
} subject_t;

static void s_start (subject_t *s, const fixture_t *f, uint32_t n_stages, const uint32_t *cuts,
                     rk_checkpointer_config_t config)
{
    rk_error_t err = {0};
    s->plan = s_plan (f, n_stages, cuts);
    mock_open (&s->peer, rk_address (RK_ACTOR_STAGE, 0), VIEW);
    config.plan = s->plan;
    config.model = f->model;
    config.coordinator = s->peer.endpoint;
    if (rk_checkpointer_new (&s->actor, &config, &err))
        fail_msg ("%s", err.text);
    mock_connect (&s->peer, s->actor);
}

static void s_stop (subject_t *s)
{
    rk_actor_stop (&s->actor);
    mock_close (&s->peer);
    rk_plan_destroy (&s->plan);
}

static void s_send_as (subject_t *s, rk_actor_kind_t kind, uint32_t node, rk_msg_t msg, const rk_frame_t *frames, int n)
{
    s->peer.sender = rk_address (kind, node);
    mock_send (&s->peer, msg, frames, n);
}

static void s_send_slice (subject_t *s, const fixture_t *f, uint32_t stage, uint64_t round)
{
    const rk_plan_stage_t *part = &s->plan->stages[stage];
    size_t n = part->flat_hi - part->flat_lo;
    rk_frame_t frame = {.bytes = f->planes[0] + part->flat_lo, .size = n * sizeof (float)};
    rk_msg_t msg = {.kind = RK_MSG_SLICE,
                    .slice = {.round = round, .stage = stage, .flat_lo = part->flat_lo, .n_floats = n, .n_planes = 1, .steps = 7, .merged = true}};
    s_send_as (s, RK_ACTOR_STAGE, part->node, msg, &frame, 1);
}

static void s_send_request (subject_t *s, uint64_t round)
{
    s_send_as (s, RK_ACTOR_COORDINATOR, 0, (rk_msg_t){.kind = RK_MSG_SAVE_REQUEST, .save_request = {.round = round, .control = "0 3\n"}}, NULL, 0);
}

/* A stage of adam's kind answers with its second plane: what the optimiser keeps. */
static void s_answer (subject_t *s, const fixture_t *f, const rk_handover_request_t *want, uint32_t node)
{
    assert_true (want->state_only);
    rk_frame_t frame = {.bytes = f->planes[1] + want->flat_lo, .size = want->n_floats * sizeof (float)};
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                    .handover = {.rounds = want->rounds, .replica = want->replica, .flat_lo = want->flat_lo, .n_floats = want->n_floats,
                                 .n_planes = 1, .exact = true, .steps = 7, .loss_scale = 1, .state_only = true}};
    s_send_as (s, RK_ACTOR_STAGE, node, msg, &frame, 1);
}

static uint32_t s_node_at (const subject_t *s, uint64_t at)
{
    for (uint32_t i = 0; i < s->plan->n_stages; i++)
        if (at >= s->plan->stages[i].flat_lo && at < s->plan->stages[i].flat_hi)
            return s->plan->stages[i].node;
    return s->plan->stages[s->plan->n_stages - 1].node;
}

/* Answers what is asked for until the checkpointer says how it went. */
static const rk_saved_t *s_saved (subject_t *s, const fixture_t *f)
{
    rk_packet_t *packet = s->peer.packet;
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = zsock_resolve (s->peer.dealer), .events = ZMQ_POLLIN},
                                  {.socket = zsock_resolve (s->peer.inbox), .events = ZMQ_POLLIN}};
        if (zmq_poll (items, 2, MOCK_WAIT_MS) <= 0)
            fail_msg ("neither asked nor saved");
        if ((items[0].revents & ZMQ_POLLIN) && rk_wire_receive (items[0].socket, false, packet, NULL) == RK_OK &&
            packet->msg.kind == RK_MSG_HANDOVER_REQUEST) {
            rk_handover_request_t want = packet->msg.handover_request;
            s_answer (s, f, &want, s_node_at (s, want.flat_lo));
        }
        if ((items[1].revents & ZMQ_POLLIN) && rk_wire_receive (items[1].socket, true, packet, NULL) == RK_OK && packet->msg.kind == RK_MSG_SAVED)
            return &packet->msg.saved;
    }
}

static const uint32_t s_whole[] = {0}, s_thirds[] = {0, 2, 4};

/* Digest of a round saved under a cut. */
static uint64_t s_digest (const fixture_t *f, uint32_t n_stages, const uint32_t *cuts, const char *run_dir)
{
    subject_t s = {0};
    s_start (&s, f, n_stages, cuts, (rk_checkpointer_config_t){.run_dir = run_dir});
    for (uint32_t stage = n_stages; stage-- > 0;)
        s_send_slice (&s, f, stage, 0);
    s_send_request (&s, 0); /* in any order */
    uint64_t digest = s_saved (&s, f)->digest;
    s_stop (&s);
    return digest;
}

static void test_digest_does_not_know_the_cut (void **state)
{
    fixture_t *f = *state;
    uint64_t whole = s_digest (f, 1, s_whole, NULL), thirds = s_digest (f, 3, s_thirds, NULL);
    assert_true (whole == thirds);
    assert_true (whole == rk_checkpoint_digest (f->model, f->planes[0]));
    /* one bit of one parameter must change it */
    uint32_t bits;
    float *x = &f->planes[0][rk_model_param (f->model, 2)->offset];
    memcpy (&bits, x, sizeof bits);
    bits ^= 1;
    memcpy (x, &bits, sizeof bits);
    assert_true (s_digest (f, 3, s_thirds, NULL) != whole);
}

static void test_file_is_keyed_by_layer (void **state)
{
    fixture_t *f = *state;
    s_digest (f, 3, s_thirds, f->folder);
    char path[RK_CHECKPOINT_PATH];
    rk_st_file_t *file = NULL;
    assert_int_equal (rk_checkpoint_latest (f->folder, path, NULL), RK_OK);
    assert_int_equal (rk_st_open (&file, path, NULL), RK_OK);
    for (size_t i = 0; i < rk_model_n_tensors (f->model); i++) {
        const rk_param_t *p = rk_model_param (f->model, i);
        const rk_st_tensor_t *mean = rk_st_find (file, p->name);
        char name[128];
        snprintf (name, sizeof name, "replica.0.%s.state0", p->name);
        const rk_st_tensor_t *slot = rk_st_find (file, name);
        assert_non_null (mean);
        assert_non_null (slot);
        assert_int_equal (mean->count, p->count);
        assert_int_equal (mean->n_dims, p->shape.n_dims);
        assert_memory_equal (mean->data, f->planes[0] + p->offset, p->count * sizeof (float));
        assert_memory_equal (slot->data, f->planes[1] + p->offset, p->count * sizeof (float));
    }
    assert_string_equal (rk_st_metadata (file, "model"), "mlp");
    assert_string_equal (rk_st_metadata (file, "rounds"), "1");
    assert_non_null (strstr (rk_st_metadata (file, "replica.0"), "steps=00000000000000000007"));
    assert_string_equal (rk_st_metadata (file, "control"), "0 3\n");
    assert_non_null (rk_st_metadata (file, "settings"));
    rk_st_close (&file);
}

static void test_keeps_the_latest (void **state)
{
    fixture_t *f = *state;
    subject_t s = {0};
    s_start (&s, f, 1, s_whole, (rk_checkpointer_config_t){.run_dir = f->folder, .keep = 2});
    for (uint64_t round = 0; round < 4; round++) {
        s_send_request (&s, round);
        s_send_slice (&s, f, 0, round);
        assert_int_equal (s_saved (&s, f)->round, round);
    }
    s_stop (&s);
    for (uint64_t rounds = 1; rounds <= 4; rounds++) {
        char path[RK_CHECKPOINT_PATH];
        rk_checkpoint_path (f->folder, rounds, path);
        assert_int_equal (access (path, R_OK) == 0, rounds > 2);
    }
}

static void test_wrong_slices_are_refused (void **state)
{
    fixture_t *f = *state;
    subject_t s = {0};
    s_start (&s, f, 3, s_thirds, (rk_checkpointer_config_t){.run_dir = NULL});
    float *good = f->planes[0], *bad = calloc (f->n_flat, sizeof (float));
    rk_frame_t frame = {.bytes = bad, .size = 64};
    rk_msg_t msg = {.kind = RK_MSG_SLICE, .slice = {.stage = 0, .n_floats = 16, .n_planes = 1}};
    s_send_slice (&s, f, 0, 5);
    s_send_as (&s, RK_ACTOR_STAGE, 0, msg, &frame, 1); /* not the range of stage 0 */
    msg.slice.stage = 9;
    s_send_as (&s, RK_ACTOR_STAGE, 0, msg, &frame, 1); /* no such stage */
    s_send_request (&s, 5);
    s_send_request (&s, 4); /* an older round */
    s_send_as (&s, RK_ACTOR_STAGE, 0, (rk_msg_t){.kind = RK_MSG_SAVE_REQUEST, .save_request = {.round = 9}}, NULL, 0); /* no coordinator */
    s_send_as (&s, RK_ACTOR_STAGE, 0, (rk_msg_t){.kind = RK_MSG_HANDOVER, .handover = {.loss_scale = 1}}, NULL, 0); /* not asked */
    s_send_as (&s, RK_ACTOR_STAGE, 0, (rk_msg_t){.kind = RK_MSG_HANDOVER_REQUEST, .handover_request = {.n_floats = 1}}, NULL, 0); /* none */
    f->planes[0] = bad;
    s_send_slice (&s, f, 0, 5); /* twice */
    s_send_slice (&s, f, 0, 4); /* an older round */
    f->planes[0] = good;
    s_send_slice (&s, f, 2, 5);
    s_send_slice (&s, f, 1, 5);
    const rk_saved_t *saved = s_saved (&s, f);
    assert_int_equal (saved->round, 5);
    assert_true (saved->digest == rk_checkpoint_digest (f->model, good));
    s_stop (&s);
    free (bad);
}

/* A file that cannot be written: the coordinator is told why, the old file is as it was, the next save works. */
static void test_failed_save_replaces_nothing (void **state)
{
    fixture_t *f = *state;
    char path[RK_CHECKPOINT_PATH];
    s_digest (f, 1, s_whole, f->folder);
    assert_int_equal (rk_checkpoint_latest (f->folder, path, NULL), RK_OK);
    struct stat before, after;
    assert_int_equal (stat (path, &before), 0);
    subject_t s = {0};
    s_start (&s, f, 1, s_whole, (rk_checkpointer_config_t){.run_dir = f->folder, .keep = 9});
    /* a folder in the way of the file's name: works for root too, whom permissions do not stop */
    char blocked[RK_CHECKPOINT_PATH];
    rk_checkpoint_path (f->folder, 2, blocked);
    assert_int_equal (mkdir (blocked, 0700), 0);
    s_send_request (&s, 1);
    s_send_slice (&s, f, 0, 1);
    const rk_saved_t *saved = s_saved (&s, f);
    assert_true (saved->round == 1 && strstr (saved->error, blocked));
    assert_string_equal (saved->path, "");
    s_send_request (&s, 2);
    s_send_slice (&s, f, 0, 2);
    assert_string_equal (s_saved (&s, f)->error, "");
    s_stop (&s);
    assert_int_equal (stat (path, &after), 0);
    assert_true (before.st_ino == after.st_ino && before.st_size == after.st_size);
    assert_int_equal (rmdir (blocked), 0);
}

static void test_plan_file_round_trip (void **state)
{
    fixture_t *f = *state;
    s_digest (f, 3, s_thirds, f->folder);
    char path[128];
    snprintf (path, sizeof path, "%s/plan.json", f->folder);
    rk_plan_t *plan = s_plan (f, 3, s_thirds), *again = NULL;
    rk_error_t err = {0};
    if (rk_planfile_read (&again, path, &err))
        fail_msg ("%s", err.text);
    assert_true (again->digest == plan->digest);
    rk_plan_destroy (&again);
    /* one digit of the listing changed: refused */
    FILE *file = fopen (path, "r+");
    char text[65536] = "";
    size_t n = fread (text, 1, sizeof text - 1, file);
    assert_true (n > 0);
    char *digit = strstr (text, "\"canonical\"");
    assert_non_null (digit);
    digit = strchr (strchr (digit, '[') + 1, '"') + 21;
    fseek (file, digit - text, SEEK_SET);
    fputc (*digit == '0' ? '1' : '0', file);
    fclose (file);
    assert_int_equal (rk_planfile_read (&again, path, &err), RK_EFORMAT);
    rk_plan_destroy (&plan);
}

/* ---- predictions */
static void s_send_prediction (subject_t *s, uint64_t f, uint32_t n)
{
    float p[2 * 3] = {0.1f, 0.2f, 0.7f, 0.8f, 0.1f, 0.1f};
    rk_frame_t frame = {.bytes = p, .size = n * 3 * sizeof *p};
    rk_msg_t msg = {.kind = RK_MSG_PREDICTION, .prediction = {.f = f, .n = n, .n_classes = 3}};
    mock_send (&s->peer, msg, &frame, 1);
}

static void test_predictions_in_order (void **state)
{
    fixture_t *f = *state;
    char path[96], word[32], text[256] = "";
    snprintf (path, sizeof path, "%s/p.csv", f->folder);
    subject_t s = {0};
    s_start (&s, f, 1, s_whole, (rk_checkpointer_config_t){.predictions = path, .n_predictions = 3});
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP}, NULL, 0); /* overtakes them */
    s_send_prediction (&s, 2, 1);
    s_send_prediction (&s, 0, 2);
    s_send_prediction (&s, 0, 2); /* twice: dropped */
    s_send_prediction (&s, 1, 2);
    assert_int_equal (mock_said (s.actor, word), RK_OK);
    assert_string_equal (word, "DONE");
    s_stop (&s);
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    assert_true (fread (text, 1, sizeof text - 1, file) > 0);
    fclose (file);
    assert_string_equal (text, "index,class,probability\n0,2,0.7\n1,0,0.8\n2,2,0.7\n3,0,0.8\n4,2,0.7\n");
}

/* Outputs that are no classes are printed as they are, one column for each target of a sample. */
static void test_outputs_of_other_losses (void **state)
{
    fixture_t *f = *state;
    const float outputs[4] = {0.25f, 1, 0, 0.125f};
    const struct {
        rk_labels_t labels;
        bool json;
        const char *text;
    } cases[] = {
        {{.kind = RK_LABEL_TARGET, .n = 2, .low = 0, .high = 1}, false, "index,probability1,probability2\n0,0.25,1\n1,0,0.125\n"},
        {{.kind = RK_LABEL_TARGET, .n = 1, .low = -9, .high = 9}, false, "index,value\n0,0.25\n1,1\n2,0\n3,0.125\n"},
        {{.kind = RK_LABEL_TARGET, .n = 4, .low = -9, .high = 9}, true, "{\"index\":0,\"values\":[0.25,1,0,0.125]}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[96], text[256] = "";
        rk_predictions_t *p;
        const uint32_t n = (uint32_t) cases[i].labels.n;
        snprintf (path, sizeof path, "%s/o.csv", f->folder);
        assert_int_equal (rk_predictions_new (&p, path, cases[i].json, &cases[i].labels, NULL), RK_OK);
        assert_int_equal (rk_predictions_add (p, 0, 4 / n, n, outputs, NULL), RK_OK);
        assert_int_equal (rk_predictions_finish (p, NULL), RK_OK);
        rk_predictions_destroy (&p);
        FILE *file = fopen (path, "r");
        assert_non_null (file);
        assert_true (fread (text, 1, sizeof text - 1, file) > 0);
        fclose (file);
        assert_string_equal (text, cases[i].text);
    }
}

static void test_missing_predictions_fail (void **state)
{
    fixture_t *f = *state;
    char path[96], word[32];
    snprintf (path, sizeof path, "%s/q.csv", f->folder);
    subject_t s = {0};
    s_start (&s, f, 1, s_whole, (rk_checkpointer_config_t){.predictions = path, .n_predictions = 3});
    s_send_prediction (&s, 1, 2);
    /* an unsuccessful end does not wait for what will not come */
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = "test"}}, NULL, 0);
    assert_int_equal (mock_said (s.actor, word), RK_ETIMEDOUT);
    assert_string_equal (word, "FAILED");
    s_stop (&s);
    assert_int_equal (access (path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)
int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_digest_does_not_know_the_cut), TEST (test_file_is_keyed_by_layer), TEST (test_keeps_the_latest),
        TEST (test_wrong_slices_are_refused),     TEST (test_failed_save_replaces_nothing),
        TEST (test_plan_file_round_trip),         TEST (test_predictions_in_order),
        TEST (test_missing_predictions_fail),     TEST (test_outputs_of_other_losses),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
