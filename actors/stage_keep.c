/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/stage_parts.h"

#include "compute/arena.h"

/* ---- memory */
static bool s_is_copied (rk_plane_t plane)
{
    return plane != RK_PLANE_PARAMS && plane != RK_PLANE_MIXTURE;
}

float *rk_stage_plane (const rk_stage_t *self, rk_plane_t plane)
{
    switch (plane) {
    case RK_PLANE_STATE0:
    case RK_PLANE_STATE1:
        return self->slot_state[plane - RK_PLANE_STATE0];
    case RK_PLANE_MOMENTUM:
        return self->mix.start;
    case RK_PLANE_TRACKED:
        return self->mix.y;
    case RK_PLANE_TRACKED_BEFORE:
        return self->mix.d;
    default:
        return NULL;
    }
}

rk_err_t rk_stage_keep_open (rk_stage_t *self)
{
    rk_stage_keep_t *keep = &self->keep;
    keep->n_planes = rk_handover_planes (&self->plan->settings, (uint32_t) self->training.optim->n_slots, self->plan->n_clusters,
                                         keep->planes);
    return RK_OK; /* copies are made when first needed, at the end of the first rounds */
}

static void s_drop (rk_stage_kept_t *kept)
{
    rk_buffer_unref (kept->params);
    rk_buffer_unref (kept->mixture);
    kept->params = kept->mixture = NULL;
    kept->full = kept->pinned = false;
}

void rk_stage_keep_close (rk_stage_t *self)
{
    for (int i = 0; i < RK_STAGE_KEPT; i++) {
        s_drop (&self->keep.kept[i]);
        for (int p = 0; p < RK_N_PLANES; p++)
            free (self->keep.kept[i].own[p]);
    }
    rk_stage_take_close (self);
}

/* ---- finding */
rk_stage_kept_t *rk_stage_kept (rk_stage_t *self, uint64_t rounds)
{
    for (int i = 0; i < RK_STAGE_KEPT; i++)
        if (self->keep.kept[i].full && self->keep.kept[i].rounds == rounds)
            return &self->keep.kept[i];
    return NULL;
}

rk_stage_kept_t *rk_stage_kept_last (rk_stage_t *self)
{
    rk_stage_kept_t *last = NULL;
    for (int i = 0; i < RK_STAGE_KEPT; i++)
        if (self->keep.kept[i].full && (!last || self->keep.kept[i].rounds > last->rounds))
            last = &self->keep.kept[i];
    return last;
}

void rk_stage_pin (rk_stage_t *self, rk_stage_kept_t *kept)
{
    for (int i = 0; i < RK_STAGE_KEPT; i++)
        self->keep.kept[i].pinned = &self->keep.kept[i] == kept;
    kept->n_given = 0;
}

bool rk_stage_is_kept (const rk_stage_t *self, const rk_buffer_t *version)
{
    for (int i = 0; i < RK_STAGE_KEPT; i++)
        if (version && (self->keep.kept[i].params == version || self->keep.kept[i].mixture == version))
            return true;
    return false;
}

/* How well a place serves for one more: one that is older than what is committed, the oldest first; then one that was
 * never used; with both gone, which only a run without commits comes to, the oldest but the last.           */
static uint64_t s_worth (const rk_stage_t *self, const rk_stage_kept_t *kept, uint64_t place)
{
    if (kept->full)
        return kept->rounds + (kept->rounds < self->keep.committed ? 0 : UINT64_C (1) << 63);
    return (UINT64_C (1) << 62) + place;
}

static rk_stage_kept_t *s_room (rk_stage_t *self)
{
    rk_stage_kept_t *last = rk_stage_kept_last (self), *best = NULL;
    uint64_t least = 0;
    for (int i = 0; i < RK_STAGE_KEPT; i++) {
        rk_stage_kept_t *kept = &self->keep.kept[i];
        const uint64_t worth = s_worth (self, kept, (uint64_t) i);
        if (kept == last || kept->pinned || (best && worth >= least))
            continue;
        best = kept;
        least = worth;
    }
    return best;
}

/* ---- keeping */
static rk_err_t s_copy_planes (rk_stage_t *self, rk_stage_kept_t *kept, rk_error_t *err)
{
    for (uint32_t i = 0; i < self->keep.n_planes; i++) {
        const rk_plane_t plane = self->keep.planes[i];
        if (!s_is_copied (plane))
            continue;
        if (!kept->own[plane])
            kept->own[plane] = rk_arena_memory (self->n_flat * sizeof (float) + 1);
        if (!kept->own[plane])
            return rk_error_set (err, RK_ENOMEM, "no memory to keep the %s of %zu parameters", rk_plane_name (plane), self->n_flat);
        memcpy (kept->own[plane], rk_stage_plane (self, plane), self->n_flat * sizeof (float));
    }
    return RK_OK;
}

static void s_copy_numbers (const rk_stage_t *self, rk_stage_kept_t *kept)
{
    kept->steps = self->n_steps;
    kept->n_good = self->first ? self->verdict_state.n_good : 0;
    kept->loss_scale = self->first ? self->verdict_state.loss_scale : self->loss_scale;
}

rk_err_t rk_stage_keep_begin (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_kept_t *kept = s_room (self);
    s_drop (kept);
    s_copy_numbers (self, kept);
    self->keep.begun = kept;
    return s_copy_planes (self, kept, err);
}

/* Overlapped: the optimiser has gone on since the snapshot; what averaging gave it belongs to the state all the same. */
static void s_keep_averaged (rk_stage_t *self, rk_stage_kept_t *kept)
{
    for (uint32_t i = 0; i < self->keep.n_planes; i++) {
        const rk_plane_t plane = self->keep.planes[i];
        if (plane >= RK_PLANE_MOMENTUM)
            memcpy (kept->own[plane], rk_stage_plane (self, plane), self->n_flat * sizeof (float));
        if (plane == RK_PLANE_MOMENTUM)
            memcpy (kept->own[RK_PLANE_STATE0], self->mix.start, self->n_flat * sizeof (float));
    }
}

rk_err_t rk_stage_keep_end (rk_stage_t *self, uint64_t rounds, rk_error_t *err)
{
    const bool begun = self->keep.begun && !self->drained;
    rk_err_t code = begun ? RK_OK : rk_stage_keep_begin (self, err);
    if (code != RK_OK)
        return code;
    rk_stage_kept_t *kept = self->keep.begun;
    if (begun)
        s_keep_averaged (self, kept);
    kept->params = rk_buffer_ref (self->mix.due ? self->snapshot : self->mean);
    kept->mixture = self->mix.late ? rk_buffer_ref (self->mean) : NULL;
    kept->frozen = self->mix.frozen;
    kept->rounds = rounds;
    kept->full = true;
    self->keep.begun = NULL;
    return RK_OK;
}

/* ---- going back */
void rk_stage_adopt (rk_stage_t *self, rk_buffer_t *params, rk_buffer_t *mixture, const rk_stage_kept_t *numbers)
{
    rk_buffer_t **versions[] = {&self->live, &self->mean, &self->snapshot, &self->merged};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        rk_buffer_unref (*versions[i]);
        *versions[i] = NULL;
    }
    self->mix.frozen = self->mix.guarded && numbers->frozen;
    self->mix.due = self->mix.late && mixture && !self->mix.frozen && numbers->rounds > 0;
    self->mix.lr_sum = 0;
    self->live = params;
    self->snapshot = self->mix.due ? rk_buffer_ref (params) : NULL;
    self->mean = self->mix.due ? rk_buffer_ref (mixture) : rk_buffer_ref (params);
    rk_buffer_unref (mixture);
    self->n_steps = numbers->steps;
    if (self->training.verdict.loss_scale == 0 && numbers->loss_scale > 0) { /* dynamic */
        self->loss_scale = self->verdict_state.loss_scale = numbers->loss_scale;
        self->verdict_state.n_good = numbers->n_good;
    }
    self->mean_round = numbers->rounds;
}

/* Minibatches, gradients and answers that are under way here count no more. */
static void s_forget_work (rk_stage_t *self)
{
    for (int i = 0; i < self->n_slots; i++)
        rk_stage_release (self, &self->slots[i]);
    rk_buffer_unref (self->gin);
    rk_buffer_unref (self->probs);
    self->gin = self->probs = NULL;
    self->next = NULL;
    self->at = NULL;
    self->hold_from_ns = self->hold_until_ns = 0;
    self->hold.owed_ns = 0;
    self->next_f = 0;
    self->ends[0] = self->ends[1] = (rk_round_end_t){.known = false};
    rk_stage_clear_updates (self);
    rk_stage_tied_reset (self);
    rk_stage_warm_forget (self);
    self->keep.begun = NULL;
}

rk_err_t rk_stage_return (rk_stage_t *self, uint64_t rounds, rk_error_t *err)
{
    rk_stage_kept_t *kept = rk_stage_kept (self, rounds);
    if (!kept)
        return rk_error_set (err, RK_ENOTFOUND, "stage %u of cluster %u has no state after %llu rounds", self->stage, self->cluster,
                             (unsigned long long) rounds);
    s_forget_work (self);
    for (uint32_t i = 0; i < self->keep.n_planes; i++)
        if (s_is_copied (self->keep.planes[i]))
            memcpy (rk_stage_plane (self, self->keep.planes[i]), kept->own[self->keep.planes[i]], self->n_flat * sizeof (float));
    for (int i = 0; i < RK_STAGE_KEPT; i++) /* later ones have not been */
        if (self->keep.kept[i].full && self->keep.kept[i].rounds > rounds)
            s_drop (&self->keep.kept[i]);
    rk_stage_adopt (self, rk_buffer_ref (kept->params), kept->mixture ? rk_buffer_ref (kept->mixture) : NULL, kept);
    return rk_stage_begin_round (self, rounds, err);
}

void rk_stage_linger (void *self_)
{
    rk_stage_t *self = self_;
    self->stopped = true;
    self->next = NULL;
}

rk_err_t rk_stage_retire (void *self_, char **words, rk_error_t *err)
{
    rk_stage_t *self = self_;
    (void) words, (void) err;
    s_forget_work (self);
    self->stopped = true;
    rk_loop_forget_peers (self->loop); /* stages of the next plan have the same addresses */
    rk_loop_set_view (self->loop, 0); /* what is still on its way is of no use here */
    rk_slice_destroy (&self->slice); /* with the contexts of all minibatches, most of its memory */
    rk_pool_destroy (&self->pool);
    rk_loop_set_address (self->loop, rk_address (RK_ACTOR_KEEPER, rk_address_node (rk_loop_address (self->loop))));
    return RK_OK;
}
