/* SPDX-License-Identifier: MPL-2.0
 * Memory sized once: a planner packs blocks whose lifetimes do not overlap into the same bytes, an arena
 * is the one aligned allocation behind the plan.                                                     */
#ifndef RK_COMPUTE_ARENA_H
#define RK_COMPUTE_ARENA_H
#include <stddef.h>
#include "compute/error.h"

#define RK_ARENA_ALIGN 64

typedef struct {
    size_t bytes;
    int begin, end; /* first and last time at which the block holds a value, inclusive */
    size_t offset;  /* result of rk_arena_solve */
} rk_arena_block_t;

typedef struct {
    rk_arena_block_t *blocks; /* owned; index = what rk_arena_add returned */
    size_t n_blocks, capacity;
    size_t total; /* bytes of the whole, after rk_arena_solve */
} rk_arena_plan_t;

void rk_arena_plan_clear (rk_arena_plan_t *plan);

/* Adds a block; *id names it from then on. errors: RK_ENOMEM. */
rk_err_t rk_arena_add (rk_arena_plan_t *plan, size_t bytes, int begin, int end, int *id) RK_MUST_CHECK;

/* Gives every block an offset, largest first at the lowest place that is free for its whole life.
 * errors: RK_ENOMEM.                                                                                 */
rk_err_t rk_arena_solve (rk_arena_plan_t *plan) RK_MUST_CHECK;

/* Zeroed memory at a multiple of RK_ARENA_ALIGN, NULL if there is none; free () gives it back. */
void *rk_arena_memory (size_t bytes);

/* The same, page by page as it is first written: what is never used costs nothing, and all of it goes back to the
 * system at once. calloc promises neither: once large blocks were freed, the C library serves others from what it
 * kept and clears them. Pages of equal `bytes` give it back; NULL is fine.                           */
void *rk_arena_pages (size_t bytes);
void rk_arena_pages_free (void *memory, size_t bytes);

#endif
