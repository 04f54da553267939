/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: conversions to and from 16-bit floats, by integer arithmetic. Included by
 * vec_loops.h.                                                                                        */
#include <string.h>

#include "compute/kernels/vec_build.h"

static inline uint32_t s_bits (float x)
{
    uint32_t bits;
    memcpy (&bits, &x, sizeof bits);
    return bits;
}

static inline float s_float (uint32_t bits)
{
    float x;
    memcpy (&x, &bits, sizeof x);
    return x;
}

/* Normal halves by integer rounding; the smaller ones by adding 0.5, whose last bit is 2^-24. */
static void s_f32_to_f16 (size_t n, const float *x, void *y_)
{
    s_any_half *y = y_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        uint32_t all = s_bits (x[i]), sign = all >> 16 & 0x8000u, size = all & 0x7fffffffu;
        uint32_t clamped = size > 0x477fe000u ? 0x477fe000u : size;
        uint32_t normal = (clamped - 0x38000000u + 0xfffu + (clamped >> 13 & 1u)) >> 13;
        uint32_t small = s_bits (s_float (clamped) + 0.5f) - 0x3f000000u;
        uint32_t half = clamped < 0x38800000u ? small : normal;
        y[i] = (uint16_t) (sign | (size > 0x7f800000u ? 0x7e00u : half));
    }
}

static void s_f16_to_f32 (size_t n, const void *x_, float *y)
{
    const s_any_half *x = x_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        uint32_t sign = (uint32_t) (x[i] & 0x8000u) << 16, size = x[i] & 0x7fffu;
        uint32_t normal = (size << 13) + 0x38000000u;
        uint32_t large = (size << 13) | 0x7f800000u | (size > 0x7c00u ? 0x400000u : 0u);
        uint32_t small = s_bits ((float) (int32_t) size * 5.9604644775390625e-8f); /* 2^-24 */
        uint32_t some = size >= 0x7c00u ? large : normal;
        y[i] = s_float (sign | (size < 0x400u ? small : some));
    }
}

static void s_f32_to_bf16 (size_t n, const float *x, void *y_)
{
    s_any_half *y = y_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        uint32_t all = s_bits (x[i]);
        uint32_t rounded = (all + 0x7fffu + (all >> 16 & 1u)) >> 16;
        y[i] = (uint16_t) ((all & 0x7fffffffu) > 0x7f800000u ? (all >> 16 | 0x40u) : rounded);
    }
}

static void s_bf16_to_f32 (size_t n, const void *x_, float *y)
{
    const s_any_half *x = x_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = s_float ((uint32_t) x[i] << 16);
}
