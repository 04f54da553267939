/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/rng.h"

#include <math.h>

void rk_rng_block (uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
    uint32_t c0 = (uint32_t) counter, c1 = (uint32_t) (counter >> 32);
    uint32_t c2 = (uint32_t) stream, c3 = (uint32_t) (stream >> 32);
    uint32_t k0 = (uint32_t) seed, k1 = (uint32_t) (seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t) 0xD2511F53u * c0, p1 = (uint64_t) 0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t) (p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t) (p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t) p1;
        c3 = (uint32_t) p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* 24 bits, so that the product is exact and 1.0 is never reached. */
static float s_unit (uint32_t word)
{
    return (float) (word >> 8) * 0x1p-24f;
}

void rk_rng_uniform (uint64_t seed, uint64_t stream, uint64_t first, size_t n, float low, float high, float *out)
{
    uint32_t words[4];
    uint64_t have = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = first + i;
        if (at / 4 != have)
            rk_rng_block (seed, stream, have = at / 4, words);
        out[i] = low + (high - low) * s_unit (words[at % 4]);
    }
}

void rk_rng_normal (uint64_t seed, uint64_t stream, uint64_t first, size_t n, float mean, float deviation, float *out)
{
    uint32_t words[4];
    uint64_t have = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = first + i;
        if (at / 4 != have)
            rk_rng_block (seed, stream, have = at / 4, words);
        /* Box and Muller: each pair of words gives a pair of normals. */
        unsigned pair = (unsigned) (at % 4) / 2 * 2;
        double radius = sqrt (-2.0 * log (((double) words[pair] + 1.0) * 0x1p-32));
        double angle = 6.283185307179586 * (double) words[pair + 1] * 0x1p-32;
        double unit = radius * (at % 2 ? sin (angle) : cos (angle));
        out[i] = mean + deviation * (float) unit;
    }
}

rk_permutation_t rk_rng_permutation (uint64_t seed, uint64_t pass, uint64_t n)
{
    rk_permutation_t permutation = {.n = n, .half_bits = 1};
    while (permutation.half_bits < 32 && (uint64_t) 1 << (2 * permutation.half_bits) < n)
        permutation.half_bits++;
    for (unsigned round = 0; round < RK_RNG_ROUNDS; round++) {
        uint32_t words[4];
        rk_rng_block (seed, rk_rng_stream (RK_RNG_SHUFFLE, pass), round, words);
        permutation.key[round] = (uint64_t) words[1] << 32 | words[0];
    }
    return permutation;
}

/* Mixes 64 bits so that every input bit reaches every output bit (finaliser of Stafford's variant 13). */
static uint64_t s_mix (uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t rk_permutation_at (const rk_permutation_t *permutation, uint64_t i)
{
    const unsigned bits = permutation->half_bits;
    const uint64_t mask = ((uint64_t) 1 << bits) - 1;
    do {
        uint64_t left = i >> bits, right = i & mask;
        for (unsigned round = 0; round < RK_RNG_ROUNDS; round++) {
            uint64_t next = left ^ (s_mix (right ^ permutation->key[round]) & mask);
            left = right;
            right = next;
        }
        i = left << bits | right;
    } while (i >= permutation->n);
    return i;
}

/* The rounds backwards; a walk that left [0, n) is walked back the same way. */
uint64_t rk_permutation_find (const rk_permutation_t *permutation, uint64_t value)
{
    const unsigned bits = permutation->half_bits;
    const uint64_t mask = ((uint64_t) 1 << bits) - 1;
    do {
        uint64_t left = value >> bits, right = value & mask;
        for (unsigned round = RK_RNG_ROUNDS; round > 0; round--) {
            uint64_t before = right ^ (s_mix (left ^ permutation->key[round - 1]) & mask);
            right = left;
            left = before;
        }
        value = left << bits | right;
    } while (value >= permutation->n);
    return value;
}
