/* SPDX-License-Identifier: MPL-2.0
 * Pipelines and averaging learn what one process learns: Fashion-MNIST (which must be there), equal samples,
 * the whole test set. Accuracies are printed, so that a failure shows by how much.                        */
#include "tests/support/rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "actors/modelinfo.h"
#include "actors/node.h"
#include "compute/plain.h"

#define TOLERANCE 0.01 /* of accuracy */
#define PASSES 2
#define SEEDS 2
#define RATE 0.05

typedef struct {
    rk_data_t *data; /* of every test but those of synthetic data */
    rk_model_t *mlp;
} fixture_t;

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static rk_settings_t s_settings (uint64_t seed, rk_average_mode_t mode)
{
    rk_settings_t s;
    rk_settings_default (&s);
    s.run_seed = seed;
    s.run_passes = PASSES;
    snprintf (s.model_name, sizeof s.model_name, "mlp");
    snprintf (s.train_schedule, sizeof s.train_schedule, "cosine");
    s.train_lr = RATE;
    s.train_momentum = 0.9;
    /* The mean of two clusters has taken half as many steps as one process has; averaging seldom costs another
     * half percent after two passes (every 50: 1.1 to 1.7 % behind, every 2: 0.5 to 0.7 %).              */
    s.average_every = 2;
    s.average_mode = mode;
    return s;
}

/* ---- the three ways to run it */

typedef struct {
    uint32_t n_clusters;
    uint32_t counts[RIG_MOST_CLUSTERS];
    uint32_t cuts[16];
} layout_t;

/* mlp: flatten, fc1, relu1, fc2, relu2, fc3, loss; fc1 is 3/4 of the work. */
static const layout_t s_2x2 = {2, {2, 2}, {0, 3, 0, 2}};

static rk_plan_t *s_plan (const rk_model_t *model, const rk_data_t *data, const rk_settings_t *s, const layout_t *layout)
{
    rk_model_info_t *info = NULL;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    s_ok (rk_model_info_new (&info, model, s, rk_data_n (data, RK_SPLIT_TRAIN), rk_data_n (data, RK_SPLIT_TEST), &err), &err);
    s_ok (rk_plan_by_hand (&plan, 1, info, s, layout->n_clusters, layout->counts, layout->cuts, NULL, &err), &err);
    rk_model_info_destroy (&info);
    return plan;
}

static rk_node_result_t s_run (const rk_model_t *model, const rk_data_t *data, const rk_settings_t *s, const layout_t *layout,
                               rk_run_kind_t kind)
{
    rk_plan_t *plan = s_plan (model, data, s, layout);
    const rk_node_config_t config = {.settings = *s, .plan = plan, .model = model, .data = data, .quiet = true, .kind = kind};
    rk_node_result_t result = {0};
    rk_error_t err = {0};
    s_ok (rk_node_run (&config, NULL, &result, &err), &err);
    rk_plan_destroy (&plan);
    if (kind == RK_RUN_TRAIN)
        assert_int_equal (result.samples, s->run_passes * rk_data_n (data, RK_SPLIT_TRAIN));
    return result;
}

static double s_accuracy (const rk_loss_t *loss)
{
    return (double) loss->n_correct / (double) loss->n_counted;
}

/* One process, one slice, the same number of samples. */
static double s_plain (const fixture_t *f, const rk_settings_t *s)
{
    const rk_plain_config_t config = {
        .model = s->model_name, .data = f->data, .batch = s->train_batch, .seed = s->run_seed, .optimizer = s->train_optimizer,
        .optim = {.momentum = (float) s->train_momentum},
        .lr = {.name = s->train_schedule, .base = (float) s->train_lr,
               .total = s->run_passes * ((rk_data_n (f->data, RK_SPLIT_TRAIN) + s->train_batch - 1) / s->train_batch)}};
    rk_plain_t *loop = NULL;
    rk_error_t err = {0};
    s_ok (rk_plain_new (&loop, &config, &err), &err);
    const uint64_t n = s->run_passes * rk_plain_per_pass (loop);
    assert_int_equal (n, config.lr.total);
    for (uint64_t i = 0; i < n; i++)
        s_ok (rk_plain_step (loop, i, NULL, &err), &err);
    rk_loss_t loss;
    s_ok (rk_plain_evaluate (loop, RK_SPLIT_TEST, &loss, &err), &err);
    rk_plain_destroy (&loop);
    assert_int_equal (loss.n_counted, 10000);
    return s_accuracy (&loss);
}

/* The same plan without coordinators, so that a fault can be injected. Drained, as the fault must be the
 * only difference, and averaging seldom: the rig keeps the mean of every round.                           */
static double s_faulty (const fixture_t *f, uint32_t corrupt, double lr)
{
    rig_config_t config = {.model = f->mlp, .data = f->data, .settings = s_settings (1, RK_AVERAGE_DRAINED),
                           .n_clusters = s_2x2.n_clusters, .cuts = s_2x2.cuts, .transport = "inproc", .corrupt = corrupt,
                           .evaluate = true};
    memcpy (config.counts, s_2x2.counts, sizeof config.counts);
    config.settings.train_lr = lr;
    config.settings.run_passes = 1;
    config.settings.average_every = 50;
    config.settings.train_nonfinite = RK_NONFINITE_SKIP; /* a fault may make learning diverge: to be seen, not to end the test */
    rig_result_t result;
    rig_run (&config, &result);
    const double accuracy = s_accuracy (&result.evaluated);
    assert_int_equal (result.evaluated.n_counted, 10000);
    rig_clear (&result);
    return accuracy;
}

/* ---- tests */

static bool s_agree (double a, double b)
{
    return fabs (a - b) <= TOLERANCE;
}

/* Mean accuracies over the seeds, filled by the first test. */
typedef struct {
    double plain, mode[2];
} means_t;
static means_t s_means;

static void two_clusters_of_two_learn_what_one_process_learns (void **state)
{
    const fixture_t *f = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        double accuracy[2];
        for (int mode = RK_AVERAGE_OVERLAPPED; mode <= RK_AVERAGE_DRAINED; mode++) {
            const rk_settings_t s = s_settings (seed, (rk_average_mode_t) mode);
            accuracy[mode] = s_run (f->mlp, f->data, &s, &s_2x2, RK_RUN_TRAIN).test_accuracy;
            s_means.mode[mode] += accuracy[mode] / SEEDS;
        }
        const rk_settings_t s = s_settings (seed, RK_AVERAGE_DRAINED);
        const double plain = s_plain (f, &s);
        s_means.plain += plain / SEEDS;
        print_message ("seed %d: one process %.4f, 2 x 2 drained %.4f, overlapped %.4f\n", (int) seed, plain,
                       accuracy[RK_AVERAGE_DRAINED], accuracy[RK_AVERAGE_OVERLAPPED]);
    }
    assert_true (s_means.plain > 0.87);
    assert_true (s_agree (s_means.plain, s_means.mode[RK_AVERAGE_DRAINED]));
    assert_true (s_agree (s_means.plain, s_means.mode[RK_AVERAGE_OVERLAPPED]));
}

static void drained_and_overlapped_agree_with_momentum (void **state)
{
    assert_true (s_means.mode[RK_AVERAGE_DRAINED] > 0.85);
    assert_true (s_agree (s_means.mode[RK_AVERAGE_DRAINED], s_means.mode[RK_AVERAGE_OVERLAPPED]));
}

static void faults_of_learning_are_seen (void **state)
{
    const fixture_t *f = *state;
    const double right = s_faulty (f, RK_CORRUPT_NONE, RATE), dropped = s_faulty (f, RK_CORRUPT_DROPPED_PIECE, RATE),
                 still = s_faulty (f, RK_CORRUPT_NONE, 1e-9);
    print_message ("one pass: right %.4f, a dropped piece %.4f, a step of almost 0 %.4f\n", right, dropped, still);
    assert_true (right > 0.8);
    assert_false (s_agree (s_means.plain, dropped));
    assert_false (s_agree (s_means.plain, still));
}

/* Skip tensors across every cut, batch normalisation, dropout: loss before and after. */
static void residual_and_dense_models_learn_in_pipelines (void **state)
{
    static const struct {
        const char *model;
        double lr;
    } cases[] = {{"residual-tiny", 0.01}, {"dense-tiny", 0.003}, {"ravnest-cnn", 0.003}};
    static const uint32_t shapes[][3] = {{6, 0, 0}, {1, 2, 3}};
    rk_data_t *data = NULL;
    rk_error_t err = {0};
    s_ok (rk_data_open (&data, "synthetic-digits", NULL, &err), &err);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        rk_model_t *model = NULL;
        s_ok (rk_model_by_name (&model, cases[i / 2].model, rk_data_shape (data), 10, &err), &err);
        const uint32_t n_layers = (uint32_t) rk_model_n_layers (model);
        layout_t layout = {0};
        uint32_t n = 0;
        for (uint32_t c = 0; c < 3 && shapes[i % 2][c]; c++)
            for (uint32_t s = layout.counts[layout.n_clusters++] = shapes[i % 2][c], k = 0; k < s; k++)
                layout.cuts[n++] = k * n_layers / s;
        rk_settings_t s = s_settings (1, i % 2 ? RK_AVERAGE_OVERLAPPED : RK_AVERAGE_DRAINED);
        s.run_passes = 8;
        s.train_batch = 32;
        snprintf (s.train_optimizer, sizeof s.train_optimizer, "adam");
        s.train_lr = cases[i / 2].lr;
        s.average_every = 8;
        const double before = s_run (model, data, &s, &layout, RK_RUN_EVAL).test_loss;
        const double after = s_run (model, data, &s, &layout, RK_RUN_TRAIN).test_loss;
        print_message ("%s, %u clusters, %u stages: loss %.4f -> %.4f\n", cases[i / 2].model, layout.n_clusters, n, before, after);
        if (!(after < before / 2))
            fail_msg ("%s does not learn", cases[i / 2].model);
        rk_model_destroy (&model);
    }
    rk_data_close (&data);
}

static int s_open (void **state)
{
    static fixture_t f; /* of the whole group */
    rk_error_t err = {0};
    if (rk_data_open (&f.data, "fashion-mnist", NULL, &err) ||
        rk_model_by_name (&f.mlp, "mlp", rk_data_shape (f.data), rk_data_n_classes (f.data), &err)) {
        print_error ("%s\n", err.text);
        return 1; /* a missing data set is a failure */
    }
    *state = &f;
    return 0;
}

static int s_close (void **state)
{
    fixture_t *f = *state;
    rk_model_destroy (&f->mlp);
    rk_data_close (&f->data);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (two_clusters_of_two_learn_what_one_process_learns),
        cmocka_unit_test (drained_and_overlapped_agree_with_momentum),
        cmocka_unit_test (faults_of_learning_are_seen),
        cmocka_unit_test (residual_and_dense_models_learn_in_pipelines),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
