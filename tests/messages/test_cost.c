/* SPDX-License-Identifier: MPL-2.0
 * What an envelope costs: no allocation (checked) and how many nanoseconds (printed, never checked).      */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/messages/sample.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define COUNTING 0
#else
#define COUNTING 1
#endif

#if COUNTING
static size_t s_allocations;

extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t n, size_t size);

void *malloc (size_t size)
{
    s_allocations++;
    return __libc_malloc (size);
}

void *calloc (size_t n, size_t size)
{
    s_allocations++;
    return __libc_calloc (n, size);
}
#endif

static sample_t s_sample = {.state = 0x853c49e6748fea9bull};
static rk_wire_arena_t *s_arena;
static uint8_t s_bytes[1 << 16];

#if COUNTING
/* Everything said once per minibatch or more often, and the rest without lists of structs. */
static bool s_is_frequent (int kind)
{
    return kind != RK_MSG_PROFILE && kind != RK_MSG_WIRED && kind != RK_MSG_PEERS && kind != RK_MSG_KEYS && kind != RK_MSG_STATUS && kind != RK_MSG_RETIRE;
}
#endif

static int s_setup (void **state)
{
    return rk_wire_arena_new (&s_arena);
}

static int s_teardown (void **state)
{
    rk_wire_arena_destroy (&s_arena);
    return 0;
}

#if COUNTING
static void s_no_allocation (void **state)
{
    rk_msg_t out;
    volatile void *probe = malloc (1); /* the counter does count */
    assert_true (s_allocations > 0);
    free ((void *) probe);
    for (int kind = 1; kind < RK_N_MSG; kind++)
        for (int i = 0; i < 100 && s_is_frequent (kind); i++) {
            rk_msg_t in = sample_msg (&s_sample, (rk_msg_kind_t) kind);
            size_t before = s_allocations;
            size_t n = rk_wire_pack (&in, s_bytes, sizeof s_bytes);
            rk_err_t rc = rk_wire_parse (s_bytes, n, s_arena, &out, NULL);
            size_t used = s_allocations - before;
            assert_int_equal (rc, RK_OK);
            assert_int_equal (used, 0);
        }
}
#endif

static double s_now_ns (void)
{
    struct timespec t;
    clock_gettime (CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* Medians of 15 runs of 2000. */
static int s_ascending (const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void s_times (void **state)
{
    enum { RUNS = 15, N = 2000 };
    static const rk_msg_kind_t kinds[] = {RK_MSG_ACTIVATION, RK_MSG_GRADIENT, RK_MSG_CREDIT,
                                          RK_MSG_CHUNK,      RK_MSG_LEASE_GRANT, RK_MSG_REPORT};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        double pack[RUNS], parse[RUNS];
        rk_msg_t in = sample_msg (&s_sample, kinds[k]), out;
        size_t n = 0;
        for (int run = 0; run < RUNS; run++) {
            double start = s_now_ns ();
            for (int i = 0; i < N; i++)
                n = rk_wire_pack (&in, s_bytes, sizeof s_bytes);
            double middle = s_now_ns ();
            for (int i = 0; i < N; i++)
                if (rk_wire_parse (s_bytes, n, s_arena, &out, NULL))
                    fail ();
            pack[run] = (middle - start) / N;
            parse[run] = (s_now_ns () - middle) / N;
        }
        qsort (pack, RUNS, sizeof *pack, s_ascending);
        qsort (parse, RUNS, sizeof *parse, s_ascending);
        printf ("%-12s %4zu bytes  pack %4.0f ns  parse %4.0f ns\n", rk_msg_kind_name (kinds[k]), n, pack[RUNS / 2],
                parse[RUNS / 2]);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
#if COUNTING
        cmocka_unit_test (s_no_allocation),
#endif
        cmocka_unit_test (s_times),
    };
    return cmocka_run_group_tests_name ("messages/cost", tests, s_setup, s_teardown);
}
