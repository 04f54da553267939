/* SPDX-License-Identifier: MPL-2.0
 * Where members stand when a view ends, and with which round the next one can begin.                       */
#include "tests/support/fleet_parts.h"

#include "cluster/bytes.h"

#define GIVE_UP_MS 15000 /* waiting for state that only silent members have */

void fleet_stand (fleet_t *w, uint32_t i)
{
    proc_t *p = &w->procs[i];
    uint8_t bytes[KEPT * 24 + 8];
    rk_writer_t out = {.bytes = bytes, .size = sizeof bytes};
    rk_put (&out, p->committed, 8);
    for (uint32_t k = 0; k < KEPT; k++)
        if (p->kept[k].known) {
            rk_put (&out, p->kept[k].round, 8);
            rk_put (&out, p->kept[k].lo, 8);
            rk_put (&out, p->kept[k].hi, 8);
        }
    if (rk_membership_standing (p->m, bytes, out.n, w->now_ms))
        abort ();
}

static const uint8_t *s_answer (const proc_t *p, uint32_t k, rk_reader_t *in)
{
    *in = (rk_reader_t){.ok = true};
    return in->bytes = rk_membership_answer (p->m, p->view->members[k].id, &in->size);
}

/* The state before round `round` can be put together from what those keep who go on. */
static bool s_covered (const fleet_t *w, const proc_t *p, uint64_t round)
{
    bool have[FLOATS] = {false};
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        rk_reader_t in;
        if (!s_answer (p, k, &in) || !rk_membership_goes_on (p->m, p->view->members[k].id, w->now_ms))
            continue;
        in.at = 8;
        while (in.at + 24 <= in.size) {
            const uint64_t at = rk_take (&in, 8), lo = rk_take (&in, 8), hi = rk_take (&in, 8);
            for (uint64_t x = lo; at == round && x < hi; x++)
                have[x] = true;
        }
    }
    for (uint32_t x = 0; x < FLOATS; x++)
        if (!have[x])
            return false;
    return true;
}

/* Rounds that are committed, as those know who have answered. */
static uint64_t s_committed (const proc_t *p)
{
    uint64_t committed = p->committed;
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        rk_reader_t in;
        const uint64_t told = s_answer (p, k, &in) ? rk_take (&in, 8) : 0;
        committed = told > committed ? told : committed;
    }
    return committed;
}

/* The latest round that they can go on from; 0, which can be made again from the seed, when what is committed is lost. */
uint64_t fleet_round_to_go_on (const fleet_t *w, const proc_t *p)
{
    uint64_t best = 0, committed = s_committed (p);
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        rk_reader_t in;
        s_answer (p, k, &in);
        for (in.at = 8; in.bytes && in.at + 24 <= in.size; in.at += 16) {
            const uint64_t round = rk_take (&in, 8);
            if (round > best && round >= committed && s_covered (w, p, round))
                best = round;
        }
    }
    return w->config->corrupt & FLEET_CORRUPT_BACK && best ? best - 1 : best;
}

/* What is committed is not kept by those who go on: those who are only silent may have it. */
bool fleet_waits_for_state (const fleet_t *w, const proc_t *p)
{
    bool silent = false;
    for (uint32_t k = 0; k < p->view->n_members; k++) {
        rk_reader_t in;
        const uint32_t id = p->view->members[k].id;
        silent |= (!s_answer (p, k, &in) || !rk_membership_is_alive (p->m, id, w->now_ms)) &&
                  !rk_membership_is_dead (p->m, id);
    }
    return silent && fleet_round_to_go_on (w, p) < s_committed (p) &&
           w->now_ms - rk_membership_since_ms (p->m) < GIVE_UP_MS;
}
