/* SPDX-License-Identifier: MPL-2.0
 * A model: a directed acyclic graph of layers in topological order, immutable once sealed.
 * Tensor t is the output of layer t - 1; tensor 0 is the input. Shapes are per sample.
 * All parameters and buffers (BatchNorm statistics) of the model live in one virtual flat vector of
 * floats: layer after layer, every tensor at a multiple of RK_FLAT_ALIGN floats, padding always zero.
 * A stage holds a contiguous range of it, an averaging segment is a sub-range, a checkpoint names its
 * tensors by layer.                                                                                  */
#ifndef RK_COMPUTE_MODEL_H
#define RK_COMPUTE_MODEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"
#include "compute/labels.h"
#include "compute/tensor.h"

#define RK_MAX_BOUNDARY 64 /* tensors that may cross one cut */
#define RK_MAX_TOKENS (1 << 24) /* ids travel as floats, which count exactly to here */

typedef struct rk_model rk_model_t;

typedef struct {
    const char *name;  /* "conv1.weight"; owned by the model */
    int layer;         /* index of its layer */
    size_t offset;     /* first float in the flat vector */
    size_t count;      /* floats, without padding */
    rk_shape_t shape;
    bool trainable;    /* false: a buffer such as running_mean */
} rk_param_t;

typedef struct {
    int tensor;          /* index */
    size_t elems;        /* floats per sample */
    bool needs_grad;     /* false for the model's input and whatever depends on it only without parameters */
    bool passes_through; /* only in rk_model_boundary (.., last) with from > 0: made before `from` */
} rk_boundary_t;

/* ---- built-in models: "mlp", "cnn", "resnet20", ... input is the data set's sample shape. */
rk_err_t rk_model_by_name (rk_model_t **model_p, const char *name, rk_shape_t input, size_t n_classes,
                           rk_error_t *err) RK_MUST_CHECK;
const char *const *rk_model_names (void); /* NULL-terminated */

/* ---- building: each call appends one layer and returns the index of its output tensor, or -1 after an
 * error, which rk_model_seal then reports with the layer's name. `in`: tensor indices.               */
rk_model_t *rk_model_new (rk_shape_t input);
void rk_model_destroy (rk_model_t **model_p);
int rk_model_linear (rk_model_t *m, const char *name, int in, size_t n_out, bool bias);
typedef struct {
    size_t channels, kernel, stride, padding;
    bool bias;
    size_t groups;              /* both numbers of channels are multiples of it; 0: 1. Depthwise: as many as channels */
    size_t dilation;            /* steps between taps; 0: 1 */
    size_t kernel_w, padding_w; /* kernel_w 0: kernel and padding hold for rows and columns, else for rows only */
} rk_conv2d_t;
int rk_model_conv2d (rk_model_t *m, const char *name, int in, rk_conv2d_t conv);
int rk_model_batchnorm2d (rk_model_t *m, const char *name, int in);
int rk_model_batchnorm1d (rk_model_t *m, const char *name, int in); /* (features), (channels, length) */
/* epsilon 0: 1e-5. layernorm, rmsnorm: over the last dimension. groupnorm: of the first, in `groups` parts. */
int rk_model_layernorm (rk_model_t *m, const char *name, int in, float epsilon);
int rk_model_rmsnorm (rk_model_t *m, const char *name, int in, float epsilon);
int rk_model_groupnorm (rk_model_t *m, const char *name, int in, size_t groups, float epsilon);
int rk_model_relu (rk_model_t *m, const char *name, int in);
int rk_model_leaky_relu (rk_model_t *m, const char *name, int in, float slope); /* slope in [0, 1) */
typedef enum { RK_GELU_ERF = 0, RK_GELU_TANH } rk_gelu_t;
int rk_model_gelu (rk_model_t *m, const char *name, int in, rk_gelu_t form);
int rk_model_silu (rk_model_t *m, const char *name, int in);
int rk_model_sigmoid (rk_model_t *m, const char *name, int in);
int rk_model_tanh (rk_model_t *m, const char *name, int in);
int rk_model_maxpool2d (rk_model_t *m, const char *name, int in, size_t kernel, size_t stride, size_t padding);
int rk_model_avgpool2d (rk_model_t *m, const char *name, int in, size_t kernel, size_t stride, size_t padding);
int rk_model_globalavgpool (rk_model_t *m, const char *name, int in);
int rk_model_add (rk_model_t *m, const char *name, int a, int b);
int rk_model_mul (rk_model_t *m, const char *name, int a, int b); /* value by value */
int rk_model_shortcut (rk_model_t *m, const char *name, int in, size_t channels, size_t stride); /* option A: subsample, zero channels */
int rk_model_flatten (rk_model_t *m, const char *name, int in);
int rk_model_reshape (rk_model_t *m, const char *name, int in, rk_shape_t shape); /* same values in the same order */
/* 1 to 8 inputs one behind the other along dimension `axis` of a sample: 0 for the channels of (C, H, W). */
int rk_model_concat (rk_model_t *m, const char *name, int n_in, const int *in, int axis);
/* [first, first + count) of dimension `axis`. */
int rk_model_split (rk_model_t *m, const char *name, int in, int axis, size_t first, size_t count);
/* y.dim[i] = x.dim[order[i]]; transpose: of a matrix. */
int rk_model_permute (rk_model_t *m, const char *name, int in, int n_dims, const int *order);
int rk_model_transpose (rk_model_t *m, const char *name, int in);
int rk_model_upsample (rk_model_t *m, const char *name, int in, size_t factor); /* nearest neighbour, (C, H, W) */
int rk_model_dropout (rk_model_t *m, const char *name, int in, float probability);
/* ---- losses: one of them must be last. `in` is (classes), or (positions, classes) with a label for each position. */
int rk_model_softmax_xent (rk_model_t *m, const char *name, int in);
typedef struct {
    float smoothing; /* in [0, 1): that share of a label's weight is spread over all classes, its own included */
    bool ignores;    /* labels equal to `ignore` count nothing, neither in the loss nor in its gradient */
    int32_t ignore;  /* such as -100, PyTorch's default */
} rk_cross_entropy_t;
int rk_model_cross_entropy (rk_model_t *m, const char *name, int in, rk_cross_entropy_t how);
int rk_model_mse (rk_model_t *m, const char *name, int in); /* in of any shape, a float target for each value */
int rk_model_bce (rk_model_t *m, const char *name, int in); /* logits; targets in [0, 1]; the sigmoid is inside */
/* ---- sequences: shapes (S, F), S positions of F features; token ids are (S). A linear layer works on every position. */
int rk_model_embedding (rk_model_t *m, const char *name, int in, size_t n_tokens, size_t width); /* only the first layer */
int rk_model_positions (rk_model_t *m, const char *name, int in, size_t n_positions);  /* adds a row for each position */
int rk_model_segment (rk_model_t *m, const char *name, int in, size_t n_types);        /* adds the first of n_types rows */
int rk_model_attention (rk_model_t *m, const char *name, int in, size_t n_heads, bool causal); /* (S, 3 D) to (S, D) */
int rk_model_lstm (rk_model_t *m, const char *name, int in, size_t n_hidden);
int rk_model_gru (rk_model_t *m, const char *name, int in, size_t n_hidden);
/* Logits by the table of an embedding, which the two layers share: `embedding` is its output tensor. One per model. */
int rk_model_projection (rk_model_t *m, const char *name, int in, int embedding);
/* The weights of the layer that made `tensor` begin normal with this deviation, its biases zero. */
void rk_model_normal (rk_model_t *m, int tensor, float deviation);
rk_err_t rk_model_seal (rk_model_t *m, rk_error_t *err) RK_MUST_CHECK;

/* ---- queries; thread: any, the model is const. */
int rk_model_n_layers (const rk_model_t *m);
const char *rk_model_name (const rk_model_t *m);
const char *rk_model_layer_name (const rk_model_t *m, int layer);
const char *rk_model_layer_kind (const rk_model_t *m, int layer);
rk_shape_t rk_model_tensor_shape (const rk_model_t *m, int tensor);
size_t rk_model_n_classes (const rk_model_t *m); /* of a label; targets of a sample where labels are no classes */
size_t rk_model_n_outputs (const rk_model_t *m); /* floats per sample that the loss reads: positions x classes */
size_t rk_model_n_labels (const rk_model_t *m);  /* labels per sample */
const rk_labels_t *rk_model_labels (const rk_model_t *m); /* what the loss wants to be told */
size_t rk_model_n_tokens (const rk_model_t *m);  /* its input are token ids below this; 0: any values */
/* n samples of the model's input, floats at any address. errors: RK_EINVAL; the text names sample and position. */
rk_err_t rk_model_check_input (const rk_model_t *m, size_t n, const void *x, rk_error_t *err) RK_MUST_CHECK;
size_t rk_model_n_params (const rk_model_t *m); /* trainable scalars, as the literature counts them */
/* First float of `layer` in the flat vector; layer == n_layers gives the whole length. */
size_t rk_model_flat_at (const rk_model_t *m, int layer);
size_t rk_model_n_tensors (const rk_model_t *m);                    /* parameters and buffers */
const rk_param_t *rk_model_param (const rk_model_t *m, size_t idx); /* in flat order */

/* A tied tensor: a parameter of layer `owner` that layer `reader` uses too. It lies in the flat vector once, with its
 * owner. A slice with the reader but not the owner has a copy of it behind its range: its values in `flat`, the
 * reader's share of its gradient in `grads`.                                                         */
typedef struct {
    int owner, reader;    /* layers, owner < reader */
    size_t param;         /* index among the model's parameters */
    size_t offset, count; /* floats in the flat vector */
} rk_tie_t;
const rk_tie_t *rk_model_tie (const rk_model_t *m); /* NULL: none */
/* Floats of the copy that layers [first, last) have, a multiple of RK_FLAT_ALIGN; mostly 0. */
size_t rk_model_n_tied (const rk_model_t *m, int first, int last);
/* Floats of a slice's `flat` and `grads`: its range of the flat vector and that copy. */
size_t rk_model_slice_len (const rk_model_t *m, int first, int last);

/* Tensors that cross the cut before layer `cut` (made before it, read at or after it), ascending.
 * cut 0: the input. cut n_layers: none. `from`: first layer of the asking stage, for passes_through. */
int rk_model_boundary (const rk_model_t *m, int cut, int from, rk_boundary_t out[RK_MAX_BOUNDARY]);

typedef struct {
    uint64_t forward_flops, backward_flops; /* per minibatch */
    uint64_t output_bytes;                  /* of its output tensor */
    uint64_t stash_bytes;                   /* kept from forward to backward, per minibatch in flight */
    uint64_t grad_bytes;                    /* output gradient kept from backward_input to backward_params:
                                               summed over a stage's layers, once per stage */
    uint64_t work_bytes;                    /* scratch and passing gradients: the largest of a stage's layers counts */
} rk_layer_cost_t;
void rk_model_cost (const rk_model_t *m, int layer, size_t batch, rk_layer_cost_t *out);

/* Initial values of layers [first, last) into flat (length rk_model_slice_len); a function
 * of (seed, tensor, element) only, so it does not depend on the cuts. Kaiming-uniform as PyTorch does. */
void rk_model_init (const rk_model_t *m, uint64_t seed, int first, int last, float *flat);

#endif
