/* SPDX-License-Identifier: MPL-2.0
 * Two members that do not hear one another while the first of all hears both: neither is lost, and what the one waits for from
 * the other never comes. Everybody says in its heartbeats whom it does not hear. When that has been said of a pair for as long
 * as either may be silent here, the next view is without one of them: a witness, else whom more members miss, else the later.  */
#include "cluster/membership_parts.h"

#include <stdio.h>

/* Not whether it is alive: two that have been apart would tell one another for ever that they are. */
bool rk_membership_hears (const rk_membership_t *m, uint32_t id, int64_t now_ms)
{
    const uint32_t i = rk_membership_index (m, id);
    if (i == m->n || m->peers[i].dead)
        return false;
    const int64_t arrived_ms = m->peers[i].arrived_ms;
    return rk_membership_alive (m, i, now_ms) || (arrived_ms && now_ms - arrived_ms <= rk_member_deadline_ms (m->clock, id));
}

uint32_t rk_membership_missed (const rk_membership_t *m, int64_t now_ms, uint64_t *ids, uint32_t most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n && n < most; i++)
        if (!m->peers[i].dead && !rk_membership_alive (m, i, now_ms))
            ids[n++] = m->view->members[i].id;
    return n;
}

void rk_membership_misses (rk_membership_t *m, uint32_t id, const uint64_t *ids, size_t n, int64_t now_ms)
{
    const uint32_t from = rk_membership_index (m, id);
    if (from == m->n || from == m->self)
        return;
    rk_membership_peer_t *peer = &m->peers[from];
    uint32_t first = 0; /* of those that are alive for us: one at a time is enough to decide */
    for (size_t k = 0; k < n && !first; k++) {
        const uint32_t i = ids[k] <= UINT32_MAX ? rk_membership_index (m, (uint32_t) ids[k]) : m->n;
        if (i < m->n && i != m->self && i != from && rk_membership_alive (m, i, now_ms))
            first = i + 1;
    }
    if (first != peer->missed)
        peer->missed_ms = now_ms;
    peer->missed = first;
    rk_membership_look (m, now_ms);
}

static int64_t s_patience (const rk_membership_t *m, uint32_t i, uint32_t j)
{
    const int64_t one = rk_member_deadline_ms (m->clock, m->view->members[i].id), other = rk_member_deadline_ms (m->clock, m->view->members[j].id);
    return one > other ? one : other;
}

/* Whom i misses, if both are here: n: nobody. */
static uint32_t s_other (const rk_membership_t *m, uint32_t i, int64_t now_ms)
{
    const uint32_t j = m->peers[i].missed ? m->peers[i].missed - 1 : m->n;
    const bool both = j < m->n && i != m->self && rk_membership_alive (m, i, now_ms) && rk_membership_alive (m, j, now_ms);
    return both && !m->peers[i].leaving && !m->peers[j].leaving && !m->peers[i].cut && !m->peers[j].cut ? j : m->n;
}

static uint32_t s_complaints (const rk_membership_t *m, uint32_t j, int64_t now_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n; i++)
        n += s_other (m, i, now_ms) == j;
    return n;
}

static uint32_t s_who_goes (const rk_membership_t *m, uint32_t i, uint32_t j, int64_t now_ms)
{
    const uint32_t later = i > j ? i : j, earlier = i > j ? j : i;
    if (m->view->members[i].witness != m->view->members[j].witness)
        return m->view->members[i].witness ? i : j;
    return s_complaints (m, earlier, now_ms) > s_complaints (m, later, now_ms) ? earlier : later;
}

void rk_membership_mend (rk_membership_t *m, int64_t now_ms)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const uint32_t j = s_other (m, i, now_ms);
        if (j == m->n || now_ms - m->peers[i].missed_ms < s_patience (m, i, j))
            continue;
        const uint32_t goes = s_who_goes (m, i, j, now_ms);
        m->peers[goes].cut = true;
        m->peers[goes].cut_from = goes == i ? j : i;
        return; /* others may be well without it */
    }
}

bool rk_membership_is_cut (const rk_membership_t *m, uint32_t id, uint32_t *from)
{
    const uint32_t i = rk_membership_index (m, id);
    if (i == m->n || !m->peers[i].cut)
        return false;
    *from = m->view->members[m->peers[i].cut_from].id;
    return true;
}

void rk_membership_rift (const rk_membership_t *m, int64_t now_ms, char *text, size_t size)
{
    char one[128], other[128];
    text[0] = '\0';
    for (uint32_t i = 0; i < m->n && !text[0]; i++) {
        const uint32_t j = s_other (m, i, now_ms);
        rk_view_name (m->view, m->view->members[i].id, one, sizeof one);
        if (!m->peers[i].dead && !rk_membership_alive (m, i, now_ms))
            snprintf (text, size, "%s, which this process does not hear for %lld ms", one,
                      (long long) rk_member_silent_ms (m->clock, m->view->members[i].id, now_ms));
        if (j == m->n)
            continue;
        rk_view_name (m->view, m->view->members[j].id, other, sizeof other);
        snprintf (text, size, "%s, which does not hear %s for %lld ms; after %lld ms the view goes on without one of them", one, other,
                  (long long) (now_ms - m->peers[i].missed_ms), (long long) s_patience (m, i, j));
    }
}
