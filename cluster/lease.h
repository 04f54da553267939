/* SPDX-License-Identifier: MPL-2.0
 * Minibatch leases. A round covers the next average.every x C minibatch ids from the plan's
 * cursor on, cut short at the end of a pass. A lease is finished when its round commits. The table is
 * the leader's; in drained mode who gets which f is dealt by the plan alone. Pure; sizes fixed at start.   */
#ifndef RK_CLUSTER_LEASE_H
#define RK_CLUSTER_LEASE_H
#include "cluster/plan.h"

/* ---- arithmetic, same on every node. A plan begins at its cursor: round first_round with minibatch first_f. */
uint64_t rk_round_n (const rk_plan_t *plan);                               /* number of the round after the last */
uint64_t rk_round_longest (const rk_plan_t *plan);                         /* minibatches; others are cut short by a pass's end */
uint64_t rk_round_of (const rk_plan_t *plan, uint64_t f);                  /* UINT64_MAX: before the cursor */
void rk_round_range (const rk_plan_t *plan, uint64_t round, uint64_t *first, uint64_t *end); /* none before the cursor */
uint64_t rk_round_cursor (const rk_plan_t *plan, uint64_t n_rounds);       /* minibatches that lie before round n_rounds */
uint64_t rk_pass_of (const rk_plan_t *plan, uint64_t f);
bool rk_round_ends_pass (const rk_plan_t *plan, uint64_t round);
uint64_t rk_minibatch_samples (const rk_plan_t *plan, uint64_t f);         /* the last of a pass may be short */

/* Drained dealing: quota per cluster by largest remainder of planned rates, order by virtual finish time,
 * ties by cluster id. owner_of: cluster that trains f. Same answer everywhere.                             */
void rk_deal_quota (const rk_plan_t *plan, uint64_t round, uint64_t *quota /* n_clusters */);
/* clusters[i] = cluster of the i-th id of the round; length of the round. */
void rk_deal_round (const rk_plan_t *plan, uint64_t round, uint32_t *clusters);

/* Leases that a feeder holds beyond its window, the one whose minibatch it makes included. As few as keep stage 0 from waiting: what a
 * slow cluster holds nobody else can train, and a round ends with its last lease. lead_ns: from asking for a lease to its minibatch;
 * period_ns: from one credit to the next, 0: not known. 1 .. in_flight + 1.                                */
uint32_t rk_lease_ahead (int64_t lead_ns, int64_t period_ns, uint32_t in_flight);

/* ---- the leader's table */
typedef struct rk_lease_table rk_lease_table_t;
rk_err_t rk_lease_table_new (rk_lease_table_t **table_p, const rk_plan_t *plan, uint64_t first_round, rk_error_t *err) RK_MUST_CHECK;
void rk_lease_table_destroy (rk_lease_table_t **table_p);
/* Grant up to `max` ids to a cluster; all of one round; returns how many (0: none to be had now: the next
 * round is not open, or the run is over). Overlapped: open rounds are the first uncommitted one and the
 * next. Drained: only the first uncommitted one. A hold (evaluation) stops new rounds.                     */
uint32_t rk_lease_grant (rk_lease_table_t *table, uint32_t cluster, uint32_t max, uint64_t *f, uint64_t *round);
/* True once every id of the round is granted; counts and samples per cluster are then final. */
bool rk_lease_closed (const rk_lease_table_t *table, uint64_t round, uint64_t *counts, uint64_t *samples);
/* One stage (index into plan->stages) has applied the mean of the round; returns true when this commits it. */
rk_err_t rk_lease_applied (rk_lease_table_t *table, uint64_t round, uint32_t stage, bool *committed, rk_error_t *err) RK_MUST_CHECK;
/* The first stage that has not applied the round, which is closed; UINT32_MAX: all have, or it is not. */
uint32_t rk_lease_unapplied (const rk_lease_table_t *table, uint64_t round);
uint64_t rk_lease_committed (const rk_lease_table_t *table); /* rounds committed so far */
void rk_lease_hold (rk_lease_table_t *table, bool hold);
uint64_t rk_lease_beyond (const rk_lease_table_t *table);   /* ids granted of rounds that are not committed */
bool rk_lease_done (const rk_lease_table_t *table);          /* every round committed */

#endif
