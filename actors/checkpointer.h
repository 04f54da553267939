/* SPDX-License-Identifier: MPL-2.0
 * Checkpointer: one in the leading process. A save: gathers every stage's state after a committed round and writes a
 * layer-keyed safetensors file in the background (atomic, hashed, the last K kept). A resumed run: gives every stage
 * its state from such a file. Also plan.json, and Predictions in order of f for `rookery predict`.
 * in:  SaveRequest (coordinator), Slice and Handover (stages), HandoverRequest (stages of a resumed run), Prediction
 *      (last stages), Stop
 * After Stop it finishes what has begun, then says DONE to its parent (FAILED if predictions are missing).
 * out: HandoverRequest (stages), Handover, Saved (coordinator): path and params_digest of the mean = xxh64 over the
 *      per-tensor xxh64 in flat order of trainable tensors, so it does not depend on the cuts; or why it was not saved:
 *      a full disc ends no run.                                                                            */
#ifndef RK_ACTORS_CHECKPOINTER_H
#define RK_ACTORS_CHECKPOINTER_H
#include "actors/actor.h"
#include "cluster/plan.h"
#include "compute/model.h"

typedef struct {
    const rk_plan_t *plan;   /* copied */
    const rk_model_t *model; /* borrowed */
    uint32_t node;
    const char *bind, *coordinator, *observer;
    const rk_identity_t *identity; /* for tcp (actor.h) */
    const char *run_dir;     /* NULL or "": digest only, no file */
    uint32_t keep;           /* checkpoints kept, 0: 2 */
    const char *resume;      /* the checkpoint that the plan goes on from; NULL: none */
    const char *predictions; /* file to write predictions to, "-": stdout, NULL: none */
    bool predictions_json;   /* one JSON object per sample instead of CSV */
    uint64_t n_predictions;  /* minibatches expected: after Stop it waits a moment for the missing ones */
} rk_checkpointer_config_t;
rk_err_t rk_checkpointer_new (rk_actor_t **actor_p, const rk_checkpointer_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
