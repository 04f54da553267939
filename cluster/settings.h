/* SPDX-License-Identifier: MPL-2.0
 * Every key of a run file, in one table: it feeds the parser, --set, the error messages and the reference
 * page. Pure: no files, no clock. The struct is what everybody else reads.                             */
#ifndef RK_CLUSTER_SETTINGS_H
#define RK_CLUSTER_SETTINGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"
#include "compute/labels.h"

#define RK_SETTINGS_TEXT 256
#define RK_SETTINGS_MILESTONES 16
#define RK_SETTINGS_MANUAL 2048
#define RK_MAX_FLEET 64
#define RK_MAX_CLUSTERS 64
#define RK_WARM_MOST 4 /* copies of a stage's state at other nodes */

typedef enum { RK_AVERAGE_OVERLAPPED = 0, RK_AVERAGE_DRAINED } rk_average_mode_t;
typedef enum { RK_WEIGHTS_SAMPLES = 0, RK_WEIGHTS_EQUAL, RK_WEIGHTS_AUTO } rk_weights_t;
typedef enum { RK_EXCHANGE_DIRECT = 0, RK_EXCHANGE_CHEAPEST } rk_exchange_way_t; /* cluster/hops.h */
typedef enum { RK_BN_ON = 0, RK_BN_RECALIBRATE, RK_BN_AUTO } rk_bn_t;
/* Adapt then combine: x <- W (x - u). Combine while adapting: x <- W x - u, exchanged beside the next round. */
typedef enum { RK_AVERAGE_ATC = 0, RK_AVERAGE_AWC } rk_average_order_t;
typedef enum { RK_MOMENTUM_LOCAL = 0, RK_MOMENTUM_QUASI_GLOBAL } rk_momentum_t;
typedef enum { RK_EVALUATE_REPLICAS = 0, RK_EVALUATE_MERGED } rk_evaluate_t;
typedef enum { RK_RINGS_INTERSECT = 0, RK_RINGS_MIN_SIZE, RK_RINGS_LARGEST } rk_rings_t;
typedef enum { RK_PRECISION_F32 = 0, RK_PRECISION_BF16 } rk_precision_t;
typedef enum { RK_WIRE_F32 = 0, RK_WIRE_F16 } rk_wire_dtype_t;

typedef enum { RK_RECOMPUTE_OFF = 0, RK_RECOMPUTE_ON, RK_RECOMPUTE_AUTO } rk_recompute_t;
/* A lost process: the others go on in a new view, or the run ends with its name. */
typedef enum { RK_REPLAN_AUTO = 0, RK_REPLAN_ON, RK_REPLAN_OFF } rk_replan_t;
typedef enum { RK_LOSS_CONTINUE = 0, RK_LOSS_STOP } rk_on_loss_t;
typedef enum { RK_NONFINITE_STOP = 0, RK_NONFINITE_SKIP, RK_NONFINITE_FREEZE } rk_nonfinite_t;

/* A declared virtual node (fleet.node in a run file). */
typedef struct {
    char name[32];
    double speed;   /* 1 = this machine; 0 < speed <= 1 */
    uint64_t ram_mb; /* 0 = what the machine has */
} rk_fleet_node_t;

typedef struct {
    uint64_t run_seed, run_passes;
    char run_dir[RK_SETTINGS_TEXT], run_plan[RK_SETTINGS_TEXT];
    uint32_t run_threads;
    rk_precision_t run_precision;
    char model_name[64], data_name[64], data_path[RK_SETTINGS_TEXT], data_shard[32];
    uint32_t data_classes; /* 0: as the data say */
    uint32_t data_sequence, data_vocabulary; /* text; vocabulary 0: characters */
    char data_augment[32], data_label[64];
    rk_label_kind_t data_labels; /* csv, numpy */
    bool data_header;
    uint32_t train_batch;
    char train_optimizer[32], train_schedule[32];
    double train_lr, train_momentum, train_weight_decay;
    bool train_nesterov;
    uint64_t train_warmup, train_step_every; /* minibatches */
    double train_step_gamma, train_lr_power, train_lr_floor;
    uint64_t train_milestones[RK_SETTINGS_MILESTONES + 1]; /* minibatches, ascending; 0 ends them */
    double train_beta1, train_beta2, train_epsilon, train_trust;
    unsigned train_exempt; /* rk_exempt_t */
    double train_clip, train_loss_scale; /* 0: none; 0: dynamic */
    uint64_t train_loss_scale_every;     /* updates */
    rk_nonfinite_t train_nonfinite;
    uint32_t pipeline_in_flight; /* 0: number of stages */
    uint32_t pipeline_update_every;
    rk_recompute_t pipeline_recompute;
    rk_wire_dtype_t pipeline_wire;
    uint64_t average_every; /* minibatches per cluster and round; 0: one round per pass */
    rk_average_mode_t average_mode;
    rk_weights_t average_weights; /* rk_settings_weights */
    rk_exchange_way_t average_exchange;
    char average_graph[32], average_codec[32];
    uint32_t average_degree, average_k_min, average_hold, average_group; /* as rk_graph_config_t; 0: its default */
    uint32_t average_k_unit, average_k_rounding; /* 1: per side, nearest */
    uint32_t average_global_every;
    double average_probability, average_k0, average_gamma, average_budget;
    bool average_push_sum;
    bool average_optimizer_state;
    rk_bn_t average_bn;          /* rk_settings_bn */
    uint32_t average_bn_batches; /* minibatches that statistics are measured on */
    rk_average_order_t average_order;
    rk_momentum_t average_momentum;
    bool average_tracking;
    rk_evaluate_t average_evaluate;
    bool average_control;         /* closed loop on consensus distance */
    double average_control_ratio;
    uint32_t average_control_settle;
    uint64_t average_probe_every; /* rounds; 0: never */
    double data_alpha;            /* Dirichlet */
    char run_control[RK_SETTINGS_TEXT];
    rk_rings_t plan_rings;
    char plan_planner[16];        /* planners/list.h */
    double plan_staleness, plan_disagreement; /* a and b of cluster/score.h */
    char plan_manual[RK_SETTINGS_MANUAL];
    rk_replan_t plan_replan;                  /* rk_settings_replans */
    rk_fleet_node_t fleet[RK_MAX_FLEET];
    uint32_t n_fleet;                          /* 0: one node */
    bool fleet_given;                          /* false: the built-in fleet, which the first fleet.node replaces */
    uint32_t fleet_layout[RK_MAX_CLUSTERS];    /* stages of each cluster */
    uint32_t n_layout;                         /* 0: planned */
    char net_transport[16];                    /* inproc | ipc | tcp */
    char net_listen[RK_SETTINGS_TEXT];
    uint64_t save_every, save_seconds; /* rounds, seconds between checkpoints within a pass; 0: none */
    uint32_t save_keep;
    rk_on_loss_t net_on_loss;
    uint32_t net_warm;           /* further nodes that keep each stage's state */
    uint32_t net_witness;        /* processes that only vote, beside those that host nodes */
    uint32_t net_restarts;       /* of actors of one process in a row */
    uint32_t net_restart_ms;     /* before the first; twice as long before each next one */
    uint32_t net_restart_forget; /* seconds without a failure after which all before count no more */
} rk_settings_t;

void rk_settings_default (rk_settings_t *s);

/* Set one key from text. fleet.node takes "name speed ram_mb" (or several, with commas, or "none") and
 * adds to the fleet; the first one replaces the built-in fleet. *s is untouched on error.
 * errors: RK_ENOTFOUND (names the nearest key), RK_EINVAL (names the key, the value and what is allowed),
 * RK_EUNSUPPORTED (a value of the design that is not built yet, naming the ones that are).              */
rk_err_t rk_settings_set (rk_settings_t *s, const char *key, const char *value, rk_error_t *err) RK_MUST_CHECK;
/* Combinations (architecture §6); call once after the last set. */
rk_err_t rk_settings_check (const rk_settings_t *s, rk_error_t *err) RK_MUST_CHECK;
/* average.weights, with auto resolved: samples where averaging is exact, else equal. */
rk_weights_t rk_settings_weights (const rk_settings_t *s);
/* average.bn, with auto resolved: averaged by exact averaging, measured again where replicas differ. */
rk_bn_t rk_settings_bn (const rk_settings_t *s);
/* Whether a better plan is taken while running: auto where the clock decides anyway (overlapped) and plans are free (planner
 * auto, no plan given). */
bool rk_settings_replans (const rk_settings_t *s);
/* A named preset ("ravnest") over the defaults. */
rk_err_t rk_settings_preset (rk_settings_t *s, const char *name, rk_error_t *err) RK_MUST_CHECK;

/* Whether an update waits for a verdict on the gradient of all stages: clipping, loss scaling or skipping. */
bool rk_settings_judged (const rk_settings_t *s);
/* Gradients a stage may hold at once: the one it sums up, and those that wait for their verdict. */
uint64_t rk_settings_gradients (const rk_settings_t *s, bool first_stage, uint32_t in_flight);

/* The table, for documentation and for writing the settings back: index 0 .. rk_settings_n_keys () - 1. */
typedef struct {
    const char *key, *kind, *allowed, *fallback, *help;
} rk_settings_key_t;
size_t rk_settings_n_keys (void);
void rk_settings_key (size_t idx, rk_settings_key_t *out);
/* Value of a key as text, such that rk_settings_set reads it back. Returns characters needed. */
size_t rk_settings_get (const rk_settings_t *s, size_t idx, char *text, size_t size);

/* Canonical listing of all settings as "key = value\n" lines, for the wire and run folders. Returns the
 * characters needed; with a short size nothing useful is written, as snprintf. read: keys not named keep
 * their defaults; ends with rk_settings_check; *s is untouched on error (the text names the line).       */
size_t rk_settings_write (const rk_settings_t *s, char *text, size_t size);
rk_err_t rk_settings_read (rk_settings_t *s, const char *text, size_t size, rk_error_t *err) RK_MUST_CHECK;

#endif
