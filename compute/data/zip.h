/* SPDX-License-Identifier: MPL-2.0
 * Reading a member of a zip archive in memory: stored or deflated, no encryption, no zip64 (below 4 GiB). */
#ifndef RK_COMPUTE_DATA_ZIP_H
#define RK_COMPUTE_DATA_ZIP_H
#include "compute/data_impl.h"

bool rk_zip_is (const uint8_t *bytes, size_t size);

/* *out: given to the caller, checked against its CRC. file: for the text. errors: RK_ENOTFOUND (no such member), RK_EFORMAT,
 * RK_EUNSUPPORTED, RK_ENOMEM.                                                                           */
rk_err_t rk_zip_read (const char *file, const uint8_t *bytes, size_t size, const char *member, uint8_t **out, size_t *out_size,
                      rk_error_t *err) RK_MUST_CHECK;

#endif
