/* SPDX-License-Identifier: MPL-2.0
 * Reading a file that may be gzip. zlib copies plain files as they are.                              */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "compute/data_impl.h"

#define CHUNK ((size_t) 1 << 20)

/* Appends what is left of gz to *bytes. expected: its size, most likely; one more byte shows that this was all. */
static rk_err_t s_read_all (gzFile gz, const char *file, size_t expected, size_t most, uint8_t **bytes, size_t *size,
                            rk_error_t *err)
{
    size_t capacity = 0;
    for (;;) {
        if (*size == capacity) {
            capacity = capacity ? capacity * 2 : expected + 1;
            uint8_t *more = realloc (*bytes, capacity);
            if (!more)
                return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu bytes", file, capacity);
            *bytes = more;
        }
        const size_t room = capacity - *size;
        const int got = gzread (gz, *bytes + *size, (unsigned) (room < CHUNK ? room : CHUNK));
        int code = Z_OK;
        const char *text = gzerror (gz, &code);
        if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
            return rk_error_set (err, code == Z_ERRNO ? RK_EIO : RK_EFORMAT, "%s: %s after %zu bytes", file,
                                 code == Z_ERRNO ? strerror (errno) : text, *size);
        if (got == 0)
            return RK_OK;
        *size += (size_t) got;
        if (*size > most)
            return rk_error_set (err, RK_EFORMAT, "%s: more than %zu bytes", file, most);
    }
}

rk_err_t rk_file_read (const char *file, size_t most, uint8_t **bytes, size_t *size, rk_error_t *err)
{
    *bytes = NULL;
    *size = 0;
    struct stat info;
    if (stat (file, &info) != 0)
        return rk_error_set (err, RK_EIO, "%s: %s", file, strerror (errno));
    if (!S_ISREG (info.st_mode))
        return rk_error_set (err, RK_EIO, "%s: not a file", file);
    gzFile gz = gzopen (file, "rb");
    if (!gz)
        return rk_error_set (err, RK_EIO, "%s: %s", file, errno ? strerror (errno) : "no memory");
    const size_t expected = (size_t) info.st_size < most ? (size_t) info.st_size : most;
    rk_err_t rc = s_read_all (gz, file, expected, most, bytes, size, err);
    const int closed = gzclose (gz);
    if (!rc && closed != Z_OK)
        rc = rk_error_set (err, RK_EFORMAT, "%s: ends in the middle of its compressed data", file);
    if (rc) {
        free (*bytes);
        *bytes = NULL;
    }
    return rc;
}

rk_err_t rk_file_path (char *file, size_t room, const char *folder, const char *name, rk_error_t *err)
{
    const int n = snprintf (file, room, "%s/%s", folder, name);
    if (n < 0 || (size_t) n >= room)
        return rk_error_set (err, RK_EINVAL, "data path %.60s... is too long", folder);
    return RK_OK;
}
