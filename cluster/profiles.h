/* SPDX-License-Identifier: MPL-2.0
 * The profile table: what every node measured, copied as it comes in, in order of node id, and the links between
 * them. It is an input of rk_plan_make, so every node plans with the same integers. Pure. thread: one at a time. */
#ifndef RK_CLUSTER_PROFILES_H
#define RK_CLUSTER_PROFILES_H
#include "cluster/links.h"
#include "cluster/plan.h"

typedef struct {
    rk_profile_t *nodes;
    uint32_t n, capacity, n_layers;
    rk_link_t *links;      /* measured ones, by (from, to) */
    size_t n_links, link_capacity;
    uint64_t *matrix;      /* of rk_profiles_fleet: n x n rates, n x n round trips; NULL: to be made */
} rk_profiles_t;

rk_err_t rk_profiles_init (rk_profiles_t *table, uint32_t capacity, uint32_t n_layers) RK_MUST_CHECK;
void rk_profiles_clear (rk_profiles_t *table);
/* Copies a profile with `n_layers` layer times. errors: RK_EFORMAT (wrong number of layers, figures that no
 * machine has), RK_ESTATE (a second profile of a node, or more than capacity).                            */
rk_err_t rk_profiles_add (rk_profiles_t *table, const rk_profile_t *profile, size_t n_layers,
                          rk_error_t *err) RK_MUST_CHECK;
/* The same in place of what the table has of that node, with room made for one more. errors: RK_EFORMAT, RK_ENOMEM. */
rk_err_t rk_profiles_put (rk_profiles_t *table, const rk_profile_t *profile, size_t n_layers, rk_error_t *err) RK_MUST_CHECK;
void rk_profiles_drop (rk_profiles_t *table, uint32_t id);
/* Profiles of a plan's nodes where nobody measured any: as strong as the plan says, layers cost what they hold. */
rk_err_t rk_profiles_guess (rk_profiles_t *table, const rk_plan_t *plan, const rk_model_info_t *model, rk_error_t *err) RK_MUST_CHECK;
/* A measured link; replaces an older figure of the same two nodes in the same direction. The nodes need not be in the
 * table (yet). errors: RK_EFORMAT (figures that no link has), RK_ENOMEM.                                  */
rk_err_t rk_profiles_link (rk_profiles_t *table, const rk_link_t *link, rk_error_t *err) RK_MUST_CHECK;
/* Nodes are measured on one core, each alone. Where they train, a node has its share of its host's cores, at least one, and
 * others of that host compute beside it: the times are multiplied by what was measured of that. Anew, when the nodes are others.
 * The times belong to the caller, n_layers of each kind.                                                  */
void rk_profiles_settle (rk_profile_t *nodes, uint32_t n, uint32_t n_layers);
/* The fleet that is planned for, settled, links that were not measured filled in by cluster/links. It points into the
 * table until that changes. errors: RK_ENOMEM.                                                            */
rk_err_t rk_profiles_fleet (rk_profiles_t *table, rk_fleet_t *fleet, rk_error_t *err) RK_MUST_CHECK;

#endif
