/* SPDX-License-Identifier: MPL-2.0
 * Hops between replicas over the links of all steps together.                                               */
#include <stdlib.h>
#include <string.h>

#include "cluster/walk.h"

#define SOURCES 256u /* of an irregular graph; one is enough where all replicas are alike */

/* Most hops at which `source` hears anybody; UINT32_MAX: not everybody. hops, queue: n numbers each. */
static uint32_t s_hops (const rk_walk_t *walk, uint32_t source, uint32_t *hops, uint32_t *queue)
{
    uint32_t n_queue = 1, most = 0;
    memset (hops, 0xff, walk->n * sizeof *hops);
    hops[queue[0] = source] = 0;
    for (uint32_t at = 0; at < n_queue; at++) {
        const uint32_t i = queue[at];
        most = hops[i];
        for (uint32_t step = 0; step < walk->n_steps && n_queue < walk->n; step++) {
            const uint64_t *first = walk->first + (size_t) step * walk->n;
            for (uint64_t e = first[i]; e < first[i + 1]; e++)
                if (hops[walk->peers[e]] == UINT32_MAX) {
                    hops[walk->peers[e]] = hops[i] + 1;
                    queue[n_queue++] = walk->peers[e];
                }
        }
    }
    return n_queue == walk->n ? most : UINT32_MAX;
}

rk_err_t rk_walk_reach (rk_walk_t *walk, const char *name, rk_error_t *err)
{
    uint32_t *hops = malloc (2 * (size_t) walk->n * sizeof *hops);
    if (!hops)
        return rk_error_set (err, RK_ENOMEM, "no memory to search %u replicas", walk->n);
    const uint32_t stride = walk->irregular ? (walk->n + SOURCES - 1) / SOURCES : walk->n;
    rk_err_t rc = RK_OK;
    walk->diameter = 0;
    for (uint32_t source = 0; !rc && source < walk->n; source += stride) {
        const uint32_t most = s_hops (walk, source, hops, hops + walk->n);
        if (most == UINT32_MAX)
            rc = rk_error_set (err, RK_EINVAL, "%s: replica %u never hears of everybody in %u step%s", name, source,
                               walk->n_steps, walk->n_steps == 1 ? "" : "s");
        else if (most > walk->diameter)
            walk->diameter = most;
    }
    free (hops);
    return rc;
}
