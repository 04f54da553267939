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

typedef struct rk_st_file rk_st_file_t;
/* Opens and validates in full (header length, JSON, names, shapes, every byte of the data in exactly one tensor).
 * The file is mapped: replace it by rename, as rk_st_write does, never cut it short while it is open.
 * errors: RK_EIO, RK_EFORMAT, RK_EUNSUPPORTED (another dtype than F32, more than 4 dimensions), RK_ENOMEM.    */
rk_err_t rk_st_open (rk_st_file_t **file_p, const char *path, rk_error_t *err) RK_MUST_CHECK;
void rk_st_close (rk_st_file_t **file_p);
size_t rk_st_n (const rk_st_file_t *file);
const rk_st_tensor_t *rk_st_at (const rk_st_file_t *file, size_t idx);       /* NULL past the end */
const rk_st_tensor_t *rk_st_find (const rk_st_file_t *file, const char *name); /* NULL if absent */
const char *rk_st_metadata (const rk_st_file_t *file, const char *key); /* NULL if absent */

#endif
