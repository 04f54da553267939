/* SPDX-License-Identifier: MPL-2.0
 * A folder of small files for one test (cmocka setup and teardown), gone afterwards. */
#ifndef RK_TESTS_SUPPORT_FILES_H
#define RK_TESTS_SUPPORT_FILES_H
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/support/must.h"

typedef struct {
    char path[64];
} files_t;

static inline int files_setup (void **state)
{
    files_t *files = calloc (1, sizeof *files);
    if (!files)
        return -1;
    strcpy (files->path, "/tmp/rk-files-XXXXXX");
    *state = files;
    return mkdtemp (files->path) ? 0 : -1;
}

static inline int files_teardown (void **state)
{
    files_t *files = *state;
    DIR *folder = opendir (files->path);
    const struct dirent *entry;
    while (folder && (entry = readdir (folder)))
        if (entry->d_name[0] != '.')
            unlinkat (dirfd (folder), entry->d_name, 0);
    if (folder)
        closedir (folder);
    rmdir (files->path);
    free (files);
    return 0;
}

/* Valid until the next call. */
static inline const char *files_path (const files_t *files, const char *name)
{
    static char path[256];
    snprintf (path, sizeof path, "%s/%s", files->path, name);
    return path;
}

static inline void files_write (const files_t *files, const char *name, const void *bytes, size_t size)
{
    const int fd = open (files_path (files, name), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    RK_MUST_HOLD (fd >= 0 && write (fd, bytes, size) == (ssize_t) size && close (fd) == 0);
}

static inline void files_cut (const files_t *files, const char *name, size_t size)
{
    RK_MUST_HOLD (truncate (files_path (files, name), (off_t) size) == 0);
}

#endif
