/* SPDX-License-Identifier: MPL-2.0
 * A whole run under virtual time: processes with the real cluster logic (cluster/membership with Paxos, suspicion
 * and parking, cluster/view, plans, leases, rounds) and tiny stages (a separable quadratic, real averaging), over
 * a network that delays, loses, doubles and reorders, cuts and heals, among processes that crash, freeze, stop and
 * come back. One seed is one life, the same every time. Something that sees everything (fleet_truth.c) holds
 * every view, every round and every float against what must be.                                           */
#ifndef RK_TESTS_SUPPORT_FLEET_H
#define RK_TESTS_SUPPORT_FLEET_H
#include <stdbool.h>
#include <stdint.h>

/* What a broken implementation would do: the checks must notice. Besides RK_PAXOS_CORRUPT_ (bits 0 to 3). */
enum {
    FLEET_CORRUPT_EARLY = 16,  /* a leader commits when one stage has applied the mean */
    FLEET_CORRUPT_BACK = 32,   /* a new view begins a round before the one that is safe */
    FLEET_CORRUPT_GO_ON = 64,  /* a member that was asked to stop trains on */
    FLEET_CORRUPT_DROP = 128,  /* a stage misses a minibatch */
    FLEET_CORRUPT_STALE = 256  /* data of an older view are taken */
};

typedef struct {
    uint64_t seed;
    uint32_t n_nodes;    /* at the beginning, beside a leader without a node; at most 8 */
    bool witness;        /* one more process that only votes */
    bool calm;           /* no faults */
    uint32_t corrupt;
    bool verbose;        /* events on stderr */
} fleet_config_t;

typedef struct {
    char broken[256];      /* the first promise that was broken; "": none */
    bool finished, parked; /* all rounds committed; or too few were left and they said so */
    uint64_t views, rounds, redone; /* of the last view; rounds committed; rounds begun again */
    uint32_t crashes, freezes, cuts, joins, refused; /* refused: times that a machine said that nobody listens */
    int64_t longest_stall_ms, ended_ms; /* between two commits */
    uint64_t digest;       /* of all that happened */
} fleet_result_t;

void fleet_run (const fleet_config_t *config, fleet_result_t *result);

#endif
