/* SPDX-License-Identifier: MPL-2.0
 * Settings from the network or a file. What is taken is written and read back to the same text. */
#include "cluster/settings.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    static rk_settings_t first, second;
    static char text[1 << 16], again[1 << 16];
    rk_error_t err = {0};
    char *exact = malloc (size ? size : 1); /* it need not end with 0 */
    if (!exact)
        return 0;
    memcpy (exact, bytes, size);
    rk_settings_default (&first);
    rk_err_t rc = rk_settings_read (&first, exact, size, &err);
    free (exact);
    if (rc) {
        FUZZ_CHECK (err.text[0]);
        return 0;
    }
    (void) !rk_settings_check (&first, NULL); /* any answer will do */
    size_t n = rk_settings_write (&first, text, sizeof text);
    FUZZ_CHECK (n < sizeof text);
    rk_settings_default (&second);
    FUZZ_CHECK (rk_settings_read (&second, text, n, &err) == RK_OK);
    FUZZ_CHECK (rk_settings_write (&second, again, sizeof again) == n && memcmp (text, again, n) == 0);
    return 0;
}
