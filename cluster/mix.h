/* SPDX-License-Identifier: MPL-2.0
 * The arithmetic of mixing, on flat float ranges: what a row of W does to parameters, and what the orders and
 * momenta around it do. Used by the reducer and by the stacked simulation alike, so that both give the same
 * bits. Pure; elementwise, so a range may be cut into pieces of any size without changing a bit. Received
 * ranges are `const void *`: floats at any address. thread: any.

 * One averaging of replica i, with x the parameters when the round began and x' after its local steps
 * (ada.md §5; W is the row, a sum over edges in ascending order of peers):
 *   ATC (adapt, then combine)        x <- sum_j W_ij x'_j                  mix
 *   AWC (adapt while combining)      x <- x' + sum_j W_ij x_j - x_i        mix, rk_mix_correct
 *   damped                           x <- (1 - a) x' + a (W x')_i          mix, rk_mix_blend
 *   momentum: local (nothing), synchronised (m is mixed as x is), quasi-global (rk_mix_quasi_global)
 *   gradient tracking                rk_mix_track, mix of both ranges
 *   push-sum                         rk_mix_push, mix of mass and weight, rk_mix_ratio                       */
#ifndef RK_CLUSTER_MIX_H
#define RK_CLUSTER_MIX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cluster/graph.h"

/* ---- one row, at once or as neighbours arrive */
/* A row of k weights 1/k is a plain mean: summed, then divided once, which keeps the mean of all replicas free
 * of the rounding of 1/k and gives all members of a group the same bits.                                    */
bool rk_mix_is_mean (const rk_graph_edge_t *edges, uint32_t n_edges);
/* sum = the first edge's part;  sum += a further one's;  the end of the row. Always in ascending order of
 * peers, replica i itself in its place. mean: rk_mix_is_mean of the row. x may be sum itself in begin.      */
void rk_mix_begin (bool mean, float weight, size_t n, const void *x, float *sum);
void rk_mix_add (bool mean, float weight, size_t n, const void *x, float *sum);
void rk_mix_end (bool mean, uint32_t n_edges, size_t n, float *sum);
/* The same bits in one call, in pieces that stay in the cache: out[0..n) = row over inputs[e][0..n), where
 * inputs[e] belongs to edges[e]. out overlaps no input.                                                     */
void rk_mix_row (const rk_graph_edge_t *edges, uint32_t n_edges, const void *const *inputs, size_t n, float *out);

/* ---- orders */
/* live += mixed - snapshot: AWC, and the overlapped mode's correction by a late mean. */
void rk_mix_correct (size_t n, const float *mixed, const float *snapshot, float *live);
/* out = (1 - a) x + a mixed;  out may be x or mixed. */
void rk_mix_blend (size_t n, float a, const float *x, const float *mixed, float *out);

/* ---- quasi-global momentum (Lin et al., ICML 2021): m <- (1 - c) m + c (before - after) / (lr steps)
 * m: as it was at the beginning of the round, whose local steps start from it; before: x then; after: x after
 * the mixing. scale = 1 / (lr steps) of the round. c: 1 - mu of the local steps is usual.                    */
void rk_mix_quasi_global (size_t n, float c, float scale, const float *before, const float *after, float *m);

/* ---- gradient tracking over rounds: d = x - x' is what the local steps did;  y <- W y_mixed + d - d_last
 * follows the mean of all d, and x <- W (x - y). before: x;  x: x' in, x - y out, to be mixed;  y: as mixed
 * last (0 at first) in, to be mixed out;  d: d_last in (0 at first), d out. sum_i y_i = sum_i d_i always.     */
void rk_mix_track (size_t n, const float *before, float *x, float *y, float *d);

/* ---- push-sum (Assran et al., ICML 2019): the replica's parameters are z = mass / weight, columns of W sum
 * to 1, mass and weight are mixed alike (weight: one number per replica, 1 at first, sum_i weight_i kept).
 * rk_mix_push: mass += share (z' - z) after local steps from z to z';  share: 1, or the replica's samples over
 * the mean of all.  rk_mix_ratio: z = mass / weight. weight > 0.                                             */
void rk_mix_push (size_t n, float share, const float *before, const float *after, float *mass);
void rk_mix_ratio (size_t n, double weight, const float *mass, float *z);
/* The weights' own row, in double, in the same order. */
double rk_mix_weight (const rk_graph_edge_t *edges, uint32_t n_edges, const double *weights_of_edges);

#endif
