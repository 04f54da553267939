/* SPDX-License-Identifier: MPL-2.0
 * The profiler: figures that make sense, declared speed and memory applied exactly.                       */
#include "tests/actors/mock_peer.h"

#include "actors/host.h"
#include "actors/modelinfo.h"
#include "actors/profiler.h"
#include "compute/blas.h"

static rk_model_t *s_model (const char *name)
{
    rk_model_t *model = NULL;
    const uint64_t dims[] = {1, 12, 12};
    rk_shape_t shape;
    rk_error_t err = {0};
    rk_err_t rc = rk_shape_of_dims (&shape, dims, 3, &err);
    if (!rc)
        rc = rk_model_by_name (&model, name, shape, 10, &err);
    if (rc == RK_ESHAPE) /* it takes tokens */
        rc = rk_model_by_name (&model, name, rk_shape_1 (13), 10, &err);
    if (rc)
        fail_msg ("%s", err.text);
    return model;
}

static rk_settings_t s_settings (const char *optimizer)
{
    rk_settings_t settings;
    rk_settings_default (&settings);
    settings.train_batch = 8;
    snprintf (settings.train_optimizer, sizeof settings.train_optimizer, "%s", optimizer);
    return settings;
}

/* Every kind of layer can be measured alone, skip tensors included. */
static void test_every_layer (void **state)
{
    (void) state;
    static const char *const names[] = {"mlp-tiny", "cnn-tiny", "residual-tiny", "dense-tiny", "lstm-tiny", "gpt-nano"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rk_model_t *model = s_model (names[i]);
        const rk_settings_t settings = s_settings (i % 2 ? "adamw" : "sgd");
        rk_layer_figures_t f;
        rk_error_t err = {0};
        if (rk_profile_layers (&f, model, &settings, 20000000, NULL, &err))
            fail_msg ("%s: %s", names[i], err.text);
        assert_int_equal (f.n_layers, rk_model_n_layers (model));
        for (size_t l = 0; l < f.n_layers; l++)
            assert_true (f.times[l] >= 1 && f.times[f.n_layers + l] > f.steps[l] && f.times[l] < 60000000000u);
        assert_true (f.team_ppm > 0 && f.crowd_ppm >= RK_ALONE_PPM);
        assert_true (f.dispatch_ns > 0 && f.feed_ns > 0 && f.copy_bytes_per_s > 0);
        rk_layer_figures_clear (&f);
        assert_true (rk_profile_gemm (model, 8, 1000000) > 0);
        rk_model_destroy (&model);
    }
}

/* A budget of nothing still measures every layer once. Equal layers have equal figures: they are measured once. */
static void test_no_budget (void **state)
{
    (void) state;
    rk_model_t *model = s_model ("gpt-nano");
    const rk_settings_t settings = s_settings ("sgd");
    rk_layer_figures_t f;
    size_t n_like = 0;
    assert_int_equal (rk_profile_layers (&f, model, &settings, 0, NULL, NULL), RK_OK);
    const char *first = rk_model_layer_kind (model, 3);
    for (size_t l = 0; l < f.n_layers; l++) {
        assert_true (f.times[l] >= 1 && f.times[f.n_layers + l] >= 1);
        if (l > 3 && strcmp (rk_model_layer_kind (model, (int) l), first) == 0 && f.times[l] == f.times[3])
            n_like++;
    }
    assert_true (n_like > 0);
    rk_layer_figures_clear (&f);
    rk_model_destroy (&model);
}

static void test_unknown_optimizer (void **state)
{
    (void) state;
    rk_model_t *model = s_model ("mlp-tiny");
    const rk_settings_t settings = s_settings ("sgdd");
    rk_layer_figures_t f;
    rk_error_t err = {0};
    assert_int_equal (rk_profile_layers (&f, model, &settings, 0, NULL, &err), RK_ENOTFOUND);
    rk_layer_figures_clear (&f);
    rk_model_destroy (&model);
}

static void test_declared_nodes (void **state)
{
    (void) state;
    mock_peer_t coordinator;
    mock_open (&coordinator, rk_address (RK_ACTOR_COORDINATOR, 0), 0);
    rk_settings_t settings;
    rk_settings_default (&settings);
    snprintf (settings.model_name, sizeof settings.model_name, "mlp-tiny");
    settings.train_batch = 8;
    const rk_profiler_node_t nodes[] = {{.node = 3, .name = "strong", .ram_mb = 100},
                                        {.node = 4, .name = "weak", .speed = 0.25}};
    rk_profiler_config_t config = {
        .coordinator = coordinator.endpoint, .settings = &settings, .nodes = nodes, .n_nodes = 2, .budget_ms = 20};
    rk_actor_t *profiler = NULL;
    assert_int_equal (rk_profiler_new (&profiler, &config, NULL), RK_OK);
    mock_receive (&coordinator, RK_MSG_READY);
    const uint64_t dims[] = {1, 6, 6};
    rk_msg_t request = {.kind = RK_MSG_PROFILE_REQUEST, .sender = coordinator.sender, .profile_request = {3, dims, 10}};
    assert_int_equal (rk_wire_send (zsock_resolve (coordinator.inbox), coordinator.packet->routing,
                                    coordinator.packet->n_routing, &request, NULL, 0, NULL, NULL),
                      RK_OK);
    const rk_profile_msg_t *profile = &mock_receive (&coordinator, RK_MSG_PROFILE)->profile;
    rk_host_t host;
    rk_host_look (&host);
    assert_int_equal (profile->n_nodes, 2);
    const rk_node_profile_t *strong = &profile->nodes[0], *weak = &profile->nodes[1];
    assert_int_equal (strong->node, 3);
    assert_int_equal (weak->node, 4);
    assert_string_equal (weak->name, "weak");
    assert_int_equal (strong->speed_ppm, 1000000);
    assert_int_equal (weak->speed_ppm, 250000);
    assert_int_equal (strong->ram_bytes, 100 << 20);
    assert_true (weak->ram_bytes > 0 && weak->host == host.id && weak->cores == host.cores);
    assert_int_equal (strong->n_layers, 7);
    for (size_t l = 0; l < 7; l++) {
        assert_int_equal (weak->forward_ns[l], 4 * strong->forward_ns[l]);
        assert_int_equal (weak->backward_ns[l], 4 * strong->backward_ns[l]);
    }
    rk_actor_stop (&profiler);
    mock_close (&coordinator);
}

/* A shape that the model cannot have ends the measurement with a word to the parent, not the process. */
static void test_impossible_request (void **state)
{
    (void) state;
    mock_peer_t coordinator;
    mock_open (&coordinator, rk_address (RK_ACTOR_COORDINATOR, 0), 0);
    rk_settings_t settings;
    rk_settings_default (&settings);
    const rk_profiler_node_t node = {.name = "x"};
    rk_profiler_config_t config = {
        .coordinator = coordinator.endpoint, .settings = &settings, .nodes = &node, .n_nodes = 1};
    rk_actor_t *profiler = NULL;
    assert_int_equal (rk_profiler_new (&profiler, &config, NULL), RK_OK);
    mock_receive (&coordinator, RK_MSG_READY);
    const uint64_t dims[] = {0};
    rk_msg_t request = {.kind = RK_MSG_PROFILE_REQUEST, .sender = coordinator.sender, .profile_request = {1, dims, 10}};
    assert_int_equal (rk_wire_send (zsock_resolve (coordinator.inbox), coordinator.packet->routing,
                                    coordinator.packet->n_routing, &request, NULL, 0, NULL, NULL),
                      RK_OK);
    char word[32];
    assert_int_equal (mock_said (profiler, word), RK_EINVAL);
    assert_string_equal (word, "FAILED");
    rk_actor_stop (&profiler);
    mock_close (&coordinator);
}

static int s_setup (void **state)
{
    (void) state;
    return rk_blas_init ("auto", NULL);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_layer), cmocka_unit_test (test_no_budget), cmocka_unit_test (test_unknown_optimizer),
        cmocka_unit_test (test_declared_nodes), cmocka_unit_test (test_impossible_request),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
