/* SPDX-License-Identifier: MPL-2.0
 * A plan and what is known around it, to be shown: as text, as JSON, as a picture. thread: the program's. */
#ifndef RK_ACTORS_ROOKERY_PLAN_H
#define RK_ACTORS_ROOKERY_PLAN_H
#include "cluster/simulate.h"
#include "compute/model.h"

typedef struct {
    const rk_plan_t *plan;
    const rk_model_t *model;         /* for the names of layers, or NULL */
    const rk_fleet_t *fleet;         /* what was planned for, or NULL */
    const rk_simulated_t *simulated; /* or NULL: not simulated */
    uint64_t simulated_rounds;
} rk_plan_view_t;

/* The name of a node, and of layers [first, last) or their numbers; both return text. */
const char *rk_plan_view_node (const rk_plan_view_t *view, uint32_t id, char *text, size_t size);
const char *rk_plan_view_layers (const rk_plan_view_t *view, const rk_plan_stage_t *stage, char *text, size_t size);
/* NULL: not known. */
const rk_profile_t *rk_plan_view_profile (const rk_plan_view_t *view, uint32_t id);

void rk_plan_print (const rk_plan_view_t *view);
/* errors: RK_EIO, RK_ENOMEM. */
rk_err_t rk_plan_write_svg (const char *path, const rk_plan_view_t *view, rk_error_t *err) RK_MUST_CHECK;

#endif
