/* SPDX-License-Identifier: MPL-2.0
 * Names that nobody else uses, and the clocks. */
#include "actors/actor.h"

#include <sys/random.h>

static uint64_t s_random (void)
{
    uint64_t bits;
    if (getrandom (&bits, sizeof bits, 0) != sizeof bits) /* cannot fail after boot; the clock is the next best */
        bits = (uint64_t) rk_now_ns () ^ (uint64_t) (uintptr_t) &bits;
    return bits;
}

/* Sockets in the file system, not in the abstract namespace: there the umask keeps other users out. */
static const char *s_folder (void)
{
    const char *folder = getenv ("XDG_RUNTIME_DIR");
    if (!folder || !*folder || access (folder, W_OK) != 0)
        folder = getenv ("TMPDIR");
    /* sun_path holds 108 bytes. */
    return folder && *folder && strlen (folder) < 64 && access (folder, W_OK) == 0 ? folder : "/tmp";
}

void rk_endpoint_unique (char *text, size_t size, const char *transport, const char *host)
{
    if (strcmp (transport, "tcp") == 0)
        snprintf (text, size, "tcp://%s:*", host ? host : "127.0.0.1");
    else if (strcmp (transport, "ipc") == 0)
        snprintf (text, size, "ipc://%s/rk-%d-%016llx", s_folder (), (int) getpid (), (unsigned long long) s_random ());
    else
        snprintf (text, size, "inproc://rk-%016llx", (unsigned long long) s_random ());
}

static int64_t s_clock_ns (clockid_t clock)
{
    struct timespec t;
    clock_gettime (clock, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t rk_now_ns (void)
{
    return s_clock_ns (CLOCK_MONOTONIC);
}

int64_t rk_thread_cpu_ns (void)
{
    return s_clock_ns (CLOCK_THREAD_CPUTIME_ID);
}

int64_t rk_process_cpu_ns (void)
{
    return s_clock_ns (CLOCK_PROCESS_CPUTIME_ID);
}

int64_t rk_thread_runnable_ns (void)
{
    unsigned long long cpu_ns = 0, runnable_ns = 0;
    FILE *file = fopen ("/proc/thread-self/schedstat", "re");
    if (!file)
        return 0;
    if (fscanf (file, "%llu %llu", &cpu_ns, &runnable_ns) != 2)
        runnable_ns = 0;
    fclose (file);
    return (int64_t) runnable_ns;
}
