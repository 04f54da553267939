/* SPDX-License-Identifier: MPL-2.0
 * Many replicas in one process: the parameters of replica i are row i of a matrix X (n x d floats), its
 * optimiser state row i of other matrices. Gradients come from compute's slices, a row being their parameters;
 * mixing is x_i <- sum_j W_ij x_j over the rows, in place, by panels of columns, so that no second X is needed.
 * Graph, schedule and numbers are those of a run of actors; only sockets and time differ (cluster/stack/clock.h).
 * Pure: the same configuration gives the same bits for any number of threads.
 * thread: one at a time; kernels run on the pool that was given.                                           */
#ifndef RK_CLUSTER_STACK_H
#define RK_CLUSTER_STACK_H
#include "cluster/graph.h"
#include "compute/data.h"
#include "compute/optim.h"
#include "compute/pool.h"
#include "compute/slice.h"

#define RK_STACK_MAX_TENSORS 1024

/* Adapt then combine: x_i <- sum_j W_ij x'_j with x' after the local steps. Combine while adapting: x_i <- x'_i +
 * sum_j W_ij x_j - x_i with x before them, so that the exchange can run beside the gradients; it keeps x, one more
 * matrix. Bits as cluster/mix.h.                                                                            */
typedef enum { RK_ORDER_ATC = 0, RK_ORDER_AWC } rk_stack_order_t;
/* Sparse: sums over neighbours, ascending, the actors' bits. Dense: a product with the whole W (within 1e-6).
 * Auto: a lattice's rows as windows, from running sums; dense where the degree is above n / 8 (both within 1e-6). */
typedef enum { RK_MIXING_SPARSE = 0, RK_MIXING_DENSE, RK_MIXING_AUTO } rk_stack_mixing_t;

/* The problem "quadratic": f (x) = 1/2 sum_c h_c (x_c - 1)^2 with h_c spread evenly over (0, curvature], gradients
 * with independent normal noise. Everything about it is known exactly. Parameters start at 0.               */
typedef struct {
    uint32_t dimension; /* d */
    double curvature;   /* largest h; 0: flat, pure noise */
    double noise;       /* deviation of each coordinate of a gradient */
} rk_quadratic_t;

typedef struct {
    const char *model;     /* of compute/models, or "quadratic" */
    const rk_data_t *data; /* borrowed for the stack's life; unused by "quadratic" */
    const rk_graph_t *graph; /* borrowed; NULL: centralised, gradients are averaged and all replicas are one row */
    uint32_t n;            /* replicas */
    size_t batch;          /* samples of one replica's minibatch */
    uint64_t seed;         /* of initial values, order of samples, dropout, noise */
    const char *optimizer;
    rk_optim_config_t optim;
    bool mix_state;        /* the optimiser's state too, by the same W */
    rk_stack_order_t order;
    rk_stack_mixing_t mixing;
    bool quasi_global;     /* momentum follows what the neighbourhood did (sgd with momentum) */
    bool tracking;         /* gradient tracking: y is mixed beside the rows (sgd without momentum) */
    bool push_sum;         /* for graphs whose matrix is not doubly stochastic */
    const char *shard;     /* data.shard: NULL or "leased", "fixed", "dirichlet" with alpha (cluster/shard.h) */
    double alpha;
    uint32_t delay;        /* gradients are taken at the point `delay` updates ago, not before the last mixing */
    rk_quadratic_t quadratic;
    rk_pool_t *pool;       /* borrowed; NULL: the calling thread */
} rk_stack_config_t;

/* Which of quasi_global, tracking and push_sum go with what, and with the graph. errors: RK_EINVAL. */
rk_err_t rk_stack_orders_check (const rk_stack_config_t *config, rk_error_t *err) RK_MUST_CHECK;

typedef struct rk_stack rk_stack_t;

/* errors: as rk_model_by_name, rk_optim_by_name, rk_slice_new; RK_ENOMEM (the text says how much);
 * RK_EINVAL (fewer samples than one step needs, graph and n differ).                                      */
rk_err_t rk_stack_new (rk_stack_t **stack_p, const rk_stack_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_stack_destroy (rk_stack_t **stack_p);

/* What a stack would take in bytes and floating-point operations per step, without taking it. */
typedef struct {
    uint64_t bytes;
    double step_flops; /* gradients of all replicas, one step, without mixing */
} rk_stack_need_t;
rk_err_t rk_stack_predict (const rk_stack_config_t *config, rk_stack_need_t *need, rk_error_t *err) RK_MUST_CHECK;

/* Minibatch of replica i in step s of a pass: number s n + i of that pass's permutation. The rest that does not
 * fill a step is dropped; with shards it is number s of replica i. "quadratic": 1024 steps a pass.                                                 */
uint64_t rk_stack_per_pass (const rk_stack_t *stack);

/* One step is local, then mix. local: gradient of every replica at its own row and the optimiser's step of it.
 * t counts from 0. loss: sums over all replicas, may be NULL.
 * errors: RK_ESTATE: the loss of a replica is not finite; *culprit names it, the stack is as good as over.  */
rk_err_t rk_stack_local (rk_stack_t *stack, uint64_t t, float lr, rk_loss_t *loss, uint32_t *culprit, rk_error_t *err) RK_MUST_CHECK;
void rk_stack_mix (rk_stack_t *stack, const rk_graph_time_t *at);
/* All replicas take their mean: periodic global average and final merge. BatchNorm statistics too. */
void rk_stack_merge (rk_stack_t *stack);

/* ---- looking. Tensors are the trainable ones, in flat order. */
uint32_t rk_stack_n (const rk_stack_t *stack);
size_t rk_stack_d (const rk_stack_t *stack); /* floats of a row, with padding and buffers */
size_t rk_stack_n_tensors (const rk_stack_t *stack);
const char *rk_stack_tensor_name (const rk_stack_t *stack, size_t tensor);
size_t rk_stack_tensor_count (const rk_stack_t *stack, size_t tensor);
uint64_t rk_stack_n_params (const rk_stack_t *stack); /* trainable scalars */
uint64_t rk_stack_model_bytes (const rk_stack_t *stack); /* that a replica sends to one neighbour */
uint64_t rk_stack_bytes (const rk_stack_t *stack);
double rk_stack_step_flops (const rk_stack_t *stack);
/* Row i, owned by the stack; centralised: the one row there is. */
float *rk_stack_row (rk_stack_t *stack, uint32_t i);
/* norms: (n, tensors) L2 norms; square: (tensors) (1/n) sum_i |x_i - mean|^2. In double throughout. Either may be
 * NULL. Centralised: the rows the replicas would have.                                                     */
void rk_stack_probe (rk_stack_t *stack, double *norms, double *square);
/* The mean of all rows, sums in double. mean: rk_stack_d floats. */
void rk_stack_mean (rk_stack_t *stack, float *mean);

/* Loss and accuracy of `flat` on the first n_samples of the test split (0: all). "quadratic": f (flat) as loss_sum
 * of one sample. flat: rk_stack_d floats.                                                                  */
rk_err_t rk_stack_evaluate (rk_stack_t *stack, const float *flat, size_t n_samples, rk_loss_t *loss, rk_error_t *err) RK_MUST_CHECK;
/* BatchNorm statistics of `flat`, measured again on n_batches minibatches of pass `pass`. Nothing without them. */
rk_err_t rk_stack_recalibrate (rk_stack_t *stack, float *flat, uint64_t pass, uint32_t n_batches, rk_error_t *err) RK_MUST_CHECK;
/* |grad f (flat)|^2 without noise, "quadratic" only; else 0. */
double rk_stack_gradient_square (const rk_stack_t *stack, const float *flat);

#endif
