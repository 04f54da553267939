/* SPDX-License-Identifier: MPL-2.0
 * The inside of rk_data_t and the interface of a kind of data set. Only compute/data*.              */
#ifndef RK_COMPUTE_DATA_IMPL_H
#define RK_COMPUTE_DATA_IMPL_H
#include "compute/data.h"

#define RK_DATA_CHANNELS 4                /* that have a normalisation of their own */
#define RK_DATA_MOST_BYTES ((size_t) 1 << 31) /* of a file, unpacked; more is taken for a damaged or hostile one */

/* Samples as bytes or floats, whichever the source has. */
typedef struct {
    size_t n;
    uint8_t *bytes;  /* (n, elems), or packed; owned */
    uint32_t *packed_at; /* (n + 1) first byte of each packed sample; owned; NULL: bytes are as they are */
    float *floats;   /* (n, elems); owned */
    uint16_t *tokens; /* a text: sample i begins at token i x elems; owned; then the others are NULL */
    bool has_next;    /* tokens: each sample's last one is followed by another: what labels are made of */
    int32_t *labels; /* (n, labels.n), classes or the bits of f32 targets; owned; NULL: none (prediction) */
} rk_data_part_t;

struct rk_data {
    rk_shape_t shape;
    size_t elems, n_classes;
    rk_labels_t labels; /* one class of n_classes unless the data set says more */
    bool is_text;       /* compute/data/text.h */
    bool is_csv;        /* compute/data/csv.h */
    bool may_have_targets; /* labels may be values, if the options say so */
    unsigned augment; /* of compute/data/augment.h */
    /* of bytes / 255, channel by channel; n_norms 1: all channels alike */
    size_t n_norms;
    float mean[RK_DATA_CHANNELS], deviation[RK_DATA_CHANNELS];
    rk_data_part_t part[2]; /* by rk_split_t */
};

typedef struct {
    const char *name;
    const char *usual_path; /* NULL: needs no files */
    void (*describe) (rk_data_t *data); /* usual shape, classes, normalisation */
    /* After describe. Fills the parts; elems follows from shape. options->path: never NULL unless usual_path is. */
    rk_err_t (*open) (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);
} rk_data_type_t;

/* One IDX file (gzip or plain) of unsigned bytes with n_dims dimensions, the first of them samples.
 * *bytes: given to the caller. errors: RK_EIO, RK_EFORMAT, RK_ENOMEM; the text names the file.       */
rk_err_t rk_idx_read (const char *file, int n_dims, size_t dim[], uint8_t **bytes, rk_error_t *err) RK_MUST_CHECK;

/* The same of a file that has been read: checks it in full and shortens *bytes to its data. */
rk_err_t rk_idx_unpack (const char *file, int n_dims, size_t dim[], uint8_t *bytes, size_t size,
                        rk_error_t *err) RK_MUST_CHECK;

/* A whole file, unpacked if it is gzip. *bytes: given to the caller. errors: as above; a file of more
 * than `most` bytes is refused.                                                                      */
rk_err_t rk_file_read (const char *file, size_t most, uint8_t **bytes, size_t *size, rk_error_t *err) RK_MUST_CHECK;

/* "folder/name" into file. errors: RK_EINVAL (too long). */
rk_err_t rk_file_path (char *file, size_t room, const char *folder, const char *name, rk_error_t *err) RK_MUST_CHECK;

/* ---- what every kind of set promises about its parts (compute/data/check.c); file: for the text */

/* All labels of part are in [0, n_classes). errors: RK_EFORMAT. */
rk_err_t rk_data_check_labels (const char *file, const rk_data_part_t *part, size_t n_classes, rk_error_t *err) RK_MUST_CHECK;

/* No value is NaN or infinite. errors: RK_EFORMAT, the text names the sample. */
rk_err_t rk_data_check_floats (const char *file, const float *values, size_t n, size_t elems, rk_error_t *err) RK_MUST_CHECK;

/* Classes as given, else one more than the largest label of both parts. errors: RK_EFORMAT (negative labels, more than
 * RK_DATA_CLASSES of them).                                                                            */
#define RK_DATA_CLASSES 65536
rk_err_t rk_data_count_classes (rk_data_t *data, const char *file, size_t given, rk_error_t *err) RK_MUST_CHECK;

/* Labels are n_values targets a sample: they are in what the parts' values span. errors: RK_EFORMAT (one is not finite). */
rk_err_t rk_data_span_targets (rk_data_t *data, const char *file, size_t n_values, rk_error_t *err) RK_MUST_CHECK;

#endif
