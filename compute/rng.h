/* SPDX-License-Identifier: MPL-2.0
 * Counter-based random numbers (Philox-4x32-10; Salmon et al., SC 2011): a number is a function of
 * (seed, stream, counter), so a replay needs no saved state and the order of calls does not matter.  */
#ifndef RK_COMPUTE_RNG_H
#define RK_COMPUTE_RNG_H
#include <stddef.h>
#include <stdint.h>

/* One domain per use, so that no two uses ever share a number. */
typedef enum {
    RK_RNG_INIT = 1,  /* id: tensor */
    RK_RNG_DROPOUT,   /* id: minibatch f */
    RK_RNG_SHUFFLE,   /* id: pass */
    RK_RNG_SYNTHETIC, /* id: sample */
    RK_RNG_TEST,
    RK_RNG_GRAPH,     /* id: draw of a random graph, or mixing step */
    RK_RNG_NOISE,     /* id: minibatch f; gradient noise of problems that have no data */
    RK_RNG_TIME,      /* id: step; how long simulated work takes */
    RK_RNG_AUGMENT,   /* id: pass */
    RK_RNG_SHARD,     /* id: replica and class, or replica: whose samples are whose */
    RK_RNG_PLAN       /* id: planner that searches at random, or simulated node */
} rk_rng_domain_t;

/* stream = domain in the upper 8 bits, id below. */
static inline uint64_t rk_rng_stream (rk_rng_domain_t domain, uint64_t id)
{
    return ((uint64_t) domain << 56) | (id & 0x00ffffffffffffffu);
}

/* The four words at (seed, stream, counter). thread: any. */
void rk_rng_block (uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/* Element i of the sequence is a function of (seed, stream, first + i). */
void rk_rng_uniform (uint64_t seed, uint64_t stream, uint64_t first, size_t n, float low, float high, float *out);
void rk_rng_normal (uint64_t seed, uint64_t stream, uint64_t first, size_t n, float mean, float deviation, float *out);

/* A permutation of [0, n) as a function of (seed, pass), evaluated point by point without memory: a
 * Feistel network on the next even number of bits, walked until it falls below n (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002).                                                   */
#define RK_RNG_ROUNDS 12
typedef struct {
    uint64_t n;
    unsigned half_bits;
    uint64_t key[RK_RNG_ROUNDS];
} rk_permutation_t;
rk_permutation_t rk_rng_permutation (uint64_t seed, uint64_t pass, uint64_t n);
uint64_t rk_permutation_at (const rk_permutation_t *permutation, uint64_t i); /* i < n */
/* Where `value` is: rk_permutation_at (permutation, rk_permutation_find (permutation, value)) == value. */
uint64_t rk_permutation_find (const rk_permutation_t *permutation, uint64_t value); /* value < n */

#endif
