/* SPDX-License-Identifier: MPL-2.0
 * The inside of rk_data_t and the interface of a kind of data set. Only compute/data*.              */
#ifndef RK_COMPUTE_DATA_IMPL_H
#define RK_COMPUTE_DATA_IMPL_H
#include "compute/data.h"

/* Samples as bytes or floats, whichever the source has; both NULL: made on demand by `make`. */
typedef struct {
    size_t n;
    uint8_t *bytes;  /* (n, elems), or packed; owned */
    uint32_t *packed_at; /* (n + 1) first byte of each packed sample; owned; NULL: bytes are as they are */
    float *floats;   /* (n, elems); owned */
    uint8_t *labels; /* (n) classes; owned; NULL: none (prediction), or they are in `words` */
    void *words;     /* (n, labels.n) of RK_LABEL_BYTES; owned; NULL: none, or they are in `labels` */
} rk_data_part_t;

struct rk_data {
    rk_shape_t shape;
    size_t elems, n_classes;
    rk_labels_t labels;    /* one class of n_classes unless the data set says more */
    float mean, deviation; /* of bytes / 255 */
    rk_data_part_t part[2]; /* by rk_split_t */
};

typedef struct {
    const char *name;
    const char *usual_path; /* NULL: needs no files */
    void (*describe) (rk_data_t *data); /* usual shape, classes, normalisation */
    rk_err_t (*open) (rk_data_t *data, const char *path, rk_error_t *err); /* after describe */
} rk_data_type_t;

/* One IDX file (gzip or plain) of unsigned bytes with n_dims dimensions, the first of them samples.
 * *bytes: given to the caller. errors: RK_EIO, RK_EFORMAT, RK_ENOMEM; the text names the file.       */
rk_err_t rk_idx_read (const char *file, int n_dims, size_t dim[], uint8_t **bytes, rk_error_t *err) RK_MUST_CHECK;

/* The same of a file that has been read: checks it in full and shortens *bytes to its data. */
rk_err_t rk_idx_unpack (const char *file, int n_dims, size_t dim[], uint8_t *bytes, size_t size,
                        rk_error_t *err) RK_MUST_CHECK;

#define RK_IDX_MOST_BYTES ((size_t) 1 << 31) /* unpacked; more is taken for a damaged or hostile file */

/* A whole file, unpacked if it is gzip. *bytes: given to the caller. errors: as above; a file of more
 * than `most` bytes is refused.                                                                      */
rk_err_t rk_file_read (const char *file, size_t most, uint8_t **bytes, size_t *size, rk_error_t *err) RK_MUST_CHECK;

#endif
