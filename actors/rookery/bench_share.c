/* SPDX-License-Identifier: MPL-2.0 */
#include <signal.h>
#include <sys/time.h>

#include "actors/rookery/bench.h"
#include "compute/blas.h"

/* Written by the handler, in whichever thread the signal comes to. */
static volatile sig_atomic_t s_looks, s_inside;

static void s_look (int number)
{
    (void) number;
    s_looks++;
    if (rk_blas_inside ())
        s_inside++;
}

static void s_every (long us)
{
    const struct itimerval timer = {{0, us}, {0, us}};
    setitimer (ITIMER_PROF, &timer, NULL);
}

void rk_bench_share_begin (void)
{
    struct sigaction action = {.sa_handler = s_look, .sa_flags = SA_RESTART};
    sigemptyset (&action.sa_mask);
    s_looks = s_inside = 0;
    sigaction (SIGPROF, &action, NULL);
    s_every (1000);
}

double rk_bench_share_end (void)
{
    s_every (0);
    return s_looks ? 100.0 * (double) s_inside / (double) s_looks : 0;
}
