/* SPDX-License-Identifier: MPL-2.0
 * What waits to be sent is a set of flags per member, so memory is fixed and whatever is lost is asked for again.
 * rk_membership_look is the one place that moves from state to state; events only change what it sees.    */
#include "cluster/membership_parts.h"

#include <stdlib.h>
#include <string.h>

#define ASLEEP_MS (5 * RK_HEARTBEAT_MS) /* a tick so late means that this process itself did not run */

/* ---- life */
rk_err_t rk_membership_set (rk_membership_value_t *value, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc (size ? size : 1);
    if (!copy)
        return RK_ENOMEM;
    memcpy (copy, bytes, size);
    free (value->bytes);
    *value = (rk_membership_value_t){copy, size};
    return RK_OK;
}

uint32_t rk_membership_index (const rk_membership_t *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->view->members[i].id == id)
            return i;
    return m->n;
}

static rk_err_t s_make_paxos (rk_membership_t *m, rk_error_t *err)
{
    uint32_t *ids = calloc (m->n, sizeof *ids);
    if (!ids)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u members", m->n);
    for (uint32_t i = 0; i < m->n; i++)
        ids[i] = m->view->members[i].id;
    const rk_paxos_config_t config = {.view = m->view->number,
                                      .self = m->config.self,
                                      .members = ids,
                                      .n_members = m->n,
                                      .retry_ms = m->config.retry_ms,
                                      .seed = m->config.seed,
                                      .corrupt = m->config.corrupt};
    rk_err_t rc = rk_paxos_new (&m->paxos, &config, err);
    free (ids);
    return rc;
}

static rk_err_t s_watch (rk_membership_t *m, int64_t now_ms)
{
    rk_err_t rc = rk_member_new (&m->clock, m->n);
    for (uint32_t i = 0; !rc && i < m->n; i++) {
        const uint32_t id = m->view->members[i].id;
        if (i == m->self)
            continue;
        rc = rk_member_join (m->clock, id, now_ms);
        if (m->config.before)
            rk_member_learn (m->clock, id, m->config.before->clock);
    }
    return rc;
}

static rk_err_t s_fill (rk_membership_t *m, int64_t now_ms, rk_error_t *err)
{
    const rk_membership_config_t *c = &m->config;
    rk_err_t rc = rk_view_copy (&m->view, c->view);
    if (rc)
        return rk_error_set (err, rc, "no memory for a view of %u members", c->view->n_members);
    m->n = m->view->n_members;
    m->self = rk_membership_index (m, c->self);
    m->asked_by = m->early = m->n;
    if (m->self == m->n)
        return rk_error_set (err, RK_EINVAL, "process %u is no member of view %llu", c->self,
                             (unsigned long long) m->view->number);
    m->peers = calloc (m->n, sizeof *m->peers);
    m->dead_ids = calloc (m->n, sizeof *m->dead_ids);
    if (!m->peers || !m->dead_ids || s_watch (m, now_ms) ||
        (c->decision && rk_membership_set (&m->decision, c->decision, c->decision_size)))
        return rk_error_set (err, RK_ENOMEM, "no memory for %u members", m->n);
    m->config.view = m->view;
    m->config.before = NULL;
    m->config.decision = m->decision.bytes;
    m->since_ms = m->ticked_ms = now_ms;
    return s_make_paxos (m, err);
}

rk_err_t rk_membership_new (rk_membership_t **membership_p, const rk_membership_config_t *config, int64_t now_ms,
                            rk_error_t *err)
{
    *membership_p = NULL;
    rk_membership_t *m = calloc (1, sizeof *m);
    if (!m)
        return rk_error_set (err, RK_ENOMEM, "no memory for a membership");
    m->config = *config;
    rk_err_t rc = s_fill (m, now_ms, err);
    if (rc)
        rk_membership_destroy (&m);
    *membership_p = m;
    return rc;
}

void rk_membership_destroy (rk_membership_t **membership_p)
{
    rk_membership_t *m = *membership_p;
    if (!m)
        return;
    for (uint32_t i = 0; m->peers && i < m->n; i++)
        free (m->peers[i].answer.bytes);
    free (m->peers);
    free (m->dead_ids);
    free (m->decision.bytes);
    free (m->decided.bytes);
    rk_paxos_destroy (&m->paxos);
    rk_member_destroy (&m->clock);
    rk_view_destroy (&m->view);
    free (m);
    *membership_p = NULL;
}

/* ---- who is alive */
bool rk_membership_alive (const rk_membership_t *m, uint32_t i, int64_t now_ms)
{
    if (i == m->self)
        return true;
    const uint32_t id = m->view->members[i].id;
    return !m->peers[i].dead && !rk_member_is_suspected (m->clock, id, now_ms);
}

/* The lowest that is alive; a witness only when nobody else is. */
uint32_t rk_membership_lowest (const rk_membership_t *m, int64_t now_ms)
{
    uint32_t witness = m->n;
    for (uint32_t i = 0; i < m->n; i++) {
        if (!rk_membership_alive (m, i, now_ms))
            continue;
        if (!m->view->members[i].witness)
            return i;
        witness = witness < m->n ? witness : i;
    }
    return witness;
}

bool rk_membership_bury (rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    if (i == m->n || i == m->self || m->peers[i].dead)
        return false;
    m->peers[i].dead = true;
    m->peers[i].due = 0;
    m->dead_ids[m->n_dead++] = id;
    rk_member_leave (m->clock, id);
    rk_paxos_dead (m->paxos, id, now_ms);
    return true;
}

/* ---- from state to state */
void rk_membership_enter (rk_membership_t *m, rk_membership_state_t state, int64_t now_ms)
{
    if (m->state == state)
        return;
    m->state = state;
    m->since_ms = now_ms;
}

bool rk_membership_over (const rk_membership_t *m)
{
    return m->state == RK_MEMBERSHIP_DECIDED || m->state == RK_MEMBERSHIP_LEFT;
}

static bool s_needs_change (const rk_membership_t *m, int64_t now_ms)
{
    bool change = m->wants || m->stopped || m->must_stop;
    for (uint32_t i = 0; i < m->n && !change; i++)
        change = m->peers[i].leaving || m->peers[i].cut || !rk_membership_alive (m, i, now_ms);
    return change;
}

/* Those who may still answer. */
bool rk_membership_waits_for (const rk_membership_t *m, uint32_t i, int64_t now_ms)
{
    if (i == m->self)
        return !m->stopped;
    return !m->peers[i].answer.bytes && rk_membership_alive (m, i, now_ms) && now_ms < m->survey_end_ms;
}

bool rk_membership_has_answered (const rk_membership_t *m, uint32_t i, int64_t now_ms)
{
    return i == m->self ? m->stopped : m->peers[i].answer.bytes && rk_membership_alive (m, i, now_ms);
}

/* Enough to decide with: those who have answered, and the dead who have no vote to come. */
uint32_t rk_membership_lacks (const rk_membership_t *m, int64_t now_ms)
{
    rk_vote_t votes[RK_VIEW_MAX_MEMBERS];
    for (uint32_t i = 0; i < m->n; i++)
        votes[i] = m->peers[i].dead                            ? RK_VOTE_DEAD
                   : rk_membership_has_answered (m, i, now_ms) ? RK_VOTE_YES
                                                               : RK_VOTE_NONE;
    return rk_quorum (votes, m->n) ? 0 : rk_quorum_lacks (votes, m->n) ? rk_quorum_lacks (votes, m->n) : 1;
}

static void s_ask (rk_membership_t *m, int64_t now_ms)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (i != m->self && !m->peers[i].dead && !m->peers[i].answer.bytes)
            m->peers[i].due |= RK_DUE_SURVEY;
    m->ask_ms = now_ms + m->config.retry_ms;
}

/* Having stopped, this member needs somebody who makes the next view; that one may not know. */
static void s_nag (rk_membership_t *m, int64_t now_ms)
{
    const uint32_t first = rk_membership_lowest (m, now_ms);
    if (first != m->self)
        m->peers[first].due |= RK_DUE_SURVEY;
    m->ask_ms = now_ms + m->config.retry_ms;
}

void rk_membership_stop (rk_membership_t *m, int64_t now_ms)
{
    m->must_stop = !m->stopped;
    rk_membership_enter (m, RK_MEMBERSHIP_SURVEY, now_ms);
}

void rk_membership_begin_survey (rk_membership_t *m, int64_t now_ms)
{
    m->surveys = true;
    m->asked_by = m->n;
    m->survey_end_ms = now_ms + m->config.survey_ms;
    rk_membership_stop (m, now_ms);
    s_ask (m, now_ms);
}

void rk_membership_obey (rk_membership_t *m, uint32_t from, int64_t now_ms)
{
    m->early = m->n;
    if (m->surveys)
        rk_membership_give_way (m, now_ms);
    m->asked_by = from;
    rk_membership_stop (m, now_ms);
    if (m->stopped)
        m->peers[from].due |= RK_DUE_STANDING;
}

/* Another, lower one is heard: it surveys. */
void rk_membership_give_way (rk_membership_t *m, int64_t now_ms)
{
    m->surveys = false;
    rk_paxos_withdraw (m->paxos);
    rk_membership_enter (m, m->stopped || m->must_stop ? RK_MEMBERSHIP_SURVEY : RK_MEMBERSHIP_STEADY, now_ms);
}

static void s_look_at_survey (rk_membership_t *m, int64_t now_ms)
{
    bool waits = false;
    for (uint32_t i = 0; i < m->n && !waits; i++)
        waits = rk_membership_waits_for (m, i, now_ms);
    const bool enough = m->stopped && !rk_membership_lacks (m, now_ms);
    if (waits && m->state != RK_MEMBERSHIP_PARKED)
        return;
    if (!m->stopped)
        return;
    rk_membership_enter (m, enough ? RK_MEMBERSHIP_PROPOSE : RK_MEMBERSHIP_PARKED, now_ms);
}

/* What was proposed is not decided, and who was to go on is silent or dead: the others are asked anew, and the next ballot is
 * for what they say. If the first proposal may have been chosen, Paxos sees to it that it is what is decided. */
static void s_look_at_proposal (rk_membership_t *m, int64_t now_ms)
{
    bool outdated = false;
    for (uint32_t i = 0; i < m->n && !outdated; i++)
        outdated = m->peers[i].proposed && !rk_membership_alive (m, i, now_ms);
    if (!outdated)
        return;
    rk_paxos_withdraw (m->paxos);
    rk_membership_begin_survey (m, now_ms);
}

void rk_membership_look (rk_membership_t *m, int64_t now_ms)
{
    if (rk_membership_over (m))
        return;
    size_t size;
    const uint8_t *decided = rk_paxos_decided (m->paxos, &size);
    if (decided && (m->decided.bytes || !rk_membership_set (&m->decided, decided, size))) {
        rk_membership_enter (m, RK_MEMBERSHIP_DECIDED, now_ms);
        return;
    }
    const uint32_t first = rk_membership_lowest (m, now_ms);
    if (first != m->self && first == m->early)
        rk_membership_obey (m, first, now_ms);
    if (first != m->self) {
        if (m->surveys)
            rk_membership_give_way (m, now_ms);
        return;
    }
    if (!m->surveys && m->state == RK_MEMBERSHIP_STEADY)
        rk_membership_mend (m, now_ms);
    if (!m->surveys && s_needs_change (m, now_ms))
        rk_membership_begin_survey (m, now_ms);
    if (m->surveys && m->state == RK_MEMBERSHIP_AGREEING)
        s_look_at_proposal (m, now_ms);
    if (m->surveys && m->state != RK_MEMBERSHIP_AGREEING)
        s_look_at_survey (m, now_ms);
}

/* ---- events */
void rk_membership_heard (rk_membership_t *m, uint32_t id, bool hears_us, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    if (i == m->n || i == m->self || m->peers[i].dead)
        return;
    m->peers[i].deaf = !hears_us;
    m->peers[i].arrived_ms = now_ms;
    if (hears_us)
        rk_member_heard (m->clock, id, now_ms);
    rk_membership_look (m, now_ms);
}

void rk_membership_dead (rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    if (rk_membership_bury (m, id, now_ms))
        rk_membership_look (m, now_ms);
}

void rk_membership_hung_up (rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    rk_member_hung_up (m->clock, id, now_ms);
}

uint32_t rk_membership_ask (rk_membership_t *m, int64_t now_ms)
{
    return rk_membership_over (m) ? UINT32_MAX : rk_member_ask (m->clock, now_ms);
}

void rk_membership_refused (rk_membership_t *m, uint32_t id, int64_t asked_ms, int64_t now_ms)
{
    if (rk_member_refused (m->clock, id, asked_ms))
        rk_membership_look (m, now_ms);
}

void rk_membership_want (rk_membership_t *m, int64_t now_ms)
{
    m->wants = true;
    rk_membership_look (m, now_ms);
}

void rk_membership_leaving (rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    if (i < m->n)
        m->peers[i].leaving = true;
    rk_membership_look (m, now_ms);
}

rk_err_t rk_membership_standing (rk_membership_t *m, const uint8_t *bytes, size_t size, int64_t now_ms)
{
    if (m->stopped)
        return RK_OK;
    rk_err_t rc = rk_membership_set (&m->peers[m->self].answer, bytes, size);
    if (rc)
        return rc;
    m->stopped = true;
    m->must_stop = false;
    if (m->asked_by < m->n)
        m->peers[m->asked_by].due |= RK_DUE_STANDING;
    rk_membership_look (m, now_ms);
    return RK_OK;
}

rk_err_t rk_membership_propose (rk_membership_t *m, const uint8_t *bytes, size_t size, int64_t now_ms)
{
    if (m->state != RK_MEMBERSHIP_PROPOSE)
        return RK_ESTATE;
    rk_err_t rc = rk_paxos_propose (m->paxos, bytes, size, now_ms);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < m->n; i++)
        m->peers[i].proposed = rk_membership_goes_on (m, m->view->members[i].id, now_ms);
    rk_membership_enter (m, RK_MEMBERSHIP_AGREEING, now_ms);
    rk_membership_look (m, now_ms);
    return RK_OK;
}

/* ---- time */
static bool s_asks (const rk_membership_t *m)
{
    return m->surveys || m->stopped || m->must_stop;
}

void rk_membership_tick (rk_membership_t *m, int64_t now_ms)
{
    const int64_t gap = now_ms - m->ticked_ms;
    m->ticked_ms = now_ms;
    if (gap > ASLEEP_MS)
        rk_member_excuse (m->clock, gap - RK_HEARTBEAT_MS, now_ms);
    if (rk_membership_over (m))
        return;
    if (s_asks (m) && now_ms >= m->ask_ms)
        (m->surveys ? s_ask : s_nag) (m, now_ms);
    rk_paxos_tick (m->paxos, now_ms);
    rk_membership_look (m, now_ms);
}

int64_t rk_membership_next_ms (const rk_membership_t *m, int64_t now_ms)
{
    if (rk_membership_over (m))
        return INT64_MAX;
    int64_t next = now_ms + RK_HEARTBEAT_MS; /* often enough to notice that this process was asleep */
    if (s_asks (m) && m->ask_ms < next)
        next = m->ask_ms;
    const int64_t paxos = rk_paxos_next_ms (m->paxos), ask = rk_member_next_ask_ms (m->clock);
    next = ask < next ? ask : next;
    return paxos < next ? paxos : next;
}

/* ---- questions */
rk_membership_state_t rk_membership_state (const rk_membership_t *m)
{
    return m->state;
}

bool rk_membership_must_stop (const rk_membership_t *m)
{
    return m->must_stop;
}

bool rk_membership_goes_on (const rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    return i < m->n && rk_membership_has_answered (m, i, now_ms) && !m->peers[i].leaving && !m->peers[i].cut;
}

const uint8_t *rk_membership_answer (const rk_membership_t *m, uint32_t id, size_t *size)
{
    const uint32_t i = rk_membership_index (m, id);
    *size = i < m->n ? m->peers[i].answer.size : 0;
    return i < m->n ? m->peers[i].answer.bytes : NULL;
}

const uint8_t *rk_membership_decided (const rk_membership_t *m, size_t *size)
{
    *size = m->decided.size;
    return m->decided.bytes;
}

uint32_t rk_membership_first (const rk_membership_t *m, int64_t now_ms)
{
    return m->view->members[rk_membership_lowest (m, now_ms)].id;
}

bool rk_membership_is_alive (const rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    return i < m->n && rk_membership_alive (m, i, now_ms);
}

bool rk_membership_is_dead (const rk_membership_t *m, uint32_t id)
{
    const uint32_t i = rk_membership_index (m, id);
    return i == m->n || m->peers[i].dead;
}

bool rk_membership_is_refused (const rk_membership_t *m, uint32_t id)
{
    return rk_member_is_refused (m->clock, id);
}

int64_t rk_membership_silent_ms (const rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    return rk_member_silent_ms (m->clock, id, now_ms);
}

int64_t rk_membership_deadline_ms (const rk_membership_t *m, uint32_t id)
{
    return rk_member_deadline_ms (m->clock, id);
}

int64_t rk_membership_since_ms (const rk_membership_t *m)
{
    return m->since_ms;
}
