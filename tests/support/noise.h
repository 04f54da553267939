/* SPDX-License-Identifier: MPL-2.0
 * Fixed-seed noise for tests: xorshift64, no state outside the caller's.                              */
#ifndef RK_SUPPORT_NOISE_H
#define RK_SUPPORT_NOISE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t state; /* not 0 */
} noise_t;

static inline uint64_t noise_next (noise_t *self)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 7;
    self->state ^= self->state << 17;
    return self->state;
}

/* In [low, high]. */
static inline size_t noise_between (noise_t *self, size_t low, size_t high)
{
    return low + noise_next (self) % (high - low + 1);
}

/* Multiples of 0.001 in [-1, 1]. */
static inline void noise_fill (noise_t *self, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float) (noise_next (self) % 2001) / 1000.0f - 1.0f;
}

/* To the nearest bfloat16, ties to even: what sets of kernels with bfloat16 factors make of x. */
static inline void noise_round (size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy (&bits, x + i, sizeof bits);
        bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
        memcpy (x + i, &bits, sizeof bits);
    }
}

#endif
