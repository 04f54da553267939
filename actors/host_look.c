/* SPDX-License-Identifier: MPL-2.0
 * What a person wants to know of a machine: its processor, its disc.                                      */
#include "actors/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/actor.h"

#define BLOCK_BYTES (4u << 20)
#define MOST_BLOCKS 64

/* The value of the first line "name : value" of /proc/cpuinfo. */
static bool s_cpuinfo (const char *name, char *value, size_t size)
{
    FILE *file = fopen ("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (!found && file && getline (&line, &capacity, file) > 0) {
        char *colon = strchr (line, ':');
        if (!colon || strncmp (line, name, strlen (name)) != 0)
            continue;
        colon[strcspn (colon, "\n")] = '\0';
        snprintf (value, size, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
        found = true;
    }
    free (line);
    if (file)
        fclose (file);
    return found;
}

void rk_host_cpu (char *model, size_t size)
{
    if (!s_cpuinfo ("model name", model, size) && !s_cpuinfo ("Model", model, size))
        snprintf (model, size, "unknown");
}

void rk_host_features (char *text, size_t size)
{
    static const char *const used[] = {"avx2",     "fma",      "f16c",        "avx512f",  "avx512bw",
                                       "avx512dq", "avx512vl", "avx512_bf16", "amx_tile", "amx_bf16"};
    char *flags = malloc (16384);
    size_t n = 0;
    text[0] = '\0';
    if (flags && s_cpuinfo ("flags", flags + 1, 16382)) {
        flags[0] = ' ';
        strcat (flags, " ");
        for (size_t i = 0; i < sizeof used / sizeof *used && n < size; i++) {
            char word[32];
            snprintf (word, sizeof word, " %s ", used[i]);
            if (strstr (flags, word))
                n += (size_t) snprintf (text + n, size - n, "%s%s", n ? " " : "", used[i]);
        }
    }
    free (flags);
    if (!n)
        snprintf (text, size, "none");
}

/* ---- the disc */
static rk_err_t s_blocks (int fd, const uint8_t *block, int64_t budget_ns, uint64_t *bytes)
{
    const int64_t end_ns = rk_now_ns () + budget_ns;
    *bytes = 0;
    for (int i = 0; i < MOST_BLOCKS && (i < 2 || rk_now_ns () < end_ns); i++) {
        for (size_t at = 0; at < BLOCK_BYTES;) {
            const ssize_t n = write (fd, block + at, BLOCK_BYTES - at);
            if (n < 0 && errno != EINTR)
                return RK_EIO;
            at += n > 0 ? (size_t) n : 0;
        }
        *bytes += BLOCK_BYTES;
        if (fdatasync (fd) != 0) /* else it would be the memory's rate */
            return RK_EIO;
    }
    return RK_OK;
}

rk_err_t rk_host_disc_rate (const char *dir, int64_t budget_ns, uint64_t *bytes_per_s, rk_error_t *err)
{
    char path[4096];
    if (snprintf (path, sizeof path, "%s/.rookery-disc-XXXXXX", dir) >= (int) sizeof path)
        return rk_error_set (err, RK_EIO, "%.60s...: the path is too long", dir);
    uint8_t *block = malloc (BLOCK_BYTES);
    if (!block)
        return rk_error_set (err, RK_ENOMEM, "no memory to write %u bytes", BLOCK_BYTES);
    uint64_t x = 88172645463325252u; /* a disc that compresses must not find anything to compress */
    for (size_t i = 0; i < BLOCK_BYTES; i += sizeof x) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy (block + i, &x, sizeof x);
    }
    int fd = mkostemp (path, O_CLOEXEC);
    if (fd < 0) {
        free (block);
        return rk_error_set (err, RK_EIO, "%s: %s", dir, strerror (errno));
    }
    uint64_t bytes;
    const int64_t start_ns = rk_now_ns ();
    rk_err_t rc = s_blocks (fd, block, budget_ns, &bytes);
    const int64_t ns = rk_now_ns () - start_ns;
    if (rc)
        rk_error_set (err, rc, "%s: %s", dir, strerror (errno));
    close (fd);
    unlink (path);
    free (block);
    *bytes_per_s = ns > 0 ? (uint64_t) ((double) bytes * 1e9 / (double) ns) : 0;
    return rc;
}
