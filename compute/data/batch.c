/* SPDX-License-Identifier: MPL-2.0
 * Minibatches: samples are unpacked, augmented and normalised on their way into the caller's x. */
#include <string.h>

#include "compute/data/augment.h"
#include "compute/data/pack.h"
#include "compute/rng.h"

/* What a byte b of channel c becomes: b * scale + shift. */
static float s_scale (const rk_data_t *self, size_t c)
{
    return 1.0f / (255.0f * self->deviation[c]);
}

static float s_shift (const rk_data_t *self, size_t c)
{
    return -self->mean[c] / self->deviation[c];
}

/* One of bytes and floats is NULL. */
static void s_copy_plain (const rk_data_t *self, const uint8_t *bytes, const float *floats, float *x)
{
    if (!bytes) {
        memcpy (x, floats, self->elems * sizeof *x);
        return;
    }
    const size_t plane = self->elems / self->n_norms;
    for (size_t c = 0; c < self->n_norms; c++) {
        const float scale = s_scale (self, c), shift = s_shift (self, c);
        const uint8_t *from = bytes + c * plane;
        float *to = x + c * plane;
        for (size_t i = 0; i < plane; i++)
            to[i] = (float) from[i] * scale + shift;
    }
}

static void s_copy_augmented (const rk_data_t *self, const uint8_t *bytes, const float *floats, const rk_augment_t *how, float *x)
{
    const size_t h = self->shape.dim[1], w = self->shape.dim[2];
    for (size_t c = 0; c < self->shape.dim[0]; c++) {
        const size_t norm = self->n_norms > 1 ? c : 0, at = c * h * w;
        const rk_augment_plane_t from = {bytes ? bytes + at : NULL, floats ? floats + at : NULL, s_scale (self, norm),
                                         s_shift (self, norm)};
        rk_augment_apply (how, &from, h, w, x + at);
    }
}

/* how: NULL: as it is. */
static void s_copy_sample (const rk_data_t *self, const rk_data_part_t *part, size_t sample, const rk_augment_t *how, float *x)
{
    uint8_t unpacked[RK_DATA_UNPACK_ELEMS];
    if (part->tokens) {
        const uint16_t *tokens = part->tokens + sample * self->elems;
        for (size_t i = 0; i < self->elems; i++)
            x[i] = (float) tokens[i];
        return;
    }
    const float *floats = part->floats ? part->floats + sample * self->elems : NULL;
    const uint8_t *bytes = part->bytes && !part->packed_at ? part->bytes + sample * self->elems : NULL;
    if (part->packed_at) {
        rk_data_unpack (part, sample, self->elems, unpacked);
        bytes = unpacked;
    }
    if (how)
        s_copy_augmented (self, bytes, floats, how, x);
    else
        s_copy_plain (self, bytes, floats, x);
}

static size_t s_sample (const rk_permutation_t *permutation, rk_split_t split, size_t i)
{
    return split == RK_SPLIT_TRAIN ? (size_t) rk_permutation_at (permutation, i) : i;
}

#define AHEAD 4 /* samples on their way from memory: they lie in random places of tens of megabytes */

/* Always inline: gcc takes a function that only prefetches for one without effects and drops its calls. */
static inline __attribute__ ((always_inline)) void s_prefetch_sample (const rk_data_t *self, const rk_data_part_t *part, size_t sample)
{
    if (!part->bytes)
        return;
    const uint8_t *at = part->bytes + (part->packed_at ? part->packed_at[sample] : sample * self->elems);
    const uint8_t *end = part->packed_at ? part->bytes + part->packed_at[sample + 1] : at + self->elems;
    for (; at < end; at += 64)
        __builtin_prefetch (at);
}

/* Labels of `sample` as number `to` of a minibatch. */
static void s_copy_labels (const rk_data_t *self, const rk_data_part_t *part, size_t sample, size_t to, int32_t *labels)
{
    const size_t n = self->labels.n;
    if (part->has_next)
        for (size_t i = 0; i < n; i++)
            labels[to * n + i] = part->tokens[sample * n + i + 1];
    else if (part->labels)
        memcpy (labels + to * n, part->labels + sample * n, n * sizeof *labels);
    else
        memset (labels + to * n, 0, n * sizeof *labels);
}

size_t rk_data_batch (const rk_data_t *self, rk_split_t split, uint64_t seed, uint64_t pass, uint64_t index,
                      size_t batch, float *x, void *labels)
{
    const rk_data_part_t *part = &self->part[split];
    if (batch == 0 || index >= (part->n + batch - 1) / batch)
        return 0;
    const size_t begin = (size_t) index * batch;
    const size_t n = part->n - begin < batch ? part->n - begin : batch;
    const rk_permutation_t permutation = rk_rng_permutation (seed, pass, part->n);
    const bool augmented = self->augment && split == RK_SPLIT_TRAIN;
    size_t ahead[AHEAD];
    for (size_t i = 0; i < n + AHEAD; i++) {
        if (i >= AHEAD) {
            const size_t sample = ahead[i % AHEAD], to = i - AHEAD;
            rk_augment_t how;
            if (augmented)
                how = rk_augment_draw (self->augment, seed, pass, sample, self->shape.dim[1], self->shape.dim[2]);
            s_copy_sample (self, part, sample, augmented ? &how : NULL, x + to * self->elems);
            if (labels)
                s_copy_labels (self, part, sample, to, labels);
        }
        if (i < n) {
            ahead[i % AHEAD] = s_sample (&permutation, split, begin + i);
            s_prefetch_sample (self, part, ahead[i % AHEAD]);
        }
    }
    return n;
}

void rk_data_one (const rk_data_t *self, rk_split_t split, uint64_t seed, uint64_t pass, size_t sample, size_t to, float *x, void *labels)
{
    const rk_data_part_t *part = &self->part[split];
    const bool augmented = self->augment && split == RK_SPLIT_TRAIN;
    rk_augment_t how;
    if (augmented)
        how = rk_augment_draw (self->augment, seed, pass, sample, self->shape.dim[1], self->shape.dim[2]);
    s_copy_sample (self, part, sample, augmented ? &how : NULL, x + to * self->elems);
    if (labels)
        s_copy_labels (self, part, sample, to, labels);
}

int32_t rk_data_class (const rk_data_t *self, rk_split_t split, size_t sample)
{
    const rk_data_part_t *part = &self->part[split];
    return part->labels ? part->labels[sample * self->labels.n] : 0;
}
