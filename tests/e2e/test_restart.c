/* SPDX-License-Identifier: MPL-2.0
 * Supervision over processes: one leads, two others train; an actor in one of them fails. Every process is a fork that calls
 * rk_node_run; the parent has no sockets.                                                                 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/modelinfo.h"
#include "actors/node.h"
#include "compute/rng.h"

#define PROCESSES 3 /* the leader first */
#define SAMPLES 4096
#define LENGTH 12 /* of the tied model's texts */
#define TOKENS 23
#define TEXTS 64

typedef struct {
    rk_err_t rc;
    uint64_t digest, samples;
    char text[200];
} word_t;

typedef struct {
    rk_settings_t settings;
    uint32_t stage_fails; /* of the last process */
    bool alone;           /* the same plan in one process */
    bool tied;            /* gpt-nano as one cluster of two stages that share the embedding */
} case_t;

static float s_x[2 * TEXTS * LENGTH];
static int32_t s_next[2 * TEXTS * LENGTH];

static uint16_t s_free_port (void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    const int s = socket (AF_INET, SOCK_STREAM, 0);
    if (s < 0 || bind (s, (struct sockaddr *) &any, sizeof any) || getsockname (s, (struct sockaddr *) &any, &size))
        return 0;
    close (s);
    return ntohs (any.sin_port);
}

/* What the other models read from its name, the tied one has in memory. */
static rk_err_t s_open (const case_t *c, rk_data_t **data, rk_model_t **model, rk_error_t *err)
{
    if (!c->tied) {
        rk_err_t rc = rk_data_open (data, "synthetic", NULL, err);
        return rc ? rc : rk_model_by_name (model, "mlp-tiny", rk_data_shape (*data), rk_data_n_classes (*data), err);
    }
    for (size_t i = 0; i < 2 * TEXTS * LENGTH; i++) {
        uint32_t words[4];
        rk_rng_block (5, rk_rng_stream (RK_RNG_TEST, 4), i, words);
        s_x[i] = (float) (words[0] % 5 ? (uint32_t) (i * i) % TOKENS : words[1] % TOKENS);
        s_next[i] = i ? (int32_t) s_x[i - 1] : 0;
    }
    const rk_labels_t labels = {.kind = RK_LABEL_CLASS, .n = LENGTH, .n_classes = TOKENS};
    const rk_data_split_t splits[2] = {{TEXTS, s_x, s_next}, {TEXTS, s_x + TEXTS * LENGTH, s_next + TEXTS * LENGTH}};
    rk_err_t rc = rk_data_from_memory (data, rk_shape_1 (LENGTH), labels, splits, err);
    return rc ? rc : rk_model_by_name (model, "gpt-nano", rk_shape_1 (LENGTH), TOKENS, err);
}

static rk_err_t s_plan (const case_t *c, const rk_data_t *data, rk_model_t *model, rk_plan_t **plan, rk_error_t *err)
{
    static const uint32_t replicas[] = {1, 1}, stages[] = {2};
    uint32_t cuts[2] = {0, 0};
    rk_model_info_t *info = NULL;
    rk_err_t rc = rk_model_info_new (&info, model, &c->settings, rk_data_n (data, RK_SPLIT_TRAIN), rk_data_n (data, RK_SPLIT_TEST), err);
    if (!rc && c->tied)
        cuts[1] = info->n_layers / 2;
    if (!rc)
        rc = rk_plan_by_hand (plan, 1, info, &c->settings, c->tied ? 1 : 2, c->tied ? stages : replicas, cuts, NULL, err);
    rk_model_info_destroy (&info);
    return rc;
}

static word_t s_take_part (const case_t *c, int process, const char *address)
{
    word_t word = {0};
    rk_error_t err = {0};
    rk_node_result_t result = {0};
    rk_plan_t *plan = NULL;
    rk_data_t *data = NULL;
    rk_model_t *model = NULL;
    char name[16];
    snprintf (name, sizeof name, "n%d", process);
    word.rc = s_open (c, &data, &model, &err);
    rk_node_config_t config = {.settings = c->settings, .quiet = true, .insecure = 1, .model = c->tied ? model : NULL, .data = c->tied ? data : NULL};
    if (process) {
        config.join = address;
        config.name = name;
        config.speed = 1;
        config.stage_fails = process == PROCESSES - 1 ? c->stage_fails : 0;
    } else {
        word.rc = word.rc ? word.rc : s_plan (c, data, model, &plan, &err);
        config.plan = plan;
        config.listen = c->alone ? NULL : address;
        config.n_processes = c->alone ? 0 : PROCESSES - 1;
    }
    if (!word.rc)
        word.rc = rk_node_run (&config, NULL, &result, &err);
    rk_plan_destroy (&plan);
    rk_model_destroy (&model);
    rk_data_close (&data);
    word.digest = result.params_digest;
    word.samples = result.samples;
    snprintf (word.text, sizeof word.text, "%.199s", err.text);
    return word;
}

static void s_run (const case_t *c, word_t words[PROCESSES])
{
    char address[40];
    int pipes[PROCESSES][2];
    pid_t pids[PROCESSES];
    const int n = c->alone ? 1 : PROCESSES;
    snprintf (address, sizeof address, "tcp://127.0.0.1:%u", s_free_port ());
    for (int p = 0; p < n; p++) {
        assert_int_equal (pipe (pipes[p]), 0);
        pids[p] = fork ();
        assert_true (pids[p] >= 0);
        if (pids[p] == 0) {
            alarm (60);
            const word_t word = s_take_part (c, p, address);
            _exit (write (pipes[p][1], &word, sizeof word) == sizeof word ? 0 : 1);
        }
        close (pipes[p][1]);
    }
    for (int p = 0; p < n; p++) {
        int status = 0;
        const ssize_t got = read (pipes[p][0], &words[p], sizeof words[p]);
        close (pipes[p][0]);
        waitpid (pids[p], &status, 0);
        if (got != sizeof words[p] || status)
            fail_msg ("process %d ended with status %x, without a word", p, (unsigned) status);
    }
}

static case_t s_case (void)
{
    case_t c = {.stage_fails = 0};
    rk_settings_t *s = &c.settings;
    rk_settings_default (s);
    s->run_passes = 2;
    snprintf (s->model_name, sizeof s->model_name, "mlp-tiny");
    snprintf (s->data_name, sizeof s->data_name, "synthetic");
    s->train_batch = 32;
    s->average_every = 8;
    s->average_mode = RK_AVERAGE_DRAINED;
    s->net_restart_ms = 20;
    return c;
}

/* Whatever a stage loses at a point that is always the same, the run has the bits of a quiet run of one process. */
static void s_same_bits (case_t c, uint64_t samples)
{
    word_t quiet[PROCESSES], words[PROCESSES];
    c.alone = true;
    s_run (&c, quiet);
    c.alone = false;
    c.stage_fails = 2;
    s_run (&c, words);
    for (int p = 0; p < PROCESSES; p++)
        if (words[p].rc)
            fail_msg ("process %d: %s", p, words[p].text);
    assert_int_equal (words[0].samples, samples);
    assert_int_equal (words[0].digest, quiet[0].digest);
}

/* A failed stage is started again with its last committed state. */
static void test_an_actor_restarts (void **state)
{
    (void) state;
    s_same_bits (s_case (), 2 * SAMPLES);
}

/* The stage that shares the embedding with the first one: its copy is taken over as well, view after view. */
static void test_a_tied_copy_is_taken_over (void **state)
{
    (void) state;
    case_t c = s_case ();
    c.tied = true;
    snprintf (c.settings.model_name, sizeof c.settings.model_name, "gpt-nano");
    c.settings.run_passes = 4;
    c.settings.train_batch = 8;
    c.settings.average_every = 4;
    c.settings.pipeline_in_flight = 2;
    s_same_bits (c, 4 * TEXTS);
}

/* Beyond the limit its process leaves and says why; the others train on. */
static void test_a_process_leaves (void **state)
{
    (void) state;
    case_t c = s_case ();
    word_t words[PROCESSES];
    c.settings.net_restarts = 1;
    c.stage_fails = 2;
    s_run (&c, words);
    assert_int_not_equal (words[PROCESSES - 1].rc, RK_OK);
    assert_non_null (strstr (words[PROCESSES - 1].text, "as its test wants"));
    for (int p = 0; p < PROCESSES - 1; p++)
        if (words[p].rc)
            fail_msg ("process %d: %s", p, words[p].text);
    assert_int_equal (words[0].samples, 2 * SAMPLES);
}

/* What would fail again ends the run for all. */
static void test_no_number_ends_the_run (void **state)
{
    (void) state;
    case_t c = s_case ();
    word_t words[PROCESSES];
    c.settings.train_lr = 1000; /* the most there is */
    s_run (&c, words);
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_not_equal (words[p].rc, RK_OK);
        if (!strstr (words[p].text, "finite"))
            fail_msg ("process %d: %s", p, words[p].text);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_an_actor_restarts), cmocka_unit_test (test_a_tied_copy_is_taken_over),
                                       cmocka_unit_test (test_a_process_leaves),
                                       cmocka_unit_test (test_no_number_ends_the_run)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
