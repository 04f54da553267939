/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/dispersion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TIE 1e-12
#define PIECE 4096
#define LANES 8

static int s_compare (const void *a_, const void *b_)
{
    const double a = *(const double *) a_, b = *(const double *) b_;
    return (a > b) - (a < b);
}

static double s_quantile (uint32_t n, const double *sorted, double q)
{
    const double at = (n - 1) * q;
    const uint32_t below = (uint32_t) at;
    return below + 1 < n ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[n - 1];
}

rk_dispersion_t rk_dispersion_of (uint32_t n, const double *values, double *sorted)
{
    rk_dispersion_t d = {.valid = true};
    for (uint32_t i = 0; i < n; i++) {
        d.mean += values[i] / n;
        d.valid = d.valid && isfinite (values[i]) && values[i] >= 0;
    }
    memcpy (sorted, values, n * sizeof *sorted);
    d.valid = d.valid && d.mean > 0;
    if (!d.valid)
        return d;
    qsort (sorted, n, sizeof *sorted, s_compare);
    double pairs = 0;
    for (uint32_t i = 0; i < n; i++) {
        d.variance += (sorted[i] - d.mean) * (sorted[i] - d.mean) / n;
        /* The weights sum to 0, so the mean may be taken off: small differences of large values survive. */
        pairs += (2.0 * i + 1 - n) * (sorted[i] - d.mean);
    }
    d.gini = pairs / ((double) n * n * d.mean);
    d.index = d.variance / d.mean;
    d.variation = sqrt (d.variance) / d.mean;
    const double q1 = s_quantile (n, sorted, 0.25), q3 = s_quantile (n, sorted, 0.75);
    d.quartile = q1 + q3 > 0 ? (q3 - q1) / (q3 + q1) : 0;
    return d;
}

/* ---- ranks */
void rk_ranks (uint32_t n, const double *values, uint32_t *order, double *ranks)
{
    for (uint32_t i = 0; i < n; i++) { /* few graphs: insertion */
        uint32_t at = i;
        for (; at > 0 && values[order[at - 1]] > values[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (uint32_t first = 0, end; first < n; first = end) {
        const double value = values[order[first]];
        for (end = first + 1; end < n && values[order[end]] - value <= TIE * fabs (value); end++)
            ;
        for (uint32_t at = first; at < end; at++)
            ranks[order[at]] = (first + 1 + end) / 2.0;
    }
}

double rk_correlation (uint32_t n, const double *a, const double *b)
{
    double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean_a += a[i] / n;
        mean_b += b[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        aa += (a[i] - mean_a) * (a[i] - mean_a);
        bb += (b[i] - mean_b) * (b[i] - mean_b);
        ab += (a[i] - mean_a) * (b[i] - mean_b);
    }
    return aa > 0 && bb > 0 ? ab / sqrt (aa * bb) : NAN;
}

double rk_spearman (uint32_t n, const double *a, const double *b, uint32_t *order, double *ranks)
{
    rk_ranks (n, a, order, ranks);
    rk_ranks (n, b, order, ranks + n);
    return rk_correlation (n, ranks, ranks + n);
}

/* ---- distances */
double rk_square_distance (size_t n, const float *a, const float *b)
{
    double total = 0;
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t end = n - at < PIECE ? n : at + PIECE;
        double lanes[LANES] = {0};
        size_t k = at;
        for (; k + LANES <= end; k += LANES)
            for (size_t lane = 0; lane < LANES; lane++) {
                const double difference = (double) a[k + lane] - (b ? (double) b[k + lane] : 0);
                lanes[lane] += difference * difference;
            }
        for (; k < end; k++) {
            const double difference = (double) a[k] - (b ? (double) b[k] : 0);
            lanes[k - at - (end - at) / LANES * LANES] += difference * difference;
        }
        total += ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }
    return total;
}

double rk_square_sum (size_t n, const float *x)
{
    return rk_square_distance (n, x, NULL);
}

double rk_consensus_square (uint32_t n, const double *square_norms, double square_norm_of_mean)
{
    double mean = 0;
    for (uint32_t i = 0; i < n; i++)
        mean += square_norms[i] / n;
    return mean > square_norm_of_mean ? mean - square_norm_of_mean : 0;
}
