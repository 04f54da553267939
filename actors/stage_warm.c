/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/stage_parts.h"

#include "compute/arena.h"

#define PART 65536 /* floats a plane: small, since gradients travel on the same connection */
#define WINDOW 2   /* parts under way */

/* ---- who */
void rk_stage_warm_open (rk_stage_t *self)
{
    rk_stage_warm_t *warm = &self->warm;
    const rk_plan_t *plan = self->plan;
    for (uint32_t k = 0; rk_handover_warm (plan, self->index, k) != RK_NO_NODE; k++)
        warm->guardians[warm->n_guardians++] = rk_address (RK_ACTOR_STAGE, plan->stages[rk_handover_warm (plan, self->index, k)].node);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t i = 0; i < plan->clusters[c].n_stages; i++) {
            const rk_plan_stage_t *stage = rk_plan_stage (plan, c, i);
            const uint32_t of = (uint32_t) (stage - plan->stages);
            for (uint32_t k = 0; rk_handover_warm (plan, of, k) != RK_NO_NODE; k++)
                if (rk_handover_warm (plan, of, k) == self->index)
                    warm->wards[warm->n_wards++] = (rk_stage_ward_t){.stage = of, .address = rk_address (RK_ACTOR_STAGE, stage->node),
                                                                     .cluster = c, .lo = stage->flat_lo, .hi = stage->flat_hi};
        }
}

void rk_stage_warm_close (rk_stage_t *self)
{
    for (uint32_t w = 0; w < self->warm.n_wards; w++)
        for (int i = 0; i < RK_WARM_COPIES; i++)
            for (int p = 0; p < RK_N_PLANES; p++)
                free (self->warm.wards[w].copies[i].planes[p]);
    self->warm = (rk_stage_warm_t){.n_wards = 0};
}

void rk_stage_warm_forget (rk_stage_t *self)
{
    for (uint32_t w = 0; w < self->warm.n_wards; w++) {
        self->warm.wards[w].into = NULL;
        self->warm.wards[w].offered = 0;
    }
    memset (self->warm.rounds, 0, sizeof self->warm.rounds);
}

static rk_stage_ward_t *s_ward_at (rk_stage_t *self, uint32_t address)
{
    for (uint32_t w = 0; w < self->warm.n_wards; w++)
        if (self->warm.wards[w].address == address)
            return &self->warm.wards[w];
    return NULL;
}

rk_stage_ward_t *rk_stage_warm_ward (rk_stage_t *self, uint32_t replica, uint64_t lo, uint64_t n)
{
    for (uint32_t w = 0; w < self->warm.n_wards; w++) {
        rk_stage_ward_t *ward = &self->warm.wards[w];
        if (ward->cluster == replica && ward->lo <= lo && lo + n <= ward->hi)
            return ward;
    }
    return NULL;
}

const rk_warm_copy_t *rk_stage_warm_copy (const rk_stage_ward_t *ward, uint64_t rounds)
{
    for (int i = 0; i < RK_WARM_COPIES; i++)
        if (ward->copies[i].full && ward->copies[i].rounds == rounds)
            return &ward->copies[i];
    return NULL;
}

/* ---- as ward */
static rk_err_t s_tell (rk_stage_t *self, uint64_t round, double distance, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_ROUND_APPLIED, .round_applied = {.round = round, .stage = self->index, .distance = distance}};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

rk_err_t rk_stage_warm_applied (rk_stage_t *self, uint64_t round, double distance, rk_error_t *err)
{
    rk_stage_warm_t *warm = &self->warm;
    if (!warm->n_guardians)
        return s_tell (self, round, distance, err);
    warm->rounds[round % RK_WARM_ROUNDS] = (rk_warm_round_t){.round = round, .distance = distance, .lacks = (1u << warm->n_guardians) - 1};
    rk_msg_t msg = {.kind = RK_MSG_HANDOVER,
                    .handover = {.rounds = round + 1, .replica = self->cluster, .flat_lo = self->plan->stages[self->index].flat_lo,
                                 .source = RK_HANDOVER_STAGE, .exact = true, .loss_scale = 1}};
    rk_err_t code = RK_OK;
    for (uint32_t k = 0; k < warm->n_guardians && code == RK_OK; k++)
        code = rk_loop_send (self->loop, warm->guardians[k], &msg, NULL, 0, err);
    return code;
}

rk_err_t rk_stage_on_round_applied (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    rk_warm_round_t *r = &self->warm.rounds[packet->msg.round_applied.round % RK_WARM_ROUNDS];
    if (self->stopped)
        return RK_OK;
    for (uint32_t k = 0; k < self->warm.n_guardians; k++)
        if (self->warm.guardians[k] == packet->msg.sender && r->round == packet->msg.round_applied.round && r->lacks & (1u << k)) {
            r->lacks &= ~(1u << k);
            return r->lacks ? RK_OK : s_tell (self, r->round, r->distance, err);
        }
    return rk_error_set (err, RK_ESTALE, "a copy of the state after round %llu at %s %u, which nobody here waits for",
                         (unsigned long long) packet->msg.round_applied.round, rk_actor_kind_name (rk_address_kind (packet->msg.sender)),
                         rk_address_node (packet->msg.sender));
}

/* ---- as guardian */

/* A copy that is older than what is committed, or was never used; NULL: both are needed still. */
static rk_warm_copy_t *s_room (const rk_stage_t *self, rk_stage_ward_t *ward)
{
    for (int i = 0; i < RK_WARM_COPIES; i++)
        if (!ward->copies[i].full || ward->copies[i].rounds < self->keep.committed)
            return &ward->copies[i];
    return NULL;
}

static rk_err_t s_begin (rk_stage_t *self, rk_stage_ward_t *ward, rk_error_t *err)
{
    rk_warm_copy_t *copy = s_room (self, ward);
    const size_t n = ward->hi - ward->lo;
    if (!copy)
        return RK_OK;
    for (uint32_t i = 0; i < self->keep.n_planes; i++) {
        float **plane = &copy->planes[self->keep.planes[i]];
        if (!*plane)
            *plane = rk_arena_memory (n * sizeof (float) + 1);
        if (!*plane)
            return rk_error_set (err, RK_ENOMEM, "no memory for a copy of the %zu parameters of node %u", n, rk_address_node (ward->address));
    }
    copy->full = false;
    copy->rounds = ward->offered;
    ward->offered = ward->offered < ward->last ? ward->offered + 1 : 0; /* each in turn: it commits in this order */
    ward->into = copy;
    ward->asked = ward->here = 0;
    return RK_OK;
}

static uint64_t s_part (const rk_stage_ward_t *ward, uint64_t at)
{
    const uint64_t left = ward->hi - ward->lo - at;
    return left < PART ? left : PART;
}

/* Without floats there is one part all the same, for the numbers. */
static rk_err_t s_ask (rk_stage_t *self, rk_stage_ward_t *ward, rk_error_t *err)
{
    const uint64_t n = ward->hi - ward->lo;
    rk_err_t code = RK_OK;
    while (code == RK_OK && ward->asked < n + !n && ward->asked - ward->here < WINDOW * PART) {
        rk_msg_t msg = {.kind = RK_MSG_HANDOVER_REQUEST,
                        .handover_request = {.rounds = ward->into->rounds, .replica = ward->cluster, .flat_lo = n ? ward->lo + ward->asked : ward->lo,
                                             .n_floats = n ? s_part (ward, ward->asked) : 0}};
        ward->asked += n ? msg.handover_request.n_floats : 1;
        code = rk_loop_send (self->loop, ward->address, &msg, NULL, 0, err);
    }
    return code;
}

rk_err_t rk_stage_warm_fetch (rk_stage_t *self, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (uint32_t w = 0; w < self->warm.n_wards && code == RK_OK && !self->stopped; w++) {
        rk_stage_ward_t *ward = &self->warm.wards[w];
        if (!ward->into && ward->offered)
            code = s_begin (self, ward, err);
        if (code == RK_OK && ward->into)
            code = s_ask (self, ward, err);
    }
    return code;
}

static rk_err_t s_complete (rk_stage_t *self, rk_stage_ward_t *ward, const rk_handover_t *h, rk_error_t *err)
{
    rk_warm_copy_t *copy = ward->into;
    copy->steps = h->steps;
    copy->n_good = h->n_good;
    copy->loss_scale = h->loss_scale;
    copy->frozen = h->frozen;
    copy->full = true;
    ward->into = NULL;
    rk_msg_t msg = {.kind = RK_MSG_ROUND_APPLIED, .round_applied = {.round = copy->rounds - 1, .stage = ward->stage}};
    rk_err_t code = rk_loop_send (self->loop, ward->address, &msg, NULL, 0, err);
    return code == RK_OK ? rk_stage_warm_fetch (self, err) : code;
}

static rk_err_t s_take (rk_stage_t *self, rk_stage_ward_t *ward, const rk_packet_t *packet, rk_error_t *err)
{
    const rk_handover_t *h = &packet->msg.handover;
    const uint64_t n = ward->hi - ward->lo;
    if (!ward->into || h->replica != ward->cluster || h->flat_lo != ward->lo + ward->here || h->n_floats != s_part (ward, ward->here))
        return rk_error_set (err, RK_ESTALE, "floats %llu + %llu of replica %u, which no copy here waits for",
                             (unsigned long long) h->flat_lo, (unsigned long long) h->n_floats, h->replica);
    if (h->rounds != ward->into->rounds || h->n_planes != self->keep.n_planes || packet->n_frames != (int) h->n_planes)
        return rk_error_set (err, RK_EPEER, "node %u offered its state after %llu rounds, and has that after %llu in %u vectors of %u",
                             rk_address_node (ward->address), (unsigned long long) ward->into->rounds, (unsigned long long) h->rounds,
                             h->n_planes, self->keep.n_planes);
    for (uint32_t i = 0; i < self->keep.n_planes; i++)
        memcpy (ward->into->planes[self->keep.planes[i]] + ward->here, zmq_msg_data ((zmq_msg_t *) &packet->frame[i]), h->n_floats * sizeof (float));
    ward->here += h->n_floats;
    return ward->here < n ? s_ask (self, ward, err) : s_complete (self, ward, h, err);
}

bool rk_stage_warm_take (rk_stage_t *self, const rk_packet_t *packet, rk_err_t *code, rk_error_t *err)
{
    const rk_handover_t *h = &packet->msg.handover;
    rk_stage_ward_t *ward = s_ward_at (self, packet->msg.sender);
    if (!ward)
        return false;
    *code = RK_OK;
    if (self->stopped)
        return true;
    if (h->n_planes || h->n_floats) {
        *code = s_take (self, ward, packet, err);
        return true;
    }
    if (h->rounds && h->rounds != UINT64_MAX && !rk_stage_warm_copy (ward, h->rounds)) {
        ward->offered = ward->offered ? ward->offered : h->rounds;
        ward->last = h->rounds;
        *code = rk_stage_warm_fetch (self, err);
    }
    return true;
}
