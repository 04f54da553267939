/* SPDX-License-Identifier: MPL-2.0
 * Node: everything one process runs, wired and supervised: coordinator, profiler, observer, checkpointer and,
 * for each of its (virtual) nodes in the plan, stage, reducer and feeder. rk_node_run blocks the caller (the
 * main thread) until the run has ended or *interrupted becomes true, then stops all actors in order.
 * processes: one hosts all nodes; or a leader hosts none and each follower one. The leader reads the data set for
 *   its size; a follower opens it only when it holds a first stage.
 * endpoints: in one process net.transport for all pairs. Between processes tcp, bound on the interface that leads
 *   to the leader (ipc when all nodes are on one host and came over loopback, or when asked for), and inproc inside each process unless
 *   net.transport says otherwise. tcp is encrypted, and only allowed keys come in (docs/security.md).
 * errors: what ended the run. RK_EINVAL (settings, addresses), RK_EIO (data, port in use, too few open files),
 *   RK_EPLAN (the model does not fit), RK_EPEER (a node failed or is lost, by name; also on every other process),
 *   RK_ETIMEDOUT (who waited for whom), RK_ECANCELED (*interrupted; the last committed round is saved first).  */
#ifndef RK_ACTORS_NODE_H
#define RK_ACTORS_NODE_H
#include "actors/coordinator.h"
#include "actors/profile_cache.h"
#include "cluster/profiles.h"
#include "compute/data.h"
#include "compute/model.h"

/* AUTO: directly if the leader's machine can dial this one, else through the leader's relay. */
typedef enum { RK_REACH_AUTO = 0, RK_REACH_DIRECT, RK_REACH_RELAY, RK_REACH_RATHER_RELAY /* if there is one */ } rk_reach_t;

typedef struct {
    rk_settings_t settings;     /* leader */
    const rk_plan_t *plan;      /* leader, optional: skip profiling */
    const rk_model_t *model;    /* optional: a model built by the program instead of by name */
    const rk_data_t *data;      /* optional: opened by settings otherwise */
    const char *listen;         /* leader of several processes */
    uint32_t n_processes;       /* ... that many others will join */
    bool beacon;                /* ... and it says on its networks that it is there */
    const char *join;           /* follower: the leader's address, with /KEY if it is another owner's; or a ticket */
    const char *name;           /* follower's name; NULL: host name and pid */
    bool witness;               /* follower: it only votes (net.witness) */
    double speed;               /* follower: declared, 0 = 1 */
    uint64_t ram_mb;            /* follower: declared, 0 = measured */
    rk_reach_t reach;           /* follower: how others reach it */
    unsigned insecure;          /* 0: tcp is encrypted; 1: plain on loopback; 2: plain anywhere */
    const char *keys;           /* folder of keys and allowed certificates; NULL: the user's (~/.config/rookery) */
    const rk_identity_t *identity; /* optional: the program has a gate already, which serves all its nodes */
    bool json, quiet;
    rk_run_kind_t kind;         /* follower: RK_RUN_PROFILE, or whatever the leader does */
    rk_cache_mode_t cache;      /* of what this machine measures */
    const char *initial;        /* parameters to start from */
    const char *resume;         /* leader: checkpoint from which the run goes on, as settings or plan say; NULL: none */
    rk_plan_cursor_t cursor;    /* leader, with resume: where it goes on */
    const char *predictions;    /* file for predictions, "-": stdout */
    uint32_t stage_fails, reducer_fails; /* tests only: so often that actor of its first node fails, each time after some rounds */
    uint32_t observer_fails, profiler_fails; /* tests only: so often they fail, when there is something to show or to measure */
    bool fails_late;            /* tests only: and its stages say so once more when they have been retired */
    bool predictions_json;      /* one JSON object per sample instead of CSV */
} rk_node_config_t;

typedef struct {
    double test_accuracy, test_loss; /* accuracy: 0 of a model whose outputs are values */
    bool judged;                /* they are not: there is an accuracy */
    uint64_t params_digest, samples;
    double seconds;
    bool done;                  /* to its end, whatever came then (its last checkpoint) */
    uint32_t n_clusters, n_stages;
    rk_profiles_t profiles;     /* RK_RUN_PROFILE: the fleet; to be cleared by the caller (rk_profiles_clear) */
} rk_node_result_t;

rk_err_t rk_node_run (const rk_node_config_t *config, const volatile bool *interrupted, rk_node_result_t *result,
                      rk_error_t *err) RK_MUST_CHECK;

#endif
