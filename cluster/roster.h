/* SPDX-License-Identifier: MPL-2.0
 * The processes of a run in order of arrival, and how far each has come. Process 0 leads; with followers it
 * hosts no node of the plan, and process p hosts node p - 1 (or the p-th node of a plan given beforehand).
 * Pure. thread: one at a time.                                                                            */
#ifndef RK_CLUSTER_ROSTER_H
#define RK_CLUSTER_ROSTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

/* Steps of a process on its way through a run; a set of flags. */
enum {
    RK_STEP_PROFILING = 1, /* asked to measure */
    RK_STEP_PROFILED = 2,
    RK_STEP_WIRED = 4,     /* has its actors and told their endpoints */
    RK_STEP_READY = 8,     /* has connected them */
    RK_STEP_STOPPED = 16,
    RK_STEP_LOST = 32,     /* gone: not waited for any more */
    RK_STEP_LEAVING = 64   /* it has asked to leave */
};

typedef struct {
    uint32_t node; /* of the plan, RK_ROSTER_NO_NODE for the leader */
    char name[32], kernels[16], control[256]; /* control: endpoint of its coordinator */
    char relay[256]; /* endpoint of its relay; "": none */
    uint64_t host, ram_bytes;
    uint32_t cores, pid;
    char key[65]; /* public, hexadecimal: who it is; "" without encryption */
    unsigned steps;
    bool witness;  /* votes, and neither leads nor hosts */
} rk_roster_entry_t;
#define RK_ROSTER_NO_NODE UINT32_MAX

typedef struct {
    rk_roster_entry_t *list; /* by process number */
    uint32_t n, capacity;
} rk_roster_t;

rk_err_t rk_roster_init (rk_roster_t *roster, uint32_t capacity) RK_MUST_CHECK;
void rk_roster_clear (rk_roster_t *roster);
/* The number of the new process. errors: RK_ESTATE when all expected ones are in. */
rk_err_t rk_roster_add (rk_roster_t *roster, const rk_roster_entry_t *entry, uint32_t *process,
                        rk_error_t *err) RK_MUST_CHECK;
/* Room for that process; those before it that were never here count as lost. */
rk_err_t rk_roster_reserve (rk_roster_t *roster, uint32_t process) RK_MUST_CHECK;
/* All processes take these steps anew. */
void rk_roster_again (rk_roster_t *roster, unsigned steps);
void rk_roster_mark (rk_roster_t *roster, uint32_t process, unsigned step);
/* Every process that is not lost has taken the step. */
bool rk_roster_all (const rk_roster_t *roster, unsigned step);
/* "node 1 (pi, pid 4711), node 3 (...)": those that have not; returns their number. */
uint32_t rk_roster_missing (const rk_roster_t *roster, unsigned step, char *text, size_t size);
void rk_roster_name (const rk_roster_t *roster, uint32_t process, char *text, size_t size);
/* A process to be measured now: it hosts a node, and no other one on its machine is being measured.
 * Returns its number, or UINT32_MAX.                                                                      */
uint32_t rk_roster_next_profile (const rk_roster_t *roster);
/* The lowest common kernel set: the best one that every process has; with factors rounded to bfloat16 only if
 * asked for.                                                                                              */
const char *rk_roster_kernels (const rk_roster_t *roster, bool bf16);
const char *rk_roster_lower (const char *one, const char *other); /* the kernel set of these two that both have */

#endif
