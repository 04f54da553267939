/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/targets.h"

#include "compute/kernels/vec.h"

void rk_targets_infer (rk_layer_t *layer, float low, float high)
{
    const size_t n = layer->in_elems[0];
    layer->shape = rk_shape_1 (1);
    layer->labels = (rk_labels_t) {.kind = RK_LABEL_TARGET, .n = n, .n_classes = n, .low = low, .high = high};
}

void rk_targets_backward (const rk_layer_call_t *call)
{
    const size_t n = call->n * call->layer->in_elems[0];
    rk_vec ()->scale (n, 1.0f / (float) n, call->save, call->gx[0]);
}

void rk_targets_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 20 * (uint64_t) batch * layer->in_elems[0];
    need->backward_flops = (uint64_t) batch * layer->in_elems[0];
    need->save_bytes = batch * layer->in_elems[0] * sizeof (float);
}
