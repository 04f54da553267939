/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/checkpointer.h"

#include "actors/checkpoint.h"
#include "actors/planfile.h"
#include "actors/predictions.h"

#define LATE_WAIT_NS (5 * INT64_C (1000000000)) /* after Stop: for predictions still on their way */

typedef struct {
    rk_loop_t *loop;
    rk_plan_t *plan;
    const rk_model_t *model;
    char run_dir[RK_SETTINGS_TEXT]; /* "": no files */
    uint32_t keep;
    /* the round being gathered */
    uint64_t round;
    bool gathering;
    bool *got;       /* per stage of cluster 0 */
    uint32_t n_got, n_planes;
    uint64_t steps;
    float *planes[RK_CHECKPOINT_MAX_PLANES]; /* n_flat floats each, allocated when first needed */
    /* predictions */
    rk_predictions_t *predictions;
    uint64_t n_predictions;
    bool stopping, finished;
    int64_t deadline_ns;
} self_t;

static rk_err_t s_open (void *me, rk_loop_t *loop, const void *arg, rk_error_t *err)
{
    self_t *self = me;
    const rk_checkpointer_config_t *config = arg;
    self->loop = loop;
    self->model = config->model;
    self->keep = config->keep ? config->keep : 2;
    self->n_predictions = config->n_predictions;
    snprintf (self->run_dir, sizeof self->run_dir, "%s", config->run_dir ? config->run_dir : "");
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code)
        return rk_error_set (err, code, "no memory for the plan");
    self->got = calloc (self->plan->clusters[0].n_stages, sizeof *self->got);
    if (!self->got)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u stages", self->plan->clusters[0].n_stages);
    if (config->predictions)
        code = rk_predictions_new (&self->predictions, config->predictions, config->predictions_json, err);
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
    self_t *self = me;
    rk_predictions_destroy (&self->predictions);
    rk_plan_destroy (&self->plan);
    free (self->got);
    for (int i = 0; i < RK_CHECKPOINT_MAX_PLANES; i++)
        free (self->planes[i]);
    *self = (self_t){0};
}

/* ---- slices */

/* A slice must be what the plan says of its stage, and of this round or a new one. */
static rk_err_t s_check_slice (const self_t *self, const rk_packet_t *packet, rk_error_t *err)
{
    const rk_slice_msg_t *slice = &packet->msg.slice;
    if (slice->stage >= self->plan->clusters[0].n_stages) /* cluster 0's stages come first */
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u, which is not in cluster 0", slice->stage);
    const rk_plan_stage_t *stage = &self->plan->stages[slice->stage];
    if (slice->flat_lo != stage->flat_lo || slice->n_floats != stage->flat_hi - stage->flat_lo)
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u: floats %llu + %llu, the plan has %llu + %llu", slice->stage,
                             (unsigned long long) slice->flat_lo, (unsigned long long) slice->n_floats,
                             (unsigned long long) stage->flat_lo, (unsigned long long) (stage->flat_hi - stage->flat_lo));
    if (slice->n_planes < 1 || slice->n_planes > RK_CHECKPOINT_MAX_PLANES || packet->n_frames != (int) slice->n_planes)
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u: %u planes in %d frames", slice->stage, slice->n_planes,
                             packet->n_frames);
    for (int i = 0; i < packet->n_frames; i++)
        if (zmq_msg_size (&packet->frame[i]) != slice->n_floats * sizeof (float))
            return rk_error_set (err, RK_EFORMAT, "slice of stage %u: frame %d has %zu bytes, %llu floats expected",
                                 slice->stage, i, zmq_msg_size (&packet->frame[i]), (unsigned long long) slice->n_floats);
    if (self->gathering && slice->round < self->round)
        return rk_error_set (err, RK_ESTALE, "slice of round %llu while %llu is gathered", (unsigned long long) slice->round,
                             (unsigned long long) self->round);
    if (self->gathering && slice->round == self->round && (self->got[slice->stage] || slice->n_planes != self->n_planes))
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u came twice or with %u planes instead of %u", slice->stage,
                             slice->n_planes, self->n_planes);
    return RK_OK;
}

static rk_err_t s_begin_round (self_t *self, const rk_slice_msg_t *slice, rk_error_t *err)
{
    if (self->gathering)
        rk_log (RK_LOG_WARNING, "SAVE-DROPPED", "round=%llu slices=%u of=%u newer=%llu", (unsigned long long) self->round,
                self->n_got, self->plan->clusters[0].n_stages, (unsigned long long) slice->round);
    for (uint32_t i = 0; i < slice->n_planes; i++) {
        if (!self->planes[i])
            self->planes[i] = calloc (self->plan->n_flat, sizeof (float));
        if (!self->planes[i])
            return rk_error_set (err, RK_ENOMEM, "no %llu MB for a checkpoint",
                                 (unsigned long long) (self->plan->n_flat * sizeof (float) >> 20));
    }
    memset (self->got, 0, self->plan->clusters[0].n_stages * sizeof *self->got);
    self->n_got = 0;
    self->n_planes = slice->n_planes;
    self->round = slice->round;
    self->gathering = true;
    return RK_OK;
}

/* All slices are here: digest, file, word to the coordinator. */
static rk_err_t s_save (self_t *self, rk_error_t *err)
{
    self->gathering = false;
    char path[RK_CHECKPOINT_PATH] = "";
    uint64_t digest = rk_checkpoint_digest (self->model, self->planes[0]);
    if (*self->run_dir) {
        rk_checkpoint_t c = {self->plan, self->model, (const float *const *) self->planes, self->n_planes,
                             self->round, self->steps, digest};
        rk_checkpoint_path (self->run_dir, self->round + 1, path);
        rk_err_t code = rk_checkpoint_write (&c, path, err);
        if (code)
            return code;
        rk_checkpoint_prune (self->run_dir, self->keep);
    }
    rk_msg_t msg = {.kind = RK_MSG_SAVED, .saved = {.round = self->round, .digest = digest, .path = path}};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

static rk_err_t s_on_slice (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    const rk_slice_msg_t *slice = &packet->msg.slice;
    rk_err_t code = s_check_slice (self, packet, err);
    if (!code && (!self->gathering || slice->round > self->round))
        code = s_begin_round (self, slice, err);
    if (code)
        return code;
    for (int i = 0; i < packet->n_frames; i++)
        memcpy (self->planes[i] + slice->flat_lo, zmq_msg_data (&packet->frame[i]), slice->n_floats * sizeof (float));
    self->got[slice->stage] = true;
    self->n_got++;
    if (slice->steps > self->steps)
        self->steps = slice->steps;
    return self->n_got == self->plan->clusters[0].n_stages ? s_save (self, err) : RK_OK;
}

/* ---- predictions and the end */
static rk_err_t s_on_prediction (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
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
    self_t *self = me;
    if (!self->stopping)
        self->deadline_ns = rk_now_ns () + (packet->msg.stop.code ? 0 : LATE_WAIT_NS);
    self->stopping = true;
    return RK_OK;
}

static int64_t s_work (void *me, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    self_t *self = me;
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
    [RK_MSG_SLICE] = s_on_slice,
    [RK_MSG_PREDICTION] = s_on_prediction,
    [RK_MSG_STOP] = s_on_stop,
};
static const rk_command_t s_commands[] = {{NULL, NULL}};
static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_CHECKPOINTER,
    .self_size = sizeof (self_t),
    .open = s_open,
    .close = s_close,
    .work = s_work,
    .on = s_on,
    .commands = s_commands,
};

rk_err_t rk_checkpointer_new (rk_actor_t **actor_p, const rk_checkpointer_config_t *config, rk_error_t *err)
{
    rk_actor_plumbing_t plumbing = {.bind = config->bind,
                                    .coordinator = config->coordinator,
                                    .observer = config->observer,
                                    .node = config->node,
                                    .view = config->plan->view};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
