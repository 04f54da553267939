/* SPDX-License-Identifier: MPL-2.0
 * Fleet files: machines that are not here, for `rookery plan --fleet`. ZPL, one line each:
 *   node = NAME SPEED RAM_MB [CORES [HOST]]   SPEED times this machine; nodes of one HOST share its cores
 *   link = FROM TO MBIT_PER_S RTT_MS          both ways
 * Every error is one line: file, line, what is wrong and what is allowed.                                */
#ifndef RK_ACTORS_ROOKERY_FLEETFILE_H
#define RK_ACTORS_ROOKERY_FLEETFILE_H
#include "cluster/plan.h"

typedef struct {
    char name[32], host[32];
    double speed;
    uint64_t ram_mb;
    uint32_t cores;
} rk_fleetfile_node_t;

typedef struct {
    rk_fleetfile_node_t nodes[RK_PLAN_MAX_NODES];
    uint32_t n_nodes;
    uint64_t *bytes_per_s, *rtt_ns; /* RK_PLAN_MAX_NODES squared while it is read, then n_nodes squared; NULL: no links */
} rk_fleetfile_t;

/* errors: RK_EIO, RK_EINVAL, RK_ENOTFOUND (a key or a node nobody declared), RK_ENOMEM. */
rk_err_t rk_fleetfile_read (rk_fleetfile_t **file_p, const char *path, rk_error_t *err) RK_MUST_CHECK;
void rk_fleetfile_destroy (rk_fleetfile_t **file_p);

#endif
