/* SPDX-License-Identifier: MPL-2.0
 * Who is alive: heartbeats observed, deadlines learned (median + k x MAD of arrival gaps), never a fixed
 * guess. Pure: now_ms is an argument.                                                                     */
#ifndef RK_CLUSTER_MEMBER_H
#define RK_CLUSTER_MEMBER_H
#include <stdbool.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_HEARTBEAT_MS 200
#define RK_MEMBER_LEAST_MS (10 * RK_HEARTBEAT_MS)    /* of any deadline */
#define RK_MEMBER_STARTING_MS (50 * RK_HEARTBEAT_MS) /* of one that is not learned yet, and of all while a run starts: a start costs more than a wait */
typedef struct rk_member rk_member_t;
rk_err_t rk_member_new (rk_member_t **member_p, uint32_t capacity) RK_MUST_CHECK;
void rk_member_destroy (rk_member_t **member_p);
rk_err_t rk_member_join (rk_member_t *m, uint32_t node, int64_t now_ms) RK_MUST_CHECK;
void rk_member_leave (rk_member_t *m, uint32_t node);
void rk_member_heard (rk_member_t *m, uint32_t node, int64_t now_ms);
/* No deadline is shorter from now on; RK_MEMBER_LEAST_MS unless it is said. */
void rk_member_set_least (rk_member_t *m, int64_t least_ms);
/* Milliseconds of silence after which `node` is suspected; learned per peer. */
int64_t rk_member_deadline_ms (const rk_member_t *m, uint32_t node);
/* ---- evidence. When the connection to a node ends, its process may have, and then its machine says that nobody listens
 * where the node did. Somebody asks, at growing intervals for about a second, as what ends takes a moment to be gone.
 * What was heard is newer evidence; a question that times out is none: silence goes on to count.           */
void rk_member_hung_up (rk_member_t *m, uint32_t node, int64_t now_ms);
/* A node to be asked about now; UINT32_MAX: nobody. */
uint32_t rk_member_ask (rk_member_t *m, int64_t now_ms);
int64_t rk_member_next_ask_ms (const rk_member_t *m); /* INT64_MAX: nobody is to be asked about */
/* Nobody listens: suspected at once, until it is heard. asked_ms: when the question went out; false: heard since, or not here. */
bool rk_member_refused (rk_member_t *m, uint32_t node, int64_t asked_ms);
bool rk_member_is_refused (const rk_member_t *m, uint32_t node);

/* Silent for longer than its deadline, or refused; false: it is not here. */
bool rk_member_is_suspected (const rk_member_t *m, uint32_t node, int64_t now_ms);
/* How long it has been silent; 0: it is not here. */
int64_t rk_member_silent_ms (const rk_member_t *m, uint32_t node, int64_t now_ms);
/* What another learned about `node`, and the evidence it has, hold here as well. */
void rk_member_learn (rk_member_t *m, uint32_t node, const rk_member_t *from);
/* This process itself was not running for so long: nobody is blamed for that. */
void rk_member_excuse (rk_member_t *m, int64_t ms, int64_t now_ms);
/* The first suspected node, or UINT32_MAX; *silent_ms says for how long it has been silent. */
uint32_t rk_member_suspect (const rk_member_t *m, int64_t now_ms, int64_t *silent_ms);
/* When to look again. */
int64_t rk_member_next_ms (const rk_member_t *m, int64_t now_ms);

#endif
