/* SPDX-License-Identifier: MPL-2.0
 * Pools of lent buffers: alignment, references, and memory that outlives its pool. */
#include "actors/buffers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <czmq.h>

static void buffers_are_aligned_zeroed_and_apart (void **state)
{
    rk_buffers_t *pool = NULL;
    assert_int_equal (rk_buffers_new (&pool, 5, 100, 24), RK_OK);
    rk_buffer_t *buffer[5];
    for (int i = 0; i < 5; i++) {
        buffer[i] = rk_buffers_take (pool);
        assert_non_null (buffer[i]);
        assert_int_equal ((uintptr_t) buffer[i]->bytes % 64, 0);
        assert_int_equal ((uintptr_t) buffer[i]->extra % 64, 0);
        for (int k = 0; k < 100; k++)
            assert_int_equal (buffer[i]->bytes[k], 0);
        memset (buffer[i]->bytes, 1 + i, 100);
        memset (buffer[i]->extra, 11 + i, 24);
    }
    assert_null (rk_buffers_take (pool));
    for (int i = 0; i < 5; i++) {
        assert_int_equal (buffer[i]->bytes[99], 1 + i);
        assert_int_equal (((uint8_t *) buffer[i]->extra)[23], 11 + i);
        rk_buffer_unref (buffer[i]);
    }
    rk_buffers_destroy (&pool);
    assert_null (pool);
}

static void a_buffer_is_free_when_nobody_holds_it (void **state)
{
    rk_buffers_t *pool = NULL;
    assert_int_equal (rk_buffers_new (&pool, 2, 8, 0), RK_OK);
    rk_buffer_t *a = rk_buffers_take (pool), *b = rk_buffers_take (pool);
    assert_int_equal (rk_buffers_in_use (pool), 2);
    rk_buffer_ref (a);
    assert_false (rk_buffer_sole (a));
    rk_buffer_unref (a);
    assert_true (rk_buffer_sole (a));
    assert_null (rk_buffers_take (pool));
    rk_buffer_release (a->bytes, a);
    assert_int_equal (rk_buffers_in_use (pool), 1);
    assert_ptr_equal (rk_buffers_take (pool), a);
    rk_buffer_unref (a);
    rk_buffer_unref (b);
    rk_buffer_unref (NULL);
    rk_buffers_destroy (&pool);
}

/* Valgrind and AddressSanitizer see it if the memory went with the pool. */
static void lent_memory_outlives_its_pool (void **state)
{
    rk_buffers_t *pool = NULL;
    assert_int_equal (rk_buffers_new (&pool, 1, 4096, 0), RK_OK);
    rk_buffer_t *buffer = rk_buffers_take (pool);
    memset (buffer->bytes, 42, 4096);
    rk_buffers_destroy (&pool);
    assert_int_equal (buffer->bytes[4095], 42);
    rk_buffer_release (buffer->bytes, buffer);
}

static void *s_give_back (void *buffer)
{
    for (int i = 0; i < 100000; i++)
        rk_buffer_unref (rk_buffer_ref (buffer));
    rk_buffer_unref (buffer);
    return NULL;
}

static void references_may_be_dropped_by_any_thread (void **state)
{
    rk_buffers_t *pool = NULL;
    assert_int_equal (rk_buffers_new (&pool, 1, 64, 0), RK_OK);
    rk_buffer_t *buffer = rk_buffers_take (pool);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal (pthread_create (&threads[i], NULL, s_give_back, rk_buffer_ref (buffer)), 0);
    for (int i = 0; i < 3; i++)
        pthread_join (threads[i], NULL);
    assert_true (rk_buffer_sole (buffer));
    rk_buffer_unref (buffer);
    assert_int_equal (rk_buffers_in_use (pool), 0);
    rk_buffers_destroy (&pool);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (buffers_are_aligned_zeroed_and_apart),
        cmocka_unit_test (a_buffer_is_free_when_nobody_holds_it),
        cmocka_unit_test (lent_memory_outlives_its_pool),
        cmocka_unit_test (references_may_be_dropped_by_any_thread),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
