/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "compute/pool.h"

#define N_TASKS 1000

typedef struct {
    atomic_int runs[N_TASKS];
    atomic_int busy[RK_POOL_MAX_THREADS]; /* tasks a worker index is in at once */
    atomic_int clashes;
    size_t n_threads;
    size_t work; /* turns that a task takes */
} s_log_t;

static void s_note (void *arg, size_t task, size_t worker)
{
    s_log_t *log = arg;
    if (worker >= log->n_threads || atomic_fetch_add (&log->busy[worker], 1))
        atomic_fetch_add (&log->clashes, 1);
    for (volatile size_t work = 0; work < log->work; work++)
        ;
    atomic_fetch_add (&log->runs[task], 1);
    atomic_fetch_sub (&log->busy[worker], 1);
}

static void s_check_pool (rk_pool_t *pool)
{
    static s_log_t log;
    static const size_t counts[] = {0, 1, 2, 3, 17, N_TASKS};
    for (int repeat = 0; repeat < 50; repeat++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            memset (&log, 0, sizeof log);
            log.n_threads = rk_pool_n_threads (pool);
            log.work = counts[i] < 20 ? 20000 : 0; /* long enough for a run to end too early */
            rk_pool_run (pool, counts[i], s_note, &log);
            assert_int_equal (log.clashes, 0);
            for (size_t t = 0; t < N_TASKS; t++)
                assert_int_equal (log.runs[t], t < counts[i]);
        }
}

static void s_every_task_once (void **state)
{
    s_check_pool (NULL);
    for (size_t n = 1; n <= 5; n++) {
        rk_pool_t *pool = NULL;
        assert_int_equal (rk_pool_new (&pool, n, NULL), RK_OK);
        assert_int_equal (rk_pool_n_threads (pool), n);
        s_check_pool (pool);
        rk_pool_destroy (&pool);
        assert_null (pool);
        rk_pool_destroy (&pool);
    }
}

static void s_refuses (void **state)
{
    rk_pool_t *pool = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_pool_new (&pool, 0, &err), RK_EINVAL);
    assert_int_equal (rk_pool_new (&pool, RK_POOL_MAX_THREADS + 1, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "257"));
    assert_null (pool);
    assert_int_equal (rk_pool_n_threads (NULL), 1);
}

/* A pool with nothing to do uses no processor time: less than a tenth of the time that passes. */
static void s_idle (void **state)
{
    rk_pool_t *pool = NULL;
    struct rusage before, after;
    assert_int_equal (rk_pool_new (&pool, 4, NULL), RK_OK);
    s_check_pool (pool);
    getrusage (RUSAGE_SELF, &before);
    nanosleep (&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
    getrusage (RUSAGE_SELF, &after);
    long us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
              after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_in_range (us, 0, 20000);
    rk_pool_destroy (&pool);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_every_task_once),
        cmocka_unit_test (s_refuses),
        cmocka_unit_test (s_idle),
    };
    return cmocka_run_group_tests_name ("compute/pool", tests, NULL, NULL);
}
