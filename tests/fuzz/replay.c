/* SPDX-License-Identifier: MPL-2.0
 * Runs one fuzz target over every file of the folders given: what a fuzzer once found stays tried in the
 * ordinary suite, with any compiler.                                                                    */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

static int s_file (int folder, const char *name)
{
    static uint8_t bytes[1 << 21];
    int fd = openat (folder, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read (fd, bytes, sizeof bytes);
    if (fd >= 0)
        close (fd);
    if (n < 0)
        return 1;
    uint8_t *exact = malloc (n ? (size_t) n : 1);
    if (!exact)
        return 1;
    memcpy (exact, bytes, (size_t) n);
    LLVMFuzzerTestOneInput (exact, (size_t) n);
    free (exact);
    return 0;
}

int main (int argc, char **argv)
{
    int n = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir (argv[i]);
        const struct dirent *entry;
        while (folder && (entry = readdir (folder)))
            if (entry->d_name[0] != '.') {
                failed += s_file (dirfd (folder), entry->d_name);
                n++;
            }
        if (folder)
            closedir (folder);
    }
    printf ("%d inputs\n", n);
    return failed || n == 0;
}
