/* SPDX-License-Identifier: MPL-2.0
 * Models made to hold every kind of layer, with tensors that cross many cuts and odd sizes: what promises about all
 * layers are tested on.                                                                               */
#ifndef RK_TESTS_SUPPORT_ZOO_H
#define RK_TESTS_SUPPORT_ZOO_H
#include "compute/model.h"

#define RK_ZOO_N 4

/* Sealed; which: 0 pictures, 1 rows (a label per position, some ignored), 2 mean squares, 3 binary answers. */
rk_model_t *rk_zoo_model (int which);

/* The parameters to begin with, the caller frees: rk_model_init, but running variances and norms that are not 1. */
float *rk_zoo_flat (const rk_model_t *model);

#endif
