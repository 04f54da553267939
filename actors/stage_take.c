/* SPDX-License-Identifier: MPL-2.0
 * Taking over a state from those who have it, part by part, some parts under way from each donor at once. When a donor is
 * lost a next view begins, whose stage asks this one first: only parts that were not here yet are lost with it. */
#include "actors/stage_parts.h"

#define WINDOW 8 /* parts under way from one donor */

/* ---- what is to come */

/* Where float `at` of the model lies in this stage's versions; false: neither in its range nor in its copy of a tied one. */
static bool s_place (const rk_stage_t *self, uint64_t lo, uint64_t n, size_t *at)
{
    const rk_plan_stage_t *own = &self->plan->stages[self->index];
    const rk_tie_t *tie = rk_model_tie (self->model);
    if (lo >= own->flat_lo && lo + n <= own->flat_hi) {
        *at = lo - own->flat_lo;
        return true;
    }
    if (!self->n_tied || lo < tie->offset || lo + n > tie->offset + self->n_tied)
        return false;
    *at = self->n_flat + (lo - tie->offset);
    return true;
}

static size_t s_count_parts (const rk_stage_donor_t *donor)
{
    return donor->hi > donor->lo ? (donor->hi - donor->lo + RK_STAGE_PART - 1) / RK_STAGE_PART : 1;
}

/* One with nothing in it comes for the numbers alone. */
static void s_cut (rk_stage_take_t *take, uint32_t donor)
{
    const rk_stage_donor_t *d = &take->donors[donor];
    size_t n = s_count_parts (d);
    for (size_t i = 0; i < n; i++) {
        uint64_t lo = d->lo + i * RK_STAGE_PART, left = d->hi - lo;
        take->parts[take->n_parts++] = (rk_stage_part_t){.donor = donor, .lo = lo, .half = take->half != 0,
                                                         .n = left < RK_STAGE_PART ? left : RK_STAGE_PART};
    }
}

/* Ranges of donors, in any order, that do not overlap and add up to everything. */
static rk_err_t s_check (const rk_stage_t *self, const rk_stage_config_t *config, size_t *n_parts, rk_error_t *err)
{
    uint64_t sum = 0;
    *n_parts = 0;
    for (size_t i = 0; i < config->n_donors; i++) {
        const rk_stage_donor_t *d = &config->donors[i];
        size_t at;
        if (d->lo > d->hi || !s_place (self, d->lo, d->hi - d->lo, &at))
            return rk_error_set (err, RK_EINVAL, "a donor of floats %llu to %llu, which this stage has no place for",
                                 (unsigned long long) d->lo, (unsigned long long) d->hi);
        sum += d->hi - d->lo;
        *n_parts += s_count_parts (d);
    }
    if (sum != self->n_flat + self->n_tied)
        return rk_error_set (err, RK_EINVAL, "donors of %llu floats, this stage has %zu", (unsigned long long) sum,
                             self->n_flat + self->n_tied);
    return RK_OK;
}

static rk_err_t s_allocate (rk_stage_t *self, const rk_stage_config_t *config, size_t n_parts)
{
    rk_stage_take_t *take = &self->keep.take;
    take->donors = calloc (config->n_donors, sizeof *take->donors);
    take->n_asked = calloc (config->n_donors, sizeof *take->n_asked);
    take->parts = calloc (n_parts, sizeof *take->parts);
    rk_error_t ignored;
    take->params = rk_stage_take_version (self, &ignored);
    take->mixture = self->mix.late ? rk_stage_take_version (self, &ignored) : NULL;
    if (!take->donors || !take->n_asked || !take->parts || !take->params || (self->mix.late && !take->mixture))
        return RK_ENOMEM;
    memcpy (take->donors, config->donors, config->n_donors * sizeof *take->donors);
    take->n_donors = config->n_donors;
    return RK_OK;
}

rk_err_t rk_stage_take_begin (rk_stage_t *self, const rk_stage_config_t *config, rk_error_t *err)
{
    rk_stage_take_t *take = &self->keep.take;
    size_t n_parts;
    rk_err_t code = s_check (self, config, &n_parts, err);
    if (code != RK_OK)
        return code;
    code = s_allocate (self, config, n_parts);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory to take over %zu parameters", self->n_flat);
    take->half = config->half;
    for (size_t i = 0; i < take->n_donors; i++)
        s_cut (take, (uint32_t) i);
    take->n_missing = take->n_parts;
    take->rounds = self->plan->first_round;
    take->loss_scale = 1;
    take->on = self->keep.taken = true;
    return RK_OK;
}

void rk_stage_take_close (rk_stage_t *self)
{
    rk_stage_take_t *take = &self->keep.take;
    rk_buffer_unref (take->params);
    rk_buffer_unref (take->mixture);
    free (take->donors);
    free (take->n_asked);
    free (take->parts);
    *take = (rk_stage_take_t){.on = false};
}

/* ---- asking */
static rk_err_t s_ask (rk_stage_t *self, rk_stage_part_t *part, rk_error_t *err)
{
    rk_stage_take_t *take = &self->keep.take;
    const rk_stage_donor_t *donor = &take->donors[part->donor];
    const uint32_t address = part->half ? take->half : donor->address;
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER_REQUEST,
                    .handover_request = {.rounds = take->rounds, .flat_lo = part->lo, .n_floats = part->n,
                                         .replica = part->half && donor->alike ? RK_NO_NODE : donor->replica}};
    rk_err_t code = rk_loop_listen (self->loop, address, err);
    if (code != RK_OK)
        return code;
    take->began_ns = take->began_ns ? take->began_ns : rk_now_ns ();
    part->state = RK_PART_ASKED;
    ++*(part->half ? &take->n_half : &take->n_asked[part->donor]);
    return rk_loop_send (self->loop, address, &msg, NULL, 0, err);
}

static bool s_may_ask (const rk_stage_t *self, const rk_stage_part_t *part)
{
    const rk_stage_take_t *take = &self->keep.take;
    if (part->state != RK_PART_WANTED)
        return false;
    return part->half ? take->n_half < WINDOW && rk_loop_connected (self->loop, take->half)
                      : take->n_asked[part->donor] < WINDOW && rk_loop_connected (self->loop, take->donors[part->donor].address);
}

rk_err_t rk_stage_take_ask (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_take_t *take = &self->keep.take;
    rk_err_t code = RK_OK;
    for (size_t i = 0; i < take->n_parts && code == RK_OK; i++)
        if (s_may_ask (self, &take->parts[i]))
            code = s_ask (self, &take->parts[i], err);
    return code;
}

/* ---- giving what has come */
static bool s_has_come (const rk_stage_take_t *take, uint32_t replica, uint64_t lo, uint64_t n)
{
    const uint64_t end = lo + n;
    for (bool more = true; more && lo < end;) { /* parts of one donor ascend, donors' ranges are in any order */
        more = false;
        for (size_t i = 0; i < take->n_parts && lo < end; i++) {
            const rk_stage_part_t *part = &take->parts[i];
            if (part->state == RK_PART_HERE && part->lo <= lo && lo < part->lo + part->n &&
                (replica == RK_NO_NODE || replica == take->donors[part->donor].replica)) {
                lo = part->lo + part->n;
                more = true;
            }
        }
    }
    return lo >= end;
}

int rk_stage_take_give (const rk_stage_t *self, const rk_handover_request_t *want, rk_frame_t *frames)
{
    const rk_stage_take_t *take = &self->keep.take;
    size_t at;
    if (!take->on || want->rounds != take->rounds || want->state_only || !want->n_floats || !s_place (self, want->flat_lo, want->n_floats, &at) ||
        at >= self->n_flat || !s_has_come (take, want->replica, want->flat_lo, want->n_floats))
        return -1;
    for (uint32_t i = 0; i < self->keep.n_planes; i++) {
        const rk_plane_t plane = self->keep.planes[i];
        rk_buffer_t *version = plane == RK_PLANE_PARAMS ? take->params : plane == RK_PLANE_MIXTURE ? take->mixture : NULL;
        const float *from = version ? rk_buffer_floats (version) : rk_stage_plane (self, plane);
        frames[i] = (rk_frame_t){.bytes = from + at, .size = want->n_floats * sizeof (float)}; /* copied: small next to what it saves */
    }
    return (int) self->keep.n_planes;
}

/* ---- what comes */
static rk_stage_part_t *s_find (rk_stage_t *self, const rk_packet_t *packet)
{
    rk_stage_take_t *take = &self->keep.take;
    const rk_handover_t *h = &packet->msg.handover;
    for (size_t i = 0; take->on && i < take->n_parts; i++) {
        rk_stage_part_t *part = &take->parts[i];
        const rk_stage_donor_t *donor = &take->donors[part->donor];
        const bool of_half = part->half && packet->msg.sender == take->half;
        const bool of_donor = !part->half && donor->address == packet->msg.sender && donor->replica == h->replica;
        if (part->state == RK_PART_ASKED && part->lo == h->flat_lo && part->n == h->n_floats && (of_half || of_donor))
            return part;
    }
    return NULL;
}

static void s_take_frames (rk_stage_t *self, rk_packet_t *packet)
{
    rk_stage_take_t *take = &self->keep.take;
    const rk_handover_t *h = &packet->msg.handover;
    size_t at = 0;
    if (!s_place (self, h->flat_lo, h->n_floats, &at))
        return; /* parts have been checked when they were cut */
    for (uint32_t i = 0; i < self->keep.n_planes; i++) {
        const rk_plane_t plane = self->keep.planes[i];
        float *to = plane == RK_PLANE_PARAMS    ? rk_buffer_floats (take->params)
                    : plane == RK_PLANE_MIXTURE ? rk_buffer_floats (take->mixture)
                    : at < self->n_flat         ? rk_stage_plane (self, plane)
                                                : NULL; /* a tied copy is parameters only */
        if (to)
            memcpy (to + at, zmq_msg_data (&packet->frame[i]), h->n_floats * sizeof (float));
        take->bytes += h->n_floats * sizeof (float);
    }
    take->steps = h->steps > take->steps ? h->steps : take->steps;
    take->n_good = h->n_good > take->n_good ? h->n_good : take->n_good;
    take->frozen = take->frozen || h->frozen;
    take->loss_scale = h->loss_scale;
}

static rk_err_t s_finish (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_take_t *take = &self->keep.take;
    const rk_stage_kept_t numbers = {.rounds = take->rounds, .steps = take->steps, .n_good = take->n_good,
                                     .loss_scale = take->loss_scale, .frozen = take->frozen};
    rk_buffer_t *params = take->params, *mixture = take->mixture;
    const size_t n_donors = take->n_donors;
    const uint64_t bytes = take->bytes, before = take->half_bytes;
    const int64_t took_ns = rk_now_ns () - take->began_ns;
    take->params = take->mixture = NULL;
    rk_stage_take_close (self);
    rk_stage_adopt (self, params, mixture, &numbers); /* its round has begun already: minibatches may have come */
    rk_err_t code = rk_stage_keep_end (self, numbers.rounds, err);
    rk_log (RK_LOG_INFO, "TAKEN-OVER", "cluster=%u stage=%u rounds=%llu steps=%llu donors=%zu bytes=%llu before=%llu ms=%lld", self->cluster, self->stage,
            (unsigned long long) numbers.rounds, (unsigned long long) numbers.steps, n_donors, (unsigned long long) bytes,
            (unsigned long long) before, (long long) (took_ns / 1000000));
    return code == RK_OK ? rk_stage_check_round (self, err) : code;
}

rk_err_t rk_stage_on_handover (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    rk_stage_take_t *take = &self->keep.take;
    const rk_handover_t *h = &packet->msg.handover;
    rk_err_t code;
    if (rk_stage_warm_take (self, packet, &code, err))
        return code;
    rk_stage_part_t *part = s_find (self, packet);
    if (!part || self->stopped)
        return self->stopped ? RK_OK : rk_error_set (err, RK_ESTALE, "floats %llu + %llu of replica %u, which nobody here waits for",
                                                     (unsigned long long) h->flat_lo, (unsigned long long) h->n_floats, h->replica);
    if (part->half && !h->n_planes) { /* not all of it has come there */
        part->half = false;
        part->state = RK_PART_WANTED;
        take->n_half--;
        return rk_stage_take_ask (self, err);
    }
    if (h->rounds != take->rounds)
        return rk_error_set (err, RK_EPEER, "the state after %llu rounds is not to be had from %s %u, which has that after %llu",
                             (unsigned long long) take->rounds, rk_actor_kind_name (rk_address_kind (packet->msg.sender)),
                             rk_address_node (packet->msg.sender), (unsigned long long) h->rounds);
    if (h->n_planes != self->keep.n_planes || packet->n_frames != (int) h->n_planes)
        return rk_error_set (err, RK_EPEER, "a state of %u vectors, %u are needed: the settings of the runs differ", h->n_planes,
                             self->keep.n_planes);
    s_take_frames (self, packet);
    part->state = RK_PART_HERE;
    if (part->half)
        take->half_bytes += part->n * self->keep.n_planes * sizeof (float);
    --*(part->half ? &take->n_half : &take->n_asked[part->donor]);
    return --take->n_missing ? rk_stage_take_ask (self, err) : s_finish (self, err);
}
