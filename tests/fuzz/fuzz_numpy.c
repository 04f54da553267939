/* SPDX-License-Identifier: MPL-2.0
 * A .npy array, or an archive of them: what is taken is there to its last value. */
#include <math.h>

#include "compute/data/npy.h"
#include "compute/data/zip.h"
#include "tests/fuzz/fuzz.h"

static void s_array (const uint8_t *bytes, size_t size)
{
    rk_npy_t array;
    rk_shape_t shape;
    rk_data_part_t part = {0};
    rk_error_t err = {0};
    if (rk_npy_parse ("input", bytes, size, &array, &err)) {
        FUZZ_CHECK (err.text[0]);
        return;
    }
    FUZZ_CHECK (array.count > 0 && array.data > bytes && array.data + array.count <= bytes + size);
    if (rk_npy_samples ("input", &array, &part, &shape, &err) == RK_OK) {
        FUZZ_CHECK (part.n * rk_shape_elems (shape) == array.count);
        for (size_t i = 0; i < array.count; i++)
            FUZZ_CHECK (part.bytes ? part.bytes[i] <= 255 : isfinite (part.floats[i]));
    }
    part.n = array.shape.dim[0];
    if (rk_npy_labels ("input", &array, &part, &err) == RK_OK)
        for (size_t i = 0; i < part.n; i++)
            FUZZ_CHECK (part.labels[i] >= 0 && part.labels[i] < RK_DATA_CLASSES);
    free (part.bytes);
    free (part.floats);
    free (part.labels);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    static const char *const members[] = {"x_train.npy", "y_test.npy"};
    if (!rk_zip_is (bytes, size)) {
        s_array (bytes, size);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        uint8_t *member;
        size_t length;
        rk_error_t err = {0};
        if (rk_zip_read ("input", bytes, size, members[i], &member, &length, &err) == RK_OK)
            s_array (member, length);
        else
            FUZZ_CHECK (!member && err.text[0]);
        free (member);
    }
    return 0;
}
