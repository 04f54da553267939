/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data_impl.h"

#include <stdlib.h>
#include <string.h>

#include "compute/names.h"
#include "compute/rng.h"

#define RK_DATA(name, path, function) rk_err_t function (rk_data_t *, const char *, rk_error_t *);
#include "compute/data/list.h"
#undef RK_DATA

static const rk_data_type_t s_types[] = {
#define RK_DATA(name, path, function) {name, path, function},
#include "compute/data/list.h"
#undef RK_DATA
};

static const char *const s_names[] = {
#define RK_DATA(name, path, function) name,
#include "compute/data/list.h"
#undef RK_DATA
    NULL};

const char *const *rk_data_names (void)
{
    return s_names;
}

rk_err_t rk_data_open (rk_data_t **data_p, const char *name, const char *path, rk_error_t *err)
{
    *data_p = NULL;
    int found = rk_find_name ("data set", name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    rk_data_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for data set %s", name);
    self->deviation = 1;
    rk_err_t rc = s_types[found].open (self, path && *path ? path : s_types[found].usual_path, err);
    if (rc) {
        rk_data_close (&self);
        return rc;
    }
    *data_p = self;
    return RK_OK;
}

void rk_data_close (rk_data_t **data_p)
{
    rk_data_t *self = data_p ? *data_p : NULL;
    if (!self)
        return;
    for (int s = 0; s < 2; s++) {
        free (self->part[s].bytes);
        free (self->part[s].floats);
        free (self->part[s].labels);
    }
    free (self);
    *data_p = NULL;
}

rk_shape_t rk_data_shape (const rk_data_t *self)
{
    return self->shape;
}

size_t rk_data_n_classes (const rk_data_t *self)
{
    return self->n_classes;
}

size_t rk_data_n (const rk_data_t *self, rk_split_t split)
{
    return self->part[split].n;
}

static void s_copy_sample (const rk_data_t *self, const rk_data_part_t *part, size_t sample, float *x)
{
    if (part->floats) {
        memcpy (x, part->floats + sample * self->elems, self->elems * sizeof *x);
        return;
    }
    const uint8_t *bytes = part->bytes + sample * self->elems;
    for (size_t i = 0; i < self->elems; i++)
        x[i] = ((float) bytes[i] / 255.0f - self->mean) / self->deviation;
}

size_t rk_data_batch (const rk_data_t *self, rk_split_t split, uint64_t seed, uint64_t pass, uint64_t index,
                      size_t batch, float *x, int32_t *labels)
{
    const rk_data_part_t *part = &self->part[split];
    if (batch == 0 || index >= (part->n + batch - 1) / batch)
        return 0;
    const size_t begin = (size_t) index * batch;
    const size_t n = part->n - begin < batch ? part->n - begin : batch;
    const rk_permutation_t permutation = rk_rng_permutation (seed, pass, part->n);
    for (size_t i = 0; i < n; i++) {
        size_t sample = begin + i;
        if (split == RK_SPLIT_TRAIN)
            sample = (size_t) rk_permutation_at (&permutation, sample);
        s_copy_sample (self, part, sample, x + i * self->elems);
        if (labels)
            labels[i] = part->labels ? part->labels[sample] : 0;
    }
    return n;
}
