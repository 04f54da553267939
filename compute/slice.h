/* SPDX-License-Identifier: MPL-2.0
 * A stage's share of a model: layers [first, last), with room for `n_contexts` minibatches in flight.
 * Forward, then the backward in two calls: input gradients first (they go upstream at once), parameter
 * gradients after. Nothing is allocated after rk_slice_new. Results do not depend on where a model is cut.
 * thread: one at a time.                                                                              */
#ifndef RK_COMPUTE_SLICE_H
#define RK_COMPUTE_SLICE_H
#include "compute/model.h"

typedef struct rk_slice rk_slice_t;

#define RK_STATS_SHARE 0.1 /* of one minibatch in running statistics, as PyTorch's momentum of BatchNorm */

typedef enum { RK_MODE_TRAIN = 0, RK_MODE_EVAL = 1 } rk_mode_t;

typedef struct {
    const rk_model_t *model; /* borrowed for the slice's life */
    int first, last;         /* layers [first, last) */
    size_t batch;            /* most samples a minibatch may have */
    int n_contexts;          /* minibatches in flight */
    uint64_t seed;           /* of dropout: random numbers are a function of (seed, layer, f) */
    bool recompute;          /* keep only the inputs and repeat the forward before the backward */
    struct rk_pool *pool;    /* borrowed for the slice's life: threads its kernels may use, without changing a bit;
                                NULL: the calling thread only */
} rk_slice_config_t;

typedef struct {
    double loss_sum;    /* sum over the labels that count, of what the loss layer says */
    uint64_t n_correct; /* of them guessed right, where the loss layer has a notion of it */
    uint64_t n_counted; /* labels that count: samples x labels per sample, without the ignored ones */
} rk_loss_t;

rk_err_t rk_slice_new (rk_slice_t **slice_p, const rk_slice_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_slice_destroy (rk_slice_t **slice_p);
size_t rk_slice_bytes (const rk_slice_t *slice); /* memory it holds */

/* What rk_slice_bytes would say, without taking the memory. errors: as rk_slice_new. */
rk_err_t rk_slice_predict (const rk_slice_config_t *config, size_t *bytes, rk_error_t *err) RK_MUST_CHECK;

/* Forward of minibatch f in context ctx.
 * flat: this slice's parameters at the version to use (offset 0 = flat_at (first), length
 *   rk_model_slice_len: a tied tensor of an earlier slice lies behind them), const.
 * stats: flat vector whose BatchNorm buffers are read (EVAL) or moved once (TRAIN); may equal flat.
 * in[i]: (n, boundary (first)[i].elems) f32, aligned to 4 bytes; borrowed until rk_slice_release.
 * out[i]: (n, boundary (last)[i].elems), aligned to 64; written; borrowed until rk_slice_release, as
 *   backward may read it. Pass-through tensors: out[i] is not touched and may be NULL.
 * labels: (n, rk_model_n_labels) int32 class indices or f32 targets, whichever rk_model_labels says, aligned to
 *   4 bytes; needed by the slice that holds the loss, else NULL is fine.
 * loss: written by the slice that holds the loss; may be NULL elsewhere.
 * probabilities: if not NULL and this slice holds the loss: (n, rk_model_n_outputs), written. In EVAL mode labels
 *   may be NULL (prediction).
 * In EVAL mode nothing is kept: the context is free again on return.
 * errors: RK_EINVAL (label out of range, context busy; text names f and sample).                      */
typedef struct {
    int ctx;
    rk_mode_t mode;
    uint64_t f;
    size_t n;
    const float *flat;
    float *stats;
    const float *const *in;
    float *const *out;
    const void *labels;
    rk_loss_t *loss;
    float *probabilities;
    int *bad_layer; /* NULL, or set to the first layer of the model that made a NaN or an infinity (else untouched):
                       every output is read once more for it */
} rk_forward_t;
rk_err_t rk_slice_forward (rk_slice_t *slice, const rk_forward_t *call, rk_error_t *err) RK_MUST_CHECK;

/* Input gradients of the minibatch in ctx, at the version `flat` its forward saw.
 * gout[i]: gradient of boundary (last)[i]; const; ignored where needs_grad is false; borrowed until
 *   rk_slice_backward_params returns.
 * gin[i]: gradient of boundary (first)[i], written (pass-through tensors: gout plus what this slice
 *   adds); NULL where needs_grad is false. Complete on return: it may be sent at once.
 * The loss is the mean over the labels that count. errors: RK_EINVAL, RK_ESTATE (call out of order).           */
rk_err_t rk_slice_backward_input (rk_slice_t *slice, int ctx, const float *flat, const float *const *gout,
                                  float *const *gin, rk_error_t *err) RK_MUST_CHECK;

/* The loss of the minibatch in ctx counts `scale` times (default: once): all its gradients are multiplied. To be called
 * between forward and backward; only the slice that holds the loss takes notice.                        */
void rk_slice_scale_loss (rk_slice_t *slice, int ctx, float scale);

/* The next rk_slice_backward_params of ctx overwrites grads, whose old values do not matter, instead of adding to them.
 * To be called after the forward. A tied tensor behind the slice's range is added to as ever.          */
void rk_slice_begin_grads (rk_slice_t *slice, int ctx);

/* Parameter gradients, ADDED into grads (length rk_model_slice_len; buffers' places untouched).
 * Must follow rk_slice_backward_input of the same ctx before any other forward or backward of the slice,
 * which are refused (RK_ESTATE): they share the workspace.                                             */
rk_err_t rk_slice_backward_params (rk_slice_t *slice, int ctx, const float *flat, float *grads,
                                   rk_error_t *err) RK_MUST_CHECK;

/* The minibatch is over; its context and every borrowed pointer are free. */
void rk_slice_release (rk_slice_t *slice, int ctx);

#endif
