/* SPDX-License-Identifier: MPL-2.0
 * From a plan to a reducer ready to run: lanes, parts, memory. Nothing is allocated later. */
#include "actors/reducer_parts.h"
#include "compute/arena.h"

#define ACCUMULATORS 3 /* one at work, one with the stage, one on its way back */

/* ---- who and what */

static rk_err_t s_identify (rk_reducer_self_t *self, uint32_t node, uint32_t *index_p, rk_error_t *err)
{
    uint32_t stage;
    *index_p = rk_plan_stage_of_node (self->plan, node, &self->cluster, &stage);
    self->n = self->plan->n_clusters;
    if (*index_p == RK_NO_NODE || self->n < 2)
        return rk_error_set (err, RK_EPLAN, "node %u has nothing to average in a plan of %u clusters", node, self->n);
    rk_training_t training;
    rk_err_t code = rk_training_of (self->plan, &training, err);
    if (code != RK_OK)
        return code;
    self->n_planes = rk_exchange_planes (&self->plan->settings, (uint32_t) training.optim->n_slots);
    self->stage = rk_address (RK_ACTOR_STAGE, node);
    self->n_flat = self->plan->stages[*index_p].flat_hi - self->plan->stages[*index_p].flat_lo;
    self->stride = (self->n_flat + 15) / 16 * 16;
    return RK_OK;
}

/* ---- lanes */

uint32_t rk_reducer_owner (const rk_plan_t *plan, uint32_t segment, uint32_t cluster)
{
    return rk_address (RK_ACTOR_REDUCER, plan->stages[plan->owners[plan->segments[segment].first_owner + cluster]].node);
}

static void s_make_lane (rk_reducer_self_t *self, rk_lane_t *lane, uint32_t segment, uint64_t base)
{
    const rk_plan_segment_t *s = &self->plan->segments[segment];
    *lane = (rk_lane_t){.segment = segment,
                        .next = rk_reducer_owner (self->plan, segment, (self->cluster + 1) % self->n),
                        .previous = rk_reducer_owner (self->plan, segment, (self->cluster + self->n - 1) % self->n),
                        .pieces = self->pieces + (size_t) self->n_lanes * self->n,
                        .whole = {.lo = s->lo - base, .n = s->hi - s->lo, .first_part = self->mix.n_parts},
                        .pair = self->n == 2 && s->hi - s->lo <= RK_REDUCER_PAIR};
    self->mix.n_parts += rk_reducer_n_parts (lane->whole.n);
    for (uint32_t p = 0; p < self->n; p++) {
        uint64_t lo, hi;
        rk_plan_piece (self->plan, segment, p, &lo, &hi);
        if (lane->pair) {
            hi = s->hi;
            lo = p == 0 ? s->lo : hi;
        }
        lane->pieces[p] = (rk_piece_t){.lo = lo - base, .n = hi - lo, .first_part = self->n_parts};
        self->n_parts += rk_reducer_n_parts (hi - lo);
    }
    if (lane->pair)
        self->n_arrivals += rk_reducer_n_parts (lane->whole.n);
    for (uint32_t t = 0; !lane->pair && t < rk_ring_n_steps (self->n); t++)
        self->n_arrivals += rk_reducer_n_parts (lane->pieces[rk_ring_step (self->cluster, self->n, t).receive_piece].n);
}

static rk_err_t s_make_lanes (rk_reducer_self_t *self, uint32_t index, rk_error_t *err)
{
    const rk_plan_t *plan = self->plan;
    self->lanes = calloc (plan->n_segments + 1, sizeof *self->lanes);
    self->pieces = calloc ((size_t) plan->n_segments * self->n + 1, sizeof *self->pieces);
    self->lane_of = calloc (plan->n_segments + 1, sizeof *self->lane_of);
    if (!self->lanes || !self->pieces || !self->lane_of)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u segments", plan->n_segments);
    for (uint32_t s = 0; s < plan->n_segments; s++) {
        self->lane_of[s] = UINT32_MAX;
        if (plan->owners[plan->segments[s].first_owner + self->cluster] != index)
            continue;
        s_make_lane (self, &self->lanes[self->n_lanes], s, plan->stages[index].flat_lo);
        self->lane_of[s] = self->n_lanes++;
    }
    return RK_OK;
}

/* ---- memory */

static rk_err_t s_make_memory (rk_reducer_self_t *self, rk_error_t *err)
{
    size_t parts = (size_t) self->n_planes * self->n_parts, buffers = ACCUMULATORS;
    uint64_t arrivals = self->n_planes * self->n_arrivals;
    if (self->mix.graph) { /* the merged model, what is sent and what is mixed, each with its like on the way back */
        buffers = 3 * ACCUMULATORS + (self->mix.push ? 1 : 0);
        arrivals += (uint64_t) self->n_planes * self->mix.n_parts * self->mix.slots;
    }
    if (arrivals > UINT32_MAX / 4)
        return rk_error_set (err, RK_EPLAN, "%llu chunks in one round", (unsigned long long) arrivals);
    self->capacity = (uint32_t) (2 * arrivals + 1);
    self->got = calloc (parts + 1, 1);
    self->aligned = rk_arena_pages (self->n_planes * self->n_flat * sizeof (float));
    self->parked = calloc (self->capacity, sizeof *self->parked);
    rk_err_t code = rk_buffers_new (&self->accumulators, buffers, self->n_planes * self->stride * sizeof (float),
                                    parts * sizeof (rk_part_lend_t));
    if (code != RK_OK || !self->got || !self->aligned || !self->parked)
        return rk_error_set (err, RK_ENOMEM, "no memory to average %u planes of %zu floats", self->n_planes, self->n_flat);
    return RK_OK;
}

/* ---- open and close */

rk_err_t rk_reducer_open (void *self_, rk_loop_t *loop, const void *config_, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    const rk_reducer_config_t *config = config_;
    self->loop = loop;
    self->corrupt = config->corrupt;
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan");
    self->next_round = self->plan->first_round;
    uint32_t index;
    code = s_identify (self, config->node, &index, err);
    if (code == RK_OK)
        code = s_make_lanes (self, index, err);
    if (code == RK_OK)
        code = rk_mixer_open (self, err);
    if (code == RK_OK)
        code = s_make_memory (self, err);
    if (code != RK_OK || !rk_loop_connected (loop, RK_TO_COORDINATOR))
        return code;
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}};
    return rk_loop_send (loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

void rk_reducer_close (void *self_)
{
    rk_reducer_self_t *self = self_;
    rk_reducer_drop_snapshot (self);
    for (uint32_t i = 0; i < self->parked_end; i++)
        if (self->parked[i].used)
            rk_reducer_unpark (self, &self->parked[i]);
    rk_mixer_close (self);
    rk_buffer_unref (self->acc);
    rk_buffers_destroy (&self->accumulators);
    free (self->lanes);
    free (self->pieces);
    free (self->lane_of);
    free (self->got);
    rk_arena_pages_free (self->aligned, self->n_planes * self->n_flat * sizeof (float));
    free (self->parked);
    rk_plan_destroy (&self->plan);
    memset (self, 0, sizeof *self);
}
