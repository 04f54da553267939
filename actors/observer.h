/* SPDX-License-Identifier: MPL-2.0
 * Observer: one per process; collects Reports (latest totals per (cluster, stage)) and coordinator events,
 * and in the leading process shows them: progress line on a terminal, plain lines otherwise, JSON lines on
 * stdout with json, metrics.csv in the run folder. A follower's observer passes Reports on to the leader's.
 * in:  Plan (coordinator, once agreed: frame 0 is the canonical listing; a later one replaces it), Report (any
 *      actor; other observers), Evaluated (sum for a pass, from the coordinator), RoundCommitted, Saved,
 *      Replan (coordinator), Stop (code, reason; from the coordinator). After Stop it waits a moment for the final
 *      reports of all stages of the plan, prints the last line and says DONE to its parent.
 * out: Report (to the leader's observer)                                                                    */
#ifndef RK_ACTORS_OBSERVER_H
#define RK_ACTORS_OBSERVER_H
#include "actors/coordinator.h"

typedef struct {
    uint32_t node;
    const char *bind;
    const rk_identity_t *identity; /* for tcp (actor.h) */
    const char *leader;   /* endpoint of the leader's observer; NULL: this is it */
    bool json;            /* JSON lines on stdout */
    bool quiet;           /* nothing on the terminal */
    const char *run_dir;  /* NULL or "": no files */
    const rk_plan_t *plan; /* copied; NULL: it comes in a Plan message */
    bool goes_on;          /* with the files of one that has failed */
    uint64_t redone;       /* with plan: as its message says */
    bool fails;            /* tests only: when a pass is over */
    bool unjudged;         /* the model's outputs are values, none right or wrong: no accuracy is shown */
    rk_run_kind_t kind;    /* what is shown: training, an evaluation, predictions */
} rk_observer_config_t;
rk_err_t rk_observer_new (rk_actor_t **actor_p, const rk_observer_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
