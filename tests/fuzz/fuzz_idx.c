/* SPDX-License-Identifier: MPL-2.0
 * A data file in IDX format, plain or gzip: images (three dimensions) and labels (one). */
#include "compute/data_impl.h"
#include "tests/fuzz/fuzz.h"

static void s_read (const char *path, int n_dims)
{
    size_t dim[3] = {0}, n = 1, sum = 0;
    uint8_t *bytes = NULL;
    rk_error_t err = {0};
    if (rk_idx_read (path, n_dims, dim, &bytes, &err)) {
        FUZZ_CHECK (!bytes && err.text[0]);
        return;
    }
    for (int i = 0; i < n_dims; i++)
        n *= dim[i];
    for (size_t i = 0; i < n; i++) /* all it promises is there */
        sum += bytes[i];
    FUZZ_CHECK (sum <= 255 * n);
    free (bytes);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    fuzz_file_t input;
    if (fuzz_file_open (&input, bytes, size)) {
        s_read (input.path, 3);
        s_read (input.path, 1);
    }
    fuzz_file_close (&input);
    return 0;
}
