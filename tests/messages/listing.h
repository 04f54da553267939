/* SPDX-License-Identifier: MPL-2.0
 * Every field of a message by name: two messages are equal when their listings are.                  */
#ifndef RK_TESTS_MESSAGES_LISTING_H
#define RK_TESTS_MESSAGES_LISTING_H
#include <stdarg.h>
#include <stdio.h>

#include "messages/wire.h"

typedef struct {
    char text[1 << 18];
    size_t n;
} listing_t;

__attribute__ ((format (printf, 2, 3))) static inline void list_add (listing_t *out, const char *fmt, ...)
{
    va_list args;
    if (out->n >= sizeof out->text)
        return;
    va_start (args, fmt);
    out->n += (size_t) vsnprintf (out->text + out->n, sizeof out->text - out->n, fmt, args);
    va_end (args);
}

static inline void list_numbers (listing_t *out, const char *name, const uint64_t *list, size_t n)
{
    list_add (out, "%s[%zu]", name, n);
    for (size_t i = 0; i < n; i++)
        list_add (out, " %llu", (unsigned long long) list[i]);
    list_add (out, "\n");
}

static inline void list_endpoints (listing_t *out, const rk_endpoints_t *e)
{
    for (size_t i = 0; i < e->n; i++)
        list_add (out, "%u %s\n", e->list[i].address, e->list[i].endpoint);
}

#define U(field) list_add (out, #field " %llu\n", (unsigned long long) b->field);
#define T(field) list_add (out, #field " %s\n", b->field);
#define D(field) list_add (out, #field " %a\n", b->field);
#define BODY(kind, member, ...)                                                                                       \
    case RK_MSG_##kind: {                                                                                             \
        __typeof__ (&m->member) b = &m->member;                                                                       \
        __VA_ARGS__ break;                                                                                            \
    }

static inline void list_profile (listing_t *out, const rk_profile_msg_t *p)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        const rk_node_profile_t *b = &p->nodes[i];
        U (node) T (name) U (host) U (cores) U (speed_ppm) U (ram_bytes) U (gemm_mflops) T (endpoint)
        U (team_ppm) U (crowd_ppm) U (settled_ppm)
        U (dispatch_ns) U (feed_ns) U (copy_bytes_per_s)
        list_numbers (out, "forward_ns", b->forward_ns, b->n_layers);
        list_numbers (out, "backward_ns", b->backward_ns, b->n_layers);
    }
}

static inline void list_wait (listing_t *out, const rk_waits_t *b)
{
    U (actor) U (what) U (from) U (f) U (round) U (ms)
}

static inline void list_status (listing_t *out, const rk_status_t *s)
{
    const rk_status_t *b = s;
    U (process) U (committed) U (n_rounds) U (f) U (n_f) U (per_pass) U (milli_rate) U (redone) T (reason) U (reason_ms)
    for (size_t i = 0; i < s->n_waits; i++)
        list_wait (out, &s->waits[i]);
    for (size_t i = 0; i < s->n_members; i++) {
        const rk_status_member_t *m = &s->members[i];
        list_add (out, "%u %u %u %s %s %s %llu %s %u %llu %llu %d %d %u %u\n", m->member, m->node, m->pid, m->name, m->control, m->state,
                  (unsigned long long) m->state_ms, m->waits_for, m->standing, (unsigned long long) m->silent_ms,
                  (unsigned long long) m->limit_ms, m->leads, m->witness, m->cluster, m->stage);
    }
}

static inline void list_body (listing_t *out, const rk_msg_t *m)
{
    switch (m->kind) {
        BODY (ACTIVATION, activation, U (f) U (round) U (mode) U (n) U (dtype) U (n_tensors))
        BODY (GRADIENT, gradient, U (f) U (round) U (n) U (dtype) U (n_tensors))
        BODY (NORM, norm, U (step) D (squares) D (loss_scale))
        BODY (VERDICT, verdict, U (step) U (skip) D (grad_scale) D (loss_scale))
        BODY (SUSPECT, suspect, U (f) U (round))
        BODY (CREDIT, credit, U (f) U (round) U (mode))
        BODY (SNAPSHOT, snapshot, U (round) U (n_planes) U (weight) U (total) U (control) U (frozen))
        BODY (CHUNK, chunk, U (round) U (segment) U (plane) U (step) U (piece) U (offset) U (n_floats) U (total)
              U (mixing) U (control) D (push) U (frozen))
        BODY (MEAN, mean, U (round) U (n_planes) U (bytes_sent) U (merged) D (distance))
        BODY (SLICE, slice, U (round) U (stage) U (flat_lo) U (n_floats) U (n_planes) U (steps) U (merged))
        BODY (PREDICTION, prediction, U (f) U (n) U (n_classes))
        BODY (TIED, tied, U (what) U (f) U (round) U (n_tensors) U (n_floats))
        BODY (HANDOVER_REQUEST, handover_request, U (rounds) U (replica) U (flat_lo) U (n_floats) U (state_only))
        BODY (HANDOVER, handover, U (rounds) U (replica) U (flat_lo) U (n_floats) U (n_planes) U (source) U (exact)
              U (steps) U (n_good) D (loss_scale) U (frozen) U (state_only))
        BODY (HELLO, hello, T (name) T (control) U (host) U (cores) U (pid) T (kernels) U (ram_bytes) T (software) U (profile_only) T (key) U (witness) T (relay))
        BODY (WELCOME, welcome, U (node) T (settings) U (leader) U (host) U (pid) U (process) U (token) T (listen) U (later))
        BODY (PROFILE, profile, list_profile (out, b); U (n_links))
        BODY (PLAN, plan, U (digest) U (leader) U (goes_on) U (redone) list_numbers (out, "nodes", b->nodes, b->n_nodes);)
        BODY (WIRED, wired, list_endpoints (out, b);)
        BODY (PEERS, peers, list_endpoints (out, b);)
        BODY (READY, ready, U (digest))
        BODY (START, start, U (first_round))
        BODY (LEASE_REQUEST, lease_request, U (cluster) U (n))
        BODY (LEASE_GRANT, lease_grant, list_numbers (out, "f", b->f, b->n); U (round) U (mode) U (cluster))
        BODY (ROUND_CLOSED, round_closed, U (round) list_numbers (out, "counts", b->counts, b->n_clusters);
              list_numbers (out, "samples", b->samples, b->n_clusters); U (control))
        BODY (ROUND_APPLIED, round_applied, U (round) U (stage) D (distance))
        BODY (ROUND_COMMITTED, round_committed, U (round))
        BODY (EVALUATED, evaluated, U (f) U (round) D (loss_sum) U (n_correct) U (n) U (n_counted)
              U (mode) U (cluster) U (n_replicas) D (replica_mean) D (replica_least) D (replica_most))
        BODY (REPORT, report, U (cluster) U (stage) U (final) U (minibatches) U (samples) D (loss_sum) U (n_correct)
              U (busy_ns) U (declared_wait_ns) U (idle_ns) U (wall_ns) U (bytes_sent) U (staleness_sum)
              U (staleness_max) U (staleness_n) U (dropped) U (rss_bytes) U (dispatch_ns) U (pid)
              U (n_counted) U (skipped) U (forward_ns) U (n_forward) U (backward_ns) U (n_backward) U (runnable_ns) U (view))
        BODY (SAVE_REQUEST, save_request, U (round) U (final) U (model) T (control))
        BODY (SAVED, saved, U (round) U (digest) T (path) T (error))
        BODY (HEARTBEAT, heartbeat, U (sent_ms) U (token) U (hears) list_numbers (out, "misses", b->misses, b->n_misses);)
        BODY (FAILED, failed, U (node) T (text) U (actor) U (final))
        BODY (STOP, stop, U (code) T (reason))
        BODY (PROBE, probe, U (round) U (cluster) U (stage) U (n_tensors) T (names) U (exact))
        BODY (CONTROL, control, U (round) U (value))
        BODY (AGREEMENT, agreement, U (kind) U (about) U (ahead) U (paxos) U (ballot) U (ballot_node) U (accepted)
              U (accepted_node) U (has_value) list_numbers (out, "dead", b->dead, b->n_dead);)
        BODY (STATUS_REQUEST, status_request, U (alone))
        BODY (WAITS, waits, list_wait (out, b);)
        BODY (STATUS, status, list_status (out, b);)
        BODY (LINK_REQUEST, link_request, U (from) U (to) U (address) T (endpoint))
        BODY (LINK_PROBE, link_probe, U (what) U (seq) U (total))
        BODY (LINK_ECHO, link_echo, U (what) U (seq) U (bytes_per_s))
        BODY (LINK_MEASURED, link_measured, U (from) U (to) U (bytes_per_s) U (back_bytes_per_s) U (rtt_ns))
        BODY (KEYS, keys, list_endpoints (out, b);)
        BODY (RETIRE, retire, list_endpoints (out, b);)
        BODY (ENROL, enrol, T (key))
        BODY (ENROLLED, enrolled, T (relay))
    default: break; /* no fields */
    }
}
#undef U
#undef T
#undef D
#undef BODY

static inline void list_msg (listing_t *out, const rk_msg_t *m)
{
    out->n = 0;
    list_add (out, "%s view %llu sender %u seq %llu\n", rk_msg_kind_name (m->kind), (unsigned long long) m->view,
              m->sender, (unsigned long long) m->seq);
    list_body (out, m);
}

#endif
