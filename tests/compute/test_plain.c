/* SPDX-License-Identifier: MPL-2.0
 * Training as a whole: it learns, it repeats, and a step allocates nothing.                          */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/plain.h"

/* Counts what this program allocates: the names come before those of the C library. */
static size_t s_n_allocations;
void *__libc_malloc (size_t);
void *__libc_calloc (size_t, size_t);
void *__libc_realloc (void *, size_t);
void *__libc_memalign (size_t, size_t);

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS 1
void *malloc (size_t size)
{
    s_n_allocations++;
    return __libc_malloc (size);
}

void *calloc (size_t n, size_t size)
{
    s_n_allocations++;
    return __libc_calloc (n, size);
}

void *realloc (void *memory, size_t size)
{
    s_n_allocations++;
    return __libc_realloc (memory, size);
}

void *aligned_alloc (size_t alignment, size_t size)
{
    s_n_allocations++;
    return __libc_memalign (alignment, size);
}

int posix_memalign (void **memory, size_t alignment, size_t size)
{
    s_n_allocations++;
    *memory = __libc_memalign (alignment, size);
    return *memory ? 0 : 12;
}
#else
#define COUNTS 0
#endif

static rk_data_t *s_data;

static rk_plain_t *s_new (const char *model, const char *optimizer, float lr, uint64_t seed)
{
    rk_error_t err = {0};
    rk_plain_t *plain;
    const rk_plain_config_t config = {
        .model = model, .data = s_data, .batch = 32, .seed = seed, .optimizer = optimizer,
        .optim = {.momentum = 0.9f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f},
        .lr = {.name = "constant", .base = lr}};
    if (rk_plain_new (&plain, &config, &err))
        fail_msg ("%s", err.text);
    return plain;
}

static void s_steps (rk_plain_t *plain, uint64_t from, uint64_t to)
{
    rk_error_t err = {0};
    for (uint64_t f = from; f < to; f++)
        if (rk_plain_step (plain, f, NULL, &err))
            fail_msg ("%s", err.text);
}

static double s_accuracy (rk_plain_t *plain)
{
    rk_loss_t loss;
    assert_int_equal (rk_plain_evaluate (plain, RK_SPLIT_TEST, &loss, NULL), RK_OK);
    assert_int_equal (loss.n_counted, rk_data_n (s_data, RK_SPLIT_TEST));
    return (double) loss.n_correct / loss.n_counted;
}

static void test_learns (void **state)
{
    static const struct {
        const char *model, *optimizer;
        float lr;
        uint64_t steps;
    } cases[] = {{"mlp-tiny", "sgd", 0.02f, 128}, {"mlp-tiny", "adam", 0.002f, 128}, {"cnn-tiny", "sgd", 0.03f, 256},
                 {"dense-tiny", "sgd", 0.005f, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_plain_t *plain = s_new (cases[i].model, cases[i].optimizer, cases[i].lr, 1);
        const double before = s_accuracy (plain);
        s_steps (plain, 0, cases[i].steps);
        assert_true (before < 0.3);
        const double after = s_accuracy (plain);
        if (after < 0.85)
            fail_msg ("%s with %s: %.3f after %d steps", cases[i].model, cases[i].optimizer, after, (int) cases[i].steps);
        rk_plain_destroy (&plain);
        rk_plain_destroy (&plain);
    }
}

/* The same seed gives the same bits, another seed does not. */
static void test_repeats (void **state)
{
    rk_plain_t *a = s_new ("dense-tiny", "sgd", 0.02f, 1), *b = s_new ("dense-tiny", "sgd", 0.02f, 1);
    rk_plain_t *c = s_new ("dense-tiny", "sgd", 0.02f, 2);
    const size_t bytes = rk_model_flat_at (rk_plain_model (a), rk_model_n_layers (rk_plain_model (a))) * sizeof (float);
    s_steps (a, 0, 20);
    s_steps (b, 0, 20);
    s_steps (c, 0, 20);
    assert_memory_equal (rk_plain_flat (a), rk_plain_flat (b), bytes);
    assert_memory_not_equal (rk_plain_flat (a), rk_plain_flat (c), bytes);
    rk_plain_destroy (&a);
    rk_plain_destroy (&b);
    rk_plain_destroy (&c);
}

static void test_a_step_allocates_nothing (void **state)
{
    static const char *const names[] = {"mlp-tiny", "cnn-tiny", "residual-tiny", "dense-tiny"};
    if (!COUNTS)
        return; /* the sanitizers bring their own allocator */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rk_plain_t *plain = s_new (names[i], "sgd", 0.02f, 1);
        s_steps (plain, 0, 2); /* BLIS sets up its pools on first use */
        const size_t before = s_n_allocations;
        s_steps (plain, 2, 102);
        assert_int_equal (s_n_allocations - before, 0);
        free (malloc (1));
        assert_int_equal (s_n_allocations - before, 1); /* the counter counts */
        rk_plain_destroy (&plain);
    }
}

static void test_refusals (void **state)
{
    rk_error_t err = {0};
    rk_plain_t *plain;
    rk_plain_config_t config = {.model = "mlp-tiny", .data = s_data, .batch = 0, .seed = 1, .optimizer = "sgd",
                                .lr = {.name = "constant", .base = 0.1f}};
    assert_int_equal (rk_plain_new (&plain, &config, &err), RK_EINVAL);
    assert_null (plain);
    config.batch = 8;
    config.lr.name = "const";
    assert_int_equal (rk_plain_new (&plain, &config, &err), RK_ENOTFOUND);
    config.model = "mlp_tiny";
    config.lr.name = "constant";
    assert_int_equal (rk_plain_new (&plain, &config, &err), RK_ENOTFOUND);
    assert_non_null (strstr (err.text, "mlp-tiny"));
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) || rk_data_open (&s_data, "synthetic", NULL, NULL) ? -1 : 0;
}

static int s_teardown (void **state)
{
    rk_data_close (&s_data);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_learns),
        cmocka_unit_test (test_repeats),
        cmocka_unit_test (test_a_step_allocates_nothing),
        cmocka_unit_test (test_refusals),
    };
    return cmocka_run_group_tests (tests, s_setup, s_teardown);
}
