/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t) 2 << 20)

void rk_arena_plan_clear (rk_arena_plan_t *plan)
{
    free (plan->blocks);
    *plan = (rk_arena_plan_t) {0};
}

rk_err_t rk_arena_add (rk_arena_plan_t *plan, size_t bytes, int begin, int end, int *id)
{
    if (bytes > SIZE_MAX / 4)
        return RK_ENOMEM;
    if (plan->n_blocks == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 16;
        rk_arena_block_t *blocks = realloc (plan->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return RK_ENOMEM;
        plan->blocks = blocks;
        plan->capacity = capacity;
    }
    size_t rounded = (bytes + RK_ARENA_ALIGN - 1) / RK_ARENA_ALIGN * RK_ARENA_ALIGN;
    plan->blocks[plan->n_blocks] = (rk_arena_block_t) {rounded, begin, end, 0};
    *id = (int) plan->n_blocks++;
    return RK_OK;
}

static int s_larger_first (const void *a, const void *b)
{
    const rk_arena_block_t *x = *(rk_arena_block_t *const *) a, *y = *(rk_arena_block_t *const *) b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : 1; /* a total order: the same plan gives the same offsets */
}

static int s_lower_first (const void *a, const void *b)
{
    const rk_arena_block_t *x = *(rk_arena_block_t *const *) a, *y = *(rk_arena_block_t *const *) b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : 1;
}

/* Lowest offset where `block` fits between the already placed blocks that live at the same time. */
static size_t s_place (rk_arena_block_t *const *placed, size_t n_placed, const rk_arena_block_t *block)
{
    size_t at = 0;
    for (size_t i = 0; i < n_placed; i++) {
        const rk_arena_block_t *other = placed[i];
        if (other->end < block->begin || block->end < other->begin)
            continue;
        if (at + block->bytes <= other->offset)
            break;
        if (other->offset + other->bytes > at)
            at = other->offset + other->bytes;
    }
    return at;
}

rk_err_t rk_arena_solve (rk_arena_plan_t *plan)
{
    plan->total = 0;
    if (plan->n_blocks == 0)
        return RK_OK;
    rk_arena_block_t **order = malloc (2 * plan->n_blocks * sizeof *order);
    if (!order)
        return RK_ENOMEM;
    rk_arena_block_t **placed = order + plan->n_blocks;
    for (size_t i = 0; i < plan->n_blocks; i++)
        order[i] = &plan->blocks[i];
    qsort (order, plan->n_blocks, sizeof *order, s_larger_first);
    for (size_t i = 0; i < plan->n_blocks; i++) {
        rk_arena_block_t *block = order[i];
        block->offset = s_place (placed, i, block);
        if (block->offset + block->bytes > plan->total)
            plan->total = block->offset + block->bytes;
        placed[i] = block;
        qsort (placed, i + 1, sizeof *placed, s_lower_first);
    }
    free (order);
    return RK_OK;
}

void *rk_arena_memory (size_t bytes)
{
    if (bytes > SIZE_MAX - RK_ARENA_ALIGN)
        return NULL;
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : RK_ARENA_ALIGN;
    size_t rounded = (bytes + RK_ARENA_ALIGN - 1) / RK_ARENA_ALIGN * RK_ARENA_ALIGN;
    void *memory = NULL;
    if (posix_memalign (&memory, align, rounded ? rounded : RK_ARENA_ALIGN))
        return NULL;
    if (align == HUGE_PAGE)
        (void) madvise (memory, rounded / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a wish: nothing fails without */
    memset (memory, 0, rounded);
    return memory;
}

void *rk_arena_pages (size_t bytes)
{
    void *memory = mmap (NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void rk_arena_pages_free (void *memory, size_t bytes)
{
    if (memory)
        munmap (memory, bytes ? bytes : 1);
}
