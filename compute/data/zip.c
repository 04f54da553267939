/* SPDX-License-Identifier: MPL-2.0
 * Members are found through the central directory at the end of the archive: writers that stream (NumPy's among
 * them) leave the sizes out of the headers in front of the data.                                        */
#include "compute/data/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define END_BYTES 22     /* end of central directory, without its comment */
#define ENTRY_BYTES 46   /* of the central directory, without name, extra field and comment */
#define LOCAL_BYTES 30   /* header in front of the data, without name and extra field */
#define MOST_COMMENT 65535
#define MOST_RATIO 1032  /* of deflate; whoever claims more lies */

enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };

typedef struct {
    unsigned flags, method;
    uint32_t crc;
    size_t packed, unpacked, local_at;
} s_entry_t;

static size_t s_u16 (const uint8_t *at)
{
    return (size_t) at[0] | (size_t) at[1] << 8;
}

static size_t s_u32 (const uint8_t *at)
{
    return s_u16 (at) | s_u16 (at + 2) << 16;
}

static bool s_signed (const uint8_t *at, unsigned char third, unsigned char fourth)
{
    return at[0] == 'P' && at[1] == 'K' && at[2] == third && at[3] == fourth;
}

bool rk_zip_is (const uint8_t *bytes, size_t size)
{
    return size >= END_BYTES && (s_signed (bytes, 3, 4) || s_signed (bytes, 5, 6));
}

/* The last end record that is one; NULL if there is none. */
static const uint8_t *s_find_end (const uint8_t *bytes, size_t size)
{
    for (size_t back = END_BYTES; back <= size && back <= END_BYTES + MOST_COMMENT; back++)
        if (s_signed (bytes + size - back, 5, 6))
            return bytes + size - back;
    return NULL;
}

/* Looks for the member's entry in the central directory [at, end). */
static bool s_find_entry (const uint8_t *at, const uint8_t *end, const char *member, s_entry_t *entry)
{
    const size_t length = strlen (member);
    while (end - at >= ENTRY_BYTES && s_signed (at, 1, 2)) {
        const size_t name = s_u16 (at + 28), whole = ENTRY_BYTES + name + s_u16 (at + 30) + s_u16 (at + 32);
        if ((size_t) (end - at) < whole)
            return false;
        if (name == length && memcmp (at + ENTRY_BYTES, member, length) == 0) {
            *entry = (s_entry_t) {.flags = (unsigned) s_u16 (at + 8), .method = (unsigned) s_u16 (at + 10),
                                  .crc = (uint32_t) s_u32 (at + 16), .packed = s_u32 (at + 20), .unpacked = s_u32 (at + 24),
                                  .local_at = s_u32 (at + 42)};
            return true;
        }
        at += whole;
    }
    return false;
}

/* First byte of the member's data; NULL if it does not lie in the file. */
static const uint8_t *s_data (const uint8_t *bytes, size_t size, const s_entry_t *entry)
{
    if (size < LOCAL_BYTES || entry->local_at > size - LOCAL_BYTES || !s_signed (bytes + entry->local_at, 3, 4))
        return NULL;
    const uint8_t *local = bytes + entry->local_at;
    const size_t at = entry->local_at + LOCAL_BYTES + s_u16 (local + 26) + s_u16 (local + 28);
    return at <= size && entry->packed <= size - at ? bytes + at : NULL;
}

static bool s_inflate (const uint8_t *from, const s_entry_t *entry, uint8_t *to)
{
    z_stream z = {.next_in = (Bytef *) (uintptr_t) from, .avail_in = (uInt) entry->packed, .next_out = to,
                  .avail_out = (uInt) entry->unpacked};
    if (inflateInit2 (&z, -MAX_WBITS) != Z_OK)
        return false;
    const int end = inflate (&z, Z_FINISH);
    const bool whole = end == Z_STREAM_END && z.total_out == entry->unpacked;
    inflateEnd (&z);
    return whole;
}

static rk_err_t s_check_entry (const char *file, const char *member, const s_entry_t *entry, rk_error_t *err)
{
    if (entry->flags & ENCRYPTED || (entry->method != STORED && entry->method != DEFLATED))
        return rk_error_set (err, RK_EUNSUPPORTED, "%s: %s is encrypted or packed by method %u, read are 0 and 8", file, member,
                             entry->method);
    const size_t most = entry->method == STORED ? entry->packed : entry->packed * MOST_RATIO;
    if (entry->unpacked > most || entry->unpacked > RK_DATA_MOST_BYTES || (entry->method == STORED && entry->unpacked != most))
        return rk_error_set (err, RK_EFORMAT, "%s: %s cannot have %zu bytes out of %zu", file, member, entry->unpacked, entry->packed);
    return RK_OK;
}

rk_err_t rk_zip_read (const char *file, const uint8_t *bytes, size_t size, const char *member, uint8_t **out, size_t *out_size,
                      rk_error_t *err)
{
    *out = NULL;
    const uint8_t *end = s_find_end (bytes, size);
    const size_t directory = end ? s_u32 (end + 16) : 0;
    if (!end || directory > (size_t) (end - bytes))
        return rk_error_set (err, RK_EFORMAT, "%s: no zip archive, or cut short: its directory is not at its end", file);
    s_entry_t entry;
    if (!s_find_entry (bytes + directory, end, member, &entry))
        return rk_error_set (err, RK_ENOTFOUND, "%s: holds no %s", file, member);
    rk_err_t rc = s_check_entry (file, member, &entry, err);
    if (rc)
        return rc;
    const uint8_t *data = s_data (bytes, size, &entry);
    if (!data)
        return rk_error_set (err, RK_EFORMAT, "%s: the data of %s are not in the file", file, member);
    *out = malloc (entry.unpacked ? entry.unpacked : 1);
    if (!*out)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %s", file, member);
    bool whole = true;
    if (entry.method == STORED)
        memcpy (*out, data, entry.unpacked);
    else
        whole = s_inflate (data, &entry, *out);
    *out_size = entry.unpacked;
    if (whole && crc32_z (0, *out, *out_size) == entry.crc)
        return RK_OK;
    free (*out);
    *out = NULL;
    return rk_error_set (err, RK_EFORMAT, "%s: %s is damaged", file, member);
}
