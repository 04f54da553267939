/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    rk_pool_t *pool;
    size_t idx; /* worker index, from 1 */
    pthread_t thread;
} s_worker_t;

/* Looks at a value before going to sleep for it. Kernels follow one another within microseconds, and waking a
 * thread takes tens of them; so both sides look for about as long as that, once per run, and then sleep.   */
#define LOOKS 2000

struct rk_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    /* written under the lock, looked at without */
    atomic_uint_fast64_t run; /* grows by one at each run: workers wait for it to change */
    atomic_size_t n_busy;     /* workers that have not finished this run */
    /* under the lock */
    bool stop;
    rk_pool_fn_t *fn;
    void *arg;
    size_t n_tasks;
    atomic_size_t next; /* first task nobody has taken; written under the lock, taken without */
    size_t n_threads, n_started;
    s_worker_t workers[];
};

static void s_relax (void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause ();
#endif
}

static void s_look_for_work (rk_pool_t *self, uint64_t seen)
{
    for (int i = 0; i < LOOKS && atomic_load_explicit (&self->run, memory_order_acquire) == seen; i++)
        s_relax ();
}

static void s_look_for_end (rk_pool_t *self)
{
    for (int i = 0; i < LOOKS && atomic_load_explicit (&self->n_busy, memory_order_acquire); i++)
        s_relax ();
}

static void s_take_tasks (rk_pool_t *self, size_t worker)
{
    for (;;) {
        size_t task = atomic_fetch_add_explicit (&self->next, 1, memory_order_relaxed);
        if (task >= self->n_tasks)
            return;
        self->fn (self->arg, task, worker);
    }
}

static void *s_worker (void *arg)
{
    s_worker_t *me = arg;
    rk_pool_t *self = me->pool;
    uint64_t seen = 0;
    pthread_mutex_lock (&self->lock);
    for (;;) {
        while (self->run == seen && !self->stop)
            pthread_cond_wait (&self->work, &self->lock);
        if (self->stop)
            break;
        seen = self->run;
        pthread_mutex_unlock (&self->lock);
        s_take_tasks (self, me->idx);
        pthread_mutex_lock (&self->lock);
        if (--self->n_busy == 0)
            pthread_cond_signal (&self->done);
        pthread_mutex_unlock (&self->lock);
        s_look_for_work (self, seen);
        pthread_mutex_lock (&self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

rk_err_t rk_pool_new (rk_pool_t **pool_p, size_t n_threads, rk_error_t *err)
{
    *pool_p = NULL;
    if (n_threads == 0 || n_threads > RK_POOL_MAX_THREADS)
        return rk_error_set (err, RK_EINVAL, "a pool of %zu threads: 1 to %d are possible", n_threads,
                             RK_POOL_MAX_THREADS);
    rk_pool_t *self = calloc (1, sizeof *self + n_threads * sizeof self->workers[0]);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a pool of %zu threads", n_threads);
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->work, NULL);
    pthread_cond_init (&self->done, NULL);
    self->n_threads = n_threads;
    self->n_started = 1; /* the caller */
    for (size_t i = 1; i < n_threads; i++) {
        self->workers[i] = (s_worker_t) {.pool = self, .idx = i};
        int rc = pthread_create (&self->workers[i].thread, NULL, s_worker, &self->workers[i]);
        if (rc) {
            rk_pool_destroy (&self);
            return rk_error_set (err, RK_ENOMEM, "thread %zu of %zu: %s", i, n_threads, strerror (rc));
        }
        self->n_started++;
    }
    *pool_p = self;
    return RK_OK;
}

void rk_pool_destroy (rk_pool_t **pool_p)
{
    rk_pool_t *self = *pool_p;
    if (!self)
        return;
    pthread_mutex_lock (&self->lock);
    self->stop = true;
    pthread_cond_broadcast (&self->work);
    pthread_mutex_unlock (&self->lock);
    for (size_t i = 1; i < self->n_started; i++)
        pthread_join (self->workers[i].thread, NULL);
    pthread_cond_destroy (&self->done);
    pthread_cond_destroy (&self->work);
    pthread_mutex_destroy (&self->lock);
    free (self);
    *pool_p = NULL;
}

size_t rk_pool_n_threads (const rk_pool_t *pool)
{
    return pool ? pool->n_threads : 1;
}

void rk_pool_run (rk_pool_t *self, size_t n_tasks, rk_pool_fn_t *fn, void *arg)
{
    if (!self || self->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++)
            fn (arg, i, 0);
        return;
    }
    pthread_mutex_lock (&self->lock);
    self->fn = fn;
    self->arg = arg;
    self->n_tasks = n_tasks;
    atomic_store_explicit (&self->next, 0, memory_order_relaxed);
    self->n_busy = self->n_threads - 1;
    self->run++;
    pthread_cond_broadcast (&self->work);
    pthread_mutex_unlock (&self->lock);
    s_take_tasks (self, 0);
    s_look_for_end (self);
    pthread_mutex_lock (&self->lock);
    while (self->n_busy)
        pthread_cond_wait (&self->done, &self->lock);
    pthread_mutex_unlock (&self->lock);
}
