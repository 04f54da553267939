/* SPDX-License-Identifier: MPL-2.0
 * y = a b, value by value: gates.                                                                    */
#include "compute/kernels/vec.h"
#include "compute/layers/pair.h"

extern const rk_layer_type_t rk_layer_mul;

int rk_model_mul (rk_model_t *m, const char *name, int a, int b)
{
    return rk_model_append (m, &rk_layer_mul, name, 2, (const int[]) {a, b}, (rk_layer_config_t) {0});
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_vec ()->mul (call->n * call->layer->elems, call->x[0], call->x[1], call->y);
}

/* gx[0] may be gy, so it comes last. */
static void s_backward_input (const rk_layer_call_t *call)
{
    for (int k = 1; k >= 0; k--)
        if (call->gx[k])
            rk_vec ()->mul (call->n * call->layer->elems, call->gy, call->x[1 - k], call->gx[k]);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems;
    need->backward_flops = 2 * need->forward_flops;
}

const rk_layer_type_t rk_layer_mul = {
    .kind = "mul",
    .flags = RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE,
    .infer = rk_pair_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
