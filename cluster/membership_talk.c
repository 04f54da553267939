/* SPDX-License-Identifier: MPL-2.0
 * What members say to one another about the next view.                                                    */
#include "cluster/membership_parts.h"

#define SILENT_MS (2 * RK_HEARTBEAT_MS) /* more than a heartbeat is missing */

/* ---- messages */
static void s_tell_late (rk_membership_t *m, uint32_t id, uint64_t view)
{
    for (uint32_t i = 0; i < m->n_late; i++)
        if (m->late[i].id == id)
            return;
    if (m->n_late < RK_MEMBERSHIP_LATE)
        m->late[m->n_late++] = (rk_membership_late_t){id, view};
}

void rk_membership_other_view (rk_membership_t *m, uint32_t from, uint64_t view, int64_t now_ms)
{
    (void) now_ms;
    if (view && view != m->view->number && !rk_membership_over (m))
        s_tell_late (m, from, view);
}

/* Whoever is first here asks soon, or is gone, as `from` must think: its machine is asked, without waiting for silence. */
static void s_doubt_those_before (rk_membership_t *m, uint32_t from, int64_t now_ms)
{
    for (uint32_t i = 0; i < from; i++) {
        const uint32_t id = m->view->members[i].id;
        if (i != m->self && rk_membership_alive (m, i, now_ms) &&
            (m->early != from || rk_member_silent_ms (m->clock, id, now_ms) > SILENT_MS))
            rk_member_hung_up (m->clock, id, now_ms);
    }
    m->early = from;
}

static rk_err_t s_on_survey (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                             rk_error_t *err)
{
    if (rk_membership_over (m)) {
        m->peers[from].due |= RK_DUE_DECIDED;
        return RK_OK;
    }
    const uint32_t first = rk_membership_lowest (m, now_ms);
    if (first == m->self && !m->surveys) /* whoever asks has a reason */
        rk_membership_begin_survey (m, now_ms);
    if (first == from)
        rk_membership_obey (m, from, now_ms);
    else if (first != m->self)
        s_doubt_those_before (m, from, now_ms);
    return RK_OK;
}

static rk_err_t s_on_standing (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                               rk_error_t *err)
{
    (void) now_ms;
    if (m->peers[from].answer.bytes)
        return RK_OK;
    rk_err_t rc = rk_membership_set (&m->peers[from].answer, msg->value, msg->size);
    return rc ? rk_error_set (err, rc, "no memory for an answer of %zu bytes", msg->size) : RK_OK;
}

static rk_err_t s_on_ahead (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                            rk_error_t *err)
{
    (void) from, (void) err;
    if (msg->ahead > m->view->number && m->state != RK_MEMBERSHIP_DECIDED)
        rk_membership_enter (m, RK_MEMBERSHIP_LEFT, now_ms);
    return RK_OK;
}

static rk_err_t s_on_paxos (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                            rk_error_t *err)
{
    rk_paxos_msg_t paxos = msg->paxos;
    paxos.dead = msg->dead;
    paxos.n_dead = msg->n_dead;
    return rk_paxos_receive (m->paxos, m->view->members[from].id, &paxos, now_ms, err);
}

typedef rk_err_t (agree_handler_t) (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                                    rk_error_t *err);
static agree_handler_t *const s_on[RK_AGREE_N_KINDS] = {
    [RK_AGREE_SURVEY] = s_on_survey,
    [RK_AGREE_STANDING] = s_on_standing,
    [RK_AGREE_AHEAD] = s_on_ahead,
    [RK_AGREE_PAXOS] = s_on_paxos,
};

rk_err_t rk_membership_receive (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                                rk_error_t *err)
{
    const unsigned long long view = msg->view, own = m->view->number;
    if ((unsigned) msg->kind >= RK_AGREE_N_KINDS || !view)
        return rk_error_set (err, RK_EFORMAT, "agreement %d of process %u about view %llu", (int) msg->kind, from,
                             view);
    if (view != own) { /* an answer to an answer would go on for ever */
        if (msg->kind != RK_AGREE_AHEAD && !(msg->kind == RK_AGREE_PAXOS && msg->paxos.kind == RK_PAXOS_DECIDED))
            rk_membership_other_view (m, from, view, now_ms);
        return rk_error_set (err, RK_ESTALE, "process %u speaks of view %llu, this is view %llu", from, view, own);
    }
    const uint32_t i = rk_membership_index (m, from);
    if (msg->kind != RK_AGREE_AHEAD && (i == m->n || i == m->self))
        return rk_error_set (err, RK_EFORMAT, "process %u is no other member of view %llu", from, own);
    if (i < m->n && m->peers[i].dead)
        return RK_OK; /* a ghost's last words */
    if (i < m->n)
        rk_member_heard (m->clock, from, now_ms);
    for (uint32_t d = 0; d < msg->n_dead; d++)
        rk_membership_bury (m, msg->dead[d], now_ms);
    rk_err_t rc = s_on[msg->kind](m, i, msg, now_ms, err);
    rk_membership_look (m, now_ms);
    return rc;
}

/* ---- what is to be sent */
static void s_fill_head (const rk_membership_t *m, rk_agree_msg_t *msg, rk_agree_kind_t kind)
{
    *msg = (rk_agree_msg_t){.kind = kind, .view = m->view->number, .dead = m->dead_ids, .n_dead = m->n_dead};
}

static void s_fill_decided (rk_agree_msg_t *msg, uint64_t view, const rk_membership_value_t *value)
{
    *msg = (rk_agree_msg_t){
        .kind = RK_AGREE_PAXOS,
        .view = view,
        .paxos = {.kind = RK_PAXOS_DECIDED, .view = view, .value = value->bytes, .size = value->size}};
}

static bool s_out_late (rk_membership_t *m, uint32_t *to, rk_agree_msg_t *msg)
{
    if (!m->n_late)
        return false;
    const rk_membership_late_t late = m->late[--m->n_late];
    *to = late.id;
    if (late.view > m->view->number) /* a question of an older view: the answer is what was missed here */
        s_fill_head (m, msg, RK_AGREE_SURVEY);
    else if (late.view + 1 == m->view->number && m->decision.bytes)
        s_fill_decided (msg, late.view, &m->decision);
    else
        *msg = (rk_agree_msg_t){.kind = RK_AGREE_AHEAD, .view = late.view, .ahead = m->view->number};
    return true;
}

static bool s_out_due (rk_membership_t *m, uint32_t *to, rk_agree_msg_t *msg)
{
    for (uint32_t seen = 0; seen < m->n; seen++, m->next_out = (m->next_out + 1) % m->n) {
        rk_membership_peer_t *peer = &m->peers[m->next_out];
        const unsigned flag = peer->due & (~peer->due + 1);
        if (!flag)
            continue;
        peer->due &= ~flag;
        *to = m->view->members[m->next_out].id;
        s_fill_head (m, msg, flag == RK_DUE_STANDING ? RK_AGREE_STANDING : RK_AGREE_SURVEY);
        if (flag == RK_DUE_STANDING) {
            msg->value = m->peers[m->self].answer.bytes;
            msg->size = m->peers[m->self].answer.size;
        } else if (flag == RK_DUE_DECIDED)
            s_fill_decided (msg, m->view->number, &m->decided);
        if (flag != RK_DUE_DECIDED || m->decided.bytes)
            return true;
    }
    return false;
}

bool rk_membership_outgoing (rk_membership_t *m, uint32_t *to, rk_agree_msg_t *msg)
{
    if (s_out_late (m, to, msg) || s_out_due (m, to, msg))
        return true;
    rk_paxos_msg_t paxos;
    if (!rk_paxos_outgoing (m->paxos, to, &paxos))
        return false;
    s_fill_head (m, msg, RK_AGREE_PAXOS);
    msg->paxos = paxos;
    if (!paxos.n_dead) /* only questions name the dead: that is what their answers rest on */
        msg->n_dead = 0;
    return true;
}
