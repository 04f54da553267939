/* SPDX-License-Identifier: MPL-2.0
 * What a kind of layer is: one const table of functions in one file of compute/layers/, and one line in
 * compute/layers/list.h. Layers know nothing of cuts, contexts or memory: compute/slice_plan.c decides
 * from the flags below where every tensor lives.                                                     */
#ifndef RK_COMPUTE_LAYER_H
#define RK_COMPUTE_LAYER_H
#include "compute/model.h"
#include "compute/pool.h"
#include "compute/slice.h"

#define RK_LAYER_MAX_IN 8
#define RK_LAYER_MAX_PARAMS 4

enum {
    RK_BACK_NEEDS_X = 1 << 0,     /* backward reads the inputs' values */
    RK_BACK_NEEDS_Y = 1 << 1,     /* backward reads the output's values */
    RK_MAY_OVERWRITE_X = 1 << 2,  /* forward works with y == x[0] */
    RK_IS_VIEW = 1 << 3,          /* y is x[0] under another shape; forward copies only if they lie apart */
    RK_MAY_OVERWRITE_GY = 1 << 4, /* backward_input works with gx[0] == gy */
    RK_PASSES_GRADIENT = 1 << 5,  /* the gradient of every input is gy itself; no backward_input */
    RK_PARAMS_FROM_SAVE = 1 << 6, /* backward_input runs even if no gx is wanted and leaves in save all
                                     that backward_params reads */
    RK_IS_LOSS = 1 << 7,          /* reads labels, has no output tensor and no gy */
    RK_BY_SAMPLE = 1 << 8,        /* samples do not know each other: threads may share a minibatch */
    RK_SETS_GRADS = 1 << 9,       /* backward_params obeys call->fresh */
    RK_IS_TIED = 1 << 15          /* uses the first parameter of layer config.tied as its own */
};

typedef enum { RK_INIT_ZERO = 0, RK_INIT_ONE, RK_INIT_UNIFORM, RK_INIT_NORMAL } rk_init_t;

typedef struct {
    const char *name; /* "weight" */
    rk_shape_t shape;
    bool trainable;
    rk_init_t init;
    float bound; /* RK_INIT_UNIFORM: values in [-bound, bound); RK_INIT_NORMAL: standard deviation */
} rk_param_spec_t;

/* The settings of every kind; each reads its own. */
typedef struct {
    size_t channels; /* outputs of linear and convolution */
    size_t kernel, stride, padding;
    bool bias;
    int axis;            /* a dimension */
    size_t first;        /* of a range */
    int n_order, order[RK_MAX_DIMS];
    float probability;
    float slope, epsilon;
    size_t groups;
    rk_gelu_t gelu;
    rk_shape_t shape;    /* of the output */
    rk_conv2d_t conv2d;
    rk_cross_entropy_t cross_entropy;
    size_t rows;  /* of a table: tokens, positions */
    size_t heads; /* attention */
    bool causal;
    int tied;     /* layer; -1: none was named */
} rk_layer_config_t;

typedef struct rk_layer_type rk_layer_type_t;

typedef struct {
    const rk_layer_type_t *type;
    char *name; /* owned by the model */
    rk_layer_config_t config;
    int n_in, in[RK_LAYER_MAX_IN]; /* tensors */
    rk_shape_t in_shape[RK_LAYER_MAX_IN];
    size_t in_elems[RK_LAYER_MAX_IN]; /* per sample */
    /* set by infer: */
    rk_shape_t shape;
    size_t elems; /* per sample; 0 for a loss */
    rk_labels_t labels; /* of a loss */
    int n_params;
    rk_param_spec_t param[RK_LAYER_MAX_PARAMS];
    /* set by the model: */
    size_t flat_at, flat_len;           /* in the model's flat vector */
    size_t offset[RK_LAYER_MAX_PARAMS]; /* of each parameter, from flat_at */
    size_t first_param;                 /* index among the model's parameters */
} rk_layer_t;

/* One call of one layer. Pointers a layer's flags do not ask for may be NULL. */
typedef struct {
    const rk_layer_t *layer;
    int index;           /* of the layer in the model */
    size_t n;            /* samples */
    size_t first;        /* of them in the minibatch; above 0 only with RK_BY_SAMPLE. x, y, gx, gy begin at it,
                            save does not */
    rk_pool_t *pool;     /* NULL: the calling thread only */
    rk_mode_t mode;
    uint64_t seed, f;    /* for random numbers */
    const float *params; /* this layer's part of the flat vector at the version to use */
    float *stats;        /* the part whose buffers are read (EVAL) or moved (TRAIN); NULL: do not move */
    const float *x[RK_LAYER_MAX_IN];
    float *y;
    void *save;          /* kept from forward to backward_params; need.save_bytes */
    void *work;          /* scratch of this call; need.work_bytes */
    const float *gy;
    float *gx[RK_LAYER_MAX_IN]; /* overwritten; NULL: not wanted */
    float *grads;        /* this layer's part; backward_params adds, */
    bool fresh;          /* or overwrites: RK_SETS_GRADS only, others find zeros */
    const void *labels;  /* (n, layer->labels.n), as layer->labels says */
    const float *tied;   /* RK_IS_TIED: the other layer's parameter */
    float *tied_grads;   /* and its gradient; backward_params adds */
    rk_loss_t *loss;
    float *probabilities;
} rk_layer_call_t;

typedef struct {
    size_t n_threads; /* given: those that share the scratch */
    uint64_t forward_flops, backward_flops;
    size_t save_bytes, work_bytes;
} rk_layer_need_t;

struct rk_layer_type {
    const char *kind;
    unsigned flags;
    /* Sets shape, n_params, param from config and in_shape. errors: RK_ESHAPE, RK_EINVAL; the text names
     * the shapes, the caller adds the layer's name.                                                  */
    rk_err_t (*infer) (rk_layer_t *layer, rk_error_t *err);
    /* n samples of the model's input, floats at any address. NULL: any values will do. A kind that has it can only be
     * a model's first layer. errors: RK_EINVAL; the text names layer, sample and position.            */
    rk_err_t (*check_input) (const rk_layer_t *layer, size_t n, const void *x, rk_error_t *err);
    void (*forward) (const rk_layer_call_t *call);
    void (*backward_input) (const rk_layer_call_t *call);  /* NULL: RK_PASSES_GRADIENT */
    void (*backward_params) (const rk_layer_call_t *call); /* NULL: no trainable parameter */
    void (*need) (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);
};

static inline const float *rk_layer_param (const rk_layer_call_t *call, int idx)
{
    return call->params + call->layer->offset[idx];
}

static inline float *rk_layer_grad (const rk_layer_call_t *call, int idx)
{
    return call->grads + call->layer->offset[idx];
}

static inline bool rk_layer_has (const rk_layer_t *layer, unsigned flag)
{
    return (layer->type->flags & flag) != 0;
}

/* The layer's own function, with the minibatch cut into runs of samples for the pool where that is allowed.
 * The cuts do not depend on the number of threads.                                                   */
void rk_layer_forward (const rk_layer_call_t *call);
void rk_layer_backward_input (const rk_layer_call_t *call);

/* Appends a layer; the builders of model.h are this with a type and a config. */
int rk_model_append (rk_model_t *m, const rk_layer_type_t *type, const char *name, int n_in, const int *in,
                     rk_layer_config_t config);

/* Every kind this build knows, NULL-terminated. */
const rk_layer_type_t *const *rk_layer_types (void);

/* ---- what the model tells the slice planner */
const rk_layer_t *rk_model_layer (const rk_model_t *m, int layer);
bool rk_model_needs_grad (const rk_model_t *m, int tensor);
int rk_model_n_readers (const rk_model_t *m, int tensor);
int rk_model_last_reader (const rk_model_t *m, int tensor); /* layer; -1: none */

#endif
