/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rk_err_t rk_roster_init (rk_roster_t *roster, uint32_t capacity)
{
    *roster = (rk_roster_t){.capacity = capacity};
    roster->list = calloc (capacity ? capacity : 1, sizeof *roster->list);
    return roster->list ? RK_OK : RK_ENOMEM;
}

void rk_roster_clear (rk_roster_t *roster)
{
    free (roster->list);
    *roster = (rk_roster_t){0};
}

rk_err_t rk_roster_add (rk_roster_t *roster, const rk_roster_entry_t *entry, uint32_t *process, rk_error_t *err)
{
    if (roster->n == roster->capacity)
        return rk_error_set (err, RK_ESTATE, "all %u processes of this run are in", roster->capacity);
    *process = roster->n++;
    roster->list[*process] = *entry;
    roster->list[*process].steps = 0;
    return RK_OK;
}

rk_err_t rk_roster_reserve (rk_roster_t *roster, uint32_t process)
{
    if (process >= roster->capacity) {
        rk_roster_entry_t *list = realloc (roster->list, (process + 1) * sizeof *list);
        if (!list)
            return RK_ENOMEM;
        roster->list = list;
        roster->capacity = process + 1;
    }
    for (; roster->n <= process; roster->n++)
        roster->list[roster->n] = (rk_roster_entry_t){.node = RK_ROSTER_NO_NODE, .steps = RK_STEP_LOST};
    return RK_OK;
}

void rk_roster_again (rk_roster_t *roster, unsigned steps)
{
    for (uint32_t p = 0; p < roster->n; p++)
        roster->list[p].steps &= ~steps;
}

void rk_roster_mark (rk_roster_t *roster, uint32_t process, unsigned step)
{
    if (process < roster->n)
        roster->list[process].steps |= step;
}

static bool s_taken (const rk_roster_entry_t *e, unsigned step)
{
    return e->steps & (step | RK_STEP_LOST);
}

bool rk_roster_all (const rk_roster_t *roster, unsigned step)
{
    for (uint32_t p = 0; p < roster->n; p++)
        if (!s_taken (&roster->list[p], step))
            return false;
    return true;
}

void rk_roster_name (const rk_roster_t *roster, uint32_t process, char *text, size_t size)
{
    if (process >= roster->n) {
        snprintf (text, size, "process %u", process);
        return;
    }
    const rk_roster_entry_t *e = &roster->list[process];
    if (e->witness)
        snprintf (text, size, "the witness %s (pid %u)", e->name, e->pid);
    else if (e->node == RK_ROSTER_NO_NODE)
        snprintf (text, size, "the leading process (pid %u)", e->pid);
    else
        snprintf (text, size, "node %u (%s, pid %u)", e->node, e->name, e->pid);
}

uint32_t rk_roster_missing (const rk_roster_t *roster, unsigned step, char *text, size_t size)
{
    uint32_t n = 0;
    size_t at = 0;
    if (size)
        text[0] = '\0';
    for (uint32_t p = 0; p < roster->n; p++) {
        if (s_taken (&roster->list[p], step))
            continue;
        char name[96];
        rk_roster_name (roster, p, name, sizeof name);
        if (at < size) {
            int len = snprintf (text + at, size - at, "%s%s", n ? ", " : "", name);
            at += len > 0 ? (size_t) len : 0;
        }
        n++;
    }
    return n;
}

static bool s_host_busy (const rk_roster_t *roster, uint64_t host)
{
    for (uint32_t p = 0; p < roster->n; p++) {
        const rk_roster_entry_t *e = &roster->list[p];
        if (e->host == host && (e->steps & RK_STEP_PROFILING) && !s_taken (e, RK_STEP_PROFILED))
            return true;
    }
    return false;
}

uint32_t rk_roster_next_profile (const rk_roster_t *roster)
{
    for (uint32_t p = 0; p < roster->n; p++) {
        const rk_roster_entry_t *e = &roster->list[p];
        if (!s_taken (e, RK_STEP_PROFILING | RK_STEP_PROFILED) && !s_host_busy (roster, e->host))
            return p;
    }
    return UINT32_MAX;
}

/* From the one that runs everywhere upwards; a machine that has one has all before it. */
static const char *const s_kernels[] = {"blis", "avx2", "avx512", "avx512bf16", "amx"};
#define N_F32 3 /* the first of them, without rounding */
#define N_KERNELS (sizeof s_kernels / sizeof *s_kernels)

static size_t s_rank (const char *name)
{
    for (size_t i = 0; i < N_KERNELS; i++)
        if (strcmp (s_kernels[i], name) == 0)
            return i;
    return 0;
}

const char *rk_roster_kernels (const rk_roster_t *roster, bool bf16)
{
    size_t lowest = (bf16 ? N_KERNELS : N_F32) - 1;
    for (uint32_t p = 0; p < roster->n; p++) {
        size_t rank = roster->list[p].witness ? lowest : s_rank (roster->list[p].kernels);
        lowest = rank < lowest ? rank : lowest;
    }
    return s_kernels[lowest];
}

const char *rk_roster_lower (const char *one, const char *other)
{
    return s_kernels[s_rank (s_rank (one) < s_rank (other) ? one : other)];
}
