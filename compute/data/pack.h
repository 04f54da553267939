/* SPDX-License-Identifier: MPL-2.0
 * Samples of bytes without their zeros: per sample a bit for each byte (1: it is not zero), then the bytes
 * that are not. Pictures on a black ground take about 60 % of their size; unpacking is as fast as reading. */
#ifndef RK_COMPUTE_DATA_PACK_H
#define RK_COMPUTE_DATA_PACK_H
#include "compute/data_impl.h"

#define RK_DATA_UNPACK_ELEMS 4096 /* a multiple of 8; larger samples are not packed: a batch unpacks on the stack */

/* Packs part->bytes in place if it saves a fifth or more, otherwise leaves it alone. errors: RK_ENOMEM. */
rk_err_t rk_data_pack (rk_data_part_t *part, size_t elems) RK_MUST_CHECK;

/* The bytes of one sample of a packed part. bytes: room for elems rounded up to a multiple of 8. */
void rk_data_unpack (const rk_data_part_t *part, size_t sample, size_t elems, uint8_t *bytes);

#endif
