/* SPDX-License-Identifier: MPL-2.0
 * The profile table: what every node measured, copied as it comes in, in order of node id. It is an input
 * of rk_plan_make, so every node plans with the same integers. Pure. thread: one at a time.               */
#ifndef RK_CLUSTER_PROFILES_H
#define RK_CLUSTER_PROFILES_H
#include "cluster/plan.h"

typedef struct {
    rk_profile_t *nodes;
    uint32_t n, capacity, n_layers;
} rk_profiles_t;

rk_err_t rk_profiles_init (rk_profiles_t *table, uint32_t capacity, uint32_t n_layers) RK_MUST_CHECK;
void rk_profiles_clear (rk_profiles_t *table);
/* Copies a profile with `n_layers` layer times. errors: RK_EFORMAT (wrong number of layers, figures that no
 * machine has), RK_ESTATE (a second profile of a node, or more than capacity).                            */
rk_err_t rk_profiles_add (rk_profiles_t *table, const rk_profile_t *profile, size_t n_layers,
                          rk_error_t *err) RK_MUST_CHECK;

#endif
