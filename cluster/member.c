/* SPDX-License-Identifier: MPL-2.0
 * A deadline per peer, from its own last arrivals. Regular peers get a short one, irregular peers a long
 * one; until enough gaps are known it is generous, so a node busy starting up is not taken for dead.     */
#include "cluster/member.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 32          /* gaps remembered */
#define ENOUGH 8           /* gaps before they are trusted */
#define SPREADS 10         /* k of median + k x MAD */
#define NEVER_MS 3600000   /* when nobody is watched, look again in an hour */
#define MOST_ASKS 7        /* after a connection ended: at once, then */
#define ASK_MS 10          /* after so long, twice as long, ... */
#define LATE_MS RK_HEARTBEAT_MS /* what is heard so long after a connection ended was not on its way then */

typedef struct {
    uint32_t node;
    bool here;
    int64_t heard_ms;
    int64_t gaps[WINDOW]; /* ring */
    uint32_t n_gaps;      /* ever seen */
    int64_t deadline_ms;  /* learned from them */
    bool refused;         /* nobody listens where it did */
    uint32_t n_asks;      /* left, since a connection ended */
    int64_t hung_up_ms, ask_ms; /* when it did; when to ask next */
} s_peer_t;

struct rk_member {
    uint32_t capacity;
    int64_t least_ms;
    s_peer_t peers[];
};

rk_err_t rk_member_new (rk_member_t **member_p, uint32_t capacity)
{
    rk_member_t *m = calloc (1, sizeof *m + capacity * sizeof *m->peers);
    if (!m)
        return RK_ENOMEM;
    m->capacity = capacity;
    m->least_ms = RK_MEMBER_LEAST_MS;
    *member_p = m;
    return RK_OK;
}

void rk_member_destroy (rk_member_t **member_p)
{
    free (*member_p);
    *member_p = NULL;
}

static s_peer_t *s_find (const rk_member_t *m, uint32_t node)
{
    for (uint32_t i = 0; i < m->capacity; i++)
        if (m->peers[i].here && m->peers[i].node == node)
            return (s_peer_t *) &m->peers[i];
    return NULL;
}

rk_err_t rk_member_join (rk_member_t *m, uint32_t node, int64_t now_ms)
{
    s_peer_t *peer = s_find (m, node);
    for (uint32_t i = 0; !peer && i < m->capacity; i++)
        if (!m->peers[i].here)
            peer = &m->peers[i];
    if (!peer)
        return RK_ENOMEM;
    *peer = (s_peer_t){.node = node, .here = true, .heard_ms = now_ms, .deadline_ms = RK_MEMBER_STARTING_MS};
    return RK_OK;
}

void rk_member_leave (rk_member_t *m, uint32_t node)
{
    s_peer_t *peer = s_find (m, node);
    if (peer)
        peer->here = false;
}

static int s_compare (const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static int64_t s_median (int64_t *values, uint32_t n)
{
    qsort (values, n, sizeof *values, s_compare);
    return values[n / 2];
}

static int64_t s_learn (const rk_member_t *m, const s_peer_t *peer)
{
    if (peer->n_gaps < ENOUGH)
        return RK_MEMBER_STARTING_MS;
    int64_t values[WINDOW];
    uint32_t n = peer->n_gaps < WINDOW ? peer->n_gaps : WINDOW;
    memcpy (values, peer->gaps, n * sizeof *values);
    int64_t median = s_median (values, n);
    for (uint32_t i = 0; i < n; i++)
        values[i] = llabs (peer->gaps[i] - median);
    int64_t spread = s_median (values, n);
    if (spread < median / 4)
        spread = median / 4; /* a peer that is slow like clockwork may still slip once */
    int64_t deadline = median + SPREADS * spread;
    return deadline > m->least_ms ? deadline : m->least_ms;
}

void rk_member_heard (rk_member_t *m, uint32_t node, int64_t now_ms)
{
    s_peer_t *peer = s_find (m, node);
    if (!peer || now_ms < peer->heard_ms)
        return;
    peer->gaps[peer->n_gaps++ % WINDOW] = now_ms - peer->heard_ms;
    peer->heard_ms = now_ms;
    peer->deadline_ms = s_learn (m, peer);
    peer->refused = false;
    if (now_ms >= peer->hung_up_ms + LATE_MS)
        peer->n_asks = 0;
}

/* ---- evidence */
void rk_member_hung_up (rk_member_t *m, uint32_t node, int64_t now_ms)
{
    s_peer_t *peer = s_find (m, node);
    if (!peer || peer->n_asks) /* one line of questions at a time */
        return;
    peer->n_asks = MOST_ASKS;
    peer->hung_up_ms = peer->ask_ms = now_ms;
}

uint32_t rk_member_ask (rk_member_t *m, int64_t now_ms)
{
    for (uint32_t i = 0; i < m->capacity; i++) {
        s_peer_t *peer = &m->peers[i];
        if (!peer->here || !peer->n_asks || now_ms < peer->ask_ms)
            continue;
        peer->ask_ms = now_ms + (ASK_MS << (MOST_ASKS - peer->n_asks));
        peer->n_asks--;
        return peer->node;
    }
    return UINT32_MAX;
}

int64_t rk_member_next_ask_ms (const rk_member_t *m)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < m->capacity; i++)
        if (m->peers[i].here && m->peers[i].n_asks && m->peers[i].ask_ms < next)
            next = m->peers[i].ask_ms;
    return next;
}

bool rk_member_refused (rk_member_t *m, uint32_t node, int64_t asked_ms)
{
    s_peer_t *peer = s_find (m, node);
    if (!peer || peer->heard_ms > asked_ms)
        return false;
    peer->refused = true;
    return true;
}

bool rk_member_is_refused (const rk_member_t *m, uint32_t node)
{
    const s_peer_t *peer = s_find (m, node);
    return peer && peer->refused;
}

static bool s_is_suspected (const s_peer_t *peer, int64_t now_ms)
{
    return peer->here && (peer->refused || now_ms - peer->heard_ms >= peer->deadline_ms);
}

bool rk_member_is_suspected (const rk_member_t *m, uint32_t node, int64_t now_ms)
{
    const s_peer_t *peer = s_find (m, node);
    return peer && s_is_suspected (peer, now_ms);
}

void rk_member_set_least (rk_member_t *m, int64_t least_ms)
{
    m->least_ms = least_ms;
    for (uint32_t i = 0; i < m->capacity; i++)
        m->peers[i].deadline_ms = s_learn (m, &m->peers[i]);
}

int64_t rk_member_deadline_ms (const rk_member_t *m, uint32_t node)
{
    const s_peer_t *peer = s_find (m, node);
    return peer ? peer->deadline_ms : RK_MEMBER_STARTING_MS;
}

int64_t rk_member_silent_ms (const rk_member_t *m, uint32_t node, int64_t now_ms)
{
    const s_peer_t *peer = s_find (m, node);
    return peer && now_ms > peer->heard_ms ? now_ms - peer->heard_ms : 0;
}

void rk_member_learn (rk_member_t *m, uint32_t node, const rk_member_t *from)
{
    s_peer_t *peer = s_find (m, node);
    const s_peer_t *known = s_find (from, node);
    if (!peer || !known)
        return;
    memcpy (peer->gaps, known->gaps, sizeof peer->gaps);
    peer->n_gaps = known->n_gaps;
    peer->deadline_ms = known->deadline_ms;
    peer->refused = known->refused;
    peer->n_asks = known->n_asks;
    peer->hung_up_ms = known->hung_up_ms;
    peer->ask_ms = known->ask_ms;
}

void rk_member_excuse (rk_member_t *m, int64_t ms, int64_t now_ms)
{
    for (uint32_t i = 0; i < m->capacity; i++) {
        s_peer_t *peer = &m->peers[i];
        peer->heard_ms = peer->heard_ms > now_ms - ms ? now_ms : peer->heard_ms + ms;
    }
}

uint32_t rk_member_suspect (const rk_member_t *m, int64_t now_ms, int64_t *silent_ms)
{
    for (uint32_t i = 0; i < m->capacity; i++) {
        const s_peer_t *peer = &m->peers[i];
        if (!s_is_suspected (peer, now_ms))
            continue;
        if (silent_ms)
            *silent_ms = now_ms - peer->heard_ms;
        return peer->node;
    }
    return UINT32_MAX;
}

int64_t rk_member_next_ms (const rk_member_t *m, int64_t now_ms)
{
    int64_t next = now_ms + NEVER_MS;
    for (uint32_t i = 0; i < m->capacity; i++) {
        const s_peer_t *peer = &m->peers[i];
        if (!peer->here)
            continue;
        const int64_t due = peer->refused ? now_ms : peer->heard_ms + peer->deadline_ms;
        next = due < next ? due : next;
    }
    return next;
}
