/* SPDX-License-Identifier: MPL-2.0
 * What reader and writer of safetensors files agree on. Private to messages. */
#ifndef RK_MESSAGES_SAFETENSORS_RULES_H
#define RK_MESSAGES_SAFETENSORS_RULES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RK_ST_METADATA "__metadata__"
#define RK_ST_MAX_HEADER (16 << 20)
#define RK_ST_MAX_NAME 255
#define RK_ST_MAX_DIMS 4
#define RK_ST_MAX_BYTES ((size_t) INT64_MAX / 2) /* of data: offsets are JSON integers */

#define RK_ST_DIGEST_DIGITS 16

/* Where the digits of the digest are in a file that begins with these bytes (length, header); 0: it names none. */
size_t rk_st_digest_at (const void *bytes, size_t size);
/* xxh64 of the file with those digits counted as zeros, as text. */
void rk_st_digest_of (const void *bytes, size_t size, size_t digits_at, char text[RK_ST_DIGEST_DIGITS + 1]);

/* Product of the dimensions (1 without any); false when it, in bytes of f32, is too large for a file. */
static inline bool rk_st_count (const size_t *dim, int n_dims, size_t *count)
{
    size_t product = 1;
    bool empty = false;
    for (int i = 0; i < n_dims; i++) {
        empty = empty || dim[i] == 0;
        if (dim[i] > RK_ST_MAX_BYTES || (dim[i] && product > RK_ST_MAX_BYTES / sizeof (float) / dim[i]))
            return false;
        product *= dim[i] ? dim[i] : 1;
    }
    *count = empty ? 0 : product;
    return true;
}

#endif
