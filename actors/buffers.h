/* SPDX-License-Identifier: MPL-2.0
 * Pools of equal, 64-byte aligned buffers with atomic reference counts: what is lent to sockets and parameter
 * versions. The owner takes and writes; a buffer is written only while nobody else holds a reference. A
 * socket's reference is dropped on an I/O thread, so references are atomic; nothing else here is shared.
 * Memory outlives rk_buffers_destroy until the last lent buffer is back.                                  */
#ifndef RK_ACTORS_BUFFERS_H
#define RK_ACTORS_BUFFERS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

typedef struct rk_buffers rk_buffers_t;
typedef struct {
    rk_buffers_t *pool;
    uint8_t *bytes;  /* aligned to 64; zeroed at first */
    void *extra;     /* of the owner's, lives as long as the bytes */
    atomic_int refs; /* 0: free */
} rk_buffer_t;

rk_err_t rk_buffers_new (rk_buffers_t **pool_p, size_t n, size_t bytes, size_t extra_bytes) RK_MUST_CHECK;
void rk_buffers_destroy (rk_buffers_t **pool_p);

/* A free buffer with one reference, the lowest one (high ones that are never needed never touch memory), or
 * NULL. thread: owner.                                                                                    */
rk_buffer_t *rk_buffers_take (rk_buffers_t *pool);
size_t rk_buffers_in_use (const rk_buffers_t *pool);

rk_buffer_t *rk_buffer_ref (rk_buffer_t *buffer);
void rk_buffer_unref (rk_buffer_t *buffer);               /* thread: any; NULL is fine */
bool rk_buffer_sole (const rk_buffer_t *buffer);          /* nobody else holds it: it may be written */
void rk_buffer_release (void *bytes, void *hint);         /* an rk_lend_fn; hint: the buffer */
static inline float *rk_buffer_floats (const rk_buffer_t *buffer)
{
    return (float *) (void *) buffer->bytes;
}

#endif
