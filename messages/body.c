/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/body.h"

#include <stdlib.h>

/* ---- bodies of plain fields: one list of fields makes both directions, so they cannot differ.
 * N: a number or bool, S: a string, L: a list of integers with its length.                            */
#define PUT_N(field) to->field = from->field;
#define PUT_S(field) to->field = (char *) from->field; /* protobuf-c only reads it; NULL packs as "" */
#define PUT_L(field, n) to->field = (uint64_t *) from->field, to->n_##field = from->n;
#define GET_N(field) to->field = from->field;
#define GET_S(field) to->field = from->field;
#define GET_L(field, n) to->field = from->field, to->n = from->n_##field;

#define PLAIN_BODY(member, fields)                                                                                    \
    static rk_err_t s_put_##member (const rk_msg_t *msg, rk_body_t *body)                                             \
    {                                                                                                                 \
        __typeof__ (&msg->member) from = &msg->member;                                                                \
        __typeof__ (&body->member) to = &body->member;                                                                \
        rk__##member##__init (to);                                                                                    \
        fields (PUT_N, PUT_S, PUT_L) return RK_OK;                                                                    \
    }                                                                                                                 \
    static rk_err_t s_get_##member (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)              \
    {                                                                                                                 \
        __typeof__ (envelope->member) from = envelope->member;                                                        \
        __typeof__ (&msg->member) to = &msg->member;                                                                  \
        (void) arena;                                                                                                 \
        fields (GET_N, GET_S, GET_L) return RK_OK;                                                                    \
    }

#define ACTIVATION(N, S, L) N (f) N (round) N (mode) N (n) N (dtype) N (n_tensors)
#define GRADIENT(N, S, L) N (f) N (round) N (n) N (dtype) N (n_tensors)
#define CREDIT(N, S, L) N (f) N (round) N (mode)
#define SNAPSHOT(N, S, L) N (round) N (n_planes) N (weight) N (total) N (control) N (frozen)
#define CHUNK(N, S, L)                                                                                                \
    N (round) N (segment) N (plane) N (step) N (piece) N (offset) N (n_floats) N (total) N (mixing) N (control)       \
        N (push) N (frozen)
#define MEAN(N, S, L) N (round) N (n_planes) N (bytes_sent) N (merged) N (distance)
#define SLICE(N, S, L) N (round) N (stage) N (flat_lo) N (n_floats) N (n_planes) N (steps) N (merged)
#define PREDICTION(N, S, L) N (f) N (n) N (n_classes)
#define TIED(N, S, L) N (what) N (f) N (round) N (n_tensors) N (n_floats)
#define NORM(N, S, L) N (step) N (squares) N (loss_scale)
#define VERDICT(N, S, L) N (step) N (skip) N (grad_scale) N (loss_scale)
#define SUSPECT(N, S, L) N (f) N (round)
#define HANDOVER_REQUEST(N, S, L) N (rounds) N (replica) N (flat_lo) N (n_floats) N (state_only)
#define HANDOVER(N, S, L)                                                                                             \
    N (rounds) N (replica) N (flat_lo) N (n_floats) N (n_planes) N (source) N (exact) N (steps) N (n_good)            \
        N (loss_scale) N (frozen) N (state_only)
#define HELLO(N, S, L) S (name) S (control) N (host) N (cores) N (pid) S (kernels) N (ram_bytes) S (software) N (profile_only) S (key) N (witness) S (relay)
#define WELCOME(N, S, L) N (node) S (settings) N (leader) N (host) N (pid) N (process) N (token) S (listen) N (later)
#define PROFILE_REQUEST(N, S, L) L (dims, n_dims) N (n_classes)
#define LINK_REQUEST(N, S, L) N (from) N (to) N (address) S (endpoint)
#define LINK_PROBE(N, S, L) N (what) N (seq) N (total)
#define LINK_ECHO(N, S, L) N (what) N (seq) N (bytes_per_s)
#define LINK_MEASURED(N, S, L) N (from) N (to) N (bytes_per_s) N (back_bytes_per_s) N (rtt_ns)
#define READY(N, S, L) N (digest)
#define START(N, S, L) N (first_round)
#define LEASE_REQUEST(N, S, L) N (cluster) N (n)
#define LEASE_GRANT(N, S, L) L (f, n) N (round) N (mode) N (cluster)
#define ROUND_APPLIED(N, S, L) N (round) N (stage) N (distance)
#define ROUND_COMMITTED(N, S, L) N (round)
#define EVALUATED(N, S, L)                                                                                            \
    N (f) N (round) N (loss_sum) N (n_correct) N (n) N (n_counted) N (mode) N (cluster) N (n_replicas)                \
        N (replica_mean) N (replica_least) N (replica_most)
#define REPORT(N, S, L)                                                                                               \
    N (cluster) N (stage) N (final) N (minibatches) N (samples) N (loss_sum) N (n_correct) N (busy_ns)                \
        N (declared_wait_ns) N (idle_ns) N (wall_ns) N (bytes_sent) N (staleness_sum) N (staleness_max)               \
            N (staleness_n) N (dropped) N (rss_bytes) N (dispatch_ns) N (pid) N (n_counted) N (skipped)                  \
            N (forward_ns) N (n_forward) N (backward_ns) N (n_backward) N (runnable_ns) N (view) N (kernel_wall_ns)
#define SAVE_REQUEST(N, S, L) N (round) N (final) N (model) S (control)
#define SAVED(N, S, L) N (round) N (digest) S (path) S (error)
#define HEARTBEAT(N, S, L) N (sent_ms) N (token) N (hears) L (misses, n_misses)
#define FAILED(N, S, L) N (node) S (text) N (actor) N (final)
#define STOP(N, S, L) N (code) S (reason)
#define PROBE(N, S, L) N (round) N (cluster) N (stage) N (n_tensors) S (names) N (exact)
#define CONTROL(N, S, L) N (round) N (value)
#define AGREEMENT(N, S, L)                                                                                            \
    N (kind) N (about) N (ahead) N (paxos) N (ballot) N (ballot_node) N (accepted) N (accepted_node)      \
        N (has_value) L (dead, n_dead)
#define REPLAN(N, S, L)                                                                                               \
    N (round) N (verdict) N (running_score) N (new_score) N (gain_ppm) N (move_bytes) N (move_ns) N (saved_ns) S (text)
#define ENROL(N, S, L) S (key)
#define STATUS_REQUEST(N, S, L) N (alone)
#define WAITS(N, S, L) N (actor) N (what) N (from) N (f) N (round) N (ms)
#define ENROLLED(N, S, L) S (relay)

PLAIN_BODY (activation, ACTIVATION)
PLAIN_BODY (gradient, GRADIENT)
PLAIN_BODY (credit, CREDIT)
PLAIN_BODY (snapshot, SNAPSHOT)
PLAIN_BODY (chunk, CHUNK)
PLAIN_BODY (mean, MEAN)
PLAIN_BODY (slice, SLICE)
PLAIN_BODY (prediction, PREDICTION)
PLAIN_BODY (tied, TIED)
PLAIN_BODY (norm, NORM)
PLAIN_BODY (verdict, VERDICT)
PLAIN_BODY (suspect, SUSPECT)
PLAIN_BODY (handover_request, HANDOVER_REQUEST)
PLAIN_BODY (handover, HANDOVER)
PLAIN_BODY (hello, HELLO)
PLAIN_BODY (welcome, WELCOME)
PLAIN_BODY (profile_request, PROFILE_REQUEST)
PLAIN_BODY (ready, READY)
PLAIN_BODY (start, START)
PLAIN_BODY (lease_request, LEASE_REQUEST)
PLAIN_BODY (lease_grant, LEASE_GRANT)
PLAIN_BODY (round_applied, ROUND_APPLIED)
PLAIN_BODY (round_committed, ROUND_COMMITTED)
PLAIN_BODY (evaluated, EVALUATED)
PLAIN_BODY (report, REPORT)
PLAIN_BODY (save_request, SAVE_REQUEST)
PLAIN_BODY (saved, SAVED)
PLAIN_BODY (heartbeat, HEARTBEAT)
PLAIN_BODY (failed, FAILED)
PLAIN_BODY (stop, STOP)
PLAIN_BODY (probe, PROBE)
PLAIN_BODY (control, CONTROL)
PLAIN_BODY (agreement, AGREEMENT)
PLAIN_BODY (replan, REPLAN)
PLAIN_BODY (link_request, LINK_REQUEST)
PLAIN_BODY (link_probe, LINK_PROBE)
PLAIN_BODY (link_echo, LINK_ECHO)
PLAIN_BODY (link_measured, LINK_MEASURED)
PLAIN_BODY (enrol, ENROL)
PLAIN_BODY (status_request, STATUS_REQUEST)
PLAIN_BODY (waits, WAITS)
PLAIN_BODY (enrolled, ENROLLED)

/* ---- bodies without fields */
static rk_err_t s_put_stopped (const rk_msg_t *msg, rk_body_t *body)
{
    (void) msg;
    rk__stopped__init (&body->stopped);
    return RK_OK;
}

static rk_err_t s_get_nothing (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    (void) envelope, (void) arena, (void) msg;
    return RK_OK;
}

/* ---- bodies whose names or lists differ */
static rk_err_t s_put_plan (const rk_msg_t *msg, rk_body_t *body)
{
    const rk_plan_msg_t *from = &msg->plan;
    Rk__PlanProposal *to = &body->plan;
    rk__plan_proposal__init (to);
    PUT_N (digest)
    PUT_N (leader)
    PUT_N (goes_on)
    PUT_N (redone)
    PUT_L (nodes, n_nodes)
    return RK_OK;
}

static rk_err_t s_get_plan (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    const Rk__PlanProposal *from = envelope->plan;
    rk_plan_msg_t *to = &msg->plan;
    (void) arena;
    GET_N (digest)
    GET_N (leader)
    GET_N (goes_on)
    GET_N (redone)
    GET_L (nodes, n_nodes)
    return RK_OK;
}

static rk_err_t s_put_round_closed (const rk_msg_t *msg, rk_body_t *body)
{
    const rk_round_closed_t *from = &msg->round_closed;
    Rk__RoundClosed *to = &body->round_closed;
    rk__round_closed__init (to);
    PUT_N (round)
    PUT_L (counts, n_clusters)
    PUT_L (samples, n_clusters)
    PUT_N (control)
    return RK_OK;
}

static rk_err_t s_get_round_closed (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    const Rk__RoundClosed *from = envelope->round_closed;
    rk_round_closed_t *to = &msg->round_closed;
    (void) arena;
    if (from->n_counts != from->n_samples)
        return RK_EFORMAT;
    GET_N (round)
    GET_L (counts, n_clusters)
    GET_L (samples, n_clusters)
    GET_N (control)
    return RK_OK;
}

/* `n` structs of `size` bytes behind `n` pointers to them, in one block that the caller frees. */
static void **s_pointers (rk_body_t *body, size_t n, size_t size)
{
    void **pointer = malloc (n * sizeof *pointer + n * size);
    body->list = pointer;
    for (size_t i = 0; pointer && i < n; i++)
        pointer[i] = (char *) (pointer + n) + i * size;
    return pointer;
}

static void s_put_node (const rk_node_profile_t *from, Rk__NodeProfile *to)
{
    rk__node_profile__init (to);
    PUT_N (node) PUT_S (name) PUT_N (host) PUT_N (cores) PUT_N (speed_ppm) PUT_N (ram_bytes) PUT_N (gemm_mflops)
    PUT_N (team_ppm) PUT_N (crowd_ppm) PUT_N (settled_ppm)
    PUT_N (dispatch_ns) PUT_N (feed_ns) PUT_N (copy_bytes_per_s)
    PUT_S (endpoint)
    PUT_L (forward_ns, n_layers)
    PUT_L (backward_ns, n_layers)
}

static rk_err_t s_put_profile (const rk_msg_t *msg, rk_body_t *body)
{
    size_t n = msg->profile.n_nodes;
    rk__profile__init (&body->profile);
    body->profile.n_links = msg->profile.n_links;
    if (n == 0)
        return RK_OK;
    void **nodes = s_pointers (body, n, sizeof (Rk__NodeProfile));
    if (!nodes)
        return RK_ENOMEM;
    for (size_t i = 0; i < n; i++)
        s_put_node (&msg->profile.nodes[i], nodes[i]);
    body->profile.n_nodes = n;
    body->profile.nodes = (Rk__NodeProfile **) nodes;
    return RK_OK;
}

static rk_err_t s_get_node (const Rk__NodeProfile *from, rk_node_profile_t *to)
{
    if (from->n_forward_ns != from->n_backward_ns)
        return RK_EFORMAT;
    GET_N (node) GET_S (name) GET_N (host) GET_N (cores) GET_N (speed_ppm) GET_N (ram_bytes) GET_N (gemm_mflops)
    GET_N (team_ppm) GET_N (crowd_ppm) GET_N (settled_ppm)
    GET_N (dispatch_ns) GET_N (feed_ns) GET_N (copy_bytes_per_s)
    GET_S (endpoint)
    GET_L (forward_ns, n_layers)
    GET_L (backward_ns, n_layers)
    return RK_OK;
}

static rk_err_t s_get_profile (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    const Rk__Profile *from = envelope->profile;
    rk_node_profile_t *nodes = rk_arena_alloc (arena, from->n_nodes * sizeof *nodes);
    rk_err_t rc = nodes ? RK_OK : RK_EFORMAT;
    for (size_t i = 0; !rc && i < from->n_nodes; i++)
        rc = s_get_node (from->nodes[i], &nodes[i]);
    msg->profile.n_links = from->n_links;
    msg->profile.n_nodes = from->n_nodes;
    msg->profile.nodes = nodes;
    return rc;
}

static rk_err_t s_put_list (const rk_endpoints_t *from, rk_body_t *body, Rk__Endpoint ***list, size_t *n)
{
    if (from->n == 0)
        return RK_OK;
    void **endpoints = s_pointers (body, from->n, sizeof (Rk__Endpoint));
    if (!endpoints)
        return RK_ENOMEM;
    for (size_t i = 0; i < from->n; i++) {
        Rk__Endpoint *endpoint = endpoints[i];
        rk__endpoint__init (endpoint);
        endpoint->address = from->list[i].address;
        endpoint->endpoint = (char *) from->list[i].endpoint;
    }
    *n = from->n;
    *list = (Rk__Endpoint **) endpoints;
    return RK_OK;
}

static rk_err_t s_put_endpoints (const rk_endpoints_t *from, rk_body_t *body, Rk__Endpoints *to)
{
    rk__endpoints__init (to);
    return s_put_list (from, body, &to->endpoints, &to->n_endpoints);
}

static rk_err_t s_put_retire (const rk_msg_t *msg, rk_body_t *body)
{
    rk__retire__init (&body->retire);
    return s_put_list (&msg->retire, body, &body->retire.relays, &body->retire.n_relays);
}

static rk_err_t s_get_list (Rk__Endpoint *const *from, size_t n, rk_wire_arena_t *arena, rk_endpoints_t *to)
{
    rk_endpoint_t *list = rk_arena_alloc (arena, n * sizeof *list);
    if (!list)
        return RK_EFORMAT;
    for (size_t i = 0; i < n; i++)
        list[i] = (rk_endpoint_t) {from[i]->address, from[i]->endpoint};
    to->n = n;
    to->list = list;
    return RK_OK;
}

static rk_err_t s_get_endpoints (const Rk__Endpoints *from, rk_wire_arena_t *arena, rk_endpoints_t *to)
{
    return s_get_list (from->endpoints, from->n_endpoints, arena, to);
}

static rk_err_t s_get_retire (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    return s_get_list (envelope->retire->relays, envelope->retire->n_relays, arena, &msg->retire);
}

static rk_err_t s_put_wired (const rk_msg_t *msg, rk_body_t *body)
{
    return s_put_endpoints (&msg->wired, body, &body->wired);
}

static rk_err_t s_get_wired (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    return s_get_endpoints (envelope->wired, arena, &msg->wired);
}

static rk_err_t s_put_peers (const rk_msg_t *msg, rk_body_t *body)
{
    return s_put_endpoints (&msg->peers, body, &body->peers);
}

static rk_err_t s_get_peers (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    return s_get_endpoints (envelope->peers, arena, &msg->peers);
}

static rk_err_t s_put_keys (const rk_msg_t *msg, rk_body_t *body)
{
    return s_put_endpoints (&msg->keys, body, &body->keys);
}

static rk_err_t s_get_keys (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    return s_get_endpoints (envelope->keys, arena, &msg->keys);
}

#define STATUS_MEMBER(N, S)                                                                                           \
    N (member) N (node) N (pid) S (name) S (control) S (state) N (state_ms) S (waits_for) N (standing) N (silent_ms) \
        N (limit_ms) N (leads) N (witness) N (cluster) N (stage)
#define STATUS(N, S)                                                                                                  \
    N (process) N (committed) N (n_rounds) N (f) N (n_f) N (per_pass) N (milli_rate) N (redone) S (reason) N (reason_ms)

static void s_put_status_member (const rk_status_member_t *from, Rk__StatusMember *to)
{
    rk__status_member__init (to);
    STATUS_MEMBER (PUT_N, PUT_S)
}

static void s_put_wait (const rk_waits_t *from, Rk__Waits *to)
{
    rk__waits__init (to);
    WAITS (PUT_N, PUT_S, PUT_L)
}

static void s_get_status_member (const Rk__StatusMember *from, rk_status_member_t *to)
{
    STATUS_MEMBER (GET_N, GET_S)
}

static void s_get_wait (const Rk__Waits *from, rk_waits_t *to)
{
    WAITS (GET_N, GET_S, GET_L)
}

/* Two lists in one block: members, then waits. */
static rk_err_t s_put_status (const rk_msg_t *msg, rk_body_t *body)
{
    const rk_status_t *from = &msg->status;
    Rk__Status *to = &body->status;
    rk__status__init (to);
    STATUS (PUT_N, PUT_S)
    const size_t n = from->n_members, n_waits = from->n_waits;
    if (n + n_waits == 0)
        return RK_OK;
    void **list = s_pointers (body, n + n_waits, sizeof (Rk__StatusMember)); /* the larger of the two */
    if (!list)
        return RK_ENOMEM;
    to->n_members = n;
    to->members = (Rk__StatusMember **) list;
    to->n_waits = n_waits;
    to->waits = (Rk__Waits **) (list + n);
    for (size_t i = 0; i < n; i++)
        s_put_status_member (&from->members[i], to->members[i]);
    for (size_t i = 0; i < n_waits; i++)
        s_put_wait (&from->waits[i], to->waits[i]);
    return RK_OK;
}

static rk_err_t s_get_status (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg)
{
    const Rk__Status *from = envelope->status;
    rk_status_t *to = &msg->status;
    rk_status_member_t *members = rk_arena_alloc (arena, from->n_members * sizeof *members);
    rk_waits_t *waits = rk_arena_alloc (arena, from->n_waits * sizeof *waits);
    if (!members || !waits)
        return RK_EFORMAT;
    for (size_t i = 0; i < from->n_members; i++)
        s_get_status_member (from->members[i], &members[i]);
    for (size_t i = 0; i < from->n_waits; i++)
        s_get_wait (from->waits[i], &waits[i]);
    STATUS (GET_N, GET_S)
    to->n_members = from->n_members;
    to->members = members;
    to->n_waits = from->n_waits;
    to->waits = waits;
    return RK_OK;
}

#define ROW(kind, name, member)                                                                                       \
    [RK_MSG_##kind] = {name, RK__ENVELOPE__BODY_##kind, s_put_##member, s_get_##member}

static const rk_body_ops_t s_ops[RK_N_MSG] = {
    ROW (ACTIVATION, "Activation", activation),
    ROW (GRADIENT, "Gradient", gradient),
    ROW (CREDIT, "Credit", credit),
    ROW (SNAPSHOT, "Snapshot", snapshot),
    ROW (CHUNK, "Chunk", chunk),
    ROW (MEAN, "Mean", mean),
    ROW (SLICE, "Slice", slice),
    ROW (PREDICTION, "Prediction", prediction),
    ROW (TIED, "Tied", tied),
    ROW (NORM, "Norm", norm),
    ROW (VERDICT, "Verdict", verdict),
    ROW (SUSPECT, "Suspect", suspect),
    ROW (HANDOVER_REQUEST, "HandoverRequest", handover_request),
    ROW (HANDOVER, "Handover", handover),
    ROW (HELLO, "Hello", hello),
    ROW (WELCOME, "Welcome", welcome),
    ROW (PROFILE_REQUEST, "ProfileRequest", profile_request),
    ROW (PROFILE, "Profile", profile),
    ROW (PLAN, "PlanProposal", plan),
    ROW (WIRED, "Wired", wired),
    ROW (PEERS, "Peers", peers),
    ROW (READY, "Ready", ready),
    ROW (START, "Start", start),
    ROW (LEASE_REQUEST, "LeaseRequest", lease_request),
    ROW (LEASE_GRANT, "LeaseGrant", lease_grant),
    ROW (ROUND_CLOSED, "RoundClosed", round_closed),
    ROW (ROUND_APPLIED, "RoundApplied", round_applied),
    ROW (ROUND_COMMITTED, "RoundCommitted", round_committed),
    ROW (EVALUATED, "Evaluated", evaluated),
    ROW (REPORT, "Report", report),
    ROW (SAVE_REQUEST, "SaveRequest", save_request),
    ROW (SAVED, "Saved", saved),
    ROW (HEARTBEAT, "Heartbeat", heartbeat),
    ROW (FAILED, "Failed", failed),
    ROW (STOP, "Stop", stop),
    ROW (PROBE, "Probe", probe),
    ROW (CONTROL, "Control", control),
    ROW (AGREEMENT, "Agreement", agreement),
    ROW (REPLAN, "Replan", replan),
    ROW (STATUS_REQUEST, "StatusRequest", status_request),
    ROW (WAITS, "Waits", waits),
    ROW (STATUS, "Status", status),
    ROW (RETIRE, "Retire", retire),
    ROW (LINK_REQUEST, "LinkRequest", link_request),
    ROW (LINK_PROBE, "LinkProbe", link_probe),
    ROW (LINK_ECHO, "LinkEcho", link_echo),
    ROW (LINK_MEASURED, "LinkMeasured", link_measured),
    ROW (KEYS, "Keys", keys),
    ROW (ENROL, "Enrol", enrol),
    ROW (ENROLLED, "Enrolled", enrolled),
    [RK_MSG_STOPPED] = {"Stopped", RK__ENVELOPE__BODY_STOPPED, s_put_stopped, s_get_nothing},
};

const rk_body_ops_t *rk_body_ops (rk_msg_kind_t kind)
{
    return (unsigned) kind < RK_N_MSG && s_ops[kind].put ? &s_ops[kind] : NULL;
}

rk_msg_kind_t rk_body_kind (Rk__Envelope__BodyCase body_case)
{
    for (unsigned kind = 1; kind < RK_N_MSG; kind++)
        if (s_ops[kind].body_case == body_case)
            return (rk_msg_kind_t) kind;
    return RK_MSG_NONE;
}
