/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/window.h"

#include <stdbool.h>
#include <string.h>

#include "cluster/graph.h"
#include "cluster/graphs/lattice.h"
#include "compute/kernels/vec.h"

static uint32_t s_ones (uint32_t w)
{
    uint32_t ones = 0;
    for (; w; w &= w - 1)
        ones++;
    return ones;
}

static uint32_t s_log2 (uint32_t w) /* rounded down */
{
    uint32_t exponent = 0;
    while (w >>= 1)
        exponent++;
    return exponent;
}

static uint32_t s_cost (uint32_t w)
{
    return s_log2 (w) + s_ones (w) - 1;
}

/* The factor of w to take first, and the cost of all of w: nested windows cost the sum of theirs. */
static uint32_t s_best (uint32_t w, uint32_t *factor)
{
    uint32_t best = s_cost (w), inner;
    *factor = w;
    for (uint32_t f = 3; f * f <= w; f++)
        if (w % f == 0 && s_cost (f) + s_best (w / f, &inner) < best) {
            best = s_cost (f) + s_best (w / f, &inner);
            *factor = f;
        }
    return best;
}

static void s_hop (rk_window_t *window, rk_window_op_t op, int64_t from)
{
    const int64_t n = window->n, at = ((from % n) + n) % n;
    window->hops[window->n_hops++] = (rk_window_hop_t){op, (uint32_t) at, (uint32_t) ((n - at) % n)};
    window->n_messages += op != RK_WINDOW_CLOSE;
}

/* A window of w runs of `stride` replicas, centred where w is odd. The longest run covers -h .. -h + 2^top - 1
 * because doubling m goes to the left where bit m of h is set; what is missing on the right is put together
 * from the shorter runs of the other bits of w, each fetched from where it begins.                          */
static void s_stage (rk_window_t *window, uint32_t w, uint32_t stride)
{
    const uint32_t top = s_log2 (w), h = (w - 1) / 2;
    bool aside = false;
    int64_t begins = 0;                                    /* of the own run, relative to the replica, in runs */
    int64_t missing = (int64_t) (1u << top) - (int64_t) h; /* where the next missing run begins */
    for (uint32_t m = 0; m < top; m++) {
        const int64_t length = (int64_t) 1 << m;
        if (w >> m & 1) {
            s_hop (window, aside ? RK_WINDOW_JOIN : RK_WINDOW_PUT, (missing - begins) * stride);
            aside = true;
            missing += length;
        }
        const bool left = h >> m & 1;
        s_hop (window, RK_WINDOW_DOUBLE, (left ? -length : length) * stride);
        begins -= left ? length : 0;
    }
    if (aside)
        s_hop (window, RK_WINDOW_CLOSE, 0);
}

rk_err_t rk_window_make (rk_window_t *window, uint32_t n, uint32_t degree, rk_error_t *err)
{
    memset (window, 0, sizeof *window);
    if (n == 0 || n > RK_GRAPH_MAX_N || (degree < 2 && n > 2))
        return rk_error_set (err, RK_EINVAL,
                             "a window of degree %u over %u replicas: 2 to %u of at most %u are possible", degree, n,
                             n - 1, RK_GRAPH_MAX_N);
    const uint32_t h = n == 1 ? 0 : rk_lattice_side (n, degree);
    window->n = n;
    window->size = 2 * h + 1 < n ? 2 * h + 1 : n;
    uint32_t factor;
    for (uint32_t rest = window->size, stride = 1; rest > 1; rest /= factor, stride *= factor) {
        s_best (rest, &factor);
        s_stage (window, factor, stride);
    }
    return RK_OK;
}

void rk_window_take (const rk_window_hop_t *hop, size_t m, const void *received, float *p, float *a)
{
    switch (hop->op) {
    case RK_WINDOW_DOUBLE:
        rk_vec ()->axpy (m, 1, received, p);
        break;
    case RK_WINDOW_PUT:
        rk_vec ()->copy (m, received, a);
        break;
    case RK_WINDOW_JOIN:
        rk_vec ()->axpy (m, 1, received, a);
        break;
    case RK_WINDOW_CLOSE:
        rk_vec ()->add (m, p, a, p);
        break;
    }
}

void rk_window_mix (const rk_window_t *window, float *const *rows, size_t m, float *spare)
{
    const uint32_t n = window->n;
    float *sent = spare, *aside = spare + (size_t) n * m;
    for (uint32_t h = 0; h < window->n_hops; h++) {
        const rk_window_hop_t *hop = &window->hops[h];
        for (uint32_t i = 0; hop->op == RK_WINDOW_DOUBLE && i < n; i++)
            memcpy (sent + i * m, rows[i], m * sizeof *sent);
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t peer = (i + hop->from) % n;
            rk_window_take (hop, m, hop->op == RK_WINDOW_DOUBLE ? sent + peer * m : rows[peer], rows[i], aside + i * m);
        }
    }
    const float divisor = (float) window->size;
    for (uint32_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            rows[i][k] = rows[i][k] / divisor;
}
