/* SPDX-License-Identifier: MPL-2.0
 * Spread by impulses: what one replica's noise of one step does to all replicas ever after, squared and summed
 * over all ages, is its share of the variance. Needs no eigenvalues and holds for any order of any matrices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/walk.h"

#define ALL_UP_TO 512u
#define SAMPLE 64u
#define MOST_STEPS 4000000u
#define ENOUGH 1e-13 /* of the sum: so little in a period, or behind it at the rate it falls */
#define STEADY 1e-9  /* change of that rate, as part of its distance from 1, from which on it is believed */

enum { BEFORE = 0, AFTER, SEEN, N_SUMS };

/* An impulse travelling: x as mixed, m its momentum; sums of squares before mixing, after it, and of what
 * mixing changed. */
typedef struct {
    double *x, *m, *spare;
    double sums[N_SUMS];
    double in_period[N_SUMS], last_period, factor; /* of this period; of BEFORE a period ago; and the ratio of these */
} s_impulse_t;

/* At the end of a period: whether what is still to come is little, or known, and is then added. Once only the
 * slowest mode is left, a period has a fixed part of the one before it.                                     */
static bool s_settled (s_impulse_t *p)
{
    const double factor = p->last_period > 0 ? p->in_period[BEFORE] / p->last_period : 1;
    const bool little = p->in_period[BEFORE] <= ENOUGH * p->sums[BEFORE] && factor < 0.99;
    const bool steady = factor < 1 && fabs (factor - p->factor) <= STEADY * (1 - factor);
    for (int sum = 0; steady && sum < N_SUMS; sum++)
        p->sums[sum] += p->in_period[sum] * factor / (1 - factor);
    p->factor = factor;
    p->last_period = p->in_period[BEFORE];
    memset (p->in_period, 0, sizeof p->in_period);
    return little || steady || p->last_period == 0;
}

/* Replica `source` gets 1 at step `start`. mu: what momentum keeps; keep: what x keeps (sqrt gamma of a walk);
 * centred: only disagreement counts. False: does not settle.                                                */
static bool s_run (const rk_walk_t *walk, uint32_t source, uint32_t start, double mu, double keep, bool centred,
                   s_impulse_t *p)
{
    const uint32_t n = walk->n;
    double push = 1;
    p->last_period = p->factor = 0;
    memset (p->in_period, 0, sizeof p->in_period);
    memset (p->x, 0, n * sizeof *p->x);
    for (uint32_t i = 0; i < n; i++)
        p->m[i] = (i == source) - (centred ? 1.0 / n : 0);
    for (uint32_t age = 0; age < MOST_STEPS; age++) {
        double now[N_SUMS] = {0};
        for (uint32_t i = 0; i < n; i++) {
            p->x[i] = keep * p->x[i] + push * p->m[i];
            now[BEFORE] += p->x[i] * p->x[i];
        }
        rk_walk_apply (walk, (start + age) % walk->n_steps, p->x, p->spare);
        double *mixed = p->spare;
        for (uint32_t i = 0; i < n; i++) {
            now[AFTER] += mixed[i] * mixed[i];
            now[SEEN] += (p->x[i] - mixed[i]) * (p->x[i] - mixed[i]);
        }
        p->spare = p->x;
        p->x = mixed;
        for (int sum = 0; sum < N_SUMS; sum++) {
            p->sums[sum] += now[sum];
            p->in_period[sum] += now[sum];
        }
        push *= mu;
        if ((age + 1) % walk->n_steps == 0 && s_settled (p))
            return true;
    }
    return false;
}

/* Means over sources and over starts in the walk. */
static rk_err_t s_spread (const rk_walk_t *walk, double mu, double keep, bool centred, double means[N_SUMS],
                          rk_error_t *err)
{
    const uint32_t n = walk->n;
    if (walk->push_sum)
        return rk_error_set (err, RK_EINVAL, "spread under noise is not defined for push-sum");
    const uint32_t n_sources = !walk->irregular ? 1 : n <= ALL_UP_TO ? n : SAMPLE;
    double *room = malloc (3 * (size_t) n * sizeof *room);
    if (!room)
        return rk_error_set (err, RK_ENOMEM, "no memory for impulses over %u replicas", n);
    s_impulse_t p = {.x = room, .m = room + n, .spare = room + 2 * (size_t) n};
    bool settles = true;
    for (uint32_t source = 0; settles && source < n_sources; source++)
        for (uint32_t start = 0; settles && start < walk->n_steps; start++)
            settles = s_run (walk, (uint32_t) ((uint64_t) source * n / n_sources), start, mu, keep, centred, &p);
    free (room);
    if (!settles)
        return rk_error_set (err, RK_EINVAL, "disagreement over %u replicas does not die within %u steps", n,
                             MOST_STEPS);
    for (int sum = 0; sum < N_SUMS; sum++)
        means[sum] = p.sums[sum] / ((double) n_sources * walk->n_steps);
    return RK_OK;
}

rk_err_t rk_walk_neighbours (const rk_walk_t *walk, double gamma, double *effective, rk_error_t *err)
{
    double means[N_SUMS];
    if (!(gamma >= 0 && gamma < 1))
        return rk_error_set (err, RK_EINVAL, "memory gamma %g is not in [0, 1)", gamma);
    /* keep acts on x as it enters a step: W (sqrt (gamma) x + noise). */
    rk_err_t rc = s_spread (walk, 0, sqrt (gamma), false, means, err);
    if (!rc)
        *effective = 1 / (1 - gamma) / means[AFTER];
    return rc;
}

static rk_err_t s_noise (const rk_walk_t *walk, double mu, double means[N_SUMS], rk_error_t *err)
{
    if (!(mu >= 0 && mu < 1))
        return rk_error_set (err, RK_EINVAL, "momentum %g is not in [0, 1)", mu);
    return s_spread (walk, mu, 1, true, means, err);
}

rk_err_t rk_walk_noise (const rk_walk_t *walk, double mu, double *before, double *after, rk_error_t *err)
{
    double means[N_SUMS];
    rk_err_t rc = s_noise (walk, mu, means, err);
    if (!rc) {
        *before = means[BEFORE];
        *after = means[AFTER];
    }
    return rc;
}

rk_err_t rk_walk_seen (const rk_walk_t *walk, double mu, double *seen, rk_error_t *err)
{
    double means[N_SUMS];
    rk_err_t rc = s_noise (walk, mu, means, err);
    if (!rc)
        *seen = means[SEEN];
    return rc;
}
