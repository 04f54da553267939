/* SPDX-License-Identifier: MPL-2.0
 * rookery bench gemm: a product by shape, operands in the caches they fit in.                            */
#include <string.h>

#include "actors/rookery/bench.h"
#include "compute/blas.h"
#include "compute/rng.h"

#define MAX_SIDE 1048576
#define CHUNK_S 0.02

typedef struct {
    rk_bench_machine_t machine;
    rk_gemm_t product;
    rk_pool_t *pool;
    float *a, *b, *c;
    rk_bench_times_t times;
} self_t;

static rk_err_t s_trans (const rk_args_t *args, rk_gemm_t *p, const char **name, rk_error_t *err)
{
    static const char *const names[] = {"NN", "TN", "NT", "TT"};
    const char *given = rk_args_get (args, "trans");
    for (unsigned i = 0; i < 4; i++)
        if (!strcmp (given ? given : "NN", names[i])) {
            p->ta = i & 1 ? RK_T : RK_N;
            p->tb = i & 2 ? RK_T : RK_N;
            *name = names[i];
            return RK_OK;
        }
    return rk_error_set (err, RK_EINVAL, "--trans %.40s: NN, NT, TN or TT is needed", given);
}

static float *s_random (size_t n, uint64_t id)
{
    float *x = malloc (n * sizeof *x);
    if (x)
        rk_rng_uniform (1, rk_rng_stream (RK_RNG_TEST, id), 0, n, -0.5f, 0.5f, x);
    return x;
}

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    uint64_t m = 64, n = 512, k = 784;
    rk_gemm_t *p = &self->product;
    rk_err_t code = rk_args_number (args, "m", 1, MAX_SIDE, &m, err);
    if (!code)
        code = rk_args_number (args, "n", 1, MAX_SIDE, &n, err);
    if (!code)
        code = rk_args_number (args, "k", 1, MAX_SIDE, &k, err);
    if (!code)
        code = rk_bench_machine (args, &self->machine, err);
    if (!code && self->machine.threads > 1)
        code = rk_pool_new (&self->pool, self->machine.threads, err);
    if (code)
        return code;
    p->m = m;
    p->n = n;
    p->k = k;
    p->a = self->a = s_random (m * k, 1);
    p->b = self->b = s_random (k * n, 2);
    p->c = self->c = s_random (m * n, 3);
    p->lda = p->ta ? m : k;
    p->ldb = p->tb ? k : n;
    p->ldc = n;
    if (!self->a || !self->b || !self->c)
        return rk_error_set (err, RK_ENOMEM, "no memory for a product of %zu x %zu x %zu", p->m, p->n, p->k);
    return RK_OK;
}

static rk_err_t s_multiply (void *arg, rk_error_t *err)
{
    self_t *self = arg;
    (void) err;
    rk_gemm_pool (self->pool, &self->product);
    return RK_OK;
}

static json_t *s_figure (self_t *self, const char *trans, double other_cores)
{
    const rk_gemm_t *p = &self->product;
    json_t *figure = json_pack ("{s:s,s:s,s:s,s:I,s:I,s:I,s:s}", "figure", "gemm", "peer", "rookery", "unit", "product", "m",
                                (json_int_t) p->m, "n", (json_int_t) p->n, "k", (json_int_t) p->k, "trans", trans);
    rk_bench_add_speed (figure, &self->machine, 2.0 * (double) p->m * (double) p->n * (double) p->k, &self->times);
    json_object_set_new (figure, "us", json_real (rk_bench_round (rk_chunks_at (&self->times.wall, 0.5) / 1e3, 1000)));
    json_object_set_new (figure, "us_cpu", json_real (rk_bench_round (rk_chunks_at (&self->times.cpu, 0.5) / 1e3, 1000)));
    json_object_set_new (figure, "chunks", json_integer ((json_int_t) self->times.wall.n));
    json_object_set_new (figure, "other_cores", json_real (other_cores));
    return figure;
}

rk_err_t rk_bench_gemm (const rk_args_t *args, rk_error_t *err)
{
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    const char *trans = NULL;
    rk_meter_t meter;
    rk_err_t code = s_trans (args, &self->product, &trans, err);
    if (!code)
        code = s_open (self, args, err);
    rk_meter_begin (&meter);
    if (!code)
        code = rk_bench_repeat (args, self->machine.seconds, CHUNK_S, s_multiply, self, &self->times, err);
    if (!code)
        rk_bench_put (args, s_figure (self, trans, rk_meter_other_cores (&meter)));
    rk_pool_destroy (&self->pool);
    free (self->a);
    free (self->b);
    free (self->c);
    free (self);
    return code;
}
