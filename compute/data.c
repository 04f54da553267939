/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data_impl.h"

#include <stdlib.h>
#include <string.h>

#include "compute/data/augment.h"
#include "compute/data/csv.h"
#include "compute/data/npy.h"
#include "compute/data/pack.h"
#include "compute/data/text.h"
#include "compute/names.h"

#define RK_DATA(name, path, stem)                                                                                     \
    void rk_data_describe_##stem (rk_data_t *);                                                                        \
    rk_err_t rk_data_open_##stem (rk_data_t *, const rk_data_options_t *, rk_error_t *);
#include "compute/data/list.h"
#undef RK_DATA

static const rk_data_type_t s_types[] = {
#define RK_DATA(name, path, stem) {name, path, rk_data_describe_##stem, rk_data_open_##stem},
#include "compute/data/list.h"
#undef RK_DATA
};

static const char *const s_names[] = {
#define RK_DATA(name, path, stem) name,
#include "compute/data/list.h"
#undef RK_DATA
    NULL};

const char *const *rk_data_names (void)
{
    return s_names;
}

/* A sample has one class unless its set says more. */
static void s_finish_labels (rk_data_t *self)
{
    if (self->labels.n <= 1 && self->labels.kind == RK_LABEL_CLASS && !self->labels.ignores)
        self->labels = (rk_labels_t) {.kind = RK_LABEL_CLASS, .n = 1, .n_classes = self->n_classes};
}

/* An empty data set of the named type. */
static rk_err_t s_new (rk_data_t **data_p, const char *name, const rk_data_type_t **type, rk_error_t *err)
{
    *data_p = NULL;
    int found = rk_find_name ("data set", name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    rk_data_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for data set %s", name);
    *type = &s_types[found];
    (*type)->describe (self);
    self->elems = rk_shape_elems (self->shape);
    s_finish_labels (self);
    *data_p = self;
    return RK_OK;
}

/* Whatever the set's own file says: what a batch relies on. */
static rk_err_t s_finish (rk_data_t *self, const char *name, const char *augment, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    self->elems = rk_shape_elems (self->shape);
    s_finish_labels (self);
    rk_err_t rc = rk_augment_parse (augment, &self->augment, err);
    if (!rc && self->augment && self->shape.n_dims != 3)
        rc = rk_error_set (err, RK_EINVAL, "data set %s: samples %s are no pictures (channels, height, width), so %.60s cannot be",
                           name, rk_shape_text (self->shape, text), augment);
    for (int split = 0; split < 2 && !rc && self->elems <= RK_DATA_UNPACK_ELEMS; split++)
        if (self->part[split].bytes && rk_data_pack (&self->part[split], self->elems))
            rc = rk_error_set (err, RK_ENOMEM, "no memory for data set %s", name);
    return rc;
}

static rk_data_options_t s_options (const rk_data_options_t *options, const rk_data_type_t *type)
{
    rk_data_options_t own = options ? *options : (rk_data_options_t) {0};
    if (!own.path || !*own.path)
        own.path = type->usual_path;
    return own;
}

rk_err_t rk_data_open (rk_data_t **data_p, const char *name, const rk_data_options_t *options, rk_error_t *err)
{
    const rk_data_type_t *type = NULL;
    rk_err_t rc = s_new (data_p, name, &type, err);
    if (rc)
        return rc;
    const rk_data_options_t own = s_options (options, type);
    if (own.labels == RK_LABEL_TARGET && !(*data_p)->may_have_targets)
        rc = rk_error_set (err, RK_EINVAL, "data set %s has classes, not values: only csv and numpy may have those", name);
    if (!rc)
        rc = type->open (*data_p, &own, err);
    if (!rc)
        rc = s_finish (*data_p, name, own.augment, err);
    if (rc)
        rk_data_close (data_p);
    return rc;
}

/* ---- from memory */

static rk_err_t s_take_split (rk_data_t *self, rk_split_t split, const rk_data_split_t *from, rk_error_t *err)
{
    rk_data_part_t *part = &self->part[split];
    if (from->n == 0)
        return RK_OK;
    const size_t label_bytes = self->labels.n * RK_LABEL_BYTES;
    rk_err_t rc = from->labels ? rk_labels_check (&self->labels, from->n, from->labels, err) : RK_OK;
    if (rc)
        return rk_error_wrap (err, rc, "%s split", split == RK_SPLIT_TRAIN ? "training" : "test");
    part->n = from->n;
    part->floats = calloc (from->n, self->elems * sizeof *part->floats);
    part->labels = calloc (from->n, label_bytes);
    if (!part->floats || !part->labels)
        return rk_error_set (err, RK_ENOMEM, "no memory for %zu samples", from->n);
    memcpy (part->floats, from->x, from->n * self->elems * sizeof *part->floats);
    if (from->labels)
        memcpy (part->labels, from->labels, from->n * label_bytes);
    return RK_OK;
}

rk_err_t rk_data_from_memory (rk_data_t **data_p, rk_shape_t shape, rk_labels_t labels, const rk_data_split_t split[2],
                              rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    *data_p = NULL;
    if (rk_shape_elems (shape) == 0 || labels.n == 0)
        return rk_error_set (err, RK_ESHAPE, "samples of shape %s with %zu labels", rk_shape_text (shape, text), labels.n);
    rk_data_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a data set");
    *self = (rk_data_t) {.shape = shape, .elems = rk_shape_elems (shape), .labels = labels};
    self->n_classes = self->labels.n_classes = labels.kind == RK_LABEL_TARGET ? labels.n : labels.n_classes;
    rk_err_t rc = s_take_split (self, RK_SPLIT_TRAIN, &split[RK_SPLIT_TRAIN], err);
    if (!rc)
        rc = s_take_split (self, RK_SPLIT_TEST, &split[RK_SPLIT_TEST], err);
    if (rc)
        rk_data_close (&self);
    *data_p = self;
    return rc;
}

rk_err_t rk_data_check_model (const rk_data_t *self, const rk_model_t *model, rk_error_t *err)
{
    char ours[RK_SHAPE_TEXT], theirs[RK_SHAPE_TEXT];
    if (!rk_shape_equal (self->shape, rk_model_tensor_shape (model, 0)))
        return rk_error_set (err, RK_ESHAPE, "samples are %s, model %s takes %s", rk_shape_text (self->shape, ours),
                             rk_model_name (model), rk_shape_text (rk_model_tensor_shape (model, 0), theirs));
    rk_err_t rc = rk_labels_suit (rk_model_labels (model), &self->labels, err);
    return rc ? rk_error_wrap (err, rc, "model %s", rk_model_name (model)) : RK_OK;
}

/* ---- one file to predict */

/* Takes bytes. What begins like an IDX file or a .npy array is one, with the data set's normalisation for bytes;
 * others are floats.                                                                                  */
static rk_err_t s_take_input (rk_data_t *self, const rk_data_options_t *options, const char *file, uint8_t *bytes, size_t size,
                              rk_error_t *err)
{
    if (self->is_text) {
        const rk_err_t rc = rk_text_take_input (self, file, bytes, size, options, err);
        free (bytes);
        return rc;
    }
    rk_data_part_t *part = &self->part[RK_SPLIT_TEST];
    /* Read as a float, a header of up to four dimensions would be about 1e-36. */
    if (size >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] == 8 && bytes[3] <= RK_MAX_DIMS) {
        size_t dim[3];
        part->bytes = bytes;
        rk_err_t rc = rk_idx_unpack (file, 3, dim, bytes, size, err);
        if (rc)
            return rc;
        part->n = dim[0];
        self->shape = rk_shape_3 (1, dim[1], dim[2]);
        self->elems = dim[1] * dim[2];
        return RK_OK;
    }
    if (rk_npy_is (bytes, size))
        return rk_npy_take_input (self, file, bytes, size, err);
    if (self->is_csv) {
        const rk_err_t rc = rk_csv_take_input (self, file, bytes, size, options, err);
        free (bytes);
        return rc;
    }
    part->floats = (float *) (void *) bytes;
    const size_t one = self->elems * sizeof (float);
    if (one == 0) /* a set whose shape is in its files */
        return rk_error_set (err, RK_EFORMAT, "%s: neither an IDX file nor a .npy array", file);
    if (size == 0 || size % one != 0)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes are neither an IDX file, a .npy array nor samples of %zu floats", file,
                             size, self->elems);
    part->n = size / one;
    return rk_data_check_floats (file, part->floats, part->n, self->elems, err);
}

rk_err_t rk_data_open_input (rk_data_t **data_p, const char *name, const rk_data_options_t *options, const char *file,
                             rk_error_t *err)
{
    const rk_data_type_t *type = NULL;
    uint8_t *bytes = NULL;
    size_t size;
    rk_err_t rc = s_new (data_p, name, &type, err);
    const rk_data_options_t own = rc ? (rk_data_options_t) {0} : s_options (options, type);
    if (!rc && (*data_p)->n_classes == 0) /* a set that learns them from its labels */
        (*data_p)->n_classes = (*data_p)->labels.n_classes = own.n_classes;
    if (!rc && own.labels == RK_LABEL_TARGET) /* unknown ones, which every loss takes */
        (*data_p)->labels = (rk_labels_t) {.kind = RK_LABEL_TARGET, .n = own.n_classes, .n_classes = own.n_classes};
    if (!rc)
        rc = rk_file_read (file, RK_DATA_MOST_BYTES, &bytes, &size, err);
    if (!rc)
        rc = s_take_input (*data_p, &own, file, bytes, size, err);
    if (rc)
        rk_data_close (data_p);
    return rc;
}

void rk_data_close (rk_data_t **data_p)
{
    rk_data_t *self = data_p ? *data_p : NULL;
    if (!self)
        return;
    for (int s = 0; s < 2; s++) {
        free (self->part[s].bytes);
        free (self->part[s].packed_at);
        free (self->part[s].floats);
        free (self->part[s].tokens);
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

const rk_labels_t *rk_data_labels (const rk_data_t *self)
{
    return &self->labels;
}

size_t rk_data_n (const rk_data_t *self, rk_split_t split)
{
    return self->part[split].n;
}
