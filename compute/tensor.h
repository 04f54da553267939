/* SPDX-License-Identifier: MPL-2.0
 * Shapes per sample and the alignment of flat vectors. A tensor of a minibatch is n x elems floats,
 * sample after sample, row-major inside a sample: (C, H, W), (S, F) of a sequence, or (I).            */
#ifndef RK_COMPUTE_TENSOR_H
#define RK_COMPUTE_TENSOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_FLAT_ALIGN 16           /* floats; 64 bytes, one cache line, one AVX-512 register */
#define RK_MAX_DIMS 4
#define RK_MAX_ELEMS ((size_t) 1 << 30) /* floats per sample or per parameter; larger is refused */
#define RK_SHAPE_TEXT 96           /* characters rk_shape_text needs at most */

typedef struct {
    int n_dims;
    size_t dim[RK_MAX_DIMS]; /* per sample, e.g. (C, H, W) or (I) */
} rk_shape_t;

/* Product of the dimensions; 0 if a dimension is 0, n_dims is out of range or the product exceeds
 * RK_MAX_ELEMS. thread: any.                                                                         */
size_t rk_shape_elems (rk_shape_t shape);
bool rk_shape_equal (rk_shape_t a, rk_shape_t b);

/* "(1, 28, 28)" into text; returns text. */
const char *rk_shape_text (rk_shape_t shape, char text[RK_SHAPE_TEXT]);

static inline rk_shape_t rk_shape_1 (size_t i)
{
    return (rk_shape_t) {1, {i}};
}

static inline rk_shape_t rk_shape_2 (size_t s, size_t f)
{
    return (rk_shape_t) {2, {s, f}};
}

static inline rk_shape_t rk_shape_3 (size_t c, size_t h, size_t w)
{
    return (rk_shape_t) {3, {c, h, w}};
}

/* The next multiple of RK_FLAT_ALIGN floats. */
static inline size_t rk_flat_round (size_t elems)
{
    return (elems + RK_FLAT_ALIGN - 1) / RK_FLAT_ALIGN * RK_FLAT_ALIGN;
}

#endif
