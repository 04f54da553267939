/* SPDX-License-Identifier: MPL-2.0
 * y = a + b: where a residual branch joins.                                                          */
#include "compute/kernels/vec.h"
#include "compute/layers/pair.h"

extern const rk_layer_type_t rk_layer_add;

int rk_model_add (rk_model_t *m, const char *name, int a, int b)
{
    return rk_model_append (m, &rk_layer_add, name, 2, (const int[]) {a, b}, (rk_layer_config_t) {0});
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_vec ()->add (call->n * call->layer->elems, call->x[0], call->x[1], call->y);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_add = {
    .kind = "add",
    .flags = RK_PASSES_GRADIENT | RK_MAY_OVERWRITE_X | RK_BY_SAMPLE,
    .infer = rk_pair_infer,
    .forward = s_forward,
    .need = s_need,
};
