/* SPDX-License-Identifier: MPL-2.0
 * Predictions in order of the samples, one line each, CSV or a JSON object: index and class, probability (of the most probable
 * class); probability of each yes or no; or each value; as the labels are that the model learns. Minibatches may
 * arrive in any order; the file appears under its name only when it is complete.                         */
#ifndef RK_ACTORS_PREDICTIONS_H
#define RK_ACTORS_PREDICTIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"
#include "compute/labels.h"

#define RK_PREDICTIONS_AHEAD 4096 /* minibatches that may wait for an earlier one */

typedef struct rk_predictions rk_predictions_t;

/* path: "-" is stdout. labels: of the model, borrowed until return. errors: RK_EIO, RK_ENOMEM. */
rk_err_t rk_predictions_new (rk_predictions_t **predictions_p, const char *path, bool json, const rk_labels_t *labels, rk_error_t *err) RK_MUST_CHECK;
/* Not finished: the unfinished file is removed. */
void rk_predictions_destroy (rk_predictions_t **predictions_p);
/* outputs: n x n_outputs f32 (probabilities of classes, or as many as there are targets), any alignment, borrowed. errors:
 * RK_EFORMAT (a minibatch twice, or too far ahead), RK_EIO, RK_ENOMEM.                                    */
rk_err_t rk_predictions_add (rk_predictions_t *p, uint64_t f, uint32_t n, uint32_t n_outputs, const void *outputs,
                             rk_error_t *err) RK_MUST_CHECK;
uint64_t rk_predictions_written (const rk_predictions_t *p); /* minibatches */
/* errors: RK_EIO, RK_EFORMAT (some are missing). */
rk_err_t rk_predictions_finish (rk_predictions_t *p, rk_error_t *err) RK_MUST_CHECK;

#endif
