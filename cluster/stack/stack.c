/* SPDX-License-Identifier: MPL-2.0
 * A stack's memory: sized, predicted, taken and given back.                                           */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cluster/stack/stack_parts.h"
#include "compute/arena.h"

static bool s_is_awc (const rk_stack_t *self)
{
    return self->config.graph && self->config.order == RK_ORDER_AWC;
}

static size_t s_n_matrices (const rk_stack_t *self)
{
    return 1 + rk_stack_orders_matrices (&self->config) + (size_t) self->n_state + s_is_awc (self) + (self->config.delay ? self->config.delay + 1 : 0);
}

static size_t s_edges_most (const rk_stack_t *self)
{
    const rk_graph_t *graph = self->config.graph;
    if (!graph)
        return 0;
    return (size_t) rk_graph_max_row (graph) * (rk_graph_is_exact (graph) ? 1 : self->config.n);
}

/* As many as edges if no two rows share a peer, and an end for every four rows. */
static size_t s_hearers_most (const rk_stack_t *self)
{
    return s_edges_most (self) + self->config.n / 4 + 1;
}

static size_t s_width (uint32_t n)
{
    const size_t fits = RK_STACK_PANEL_BYTES / sizeof (float) / n / 64 * 64;
    return fits < 64 ? 64 : fits > 4096 ? 4096 : fits;
}

/* Floats for the sums of windows. */
static size_t s_suffix (const rk_stack_t *self)
{
    const bool may = self->config.graph && self->config.mixing == RK_MIXING_AUTO;
    return may ? ((size_t) rk_graph_max_row (self->config.graph) + 1) * self->width : 0;
}

static bool s_may_be_dense (const rk_stack_t *self)
{
    return self->config.graph && self->config.mixing != RK_MIXING_SPARSE;
}

/* Everything but the slices. */
static uint64_t s_own_bytes (const rk_stack_t *self)
{
    const uint64_t n = self->config.n, row = self->d * sizeof (float), workers = self->n_workers;
    uint64_t bytes = s_n_matrices (self) * self->n_rows * row + n * sizeof (rk_loss_t) + workers * row;
    if (!self->config.graph)
        return bytes + (RK_STACK_MAX_BLOCKS + workers) * row;
    bytes += workers * n * ((1 + s_is_awc (self)) * self->width + 2) * sizeof (float);
    bytes += workers * s_suffix (self) * sizeof (float);
    bytes += s_edges_most (self) * sizeof (rk_graph_edge_t) + (n + 1) * sizeof (size_t) + n * sizeof (void *);
    bytes += s_hearers_most (self) * sizeof (rk_stack_hearers_t);
    return bytes + (s_may_be_dense (self) ? n * n * sizeof (float) : 0);
}

static rk_err_t s_check (const rk_stack_config_t *c, rk_error_t *err)
{
    if (c->n == 0 || c->n > RK_GRAPH_MAX_N || c->batch == 0)
        return rk_error_set (err, RK_EINVAL, "%u replicas of batch %zu: 1 to %u replicas, batch at least 1", c->n, c->batch,
                             RK_GRAPH_MAX_N);
    if (c->graph && rk_graph_n (c->graph) != c->n)
        return rk_error_set (err, RK_EINVAL, "a graph of %u replicas for %u", rk_graph_n (c->graph), c->n);
    return RK_OK;
}

static rk_err_t s_describe (rk_stack_t *self, const rk_stack_config_t *config, rk_error_t *err)
{
    rk_err_t rc = s_check (config, err);
    if (rc)
        return rc;
    self->config = *config;
    rc = rk_stack_orders_check (config, err);
    if (rc)
        return rc;
    self->app = strcmp (config->model, "quadratic") ? &rk_stack_network : &rk_stack_quadratic;
    self->n_rows = config->graph ? config->n : 1;
    self->n_workers = rk_pool_n_threads (config->pool);
    self->width = s_width (config->n);
    rc = rk_optim_by_name (&self->optim, config->optimizer, &config->optim, err);
    if (!rc)
        rc = self->app->describe (self, err);
    if (rc)
        return rc;
    self->n_state = strcmp (config->optimizer, "sgd") || config->optim.momentum > 0 ? self->optim->n_slots : 0;
    if (self->per_pass == 0)
        return rk_error_set (err, RK_EINVAL, "%u replicas of batch %zu need %llu samples a step, there are %zu", config->n,
                             config->batch, (unsigned long long) config->n * config->batch,
                             rk_data_n (config->data, RK_SPLIT_TRAIN));
    return RK_OK;
}

/* Pages of 2 MB where the system gives them: a panel touches a page of every row. */
float *rk_stack_matrix (uint64_t rows, size_t d)
{
    const size_t bytes = rows * d * sizeof (float), page = (size_t) 2 << 20;
    if (bytes < 8 * page)
        return rk_arena_memory (bytes);
    void *memory = NULL;
    const size_t whole = (bytes + page - 1) / page * page;
    if (posix_memalign (&memory, page, whole))
        return NULL;
    if (madvise (memory, whole, MADV_HUGEPAGE))
        memset (memory, 0, 1); /* refused: small pages do as well */
    memset (memory, 0, whole);
    return memory;
}

static bool s_allocate_worker (rk_stack_t *self, rk_stack_worker_t *w)
{
    const size_t n = self->config.n, row = self->d * sizeof (float);
    bool complete = (w->grads = rk_arena_memory (row)) != NULL;
    if (!self->config.graph)
        return (w->stats = rk_arena_memory (row)) && complete;
    complete = (w->panel = rk_arena_memory (n * self->width * sizeof (float))) && complete;
    complete = (w->peers = calloc (n, sizeof *w->peers)) && complete;
    if (s_is_awc (self))
        complete = (w->mixed = rk_arena_memory (n * self->width * sizeof (float))) && complete;
    if (s_suffix (self))
        complete = (w->suffix = rk_arena_memory (s_suffix (self) * sizeof (float))) && complete;
    return complete;
}

static bool s_allocate (rk_stack_t *self)
{
    const rk_stack_config_t *c = &self->config;
    bool complete = (self->x = rk_stack_matrix (self->n_rows, self->d)) && (self->losses = calloc (c->n, sizeof *self->losses));
    for (int s = 0; s < self->n_state; s++)
        complete = complete && (self->state[s] = rk_stack_matrix (self->n_rows, self->d));
    if (c->delay)
        complete = complete && (self->history = rk_stack_matrix ((uint64_t) self->n_rows * (c->delay + 1), self->d));
    if (!c->graph)
        complete = complete && (self->partial = rk_stack_matrix (RK_STACK_MAX_BLOCKS, self->d));
    if (s_is_awc (self))
        complete = complete && (self->snapshot = rk_stack_matrix (self->n_rows, self->d));
    if (c->graph)
        complete = complete && (self->edges = calloc (s_edges_most (self), sizeof *self->edges)) &&
                   (self->edges_at = calloc (c->n + (size_t) 1, sizeof *self->edges_at)) &&
                   (self->four = calloc (c->n, sizeof *self->four)) &&
                   (self->hearers = calloc (s_hearers_most (self), sizeof *self->hearers));
    if (s_may_be_dense (self))
        complete = complete && (self->matrix = rk_arena_memory ((size_t) c->n * c->n * sizeof (float)));
    complete = complete && rk_stack_orders_open (self) && (self->workers = calloc (self->n_workers, sizeof *self->workers));
    for (size_t w = 0; complete && w < self->n_workers; w++)
        complete = s_allocate_worker (self, &self->workers[w]);
    return complete;
}

rk_err_t rk_stack_new (rk_stack_t **stack_p, const rk_stack_config_t *config, rk_error_t *err)
{
    *stack_p = NULL;
    rk_stack_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a stack");
    rk_err_t rc = s_describe (self, config, err);
    if (!rc && !s_allocate (self))
        rc = rk_error_set (err, RK_ENOMEM, "%u replicas of %s need %.1f GB, which the system does not give", config->n,
                           config->model, (double) s_own_bytes (self) / 1e9);
    for (size_t w = 0; !rc && w < self->n_workers; w++)
        rc = self->app->open_worker (self, &self->workers[w], err);
    if (rc) {
        rk_stack_destroy (&self);
        return rc;
    }
    rc = rk_stack_open_shards (self, err);
    if (rc) {
        rk_stack_destroy (&self);
        return rc;
    }
    self->app->init (self, self->x);
    for (uint32_t i = 1; i < self->n_rows; i++)
        memcpy (rk_stack_at (self, self->x, i), self->x, self->d * sizeof (float));
    self->snapshot_is_old = true;
    rk_stack_orders_begin (self);
    *stack_p = self;
    return RK_OK;
}

static void s_free_worker (rk_stack_worker_t *w)
{
    rk_slice_destroy (&w->slice);
    free (w->grads);
    free (w->stats);
    free (w->x);
    free (w->labels);
    free (w->panel);
    free (w->peers);
    free (w->mixed);
    free (w->suffix);
}

void rk_stack_destroy (rk_stack_t **stack_p)
{
    rk_stack_t *self = stack_p ? *stack_p : NULL;
    if (!self)
        return;
    for (size_t w = 0; self->workers && w < self->n_workers; w++)
        s_free_worker (&self->workers[w]);
    free (self->workers);
    rk_stack_orders_close (self);
    rk_stack_close_shards (self);
    rk_model_destroy (&self->model);
    free (self->x);
    for (int s = 0; s < RK_OPTIM_MAX_SLOTS; s++)
        free (self->state[s]);
    free (self->snapshot);
    free (self->history);
    free (self->partial);
    free (self->losses);
    free (self->edges);
    free (self->edges_at);
    free (self->four);
    free (self->hearers);
    free (self->matrix);
    free (self);
    *stack_p = NULL;
}

static rk_err_t s_total_bytes (const rk_stack_t *self, uint64_t *bytes, rk_error_t *err)
{
    size_t of_worker = 0;
    rk_err_t rc = self->app->worker_bytes (self, &of_worker, err);
    *bytes = s_own_bytes (self) + self->n_workers * of_worker;
    return rc;
}

rk_err_t rk_stack_predict (const rk_stack_config_t *config, rk_stack_need_t *need, rk_error_t *err)
{
    rk_stack_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a stack");
    rk_err_t rc = s_describe (self, config, err);
    if (!rc)
        rc = s_total_bytes (self, &need->bytes, err);
    need->step_flops = self->step_flops;
    rk_stack_destroy (&self);
    return rc;
}

/* ---- queries */
uint64_t rk_stack_per_pass (const rk_stack_t *self)
{
    return self->per_pass;
}

uint32_t rk_stack_n (const rk_stack_t *self)
{
    return self->config.n;
}

size_t rk_stack_d (const rk_stack_t *self)
{
    return self->d;
}

size_t rk_stack_n_tensors (const rk_stack_t *self)
{
    return self->n_tensors;
}

const char *rk_stack_tensor_name (const rk_stack_t *self, size_t tensor)
{
    return self->tensors[tensor].name;
}

size_t rk_stack_tensor_count (const rk_stack_t *self, size_t tensor)
{
    return self->tensors[tensor].count;
}

uint64_t rk_stack_n_params (const rk_stack_t *self)
{
    return self->n_params;
}

uint64_t rk_stack_model_bytes (const rk_stack_t *self)
{
    uint64_t floats = 0;
    for (size_t r = 0; r < self->n_ranges; r++)
        floats += self->ranges[r].count;
    return floats * sizeof (float) * (self->config.mix_state ? 1 + (uint64_t) self->n_state : 1);
}

uint64_t rk_stack_bytes (const rk_stack_t *self)
{
    uint64_t bytes = 0;
    return s_total_bytes (self, &bytes, NULL) ? 0 : bytes;
}

double rk_stack_step_flops (const rk_stack_t *self)
{
    return self->step_flops;
}

float *rk_stack_row (rk_stack_t *self, uint32_t i)
{
    return rk_stack_at (self, self->x, self->n_rows == 1 ? 0 : i);
}
