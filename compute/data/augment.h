/* SPDX-License-Identifier: MPL-2.0
 * Augmentation of pictures (C, H, W): what is drawn for one sample, as a function of (seed, pass, sample).
 *   crop    a window of H x W out of the picture with a black border of an eighth of its sides
 *   flip    left and right change places, with probability 1/2
 *   cutout  a square of half the sides around any pixel is the mean (0 when normalised); parts may lie outside
 * Done in this order, which for CIFAR is the usual border of 4, flip and cutout of 16.                   */
#ifndef RK_COMPUTE_DATA_AUGMENT_H
#define RK_COMPUTE_DATA_AUGMENT_H
#include "compute/tensor.h"

enum { RK_AUGMENT_CROP = 1, RK_AUGMENT_FLIP = 2, RK_AUGMENT_CUTOUT = 4 };

/* Pixel (i, j) of the result is (i + down, k + right) of the source, k = flip ? w - 1 - j : j; black outside. */
typedef struct {
    ptrdiff_t down, right;
    bool flip;
    size_t cut_top, cut_bottom, cut_left, cut_right; /* rows [top, bottom), columns [left, right); may be empty */
} rk_augment_t;

/* "crop,flip,cutout", any of them in any order; NULL, "" and "none" give 0. errors: RK_EINVAL names the valid ones. */
rk_err_t rk_augment_parse (const char *text, unsigned *ways, rk_error_t *err) RK_MUST_CHECK;

rk_augment_t rk_augment_draw (unsigned ways, uint64_t seed, uint64_t pass, uint64_t sample, size_t h, size_t w);

/* One plane (h, w) of x out of bytes (times scale, plus shift) or, if bytes is NULL, out of floats. Black is 0 of the
 * source.                                                                                              */
typedef struct {
    const uint8_t *bytes;
    const float *floats;
    float scale, shift;
} rk_augment_plane_t;
void rk_augment_apply (const rk_augment_t *how, const rk_augment_plane_t *from, size_t h, size_t w, float *x);

#endif
