/* SPDX-License-Identifier: MPL-2.0
 * Letters. What members agree by may be lost, doubled and out of order; data come in order, as on a connection, and
 * are lost only where the link is cut or the receiver is gone.                                            */
#include "tests/support/fleet_parts.h"

letter_t *fleet_letter (fleet_t *w, letter_kind_t kind, uint32_t from, uint32_t to)
{
    letter_t *l = calloc (1, sizeof *l);
    if (!l)
        abort ();
    l->kind = kind;
    l->from = from;
    l->to = to;
    l->view = w->procs[from].view ? w->procs[from].view->number : 0;
    return l;
}

void fleet_drop (letter_t *letter)
{
    free (letter->x);
    free (letter->bytes);
    free (letter);
}

static bool s_cut (const fleet_t *w, uint32_t from, uint32_t to)
{
    if (w->now_ms >= w->cut_until_ms)
        return false;
    const bool a = w->cut >> from & 1, b = w->cut >> to & 1;
    return a != b && (!w->one_way || a);
}

static void s_insert (fleet_t *w, letter_t *letter)
{
    letter_t **at = &w->wire;
    letter->order = w->n_letters++;
    while (*at && (*at)->due_ms <= letter->due_ms)
        at = &(*at)->next;
    letter->next = *at;
    *at = letter;
}

static letter_t *s_double (const letter_t *letter)
{
    letter_t *copy = malloc (sizeof *copy);
    if (!copy)
        abort ();
    *copy = *letter;
    copy->bytes = letter->size ? malloc (letter->size) : NULL;
    if (copy->bytes)
        memcpy (copy->bytes, letter->bytes, letter->size);
    return copy;
}

/* What a cut connection still holds may arrive when it heals. */
void fleet_post (fleet_t *w, letter_t *letter)
{
    const bool calm = w->config->calm || w->now_ms >= w->quiet_from_ms;
    const bool cut = s_cut (w, letter->from, letter->to);
    const bool agrees =
        letter->kind == L_AGREE || letter->kind == L_BEAT || letter->kind == L_HELLO || letter->kind == L_LEAVE ||
        letter->kind == L_REFUSED;
    const bool lost = agrees ? !calm && noise_between (&w->noise, 0, 99) < 5 : noise_between (&w->noise, 0, 1);
    if (cut ? agrees || lost : agrees && lost) {
        fleet_drop (letter);
        return;
    }
    letter->due_ms = (cut ? w->cut_until_ms : w->now_ms) + (int64_t) noise_between (&w->noise, 1, calm ? 5 : 25);
    if (!agrees) {
        int64_t *last = &w->last_due[letter->from][letter->to];
        letter->due_ms = letter->due_ms < *last ? *last : letter->due_ms;
        *last = letter->due_ms;
    } else if (!calm && noise_between (&w->noise, 0, 99) < 5) {
        letter_t *copy = s_double (letter);
        copy->due_ms += (int64_t) noise_between (&w->noise, 0, 400);
        s_insert (w, copy);
    }
    s_insert (w, letter);
}

/* Whoever is frozen gets his letters when he thaws. */
static void s_hand_over (fleet_t *w, letter_t *letter)
{
    proc_t *p = &w->procs[letter->to];
    if (p->dead || s_cut (w, letter->from, letter->to)) {
        fleet_drop (letter);
        return;
    }
    if (p->frozen_until_ms > w->now_ms) {
        letter->due_ms = p->frozen_until_ms;
        s_insert (w, letter);
        return;
    }
    fleet_mix (w, (uint64_t) letter->kind + 100 * letter->from + 10000 * letter->to + (letter->order << 20));
    fleet_member_take (w, letter);
}

void fleet_deliver (fleet_t *w)
{
    while (w->wire && w->wire->due_ms <= w->now_ms) {
        letter_t *letter = w->wire;
        w->wire = letter->next;
        letter->next = NULL;
        s_hand_over (w, letter);
    }
}

/* ---- agreements: the struct, then value, dead ids and Paxos' value */
void fleet_post_agree (fleet_t *w, uint32_t from, uint32_t to, const rk_agree_msg_t *msg)
{
    letter_t *l = fleet_letter (w, L_AGREE, from, to);
    const size_t n_dead = msg->n_dead * sizeof *msg->dead,
                 n_paxos = msg->kind == RK_AGREE_PAXOS ? msg->paxos.size : 0;
    l->size = sizeof *msg + n_dead + msg->size + n_paxos;
    l->bytes = malloc (l->size);
    if (!l->bytes)
        abort ();
    uint8_t *at = l->bytes;
    memcpy (at, msg, sizeof *msg);
    at += sizeof *msg;
    if (n_dead)
        memcpy (at, msg->dead, n_dead);
    if (msg->size)
        memcpy (at + n_dead, msg->value, msg->size);
    if (n_paxos)
        memcpy (at + n_dead + msg->size, msg->paxos.value, n_paxos);
    fleet_post (w, l);
}

rk_agree_msg_t fleet_read_agree (const letter_t *letter)
{
    rk_agree_msg_t msg;
    memcpy (&msg, letter->bytes, sizeof msg);
    const uint8_t *at = letter->bytes + sizeof msg;
    msg.dead = (const uint32_t *) (const void *) at;
    at += msg.n_dead * sizeof *msg.dead;
    msg.value = at;
    msg.paxos.value = msg.kind == RK_AGREE_PAXOS && msg.paxos.size ? at + msg.size : NULL;
    return msg;
}
