/* SPDX-License-Identifier: MPL-2.0
 * The measuring: products of the model's own shapes.                                                      */
#include "actors/profiler.h"
#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/rng.h"

#define MOST_ROWS 4096 /* beyond that the rate is the same */

static uint64_t s_work (const rk_product_t *p)
{
    return (uint64_t) p->m * p->n * p->k;
}

/* The larger ones first; one that is there already counts once. */
static size_t s_insert (rk_product_t *list, size_t n, size_t most, rk_product_t p)
{
    size_t at = 0;
    while (at < n && s_work (&list[at]) > s_work (&p))
        at++;
    for (size_t i = at; i < n && s_work (&list[i]) == s_work (&p); i++)
        if (list[i].m == p.m && list[i].n == p.n)
            return n;
    if (at == most)
        return n;
    const size_t kept = n < most ? n : most - 1;
    memmove (list + at + 1, list + at, (kept - at) * sizeof *list);
    list[at] = p;
    return kept + 1;
}

size_t rk_profile_products (const rk_model_t *model, size_t batch, rk_product_t *products, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < rk_model_n_tensors (model); i++) {
        const rk_param_t *p = rk_model_param (model, i);
        if (!p->trainable || p->shape.n_dims < 2)
            continue;
        rk_layer_cost_t cost;
        rk_model_cost (model, p->layer, batch, &cost);
        const size_t rows = p->shape.dim[0], k = p->count / rows, m = cost.forward_flops / (2 * p->count);
        if (m > 0) /* a table that is only looked up has no product */
            n = s_insert (products, n, most, (rk_product_t){m, rows, k});
    }
    return n;
}

static float *s_floats (size_t n, uint64_t stream)
{
    float *x = rk_arena_memory (n * sizeof *x);
    if (x)
        rk_rng_normal (1, rk_rng_stream (RK_RNG_TEST, stream), 0, n, 0, 1, x);
    return x;
}

uint64_t rk_profile_product (const rk_product_t *product, int64_t budget_ns)
{
    const size_t m = product->m < MOST_ROWS ? product->m : MOST_ROWS, n = product->n, k = product->k;
    float *x = s_floats (m * k, 1), *weights = s_floats (n * k, 2), *y = rk_arena_memory (m * n * sizeof *y);
    uint64_t best_ns = UINT64_MAX;
    const int64_t end = rk_now_ns () + budget_ns;
    for (int i = 0; x && weights && y && i < 100 && (i < 2 || rk_now_ns () < end); i++) {
        const int64_t start = rk_thread_cpu_ns ();
        rk_gemm (RK_N, RK_T, m, n, k, 1, x, k, weights, k, 0, y, n);
        const uint64_t ns = (uint64_t) (rk_thread_cpu_ns () - start);
        if (i > 0 && ns > 0 && ns < best_ns)
            best_ns = ns;
    }
    free (x);
    free (weights);
    free (y);
    return best_ns == UINT64_MAX ? 0 : (uint64_t) (2000.0 * (double) m * (double) n * (double) k / (double) best_ns);
}

uint64_t rk_profile_gemm (const rk_model_t *model, size_t batch, int64_t budget_ns)
{
    rk_product_t product = {batch, 256, 256};
    rk_profile_products (model, batch, &product, 1);
    return rk_profile_product (&product, budget_ns);
}
