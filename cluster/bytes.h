/* SPDX-License-Identifier: MPL-2.0
 * Canonical listings: fixed-width little-endian integers one after the other. Writing goes as far as there is room
 * and counts always; reading past the end gives zeros and clears ok. thread: any.                         */
#ifndef RK_CLUSTER_BYTES_H
#define RK_CLUSTER_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *bytes; /* NULL: only count */
    size_t size, n; /* room; bytes so far, written or not */
} rk_writer_t;

static inline void rk_put_bytes (rk_writer_t *w, const void *bytes, size_t n)
{
    if (w->bytes && n && n <= w->size && w->n <= w->size - n)
        memcpy (w->bytes + w->n, bytes, n);
    w->n += n;
}

static inline void rk_put (rk_writer_t *w, uint64_t x, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t) (x >> (8 * i));
    rk_put_bytes (w, bytes, width);
}

typedef struct {
    const uint8_t *bytes;
    size_t size, at;
    bool ok;
} rk_reader_t;

static inline const uint8_t *rk_take_bytes (rk_reader_t *r, size_t n)
{
    if (!r->ok || n > r->size - r->at) {
        r->ok = false;
        return NULL;
    }
    r->at += n;
    return r->bytes + r->at - n;
}

static inline uint64_t rk_take (rk_reader_t *r, size_t width)
{
    const uint8_t *bytes = rk_take_bytes (r, width);
    uint64_t x = 0;
    for (size_t i = 0; bytes && i < width; i++)
        x |= (uint64_t) bytes[i] << (8 * i);
    return x;
}

#endif
