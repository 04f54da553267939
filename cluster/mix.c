/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/mix.h"

#include "compute/kernels/vec.h"

#define AT_ONCE 64
#define PIECE 4096 /* floats: the sum stays in the first cache while the inputs stream past */

/* ---- a row */
bool rk_mix_is_mean (const rk_graph_edge_t *edges, uint32_t n_edges)
{
    for (uint32_t e = 0; e < n_edges; e++)
        if (edges[e].weight != 1.0f / (float) n_edges)
            return false;
    return true;
}

void rk_mix_begin (bool mean, float weight, size_t n, const void *x, float *sum)
{
    if (!mean)
        rk_vec ()->scale (n, weight, x, sum);
    else if (x != sum)
        rk_vec ()->copy (n, x, sum);
}

void rk_mix_add (bool mean, float weight, size_t n, const void *x, float *sum)
{
    rk_vec ()->axpy (n, mean ? 1.0f : weight, x, sum);
}

void rk_mix_end (bool mean, uint32_t n_edges, size_t n, float *sum)
{
    if (!mean || n_edges == 1)
        return;
    const float divisor = (float) n_edges;
    for (size_t k = 0; k < n; k++)
        sum[k] = sum[k] / divisor;
}

/* A sum over so many inputs stays in registers; the next ones go on from it (its weight 1 changes no bit). */
static void s_sum (bool mean, const rk_graph_edge_t *edges, uint32_t n_edges, const void *const *inputs, size_t skip,
                   size_t n, float *out)
{
    const void *in[AT_ONCE];
    float weight[AT_ONCE];
    for (uint32_t e = 0; e < n_edges;) {
        uint32_t k = 0;
        if (e > 0)
            in[k] = out, weight[k++] = 1.0f;
        for (; k < AT_ONCE && e < n_edges; k++, e++) {
            in[k] = (const char *) inputs[e] + skip;
            weight[k] = mean ? 1.0f : edges[e].weight;
        }
        rk_vec ()->mix (n, k, in, weight, out);
    }
}

void rk_mix_row (const rk_graph_edge_t *edges, uint32_t n_edges, const void *const *inputs, size_t n, float *out)
{
    const bool mean = rk_mix_is_mean (edges, n_edges);
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t m = n - at < PIECE ? n - at : PIECE;
        s_sum (mean, edges, n_edges, inputs, at * sizeof (float), m, out + at);
        rk_mix_end (mean, n_edges, m, out + at);
    }
}

/* ---- around a row. Plain loops: each is bound by memory, and no compiler may contract them. */
void rk_mix_correct (size_t n, const float *mixed, const float *snapshot, float *live)
{
    for (size_t k = 0; k < n; k++)
        live[k] += mixed[k] - snapshot[k];
}

void rk_mix_blend (size_t n, float a, const float *x, const float *mixed, float *out)
{
    for (size_t k = 0; k < n; k++)
        out[k] = (1.0f - a) * x[k] + a * mixed[k];
}

void rk_mix_quasi_global (size_t n, float c, float scale, const float *before, const float *after, float *m)
{
    for (size_t k = 0; k < n; k++)
        m[k] = (1.0f - c) * m[k] + c * ((before[k] - after[k]) * scale);
}

void rk_mix_track (size_t n, const float *before, float *x, float *y, float *d)
{
    for (size_t k = 0; k < n; k++) {
        const float now = before[k] - x[k];
        y[k] += now - d[k];
        d[k] = now;
        x[k] = before[k] - y[k];
    }
}

void rk_mix_push (size_t n, float share, const float *before, const float *after, float *mass)
{
    for (size_t k = 0; k < n; k++)
        mass[k] += share * (after[k] - before[k]);
}

void rk_mix_ratio (size_t n, double weight, const float *mass, float *z)
{
    for (size_t k = 0; k < n; k++)
        z[k] = (float) (mass[k] / weight);
}

double rk_mix_weight (const rk_graph_edge_t *edges, uint32_t n_edges, const double *weights_of_edges)
{
    const bool mean = rk_mix_is_mean (edges, n_edges);
    double sum = 0;
    for (uint32_t e = 0; e < n_edges; e++)
        sum += mean ? weights_of_edges[e] : edges[e].weight * weights_of_edges[e];
    return mean ? sum / n_edges : sum;
}
