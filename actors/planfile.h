/* SPDX-License-Identifier: MPL-2.0
 * plan.json of a run folder: readable by people, and exact: "canonical" holds the canonical listing in hex,
 * from which run.plan=FILE makes the same plan again (its digest is checked). thread: any.               */
#ifndef RK_ACTORS_PLANFILE_H
#define RK_ACTORS_PLANFILE_H
#include "cluster/simulate.h"
#include "compute/model.h"


/* model: for the names of layers; NULL: numbers only. errors: RK_EIO, RK_ENOMEM. */
rk_err_t rk_planfile_write (const rk_plan_t *plan, const rk_model_t *model, const char *path, rk_error_t *err) RK_MUST_CHECK;
/* The same object as one line on stdout, with what a simulation of `rounds` rounds said; simulated: NULL: nothing. */
rk_err_t rk_planfile_print (const rk_plan_t *plan, const rk_model_t *model, const rk_simulated_t *simulated, uint64_t rounds,
                            rk_error_t *err) RK_MUST_CHECK;
/* errors: RK_EIO, RK_EFORMAT (the text says where). */
rk_err_t rk_planfile_read (rk_plan_t **plan_p, const char *path, rk_error_t *err) RK_MUST_CHECK;

#endif
