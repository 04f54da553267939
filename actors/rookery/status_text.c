/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define NOBODY UINT32_MAX
#define COLUMNS 79

/* ---- words */
static const rk_status_member_t *s_member (const rk_status_t *s, uint32_t member)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (s->members[i].member == member)
            return &s->members[i];
    return NULL;
}

static const rk_status_member_t *s_host (const rk_status_t *s, uint32_t address)
{
    if (rk_address_kind (address) == RK_ACTOR_COORDINATOR)
        return s_member (s, rk_address_node (address));
    for (size_t i = 0; i < s->n_members; i++)
        if (s->members[i].node == rk_address_node (address))
            return &s->members[i];
    return NULL;
}

static void s_name (const rk_status_member_t *m, char *text, size_t size)
{
    if (m->node == NOBODY)
        snprintf (text, size, "%.31s", m->name);
    else
        snprintf (text, size, "node %u (%.31s)", m->node, m->name);
}

static void s_who (const rk_status_t *s, uint32_t address, char *text, size_t size)
{
    const rk_status_member_t *m = s_host (s, address);
    text[0] = '\0';
    if (m)
        s_name (m, text, size);
    else if (address)
        snprintf (text, size, "%s %u", rk_actor_kind_name (rk_address_kind (address)), rk_address_node (address));
}

void rk_status_wait_text (const rk_status_t *s, const rk_waits_t *w, char *what, size_t what_size, char *from, size_t from_size)
{
    static const struct {
        const char *text; /* with the number of a minibatch, or of a round */
        bool minibatch, round;
    } words[RK_N_WAITS] = {
        [RK_WAITS_NOTHING] = {"computes", false, false},
        [RK_WAITS_ACTIVATION] = {"minibatch", true, false},
        [RK_WAITS_GRADIENT] = {"the gradient of minibatch", true, false},
        [RK_WAITS_NORM] = {"the norm of an update of round", false, true},
        [RK_WAITS_TIED] = {"a tied tensor of minibatch", true, false},
        [RK_WAITS_CLOSE] = {"the end of round", false, true},
        [RK_WAITS_MEAN] = {"the mean of round", false, true},
        [RK_WAITS_SEGMENTS] = {"segments of round", false, true},
        [RK_WAITS_STATE] = {"the state after rounds:", false, true},
        [RK_WAITS_LEASE] = {"minibatches to be granted", false, false},
        [RK_WAITS_CREDIT] = {"room for minibatch", true, false},
        [RK_WAITS_SPEED] = {"its declared speed", false, false},
        [RK_WAITS_COMMIT] = {"round to be committed:", false, true},
        [RK_WAITS_END] = {"the end of its plan", false, false},
    };
    if (words[w->what].minibatch || words[w->what].round)
        snprintf (what, what_size, "%s %llu", words[w->what].text, (unsigned long long) (words[w->what].round ? w->round : w->f));
    else
        snprintf (what, what_size, "%s", words[w->what].text);
    if (w->from && rk_address_node (w->from) == rk_address_node (w->actor) && rk_address_kind (w->from) != RK_ACTOR_COORDINATOR)
        snprintf (from, from_size, "its %s", rk_actor_kind_name (rk_address_kind (w->from)));
    else
        s_who (s, w->from, from, from_size);
    if (w->what == RK_WAITS_LEASE)
        snprintf (from, from_size, "the leader");
}

static void s_time (uint64_t ms, char *text, size_t size)
{
    if (ms < 10000)
        snprintf (text, size, "%llu ms", (unsigned long long) ms);
    else if (ms < 600000)
        snprintf (text, size, "%.1f s", (double) ms / 1e3);
    else
        snprintf (text, size, "%llu min", (unsigned long long) (ms / 60000));
}

/* ---- for people */
/* At most the width of a screen; what is longer goes on below, indented. */
static void s_line (const char *text, int indent)
{
    size_t left = strlen (text);
    for (bool first = true; left; first = false) {
        const size_t room = (size_t) (COLUMNS - (first ? 0 : indent));
        size_t n = left <= room ? left : room;
        while (n < left && n > room / 2 && text[n] != ' ')
            n--;
        printf ("%*s%.*s\n", first ? 0 : indent, "", (int) n, text);
        text += n;
        left -= n;
        while (left && *text == ' ') {
            text++;
            left--;
        }
    }
}

static void s_print_head (const rk_msg_t *msg)
{
    const rk_status_t *s = &msg->status;
    char leader[64] = "nobody", own[64] = "?", line[1400], ago[32];
    for (size_t i = 0; i < s->n_members; i++) {
        if (s->members[i].leads)
            s_name (&s->members[i], leader, sizeof leader);
        if (s->members[i].member == s->process)
            s_name (&s->members[i], own, sizeof own);
    }
    if (msg->view)
        snprintf (line, sizeof line, "view %llu of %zu members, led by %s; %s says:", (unsigned long long) msg->view, s->n_members, leader, own);
    else
        snprintf (line, sizeof line, "no plan yet, %zu members, led by %s; %s says:", s->n_members, leader, own);
    s_line (line, 4);
    if (s->n_rounds) {
        snprintf (line, sizeof line, "%llu of %llu rounds, %llu of %llu minibatches (pass %llu), %.0f samples/s, redone %llu",
                  (unsigned long long) s->committed, (unsigned long long) s->n_rounds, (unsigned long long) s->f, (unsigned long long) s->n_f,
                  (unsigned long long) (s->per_pass ? s->f / s->per_pass : 0), (double) s->milli_rate / 1e3, (unsigned long long) s->redone);
        s_line (line, 4);
    }
    if (s->reason && *s->reason) {
        s_time (s->reason_ms, ago, sizeof ago);
        snprintf (line, sizeof line, "this view began %s ago: %s", ago, s->reason);
        s_line (line, 4);
    }
}

static void s_print_waits (const rk_status_t *s, const rk_status_member_t *m)
{
    for (size_t i = 0; i < s->n_waits; i++) {
        const rk_waits_t *w = &s->waits[i];
        if (m->node == NOBODY || rk_address_node (w->actor) != m->node)
            continue;
        const rk_actor_kind_t kind = rk_address_kind (w->actor);
        if (kind != RK_ACTOR_STAGE && w->what == RK_WAITS_NOTHING)
            continue;
        char what[96], from[64], since[32], line[256];
        rk_status_wait_text (s, w, what, sizeof what, from, sizeof from);
        s_time (w->ms, since, sizeof since);
        if (w->what == RK_WAITS_NOTHING)
            snprintf (line, sizeof line, "    %s computes", rk_actor_kind_name (kind));
        else
            snprintf (line, sizeof line, "    %s waits for %s%s%s, for %s", rk_actor_kind_name (kind), what, *from ? " from " : "", from, since);
        s_line (line, 8);
    }
}

static void s_print_member (const rk_status_t *s, const rk_status_member_t *m)
{
    char name[64], stage[32] = "", line[1400], time[32], limit[32];
    s_name (m, name, sizeof name);
    if (m->stage != NOBODY)
        snprintf (stage, sizeof stage, ", stage %u of cluster %u", m->stage, m->cluster);
    s_time (m->silent_ms, time, sizeof time);
    s_time (m->limit_ms, limit, sizeof limit);
    int n = snprintf (line, sizeof line, "  %s%s%s: ", name, m->leads ? " leads" : m->witness ? " is a witness" : "", stage);
    if (m->standing == RK_STANDING_ENDED)
        snprintf (line + n, sizeof line - (size_t) n, "its process (pid %u) has ended", m->pid);
    else if (!*m->state)
        snprintf (line + n, sizeof line - (size_t) n, "DOES NOT ANSWER, silent for %s, %s after %s", time,
                  m->standing == RK_STANDING_SUSPECTED ? "suspected" : "will be suspected", limit);
    else {
        s_time (m->state_ms, time, sizeof time);
        snprintf (line + n, sizeof line - (size_t) n, "%s for %s%s%s", m->state, time, *m->waits_for ? "; waits for " : "", m->waits_for);
    }
    s_line (line, 8);
    s_print_waits (s, m);
}

void rk_status_print (const rk_msg_t *status)
{
    s_print_head (status);
    for (size_t i = 0; i < status->status.n_members; i++)
        s_print_member (&status->status, &status->status.members[i]);
}

/* ---- for programs */
static void s_put_node (json_t *object, const char *key, uint32_t number)
{
    json_object_set_new (object, key, number == NOBODY ? json_null () : json_integer ((json_int_t) number));
}

static json_t *s_waits_json (const rk_status_t *s, const rk_status_member_t *m)
{
    json_t *list = json_array ();
    for (size_t i = 0; i < s->n_waits; i++) {
        const rk_waits_t *w = &s->waits[i];
        if (m->node == NOBODY || rk_address_node (w->actor) != m->node)
            continue;
        char what[96], from[64];
        rk_status_wait_text (s, w, what, sizeof what, from, sizeof from);
        const rk_status_member_t *host = w->from ? s_host (s, w->from) : NULL;
        json_t *o = json_pack ("{s:s,s:b,s:s,s:s,s:I,s:I,s:I}", "actor", rk_actor_kind_name (rk_address_kind (w->actor)), "waits",
                               w->what != RK_WAITS_NOTHING, "for", what, "from", from, "f", (json_int_t) w->f, "round", (json_int_t) w->round,
                               "ms", (json_int_t) w->ms);
        s_put_node (o, "from_node", host ? host->node : NOBODY);
        json_array_append_new (list, o);
    }
    return list;
}

static json_t *s_member_json (const rk_status_t *s, const rk_status_member_t *m)
{
    static const char *const standings[RK_N_STANDINGS] = {"alive", "suspected", "ended"};
    json_t *o = json_pack ("{s:I,s:s,s:I,s:s,s:b,s:b,s:b,s:s,s:I,s:s,s:s,s:I,s:I,s:o}", "member", (json_int_t) m->member, "name", m->name, "pid",
                           (json_int_t) m->pid, "address", m->control, "leads", m->leads, "witness", m->witness, "answers", *m->state != '\0',
                           "state", m->state, "state_ms", (json_int_t) m->state_ms, "waits_for", m->waits_for, "standing",
                           standings[m->standing], "silent_ms", (json_int_t) m->silent_ms, "limit_ms", (json_int_t) m->limit_ms, "actors",
                           s_waits_json (s, m));
    if (!o)
        return NULL;
    s_put_node (o, "node", m->node);
    s_put_node (o, "cluster", m->cluster);
    s_put_node (o, "stage", m->stage);
    return o;
}

rk_err_t rk_status_print_json (const rk_msg_t *status, rk_error_t *err)
{
    const rk_status_t *s = &status->status;
    json_t *members = json_array ();
    for (size_t i = 0; i < s->n_members; i++)
        json_array_append_new (members, s_member_json (s, &s->members[i]));
    json_t *root = json_pack ("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:s,s:I,s:o}", "event", "status", "view", (json_int_t) status->view, "process",
                              (json_int_t) s->process, "rounds", (json_int_t) s->committed, "total_rounds", (json_int_t) s->n_rounds,
                              "minibatches", (json_int_t) s->f, "total_minibatches", (json_int_t) s->n_f, "minibatches_per_pass",
                              (json_int_t) s->per_pass, "samples_per_s", (double) s->milli_rate / 1e3, "redone", (json_int_t) s->redone,
                              "reason", s->reason ? s->reason : "", "reason_ms", (json_int_t) s->reason_ms, "members", members);
    char *text = root ? json_dumps (root, JSON_COMPACT | JSON_REAL_PRECISION (10)) : NULL;
    if (text)
        puts (text);
    json_decref (root);
    rk_err_t rc = text ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for a status of %zu members", s->n_members);
    free (text);
    return rc;
}
