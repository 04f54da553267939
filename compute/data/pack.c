/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data/pack.h"

#include <stdlib.h>
#include <string.h>

static size_t s_mask_bytes (size_t elems)
{
    return (elems + 7) / 8;
}

static size_t s_not_zero (const uint8_t *bytes, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += bytes[i] != 0;
    return count;
}

/* Size of the whole when packed. *room: bytes that the data must first be moved up, so that no packed
 * sample reaches into one that is not yet read.                                                      */
static size_t s_measure (const rk_data_part_t *part, size_t elems, size_t *room)
{
    size_t packed = 0;
    *room = 0;
    for (size_t s = 0; s < part->n; s++) {
        packed += s_mask_bytes (elems) + s_not_zero (part->bytes + s * elems, elems);
        const size_t read = (s + 1) * elems;
        if (packed > read && packed - read > *room)
            *room = packed - read;
    }
    return packed;
}

/* Returns the bytes written. `sample` is no longer needed behind what has been read. */
static size_t s_pack_sample (const uint8_t *sample, size_t elems, uint8_t *copy, uint8_t *to)
{
    memcpy (copy, sample, elems);
    uint8_t *mask = to, *at = to + s_mask_bytes (elems);
    memset (mask, 0, s_mask_bytes (elems));
    for (size_t i = 0; i < elems; i++)
        if (copy[i]) {
            mask[i / 8] |= (uint8_t) (1u << i % 8);
            *at++ = copy[i];
        }
    return (size_t) (at - to);
}

rk_err_t rk_data_pack (rk_data_part_t *part, size_t elems)
{
    size_t room;
    const size_t raw = part->n * elems, packed = s_measure (part, elems, &room);
    if (packed > raw - raw / 5 || packed > UINT32_MAX)
        return RK_OK;
    uint32_t *at = malloc ((part->n + 1) * sizeof *at);
    uint8_t *copy = malloc (elems), *bytes = realloc (part->bytes, raw + room);
    if (bytes)
        part->bytes = bytes;
    if (!at || !copy || !bytes) {
        free (at);
        free (copy);
        return RK_ENOMEM;
    }
    memmove (bytes + room, bytes, raw);
    at[0] = 0;
    for (size_t s = 0; s < part->n; s++)
        at[s + 1] = at[s] + (uint32_t) s_pack_sample (bytes + room + s * elems, elems, copy, bytes + at[s]);
    free (copy);
    part->packed_at = at;
    bytes = realloc (part->bytes, packed + 8); /* unpacking looks at eight bytes at once */
    if (bytes)
        memset (bytes + packed, 0, 8);
    part->bytes = bytes ? bytes : part->bytes;
    return RK_OK;
}

static void s_unpack (const uint8_t *mask, size_t n_masks, uint8_t *bytes)
{
    const uint8_t *from = mask + n_masks;
    for (size_t i = 0; i < 8 * n_masks; i++) {
        const unsigned bit = mask[i / 8] >> i % 8 & 1;
        bytes[i] = (uint8_t) (*from & -bit); /* no branch: half of the pixels are a coin's throw */
        from += bit;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Eight bytes at once: the instruction puts packed bytes where the mask has a bit. */
__attribute__ ((target ("bmi2,popcnt"))) static void s_unpack_bmi2 (const uint8_t *mask, size_t n_masks, uint8_t *bytes)
{
    const uint8_t *from = mask + n_masks;
    for (size_t i = 0; i < n_masks; i++, bytes += 8) {
        uint64_t eight;
        memcpy (&eight, from, sizeof eight);
        eight = _pdep_u64 (eight, _pdep_u64 (mask[i], 0x0101010101010101u) * 0xff);
        memcpy (bytes, &eight, sizeof eight);
        from += __builtin_popcount (mask[i]);
    }
}

static bool s_bmi2 (void)
{
    return __builtin_cpu_supports ("bmi2") && __builtin_cpu_supports ("popcnt");
}
#else
#define s_unpack_bmi2 s_unpack

static bool s_bmi2 (void)
{
    return false;
}
#endif

void rk_data_unpack (const rk_data_part_t *part, size_t sample, size_t elems, uint8_t *bytes)
{
    (s_bmi2 () ? s_unpack_bmi2 : s_unpack) (part->bytes + part->packed_at[sample], s_mask_bytes (elems), bytes);
}
