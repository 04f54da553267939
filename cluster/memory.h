/* SPDX-License-Identifier: MPL-2.0
 * The memory model: what a stage needs at its peak, part by part, before it exists. Planners, plans and the
 * comparison with measured RSS all ask here. Bytes. Pure. thread: any.                                   */
#ifndef RK_CLUSTER_MEMORY_H
#define RK_CLUSTER_MEMORY_H
#include "cluster/plan.h"

/* What a stage is made of: sums over its layers, per minibatch where that matters. */
typedef struct {
    uint64_t params;     /* its range of the flat vector, BatchNorm statistics included */
    uint64_t stash;      /* activations kept from forward to backward */
    uint64_t grads;      /* gradients of activations between the two backward calls */
    uint64_t work;       /* scratch: the most of one layer */
    uint64_t in, out;    /* tensors across the cut before and behind it, f32 */
    uint64_t labels;
    uint32_t slots;      /* of the optimiser, a vector as long as the parameters each */
    bool first;          /* stage of its cluster: it judges updates, so it holds no gradients back */
} rk_memory_sums_t;

/* Parts of the peak. */
typedef struct {
    uint64_t parameters;  /* the live ones */
    uint64_t versions;    /* older ones that minibatches in flight still need */
    uint64_t gradients;
    uint64_t optimizer;
    uint64_t averaging;   /* last committed mean; slots as kept after two rounds; with average.optimizer_state two more of them */
    uint64_t activations; /* in flight, or of one minibatch if they are recomputed */
    uint64_t scratch;
    uint64_t buffers;     /* received and to be sent */
    uint64_t warm;        /* copies of other stages' states, each taken to be as large as its own; two at a time while one comes */
    uint64_t total;
} rk_memory_t;

/* Sums of layers [first, last). */
void rk_memory_sums (rk_memory_sums_t *out, const rk_model_info_t *model, uint32_t first, uint32_t last);
void rk_memory_of (rk_memory_t *out, const rk_memory_sums_t *sums, const rk_settings_t *settings, uint32_t in_flight,
                   bool recompute);

#endif
