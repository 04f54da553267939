/* SPDX-License-Identifier: MPL-2.0
 * How much disagreement one walk leaves: the largest singular value of its product P on what sums to zero, by
 * Lanczos' iteration on P^T P (Golub and Van Loan, Matrix Computations, ch. 10). For normal P, as products of
 * circulants and of group averages are, it is the second largest |eigenvalue|.                              */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/walk.h"
#include "compute/rng.h"

#define MOST_ITERATIONS 4000
#define SETTLED 1e-14  /* relative change of the largest Ritz value over LOOK iterations */
#define LOOK 20
#define NOTHING 1e-7   /* a product that leaves less leaves nothing: squared, that is rounding */
#define GROWTH_STEPS 4096

static double s_dot (uint32_t n, const double *a, const double *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void s_centre (uint32_t n, double *x)
{
    double mean = 0;
    for (uint32_t i = 0; i < n; i++)
        mean += x[i];
    mean /= n;
    for (uint32_t i = 0; i < n; i++)
        x[i] -= mean;
}

static double s_normalise (uint32_t n, double *x)
{
    const double norm = sqrt (s_dot (n, x, x));
    for (uint32_t i = 0; norm > 0 && i < n; i++)
        x[i] /= norm;
    return norm;
}

static void s_start (uint32_t n, double *x)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t words[4];
        rk_rng_block (1, rk_rng_stream (RK_RNG_GRAPH, n), i, words);
        x[i] = words[0] * 0x1p-32 - 0.5;
    }
    s_centre (n, x);
    s_normalise (n, x);
}

/* x <- P^T P x; spare: n doubles. */
static void s_square (const rk_walk_t *walk, double *x, double *spare)
{
    for (uint32_t step = 0; step < walk->n_steps; step++) {
        rk_walk_apply (walk, step, x, spare);
        memcpy (x, spare, walk->n * sizeof *x);
    }
    for (uint32_t step = walk->n_steps; step > 0; step--) {
        rk_walk_apply_turned (walk, step - 1, x, spare);
        memcpy (x, spare, walk->n * sizeof *x);
    }
    s_centre (walk->n, x);
}

/* Eigenvalues of the symmetric tridiagonal matrix above `at`, by signs of pivots (Sturm). */
static uint32_t s_above (const double *diagonal, const double *beside, uint32_t m, double at)
{
    uint32_t above = 0;
    double pivot = 1;
    for (uint32_t k = 0; k < m; k++) {
        pivot = diagonal[k] - at - (k > 0 ? beside[k - 1] * beside[k - 1] / pivot : 0);
        if (pivot == 0)
            pivot = 1e-300;
        above += pivot > 0;
    }
    return above;
}

/* All eigenvalues of P^T P lie in [0, 1]: doubly stochastic matrices shrink. */
static double s_largest (const double *diagonal, const double *beside, uint32_t m)
{
    double low = -1e-9, high = 1 + 1e-9;
    for (int halving = 0; halving < 60; halving++) {
        const double middle = (low + high) / 2;
        if (s_above (diagonal, beside, m, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return high > 0 ? high : 0;
}

/* vectors: 4 n doubles; t: 2 MOST_ITERATIONS. */
static double s_lanczos (const rk_walk_t *walk, double *vectors, double *t)
{
    const uint32_t n = walk->n;
    double *now = vectors, *before = vectors + n, *next = vectors + 2 * (size_t) n, *spare = vectors + 3 * (size_t) n;
    double *diagonal = t, *beside = t + MOST_ITERATIONS, largest = 0, settled = 0, beta = 0;
    memset (before, 0, n * sizeof *before);
    s_start (n, now);
    uint32_t most = 4 * n < MOST_ITERATIONS ? 4 * n : MOST_ITERATIONS;
    for (uint32_t m = 1; m <= most; m++) {
        memcpy (next, now, n * sizeof *next);
        s_square (walk, next, spare);
        const double alpha = s_dot (n, now, next);
        for (uint32_t i = 0; i < n; i++)
            next[i] -= alpha * now[i] + beta * before[i];
        beta = s_normalise (n, next);
        diagonal[m - 1] = alpha;
        beside[m - 1] = beta;
        const bool ends = beta < 1e-14;
        if (ends || m % LOOK == 0 || m == most) {
            largest = s_largest (diagonal, beside, m);
            if (ends || fabs (largest - settled) <= SETTLED * largest)
                break;
            settled = largest;
        }
        double *oldest = before;
        before = now;
        now = next;
        next = oldest;
    }
    return largest;
}

/* Push-sum: how vectors that sum to zero grow, from the second half of many steps. */
static double s_growth (const rk_walk_t *walk, double *x, double *spare)
{
    double logs = 0;
    uint32_t counted = 0;
    s_start (walk->n, x);
    for (uint32_t step = 0; step < GROWTH_STEPS; step++) {
        rk_walk_apply (walk, step % walk->n_steps, x, spare);
        memcpy (x, spare, walk->n * sizeof *x);
        s_centre (walk->n, x);
        const double norm = s_normalise (walk->n, x);
        if (norm < NOTHING)
            return 0;
        if (step >= GROWTH_STEPS / 2) {
            logs += log (norm);
            counted++;
        }
    }
    return exp (logs / counted);
}

static void s_degrees (const rk_walk_t *walk, rk_spectrum_t *out)
{
    const size_t n_rows = (size_t) walk->n_steps * walk->n;
    out->most = 0;
    for (size_t row = 0; row < n_rows; row++) {
        const uint32_t degree = (uint32_t) (walk->first[row + 1] - walk->first[row]) - 1;
        out->most = degree > out->most ? degree : out->most;
    }
    out->degree = (double) walk->first[n_rows] / (double) n_rows - 1;
}

rk_err_t rk_spectrum_of (const rk_walk_t *walk, rk_spectrum_t *out, rk_error_t *err)
{
    const uint32_t n = walk->n;
    double *vectors = malloc ((4 * (size_t) n + 2 * MOST_ITERATIONS) * sizeof *vectors);
    if (!vectors)
        return rk_error_set (err, RK_ENOMEM, "no memory for the spectrum of %u replicas", n);
    if (n == 1)
        out->rho = 0;
    else if (walk->push_sum)
        out->rho = s_growth (walk, vectors, vectors + n);
    else {
        const double left = sqrt (s_lanczos (walk, vectors, vectors + 4 * (size_t) n));
        out->rho = left < NOTHING ? 0 : pow (left, 1.0 / walk->n_steps);
    }
    free (vectors);
    out->gap = 1 - out->rho;
    out->diameter = walk->diameter;
    s_degrees (walk, out);
    return RK_OK;
}
