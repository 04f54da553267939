/* SPDX-License-Identifier: MPL-2.0
 * A CSV file; the first byte chooses how it is read. */
#include <math.h>

#include "compute/data/csv.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    static const char *const labels[] = {NULL, "1", "class", "last"};
    if (size == 0)
        return 0;
    const rk_csv_config_t config = {.header = bytes[0] & 1, .label = labels[bytes[0] / 2 % 4], .bare = bytes[0] / 8 % 8 == 7};
    char *exact = malloc (size); /* it need not end with 0 */
    if (!exact)
        return 0;
    memcpy (exact, bytes + 1, size - 1);
    rk_data_part_t part = {0};
    rk_error_t err = {0};
    size_t n_features = 0;
    const rk_err_t rc = rk_csv_read ("input", exact, size - 1, &config, &part, &n_features, &err);
    FUZZ_CHECK (rc == RK_OK ? part.n > 0 && n_features > 0 : err.text[0] != 0);
    for (size_t i = 0; rc == RK_OK && i < part.n && !config.bare; i++)
        FUZZ_CHECK (part.labels[i] >= 0 && part.labels[i] < RK_DATA_CLASSES);
    for (size_t i = 0; rc == RK_OK && i < part.n * n_features; i++)
        FUZZ_CHECK (isfinite (part.floats[i]));
    free (exact);
    free (part.floats);
    free (part.labels);
    return 0;
}
