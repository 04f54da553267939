/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/hops.h"

#include "cluster/ring.h"
#include "cluster/traffic.h"
#include "compute/kernels/vec.h"

uint32_t rk_hops_most (const rk_graph_t *graph)
{
    const uint32_t ring = 2 * rk_graph_max_row (graph);
    return ring > RK_WINDOW_HOPS ? ring : RK_WINDOW_HOPS;
}

void rk_hops_at (rk_hops_t *hops, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges,
                 uint32_t *members)
{
    const rk_traffic_t traffic = rk_traffic_of (graph, at, i, false, edges);
    *hops = (rk_hops_t){.i = i, .n_pieces = 1};
    if (traffic.way == RK_WAY_WINDOW && !rk_window_make (&hops->window, rk_graph_n (graph), 2 * rk_graph_side (graph, at), NULL)) {
        hops->n_hops = hops->window.n_hops;
        hops->size = hops->window.size;
    } else if (traffic.way == RK_WAY_RING && !rk_graph_is_exact_at (graph, at)) {
        hops->size = hops->n_pieces = rk_graph_group (graph, at, i, members);
        hops->n_hops = rk_ring_n_steps (hops->size);
        while (members[hops->at] != i)
            hops->at++;
    }
}

static rk_hop_t s_of_window (const rk_hops_t *hops, uint32_t h)
{
    static const rk_hop_op_t ops[] = {[RK_WINDOW_DOUBLE] = RK_HOP_ADD, [RK_WINDOW_PUT] = RK_HOP_PUT,
                                      [RK_WINDOW_JOIN] = RK_HOP_JOIN, [RK_WINDOW_CLOSE] = RK_HOP_CLOSE};
    const rk_window_hop_t *hop = &hops->window.hops[h];
    const uint32_t n = hops->window.n;
    return (rk_hop_t){.op = ops[hop->op], .to = (hops->i + hop->to) % n, .from = (hops->i + hop->from) % n};
}

rk_hop_t rk_hops_get (const rk_hops_t *hops, const uint32_t *members, uint32_t h)
{
    if (hops->window.n_hops)
        return s_of_window (hops, h);
    const uint32_t g = hops->size;
    const rk_ring_step_t step = rk_ring_step (hops->at, g, h);
    return (rk_hop_t){.op = step.gather ? RK_HOP_COPY : RK_HOP_ADD, .to = members[(hops->at + 1) % g],
                      .from = members[(hops->at + g - 1) % g], .send = step.send_piece, .receive = step.receive_piece};
}

void rk_hops_piece (const rk_hops_t *hops, uint64_t n, uint32_t piece, uint64_t *lo, uint64_t *hi)
{
    *lo = n * piece / hops->n_pieces;
    *hi = n * (piece + 1) / hops->n_pieces;
}

void rk_hops_take (rk_hop_op_t op, size_t n, const void *received, uint32_t n_received, float *p, uint32_t *in_p, float *a,
                   uint32_t *in_a)
{
    switch (op) {
    case RK_HOP_ADD:
        rk_vec ()->axpy (n, 1, received, p);
        *in_p += n_received;
        break;
    case RK_HOP_PUT:
        rk_vec ()->copy (n, received, a);
        *in_a = n_received;
        break;
    case RK_HOP_JOIN:
        rk_vec ()->axpy (n, 1, received, a);
        *in_a += n_received;
        break;
    case RK_HOP_CLOSE:
        rk_vec ()->add (n, p, a, p);
        *in_p += *in_a;
        break;
    case RK_HOP_COPY:
        rk_vec ()->copy (n, received, p);
        *in_p = n_received;
        break;
    }
}

void rk_hops_end (const rk_hops_t *hops, size_t n, uint32_t in_p, const float *own, float *p)
{
    const float size = (float) hops->size, missing = size - (float) in_p;
    if (missing > 0)
        rk_vec ()->axpy (n, missing, own, p);
    for (size_t k = 0; k < n; k++)
        p[k] /= size;
}
