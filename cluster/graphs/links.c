/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/links.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/graphs/kind.h"

static void s_sort (uint32_t *peers, uint64_t n) /* short lists: insertion */
{
    for (uint64_t a = 1; a < n; a++) {
        const uint32_t peer = peers[a];
        uint64_t b = a;
        for (; b > 0 && peers[b - 1] > peer; b--)
            peers[b] = peers[b - 1];
        peers[b] = peer;
    }
}

rk_err_t rk_links_new (rk_links_t **links_p, uint32_t n, const rk_link_t *links, uint64_t n_links, bool turned,
                       rk_error_t *err)
{
    rk_links_t *self = calloc (1, sizeof *self + (n + 2) * sizeof *self->first + n_links * sizeof *self->peers);
    *links_p = self;
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for %llu links", (unsigned long long) n_links);
    self->n = n;
    self->first = (uint64_t *) (self + 1);
    self->peers = (uint32_t *) (self->first + n + 2);
    /* first[i + 2] counts, then becomes the end of i - 1, then of i while peers are put in. */
    for (uint64_t l = 0; l < n_links; l++)
        self->first[(turned ? links[l].from : links[l].to) + 2]++;
    for (uint32_t i = 0; i < n; i++)
        self->first[i + 2] += self->first[i + 1];
    for (uint64_t l = 0; l < n_links; l++)
        self->peers[self->first[(turned ? links[l].from : links[l].to) + 1]++] = turned ? links[l].to : links[l].from;
    for (uint32_t i = 0; i < n; i++)
        s_sort (self->peers + self->first[i], rk_links_degree (self, i));
    return RK_OK;
}

uint32_t rk_links_degree (const rk_links_t *links, uint32_t i)
{
    return (uint32_t) (links->first[i + 1] - links->first[i]);
}

uint32_t rk_links_most (const rk_links_t *links)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < links->n; i++)
        most = rk_links_degree (links, i) > most ? rk_links_degree (links, i) : most;
    return most;
}

/* seen[0 .. n_seen) is the queue; its upper bit marks replicas that are in it. */
bool rk_links_connected (const rk_links_t *links, uint32_t *seen)
{
    const uint32_t mark = 1u << 31;
    uint32_t n_seen = 1;
    memset (seen, 0, links->n * sizeof *seen);
    seen[0] = mark;
    for (uint32_t at = 0; at < n_seen; at++) {
        const uint32_t i = seen[at] & ~mark;
        for (uint64_t l = links->first[i]; l < links->first[i + 1]; l++) {
            const uint32_t peer = links->peers[l];
            if (seen[peer] & mark)
                continue;
            seen[peer] |= mark;
            seen[n_seen] = (seen[n_seen] & mark) | peer;
            n_seen++;
        }
    }
    return n_seen == links->n;
}

uint32_t rk_links_row (const rk_links_t *links, uint32_t i, rk_graph_edge_t *edges)
{
    uint32_t n_edges = 0;
    bool placed = false;
    for (uint64_t l = links->first[i]; l < links->first[i + 1]; l++) {
        if (!placed && links->peers[l] > i) {
            edges[n_edges++] = (rk_graph_edge_t){i, 0};
            placed = true;
        }
        edges[n_edges++] = (rk_graph_edge_t){links->peers[l], 0};
    }
    if (!placed)
        edges[n_edges++] = (rk_graph_edge_t){i, 0};
    return n_edges;
}

float rk_metropolis_weight (uint32_t a, uint32_t b)
{
    return rk_graph_share (1 + (a > b ? a : b));
}

void rk_links_keep (uint32_t i, rk_graph_edge_t *edges, uint32_t n_edges)
{
    double others = 0;
    uint32_t self = 0;
    for (uint32_t e = 0; e < n_edges; e++)
        if (edges[e].peer == i)
            self = e;
        else
            others += edges[e].weight;
    edges[self].weight = (float) (1 - others);
}
