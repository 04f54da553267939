/* SPDX-License-Identifier: MPL-2.0
 * What a drained run must give, computed in one thread without messages: every stage of every cluster in the
 * order of the plan, explicit copies of parameter versions, means summed in ring order, graphs mixed as rows of
 * whole vectors. Slow and plain.                                                                           */
#ifndef RK_TESTS_SUPPORT_SIMULATION_H
#define RK_TESTS_SUPPORT_SIMULATION_H
#include "cluster/plan.h"
#include "compute/data.h"
#include "compute/slice.h"

/* The model after the last round (with a sparse graph the mean of the replicas): n_flat floats, the caller frees. The test fails if anything fails. */
float *rk_expected_model (const rk_plan_t *plan, const rk_model_t *model, const rk_data_t *data);

#endif
