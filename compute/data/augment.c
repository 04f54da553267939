/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data/augment.h"

#include <string.h>

#include "compute/rng.h"

static const struct {
    const char *name;
    unsigned way;
} s_ways[] = {{"crop", RK_AUGMENT_CROP}, {"flip", RK_AUGMENT_FLIP}, {"cutout", RK_AUGMENT_CUTOUT}};

#define N_WAYS (sizeof s_ways / sizeof *s_ways)

rk_err_t rk_augment_parse (const char *text, unsigned *ways, rk_error_t *err)
{
    *ways = 0;
    if (!text || !*text || strcmp (text, "none") == 0)
        return RK_OK;
    for (const char *at = text;; at++) {
        const size_t n = strcspn (at, ",");
        size_t i = 0;
        while (i < N_WAYS && (strlen (s_ways[i].name) != n || strncmp (s_ways[i].name, at, n) != 0))
            i++;
        if (i == N_WAYS)
            return rk_error_set (err, RK_EINVAL, "augmentation \"%.60s\": each part is crop, flip or cutout; or none", text);
        *ways |= s_ways[i].way;
        at += n;
        if (!*at)
            return RK_OK;
    }
}

/* In [0, n). */
static size_t s_below (uint32_t word, size_t n)
{
    return (size_t) ((uint64_t) word * n >> 32);
}

/* [*from, *to): `length` around `centre`, within [0, size). */
static void s_around (size_t centre, size_t length, size_t size, size_t *from, size_t *to)
{
    const size_t before = length / 2;
    *from = centre > before ? centre - before : 0;
    *to = centre + length - before < size ? centre + length - before : size;
}

rk_augment_t rk_augment_draw (unsigned ways, uint64_t seed, uint64_t pass, uint64_t sample, size_t h, size_t w)
{
    uint32_t words[8];
    const uint64_t stream = rk_rng_stream (RK_RNG_AUGMENT, pass);
    rk_rng_block (seed, stream, 2 * sample, words);
    rk_rng_block (seed, stream, 2 * sample + 1, words + 4);
    rk_augment_t how = {0};
    if (ways & RK_AUGMENT_CROP) {
        const size_t high = h / 8, wide = w / 8;
        how.down = (ptrdiff_t) s_below (words[0], 2 * high + 1) - (ptrdiff_t) high;
        how.right = (ptrdiff_t) s_below (words[1], 2 * wide + 1) - (ptrdiff_t) wide;
    }
    if (ways & RK_AUGMENT_FLIP)
        how.flip = words[2] >> 31;
    if (ways & RK_AUGMENT_CUTOUT) {
        s_around (s_below (words[4], h), h / 2, h, &how.cut_top, &how.cut_bottom);
        s_around (s_below (words[5], w), w / 2, w, &how.cut_left, &how.cut_right);
    }
    return how;
}

static float s_value (const rk_augment_plane_t *from, size_t at)
{
    return from->bytes ? (float) from->bytes[at] * from->scale + from->shift : from->floats[at];
}

void rk_augment_apply (const rk_augment_t *how, const rk_augment_plane_t *from, size_t h, size_t w, float *x)
{
    const float black = from->bytes ? from->shift : 0;
    for (size_t i = 0; i < h; i++) {
        const size_t row = i + (size_t) how->down; /* past h for those above 0 as well */
        const bool cut = i >= how->cut_top && i < how->cut_bottom;
        for (size_t j = 0; j < w; j++) {
            const size_t column = (how->flip ? w - 1 - j : j) + (size_t) how->right;
            const bool inside = row < h && column < w;
            x[i * w + j] = cut && j >= how->cut_left && j < how->cut_right ? 0
                           : inside                                       ? s_value (from, row * w + column)
                                                                          : black;
        }
    }
}
