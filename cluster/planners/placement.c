/* SPDX-License-Identifier: MPL-2.0
 * What a placement costs.                                                                                 */
#include "cluster/planners/placement.h"

#include <stdlib.h>
#include <string.h>

#define MOST_EXACT 12 /* groups whose shortest path is found over all sets */

static uint64_t s_ns (uint64_t latency_ns, uint64_t bytes, uint64_t rate)
{
    return latency_ns + (uint64_t) ((unsigned __int128) bytes * 1000000000 / (rate ? rate : 1));
}

static uint64_t s_most (uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

rk_err_t rk_placement_open (rk_placement_t *p, uint32_t n_groups, uint32_t group_size, const uint64_t *latency_ns,
                            const uint64_t *bytes_per_s, uint64_t gradient_bytes, uint64_t activation_bytes, uint64_t seed,
                            rk_error_t *err)
{
    *p = (rk_placement_t){.n = n_groups * group_size, .n_groups = n_groups, .group_size = group_size, .seed = seed};
    if (n_groups == 0 || group_size == 0 || n_groups > RK_PLACEMENT_MOST || group_size > RK_PLACEMENT_MOST || p->n > RK_PLACEMENT_MOST)
        return rk_error_set (err, RK_EINVAL, "%u groups of %u devices cannot be placed (1 to %d devices)", n_groups, group_size,
                             RK_PLACEMENT_MOST);
    const size_t n = p->n;
    p->pipeline_ns = malloc (n * n * sizeof *p->pipeline_ns);
    p->average_ns = malloc (n * n * sizeof *p->average_ns);
    if (!p->pipeline_ns || !p->average_ns) {
        rk_placement_close (p);
        return rk_error_set (err, RK_ENOMEM, "no memory to place %zu devices", n);
    }
    for (size_t u = 0; u < n; u++)
        for (size_t v = 0; v < n; v++) {
            const size_t to = u * n + v, back = v * n + u;
            p->pipeline_ns[to] = u == v ? 0 : s_most (s_ns (latency_ns[to], activation_bytes, bytes_per_s[to]),
                                                      s_ns (latency_ns[back], activation_bytes, bytes_per_s[back]));
            p->average_ns[to] = u == v ? 0 : 2 * s_most (s_ns (latency_ns[to], gradient_bytes / group_size, bytes_per_s[to]),
                                                         s_ns (latency_ns[back], gradient_bytes / group_size, bytes_per_s[back]));
        }
    return RK_OK;
}

void rk_placement_close (rk_placement_t *p)
{
    free (p->pipeline_ns);
    free (p->average_ns);
    *p = (rk_placement_t){0};
}

/* ---- two groups */
typedef struct {
    const rk_placement_t *p;
    uint16_t a[RK_PLACEMENT_MOST], b[RK_PLACEMENT_MOST]; /* their devices, ascending */
    int16_t match[RK_PLACEMENT_MOST];                    /* of b[j]: index into a, or -1 */
    bool seen[RK_PLACEMENT_MOST];
    uint64_t most;
} s_pair_t;

static uint32_t s_members (const rk_placement_t *p, const uint8_t *group_of, uint32_t group, uint16_t *members)
{
    uint32_t n = 0;
    for (uint32_t u = 0; u < p->n; u++)
        if (group_of[u] == group)
            members[n++] = (uint16_t) u;
    return n;
}

static uint64_t s_edge (const s_pair_t *m, uint32_t i, uint32_t j)
{
    return m->p->pipeline_ns[(size_t) m->a[i] * m->p->n + m->b[j]];
}

static bool s_augment (s_pair_t *m, uint32_t i)
{
    for (uint32_t j = 0; j < m->p->group_size; j++) {
        if (m->seen[j] || s_edge (m, i, j) > m->most)
            continue;
        m->seen[j] = true;
        if (m->match[j] < 0 || s_augment (m, (uint32_t) m->match[j])) {
            m->match[j] = (int16_t) i;
            return true;
        }
    }
    return false;
}

/* Is there a perfect matching without an edge above `most`? */
static bool s_matches (rk_placement_t *p, s_pair_t *m, uint64_t most)
{
    m->most = most;
    memset (m->match, 0xff, sizeof m->match);
    for (uint32_t i = 0; i < p->group_size; i++) {
        memset (m->seen, 0, sizeof m->seen);
        p->steps += p->group_size;
        if (!s_augment (m, i))
            return false;
    }
    return true;
}

static int s_compare (const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *) x, b = *(const uint64_t *) y;
    return (a > b) - (a < b);
}

/* The least longest edge; m->match holds the matching. Each device has an edge, which bounds it from below. */
static uint64_t s_bottleneck (rk_placement_t *p, s_pair_t *m)
{
    const uint32_t d = p->group_size;
    uint64_t low = 0;
    for (uint32_t i = 0; i < d; i++) {
        uint64_t of_a = UINT64_MAX, of_b = UINT64_MAX;
        for (uint32_t j = 0; j < d; j++) {
            of_a = s_edge (m, i, j) < of_a ? s_edge (m, i, j) : of_a;
            of_b = s_edge (m, j, i) < of_b ? s_edge (m, j, i) : of_b;
        }
        low = s_most (low, s_most (of_a, of_b));
    }
    p->steps += (uint64_t) d * d;
    if (s_matches (p, m, low))
        return low;
    uint64_t *edges = malloc ((size_t) d * d * sizeof *edges); /* rare: most pairs of groups match at the bound */
    if (!edges)
        return UINT64_MAX / 1024;
    for (uint32_t i = 0; i < d * d; i++)
        edges[i] = s_edge (m, i / d, i % d);
    qsort (edges, (size_t) d * d, sizeof *edges, s_compare);
    uint32_t from = 0, to = d * d - 1;
    while (from < to) {
        const uint32_t middle = (from + to) / 2;
        if (s_matches (p, m, edges[middle]))
            to = middle;
        else
            from = middle + 1;
    }
    const uint64_t best = edges[to];
    free (edges);
    bool whole = s_matches (p, m, best);
    (void) whole; /* the longest edge of all allows every matching */
    return best;
}

void rk_placement_match (rk_placement_t *p, const uint8_t *group_of, uint32_t a, uint32_t b, uint16_t *partner)
{
    s_pair_t m = {.p = p};
    s_members (p, group_of, a, m.a);
    s_members (p, group_of, b, m.b);
    s_bottleneck (p, &m);
    for (uint32_t j = 0; j < p->group_size; j++)
        partner[m.match[j]] = m.b[j];
}

/* ---- the path through all groups */
static uint64_t s_path_exact (const uint64_t *edge, uint32_t n, uint8_t *path)
{
    uint64_t *best = calloc ((size_t) n << n, sizeof *best);
    if (!best)
        return UINT64_MAX / 1024;
    for (uint32_t set = 1; set < 1u << n; set++)
        for (uint32_t last = 0; last < n; last++) {
            uint64_t length = set == 1u << last ? 0 : UINT64_MAX / 1024;
            for (uint32_t before = 0; (set >> last & 1) && before < n; before++)
                if (before != last && (set >> before & 1)) {
                    const uint64_t with = best[(size_t) (set & ~(1u << last)) * n + before] + edge[before * n + last];
                    length = with < length ? with : length;
                }
            best[(size_t) set * n + last] = length;
        }
    uint32_t set = (1u << n) - 1, last = 0;
    for (uint32_t i = 1; i < n; i++)
        last = best[(size_t) set * n + i] < best[(size_t) set * n + last] ? i : last;
    const uint64_t length = best[(size_t) set * n + last];
    for (uint32_t i = n; i-- > 0;) {
        path[i] = (uint8_t) last;
        const uint32_t rest = set & ~(1u << last);
        uint32_t before = n;
        for (uint32_t b = 0; b < n; b++)
            if ((rest >> b & 1) && best[(size_t) rest * n + b] + edge[b * n + last] == best[(size_t) set * n + last])
                before = before == n ? b : before;
        set = rest;
        last = before < n ? before : 0;
    }
    free (best);
    return length;
}

/* Nearest neighbours from every group. */
static uint64_t s_path_near (const uint64_t *edge, uint32_t n, uint8_t *path)
{
    uint64_t best = UINT64_MAX;
    uint8_t walk[RK_PLACEMENT_MOST];
    for (uint32_t start = 0; start < n; start++) {
        uint64_t length = 0;
        for (uint32_t i = 0; i < n; i++)
            walk[i] = (uint8_t) ((start + i) % n);
        for (uint32_t i = 0; i + 1 < n; i++) {
            uint32_t next = i + 1;
            for (uint32_t j = i + 2; j < n; j++)
                next = edge[walk[i] * n + walk[j]] < edge[walk[i] * n + walk[next]] ? j : next;
            const uint8_t group = walk[i + 1];
            walk[i + 1] = walk[next], walk[next] = group;
            length += edge[walk[i] * n + walk[i + 1]];
        }
        if (length < best) {
            best = length;
            memcpy (path, walk, n);
        }
    }
    return best;
}

uint64_t rk_placement_cost (rk_placement_t *p, const uint8_t *group_of, uint8_t *path, uint64_t *averaging_ns)
{
    const uint32_t n = p->n_groups;
    uint64_t averaging = 0;
    for (uint32_t u = 0; u < p->n; u++) {
        uint64_t sum = 0;
        for (uint32_t v = 0; v < p->n; v++)
            sum += group_of[v] == group_of[u] ? p->average_ns[(size_t) u * p->n + v] : 0;
        averaging = s_most (averaging, sum);
    }
    p->steps += (uint64_t) p->n * p->n;
    if (averaging_ns)
        *averaging_ns = averaging;
    uint64_t *edge = calloc ((size_t) n * n, sizeof *edge);
    uint8_t scratch[RK_PLACEMENT_MOST];
    if (!edge)
        return UINT64_MAX / 1024;
    s_pair_t m = {.p = p};
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = a + 1; b < n; b++) {
            s_members (p, group_of, a, m.a);
            s_members (p, group_of, b, m.b);
            edge[a * n + b] = edge[b * n + a] = s_bottleneck (p, &m);
        }
    p->steps += n <= MOST_EXACT ? (uint64_t) n * n << n : (uint64_t) n * n * n;
    const uint64_t length = n <= MOST_EXACT ? s_path_exact (edge, n, path ? path : scratch) : s_path_near (edge, n, path ? path : scratch);
    free (edge);
    return averaging + 2 * length;
}
