/* SPDX-License-Identifier: MPL-2.0
 * Messages to oneself are not special: they go through the same handlers, at once. Answers to others wait in
 * one slot per member, newest first in meaning: an older answer to the same member is never needed once a
 * newer one is due, so the memory is fixed.                                                               */
#include "cluster/paxos.h"

#include <stdlib.h>
#include <string.h>
#include "compute/rng.h"

#define MOST_DOUBLINGS 6 /* of the wait between attempts */

typedef enum { STAGE_IDLE = 0, STAGE_PREPARING, STAGE_ACCEPTING } stage_t;

typedef struct {
    uint8_t *bytes;
    size_t size;
} value_t;

typedef struct {
    bool due;
    rk_paxos_kind_t kind;
    rk_ballot_t ballot, accepted;
} slot_t;

struct rk_paxos {
    rk_paxos_config_t config;
    uint32_t *members, self; /* self: index */
    /* acceptor */
    rk_ballot_t promised, accepted;
    value_t accepted_value;
    /* proposer */
    bool wants;
    stage_t stage;
    rk_ballot_t ballot, highest, adopted; /* highest: seen anywhere; adopted: of the promises so far */
    value_t own, proposed;
    uint32_t tries;
    int64_t retry_at_ms;
    rk_vote_t *votes;
    bool *dead;
    uint32_t *dead_ids, n_dead;
    /* learner */
    value_t decided;
    /* to be sent: as proposer, and as acceptor or learner */
    slot_t *asks, *answers;
    uint32_t next_out;
};

/* ---- values */
static rk_err_t s_set (value_t *value, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc (size);
    if (!copy)
        return RK_ENOMEM;
    memcpy (copy, bytes, size);
    free (value->bytes);
    *value = (value_t){copy, size};
    return RK_OK;
}

static uint32_t s_index (const rk_paxos_t *p, uint32_t member)
{
    for (uint32_t i = 0; i < p->config.n_members; i++)
        if (p->members[i] == member)
            return i;
    return RK_PAXOS_NOBODY;
}

/* ---- life */
static rk_err_t s_check (const rk_paxos_config_t *c, rk_error_t *err)
{
    bool found = false;
    for (uint32_t i = 0; i < c->n_members; i++) {
        if (i && c->members[i] <= c->members[i - 1])
            return rk_error_set (err, RK_EINVAL, "members of view %llu: %u after %u", (unsigned long long) c->view,
                                 c->members[i], c->members[i - 1]);
        found |= c->members[i] == c->self;
    }
    return found ? RK_OK
                 : rk_error_set (err, RK_EINVAL, "node %u is no member of view %llu", c->self, (unsigned long long) c->view);
}

rk_err_t rk_paxos_new (rk_paxos_t **paxos_p, const rk_paxos_config_t *config, rk_error_t *err)
{
    *paxos_p = NULL;
    rk_err_t rc = s_check (config, err);
    if (rc)
        return rc;
    rk_paxos_t *p = calloc (1, sizeof *p);
    if (!p)
        return rk_error_set (err, RK_ENOMEM, "no memory for a decision of %u members", config->n_members);
    const size_t n = config->n_members;
    p->config = *config;
    p->members = calloc (n, sizeof *p->members);
    p->votes = calloc (n, sizeof *p->votes);
    p->dead = calloc (n, sizeof *p->dead);
    p->dead_ids = calloc (n, sizeof *p->dead_ids);
    p->asks = calloc (n, sizeof *p->asks);
    p->answers = calloc (n, sizeof *p->answers);
    if (!p->members || !p->votes || !p->dead || !p->dead_ids || !p->asks || !p->answers) {
        rk_paxos_destroy (&p);
        return rk_error_set (err, RK_ENOMEM, "no memory for a decision of %zu members", n);
    }
    memcpy (p->members, config->members, n * sizeof *p->members);
    p->config.members = p->members;
    p->self = s_index (p, config->self);
    p->retry_at_ms = INT64_MAX;
    *paxos_p = p;
    return RK_OK;
}

void rk_paxos_destroy (rk_paxos_t **paxos_p)
{
    rk_paxos_t *p = *paxos_p;
    if (!p)
        return;
    free (p->members);
    free (p->votes);
    free (p->dead);
    free (p->dead_ids);
    free (p->asks);
    free (p->answers);
    free (p->accepted_value.bytes);
    free (p->own.bytes);
    free (p->proposed.bytes);
    free (p->decided.bytes);
    free (p);
    *paxos_p = NULL;
}

/* ---- sending */
static void s_ask_all (rk_paxos_t *p, rk_paxos_kind_t kind)
{
    for (uint32_t i = 0; i < p->config.n_members; i++)
        p->asks[i] = (slot_t){.due = !p->dead[i] && i != p->self, .kind = kind, .ballot = p->ballot};
}

static void s_answer (rk_paxos_t *p, uint32_t to, rk_paxos_kind_t kind, rk_ballot_t ballot, rk_ballot_t accepted)
{
    p->answers[to] = (slot_t){.due = to != p->self, .kind = kind, .ballot = ballot, .accepted = accepted};
}

/* The value that goes with a slot, as it is when it goes out. */
static const value_t *s_value_of (const rk_paxos_t *p, const slot_t *slot)
{
    static const value_t none = {0};
    switch (slot->kind) {
    case RK_PAXOS_PROMISE: return slot->accepted.attempt ? &p->accepted_value : &none;
    case RK_PAXOS_ACCEPT: return &p->proposed;
    case RK_PAXOS_DECIDED: return &p->decided;
    default: return &none;
    }
}

/* A promise that waited while more happened: a higher ballot makes it a refusal, and what was accepted meanwhile
 * is named with its value.                                                                                */
static void s_refresh (const rk_paxos_t *p, slot_t *slot)
{
    if (slot->kind != RK_PAXOS_PROMISE)
        return;
    const bool broken = rk_ballot_above (p->promised, slot->ballot);
    slot->kind = broken ? RK_PAXOS_REFUSED : RK_PAXOS_PROMISE;
    slot->accepted = broken ? p->promised : p->accepted;
}

bool rk_paxos_outgoing (rk_paxos_t *p, uint32_t *to, rk_paxos_msg_t *msg)
{
    const uint32_t n = p->config.n_members;
    for (uint32_t seen = 0; seen < 2 * n; seen++, p->next_out = (p->next_out + 1) % (2 * n)) {
        slot_t *slot = p->next_out < n ? &p->asks[p->next_out] : &p->answers[p->next_out - n];
        if (!slot->due)
            continue;
        slot->due = false;
        s_refresh (p, slot);
        const value_t *value = s_value_of (p, slot);
        *to = p->members[p->next_out % n];
        *msg = (rk_paxos_msg_t){.kind = slot->kind, .view = p->config.view, .ballot = slot->ballot,
                                .accepted = slot->accepted, .value = value->bytes, .size = value->size};
        if (slot->kind == RK_PAXOS_PREPARE || slot->kind == RK_PAXOS_ACCEPT) {
            msg->dead = p->dead_ids;
            msg->n_dead = p->n_dead;
        }
        return true;
    }
    return false;
}

/* ---- learner */
static rk_err_t s_learn (rk_paxos_t *p, const uint8_t *bytes, size_t size)
{
    if (p->decided.bytes)
        return RK_OK;
    rk_err_t rc = s_set (&p->decided, bytes, size);
    if (rc)
        return rc;
    p->wants = false;
    p->stage = STAGE_IDLE;
    p->retry_at_ms = INT64_MAX;
    memset (p->asks, 0, p->config.n_members * sizeof *p->asks);
    return RK_OK;
}

/* ---- proposer */
static bool s_enough (const rk_paxos_t *p)
{
    if (!(p->config.corrupt & RK_PAXOS_CORRUPT_HALF))
        return rk_quorum (p->votes, p->config.n_members);
    uint32_t yes = 0;
    for (uint32_t i = 0; i < p->config.n_members; i++)
        yes += p->votes[i] == RK_VOTE_YES;
    return 2 * yes >= p->config.n_members;
}

static void s_clear_votes (rk_paxos_t *p)
{
    for (uint32_t i = 0; i < p->config.n_members; i++)
        p->votes[i] = p->dead[i] ? RK_VOTE_DEAD : RK_VOTE_NONE;
}

static rk_err_t s_promised (rk_paxos_t *p, uint32_t from, rk_ballot_t accepted, const uint8_t *bytes, size_t size);

/* The wait doubles and is stretched by up to as much again, so that one of two proposers gets through. */
static int64_t s_wait_ms (const rk_paxos_t *p)
{
    uint32_t word[4];
    rk_rng_block (p->config.seed, rk_rng_stream (RK_RNG_TIME, p->config.self), p->tries, word);
    int64_t wait = p->config.retry_ms > 0 ? p->config.retry_ms : 1;
    wait <<= p->tries < MOST_DOUBLINGS ? p->tries : MOST_DOUBLINGS;
    return wait + (int64_t) (word[0] % (uint64_t) (wait + 1));
}

static rk_err_t s_begin (rk_paxos_t *p, int64_t now_ms)
{
    const uint64_t attempt = p->highest.attempt + 1;
    p->ballot = p->highest = (rk_ballot_t){attempt, p->config.self};
    p->adopted = (rk_ballot_t){0};
    p->stage = STAGE_PREPARING;
    p->retry_at_ms = now_ms + s_wait_ms (p);
    p->tries++;
    s_clear_votes (p);
    rk_err_t rc = s_set (&p->proposed, p->own.bytes, p->own.size);
    if (rc)
        return rc;
    s_ask_all (p, RK_PAXOS_PREPARE);
    p->promised = p->ballot; /* our own promise: nothing higher was seen */
    return s_promised (p, p->self, p->accepted, p->accepted_value.bytes, p->accepted_value.size);
}

/* Enough have accepted: everybody is told. */
static rk_err_t s_finish (rk_paxos_t *p)
{
    if (!s_enough (p))
        return RK_OK;
    rk_err_t rc = s_learn (p, p->proposed.bytes, p->proposed.size);
    for (uint32_t i = 0; !rc && i < p->config.n_members; i++)
        s_answer (p, i, RK_PAXOS_DECIDED, p->ballot, (rk_ballot_t){0});
    return rc;
}

/* Enough have promised. We accept ourselves unless we have promised more to another since. */
static rk_err_t s_ask_to_accept (rk_paxos_t *p)
{
    if (!s_enough (p))
        return RK_OK;
    p->stage = STAGE_ACCEPTING;
    s_clear_votes (p);
    s_ask_all (p, RK_PAXOS_ACCEPT);
    if (rk_ballot_above (p->promised, p->ballot) && !(p->config.corrupt & RK_PAXOS_CORRUPT_PROMISE))
        return RK_OK;
    rk_err_t rc = s_set (&p->accepted_value, p->proposed.bytes, p->proposed.size);
    if (rc)
        return rc;
    p->accepted = p->ballot;
    p->votes[p->self] = RK_VOTE_YES;
    return s_finish (p);
}

static rk_err_t s_promised (rk_paxos_t *p, uint32_t from, rk_ballot_t accepted, const uint8_t *bytes, size_t size)
{
    if (accepted.attempt && rk_ballot_above (accepted, p->adopted) && !(p->config.corrupt & RK_PAXOS_CORRUPT_FORGETS)) {
        rk_err_t rc = s_set (&p->proposed, bytes, size);
        if (rc)
            return rc;
        p->adopted = accepted;
    }
    p->votes[from] = RK_VOTE_YES;
    return s_ask_to_accept (p);
}

rk_err_t rk_paxos_propose (rk_paxos_t *p, const uint8_t *value, size_t size, int64_t now_ms)
{
    if (p->decided.bytes)
        return RK_OK;
    rk_err_t rc = size ? s_set (&p->own, value, size) : RK_EINVAL;
    if (rc || p->wants)
        return rc;
    p->wants = true;
    p->tries = 0;
    return s_begin (p, now_ms);
}

void rk_paxos_withdraw (rk_paxos_t *p)
{
    p->wants = false;
    p->stage = STAGE_IDLE;
    p->retry_at_ms = INT64_MAX;
    memset (p->asks, 0, p->config.n_members * sizeof *p->asks);
}

static void s_bury (rk_paxos_t *p, uint32_t member)
{
    const uint32_t i = s_index (p, member);
    if (i == RK_PAXOS_NOBODY || i == p->self || p->dead[i])
        return;
    p->dead[i] = true;
    p->dead_ids[p->n_dead++] = member;
    p->asks[i].due = p->answers[i].due = false;
}

/* A death counts in the next questions only, which name it: who answers those knows of it. */
void rk_paxos_dead (rk_paxos_t *p, uint32_t member, int64_t now_ms)
{
    const uint32_t known = p->n_dead;
    s_bury (p, member);
    if (p->n_dead != known && p->stage != STAGE_IDLE)
        p->retry_at_ms = now_ms;
}

void rk_paxos_tick (rk_paxos_t *p, int64_t now_ms)
{
    if (p->wants && now_ms >= p->retry_at_ms && s_begin (p, now_ms))
        p->retry_at_ms = now_ms + s_wait_ms (p); /* no memory now */
}

int64_t rk_paxos_next_ms (const rk_paxos_t *p)
{
    return p->retry_at_ms;
}

/* ---- messages */
static bool s_same (rk_ballot_t a, rk_ballot_t b)
{
    return a.attempt == b.attempt && a.node == b.node;
}

static rk_err_t s_on_prepare (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    /* The same ballot once more: its answer was lost. */
    if (rk_ballot_above (p->promised, msg->ballot)) {
        s_answer (p, from, RK_PAXOS_REFUSED, msg->ballot, p->promised);
        return RK_OK;
    }
    p->promised = msg->ballot;
    s_answer (p, from, RK_PAXOS_PROMISE, msg->ballot, p->accepted);
    return RK_OK;
}

static rk_err_t s_on_promise (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    if (p->stage != STAGE_PREPARING || !s_same (msg->ballot, p->ballot))
        return RK_OK; /* late */
    return s_promised (p, from, msg->accepted, msg->value, msg->size);
}

static rk_err_t s_on_accept (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    if (rk_ballot_above (p->promised, msg->ballot) && !(p->config.corrupt & RK_PAXOS_CORRUPT_PROMISE)) {
        s_answer (p, from, RK_PAXOS_REFUSED, msg->ballot, p->promised);
        return RK_OK;
    }
    rk_err_t rc = s_set (&p->accepted_value, msg->value, msg->size);
    if (rc)
        return rc;
    p->promised = p->accepted = msg->ballot;
    s_answer (p, from, RK_PAXOS_ACCEPTED, msg->ballot, (rk_ballot_t){0});
    return RK_OK;
}

static rk_err_t s_on_accepted (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    if (p->stage != STAGE_ACCEPTING || !s_same (msg->ballot, p->ballot))
        return RK_OK;
    p->votes[from] = RK_VOTE_YES;
    return s_finish (p);
}

/* Nothing to do at once: the next attempt is above what was seen. */
static rk_err_t s_on_refused (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    return RK_OK;
}

static rk_err_t s_on_decided (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    return s_learn (p, msg->value, msg->size);
}

static rk_err_t (*const s_on[RK_PAXOS_N_KINDS]) (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg) = {
    [RK_PAXOS_PREPARE] = s_on_prepare,   [RK_PAXOS_PROMISE] = s_on_promise, [RK_PAXOS_ACCEPT] = s_on_accept,
    [RK_PAXOS_ACCEPTED] = s_on_accepted, [RK_PAXOS_REFUSED] = s_on_refused, [RK_PAXOS_DECIDED] = s_on_decided,
};

/* Whose ballot a message of each kind must carry. */
enum { OF_SENDER, OF_RECEIVER, OF_ANYBODY };
static const uint8_t s_owner[RK_PAXOS_N_KINDS] = {
    [RK_PAXOS_PREPARE] = OF_SENDER,     [RK_PAXOS_PROMISE] = OF_RECEIVER, [RK_PAXOS_ACCEPT] = OF_SENDER,
    [RK_PAXOS_ACCEPTED] = OF_RECEIVER,  [RK_PAXOS_REFUSED] = OF_RECEIVER, [RK_PAXOS_DECIDED] = OF_ANYBODY,
};

static bool s_makes_sense (const rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg)
{
    const bool has = msg->value && msg->size;
    if (msg->kind == RK_PAXOS_DECIDED)
        return has;
    if (msg->ballot.attempt == 0 || msg->ballot.node != (s_owner[msg->kind] == OF_SENDER ? p->members[from] : p->config.self))
        return false;
    if (msg->kind == RK_PAXOS_PROMISE)
        return has == (msg->accepted.attempt != 0) && !rk_ballot_above (msg->accepted, msg->ballot);
    return msg->kind != RK_PAXOS_ACCEPT || has;
}

static void s_see (rk_paxos_t *p, rk_ballot_t ballot)
{
    if (rk_ballot_above (ballot, p->highest))
        p->highest = ballot;
}

rk_err_t rk_paxos_receive (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg, int64_t now_ms, rk_error_t *err)
{
    const uint32_t sender = s_index (p, from);
    if (sender == RK_PAXOS_NOBODY || sender == p->self || msg->view != p->config.view ||
        (unsigned) msg->kind >= RK_PAXOS_N_KINDS || !s_makes_sense (p, sender, msg))
        return rk_error_set (err, RK_EFORMAT, "message %d of node %u about view %llu makes no sense in view %llu",
                             (int) msg->kind, from, (unsigned long long) msg->view, (unsigned long long) p->config.view);
    if (p->dead[sender] && !(p->config.corrupt & RK_PAXOS_CORRUPT_GHOSTS))
        return RK_OK;
    for (uint32_t i = 0; i < msg->n_dead; i++)
        s_bury (p, msg->dead[i]);
    s_see (p, msg->ballot);
    if (msg->kind == RK_PAXOS_REFUSED)
        s_see (p, msg->accepted);
    if (p->decided.bytes && (msg->kind == RK_PAXOS_PREPARE || msg->kind == RK_PAXOS_ACCEPT)) {
        s_answer (p, sender, RK_PAXOS_DECIDED, msg->ballot, (rk_ballot_t){0});
        return RK_OK;
    }
    rk_err_t rc = s_on[msg->kind](p, sender, msg);
    return rc ? rk_error_set (err, rc, "no memory for a decision of %zu bytes", msg->size) : RK_OK;
}

const uint8_t *rk_paxos_decided (const rk_paxos_t *p, size_t *size)
{
    *size = p->decided.size;
    return p->decided.bytes;
}

void rk_paxos_standing (const rk_paxos_t *p, uint32_t *n_yes, uint32_t *n_lacking)
{
    *n_yes = 0;
    for (uint32_t i = 0; i < p->config.n_members; i++)
        *n_yes += p->votes[i] == RK_VOTE_YES;
    *n_lacking = p->stage == STAGE_IDLE ? 0 : rk_quorum_lacks (p->votes, p->config.n_members);
}
