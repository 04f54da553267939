/* SPDX-License-Identifier: MPL-2.0
 * Data sets: read once, then const; batches are a pure function of (seed, pass, index).               */
#ifndef RK_COMPUTE_DATA_H
#define RK_COMPUTE_DATA_H
#include "compute/model.h"

typedef struct rk_data rk_data_t;
typedef enum { RK_SPLIT_TRAIN = 0, RK_SPLIT_TEST = 1 } rk_split_t;

/* All members may be 0. Texts are borrowed until rk_data_open returns. */
typedef struct {
    const char *path;    /* folder, or file where the set is one; NULL or "": the set's usual place */
    const char *augment; /* what is done to training pictures (compute/data/augment.h); NULL, "" or "none": nothing */
    size_t n_classes;    /* 0: what the set is known to have, or the largest label + 1 */
    size_t sequence;     /* text: tokens of a sample; 0: 128 */
    size_t vocabulary;   /* text: tokens of the byte-pair vocabulary, 257 to 65536; 0: one for each of 96 characters */
    bool no_header;      /* csv: the first line is a sample */
    rk_label_kind_t labels; /* csv, numpy: class numbers, or targets of any finite value */
    const char *label;   /* csv: the label's column, by name or number from 1; NULL, "" or "last": the last one */
} rk_data_options_t;

/* name: one of rk_data_names: "fashion-mnist" (IDX files, gzip or plain), "cifar10" and "cifar100" (binary version),
 * "numpy" (.npy, .npz), "csv", "text" (one file; compute/data/text.h), and without files "synthetic-text", "synthetic" and
 * "synthetic-digits" (Gaussian classes of 28 x 28 and 8 x 8).
 * Every file is checked in full, its values and labels as well.
 * options: NULL means all 0. errors: RK_EIO, RK_EFORMAT (text names file, expected and found), RK_EINVAL (an option),
 * RK_ENOTFOUND (nearest name).                                                                         */
rk_err_t rk_data_open (rk_data_t **data_p, const char *name, const rk_data_options_t *options, rk_error_t *err) RK_MUST_CHECK;
void rk_data_close (rk_data_t **data_p);

/* A data set of a program's own, copied: x (n, shape) as the model shall see it; labels (n, labels.n), as labels says
 * (its bounds are checked), NULL for a split of none. n may be 0. errors: RK_ESHAPE, RK_EINVAL (names split and
 * sample), RK_ENOMEM.                                                                                   */
typedef struct {
    size_t n;
    const float *x;
    const void *labels;
} rk_data_split_t;
rk_err_t rk_data_from_memory (rk_data_t **data_p, rk_shape_t shape, rk_labels_t labels, const rk_data_split_t split[2],
                              rk_error_t *err) RK_MUST_CHECK;

rk_shape_t rk_data_shape (const rk_data_t *data);
size_t rk_data_n_classes (const rk_data_t *data); /* of a label; values of a target */
const rk_labels_t *rk_data_labels (const rk_data_t *data); /* what a sample's labels are, and how many */
/* Are these the samples and labels that the model takes? errors: RK_ESHAPE; the text names both sides. */
rk_err_t rk_data_check_model (const rk_data_t *data, const rk_model_t *model, rk_error_t *err) RK_MUST_CHECK;
size_t rk_data_n (const rk_data_t *data, rk_split_t split);
const char *const *rk_data_names (void);

/* Minibatch `index` of `pass`: samples [index*batch, ...) of the permutation by (seed, pass) for TRAIN,
 * in file order for TEST. x: (batch, shape) normalised f32; labels: (batch, rk_data_labels ()->n), 4 bytes
 * each, NULL if not wanted. The last one of a pass may hold fewer. Returns the number of samples, 0 past the end. What augmentation does to a sample is a function of
 * (seed, pass, sample): not of batch, cuts or threads. thread: any.                                     */
size_t rk_data_batch (const rk_data_t *data, rk_split_t split, uint64_t seed, uint64_t pass, uint64_t index,
                      size_t batch, float *x, void *labels);

/* One training or test sample, as number `to` of a minibatch x, labels as above. sample: below rk_data_n. */
void rk_data_one (const rk_data_t *data, rk_split_t split, uint64_t seed, uint64_t pass, size_t sample, size_t to, float *x, void *labels);
/* The first label of a sample; 0 where there are none. */
int32_t rk_data_class (const rk_data_t *data, rk_split_t split, size_t sample);

/* One file of samples for `predict`: plain text for a set of texts, cut into sequences (byte pairs are learnt again from
 * options->path); IDX images as the data set's own (gzip or plain), a .npy array, lines without a label
 * for a set of CSV, or raw f32 of its usual shape, already normalised. options->n_classes: for sets that count their own. They are the TEST split; labels are all 0. errors: as rk_data_open.   */
rk_err_t rk_data_open_input (rk_data_t **data_p, const char *name, const rk_data_options_t *options, const char *file,
                             rk_error_t *err) RK_MUST_CHECK;

#endif
