/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/buffers.h"

#include <stdlib.h>
#include "compute/arena.h"

#define ALIGN 64

struct rk_buffers {
    atomic_size_t users; /* buffers in use, and one for the owner */
    size_t n, n_bytes;
    void *memory;        /* n_bytes, as pages: high buffers that are never needed cost nothing */
    void *extras;
    rk_buffer_t buffer[];
};

static size_t s_round_up (size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

rk_err_t rk_buffers_new (rk_buffers_t **pool_p, size_t n, size_t bytes, size_t extra_bytes)
{
    *pool_p = NULL;
    /* Two lines more than asked, so that ends of neighbours never share a line with a vector load. */
    size_t stride = s_round_up (bytes) + 2 * ALIGN, extra = s_round_up (extra_bytes);
    rk_buffers_t *pool = calloc (1, sizeof *pool + n * sizeof *pool->buffer);
    if (!pool)
        return RK_ENOMEM;
    pool->n_bytes = n * stride + ALIGN;
    pool->memory = rk_arena_pages (pool->n_bytes);
    pool->extras = calloc (1, n * extra + ALIGN);
    if (!pool->memory || !pool->extras) {
        rk_arena_pages_free (pool->memory, pool->n_bytes);
        free (pool->extras);
        free (pool);
        return RK_ENOMEM;
    }
    uint8_t *first = (uint8_t *) s_round_up ((uintptr_t) pool->memory);
    uint8_t *first_extra = (uint8_t *) s_round_up ((uintptr_t) pool->extras);
    pool->n = n;
    atomic_init (&pool->users, 1);
    for (size_t i = 0; i < n; i++) {
        pool->buffer[i].pool = pool;
        pool->buffer[i].bytes = first + i * stride;
        pool->buffer[i].extra = first_extra + i * extra;
        atomic_init (&pool->buffer[i].refs, 0);
    }
    *pool_p = pool;
    return RK_OK;
}

static void s_leave (rk_buffers_t *pool)
{
    if (atomic_fetch_sub_explicit (&pool->users, 1, memory_order_acq_rel) != 1)
        return;
    rk_arena_pages_free (pool->memory, pool->n_bytes);
    free (pool->extras);
    free (pool);
}

void rk_buffers_destroy (rk_buffers_t **pool_p)
{
    if (*pool_p)
        s_leave (*pool_p);
    *pool_p = NULL;
}

rk_buffer_t *rk_buffers_take (rk_buffers_t *pool)
{
    for (size_t i = 0; i < pool->n; i++) {
        rk_buffer_t *buffer = &pool->buffer[i];
        if (atomic_load_explicit (&buffer->refs, memory_order_acquire) == 0) {
            atomic_store_explicit (&buffer->refs, 1, memory_order_relaxed);
            atomic_fetch_add_explicit (&pool->users, 1, memory_order_relaxed);
            return buffer;
        }
    }
    return NULL;
}

size_t rk_buffers_in_use (const rk_buffers_t *pool)
{
    return atomic_load_explicit (&((rk_buffers_t *) pool)->users, memory_order_acquire) - 1;
}

rk_buffer_t *rk_buffer_ref (rk_buffer_t *buffer)
{
    atomic_fetch_add_explicit (&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

void rk_buffer_unref (rk_buffer_t *buffer)
{
    if (!buffer)
        return;
    rk_buffers_t *pool = buffer->pool; /* the buffer may be taken again as soon as its count is 0 */
    if (atomic_fetch_sub_explicit (&buffer->refs, 1, memory_order_acq_rel) == 1)
        s_leave (pool);
}

bool rk_buffer_sole (const rk_buffer_t *buffer)
{
    return atomic_load_explicit (&((rk_buffer_t *) buffer)->refs, memory_order_acquire) == 1;
}

void rk_buffer_release (void *bytes, void *hint)
{
    (void) bytes;
    rk_buffer_unref (hint);
}
