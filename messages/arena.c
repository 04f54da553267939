/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define FIRST_BYTES (16u << 10)
#define EXTRA_BYTES (256u << 10)
#define CAP_BYTES (8u << 20)
#define ALIGNMENT alignof (max_align_t)

typedef struct s_block {
    struct s_block *next;
    alignas (max_align_t) unsigned char bytes[];
} s_block_t;

struct rk_wire_arena {
    ProtobufCAllocator allocator;
    size_t total;         /* bytes handed out since the reset */
    unsigned char *at;    /* free bytes of the block in use */
    size_t left;
    s_block_t *extra;     /* borrowed until the next reset, newest first */
    alignas (max_align_t) unsigned char first[FIRST_BYTES];
};

static void *s_alloc (void *self, size_t size)
{
    return rk_arena_alloc (self, size);
}

static void s_free (void *self, void *pointer)
{
    (void) self, (void) pointer; /* all at once, in rk_arena_reset */
}

rk_err_t rk_wire_arena_new (rk_wire_arena_t **arena_p)
{
    rk_wire_arena_t *arena = malloc (sizeof *arena);
    if (!arena)
        return RK_ENOMEM;
    arena->allocator = (ProtobufCAllocator) {.alloc = s_alloc, .free = s_free, .allocator_data = arena};
    arena->extra = NULL;
    rk_arena_reset (arena);
    *arena_p = arena;
    return RK_OK;
}

void rk_wire_arena_destroy (rk_wire_arena_t **arena_p)
{
    if (!*arena_p)
        return;
    rk_arena_reset (*arena_p);
    free (*arena_p);
    *arena_p = NULL;
}

void rk_arena_reset (rk_wire_arena_t *arena)
{
    while (arena->extra) {
        s_block_t *block = arena->extra;
        arena->extra = block->next;
        free (block);
    }
    arena->total = 0;
    arena->at = arena->first;
    arena->left = FIRST_BYTES;
}

static bool s_grow (rk_wire_arena_t *arena, size_t size)
{
    size_t bytes = size > EXTRA_BYTES ? size : EXTRA_BYTES;
    s_block_t *block = malloc (sizeof *block + bytes);
    if (!block)
        return false;
    block->next = arena->extra;
    arena->extra = block;
    arena->at = block->bytes;
    arena->left = bytes;
    return true;
}

void *rk_arena_alloc (rk_wire_arena_t *arena, size_t size)
{
    if (size > CAP_BYTES)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (arena->total + size > CAP_BYTES)
        return NULL;
    if (size > arena->left && !s_grow (arena, size))
        return NULL;
    void *bytes = arena->at;
    arena->at += size;
    arena->left -= size;
    arena->total += size;
    return bytes;
}

ProtobufCAllocator *rk_arena_allocator (rk_wire_arena_t *arena)
{
    return &arena->allocator;
}
