/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/profiles.h"

#include <stdlib.h>
#include <string.h>

/* No layer of a minibatch takes an hour; beyond that sums could leave 64 bits. */
#define MOST_LAYER_NS UINT64_C (3600000000000)
#define MOST_RAM_BYTES (UINT64_C (1) << 50)

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
    return RK_OK;
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
    return RK_OK;
}
