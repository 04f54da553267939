/* SPDX-License-Identifier: MPL-2.0
 * One evaluation: forward-only minibatches 0 .. n - 1, dealt to whoever asks, each answered exactly once.
 * The sum is formed in order of f, so it does not depend on who answered first. Pure.                     */
#ifndef RK_CLUSTER_EVALUATION_H
#define RK_CLUSTER_EVALUATION_H
#include <stdbool.h>
#include <stdint.h>
#include "compute/error.h"

typedef struct {
    double loss_sum;
    uint64_t n_correct, n_counted; /* labels */
    uint32_t n;                    /* samples; 0 until the answer is in */
} rk_evaluation_part_t;

typedef struct {
    rk_evaluation_part_t *parts; /* n_all */
    uint64_t n_all, n_dealt, n_answered;
} rk_evaluation_t;

rk_err_t rk_evaluation_init (rk_evaluation_t *e, uint64_t n_minibatches) RK_MUST_CHECK;
void rk_evaluation_clear (rk_evaluation_t *e);
void rk_evaluation_begin (rk_evaluation_t *e); /* again from the start */
/* Up to `most` ids into f; returns how many. */
uint32_t rk_evaluation_deal (rk_evaluation_t *e, uint32_t most, uint64_t *f);
/* errors: RK_ESTALE: f was not dealt or is answered already. */
rk_err_t rk_evaluation_answer (rk_evaluation_t *e, uint64_t f, rk_evaluation_part_t part,
                               rk_error_t *err) RK_MUST_CHECK;
bool rk_evaluation_done (const rk_evaluation_t *e);
rk_evaluation_part_t rk_evaluation_sum (const rk_evaluation_t *e);
/* The first minibatch that was dealt and not answered, or n_all. */
uint64_t rk_evaluation_waiting (const rk_evaluation_t *e);

#endif
