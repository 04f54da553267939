/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/host.h"

#include <inttypes.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* First line of a small file, without its newline; "" when it cannot be read. */
static void s_line (const char *path, char *text, size_t size)
{
    text[0] = '\0';
    FILE *file = fopen (path, "re");
    if (!file)
        return;
    if (!fgets (text, (int) size, file))
        text[0] = '\0';
    text[strcspn (text, "\n")] = '\0';
    fclose (file);
}

static uint64_t s_id (void)
{
    char text[3][256];
    s_line ("/etc/machine-id", text[0], sizeof text[0]);
    s_line ("/proc/sys/kernel/random/boot_id", text[1], sizeof text[1]);
    if (gethostname (text[2], sizeof text[2]) != 0)
        text[2][0] = '\0';
    text[2][sizeof text[2] - 1] = '\0';
    uint64_t id = 0;
    for (int i = 0; i < 3; i++)
        id = XXH64 (text[i], strlen (text[i]), id);
    return id;
}

/* cgroup v2 says "max 100000" or "200000 100000": microseconds of CPU per period. */
static uint32_t s_quota_cores (void)
{
    char text[128];
    s_line ("/sys/fs/cgroup/cpu.max", text, sizeof text);
    char *end;
    uint64_t quota = strtoull (text, &end, 10);
    uint64_t period = end != text ? strtoull (end, NULL, 10) : 0;
    if (!quota || !period)
        return UINT32_MAX;
    return quota / period > 1 ? (uint32_t) (quota / period) : 1;
}

static uint32_t s_cores (void)
{
    cpu_set_t set;
    long n = sysconf (_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity (0, sizeof set, &set) == 0)
        n = CPU_COUNT (&set);
    uint32_t quota = s_quota_cores ();
    uint32_t cores = n > 0 ? (uint32_t) n : 1;
    return cores < quota ? cores : quota;
}

static uint64_t s_meminfo (const char *name)
{
    FILE *file = fopen ("/proc/meminfo", "re");
    char text[256];
    uint64_t kib = 0;
    const size_t n = strlen (name);
    while (file && fgets (text, sizeof text, file))
        if (strncmp (text, name, n) == 0 && sscanf (text + n, ": %" SCNu64, &kib) == 1)
            break;
    if (file)
        fclose (file);
    return kib * 1024;
}

/* What the control group leaves; UINT64_MAX without a limit. */
static uint64_t s_cgroup_left (const char *limit_path, const char *usage_path)
{
    char text[64];
    s_line (limit_path, text, sizeof text);
    char *end;
    uint64_t limit = strtoull (text, &end, 10);
    if (end == text) /* "max", or no such file */
        return UINT64_MAX;
    s_line (usage_path, text, sizeof text);
    uint64_t used = strtoull (text, NULL, 10);
    return limit > used ? limit - used : 0;
}

void rk_host_look (rk_host_t *host)
{
    uint64_t free_bytes = s_meminfo ("MemAvailable");
    uint64_t v2 = s_cgroup_left ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
    uint64_t v1 =
        s_cgroup_left ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes");
    if (v2 < free_bytes)
        free_bytes = v2;
    if (v1 < free_bytes)
        free_bytes = v1;
    *host = (rk_host_t){.id = s_id (), .cores = s_cores (), .ram_bytes = free_bytes};
}

uint64_t rk_host_ram_total (void)
{
    return s_meminfo ("MemTotal");
}

bool rk_host_process_gone (uint32_t pid)
{
    char path[64], text[512];
    snprintf (path, sizeof path, "/proc/%u/stat", pid);
    s_line (path, text, sizeof text);
    /* "pid (name) state ...": the name may hold anything, so the last parenthesis counts. */
    const char *end = strrchr (text, ')');
    return !end || end[1] != ' ' || end[2] == 'Z' || end[2] == 'X';
}

void rk_host_keep_little (void)
{
#ifdef __GLIBC__
    const int most = 4 << 20;
    mallopt (M_MMAP_THRESHOLD, most);
    mallopt (M_TRIM_THRESHOLD, most);
#endif
}
