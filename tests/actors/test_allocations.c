/* SPDX-License-Identifier: MPL-2.0
 * No allocation of ours per minibatch: the linker sends the library's own calls of malloc and its kin through
 * here (those of libzmq and CZMQ are theirs); a run of twice the length must not make more of them outside the
 * test's own thread.                                                                                       */
#include "compute/blas.h"
#include "compute/pool.h"
#include "tests/support/chain.h"
#include "tests/support/rig.h"
#include "tests/support/zoo.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

void *__real_malloc (size_t size);
void *__real_calloc (size_t n, size_t size);
void *__real_realloc (void *memory, size_t size);
void *__real_aligned_alloc (size_t align, size_t size);
void *__wrap_malloc (size_t size);
void *__wrap_calloc (size_t n, size_t size);
void *__wrap_realloc (void *memory, size_t size);
void *__wrap_aligned_alloc (size_t align, size_t size);

static atomic_ulong s_count;
static pthread_t s_main; /* the scripted leader's thread allocates as it likes */

static void s_seen (void)
{
    if (!pthread_equal (pthread_self (), s_main))
        atomic_fetch_add (&s_count, 1);
}

void *__wrap_malloc (size_t size)
{
    s_seen ();
    return __real_malloc (size);
}

void *__wrap_calloc (size_t n, size_t size)
{
    s_seen ();
    return __real_calloc (n, size);
}

void *__wrap_realloc (void *memory, size_t size)
{
    s_seen ();
    return __real_realloc (memory, size);
}

void *__wrap_aligned_alloc (size_t align, size_t size)
{
    s_seen ();
    return __real_aligned_alloc (align, size);
}

static unsigned long s_allocations (uint64_t passes, const char *transport, rk_average_mode_t mode, rk_wire_dtype_t wire)
{
    rk_model_t *model = rig_residual ();
    rig_config_t config = {.model = model, .data = rig_data (), .n_clusters = 2, .counts = {3, 2}, .transport = transport};
    rig_settings (&config.settings);
    config.settings.run_passes = passes;
    config.settings.average_mode = mode;
    config.settings.pipeline_wire = wire;
    config.settings.train_lr = 0.005; /* overlapped, 0.05 diverges, which would end the run */
    rig_result_t result;
    atomic_store (&s_count, 0);
    rig_run (&config, &result);
    unsigned long count = atomic_load (&s_count);
    rig_clear (&result);
    rk_model_destroy (&model);
    return count;
}

static void a_longer_run_allocates_no_more (void **state)
{
    s_main = pthread_self ();
    unsigned long once = s_allocations (1, "inproc", RK_AVERAGE_DRAINED, RK_WIRE_F32);
    assert_true (once > 100); /* it does count */
    assert_int_equal (s_allocations (2, "inproc", RK_AVERAGE_DRAINED, RK_WIRE_F32), once);
    once = s_allocations (1, "tcp", RK_AVERAGE_OVERLAPPED, RK_WIRE_F16);
    assert_int_equal (s_allocations (2, "tcp", RK_AVERAGE_OVERLAPPED, RK_WIRE_F16), once);
    rig_data_close ();
}

/* ---- every kind of layer, in stages without actors: 100 steps allocate nothing */

typedef struct {
    rk_chain_t *chain;
    float *flat;
    bool spoil; /* mutation: one allocation */
} s_steps_t;

static void *s_run_steps (void *arg)
{
    s_steps_t *steps = arg;
    for (uint64_t f = 0; f < 100; f++) {
        rk_chain_forward (steps->chain, 0, f, steps->chain->batch - f % 3, steps->flat, steps->flat);
        rk_chain_backward (steps->chain, 0, steps->flat);
    }
    if (steps->spoil)
        free (__wrap_malloc (1));
    return NULL;
}

static unsigned long s_allocations_of_layers (int which, bool spoil)
{
    rk_model_t *model = rk_zoo_model (which);
    rk_pool_t *pool;
    assert_int_equal (rk_pool_new (&pool, 2, NULL), RK_OK);
    const rk_slice_config_t config = {.batch = 11, .n_contexts = 1, .seed = 1, .pool = pool};
    s_steps_t steps = {.chain = rk_chain_new_even (model, 3, &config), .flat = rk_zoo_flat (model), .spoil = spoil};
    pthread_t thread;
    atomic_store (&s_count, 0);
    assert_int_equal (pthread_create (&thread, NULL, s_run_steps, &steps), 0);
    pthread_join (thread, NULL);
    const unsigned long count = atomic_load (&s_count);
    rk_chain_destroy (&steps.chain);
    rk_pool_destroy (&pool);
    free (steps.flat);
    rk_model_destroy (&model);
    return count;
}

static void layers_allocate_nothing (void **state)
{
    s_main = pthread_self ();
    assert_int_equal (rk_blas_init ("auto", NULL), RK_OK);
    for (int which = 0; which < RK_ZOO_N; which++)
        assert_int_equal (s_allocations_of_layers (which, false), 0);
    assert_int_equal (s_allocations_of_layers (0, true), 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (a_longer_run_allocates_no_more),
                                       cmocka_unit_test (layers_allocate_nothing)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
