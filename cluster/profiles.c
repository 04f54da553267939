/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/profiles.h"

#include <stdlib.h>
#include <string.h>

/* No layer of a minibatch takes an hour; beyond that sums could leave 64 bits. */
#define MOST_LAYER_NS UINT64_C (3600000000000)
#define MOST_RAM_BYTES (UINT64_C (1) << 50)
#define MOST_BYTES_PER_S UINT64_C (1000000000000)
#define MOST_RTT_NS UINT64_C (600000000000)
#define MOST_SETTLED UINT64_C (100000000) /* millionths */

rk_err_t rk_profiles_init (rk_profiles_t *table, uint32_t capacity, uint32_t n_layers)
{
    *table = (rk_profiles_t){.capacity = capacity, .n_layers = n_layers};
    table->nodes = calloc (capacity ? capacity : 1, sizeof *table->nodes);
    return table->nodes ? RK_OK : RK_ENOMEM;
}

void rk_profiles_clear (rk_profiles_t *table)
{
    for (uint32_t i = 0; i < table->n; i++)
        free ((void *) table->nodes[i].forward_ns);
    free (table->nodes);
    free (table->links);
    free (table->matrix);
    *table = (rk_profiles_t){0};
}

static rk_err_t s_check (const rk_profiles_t *table, const rk_profile_t *p, size_t n_layers, rk_error_t *err)
{
    if (n_layers != table->n_layers)
        return rk_error_set (err, RK_EFORMAT, "node %u measured %zu layers, the model has %u", p->id, n_layers,
                             table->n_layers);
    if (p->cores == 0 || p->speed_ppm == 0 || p->speed_ppm > 1000000 || p->ram_bytes > MOST_RAM_BYTES)
        return rk_error_set (err, RK_EFORMAT, "node %u: %u cores, speed %u ppm, %llu bytes", p->id, p->cores,
                             p->speed_ppm, (unsigned long long) p->ram_bytes);
    for (size_t i = 0; i < n_layers; i++)
        if (p->forward_ns[i] > MOST_LAYER_NS || p->backward_ns[i] > MOST_LAYER_NS)
            return rk_error_set (err, RK_EFORMAT, "node %u: layer %zu takes longer than an hour", p->id, i);
    if (p->dispatch_ns > MOST_LAYER_NS || p->feed_ns > MOST_LAYER_NS || p->copy_bytes_per_s > MOST_BYTES_PER_S)
        return rk_error_set (err, RK_EFORMAT, "node %u: beside kernels a minibatch takes %llu and %llu ns, memory copies %llu bytes/s", p->id,
                             (unsigned long long) p->dispatch_ns, (unsigned long long) p->feed_ns, (unsigned long long) p->copy_bytes_per_s);
    if (p->team_ppm > MOST_SETTLED || p->crowd_ppm > MOST_SETTLED || p->settled_ppm > MOST_SETTLED)
        return rk_error_set (err, RK_EFORMAT, "node %u: its cores together take %u, %u and %u millionths of the time of one", p->id,
                             p->team_ppm, p->crowd_ppm, p->settled_ppm);
    return RK_OK;
}

static void s_changed (rk_profiles_t *table)
{
    free (table->matrix);
    table->matrix = NULL;
}

/* Where the id belongs; it may be there already. */
static uint32_t s_place (const rk_profiles_t *table, uint32_t id)
{
    uint32_t at = 0;
    while (at < table->n && table->nodes[at].id < id)
        at++;
    return at;
}

rk_err_t rk_profiles_add (rk_profiles_t *table, const rk_profile_t *profile, size_t n_layers, rk_error_t *err)
{
    rk_err_t rc = s_check (table, profile, n_layers, err);
    if (rc)
        return rc;
    uint32_t at = s_place (table, profile->id);
    if (at < table->n && table->nodes[at].id == profile->id)
        return rk_error_set (err, RK_ESTATE, "a second profile of node %u", profile->id);
    if (table->n == table->capacity)
        return rk_error_set (err, RK_ESTATE, "profile of node %u: all %u are in", profile->id, table->capacity);
    uint64_t *times = malloc (2 * (n_layers ? n_layers : 1) * sizeof *times);
    if (!times)
        return rk_error_set (err, RK_ENOMEM, "profile of node %u", profile->id);
    memcpy (times, profile->forward_ns, n_layers * sizeof *times);
    memcpy (times + n_layers, profile->backward_ns, n_layers * sizeof *times);
    memmove (table->nodes + at + 1, table->nodes + at, (table->n - at) * sizeof *table->nodes);
    table->nodes[at] = *profile;
    table->nodes[at].forward_ns = times;
    table->nodes[at].backward_ns = times + n_layers;
    table->n++;
    s_changed (table);
    return RK_OK;
}

void rk_profiles_drop (rk_profiles_t *table, uint32_t id)
{
    const uint32_t at = s_place (table, id);
    if (at == table->n || table->nodes[at].id != id)
        return;
    free ((void *) table->nodes[at].forward_ns);
    memmove (table->nodes + at, table->nodes + at + 1, (table->n - at - 1) * sizeof *table->nodes);
    table->n--;
    s_changed (table);
}

rk_err_t rk_profiles_put (rk_profiles_t *table, const rk_profile_t *profile, size_t n_layers, rk_error_t *err)
{
    rk_profiles_drop (table, profile->id);
    if (table->n == table->capacity) {
        rk_profile_t *nodes = realloc (table->nodes, (table->n + 8) * sizeof *nodes);
        if (!nodes)
            return rk_error_set (err, RK_ENOMEM, "profile of node %u", profile->id);
        table->nodes = nodes;
        table->capacity = table->n + 8;
    }
    return rk_profiles_add (table, profile, n_layers, err);
}

#define GUESS_NS 1000 /* of a layer, and one for every so many floats */
#define GUESS_FLOATS 16

rk_err_t rk_profiles_guess (rk_profiles_t *table, const rk_plan_t *plan, const rk_model_info_t *model, rk_error_t *err)
{
    uint64_t *times = malloc ((model->n_layers + 1) * sizeof *times);
    rk_err_t rc = times ? rk_profiles_init (table, plan->n_nodes, model->n_layers) : RK_ENOMEM;
    if (rc) {
        free (times);
        return rk_error_set (err, rc, "no memory for %u profiles", plan->n_nodes);
    }
    for (uint32_t i = 0; !rc && i < plan->n_nodes; i++) {
        for (uint32_t l = 0; l < model->n_layers; l++) {
            const uint64_t end = l + 1 < model->n_layers ? model->layers[l + 1].flat_at : model->n_flat;
            times[l] = (GUESS_NS + (end - model->layers[l].flat_at) / GUESS_FLOATS) * 1000000 / plan->node_speed_ppm[i];
            times[l] = times[l] < MOST_LAYER_NS ? times[l] : MOST_LAYER_NS;
        }
        const rk_profile_t p = {.id = plan->nodes[i], .host = plan->node_hosts[i], .cores = plan->node_cores[i],
                                .speed_ppm = plan->node_speed_ppm[i], .forward_ns = times, .backward_ns = times};
        rc = rk_profiles_add (table, &p, model->n_layers, err);
    }
    free (times);
    return rc;
}

/* ---- cores */
#define WHOLE UINT64_C (1000000)

/* With k threads of c: what no thread helps with takes as long as ever, the rest is shared. */
static uint64_t s_team_ppm (const rk_profile_t *p, uint64_t k)
{
    const uint64_t c = p->cores, team = p->team_ppm, best = WHOLE / c;
    if (k == c || team >= WHOLE || team <= best)
        return team >= WHOLE || k == c ? team : WHOLE / k;
    const uint64_t serial = (team - best) * c / (c - 1);
    return serial + (WHOLE - serial) / k;
}

static uint64_t s_settled_ppm (const rk_profile_t *nodes, uint32_t n, const rk_profile_t *p)
{
    uint64_t sharing = 0, strength = 0;
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i].host == p->host) {
            sharing++;
            strength += nodes[i].speed_ppm;
        }
    const uint64_t c = p->cores, k = sharing && c / sharing > 1 ? c / sharing : 1;
    uint64_t ppm = k > 1 && p->team_ppm ? s_team_ppm (p, k) : WHOLE;
    if (sharing > 1 && c > 1 && p->crowd_ppm > WHOLE) { /* as many cores compute as the nodes are strong */
        const uint64_t busy = strength * k < c * WHOLE ? strength * k : c * WHOLE;
        if (busy > WHOLE)
            ppm = ppm * (WHOLE + (p->crowd_ppm - WHOLE) * (busy - WHOLE) / ((c - 1) * WHOLE)) / WHOLE;
    }
    return ppm < 1 ? 1 : ppm > MOST_SETTLED ? MOST_SETTLED : ppm;
}

static void s_multiply (uint64_t *times, uint32_t n, uint64_t up, uint64_t down)
{
    for (uint32_t l = 0; l < n; l++) {
        const unsigned __int128 ns = (unsigned __int128) times[l] * up / down;
        times[l] = ns < 1 ? 1 : ns > MOST_LAYER_NS ? MOST_LAYER_NS : (uint64_t) ns;
    }
}

void rk_profiles_settle (rk_profile_t *nodes, uint32_t n, uint32_t n_layers)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t now = nodes[i].settled_ppm ? nodes[i].settled_ppm : WHOLE, wanted = s_settled_ppm (nodes, n, &nodes[i]);
        if (now != wanted) {
            s_multiply ((uint64_t *) nodes[i].forward_ns, n_layers, wanted, now);
            s_multiply ((uint64_t *) nodes[i].backward_ns, n_layers, wanted, now);
        }
        nodes[i].settled_ppm = (uint32_t) wanted;
    }
}

/* ---- links */
static size_t s_link_place (const rk_profiles_t *table, const rk_link_t *link)
{
    size_t low = 0, high = table->n_links;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const rk_link_t *l = &table->links[middle];
        if (l->from < link->from || (l->from == link->from && l->to < link->to))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static rk_err_t s_make_room (rk_profiles_t *table)
{
    if (table->n_links < table->link_capacity)
        return RK_OK;
    const size_t capacity = table->link_capacity ? 2 * table->link_capacity : 16;
    rk_link_t *links = realloc (table->links, capacity * sizeof *links);
    if (!links)
        return RK_ENOMEM;
    table->links = links;
    table->link_capacity = capacity;
    return RK_OK;
}

rk_err_t rk_profiles_link (rk_profiles_t *table, const rk_link_t *link, rk_error_t *err)
{
    if (link->from == link->to || link->bytes_per_s > MOST_BYTES_PER_S || link->rtt_ns > MOST_RTT_NS)
        return rk_error_set (err, RK_EFORMAT, "link from node %u to %u: %llu bytes/s, round trip %llu ns", link->from, link->to,
                             (unsigned long long) link->bytes_per_s, (unsigned long long) link->rtt_ns);
    const size_t at = s_link_place (table, link);
    const bool there = at < table->n_links && table->links[at].from == link->from && table->links[at].to == link->to;
    if (!there && s_make_room (table))
        return rk_error_set (err, RK_ENOMEM, "no memory for link %zu", table->n_links);
    if (!there) {
        memmove (table->links + at + 1, table->links + at, (table->n_links - at) * sizeof *table->links);
        table->n_links++;
    }
    table->links[at] = *link;
    s_changed (table);
    return RK_OK;
}

static rk_err_t s_fill (rk_profiles_t *table)
{
    const size_t n = table->n;
    uint64_t *matrix = malloc (2 * n * n * sizeof *matrix);
    uint64_t *hosts = malloc ((n + 1) * sizeof *hosts);
    uint32_t *ids = malloc ((n + 1) * sizeof *ids);
    rk_err_t rc = matrix && hosts && ids ? RK_OK : RK_ENOMEM;
    for (size_t i = 0; !rc && i < n; i++) {
        hosts[i] = table->nodes[i].host;
        ids[i] = table->nodes[i].id;
    }
    if (!rc)
        rc = rk_links_fill (table->links, table->n_links, ids, hosts, table->n, matrix, matrix + n * n);
    free (hosts);
    free (ids);
    if (rc)
        free (matrix);
    else
        table->matrix = matrix;
    return rc;
}

rk_err_t rk_profiles_fleet (rk_profiles_t *table, rk_fleet_t *fleet, rk_error_t *err)
{
    rk_profiles_settle (table->nodes, table->n, table->n_layers);
    *fleet = (rk_fleet_t){.nodes = table->nodes, .n_nodes = table->n};
    if (!table->n_links || !table->n)
        return RK_OK;
    if (!table->matrix && s_fill (table))
        return rk_error_set (err, RK_ENOMEM, "no memory for the links of %u nodes", table->n);
    fleet->link_bytes_per_s = table->matrix;
    fleet->link_rtt_ns = table->matrix + (size_t) table->n * table->n;
    return RK_OK;
}
