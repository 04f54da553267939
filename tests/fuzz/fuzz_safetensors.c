/* SPDX-License-Identifier: MPL-2.0
 * A checkpoint file. Whatever is taken can be read from its first to its last byte. */
#include "messages/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    fuzz_file_t input;
    rk_st_file_t *file = NULL;
    rk_error_t err = {0};
    if (fuzz_file_open (&input, bytes, size)) {
        rk_err_t rc = rk_st_open (&file, input.path, &err);
        FUZZ_CHECK ((rc == RK_OK) == (file != NULL) && (rc == RK_OK || err.text[0]));
    }
    size_t total = 0, sum = 0;
    for (size_t i = 0; file && i < rk_st_n (file); i++) {
        const rk_st_tensor_t *t = rk_st_at (file, i);
        size_t count = 1;
        for (int k = 0; k < t->n_dims; k++)
            count *= t->dim[k];
        FUZZ_CHECK (count == t->count && rk_st_find (file, t->name) == t);
        for (size_t k = 0; k < 4 * t->count; k++)
            sum += ((const uint8_t *) t->data)[k];
        total += 4 * t->count;
    }
    FUZZ_CHECK (total <= size && sum <= 255 * total);
    if (file)
        FUZZ_CHECK (!rk_st_metadata (file, "round") || strlen (rk_st_metadata (file, "round")) < size);
    rk_st_close (&file);
    fuzz_file_close (&input);
    return 0;
}
