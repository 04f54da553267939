/* SPDX-License-Identifier: MPL-2.0
 * The text of control records (control.log, checkpoints). What is taken ascends, and is written and read again the same. */
#include "cluster/control.h"
#include "tests/fuzz/fuzz.h"

#define MOST 64

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    rk_control_record_t records[MOST], again[MOST];
    rk_error_t err = {0};
    size_t n = 0, m = 0;
    static char text[MOST * 40];
    if (rk_control_read ((const char *) bytes, size, records, MOST, &n, &err)) {
        FUZZ_CHECK (err.text[0]);
        return 0;
    }
    FUZZ_CHECK (n <= MOST);
    for (size_t i = 0; i < n; i++) {
        FUZZ_CHECK (records[i].value > 0 && (i == 0 || records[i].round > records[i - 1].round));
        FUZZ_CHECK (rk_control_at (records, n, records[i].round) == records[i].value);
    }
    const size_t length = rk_control_write (records, n, text, sizeof text);
    FUZZ_CHECK (length < sizeof text && rk_control_read (text, length, again, MOST, &m, &err) == RK_OK && m == n);
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK (again[i].round == records[i].round && again[i].value == records[i].value);
    return 0;
}
