/* SPDX-License-Identifier: MPL-2.0
 * The digest that a file names of itself. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "messages/safetensors.h"
#include "messages/safetensors_rules.h"

size_t rk_st_digest_at (const void *bytes, size_t size)
{
    static const char pattern[] = "\"" RK_ST_DIGEST "\":\"";
    const char *found = size > 8 ? memmem ((const char *) bytes + 8, size - 8, pattern, sizeof pattern - 1) : NULL;
    size_t at = found ? (size_t) (found - (const char *) bytes) + sizeof pattern - 1 : 0;
    return at && at + RK_ST_DIGEST_DIGITS < size ? at : 0;
}

void rk_st_digest_of (const void *bytes, size_t size, size_t digits_at, char text[RK_ST_DIGEST_DIGITS + 1])
{
    static const char zeros[] = "0000000000000000";
    const char *from = bytes;
    XXH64_state_t *state = XXH64_createState ();
    memset (text, 0, RK_ST_DIGEST_DIGITS + 1);
    if (!state)
        return; /* no memory: no digest, which nothing equals */
    XXH64_reset (state, 0);
    XXH64_update (state, from, digits_at);
    XXH64_update (state, zeros, RK_ST_DIGEST_DIGITS);
    XXH64_update (state, from + digits_at + RK_ST_DIGEST_DIGITS, size - digits_at - RK_ST_DIGEST_DIGITS);
    snprintf (text, RK_ST_DIGEST_DIGITS + 1, "%016" PRIx64, (uint64_t) XXH64_digest (state));
    XXH64_freeState (state);
}
