/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/view.h"

#include <string.h>

void rk_view_forward (const rk_layer_call_t *call)
{
    if (call->y != call->x[0])
        memcpy (call->y, call->x[0], call->n * call->layer->elems * sizeof (float));
}

void rk_view_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
}
