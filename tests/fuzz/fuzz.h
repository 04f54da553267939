/* SPDX-License-Identifier: MPL-2.0
 * What the fuzzers share. One file fuzz_<name>.c per kind of input; the same function is run by libFuzzer
 * (-DRK_FUZZ=ON, clang) and by replay.c, which feeds it the committed corpus in the ordinary test suite.  */
#ifndef RK_TESTS_FUZZ_FUZZ_H
#define RK_TESTS_FUZZ_FUZZ_H
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size);

/* Our own promise was broken: stop where the fuzzer sees it. */
#define FUZZ_CHECK(condition)                                                                                         \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf (stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                \
            abort ();                                                                                                 \
        }                                                                                                             \
    } while (0)

/* The input as a file in memory, for readers that take a path. */
typedef struct {
    int fd;
    char path[64];
} fuzz_file_t;

static inline int fuzz_file_open (fuzz_file_t *file, const uint8_t *bytes, size_t size)
{
    file->fd = memfd_create ("fuzz", MFD_CLOEXEC);
    snprintf (file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
    return file->fd >= 0 && write (file->fd, bytes, size) == (ssize_t) size && lseek (file->fd, 0, SEEK_SET) == 0;
}

static inline void fuzz_file_close (fuzz_file_t *file)
{
    close (file->fd);
}

#endif
