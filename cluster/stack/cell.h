/* SPDX-License-Identifier: MPL-2.0
 * One cell of a benchmark: application x graph x scale x seed x learning-rate rule, trained as a stack and looked at
 * on the way (ada.md §1). Pure: what happens is told to a sink; time is virtual. The same cell gives the same
 * figures, bit for bit, on any number of threads.                                                         */
#ifndef RK_CLUSTER_STACK_CELL_H
#define RK_CLUSTER_STACK_CELL_H
#include "cluster/settings.h"
#include "cluster/stack.h"
#include "cluster/stack/clock.h"

typedef enum { RK_LR_RULE_NONE = 0, RK_LR_RULE_LINEAR, RK_LR_RULE_SQRT, RK_LR_RULE_GRAPH } rk_lr_rule_t;

/* Members are set by key (cluster/stack/cell_keys.c); the keys of run, model, data and train are `rookery train`'s. */
typedef struct {
    rk_settings_t settings;
    char label[64];       /* how tables and pictures call its graph; empty: made of the graph's keys */
    char graph_name[32];
    rk_graph_config_t graph; /* name and n are filled in when it is used */
    bool control;         /* connections follow the measured distance (cluster/control.h) */
    double control_ratio;
    uint32_t control_settle;
    bool centralised;     /* gradients are averaged instead of parameters: C_complete */
    uint32_t n, every;    /* replicas; steps between two mixings */
    uint32_t order, mixing; /* rk_stack_order_t, rk_stack_mixing_t */
    uint32_t exchange;      /* 0: direct, 1: cheapest (cluster/traffic.h) */
    bool mix_state, final_merge;
    uint32_t momentum;      /* 0: local, 1: quasi-global */
    bool tracking, push_sum;
    uint32_t lr_rule, lr_batch; /* rk_lr_rule_t; global batch that train.lr is meant for */
    uint32_t steps;       /* most steps of a pass; 0: all */
    uint32_t probe_every, eval_replicas, eval_samples;
    uint32_t delay;
    rk_quadratic_t quadratic;
    double alpha_us, gbps, jitter, slowdown, gflops;
    uint32_t stragglers;
} rk_cell_t;

void rk_cell_default (rk_cell_t *cell);
/* errors: as rk_settings_set; the text names the key and what is allowed. *cell is untouched on error. */
rk_err_t rk_cell_set (rk_cell_t *cell, const char *key, const char *value, rk_error_t *err) RK_MUST_CHECK;
/* Name, rule and graph together; makes the graph once, so that what does not exist for n is refused beforehand. */
rk_err_t rk_cell_check (const rk_cell_t *cell, rk_error_t *err) RK_MUST_CHECK;
/* Every key and value in a fixed order, "key = value\n": what a cell's identity is made of. As snprintf. */
size_t rk_cell_write (const rk_cell_t *cell, char *text, size_t size);
/* Its keys one by one, for help: idx from 0; false behind the last. */
bool rk_cell_key (size_t idx, rk_settings_key_t *out);
const char *rk_cell_label (const rk_cell_t *cell, char text[64]);

/* ---- what a cell tells */
typedef struct {
    const rk_stack_t *stack;
    uint64_t per_pass, steps;  /* of the run */
    float lr;                  /* base after the rule */
    const char *note;          /* of the graph, or NULL */
} rk_cell_begin_t;

enum { RK_CELL_GINI = 0, RK_CELL_DISPERSION, RK_CELL_CV, RK_CELL_QUARTILE, RK_CELL_N_METRICS };

/* A look at step t; arrays by tensor. before and after the mixing of this step. */
typedef struct {
    uint64_t step, pass;
    float lr;
    uint32_t degree;            /* connections of replica 0 in this step */
    const double *norm;         /* mean over replicas of the L2 norm before mixing */
    const double *before[RK_CELL_N_METRICS], *after[RK_CELL_N_METRICS]; /* over the replicas' norms */
    const double *square_before, *square_after; /* (1/n) sum_i |x_i - mean|^2 */
} rk_cell_probe_t;

typedef struct {
    uint64_t pass, step;        /* the pass that ended; steps done */
    float lr;
    uint32_t degree;
    double train_loss;          /* mean over the pass */
    double accuracy, accuracy_least, accuracy_most, accuracy_deviation, loss; /* of replicas looked at, each by itself */
    double mean_accuracy, mean_loss; /* of the mean model, BatchNorm measured again */
    double square;              /* (1/n) sum_i |x_i - mean|^2, all tensors */
    double gradient_square;     /* quadratic: mean over the run so far of |grad f (mean)|^2 */
    rk_clock_totals_t time;
    uint64_t sent_bytes;        /* by one replica, mean, since the beginning */
} rk_cell_pass_t;

/* What replica i did in one of the first steps, in virtual seconds. */
typedef struct {
    uint64_t step;
    uint32_t replica;
    rk_clock_span_t span;
} rk_cell_span_t;

typedef struct {
    void *arg;
    void (*begin) (void *arg, const rk_cell_begin_t *begin);
    void (*probe) (void *arg, const rk_cell_probe_t *probe);
    void (*span) (void *arg, const rk_cell_span_t *span);
    void (*pass) (void *arg, const rk_cell_pass_t *pass);
    bool (*stop) (void *arg); /* asked after every step */
} rk_cell_sink_t;

/* Bytes and flops of the whole cell. errors: as rk_stack_predict and rk_graph_new. */
typedef struct {
    uint64_t bytes;
    double flops;
} rk_cell_need_t;
rk_err_t rk_cell_predict (const rk_cell_t *cell, const rk_data_t *data, uint32_t threads, rk_cell_need_t *need, rk_error_t *err) RK_MUST_CHECK;

/* *diverged: the step at which a replica's loss stopped being finite, and which; a result, not an error.
 * errors: RK_ECANCELED (stop), as rk_stack_new.                                                            */
typedef struct {
    bool diverged;
    uint64_t step;
    uint32_t culprit;
} rk_cell_end_t;
rk_err_t rk_cell_run (const rk_cell_t *cell, const rk_data_t *data, rk_pool_t *pool, const rk_cell_sink_t *sink,
                      rk_cell_end_t *end, rk_error_t *err) RK_MUST_CHECK;

#endif
