/* SPDX-License-Identifier: MPL-2.0
 * safetensors files: 8-byte little-endian header length, JSON header, raw f32 data. Written atomically
 * (temporary name, fsync, rename, directory fsync), so a partial file never replaces a good one.         */
#ifndef RK_MESSAGES_SAFETENSORS_H
#define RK_MESSAGES_SAFETENSORS_H
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

typedef struct {
    const char *name;   /* "conv1.weight" */
    int n_dims;
    size_t dim[4];
    const float *data;  /* write: borrowed; read: into the mapped file (may be misaligned: copy out) */
    size_t count;
} rk_st_tensor_t;

/* metadata: n_meta pairs key, value of text. The data start at a multiple of 8 bytes; tensors keep their order.
 * errors: RK_EINVAL (a name twice, dimensions that do not fit the count), RK_EIO, RK_ENOMEM; a file that was
 * there before is then still there.                                                                        */
rk_err_t rk_st_write (const char *path, const rk_st_tensor_t *tensors, size_t n, const char *const *metadata, size_t n_meta,
                      rk_error_t *err) RK_MUST_CHECK;

/* ---- the same, part by part: room for everything is on the disc from the start, parts come in any order, from whoever
 * has them; nothing but the header is held in memory. rk_st_write is made of it.                         */
typedef struct rk_st_draft rk_st_draft_t;
/* tensors[i].data is not looked at. errors: as rk_st_write. */
rk_err_t rk_st_draft_new (rk_st_draft_t **draft_p, const char *path, const rk_st_tensor_t *tensors, size_t n,
                          const char *const *metadata, size_t n_meta, rk_error_t *err) RK_MUST_CHECK;
/* n floats of tensor idx from `at` on; at any address. errors: RK_EINVAL (outside of it), RK_EIO. */
rk_err_t rk_st_draft_put (rk_st_draft_t *draft, size_t idx, size_t at, const void *floats, size_t n, rk_error_t *err) RK_MUST_CHECK;
/* What tensor idx is so far (what has not come is zero); valid until commit or discard. errors: RK_EIO. */
rk_err_t rk_st_draft_look (rk_st_draft_t *draft, size_t idx, const float **floats_p, rk_error_t *err) RK_MUST_CHECK;
/* Replaces metadata `key` by a value of the same length. errors: RK_EINVAL, RK_EIO. */
rk_err_t rk_st_draft_tell (rk_st_draft_t *draft, const char *key, const char *value, rk_error_t *err) RK_MUST_CHECK;
/* Hash, fsync, rename, fsync of the folder; *draft_p is NULL afterwards. errors: RK_EIO; as rk_file_commit. */
rk_err_t rk_st_draft_commit (rk_st_draft_t **draft_p, rk_error_t *err) RK_MUST_CHECK;
void rk_st_draft_discard (rk_st_draft_t **draft_p);

/* Every file written here names the xxh64 of all its bytes (the digits themselves counted as zeros) under this key of
 * its metadata; rk_st_open checks it where it is there.                                                   */
#define RK_ST_DIGEST "xxh64"

typedef struct rk_st_file rk_st_file_t;
/* Opens and validates in full (header length, JSON, names, shapes, every byte of the data in exactly one tensor, the
 * digest if it names one).
 * The file is mapped: replace it by rename, as rk_st_write does, never cut it short while it is open.
 * errors: RK_EIO, RK_EFORMAT, RK_EUNSUPPORTED (another dtype than F32, more than 4 dimensions), RK_ENOMEM.    */
rk_err_t rk_st_open (rk_st_file_t **file_p, const char *path, rk_error_t *err) RK_MUST_CHECK;
void rk_st_close (rk_st_file_t **file_p);
size_t rk_st_n (const rk_st_file_t *file);
const rk_st_tensor_t *rk_st_at (const rk_st_file_t *file, size_t idx);       /* NULL past the end */
const rk_st_tensor_t *rk_st_find (const rk_st_file_t *file, const char *name); /* NULL if absent */
const char *rk_st_metadata (const rk_st_file_t *file, const char *key); /* NULL if absent */

#endif
