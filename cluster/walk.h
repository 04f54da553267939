/* SPDX-License-Identifier: MPL-2.0
 * The inside of rk_walk_t, for the files behind spectrum.h only.                                            */
#ifndef RK_CLUSTER_WALK_H
#define RK_CLUSTER_WALK_H
#include "cluster/spectrum.h"

struct rk_walk {
    uint32_t n, n_steps;
    bool push_sum, irregular;
    uint64_t *first;  /* row i of step s: weights[first[s n + i]] .. weights[first[s n + i + 1] - 1] */
    uint32_t *peers;  /* column of each weight */
    double *weights;
    uint64_t room;    /* of peers and weights */
    uint32_t diameter;
};

/* Sets the diameter. errors: RK_EINVAL (somebody is not reached), RK_ENOMEM. */
rk_err_t rk_walk_reach (rk_walk_t *walk, const char *name, rk_error_t *err) RK_MUST_CHECK;

#endif
