/* SPDX-License-Identifier: MPL-2.0
 * What a graph will do, before it is used: whether its matrices are doubly stochastic, how fast disagreement
 * dies, how many neighbours each replica really has, how far parameters spread under gradient noise (ada.md
 * §4). Pure, in double, for any graph, period and order; nothing assumes symmetry unless it says so.        */
#ifndef RK_CLUSTER_SPECTRUM_H
#define RK_CLUSTER_SPECTRUM_H
#include "cluster/graph.h"

/* W(t) of some steps in a row, as sparse matrices of doubles with the weights mix.h really applies (a mean of
 * k is 1/k, not the float next to it).                                                                      */
typedef struct rk_walk rk_walk_t;

/* n_steps from `at` on with its pass and control; 0: rk_graph_horizon.
 * Every matrix is checked: weights above 0, rows and columns the same links, sums of columns (and of rows
 * unless the graph needs push-sum) 1 within 1e-12, everybody reached over all the steps together.
 * errors: RK_EINVAL (the text names step, row and sum), RK_ENOMEM, RK_EUNSUPPORTED (more than 2^26 weights). */
rk_err_t rk_walk_new (rk_walk_t **walk_p, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t n_steps,
                      rk_error_t *err) RK_MUST_CHECK;
void rk_walk_destroy (rk_walk_t **walk_p);
uint32_t rk_walk_n_steps (const rk_walk_t *walk);

/* out = W(first + step) x, or its transpose times x. x, out: n doubles, not overlapping. */
void rk_walk_apply (const rk_walk_t *walk, uint32_t step, const double *x, double *out);
void rk_walk_apply_turned (const rk_walk_t *walk, uint32_t step, const double *x, double *out);

typedef struct {
    double rho;      /* per step: the product's largest gain of disagreement, to the power 1 / n_steps. For one W
                      * that is normal (every graph here but erdos-renyi's like products and directed) this is
                      * the second largest |eigenvalue|. Push-sum: growth of zero-sum vectors, to about 1e-3. */
    double gap;      /* 1 - rho */
    double degree;   /* connections heard per replica and step, mean */
    uint32_t most;   /* ... largest */
    uint32_t diameter; /* links of all steps together: most hops between two replicas */
} rk_spectrum_t;

/* errors: RK_ENOMEM. */
rk_err_t rk_spectrum_of (const rk_walk_t *walk, rk_spectrum_t *out, rk_error_t *err) RK_MUST_CHECK;

/* Effective number of neighbours at memory gamma in [0, 1) (Vogels et al., NeurIPS 2022): [1 / (1 - gamma)] / mean
 * variance of the walk x <- W (sqrt (gamma) x + noise). Steps repeat after n_steps.
 * noise: spread of parameters in units of (learning rate)^2 (gradient noise variance), mean over replicas and
 * over the steps of the walk, for heavy-ball momentum mu kept locally: before mixing (ATC; AWC's state) and
 * after. Graphs whose replicas differ (irregular) are sampled at 64 replicas when there are more than 512.
 * errors: RK_ENOMEM, RK_EINVAL (gamma, mu not in [0, 1); push-sum; it never settles).                       */
rk_err_t rk_walk_neighbours (const rk_walk_t *walk, double gamma, double *effective, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_walk_noise (const rk_walk_t *walk, double mu, double *before, double *after, rk_error_t *err) RK_MUST_CHECK;
/* In the same units, what replicas see of it by themselves: the mean square of x_i - (W x)_i before mixing. */
rk_err_t rk_walk_seen (const rk_walk_t *walk, double mu, double *seen, rk_error_t *err) RK_MUST_CHECK;

#endif
