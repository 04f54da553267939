/* SPDX-License-Identifier: MPL-2.0
 * No allocation of ours per minibatch: the linker sends the library's own calls of malloc and its kin through
 * here (those of libzmq and CZMQ are theirs); a run of twice the length must not make more of them outside the
 * test's own thread.                                                                                       */
#include "tests/support/rig.h"

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

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (a_longer_run_allocates_no_more)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
