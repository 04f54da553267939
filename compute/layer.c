/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layer.h"

#define RK_LAYER(kind) extern const rk_layer_type_t rk_layer_##kind;
#include "compute/layers/list.h"
#undef RK_LAYER

const rk_layer_type_t *const *rk_layer_types (void)
{
    static const rk_layer_type_t *const types[] = {
#define RK_LAYER(kind) &rk_layer_##kind,
#include "compute/layers/list.h"
#undef RK_LAYER
        NULL};
    return types;
}
