/* SPDX-License-Identifier: MPL-2.0
 * Files written whole or not at all: a temporary name in the same folder, fsync, rename, fsync of the folder.
 * Whoever reads the path sees the old file or the new one, after a crash as well. thread: the owner's.      */
#ifndef RK_MESSAGES_FILE_H
#define RK_MESSAGES_FILE_H
#include <stddef.h>
#include "compute/error.h"

typedef struct rk_file rk_file_t;

/* Start a new version of path. errors: RK_EIO (text names the path and the reason), RK_ENOMEM. */
rk_err_t rk_file_create (rk_file_t **file_p, const char *path, rk_error_t *err) RK_MUST_CHECK;

/* Append. errors: RK_EIO; afterwards only discard makes sense. */
rk_err_t rk_file_write (rk_file_t *file, const void *bytes, size_t n, rk_error_t *err) RK_MUST_CHECK;

/* At any place: bytes [at, at + n). Room is made on the disc beforehand, so that a full one is known at once; what is
 * not written is zero. errors: RK_EIO.                                                                     */
rk_err_t rk_file_reserve (rk_file_t *file, size_t n, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_file_put (rk_file_t *file, size_t at, const void *bytes, size_t n, rk_error_t *err) RK_MUST_CHECK;
/* The first n bytes as they are now, to be read; valid until commit or discard. errors: RK_EIO. */
rk_err_t rk_file_map (rk_file_t *file, size_t n, const void **bytes_p, rk_error_t *err) RK_MUST_CHECK;

/* Make it durable and put it in place; *file_p is NULL afterwards. errors: RK_EIO: the path still holds what
 * it held before, unless the text says that only the folder could not be flushed.                           */
rk_err_t rk_file_commit (rk_file_t **file_p, rk_error_t *err) RK_MUST_CHECK;

/* Forget the new version; no file is left behind. Idempotent. */
void rk_file_discard (rk_file_t **file_p);

#endif
