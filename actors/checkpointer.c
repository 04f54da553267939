/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/checkpointer_self.h"

#include "actors/planfile.h"
#include "actors/training.h"

#define LATE_WAIT_NS (5 * INT64_C (1000000000)) /* after Stop: for predictions still on their way */

static rk_err_t s_open (void *me, rk_loop_t *loop, const void *arg, rk_error_t *err)
{
    rk_checkpointer_self_t *self = me;
    const rk_checkpointer_config_t *config = arg;
    self->loop = loop;
    self->model = config->model;
    self->keep = config->keep ? config->keep : 2;
    self->n_predictions = config->n_predictions;
    snprintf (self->run_dir, sizeof self->run_dir, "%s", config->run_dir ? config->run_dir : "");
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code)
        return rk_error_set (err, code, "no memory for the plan");
    rk_training_t training;
    code = rk_training_of (self->plan, &training, err);
    if (code)
        return code;
    self->n_planes = rk_handover_planes (&self->plan->settings, (uint32_t) training.optim->n_slots, self->plan->n_clusters, self->planes);
    if (rk_gather_open (self))
        return rk_error_set (err, RK_ENOMEM, "no memory for %u stages", self->plan->n_stages);
    if (config->resume)
        code = rk_give_open (self, config->resume, err);
    if (code)
        return code;
    if (config->predictions)
        code = rk_predictions_new (&self->predictions, config->predictions, config->predictions_json, rk_model_labels (self->model), err);
    if (!code && *self->run_dir) {
        char path[RK_CHECKPOINT_PATH];
        snprintf (path, sizeof path, "%s/plan.json", self->run_dir);
        code = rk_planfile_write (self->plan, self->model, path, err);
    }
    if (code || !rk_loop_connected (loop, RK_TO_COORDINATOR))
        return code;
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}}; /* so that Stop finds the way */
    return rk_loop_send (loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

static void s_close (void *me)
{
    rk_checkpointer_self_t *self = me;
    rk_predictions_destroy (&self->predictions);
    rk_gather_close (self);
    rk_give_close (self);
    rk_plan_destroy (&self->plan);
    *self = (rk_checkpointer_self_t){.loop = NULL};
}

/* ---- predictions and the end */
static rk_err_t s_on_prediction (void *me, rk_packet_t *packet, rk_error_t *err)
{
    rk_checkpointer_self_t *self = me;
    const rk_prediction_t *p = &packet->msg.prediction;
    if (!self->predictions)
        return rk_error_set (err, RK_EFORMAT, "a prediction, but none are wanted");
    uint64_t bytes = (uint64_t) p->n * p->n_classes * sizeof (float);
    if (packet->n_frames != 1 || zmq_msg_size (&packet->frame[0]) != bytes || p->n_classes == 0)
        return rk_error_set (err, RK_EFORMAT, "prediction of minibatch %llu: %u x %u floats expected in one frame",
                             (unsigned long long) p->f, p->n, p->n_classes);
    return rk_predictions_add (self->predictions, p->f, p->n, p->n_classes, zmq_msg_data (&packet->frame[0]), err);
}

static rk_err_t s_on_stop (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    rk_checkpointer_self_t *self = me;
    if (!self->stopping)
        self->deadline_ns = rk_now_ns () + (packet->msg.stop.code ? 0 : LATE_WAIT_NS);
    self->stopping = true;
    return RK_OK;
}

static int64_t s_work (void *me, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_checkpointer_self_t *self = me;
    if (!self->stopping || self->finished)
        return RK_FOREVER;
    bool missing = self->predictions && rk_predictions_written (self->predictions) < self->n_predictions;
    if (missing && now_ns < self->deadline_ns)
        return self->deadline_ns - now_ns;
    self->finished = true;
    if (missing)
        *code = rk_error_set (err, RK_ETIMEDOUT, "%llu of %llu minibatches predicted",
                              (unsigned long long) rk_predictions_written (self->predictions),
                              (unsigned long long) self->n_predictions);
    else if (self->predictions)
        *code = rk_predictions_finish (self->predictions, err);
    /* Said here, not by the loop's sorting: the parent must hear of it even when the coordinator is gone. */
    rk_loop_say (self->loop, *code ? "FAILED" : "DONE", *code, *code ? err->text : "");
    *code = RK_OK;
    return RK_FOREVER;
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_SAVE_REQUEST] = rk_checkpointer_on_save_request,
    [RK_MSG_SLICE] = rk_checkpointer_on_slice,
    [RK_MSG_HANDOVER] = rk_checkpointer_on_handover,
    [RK_MSG_HANDOVER_REQUEST] = rk_checkpointer_on_handover_request,
    [RK_MSG_PREDICTION] = s_on_prediction,
    [RK_MSG_STOP] = s_on_stop,
};
static const rk_command_t s_commands[] = {{NULL, NULL}};
static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_CHECKPOINTER,
    .self_size = sizeof (rk_checkpointer_self_t),
    .open = s_open,
    .close = s_close,
    .work = s_work,
    .on = s_on,
    .commands = s_commands,
};

rk_err_t rk_checkpointer_new (rk_actor_t **actor_p, const rk_checkpointer_config_t *config, rk_error_t *err)
{
    rk_actor_plumbing_t plumbing = {.bind = config->bind,
                                    .identity = config->identity,
                                    .coordinator = config->coordinator,
                                    .observer = config->observer,
                                    .node = config->node,
                                    .view = config->plan->view};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
