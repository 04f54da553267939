/* SPDX-License-Identifier: MPL-2.0
 * A fixed pool of threads that run kernels, and nothing else. Callers cut their work into tasks whose
 * number and bounds do not depend on the pool, so that a result does not depend on it either.
 * Between runs workers look for the next one for some tens of microseconds, then sleep. The only locks of
 * this room are in here.                                                                              */
#ifndef RK_COMPUTE_POOL_H
#define RK_COMPUTE_POOL_H
#include <stddef.h>
#include "compute/error.h"

#define RK_POOL_MAX_THREADS 256

typedef struct rk_pool rk_pool_t; /* NULL is a pool of one: the calling thread */

/* One task of a run. worker: 0 .. rk_pool_n_threads - 1, for scratch that no two tasks may share. */
typedef void (rk_pool_fn_t) (void *arg, size_t task, size_t worker);

/* n_threads counts the caller of rk_pool_run, so n_threads - 1 threads are started.
 * errors: RK_EINVAL (0 or more than RK_POOL_MAX_THREADS), RK_ENOMEM (the system gives no thread)     */
rk_err_t rk_pool_new (rk_pool_t **pool_p, size_t n_threads, rk_error_t *err) RK_MUST_CHECK;

/* Joins the threads. thread: the owner, no run in progress. */
void rk_pool_destroy (rk_pool_t **pool_p);

size_t rk_pool_n_threads (const rk_pool_t *pool);

/* fn (arg, task, worker) for every task in [0, n_tasks), in any order; returns when all are done.
 * thread: one run at a time per pool; fn must not run the same pool.                                 */
void rk_pool_run (rk_pool_t *pool, size_t n_tasks, rk_pool_fn_t *fn, void *arg);

#endif
