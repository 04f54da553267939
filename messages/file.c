/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_TRIES 100 /* temporary names left behind by crashed processes of the same pid */
#define WRITE_BYTES ((size_t) 1 << 30) /* one write (2) takes less than 2 GiB */

struct rk_file {
    int fd;
    char *path;
    char *temporary; /* exists on disk while not NULL */
    void *map;       /* NULL: none */
    size_t n_map;
};

static rk_err_t s_failed (const rk_file_t *file, const char *what, rk_error_t *err)
{
    return rk_error_set (err, RK_EIO, "%s: %s: %s", file->path, what, strerror (errno));
}

static rk_err_t s_open_temporary (rk_file_t *file, rk_error_t *err)
{
    for (int try = 0; try < MAX_TRIES; try++) {
        char *name = NULL;
        if (asprintf (&name, "%s.tmp.%d.%d", file->path, (int) getpid (), try) < 0)
            return rk_error_set (err, RK_ENOMEM, "%s: no memory", file->path);
        file->fd = open (name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0) {
            file->temporary = name;
            return RK_OK;
        }
        free (name);
        if (errno != EEXIST)
            break;
    }
    return s_failed (file, "create a temporary file beside it", err);
}

rk_err_t rk_file_create (rk_file_t **file_p, const char *path, rk_error_t *err)
{
    rk_file_t *file = calloc (1, sizeof *file);
    if (file) {
        file->fd = -1;
        file->path = strdup (path);
    }
    if (!file || !file->path) {
        free (file);
        return rk_error_set (err, RK_ENOMEM, "%s: no memory", path);
    }
    rk_err_t rc = s_open_temporary (file, err);
    if (rc) {
        rk_file_discard (&file);
        return rc;
    }
    *file_p = file;
    return RK_OK;
}

rk_err_t rk_file_write (rk_file_t *file, const void *bytes, size_t n, rk_error_t *err)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write (file->fd, at, n < WRITE_BYTES ? n : WRITE_BYTES);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return s_failed (file, "write", err);
        at += written;
        n -= (size_t) written;
    }
    return RK_OK;
}

rk_err_t rk_file_reserve (rk_file_t *file, size_t n, rk_error_t *err)
{
    int rc = n ? posix_fallocate (file->fd, 0, (off_t) n) : 0;
    if (rc == EINVAL || rc == EOPNOTSUPP) /* this file system cannot: writing will say */
        rc = ftruncate (file->fd, (off_t) n) ? errno : 0;
    errno = rc;
    return rc ? s_failed (file, "make room", err) : RK_OK;
}

rk_err_t rk_file_put (rk_file_t *file, size_t at, const void *bytes, size_t n, rk_error_t *err)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t written = pwrite (file->fd, from, n < WRITE_BYTES ? n : WRITE_BYTES, (off_t) at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return s_failed (file, "write", err);
        from += written;
        at += (size_t) written;
        n -= (size_t) written;
    }
    return RK_OK;
}

static void s_unmap (rk_file_t *file)
{
    if (file->map)
        munmap (file->map, file->n_map);
    file->map = NULL;
}

rk_err_t rk_file_map (rk_file_t *file, size_t n, const void **bytes_p, rk_error_t *err)
{
    if (file->map && file->n_map == n) { /* what has been written since is seen in it */
        *bytes_p = file->map;
        return RK_OK;
    }
    s_unmap (file);
    void *map = mmap (NULL, n, PROT_READ, MAP_SHARED, file->fd, 0);
    if (map == MAP_FAILED)
        return s_failed (file, "map", err);
    file->map = map;
    file->n_map = n;
    *bytes_p = map;
    return RK_OK;
}

/* The new name itself has to reach the disk, too. */
static rk_err_t s_flush_folder (const rk_file_t *file, rk_error_t *err)
{
    char *copy = strdup (file->path);
    if (!copy)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory", file->path);
    int fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free (copy);
    rk_err_t rc = RK_OK;
    if (fd < 0 || fsync (fd) != 0)
        rc = s_failed (file, "written, but its folder could not be flushed", err);
    if (fd >= 0)
        close (fd);
    return rc;
}

static rk_err_t s_put_in_place (rk_file_t *file, rk_error_t *err)
{
    s_unmap (file);
    if (fsync (file->fd) != 0)
        return s_failed (file, "fsync", err);
    int rc = close (file->fd);
    file->fd = -1;
    if (rc != 0)
        return s_failed (file, "close", err);
    if (rename (file->temporary, file->path) != 0)
        return s_failed (file, "rename", err);
    free (file->temporary);
    file->temporary = NULL;
    return s_flush_folder (file, err);
}

rk_err_t rk_file_commit (rk_file_t **file_p, rk_error_t *err)
{
    rk_err_t rc = s_put_in_place (*file_p, err);
    rk_file_discard (file_p);
    return rc;
}

void rk_file_discard (rk_file_t **file_p)
{
    rk_file_t *file = *file_p;
    if (!file)
        return;
    s_unmap (file);
    if (file->fd >= 0)
        close (file->fd);
    if (file->temporary)
        unlink (file->temporary);
    free (file->temporary);
    free (file->path);
    free (file);
    *file_p = NULL;
}
