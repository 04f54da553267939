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
/* True when no process of this machine has that pid, or only its remains. */
bool rk_host_process_gone (uint32_t pid);
/* For a program's main, before threads: blocks above 4 MiB go back to the system when they are freed. Left alone,
 * the C library keeps up to 64 MiB in each thread's heap once large blocks were freed.                     */
void rk_host_keep_little (void);

#endif
