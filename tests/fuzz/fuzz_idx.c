/* SPDX-License-Identifier: MPL-2.0
 * A data file in IDX format, plain or gzip: images (three dimensions) and labels (one). */
#include "compute/data_impl.h"
#include "tests/fuzz/fuzz.h"

static void s_unpack (const uint8_t *bytes, size_t size, int n_dims)
{
    size_t dim[3] = {0}, n = 1, sum = 0;
    uint8_t *copy = malloc (size ? size : 1); /* it is changed in place */
    rk_error_t err = {0};
    if (!copy)
        return;
    memcpy (copy, bytes, size);
    if (rk_idx_unpack ("input", n_dims, dim, copy, size, &err))
        FUZZ_CHECK (err.text[0]);
    else {
        for (int i = 0; i < n_dims; i++)
            n *= dim[i];
        for (size_t i = 0; i < n; i++) /* all it promises is there */
            sum += copy[i];
        FUZZ_CHECK (n <= size && sum <= 255 * n);
    }
    free (copy);
}

static bool s_packed (const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* Only what is packed needs a file: opening one takes longer than all the rest. */
int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    uint8_t *unpacked = NULL;
    size_t n = size;
    rk_error_t err = {0};
    fuzz_file_t input;
    if (s_packed (bytes, size) && fuzz_file_open (&input, bytes, size)) {
        const rk_err_t rc = rk_file_read (input.path, (size_t) 1 << 20, &unpacked, &n, &err);
        FUZZ_CHECK (rc == RK_OK ? unpacked && n <= (size_t) 1 << 20 : !unpacked && err.text[0]);
        fuzz_file_close (&input);
        if (rc)
            return 0;
    }
    s_unpack (unpacked ? unpacked : bytes, n, 3);
    s_unpack (unpacked ? unpacked : bytes, n, 1);
    free (unpacked);
    return 0;
}
