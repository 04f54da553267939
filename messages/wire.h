/* SPDX-License-Identifier: MPL-2.0
 * Multipart messages: build, send, receive, validate. Plain C structs go in and out; generated types stop
 * at wire.c. Tensors are raw frames, lent to the socket when large, borrowed from the received frame when
 * read. A received frame is const: over inproc it is the sender's own memory.                            */
#ifndef RK_MESSAGES_WIRE_H
#define RK_MESSAGES_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>
#include "compute/error.h"

#define RK_WIRE_VERSION 1
#define RK_WIRE_MAX_FRAMES 72     /* after the envelope */
#define RK_WIRE_MAX_ENVELOPE (1 << 20)
#define RK_WIRE_MAX_LIST 4096     /* elements of a repeated field */

/* ---- who: an address is an actor kind and a node id */
typedef enum {
    RK_ACTOR_NODE = 1, RK_ACTOR_COORDINATOR, RK_ACTOR_PROFILER, RK_ACTOR_FEEDER, RK_ACTOR_STAGE,
    RK_ACTOR_REDUCER, RK_ACTOR_OBSERVER, RK_ACTOR_CHECKPOINTER, RK_ACTOR_KEEPER
} rk_actor_kind_t;
static inline uint32_t rk_address (rk_actor_kind_t kind, uint32_t node)
{
    return (uint32_t) kind << 24 | (node & 0xffffff);
}
static inline rk_actor_kind_t rk_address_kind (uint32_t address)
{
    return (rk_actor_kind_t) (address >> 24);
}
static inline uint32_t rk_address_node (uint32_t address)
{
    return address & 0xffffff;
}
const char *rk_actor_kind_name (rk_actor_kind_t kind);

/* ---- what: one plain struct per body of envelope.proto, same field names */
typedef enum {
    RK_MSG_NONE = 0,
    RK_MSG_ACTIVATION, RK_MSG_GRADIENT, RK_MSG_CREDIT, RK_MSG_SNAPSHOT, RK_MSG_CHUNK, RK_MSG_MEAN, RK_MSG_SLICE,
    RK_MSG_PREDICTION, RK_MSG_TIED, RK_MSG_NORM, RK_MSG_VERDICT, RK_MSG_SUSPECT,
    RK_MSG_HANDOVER_REQUEST, RK_MSG_HANDOVER,
    RK_MSG_HELLO, RK_MSG_WELCOME, RK_MSG_PROFILE_REQUEST, RK_MSG_PROFILE, RK_MSG_PLAN, RK_MSG_WIRED, RK_MSG_PEERS,
    RK_MSG_READY, RK_MSG_START, RK_MSG_LEASE_REQUEST, RK_MSG_LEASE_GRANT, RK_MSG_ROUND_CLOSED, RK_MSG_ROUND_APPLIED,
    RK_MSG_ROUND_COMMITTED, RK_MSG_EVALUATED, RK_MSG_REPORT, RK_MSG_SAVE_REQUEST, RK_MSG_SAVED, RK_MSG_HEARTBEAT,
    RK_MSG_FAILED, RK_MSG_STOP, RK_MSG_STOPPED, RK_MSG_PROBE, RK_MSG_CONTROL, RK_MSG_AGREEMENT, RK_MSG_RETIRE, RK_MSG_REPLAN,
    RK_MSG_STATUS_REQUEST, RK_MSG_WAITS, RK_MSG_STATUS,
    RK_MSG_LINK_REQUEST, RK_MSG_LINK_PROBE, RK_MSG_LINK_ECHO, RK_MSG_LINK_MEASURED,
    RK_MSG_KEYS, RK_MSG_ENROL, RK_MSG_ENROLLED,
    RK_N_MSG
} rk_msg_kind_t;
const char *rk_msg_kind_name (rk_msg_kind_t kind);

/* Minibatch mode. EVAL: the model that is saved; REPLICA: where replicas differ, the own one; MEASURE: a training
 * minibatch on which the statistics of that model are measured.                                            */
enum { RK_MB_TRAIN = 0, RK_MB_EVAL = 1, RK_MB_PREDICT = 2, RK_MB_REPLICA = 3, RK_MB_MEASURE = 4, RK_N_MB };

/* Why a run stops. UNSAVED: it was trained to its end, but what came then failed (its last checkpoint). */
enum { RK_STOP_DONE = 0, RK_STOP_FAILED = 1, RK_STOP_UNSAVED = 2 };
enum { RK_DTYPE_F32 = 0, RK_DTYPE_F16 = 1 };
enum { RK_HANDOVER_STAGE = 0, RK_HANDOVER_CHECKPOINT = 1 }; /* source of a Handover */
#define RK_HANDOVER_PART 262144 /* floats of one Handover's planes, at most */
enum { RK_AGREEMENT_PAXOS = 3, RK_AGREEMENT_N_PAXOS = 6 }; /* kinds and steps, as cluster/membership.h and cluster/paxos.h number them */
enum { RK_WAITS_NOTHING = 0, RK_WAITS_ACTIVATION, RK_WAITS_GRADIENT, RK_WAITS_NORM, RK_WAITS_TIED, RK_WAITS_CLOSE, RK_WAITS_MEAN, RK_WAITS_SEGMENTS,
       RK_WAITS_STATE, RK_WAITS_LEASE, RK_WAITS_CREDIT, RK_WAITS_SPEED, RK_WAITS_COMMIT, RK_WAITS_END, RK_N_WAITS }; /* what a Waits is for */
enum { RK_STANDING_ALIVE = 0, RK_STANDING_SUSPECTED, RK_STANDING_ENDED, RK_N_STANDINGS };
enum { RK_TIED_SHARE = 0, RK_TIED_VALUES = 1, RK_TIED_ROUND = 2, RK_TIED_MEAN = 3 }; /* what a Tied is */
enum { RK_LINK_PING = 0, RK_LINK_BURST = 1, RK_LINK_WANT = 2 };    /* what a LinkProbe is */
#define RK_LINK_MOST_BYTES (32u << 20)                             /* of a burst */

typedef struct { uint64_t f, round; uint32_t mode, n, dtype, n_tensors; } rk_activation_t;
typedef struct { uint64_t f, round; uint32_t n, dtype, n_tensors; } rk_gradient_t;
typedef struct { uint64_t f, round; uint32_t mode; } rk_credit_t;
typedef struct { uint64_t round; uint32_t n_planes; uint64_t weight, total; uint32_t control; bool frozen; } rk_snapshot_t;
typedef struct { uint64_t round; uint32_t segment, plane, step, piece; uint64_t offset, n_floats, total; bool mixing; uint32_t control; double push; bool frozen; } rk_chunk_t;
typedef struct { uint64_t round; uint32_t n_planes; uint64_t bytes_sent; bool merged; double distance; } rk_mean_t;
typedef struct { uint64_t round; uint32_t stage; uint64_t flat_lo, n_floats; uint32_t n_planes; uint64_t steps; bool merged; } rk_slice_msg_t;
typedef struct { uint64_t f; uint32_t n, n_classes; } rk_prediction_t;
typedef struct { uint32_t what; uint64_t f, round; uint32_t n_tensors; uint64_t n_floats; } rk_tied_t;
typedef struct { uint64_t step; double squares; float loss_scale; } rk_norm_t;
typedef struct { uint64_t step; bool skip; float grad_scale, loss_scale; } rk_verdict_msg_t;
typedef struct { uint64_t f, round; } rk_suspect_t;
typedef struct { uint64_t rounds; uint32_t replica; uint64_t flat_lo, n_floats; bool state_only; } rk_handover_request_t;
typedef struct { uint64_t rounds; uint32_t replica; uint64_t flat_lo, n_floats; uint32_t n_planes, source; bool exact; uint64_t steps, n_good; float loss_scale; bool frozen, state_only; } rk_handover_t;
typedef struct { const char *name, *control; uint64_t host; uint32_t cores, pid; const char *kernels; uint64_t ram_bytes; const char *software; bool profile_only; const char *key; bool witness; const char *relay; } rk_hello_t;
typedef struct { uint32_t node; const char *settings; uint32_t leader; uint64_t host; uint32_t pid, process; uint64_t token; const char *listen; bool later; } rk_welcome_t;
typedef struct { size_t n_dims; const uint64_t *dims; uint32_t n_classes; } rk_profile_request_t;
typedef struct { uint32_t node; const char *name; uint64_t host; uint32_t cores, speed_ppm; uint64_t ram_bytes, gemm_mflops;
                 uint32_t team_ppm, crowd_ppm, settled_ppm; uint64_t dispatch_ns, feed_ns, copy_bytes_per_s; size_t n_layers; const uint64_t *forward_ns, *backward_ns; const char *endpoint; } rk_node_profile_t;
typedef struct { size_t n_nodes; const rk_node_profile_t *nodes; uint32_t n_links; } rk_profile_msg_t;
typedef struct { uint32_t from, to, address; const char *endpoint; } rk_link_request_t;
typedef struct { uint32_t what; uint64_t seq, total; } rk_link_probe_t;
typedef struct { uint32_t what; uint64_t seq, bytes_per_s; } rk_link_echo_t;
typedef struct { uint32_t from, to; uint64_t bytes_per_s, back_bytes_per_s, rtt_ns; } rk_link_measured_t;
typedef struct { uint64_t digest; uint32_t leader; bool goes_on; uint64_t redone; size_t n_nodes; const uint64_t *nodes; } rk_plan_msg_t;
typedef struct { uint32_t address; const char *endpoint; } rk_endpoint_t;
typedef struct { size_t n; const rk_endpoint_t *list; } rk_endpoints_t;
typedef struct { uint64_t digest; } rk_ready_t;
typedef struct { uint64_t first_round; } rk_start_t;
typedef struct { uint32_t cluster, n; } rk_lease_request_t;
typedef struct { size_t n; const uint64_t *f; uint64_t round; uint32_t mode, cluster; } rk_lease_grant_t;
typedef struct { uint64_t round; size_t n_clusters; const uint64_t *counts, *samples; uint32_t control; } rk_round_closed_t;
typedef struct { uint64_t round; uint32_t stage; double distance; } rk_round_applied_t;
typedef struct { uint64_t round; } rk_round_committed_t;
typedef struct { uint64_t f, round; double loss_sum; uint64_t n_correct, n_counted; uint32_t n, mode, cluster, n_replicas; double replica_mean, replica_least, replica_most; } rk_evaluated_t;
typedef struct {
    uint32_t cluster, stage; bool final; uint64_t minibatches, samples; double loss_sum;
    uint64_t n_correct, busy_ns, declared_wait_ns, idle_ns, wall_ns, bytes_sent, staleness_sum, staleness_max, staleness_n,
        dropped, rss_bytes, dispatch_ns, n_counted, skipped; uint32_t pid;
    uint64_t forward_ns, n_forward, backward_ns, n_backward, runnable_ns, view, kernel_wall_ns;
} rk_report_t;
typedef struct { uint64_t round; bool final, model; const char *control; } rk_save_request_t;
typedef struct { uint64_t round, digest; const char *path, *error; } rk_saved_t;
typedef struct { int64_t sent_ms; uint64_t token; bool hears; size_t n_misses; const uint64_t *misses; } rk_heartbeat_t;
typedef struct { uint32_t node; const char *text; uint32_t actor; bool final; } rk_failed_t;
typedef struct { uint32_t code; const char *reason; } rk_stop_t;
typedef struct { uint64_t round; uint32_t cluster, stage, n_tensors; const char *names; bool exact; } rk_probe_t;
typedef struct { uint64_t round; uint32_t value; } rk_control_msg_t;
typedef struct {
    uint32_t kind; uint64_t about, ahead; uint32_t paxos; uint64_t ballot; uint32_t ballot_node; uint64_t accepted; uint32_t accepted_node;
    bool has_value; size_t n_dead; const uint64_t *dead;
} rk_agreement_t;
typedef struct { uint64_t round; uint32_t verdict; uint64_t running_score, new_score, gain_ppm, move_bytes, move_ns, saved_ns; const char *text; } rk_replan_msg_t;
typedef struct { const char *key; } rk_enrol_t;
typedef struct { bool alone; } rk_status_request_t;
typedef struct { uint32_t actor, what, from; uint64_t f, round, ms; } rk_waits_t;
typedef struct {
    uint32_t member, node, pid; const char *name, *control, *state; uint64_t state_ms; const char *waits_for; uint32_t standing;
    uint64_t silent_ms, limit_ms; bool leads, witness; uint32_t cluster, stage;
} rk_status_member_t;
typedef struct {
    uint32_t process; uint64_t committed, n_rounds, f, n_f, per_pass, milli_rate, redone; const char *reason; uint64_t reason_ms;
    size_t n_members; const rk_status_member_t *members; size_t n_waits; const rk_waits_t *waits;
} rk_status_t;
typedef struct { const char *relay; } rk_enrolled_t;

typedef struct {
    rk_msg_kind_t kind;
    uint64_t view;
    uint32_t sender;
    uint64_t seq; /* per sender and receiver, from 1; the sender counts */
    union {
        rk_activation_t activation; rk_gradient_t gradient; rk_credit_t credit; rk_snapshot_t snapshot; rk_chunk_t chunk;
        rk_mean_t mean; rk_slice_msg_t slice; rk_prediction_t prediction; rk_tied_t tied;
        rk_norm_t norm; rk_verdict_msg_t verdict; rk_suspect_t suspect;
        rk_handover_request_t handover_request; rk_handover_t handover; rk_hello_t hello; rk_welcome_t welcome;
        rk_profile_request_t profile_request; rk_profile_msg_t profile; rk_plan_msg_t plan; rk_endpoints_t wired, peers; rk_ready_t ready; rk_start_t start;
        rk_lease_request_t lease_request; rk_lease_grant_t lease_grant; rk_round_closed_t round_closed;
        rk_round_applied_t round_applied; rk_round_committed_t round_committed; rk_evaluated_t evaluated; rk_report_t report;
        rk_save_request_t save_request; rk_saved_t saved; rk_heartbeat_t heartbeat; rk_failed_t failed; rk_stop_t stop;
        rk_probe_t probe; rk_control_msg_t control; rk_agreement_t agreement; rk_replan_msg_t replan; rk_status_request_t status_request; rk_waits_t waits; rk_status_t status; rk_endpoints_t keys, retire; rk_enrol_t enrol; rk_enrolled_t enrolled;
        rk_link_request_t link_request; rk_link_probe_t link_probe; rk_link_echo_t link_echo; rk_link_measured_t link_measured;
    };
} rk_msg_t;

/* ---- bytes: the envelope alone (no sockets). pack returns the bytes needed, writes nothing if too small;
 * 0: the kind is none of ours, or no memory for a list of structs. It does not validate.                 */
size_t rk_wire_pack (const rk_msg_t *msg, uint8_t *bytes, size_t size);
typedef struct rk_wire_arena rk_wire_arena_t; /* memory of one parsed envelope's strings and lists */
rk_err_t rk_wire_arena_new (rk_wire_arena_t **arena_p) RK_MUST_CHECK;
void rk_wire_arena_destroy (rk_wire_arena_t **arena_p);
/* Fills *msg; strings and lists live in the arena until the next parse with it. Everything is validated:
 * version, exactly one body, list lengths, ranges, strings (UTF-8, length, no control characters). A loss may be NaN.
 * errors: RK_EFORMAT; msg->kind is then RK_MSG_NONE.                                                      */
rk_err_t rk_wire_parse (const uint8_t *bytes, size_t size, rk_wire_arena_t *arena, rk_msg_t *msg, rk_error_t *err) RK_MUST_CHECK;

/* ---- frames to send: copied when small, lent when large */
typedef void (rk_lend_fn) (void *bytes, void *hint); /* may run on the I/O thread: flip one atomic, nothing else */
typedef struct {
    const void *bytes;
    size_t size;
    rk_lend_fn *release; /* NULL: bytes are copied. Else called exactly once when the socket is done with them. */
    void *hint;
    zmq_msg_t *share;    /* not NULL: send a further reference to this received frame (zmq_msg_copy); bytes unused */
} rk_frame_t;

/* A received message. Keep one per actor and receive into it again and again. */
typedef struct {
    rk_msg_t msg;
    uint8_t routing[255]; /* ROUTER sockets: who sent it */
    size_t n_routing;
    char user[72];        /* ROUTER, encrypted, kinds from Hello on: who that is by the gate's word; else "" */
    char remote[48];      /* ROUTER, tcp, kinds from Hello on: the peer's address; else "" */
    int fd;               /* kinds from Hello on: descriptor of the tcp connection it came by, libzmq's; else -1 */
    zmq_msg_t frame[RK_WIRE_MAX_FRAMES];
    int n_frames;
    rk_wire_arena_t *arena;
} rk_packet_t;
rk_err_t rk_packet_new (rk_packet_t **packet_p) RK_MUST_CHECK;
void rk_packet_destroy (rk_packet_t **packet_p);
/* Give up the frames still held. Called by rk_wire_receive first thing. */
void rk_packet_clear (rk_packet_t *packet);

/* Send msg and frames on a raw DEALER or ROUTER (zsock_resolve). routing: for a ROUTER socket, else NULL.
 * The whole message is taken or none of it, and it never blocks. errors: RK_EPEER when there is no peer, the
 * peer is unknown (ROUTER needs ZMQ_ROUTER_MANDATORY for that) or its queue is full; RK_EINVAL when a receiver
 * would refuse the message (a string too long, frames that do not fit the body);
 * RK_ENOMEM; RK_EIO. Whatever the result, every frame's release is called exactly once, now or later.
 * *bytes_sent (may be NULL) grows by the bytes put on the socket, routing id excepted.                      */
rk_err_t rk_wire_send (void *zmq_socket, const uint8_t *routing, size_t n_routing, const rk_msg_t *msg,
                       const rk_frame_t *frames, int n_frames, uint64_t *bytes_sent, rk_error_t *err) RK_MUST_CHECK;

/* Receive one message without blocking. RK_OK; RK_ETIMEDOUT when nothing is there; RK_EFORMAT when a message
 * was there and is not valid (it is consumed; the caller counts and drops it); RK_EIO when the socket fails
 * (its context is ending). router: strip a routing id. Frames fit the body: their number, the sizes that the
 * body tells (Chunk, Slice, Handover, Prediction, labels), whole elements for the others. Frames live until the packet
 * is cleared or receives again.                                                                            */
rk_err_t rk_wire_receive (void *zmq_socket, bool router, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

/* Bytes of frame i as floats: in place when aligned for float, else copied to `scratch` (n floats).
 * errors: RK_EFORMAT when there is no frame i or its size is not n x 4.                                     */
rk_err_t rk_packet_floats (rk_packet_t *packet, int i, size_t n, float *scratch, const float **floats_p, rk_error_t *err) RK_MUST_CHECK;

#endif
