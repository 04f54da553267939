/* SPDX-License-Identifier: MPL-2.0
 * The memory model (cluster/memory.h) against real stages: a process of its own runs each built-in model as one
 * stage per cluster for some rounds, with its feeders and, from two clusters on, its reducers, and tells by how many bytes
 * a cluster its anonymous memory grew at most, data not counted. By hand: actors_test_memory MODEL [BATCH [OPTIMISER [CLUSTERS [RECOMPUTE]]]].  */
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/support/rig.h"
#include "actors/modelinfo.h"
#include "cluster/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED true /* whose own bookkeeping is most of the memory: one model, and its figures count nothing */
#else
#define SANITIZED false
#endif
#define EVERY 2  /* minibatches of a round, per cluster */
#define ROUNDS 4
#define MB 1e6
#define PART 0.15     /* of the prediction that it may be wrong by, */
#define LITTLE (2 * MB) /* or this if it is more */

typedef struct {
    const char *name;
    rk_shape_t input;
    size_t n_classes, n_labels, n_tokens;
    uint64_t batch;
    bool large; /* only with RK_LONG */
} s_model_t;

#define VECTOR(n) {.n_dims = 1, .dim = {n}}
#define PICTURE(c, h, w) {.n_dims = 3, .dim = {c, h, w}}

static const s_model_t s_models[] = {
    {"mlp", VECTOR (784), 10, 1, 0, 64, false},
    {"cnn", PICTURE (1, 28, 28), 10, 1, 0, 64, false},
    {"lenet5", PICTURE (1, 28, 28), 10, 1, 0, 64, false},
    {"resnet20", PICTURE (3, 32, 32), 10, 1, 0, 16, false},
    {"resnet32", PICTURE (3, 32, 32), 10, 1, 0, 16, true},
    {"resnet56", PICTURE (3, 32, 32), 10, 1, 0, 16, true},
    {"resnet18", PICTURE (3, 64, 64), 1000, 1, 0, 16, true},
    {"densenet40", PICTURE (3, 32, 32), 10, 1, 0, 16, true},
    {"char-lstm", VECTOR (128), 96, 128, 96, 16, true},
    {"lstm-lm", VECTOR (35), 10000, 35, 10000, 16, true},
    {"char-gpt", VECTOR (128), 96, 128, 96, 16, true},
    {"gpt-nano", VECTOR (128), 96, 128, 96, 16, false},
    {"gpt-mini", VECTOR (128), 96, 128, 96, 16, true},
    {"lstm-tiny", VECTOR (128), 96, 128, 96, 16, false},
    {"softmax", VECTOR (784), 10, 1, 0, 64, false},
    {"mlp-tiny", VECTOR (784), 10, 1, 0, 64, false},
    {"cnn-tiny", PICTURE (1, 28, 28), 10, 1, 0, 64, false},
    {"residual-tiny", PICTURE (3, 32, 32), 10, 1, 0, 64, false},
    {"dense-tiny", VECTOR (784), 10, 1, 0, 64, false},
    {"ravnest-cnn", PICTURE (1, 8, 8), 10, 1, 0, 64, false},
};

/* ---- in the process that is measured */

static void s_must (rk_err_t code, const rk_error_t *err)
{
    if (code == RK_OK)
        return;
    fprintf (stderr, "%s\n", err->text);
    exit (1);
}

static const s_model_t *s_find (const char *name)
{
    for (size_t i = 0; i < sizeof s_models / sizeof *s_models; i++)
        if (strcmp (s_models[i].name, name) == 0)
            return &s_models[i];
    fprintf (stderr, "no model %s here\n", name);
    exit (1);
}

/* "VmHWM:" and others of /proc/self/status, bytes. */
static double s_status (const char *key)
{
    static char text[8192];
    const int fd = open ("/proc/self/status", O_RDONLY);
    const ssize_t n = fd < 0 ? 0 : read (fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close (fd);
    const char *at = strstr (text, key);
    return at ? 1024 * strtod (at + strlen (key), NULL) : 0;
}

static rk_data_t *s_data (const s_model_t *m, size_t n)
{
    const size_t elems = rk_shape_elems (m->input);
    float *x = calloc (n * elems, sizeof *x);
    void *labels = calloc (n * m->n_labels, RK_LABEL_BYTES);
    const rk_data_split_t split[2] = {{n, x, labels}, {0, NULL, NULL}};
    for (size_t i = 0; x && i < n * elems && !m->n_tokens; i++)
        x[i] = (float) (i * 2654435761u % 1000) / 500 - 1;
    rk_data_t *data = NULL;
    rk_error_t err = {RK_OK, ""};
    s_must (rk_data_from_memory (&data, m->input, (rk_labels_t){.n = m->n_labels, .n_classes = m->n_classes}, split, &err), &err);
    free (x);
    free (labels);
    return data;
}

static void s_print (const rk_memory_t *p, double grown)
{
    printf ("%.0f %.0f  predicted MB: parameters %.1f versions %.1f gradients %.1f optimizer %.1f averaging %.1f "
            "activations %.1f scratch %.1f buffers %.1f\n",
            (double) p->total, grown, (double) p->parameters / MB, (double) p->versions / MB, (double) p->gradients / MB,
            (double) p->optimizer / MB, (double) p->averaging / MB, (double) p->activations / MB,
            (double) p->scratch / MB, (double) p->buffers / MB);
}

static int s_measure (int argc, char **argv)
{
    const s_model_t *m = s_find (argv[1]);
    rig_config_t config = {.n_clusters = argc > 4 ? (uint32_t) atoi (argv[4]) : 1, .counts = {1, 1, 1, 1}, .transport = "inproc",
                           .unsaved = true,
                           .recompute = argc > 5 && atoi (argv[5]) ? UINT32_MAX : 0};
    rk_error_t err = {RK_OK, ""};
    (void) prctl (PR_SET_THP_DISABLE, 1, 0, 0, 0); /* so that no figure depends on how the system sets huge pages */
    rig_settings (&config.settings);
    config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
    config.settings.average_every = EVERY;
    config.settings.train_lr = 1e-4;
    config.settings.train_batch = argc > 2 && atoi (argv[2]) ? (uint64_t) atoi (argv[2]) : m->batch;
    if (argc > 3)
        snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "%s", argv[3]);
    rk_data_t *data = s_data (m, config.settings.train_batch * EVERY * ROUNDS * config.n_clusters);
    config.data = data;
    zsys_init ();
    malloc_trim (0);
    const double before = s_status ("RssAnon:");
    rk_model_t *model = NULL;
    s_must (rk_model_by_name (&model, m->name, m->input, m->n_classes, &err), &err);
    config.model = model;
    rig_result_t result;
    rig_run (&config, &result);
    /* Of the largest resident size what is not files, which only ever grow. */
    const double grown = s_status ("VmHWM:") - s_status ("RssFile:") - s_status ("RssShmem:") - before;
    rk_model_info_t *info = NULL;
    s_must (rk_model_info_new (&info, model, &config.settings, rk_data_n (data, RK_SPLIT_TRAIN), 0, &err), &err);
    rk_memory_sums_t sums;
    rk_memory_t predicted;
    rk_memory_sums (&sums, info, 0, info->n_layers);
    rk_memory_of (&predicted, &sums, &config.settings, result.plan->clusters[0].in_flight, config.recompute);
    s_print (&predicted, grown / config.n_clusters);
    rk_model_info_destroy (&info);
    rig_clear (&result);
    rk_model_destroy (&model);
    rk_data_close (&data);
    return 0;
}

/* ---- in the test */

typedef struct {
    double predicted, measured;
} s_figures_t;

static s_figures_t s_of (const char *model, const char *optimizer, int n_clusters, bool recompute)
{
    char self[512], command[1024], line[512] = "";
    const ssize_t n = readlink ("/proc/self/exe", self, sizeof self - 1);
    assert_true (n > 0);
    self[n] = 0;
    snprintf (command, sizeof command, "'%s' %s 0 %s %d %d", self, model, optimizer, n_clusters, recompute);
    FILE *pipe = popen (command, "r");
    assert_non_null (pipe);
    const bool told = fgets (line, sizeof line, pipe) != NULL;
    if (pclose (pipe) != 0 || !told)
        fail_msg ("%s ended badly", command);
    char *end;
    s_figures_t f = {.predicted = strtod (line, &end)};
    f.measured = strtod (end, NULL);
    return f;
}

/* least, most: parts of the prediction; LITTLE is allowed at any size. */
static void s_check (const char *model, const char *optimizer, bool recompute, double least, double most)
{
    const s_figures_t f = s_of (model, optimizer, 1, recompute);
    const bool above = f.measured > f.predicted * most && f.measured > f.predicted + LITTLE;
    const bool below = f.measured < f.predicted * least && f.measured < f.predicted - LITTLE;
    assert_true (f.predicted > 0 && f.measured > 0);
    if (!SANITIZED && (above || below))
        fail_msg ("%s with %s%s: predicted %.1f MB, measured %.1f MB", model, optimizer, recompute ? ", recomputed" : "",
                  f.predicted / MB, f.measured / MB);
}

static void every_model_needs_what_is_predicted (void **state)
{
    for (size_t i = 0; i < sizeof s_models / sizeof *s_models; i++)
        if ((!s_models[i].large || getenv ("RK_LONG")) && !(SANITIZED && i))
            s_check (s_models[i].name, "sgd", false, 1 - PART, 1 + PART);
}

/* State vectors, of which two older ones are kept beside. */
static void optimizers_need_what_is_predicted (void **state)
{
    s_check ("mlp", "adamw", false, 1 - PART, 1 + PART);
    for (size_t i = 0; i < sizeof s_models / sizeof *s_models && getenv ("RK_LONG") && !SANITIZED; i++) {
        s_check (s_models[i].name, "adam", false, 1 - PART, 1 + PART);
        s_check (s_models[i].name, "lars", false, 1 - PART, 1 + PART);
    }
}

/* Made again, activations of a stage need no more than is predicted; it may be less. */
static void recomputed_it_is_no_more (void **state)
{
    s_check ("resnet20", "sgd", true, 0.7, 1 + PART);
}

int main (int argc, char **argv)
{
    if (argc > 1)
        return s_measure (argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test (every_model_needs_what_is_predicted),
                                       cmocka_unit_test (optimizers_need_what_is_predicted),
                                       cmocka_unit_test (recomputed_it_is_no_more)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
