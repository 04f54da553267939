/* SPDX-License-Identifier: MPL-2.0
 * A view from the network, its digest put right so that the checks behind it are reached, too.            */
#include <xxhash.h>

#include "cluster/view.h"
#include "tests/fuzz/fuzz.h"

static void s_decode (const uint8_t *bytes, size_t size)
{
    rk_view_t *view = NULL;
    rk_error_t err = {0};
    if (rk_view_decode (&view, bytes, size, &err)) {
        FUZZ_CHECK (!view && err.text[0]);
        return;
    }
    FUZZ_CHECK (rk_view_check (view, &err) == RK_OK);
    uint8_t *again = malloc (size);
    if (again) {
        FUZZ_CHECK (rk_view_encode (view, again, size) == size);
        FUZZ_CHECK (memcmp (again, bytes, size) == 0);
    }
    free (again);
    rk_view_destroy (&view);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    s_decode (bytes, size);
    uint8_t *copy = size >= 8 ? malloc (size) : NULL;
    if (!copy)
        return 0;
    memcpy (copy, bytes, size);
    uint64_t digest = XXH64 (copy, size - 8, 0);
    for (int i = 0; i < 8; i++)
        copy[size - 8 + (size_t) i] = (uint8_t) (digest >> 8 * i);
    s_decode (copy, size);
    free (copy);
    return 0;
}
