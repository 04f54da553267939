/* SPDX-License-Identifier: MPL-2.0
 * A folder for one test, gone afterwards. */
#ifndef RK_TESTS_MESSAGES_FOLDER_H
#define RK_TESTS_MESSAGES_FOLDER_H
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char path[64];
    char file[128];
} folder_t;

static inline int folder_open (folder_t *folder)
{
    strcpy (folder->path, "test-messages-XXXXXX");
    return mkdtemp (folder->path) ? 0 : -1;
}

/* Valid until the next call. */
static inline const char *folder_file (folder_t *folder, const char *name)
{
    snprintf (folder->file, sizeof folder->file, "%s/%s", folder->path, name);
    return folder->file;
}

/* Number of files in it; unlink: remove them. */
static inline int folder_count (folder_t *folder, int unlink_too)
{
    DIR *dir = opendir (folder->path);
    struct dirent *entry;
    int n = 0;
    while ((entry = readdir (dir))) {
        if (entry->d_name[0] == '.')
            continue;
        n++;
        if (unlink_too)
            unlinkat (dirfd (dir), entry->d_name, 0);
    }
    closedir (dir);
    return n;
}

static inline void folder_close (folder_t *folder)
{
    folder_count (folder, 1);
    rmdir (folder->path);
}

#endif
