/* SPDX-License-Identifier: MPL-2.0
 * All pairs from those that were measured.                                                                */
#include "cluster/links.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HOPS 8

typedef struct {
    uint32_t from, to; /* machines */
    uint64_t rtt_ns;
} s_edge_t;

typedef struct {
    uint32_t n, n_hosts;
    uint32_t *host;         /* n: index of its machine */
    uint64_t *up, *down;    /* n_hosts: best rate to and from other machines */
    uint64_t inner_rate, inner_rtt_ns; /* best of two nodes of one machine */
    s_edge_t *edges;        /* between machines, both ways */
    size_t n_edges;
    uint64_t *way, *next;   /* n_hosts: round trip from one machine */
} s_work_t;

static rk_err_t s_open (s_work_t *w, const uint64_t *hosts, uint32_t n, size_t n_links)
{
    *w = (s_work_t){.n = n};
    w->host = calloc (n + 1, sizeof *w->host);
    w->up = calloc (n + 1, sizeof *w->up);
    w->down = calloc (n + 1, sizeof *w->down);
    w->way = calloc (n + 1, sizeof *w->way);
    w->next = calloc (n + 1, sizeof *w->next);
    w->edges = calloc (2 * n_links + 1, sizeof *w->edges);
    if (!w->host || !w->up || !w->down || !w->way || !w->next || !w->edges)
        return RK_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = 0;
        while (j < i && hosts[j] != hosts[i])
            j++;
        w->host[i] = j < i ? w->host[j] : w->n_hosts++;
    }
    return RK_OK;
}

static void s_close (s_work_t *w)
{
    free (w->host);
    free (w->up);
    free (w->down);
    free (w->way);
    free (w->next);
    free (w->edges);
}

static uint32_t s_index (const uint32_t *ids, uint32_t n, uint32_t id)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && ids[low] == id ? low : n;
}

static void s_raise (uint64_t *best, uint64_t value)
{
    *best = value > *best ? value : *best;
}

static void s_lower (uint64_t *best, uint64_t value)
{
    if (value && (!*best || value < *best))
        *best = value;
}

static void s_learn_rate (s_work_t *w, uint32_t i, uint32_t j, uint64_t rate)
{
    if (w->host[i] == w->host[j])
        s_raise (&w->inner_rate, rate);
    else {
        s_raise (&w->up[w->host[i]], rate);
        s_raise (&w->down[w->host[j]], rate);
    }
}

static void s_learn_rtt (s_work_t *w, uint32_t i, uint32_t j, uint64_t rtt_ns)
{
    if (w->host[i] == w->host[j])
        s_lower (&w->inner_rtt_ns, rtt_ns);
    else if (rtt_ns) {
        w->edges[w->n_edges++] = (s_edge_t){w->host[i], w->host[j], rtt_ns};
        w->edges[w->n_edges++] = (s_edge_t){w->host[j], w->host[i], rtt_ns};
    }
}

/* A direction that was not measured is as its opposite. */
static void s_mirror (s_work_t *w, uint64_t *rates, uint64_t *rtts)
{
    for (size_t i = 0; i < w->n; i++)
        for (size_t j = 0; j < w->n; j++) {
            if (!rates[i * w->n + j])
                rates[i * w->n + j] = rates[j * w->n + i];
            if (!rtts[i * w->n + j])
                rtts[i * w->n + j] = rtts[j * w->n + i];
            s_learn_rate (w, (uint32_t) i, (uint32_t) j, rates[i * w->n + j]);
        }
}

/* Bellman and Ford, from one machine, over MOST_HOPS links. */
static void s_ways (s_work_t *w, uint32_t from)
{
    memset (w->way, 0, w->n_hosts * sizeof *w->way);
    bool better = true;
    for (int hop = 0; hop < MOST_HOPS && better; hop++) {
        better = false;
        memcpy (w->next, w->way, w->n_hosts * sizeof *w->way);
        for (size_t e = 0; e < w->n_edges; e++) {
            const s_edge_t *edge = &w->edges[e];
            if (edge->to == from || (edge->from != from && !w->way[edge->from]))
                continue;
            const uint64_t ns = w->way[edge->from] + edge->rtt_ns;
            better |= !w->next[edge->to] || ns < w->next[edge->to];
            s_lower (&w->next[edge->to], ns);
        }
        memcpy (w->way, w->next, w->n_hosts * sizeof *w->way);
    }
}

static uint64_t s_rate (const s_work_t *w, uint32_t i, uint32_t j)
{
    if (w->host[i] == w->host[j])
        return w->inner_rate;
    const uint64_t up = w->up[w->host[i]], down = w->down[w->host[j]];
    return up < down ? up : down;
}

static void s_fill_row (s_work_t *w, uint32_t i, uint64_t *rates, uint64_t *rtts)
{
    bool ready = false;
    for (uint32_t j = 0; j < w->n; j++) {
        const size_t at = (size_t) i * w->n + j;
        if (i == j)
            continue;
        if (!rates[at])
            rates[at] = s_rate (w, i, j);
        if (rtts[at])
            continue;
        if (!ready && w->host[i] != w->host[j]) {
            s_ways (w, w->host[i]);
            ready = true;
        }
        rtts[at] = w->host[i] == w->host[j] ? w->inner_rtt_ns : w->way[w->host[j]];
    }
}

rk_err_t rk_links_fill (const rk_link_t *links, size_t n_links, const uint32_t *ids, const uint64_t *hosts, uint32_t n,
                        uint64_t *bytes_per_s, uint64_t *rtt_ns)
{
    s_work_t work;
    rk_err_t rc = s_open (&work, hosts, n, n_links);
    memset (bytes_per_s, 0, (size_t) n * n * sizeof *bytes_per_s);
    memset (rtt_ns, 0, (size_t) n * n * sizeof *rtt_ns);
    for (size_t l = 0; !rc && l < n_links; l++) {
        const uint32_t i = s_index (ids, n, links[l].from), j = s_index (ids, n, links[l].to);
        if (i == n || j == n || i == j)
            continue; /* of a node that has left */
        bytes_per_s[(size_t) i * n + j] = links[l].bytes_per_s;
        rtt_ns[(size_t) i * n + j] = links[l].rtt_ns;
        s_learn_rtt (&work, i, j, links[l].rtt_ns);
    }
    if (!rc)
        s_mirror (&work, bytes_per_s, rtt_ns);
    for (uint32_t i = 0; !rc && i < n; i++)
        s_fill_row (&work, i, bytes_per_s, rtt_ns);
    s_close (&work);
    return rc;
}
