/* SPDX-License-Identifier: MPL-2.0
 * The machine this process runs on, as integers: what may be used, not what is built in.                  */
#ifndef RK_ACTORS_HOST_H
#define RK_ACTORS_HOST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

typedef struct {
    uint64_t id;        /* the same for all processes of one boot of one machine (or container) */
    uint32_t cores;     /* this process may run on: affinity and cgroup quota, at least 1 */
    uint64_t ram_bytes; /* free: MemAvailable, or what the cgroup leaves when that is less */
} rk_host_t;
void rk_host_look (rk_host_t *host);
/* ---- for people and for keys */
void rk_host_cpu (char *model, size_t size); /* "AMD EPYC 7B13"; "unknown" */
uint64_t rk_host_ram_total (void);
/* The instruction sets among those that kernels here use, blanks between; "none". */
void rk_host_features (char *text, size_t size);
/* Bytes a second that a file in `dir` takes, flushed to the disc, within about budget_ns and 256 MiB; the file is gone
 * afterwards. errors: RK_EIO, RK_ENOMEM.                                                                   */
rk_err_t rk_host_disc_rate (const char *dir, int64_t budget_ns, uint64_t *bytes_per_s, rk_error_t *err) RK_MUST_CHECK;

/* True when no process of this machine has that pid, or only its remains. */
bool rk_host_process_gone (uint32_t pid);
/* For a program's main, before threads: blocks above 4 MiB go back to the system when they are freed. Left alone,
 * the C library keeps up to 64 MiB in each thread's heap once large blocks were freed.                     */
void rk_host_keep_little (void);

#endif
