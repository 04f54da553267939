/* SPDX-License-Identifier: MPL-2.0
 * How far replicas are apart: dispersion of one number per replica (the L2 norm of a tensor, as a rule), ranks
 * of graphs by it, and distances between parameters. All in double: the spread is often 1e-5 of the value.
 * Pure. thread: any.                                                                                         */
#ifndef RK_CLUSTER_DISPERSION_H
#define RK_CLUSTER_DISPERSION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of v_1 .. v_n >= 0 with mean m and population variance s^2 = sum (v - m)^2 / n:
 * Gini = sum_ij |v_i - v_j| / (2 n^2 m), index of dispersion = s^2 / m (not to be compared between tensors),
 * coefficient of variation = s / m, quartile coefficient = (Q3 - Q1) / (Q3 + Q1) with quartiles by linear
 * interpolation at (n - 1) q. For a narrow Gaussian spread gini = variation / sqrt (pi) and quartile =
 * 0.6745 variation, so that the four only rank differently where replicas are outliers.                     */
typedef struct {
    double mean, variance;
    double gini, index, variation, quartile;
    /* False: m is 0 (a bias that has not moved yet), or a value is negative or not finite: all four are 0. */
    bool valid;
} rk_dispersion_t;

/* sorted: room for n doubles, receives the values ascending. n >= 1. */
rk_dispersion_t rk_dispersion_of (uint32_t n, const double *values, double *sorted);

/* Rank 1 is the least; values within 1e-12 of the first of their run, relatively, share the mean of their ranks.
 * order: room for n numbers. Values are finite.                                                             */
void rk_ranks (uint32_t n, const double *values, uint32_t *order, double *ranks);
/* Correlation of a and b (Pearson); of their ranks it is Spearman's. NaN when one of them does not vary. */
double rk_correlation (uint32_t n, const double *a, const double *b);
/* order: room for n numbers; ranks: for 2 n. */
double rk_spearman (uint32_t n, const double *a, const double *b, uint32_t *order, double *ranks);

/* ---- distances. sum x^2; sum (a - b)^2 over n floats, in double, in an order that does not depend on threads:
 * pieces of 4096, each in 8 lanes.                                                                           */
double rk_square_sum (size_t n, const float *x);
double rk_square_distance (size_t n, const float *a, const float *b);
/* Xi^2 = (1/n) sum_i |x_i - mean|^2, from the replicas' squared norms and that of their mean: exact, but of no
 * use below about 1e-7 of the norms if those are of floats; never below 0.                                  */
double rk_consensus_square (uint32_t n, const double *square_norms, double square_norm_of_mean);

#endif
