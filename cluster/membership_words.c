/* SPDX-License-Identifier: MPL-2.0
 * Who waits for whom, in one line.                                                                        */
#include "cluster/membership_parts.h"

#include <stdio.h>

typedef struct {
    char *text;
    size_t size, n;
    uint32_t listed;
} list_t;

static void s_list (list_t *list, const rk_membership_t *m, uint32_t i, int64_t now_ms)
{
    char name[128], why[64] = "";
    const uint32_t id = m->view->members[i].id;
    rk_view_name (m->view, id, name, sizeof name);
    if (m->peers[i].dead)
        snprintf (why, sizeof why, ", whose process has ended");
    else if (i != m->self && rk_member_is_refused (m->clock, id))
        snprintf (why, sizeof why, ", which hung up, and nobody listens there");
    else if (i != m->self && !rk_membership_alive (m, i, now_ms))
        snprintf (why, sizeof why, m->peers[i].deaf ? ", which does not hear us for %lld ms" : ", silent for %lld ms",
                  (long long) rk_member_silent_ms (m->clock, id, now_ms));
    const int n =
        snprintf (list->text + list->n, list->size - list->n, "%s%s%s", list->listed ? "; " : "", name, why);
    list->n += n > 0 && (size_t) n < list->size - list->n ? (size_t) n : 0;
    list->listed++;
}

static void s_explain_survey (const rk_membership_t *m, int64_t now_ms, char *text, size_t size)
{
    char who[512] = "";
    list_t list = {who, sizeof who, 0, 0};
    if (!m->surveys && m->asked_by < m->n)
        s_list (&list, m, m->asked_by, now_ms);
    for (uint32_t i = 0; m->surveys && i < m->n; i++)
        if (rk_membership_waits_for (m, i, now_ms))
            s_list (&list, m, i, now_ms);
    snprintf (text, size, m->surveys ? "waits for where they stand: %s" : "has stopped; the next view is made by %s",
              who);
}

static void s_explain_parked (const rk_membership_t *m, int64_t now_ms, char *text, size_t size)
{
    char who[512] = "";
    list_t list = {who, sizeof who, 0, 0};
    const uint32_t lacks = rk_membership_lacks (m, now_ms);
    for (uint32_t i = 0; i < m->n; i++)
        if (i != m->self && !m->peers[i].dead && !rk_membership_has_answered (m, i, now_ms))
            s_list (&list, m, i, now_ms);
    snprintf (text, size, "parked: %u of %u members answer, %u more must; one of these would help: %s",
              m->n - list.listed - m->n_dead, m->n, lacks, who);
}

void rk_membership_explain (const rk_membership_t *m, int64_t now_ms, char *text, size_t size)
{
    uint32_t yes, lacking;
    size_t unused;
    text[0] = 0;
    switch (m->state) {
    case RK_MEMBERSHIP_SURVEY: s_explain_survey (m, now_ms, text, size); break;
    case RK_MEMBERSHIP_PARKED: s_explain_parked (m, now_ms, text, size); break;
    case RK_MEMBERSHIP_PROPOSE: snprintf (text, size, "makes the next view"); break;
    case RK_MEMBERSHIP_AGREEING:
        rk_paxos_standing (m->paxos, &yes, &lacking);
        snprintf (text, size, "agrees on the next view: %u say yes, %u more must", yes, lacking);
        break;
    case RK_MEMBERSHIP_DECIDED:
        snprintf (text, size, "the next view is decided (%s)",
                  rk_membership_decided (m, &unused) ? "known" : "not known");
        break;
    case RK_MEMBERSHIP_LEFT: snprintf (text, size, "the others have gone on without this process"); break;
    default: break;
    }
}

const char *rk_membership_state_name (rk_membership_state_t state)
{
    static const char *const names[RK_MEMBERSHIP_N_STATES] = {"steady", "survey",  "propose", "agreeing",
                                                              "parked", "decided", "left"};
    return (unsigned) state < RK_MEMBERSHIP_N_STATES ? names[state] : "?";
}
