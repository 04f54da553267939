/* SPDX-License-Identifier: MPL-2.0
 * A loss that is no number: who made it? The last stage asks upstream, each stage looks at what came in; the first
 * whose input is sound repeats its forward and names the layer. Then the run stops, or the update is left out.
 * Nothing here costs anything before a loss has gone wrong.                                               */
#include "actors/stage_parts.h"

#include "compute/blame.h"

#define TEXT 200

/* First value of the inputs that is none. */
static bool s_input_is_bad (rk_stage_t *self, rk_slot_t *slot, size_t *sample)
{
    for (int i = 0; i < self->in.n; i++) {
        const size_t elems = self->in.tensor[i].elems;
        const float *x = rk_stage_floats (&slot->in[i], slot->dtype, slot->n * elems, slot->scratch + self->in.at[i]);
        for (*sample = 0; *sample < slot->n; ++*sample)
            if (!rk_all_finite (elems, x + *sample * elems))
                return true;
    }
    return false;
}

static rk_err_t s_name_layer (rk_stage_t *self, rk_slot_t *slot, char *text)
{
    const float *in[RK_MAX_BOUNDARY], *flat = rk_buffer_floats (slot->version);
    rk_loss_t loss;
    int layer;
    for (int i = 0; i < self->in.n; i++)
        in[i] = rk_stage_floats (&slot->in[i], slot->dtype, slot->n * self->in.tensor[i].elems, slot->scratch + self->in.at[i]);
    const rk_slice_config_t config = {.model = self->model, .first = self->layer_first, .last = self->layer_last,
                                      .batch = slot->n, .seed = self->plan->settings.run_seed, .pool = self->pool};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = slot->f, .n = slot->n, .flat = flat, .in = in, .loss = &loss,
                               .labels = self->last ? rk_stage_labels (self, slot) : NULL};
    rk_err_t code = rk_blame_layer (&config, &call, &layer, NULL);
    if (code != RK_OK || layer < 0) {
        snprintf (text, TEXT, "a layer of stage %u of cluster %u makes a number that is not finite", self->stage, self->cluster);
        return code;
    }
    const rk_param_t *param = rk_blame_param (self->model, layer, self->layer_first, flat);
    if (param)
        snprintf (text, TEXT, "layer %s: its parameter %s is not finite", rk_model_layer_name (self->model, layer), param->name);
    else
        snprintf (text, TEXT, "layer %s makes a number that is not finite of inputs and parameters that are",
                  rk_model_layer_name (self->model, layer));
    return RK_OK;
}

static rk_err_t s_tell (rk_stage_t *self, const rk_slot_t *slot, const char *text, rk_error_t *err)
{
    const unsigned long long f = slot->f, pass = rk_pass_of (self->plan, slot->f);
    if (self->plan->settings.train_nonfinite == RK_NONFINITE_STOP)
        return rk_error_set (err, RK_ENONFINITE, "minibatch %llu of pass %llu: %s", f, pass + 1, text);
    rk_log (RK_LOG_WARNING, "SKIPPED", "minibatch=%llu pass=%llu cluster=%u %s", f, pass + 1, self->cluster, text);
    return RK_OK;
}

rk_err_t rk_stage_blame (rk_stage_t *self, rk_slot_t *slot, rk_error_t *err)
{
    if (self->plan->settings.train_nonfinite == RK_NONFINITE_FREEZE)
        return RK_OK; /* the end of the round finds it and names the tensor */
    char text[TEXT];
    size_t sample;
    /* The run is over for this stage: nothing of this minibatch may reach parameters or a checkpoint. */
    self->halted = self->plan->settings.train_nonfinite == RK_NONFINITE_STOP;
    const bool bad = s_input_is_bad (self, slot, &sample);
    if (bad && !self->first) {
        rk_msg_t msg = {.kind = RK_MSG_SUSPECT, .suspect = {.f = slot->f, .round = slot->round}};
        return rk_loop_send (self->loop, self->upstream, &msg, NULL, 0, err);
    }
    if (bad)
        snprintf (text, sizeof text, "sample %zu of the data holds a number that is not finite", sample);
    else if (s_name_layer (self, slot, text) != RK_OK)
        rk_log (RK_LOG_WARNING, "BLAME", "minibatch=%llu no memory to find the layer", (unsigned long long) slot->f);
    return s_tell (self, slot, text, err);
}

rk_err_t rk_stage_on_suspect (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_suspect_t *suspect = &packet->msg.suspect;
    rk_err_t code = rk_stage_expect (packet, self->downstream, err);
    if (code != RK_OK || self->stopped)
        return code;
    rk_slot_t *slot = rk_stage_find (self, suspect->f, RK_MB_TRAIN);
    if (!slot || slot->state != RK_SLOT_STASHED || slot->round != suspect->round)
        return rk_error_set (err, RK_ESTALE, "minibatch %llu of round %llu is suspected, which is not here",
                             (unsigned long long) suspect->f, (unsigned long long) suspect->round);
    return rk_stage_blame (self, slot, err);
}
