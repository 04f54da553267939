/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/kind.h"

/* Ascending: what wraps around 0 comes first. */
uint32_t rk_graph_window (uint32_t n, uint32_t i, uint32_t left, uint32_t right, rk_graph_edge_t *edges)
{
    const uint32_t total = left < n && right < n && left + right < n - 1 ? left + right + 1 : n;
    const uint32_t start = total == n ? 0 : (i + n - left) % n;
    const uint32_t wrapped = start + total > n ? start + total - n : 0;
    const float weight = 1.0f / (float) total;
    for (uint32_t e = 0; e < total; e++)
        edges[e] = (rk_graph_edge_t){e < wrapped ? e : start + e - wrapped, weight};
    return total;
}

uint32_t rk_graph_strides (uint32_t n, uint32_t i, const uint32_t *strides, uint32_t n_strides, rk_graph_edge_t *edges)
{
    const float weight = 1.0f / (float) (n_strides + 1);
    uint32_t first = n_strides, n_edges = 0; /* the first stride that wraps around */
    while (first > 0 && strides[first - 1] >= n - i)
        first--;
    for (uint32_t s = first; s < n_strides; s++)
        edges[n_edges++] = (rk_graph_edge_t){strides[s] - (n - i), weight};
    edges[n_edges++] = (rk_graph_edge_t){i, weight};
    for (uint32_t s = 0; s < first; s++)
        edges[n_edges++] = (rk_graph_edge_t){i + strides[s], weight};
    return n_edges;
}

/* A handful of peers: insertion, dropping doubles. */
uint32_t rk_graph_equal (uint32_t i, const uint32_t *peers, uint32_t n_peers, rk_graph_edge_t *edges)
{
    uint32_t n_edges = 1;
    edges[0].peer = i;
    for (uint32_t p = 0; p < n_peers; p++) {
        uint32_t place = n_edges;
        while (place > 0 && edges[place - 1].peer > peers[p])
            place--;
        if (place > 0 && edges[place - 1].peer == peers[p])
            continue;
        for (uint32_t e = n_edges++; e > place; e--)
            edges[e] = edges[e - 1];
        edges[place].peer = peers[p];
    }
    for (uint32_t e = 0; e < n_edges; e++)
        edges[e].weight = 1.0f / (float) n_edges;
    return n_edges;
}

float rk_graph_share (uint32_t parts)
{
    return (float) ((1u << 24) / parts) * 0x1p-24f;
}

uint32_t rk_graph_log2 (uint32_t n)
{
    uint32_t exponent = 0;
    while (((uint64_t) 1 << exponent) < n)
        exponent++;
    return exponent;
}

void rk_graph_factors (uint32_t n, uint32_t *rows, uint32_t *columns)
{
    *rows = 1;
    for (uint32_t r = 2; (uint64_t) r * r <= n; r++)
        if (n % r == 0)
            *rows = r;
    *columns = n / *rows;
}
