/* SPDX-License-Identifier: MPL-2.0
 * Arrays of NumPy's .npy format (versions 1 to 3), little-endian and in C order:
 * "\x93NUMPY", version, length of the header, a Python dictionary {'descr', 'fortran_order', 'shape'}, data. */
#ifndef RK_COMPUTE_DATA_NPY_H
#define RK_COMPUTE_DATA_NPY_H
#include "compute/data_impl.h"

typedef struct rk_npy_type rk_npy_type_t;

typedef struct {
    const rk_npy_type_t *type; /* f4, f8, u1, i4 or i8 */
    rk_shape_t shape;          /* of the whole array, the first dimension is samples */
    size_t count;              /* elements */
    const uint8_t *data;       /* in the bytes that were parsed; at any address */
} rk_npy_t;

bool rk_npy_is (const uint8_t *bytes, size_t size);

/* Checks header and size in full. file: for the text. errors: RK_EFORMAT. */
rk_err_t rk_npy_parse (const char *file, const uint8_t *bytes, size_t size, rk_npy_t *array, rk_error_t *err) RK_MUST_CHECK;

/* The samples of x into part, whose bytes or floats must be free; *shape: (I), (1, H, W) of (N, H, W), or (C, H, W).
 * Integers become floats and must be below 2^24; u1 stay bytes. No value is NaN. errors: RK_EFORMAT, RK_ENOMEM.  */
rk_err_t rk_npy_samples (const char *file, const rk_npy_t *x, rk_data_part_t *part, rk_shape_t *shape, rk_error_t *err) RK_MUST_CHECK;

/* Labels (N) of integers into part->labels, as many as it has samples. errors: RK_EFORMAT, RK_ENOMEM. */
rk_err_t rk_npy_labels (const char *file, const rk_npy_t *y, rk_data_part_t *part, rk_error_t *err) RK_MUST_CHECK;

/* Targets (N, ...) of any type, the bits of f32, likewise; *n_values: a sample's. errors: as above, one is not finite.  */
rk_err_t rk_npy_targets (const char *file, const rk_npy_t *y, rk_data_part_t *part, size_t *n_values, rk_error_t *err) RK_MUST_CHECK;

/* A .npy file as the TEST split of an empty data set. Takes bytes. errors: as above, and the shape if the set has one. */
rk_err_t rk_npy_take_input (rk_data_t *data, const char *file, uint8_t *bytes, size_t size, rk_error_t *err) RK_MUST_CHECK;

#endif
