/* SPDX-License-Identifier: MPL-2.0
 * A save: every stage says that it keeps the state after the round (Slice), then it is fetched part by part, few at a
 * time, while they train on, and goes straight to the file. Whatever fails here is told and the run goes on. */
#include "actors/checkpointer_self.h"

#define WINDOW 8      /* parts under way in all */
#define OF_A_STAGE 4  /* of them from one stage */

rk_err_t rk_gather_open (rk_checkpointer_self_t *self)
{
    self->gather.stages = calloc (self->plan->n_stages, sizeof *self->gather.stages);
    self->gather.apart = self->plan->n_clusters > 1 && strcmp (self->plan->settings.average_graph, "complete") != 0;
    return self->gather.stages ? RK_OK : RK_ENOMEM;
}

static void s_clear (rk_checkpointer_self_t *self)
{
    rk_gather_t *g = &self->gather;
    for (uint32_t s = 0; g->stages && s < self->plan->n_stages; s++) {
        if (g->stages[s].has_model)
            zmq_msg_close (&g->stages[s].model);
        g->stages[s] = (rk_gather_stage_t){.here = false};
    }
    rk_checkpoint_draft_discard (&g->draft);
    free (g->control);
    *g = (rk_gather_t){.stages = g->stages, .apart = g->apart};
}

void rk_gather_close (rk_checkpointer_self_t *self)
{
    if (self->plan)
        s_clear (self);
    free (self->gather.stages);
    self->gather.stages = NULL;
}

/* ---- the end of a save */
static rk_err_t s_say (rk_checkpointer_self_t *self, uint64_t digest, const char *path, const char *error, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_SAVED, .saved = {.round = self->gather.round, .digest = digest, .path = path, .error = error}};
    s_clear (self);
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

/* The run goes on; files that were there are as they were. */
static rk_err_t s_give_up (rk_checkpointer_self_t *self, const rk_error_t *why, rk_error_t *err)
{
    rk_log (RK_LOG_WARNING, "NOT-SAVED", "round=%llu %s", (unsigned long long) self->gather.round, why->text);
    return s_say (self, 0, "", why->text, err);
}

static rk_err_t s_commit (rk_checkpointer_self_t *self, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    rk_error_t why = {RK_OK, ""};
    char path[RK_CHECKPOINT_PATH];
    uint64_t digest = 0;
    rk_err_t code = RK_OK;
    for (uint32_t c = 0; c < self->plan->n_clusters && code == RK_OK; c++)
        code = rk_checkpoint_draft_tell (g->draft, c, &g->replicas[c], &why);
    if (code == RK_OK)
        code = rk_checkpoint_draft_commit (&g->draft, !g->merged, &digest, &why);
    if (code != RK_OK)
        return s_give_up (self, &why, err);
    rk_checkpoint_path (self->run_dir, g->round + 1, path);
    rk_checkpoint_prune (self->run_dir, self->keep);
    return s_say (self, digest, path, "", err);
}

/* No files: the digest of the model is all that is asked for. */
static rk_err_t s_digest_only (rk_checkpointer_self_t *self, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    float *mean = g->merged ? calloc (self->plan->n_flat + 1, sizeof *mean) : NULL;
    for (uint32_t s = 0; mean && s < self->plan->clusters[0].n_stages; s++)
        memcpy (mean + self->plan->stages[s].flat_lo, zmq_msg_data (&g->stages[s].model), zmq_msg_size (&g->stages[s].model));
    uint64_t digest = mean ? rk_checkpoint_digest (self->model, mean) : 0;
    free (mean);
    return s_say (self, digest, "", "", err);
}

/* ---- fetching */
static uint32_t s_cluster_of (const rk_plan_t *plan, uint32_t stage)
{
    uint32_t c = 0;
    while (c + 1 < plan->n_clusters && plan->clusters[c + 1].first_stage <= stage)
        c++;
    return c;
}

/* Parameters come with the Slices where replicas are alike, and are not fetched again. */
static bool s_state_only (const rk_gather_t *g)
{
    return !g->apart;
}

static rk_err_t s_ask_stage (rk_checkpointer_self_t *self, uint32_t stage, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    rk_gather_stage_t *from = &g->stages[stage];
    const rk_plan_stage_t *planned = &self->plan->stages[stage];
    const uint64_t left = planned->flat_hi - from->next;
    const bool nothing = s_state_only (g) && self->n_planes == 1; /* the numbers alone */
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER_REQUEST,
                    .handover_request = {.rounds = g->round + 1, .replica = s_cluster_of (self->plan, stage), .flat_lo = from->next,
                                         .n_floats = nothing ? 0 : left < RK_HANDOVER_PART ? left : RK_HANDOVER_PART,
                                         .state_only = s_state_only (g)}};
    from->next += msg.handover_request.n_floats;
    from->asked_all = nothing || from->next == planned->flat_hi;
    from->n_asked++;
    g->n_asked++;
    return rk_loop_send (self->loop, rk_address (RK_ACTOR_STAGE, planned->node), &msg, NULL, 0, err);
}

/* In turn, so that no stage has to keep its state for long while others wait. */
static rk_err_t s_ask (rk_checkpointer_self_t *self, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    rk_err_t code = RK_OK;
    for (uint32_t s = 0; s < self->plan->n_stages && code == RK_OK; s++)
        while (code == RK_OK && g->n_asked < WINDOW && !g->stages[s].asked_all && g->stages[s].n_asked < OF_A_STAGE)
            code = s_ask_stage (self, s, err);
    return code;
}

static rk_err_t s_put_model (rk_checkpointer_self_t *self, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    rk_err_t code = RK_OK;
    for (uint32_t s = 0; s < self->plan->clusters[0].n_stages && code == RK_OK; s++) {
        const rk_plan_stage_t *stage = &self->plan->stages[s];
        code = rk_checkpoint_draft_put (g->draft, RK_CHECKPOINT_MEAN, RK_PLANE_PARAMS, stage->flat_lo, stage->flat_hi - stage->flat_lo,
                                        zmq_msg_data (&g->stages[s].model), err);
    }
    return code;
}

/* Everybody keeps the state and the coordinator has said what belongs to it. */
static rk_err_t s_begin_file (rk_checkpointer_self_t *self, rk_error_t *err)
{
    rk_gather_t *g = &self->gather;
    if (!*self->run_dir)
        return s_digest_only (self, err);
    rk_checkpoint_facts_t facts = {.plan = self->plan, .model = self->model, .rounds = g->round + 1, .n_planes = self->n_planes,
                                   .apart = g->apart, .control = g->control};
    memcpy (facts.planes, self->planes, sizeof facts.planes);
    char path[RK_CHECKPOINT_PATH];
    rk_error_t why = {RK_OK, ""};
    rk_checkpoint_path (self->run_dir, g->round + 1, path);
    rk_err_t code = rk_checkpoint_draft_new (&g->draft, &facts, path, &why);
    if (code == RK_OK && g->merged)
        code = s_put_model (self, &why);
    if (code == RK_OK)
        code = s_ask (self, &why);
    return code == RK_OK ? RK_OK : s_give_up (self, &why, err);
}

static rk_err_t s_check_begin (rk_checkpointer_self_t *self, rk_error_t *err)
{
    const rk_gather_t *g = &self->gather;
    return g->wanted && g->n_here == self->plan->n_stages ? s_begin_file (self, err) : RK_OK;
}

rk_err_t rk_checkpointer_on_handover (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_checkpointer_self_t *self = self_;
    rk_gather_t *g = &self->gather;
    const rk_handover_t *h = &packet->msg.handover;
    uint32_t cluster, position;
    uint32_t stage = rk_plan_stage_of_node (self->plan, rk_address_node (packet->msg.sender), &cluster, &position);
    const uint32_t skip = s_state_only (g) ? 1 : 0;
    if (!g->draft || stage == RK_NO_NODE || rk_address_kind (packet->msg.sender) != RK_ACTOR_STAGE || !g->stages[stage].n_asked)
        return rk_error_set (err, RK_ESTALE, "a part of a state that is not being saved");
    const rk_plan_stage_t *planned = &self->plan->stages[stage];
    rk_error_t why = {RK_OK, ""};
    rk_err_t code = RK_OK;
    if (h->rounds != g->round + 1)
        code = rk_error_set (&why, RK_ESTATE, "stage %u of cluster %u has not kept round %llu", position, cluster, (unsigned long long) g->round);
    else if (h->n_planes != self->n_planes - skip || packet->n_frames != (int) h->n_planes || h->flat_lo < planned->flat_lo ||
             h->flat_lo + h->n_floats > planned->flat_hi)
        return rk_error_set (err, RK_EFORMAT, "%u planes of floats %llu + %llu from stage %u", h->n_planes,
                             (unsigned long long) h->flat_lo, (unsigned long long) h->n_floats, stage);
    for (uint32_t i = 0; i < h->n_planes && code == RK_OK; i++)
        code = rk_checkpoint_draft_put (g->draft, cluster, self->planes[i + skip], h->flat_lo, h->n_floats,
                                        zmq_msg_data (&packet->frame[i]), &why);
    if (code != RK_OK)
        return s_give_up (self, &why, err);
    rk_checkpoint_replica_t *numbers = &g->replicas[cluster];
    numbers->steps = h->steps > numbers->steps ? h->steps : numbers->steps;
    numbers->n_good = h->n_good > numbers->n_good ? h->n_good : numbers->n_good;
    numbers->loss_scale = h->loss_scale;
    numbers->frozen = numbers->frozen || h->frozen;
    g->n_asked--;
    if (--g->stages[stage].n_asked == 0 && g->stages[stage].asked_all && ++g->n_finished == self->plan->n_stages)
        return s_commit (self, err);
    code = s_ask (self, &why);
    return code == RK_OK ? RK_OK : s_give_up (self, &why, err);
}

/* ---- the beginning of a save */
static rk_err_t s_begin (rk_checkpointer_self_t *self, uint64_t round)
{
    rk_gather_t *g = &self->gather;
    if (g->on)
        rk_log (RK_LOG_WARNING, "SAVE-DROPPED", "round=%llu newer=%llu", (unsigned long long) g->round, (unsigned long long) round);
    s_clear (self);
    g->on = true;
    g->round = round;
    g->merged = true;
    for (uint32_t s = 0; s < self->plan->n_stages; s++)
        g->stages[s].next = self->plan->stages[s].flat_lo;
    return RK_OK;
}

rk_err_t rk_checkpointer_on_save_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_checkpointer_self_t *self = self_;
    rk_gather_t *g = &self->gather;
    const rk_save_request_t *save = &packet->msg.save_request;
    if (rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR || (g->on && (save->round < g->round || (save->round == g->round && g->wanted))))
        return rk_error_set (err, RK_ESTALE, "round %llu is to be saved while round %llu is", (unsigned long long) save->round,
                             (unsigned long long) g->round);
    if (!g->on || save->round > g->round) {
        rk_err_t code = s_begin (self, save->round);
        if (code != RK_OK)
            return code;
    }
    g->wanted = true;
    g->control = strdup (save->control ? save->control : "");
    return g->control ? s_check_begin (self, err) : rk_error_set (err, RK_ENOMEM, "no memory for control records");
}

/* A slice must be what the plan says of its stage, and of this round or a new one. */
static rk_err_t s_check_slice (const rk_checkpointer_self_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_gather_t *g = &self->gather;
    const rk_slice_msg_t *slice = &packet->msg.slice;
    if (slice->stage >= self->plan->n_stages || packet->msg.sender != rk_address (RK_ACTOR_STAGE, self->plan->stages[slice->stage].node))
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u, which the plan does not have there", slice->stage);
    const rk_plan_stage_t *stage = &self->plan->stages[slice->stage];
    const bool model = slice->stage < self->plan->clusters[0].n_stages; /* cluster 0's stages come first */
    if (slice->flat_lo != stage->flat_lo || slice->n_floats != stage->flat_hi - stage->flat_lo)
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u: floats %llu + %llu, the plan has %llu + %llu", slice->stage,
                             (unsigned long long) slice->flat_lo, (unsigned long long) slice->n_floats,
                             (unsigned long long) stage->flat_lo, (unsigned long long) (stage->flat_hi - stage->flat_lo));
    if (slice->n_planes != model || packet->n_frames != (int) slice->n_planes)
        return rk_error_set (err, RK_EFORMAT, "slice of stage %u: %u planes in %d frames", slice->stage, slice->n_planes,
                             packet->n_frames);
    if (g->on && (slice->round < g->round || (slice->round == g->round && g->stages[slice->stage].here)))
        return rk_error_set (err, RK_ESTALE, "slice of round %llu, again or while %llu is gathered", (unsigned long long) slice->round,
                             (unsigned long long) g->round);
    return RK_OK;
}

rk_err_t rk_checkpointer_on_slice (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_checkpointer_self_t *self = self_;
    rk_gather_t *g = &self->gather;
    const rk_slice_msg_t *slice = &packet->msg.slice;
    rk_err_t code = s_check_slice (self, packet, err);
    if (code == RK_OK && packet->n_routing && rk_loop_learn (self->loop, packet->msg.sender, packet) != RK_OK)
        code = rk_error_set (err, RK_ENOMEM, "no memory for the way to a stage");
    if (code == RK_OK && (!g->on || slice->round > g->round))
        code = s_begin (self, slice->round);
    if (code != RK_OK)
        return code;
    rk_gather_stage_t *stage = &g->stages[slice->stage];
    stage->here = true;
    if (packet->n_frames) {
        zmq_msg_init (&stage->model);
        zmq_msg_move (&stage->model, &packet->frame[0]);
        stage->has_model = true;
        g->merged = g->merged && slice->merged;
    }
    g->n_here++;
    return s_check_begin (self, err);
}
