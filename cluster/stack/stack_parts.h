/* SPDX-License-Identifier: MPL-2.0
 * What the files of cluster/stack share. Private to them.                                             */
#ifndef RK_CLUSTER_STACK_PARTS_H
#define RK_CLUSTER_STACK_PARTS_H
#include "cluster/shard.h"
#include "cluster/stack.h"

#define RK_STACK_CHUNK 1024       /* columns whose sums over rows are made at once */
#define RK_STACK_PANEL_BYTES (512u << 10) /* of one worker's panel: half a usual second-level cache */
#define RK_STACK_MAX_BLOCKS 16    /* partial sums of centralised gradients: part of the arithmetic */

typedef struct {
    const char *name;
    size_t begin, count; /* floats */
} rk_stack_tensor_t;

typedef struct {
    size_t begin, count; /* floats: neighbouring trainable tensors with the padding between them */
} rk_stack_range_t;

typedef struct {
    float *grads; /* (d) */
    float *stats; /* (d), centralised only */
    float *x;     /* one minibatch */
    void *labels;
    rk_slice_t *slice;
    float *panel;       /* (n, width) */
    const void **peers; /* (n) of one row of W, or of four */
    float *mixed;       /* (n, width), combine while adapting only */
    float *suffix;      /* (longest row + 1, width): sums of windows, mixing auto only */
} rk_stack_worker_t;

/* One problem: where gradients come from. */
typedef struct {
    /* Sizes: d, tensors, ranges, per_pass, n_params, step_flops. Nothing large is allocated. */
    rk_err_t (*describe) (rk_stack_t *self, rk_error_t *err);
    rk_err_t (*worker_bytes) (const rk_stack_t *self, size_t *bytes, rk_error_t *err);
    rk_err_t (*open_worker) (rk_stack_t *self, rk_stack_worker_t *worker, rk_error_t *err);
    void (*init) (rk_stack_t *self, float *row);
    /* Gradient of the mean loss of minibatch f of replica i at `flat`, ADDED into worker->grads. stats: moved. */
    rk_err_t (*gradient) (rk_stack_t *self, rk_stack_worker_t *worker, uint64_t f, const float *flat, float *stats,
                          rk_loss_t *loss, rk_error_t *err);
    rk_err_t (*evaluate) (rk_stack_t *self, const float *flat, size_t n_samples, rk_loss_t *loss, rk_error_t *err);
} rk_stack_app_t;
extern const rk_stack_app_t rk_stack_network, rk_stack_quadratic;

typedef struct {
    uint32_t peer, who; /* bit k: row i + k hears it; 0: the end */
} rk_stack_hearers_t;

/* What the orders of training keep from one mixing to the next; matrices are (n, d), NULL when not asked for. */
#define RK_STACK_PUSH_MOST 4096 /* edges of a row, push-sum */
typedef struct {
    float *before;    /* the rows when the round began */
    float *start;     /* quasi-global: momentum then */
    float *y, *change; /* tracking: the followed mean, as mixed last; what the local steps did last */
    float *mass;      /* push-sum */
    double *weight;   /* push-sum: (2 n), the rows' weights and room for the next */
    double lr_sum;    /* of the local steps since */
    uint64_t n_mixed;
} rk_stack_orders_t;

struct rk_stack {
    rk_stack_config_t config;
    const rk_stack_app_t *app;
    const rk_optim_t *optim;
    rk_model_t *model; /* NULL: quadratic */
    uint32_t n_rows;   /* n; 1: centralised */
    size_t d;
    rk_stack_tensor_t tensors[RK_STACK_MAX_TENSORS];
    rk_stack_range_t ranges[RK_STACK_MAX_TENSORS];
    size_t n_tensors, n_ranges;
    uint64_t per_pass, n_params;
    double step_flops;

    float *x;                          /* (n_rows, d) */
    float *state[RK_OPTIM_MAX_SLOTS];  /* (n_rows, d) */
    int n_state;                       /* of them; 0: SGD without momentum has none */
    float *snapshot;                   /* (n_rows, d): combine while adapting mixes the rows as the round began */
    bool snapshot_is_old;              /* to be taken before the next local step */
    float *history;                    /* (delay + 1, n_rows, d) */
    uint64_t n_steps, mixed_at;        /* local steps done; first one after the last mixing */
    float *partial;                    /* (blocks, d): centralised gradients */
    rk_loss_t *losses;                 /* (n) of one step */

    rk_stack_worker_t *workers;
    size_t n_workers, width;           /* floats of a panel's row */
    rk_graph_edge_t *edges;            /* of the step being mixed: one row after the other */
    size_t *edges_at;                  /* (n + 1) */
    rk_stack_hearers_t *hearers;       /* peers of rows that are mixed four at a time */
    rk_stack_hearers_t **four;         /* (n) those of rows i .. i + 3; NULL: row i is mixed alone */
    float *matrix;                     /* (n, n), dense mixing */
    rk_stack_orders_t orders;
    rk_shard_t **shards;               /* (n) or NULL: minibatches are anybody's */
};

/* (rows, d) floats, zero; in large pages where the system gives them. */
float *rk_stack_matrix (uint64_t rows, size_t d);

/* ---- orders.c */
size_t rk_stack_orders_matrices (const rk_stack_config_t *config);
bool rk_stack_orders_open (rk_stack_t *self);
void rk_stack_orders_begin (rk_stack_t *self);
void rk_stack_orders_close (rk_stack_t *self);
void rk_stack_orders_before (rk_stack_t *self);
void rk_stack_orders_after (rk_stack_t *self, bool exact); /* exact: the mean of all was formed */

/* ---- network.c: which samples are whose */
rk_err_t rk_stack_open_shards (rk_stack_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_stack_close_shards (rk_stack_t *self);

/* Every row i of out (rows `step` floats apart) = scale x the sum of rows i - side .. i + side of the panel, mod n: what
 * a ring lattice asks for, in three additions a row instead of 2 side. Windows are cut at multiples of their length:
 * each is the end of one block and the beginning of the next, and both are running sums. Order and so bits are not
 * those of cluster/mix.h, and agree within rounding. suffix: 2 side + 2 rows. (windows.c)                      */
typedef struct {
    const float *panel; /* (n, width) */
    uint32_t n, side;
    size_t width;
    float *suffix;
} rk_stack_windows_t;
void rk_stack_windows (const rk_stack_windows_t *windows, float *out, size_t step);

static inline float *rk_stack_at (const rk_stack_t *self, float *matrix, uint32_t i)
{
    return matrix + (size_t) i * self->d;
}

#endif
