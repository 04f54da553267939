/* SPDX-License-Identifier: MPL-2.0
 * A plan from the network, its digest put right so that the checks behind it are reached, too. What is taken
 * is canonical: it is encoded to the same bytes.                                                          */
#include <xxhash.h>

#include "cluster/plan.h"
#include "tests/fuzz/fuzz.h"

static void s_decode (const uint8_t *bytes, size_t size)
{
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_decode (&plan, bytes, size, &err)) {
        FUZZ_CHECK (!plan && err.text[0]);
        return;
    }
    FUZZ_CHECK (rk_plan_check (plan, &err) == RK_OK);
    uint8_t *again = malloc (size ? size : 1);
    if (again) {
        FUZZ_CHECK (rk_plan_encode (plan, again, size) == size);
        FUZZ_CHECK (memcmp (again, bytes, size) == 0);
    }
    free (again);
    rk_plan_destroy (&plan);
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
