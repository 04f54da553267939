/* SPDX-License-Identifier: MPL-2.0
 * Saves: when one is due, one at a time, and the last one of a run. Stages keep the state that is asked for and train
 * on; what goes wrong is told and the run goes on, but for the last one, on which the end of the run depends. */
#include "actors/coordinator_self.h"

static bool s_has_checkpointer (rk_coordinator_t *self)
{
    return rk_coordinator_find (self, rk_address (RK_ACTOR_CHECKPOINTER, RK_FIRST)) != NULL;
}

/* Asks for the last committed round: the checkpointer first, so that it knows before a stage answers. */
static void s_ask (rk_coordinator_t *self, uint64_t n_rounds, bool final)
{
    rk_coordinator_save_t *save = &self->save;
    char *control = rk_coordinator_control_text (self);
    *save = (rk_coordinator_save_t){.under_way = true, .final = final, .round = n_rounds - 1, .last_round = n_rounds - 1,
                                    .last_ms = rk_coordinator_now_ms ()};
    rk_msg_t msg = {.kind = RK_MSG_SAVE_REQUEST, .save_request = {.round = n_rounds - 1, .final = final, .control = control}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_CHECKPOINTER, RK_FIRST), &msg, NULL, 0);
    free (control);
    msg.save_request.control = NULL;
    for (uint32_t s = 0; s < self->plan->n_stages; s++) { /* the model comes from cluster 0, whose stages are first */
        msg.save_request.model = s < self->plan->clusters[0].n_stages;
        rk_coordinator_to_node (self, RK_ACTOR_STAGE, self->plan->stages[s].node, &msg);
    }
}

void rk_coordinator_save_begin (rk_coordinator_t *self)
{
    self->save = (rk_coordinator_save_t){.last_round = self->plan->first_round, .last_ms = rk_coordinator_now_ms ()};
}

void rk_coordinator_save_now (rk_coordinator_t *self)
{
    uint64_t n_rounds = rk_lease_committed (self->leases);
    self->save.again = self->save.under_way;
    if (n_rounds > self->plan->first_round && s_has_checkpointer (self) && !self->save.under_way)
        s_ask (self, n_rounds, false);
}

void rk_coordinator_save_if_due (rk_coordinator_t *self)
{
    const rk_settings_t *s = &self->plan->settings;
    const rk_coordinator_save_t *save = &self->save;
    const uint64_t n_rounds = rk_lease_committed (self->leases);
    const bool rounds = s->save_every && n_rounds % s->save_every == 0;
    const bool time = s->save_seconds && rk_coordinator_now_ms () - save->last_ms >= (int64_t) s->save_seconds * 1000;
    if ((rounds || time) && *self->settings.run_dir)
        rk_coordinator_save_now (self);
}

static void s_end (rk_coordinator_t *self)
{
    if (self->interrupted)
        rk_coordinator_end (self, RK_ECANCELED, "interrupted");
    else
        rk_coordinator_end (self, RK_OK, "done");
}

/* The last checkpoint of a run, then the end. With no round committed there is nothing to save. */
void rk_coordinator_save_and_end (rk_coordinator_t *self)
{
    uint64_t n_rounds = rk_lease_committed (self->leases);
    const bool first_values = n_rounds <= self->plan->first_round && self->plan->view == 1; /* or what was resumed */
    if (first_values || !n_rounds || !s_has_checkpointer (self)) {
        s_end (self);
        return;
    }
    rk_coordinator_enter (self, RK_STATE_SAVE);
    if (!self->save.under_way) /* else when that one is done */
        s_ask (self, n_rounds, true);
}

rk_err_t rk_coordinator_on_saved (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    const rk_saved_t *saved = &packet->msg.saved;
    if (!self->leads || origin.kind != RK_FROM_LOCAL ||
        rk_address_kind (origin.known->address) != RK_ACTOR_CHECKPOINTER)
        return rk_coordinator_refuse (packet, "only the checkpointer says that", err);
    const bool final = self->save.final && saved->round == self->save.round, failed = saved->error && *saved->error;
    if (saved->round == self->save.round)
        self->save.under_way = false;
    if (!failed) {
        rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
        if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
            rk_coordinator_send (self, RK_TO_OBSERVER, &packet->msg, NULL, 0);
    }
    rk_coordinator_progress (self);
    if (self->state == RK_STATE_RUN && self->save.again && !self->save.under_way)
        rk_coordinator_save_now (self);
    rk_coordinator_move (self);
    if (self->state != RK_STATE_SAVE)
        return RK_OK;
    if (!final)
        rk_coordinator_save_and_end (self);
    else if (failed) {
        self->unsaved = !self->interrupted;
        rk_coordinator_end (self, RK_EIO, "the last checkpoint was not written: %.200s", saved->error);
    } else
        s_end (self);
    return RK_OK;
}
