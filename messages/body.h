/* SPDX-License-Identifier: MPL-2.0
 * Bodies between the plain structs of wire.h and the generated ones: a table indexed by kind.
 * Private to messages: the generated types stop here and in wire.c.                                   */
#ifndef RK_MESSAGES_BODY_H
#define RK_MESSAGES_BODY_H
#include "messages/arena.h"
#include "messages/envelope.pb-c.h"

/* Room for one generated body; `list` holds the structs of a repeated message, NULL for most kinds. */
typedef struct {
    union {
        ProtobufCMessage base;
        Rk__Activation activation;
        Rk__Gradient gradient;
        Rk__Credit credit;
        Rk__Snapshot snapshot;
        Rk__Chunk chunk;
        Rk__Mean mean;
        Rk__Slice slice;
        Rk__Prediction prediction;
        Rk__Tied tied;
        Rk__Norm norm;
        Rk__Verdict verdict;
        Rk__Suspect suspect;
        Rk__HandoverRequest handover_request;
        Rk__Handover handover;
        Rk__Hello hello;
        Rk__Welcome welcome;
        Rk__ProfileRequest profile_request;
        Rk__Profile profile;
        Rk__PlanProposal plan;
        Rk__Endpoints wired, peers;
        Rk__Ready ready;
        Rk__Start start;
        Rk__LeaseRequest lease_request;
        Rk__LeaseGrant lease_grant;
        Rk__RoundClosed round_closed;
        Rk__RoundApplied round_applied;
        Rk__RoundCommitted round_committed;
        Rk__Evaluated evaluated;
        Rk__Report report;
        Rk__SaveRequest save_request;
        Rk__Saved saved;
        Rk__Heartbeat heartbeat;
        Rk__Failed failed;
        Rk__Stop stop;
        Rk__Stopped stopped;
        Rk__Probe probe;
        Rk__Control control;
        Rk__Agreement agreement;
        Rk__Replan replan;
        Rk__StatusRequest status_request;
        Rk__Waits waits;
        Rk__Status status;
        Rk__Retire retire;
        Rk__LinkRequest link_request;
        Rk__LinkProbe link_probe;
        Rk__LinkEcho link_echo;
        Rk__LinkMeasured link_measured;
        Rk__Endpoints keys;
        Rk__Enrol enrol;
        Rk__Enrolled enrolled;
    };
    void *list;
} rk_body_t;

typedef struct {
    const char *name; /* as in envelope.proto */
    Rk__Envelope__BodyCase body_case;
    /* Point *body at what msg holds: nothing is copied but lists of structs. errors: RK_ENOMEM. */
    rk_err_t (*put) (const rk_msg_t *msg, rk_body_t *body);
    /* The other way; lists of structs are made in the arena. errors: RK_EFORMAT (above its cap, or two lists
     * that belong together differ in length).                                                             */
    rk_err_t (*get) (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg);
} rk_body_ops_t;

/* NULL when kind is none of ours. */
const rk_body_ops_t *rk_body_ops (rk_msg_kind_t kind);

/* RK_MSG_NONE when the case is none of ours. */
rk_msg_kind_t rk_body_kind (Rk__Envelope__BodyCase body_case);

#endif
