/* SPDX-License-Identifier: MPL-2.0
 * Stacked replicas against replicas one by one: the same slices, optimiser and rows of W, written down plainly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/mix.h"
#include "cluster/stack.h"
#include "compute/blas.h"

enum { N = 6, BATCH = 4, STEPS = 12 };
#define LR 0.05f

static rk_data_t *s_data;

static int s_open (void **state)
{
    return rk_blas_init ("auto", NULL) || rk_data_open (&s_data, "synthetic-digits", NULL, NULL);
}

static int s_close (void **state)
{
    rk_data_close (&s_data);
    return 0;
}

static rk_graph_t *s_graph (const char *name, uint32_t n, double k0)
{
    rk_graph_t *graph = NULL;
    rk_error_t err = {0};
    const rk_graph_config_t config = {.name = name, .n = n, .seed = 3, .k0 = k0, .k_min = 2, .degree = (uint32_t) k0};
    if (rk_graph_new (&graph, &config, &err))
        fail_msg ("%s", err.text);
    return graph;
}

static rk_stack_config_t s_config (const rk_graph_t *graph, uint32_t n)
{
    return (rk_stack_config_t){.model = "mlp-tiny", .data = s_data, .graph = graph, .n = n, .batch = BATCH, .seed = 7,
                               .optimizer = "sgd", .optim = {.momentum = 0.9f, .weight_decay = 1e-3f}};
}

static rk_stack_t *s_stack (const rk_stack_config_t *config)
{
    rk_stack_t *stack = NULL;
    rk_error_t err = {0};
    if (rk_stack_new (&stack, config, &err))
        fail_msg ("%s", err.text);
    return stack;
}

static void s_step (rk_stack_t *stack, uint64_t t)
{
    rk_error_t err = {0};
    if (rk_stack_local (stack, t, LR, NULL, NULL, &err))
        fail_msg ("%s", err.text);
    const rk_graph_time_t at = {.step = t, .pass = t / rk_stack_per_pass (stack)};
    rk_stack_mix (stack, &at);
}

/* Trains a stack of n for STEPS steps and returns all rows. owner: caller. */
static float *s_train (const rk_stack_config_t *config)
{
    rk_stack_t *stack = s_stack (config);
    const size_t d = rk_stack_d (stack);
    float *rows = malloc (config->n * d * sizeof *rows);
    for (uint64_t t = 0; t < STEPS; t++)
        s_step (stack, t);
    for (uint32_t i = 0; i < config->n; i++)
        memcpy (rows + i * d, rk_stack_row (stack, i), d * sizeof *rows);
    rk_stack_destroy (&stack);
    return rows;
}

static size_t s_row_floats (void)
{
    rk_model_t *model = NULL;
    assert_int_equal (rk_model_by_name (&model, "mlp-tiny", rk_data_shape (s_data), rk_data_n_classes (s_data), NULL), RK_OK);
    const size_t d = rk_model_flat_at (model, rk_model_n_layers (model));
    rk_model_destroy (&model);
    return d;
}

/* ---- the reference: one replica after the other, rows mixed whole */
typedef struct {
    rk_model_t *model;
    rk_slice_t *slice;
    size_t d;
    float *x, *v, *y, *grads; /* (N, d) but the last */
} plain_t;

static void s_plain_local (plain_t *p, const rk_stack_config_t *c, uint64_t t)
{
    const rk_optim_t *optim = NULL;
    assert_int_equal (rk_optim_by_name (&optim, "sgd", &c->optim, NULL), RK_OK);
    const uint64_t per_pass = rk_data_n (s_data, RK_SPLIT_TRAIN) / (N * BATCH);
    float pixels[BATCH * 64];
    int32_t labels[BATCH];
    for (uint64_t i = 0; i < N; i++) {
        float *row = p->x + i * p->d, *slots[] = {p->v + i * p->d}, *gin[] = {NULL};
        const float *in[] = {pixels};
        rk_loss_t loss;
        rk_forward_t forward = {.f = t * N + i, .flat = row, .stats = row, .in = in, .labels = labels, .loss = &loss};
        forward.n = rk_data_batch (s_data, RK_SPLIT_TRAIN, c->seed, t / per_pass, t % per_pass * N + i, BATCH, pixels, labels);
        memset (p->grads, 0, p->d * sizeof *p->grads);
        assert_int_equal (rk_slice_forward (p->slice, &forward, NULL), RK_OK);
        assert_int_equal (rk_slice_backward_input (p->slice, 0, row, NULL, gin, NULL), RK_OK);
        assert_int_equal (rk_slice_backward_params (p->slice, 0, row, p->grads, NULL), RK_OK);
        rk_slice_release (p->slice, 0);
        const rk_optim_update_t update = {.model = p->model, .last = rk_model_n_layers (p->model), .lr = LR, .t = t + 1,
                                          .grad_scale = 1, .w_old = row, .w_new = row, .grads = p->grads, .slots = slots};
        rk_optim_update (optim, &c->optim, &update);
    }
}

/* from: what is mixed; correct: added to the rows as mixed - from, else it replaces them. */
static void s_plain_mix (plain_t *p, const rk_graph_t *graph, uint64_t t, const float *from, bool correct, bool backwards)
{
    rk_graph_edge_t edges[N];
    const void *in[N];
    float *mixed = malloc (N * p->d * sizeof *mixed);
    const rk_graph_time_t at = {.step = t};
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t n_edges = rk_graph_row (graph, &at, i, edges);
        for (uint32_t e = 0; e < n_edges; e++)
            in[backwards ? n_edges - 1 - e : e] = from + edges[e].peer * p->d;
        rk_mix_row (edges, n_edges, in, p->d, mixed + i * p->d);
    }
    if (correct)
        rk_mix_correct (N * p->d, mixed, from, p->x);
    else
        memcpy (p->x, mixed, N * p->d * sizeof *mixed);
    free (mixed);
}

static float *s_plain_train (const rk_stack_config_t *c, bool backwards)
{
    plain_t p = {0};
    assert_int_equal (rk_model_by_name (&p.model, c->model, rk_data_shape (s_data), rk_data_n_classes (s_data), NULL), RK_OK);
    const int n_layers = rk_model_n_layers (p.model);
    const rk_slice_config_t slice = {.model = p.model, .last = n_layers, .batch = BATCH, .n_contexts = 1, .seed = c->seed};
    assert_int_equal (rk_slice_new (&p.slice, &slice, NULL), RK_OK);
    p.d = rk_model_flat_at (p.model, n_layers);
    p.x = aligned_alloc (64, N * p.d * sizeof (float));
    p.v = aligned_alloc (64, N * p.d * sizeof (float));
    p.y = malloc (N * p.d * sizeof (float));
    p.grads = aligned_alloc (64, p.d * sizeof (float));
    memset (p.v, 0, N * p.d * sizeof (float));
    for (uint32_t i = 0; i < N; i++)
        rk_model_init (p.model, c->seed, 0, n_layers, p.x + i * p.d);
    for (uint64_t t = 0; t < STEPS; t++) {
        memcpy (p.y, p.x, N * p.d * sizeof (float));
        s_plain_local (&p, c, t);
        const bool awc = c->order == RK_ORDER_AWC;
        memcpy (p.y, awc ? p.y : p.x, awc ? 0 : N * p.d * sizeof (float));
        s_plain_mix (&p, c->graph, t, p.y, awc, backwards);
    }
    rk_slice_destroy (&p.slice);
    rk_model_destroy (&p.model);
    free (p.v);
    free (p.y);
    free (p.grads);
    return p.x;
}

/* ---- tests */
static void bits_are_those_of_replicas_one_by_one (void **state)
{
    const size_t bytes = N * s_row_floats () * sizeof (float);
    for (int order = 0; order < 2; order++) {
        rk_graph_t *ring = s_graph ("ring", N, 0);
        rk_stack_config_t config = s_config (ring, N);
        config.order = order ? RK_ORDER_AWC : RK_ORDER_ATC;
        float *stacked = s_train (&config), *plain = s_plain_train (&config, false), *other = s_plain_train (&config, true);
        assert_memory_equal (stacked, plain, bytes);
        assert_memory_not_equal (stacked, other, bytes); /* the order of neighbours shows in the bits */
        free (stacked);
        free (plain);
        free (other);
        rk_graph_destroy (&ring);
    }
}

/* Rows that hear many are mixed four at a time: of a lattice that wraps around, and of graphs whose neighbours are far
 * apart, so that four rows share few of them.                                                              */
static void bits_do_not_depend_on_what_is_mixed_together (void **state)
{
    enum { MANY = 150 };
    const struct {
        const char *graph;
        uint32_t n, degree, n_edges;
    } cases[] = {{"lattice", 23, 10, 11}, {"spread", 41, 10, 11}, {"exponential", MANY, 0, 9}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const uint32_t n = cases[c].n;
        rk_graph_edge_t edges[MANY];
        const void *in[MANY];
        rk_graph_t *graph = s_graph (cases[c].graph, n, cases[c].degree);
        const rk_stack_config_t config = s_config (graph, n);
        rk_stack_t *stack = s_stack (&config);
        const size_t d = rk_stack_d (stack);
        float *before = malloc (n * d * sizeof *before), *want = malloc (d * sizeof *want);
        for (uint64_t t = 0; t < 2; t++) {
            const rk_graph_time_t at = {.step = t};
            assert_int_equal (rk_stack_local (stack, t, LR, NULL, NULL, NULL), RK_OK);
            for (uint32_t i = 0; i < n; i++)
                memcpy (before + i * d, rk_stack_row (stack, i), d * sizeof *before);
            rk_stack_mix (stack, &at);
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t n_edges = rk_graph_row (graph, &at, i, edges);
                assert_int_equal (n_edges, cases[c].n_edges);
                for (uint32_t e = 0; e < n_edges; e++)
                    in[e] = before + edges[e].peer * d;
                rk_mix_row (edges, n_edges, in, d, want);
                assert_memory_equal (rk_stack_row (stack, i), want, d * sizeof *want);
                const void *swapped = in[4];
                in[4] = in[5], in[5] = swapped;
                rk_mix_row (edges, n_edges, in, d, want);
                assert_memory_not_equal (rk_stack_row (stack, i), want, d * sizeof *want);
            }
        }
        free (before);
        free (want);
        rk_stack_destroy (&stack);
        rk_graph_destroy (&graph);
    }
}

static void threads_change_no_bit (void **state)
{
    const size_t bytes = N * s_row_floats () * sizeof (float);
    for (int central = 0; central < 2; central++) {
        rk_graph_t *ring = central ? NULL : s_graph ("ring", N, 0);
        rk_stack_config_t config = s_config (ring, N);
        float *alone = s_train (&config);
        rk_pool_t *pool = NULL;
        assert_int_equal (rk_pool_new (&pool, 3, NULL), RK_OK);
        config.pool = pool;
        float *together = s_train (&config);
        assert_memory_equal (alone, together, bytes);
        config.seed++;
        float *other = s_train (&config);
        assert_memory_not_equal (alone, other, bytes);
        rk_pool_destroy (&pool);
        rk_graph_destroy (&ring);
        free (alone);
        free (together);
        free (other);
    }
}

/* Length of the difference of two sets of rows, relative to their length. */
static double s_apart (const float *a, const float *b, size_t n)
{
    double apart = 0, size = 0;
    for (size_t k = 0; k < n; k++) {
        apart += ((double) a[k] - (double) b[k]) * ((double) a[k] - (double) b[k]);
        size += (double) a[k] * (double) a[k];
    }
    return sqrt (apart / size);
}

static void products_give_nearly_the_same (void **state)
{
    rk_graph_t *ring = s_graph ("ring", N, 0);
    rk_stack_config_t config = s_config (ring, N);
    const size_t n = N * s_row_floats ();
    float *sparse = s_train (&config);
    config.mixing = RK_MIXING_DENSE;
    float *dense = s_train (&config);
    assert_true (s_apart (sparse, dense, n) < 1e-6);
    assert_memory_not_equal (sparse, dense, n * sizeof (float));
    config.mixing = RK_MIXING_AUTO;
    float *automatic = s_train (&config);
    assert_memory_equal (automatic, dense, n * sizeof (float)); /* degree 2 of 6 is above n / 8 */
    free (sparse);
    free (dense);
    free (automatic);
    rk_graph_destroy (&ring);
}

/* Windows of every lattice there is at some sizes: blocks that divide n and blocks that do not, both orders. */
static void windows_give_nearly_the_same (void **state)
{
    for (uint32_t n = 6; n <= 16; n += 5)
        for (uint32_t degree = 4; degree + 1 < n; degree += 2)
            for (int order = RK_ORDER_ATC; order <= RK_ORDER_AWC; order++) {
                rk_graph_t *lattice = s_graph ("lattice", n, degree);
                rk_stack_config_t config = s_config (lattice, n);
                const size_t floats = n * s_row_floats ();
                config.order = (rk_stack_order_t) order;
                float *sparse = s_train (&config);
                config.mixing = RK_MIXING_AUTO;
                float *windows = s_train (&config);
                assert_true (s_apart (sparse, windows, floats) < 1e-6);
                assert_memory_not_equal (sparse, windows, floats * sizeof (float));
                free (sparse);
                free (windows);
                rk_graph_destroy (&lattice);
            }
}

/* Centralised against complete, 200 steps: how far apart they are at most on the way. */
static double s_centralised_apart (const char *optimizer, rk_optim_config_t optim)
{
    rk_graph_t *complete = s_graph ("complete", N, 0);
    rk_stack_config_t config = s_config (complete, N);
    config.optimizer = optimizer;
    config.optim = optim;
    rk_stack_t *spread = s_stack (&config);
    config.graph = NULL;
    rk_stack_t *central = s_stack (&config);
    double apart = 0;
    for (uint64_t t = 0; t < 200; t++) {
        s_step (spread, t);
        s_step (central, t);
        for (uint32_t i = 0; i < N; i++)
            apart = fmax (apart, s_apart (rk_stack_row (central, i), rk_stack_row (spread, i), rk_stack_d (spread)));
    }
    rk_stack_destroy (&spread);
    rk_stack_destroy (&central);
    rk_graph_destroy (&complete);
    return apart;
}

static void complete_is_centralised (void **state)
{
    const rk_optim_config_t linear[] = {{.momentum = 0},
                                        {.momentum = 0.9f},
                                        {.momentum = 0.9f, .nesterov = true},
                                        {.momentum = 0.9f, .weight_decay = 5e-4f},
                                        {.momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f}};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
        const double apart = s_centralised_apart ("sgd", linear[i]);
        print_message ("momentum %g nesterov %d decay %g: %.3g\n", (double) linear[i].momentum, linear[i].nesterov,
                       (double) linear[i].weight_decay, apart);
        assert_true (apart < 1e-6);
    }
    /* an optimiser that is not linear in the gradient does not commute with the mean */
    const rk_optim_config_t adam = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    assert_true (s_centralised_apart ("adam", adam) > 1e-2);
}

static void ada_ends_are_ring_and_complete (void **state)
{
    const size_t bytes = N * s_row_floats () * sizeof (float);
    const struct {
        double k0;
        const char *same;
    } ends[] = {{2, "ring"}, {N - 1, "complete"}, {100, "complete"}};
    for (size_t e = 0; e < 3; e++) {
        rk_graph_t *ada = s_graph ("ada", N, ends[e].k0), *other = s_graph (ends[e].same, N, 0);
        const rk_stack_config_t a = s_config (ada, N), b = s_config (other, N);
        float *with_ada = s_train (&a), *with_other = s_train (&b);
        assert_memory_equal (with_ada, with_other, bytes);
        free (with_ada);
        free (with_other);
        rk_graph_destroy (&ada);
        rk_graph_destroy (&other);
    }
    rk_graph_t *four = s_graph ("ada", N, 4), *ring = s_graph ("ring", N, 0);
    const rk_stack_config_t a = s_config (four, N), b = s_config (ring, N);
    float *with_ada = s_train (&a), *with_ring = s_train (&b);
    assert_memory_not_equal (with_ada, with_ring, bytes);
    free (with_ada);
    free (with_ring);
    rk_graph_destroy (&four);
    rk_graph_destroy (&ring);
}

static void memory_is_predicted (void **state)
{
    rk_graph_t *ring = s_graph ("ring", N, 0), *more = s_graph ("ring", 2 * N, 0);
    rk_stack_config_t config = s_config (ring, N), twice = s_config (more, 2 * N);
    rk_stack_need_t need, need_twice;
    assert_int_equal (rk_stack_predict (&config, &need, NULL), RK_OK);
    assert_int_equal (rk_stack_predict (&twice, &need_twice, NULL), RK_OK);
    rk_stack_t *stack = s_stack (&config);
    assert_int_equal (need.bytes, rk_stack_bytes (stack));
    assert_true (need_twice.step_flops == 2 * need.step_flops);
    const uint64_t rows = 2 * N * rk_stack_d (stack) * sizeof (float); /* parameters and momentum */
    const uint64_t panel = N * 4096 * sizeof (float), more_bytes = need_twice.bytes - need.bytes;
    assert_true (more_bytes >= rows && more_bytes < rows + panel + panel / 50);
    rk_stack_destroy (&stack);
    rk_graph_destroy (&ring);
    rk_graph_destroy (&more);
}

static void s_refused (const rk_stack_config_t *config, rk_err_t code, const char *word)
{
    rk_stack_t *stack = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_stack_new (&stack, config, &err), code);
    assert_null (stack);
    assert_non_null (strstr (err.text, word));
}

static void bad_input_is_refused (void **state)
{
    rk_graph_t *ring = s_graph ("ring", N, 0);
    rk_stack_config_t config = s_config (ring, N + 1);
    s_refused (&config, RK_EINVAL, "a graph of 6 replicas for 7");
    config = s_config (ring, N);
    config.model = "mlp-tinny";
    s_refused (&config, RK_ENOTFOUND, "mlp-tiny");
    config = s_config (NULL, 60000);
    s_refused (&config, RK_EINVAL, "samples a step");
    config = s_config (NULL, 0);
    s_refused (&config, RK_EINVAL, "0 replicas");
    config = s_config (ring, N);
    config.data = NULL;
    s_refused (&config, RK_EINVAL, "needs a data set");
    /* a replica that overflows is named */
    config = s_config (ring, N);
    rk_stack_t *stack = s_stack (&config);
    uint32_t culprit = N;
    rk_error_t err = {0};
    rk_stack_row (stack, 4)[0] = NAN;
    assert_int_equal (rk_stack_local (stack, 0, LR, NULL, &culprit, &err), RK_ESTATE);
    assert_int_equal (culprit, 4);
    assert_non_null (strstr (err.text, "replica 4"));
    rk_stack_destroy (&stack);
    rk_graph_destroy (&ring);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (bits_are_those_of_replicas_one_by_one),
        cmocka_unit_test (bits_do_not_depend_on_what_is_mixed_together),
        cmocka_unit_test (threads_change_no_bit),
        cmocka_unit_test (windows_give_nearly_the_same),
        cmocka_unit_test (products_give_nearly_the_same),
        cmocka_unit_test (complete_is_centralised),
        cmocka_unit_test (ada_ends_are_ring_and_complete),
        cmocka_unit_test (memory_is_predicted),
        cmocka_unit_test (bad_input_is_refused),
    };
    return cmocka_run_group_tests_name ("cluster/stack", tests, s_open, s_close);
}
