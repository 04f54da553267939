/* SPDX-License-Identifier: MPL-2.0
 * The records of a CIFAR file, with one and with two label bytes. */
#include "compute/data/cifar.h"
#include "tests/fuzz/fuzz.h"

static void s_read (const uint8_t *bytes, size_t size, size_t n_labels, size_t n_classes)
{
    rk_data_part_t part = {0};
    rk_error_t err = {0};
    const rk_err_t rc = rk_cifar_append ("input", n_labels, n_classes, bytes, size, &part, &err);
    FUZZ_CHECK (rc == RK_OK ? part.n * (n_labels + 3072) == size : err.text[0] && part.n == 0);
    size_t sum = 0;
    for (size_t i = 0; i < part.n; i++) {
        FUZZ_CHECK (part.labels[i] >= 0 && (size_t) part.labels[i] < n_classes);
        sum += part.bytes[i * 3072] + part.bytes[i * 3072 + 3071];
    }
    FUZZ_CHECK (sum <= 2 * 255 * part.n);
    free (part.bytes);
    free (part.labels);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    s_read (bytes, size, 1, 10);
    s_read (bytes, size, 2, 100);
    return 0;
}
