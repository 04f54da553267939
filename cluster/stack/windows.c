/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/stack/stack_parts.h"
#include "compute/kernels/vec.h"

static const float *s_row (const rk_stack_windows_t *w, uint32_t i)
{
    return w->panel + (size_t) (i % w->n) * w->width;
}

/* suffix[k] = rows begin + k .. begin + size - 1. */
static void s_sum_to_the_end (const rk_stack_windows_t *w, uint32_t begin, uint32_t size)
{
    float *at = w->suffix + (size - 1) * w->width;
    rk_vec ()->copy (w->width, s_row (w, begin + size - 1), at);
    for (uint32_t k = size - 1; k-- > 0; at -= w->width)
        rk_vec ()->add (w->width, s_row (w, begin + k), at, at - w->width);
}

void rk_stack_windows (const rk_stack_windows_t *w, float *out, size_t step)
{
    const uint32_t size = 2 * w->side + 1;
    float *prefix = w->suffix + size * w->width; /* rows begin + size .. begin + size + k - 1 */
    for (uint32_t begin = 0; begin < w->n; begin += size) {
        s_sum_to_the_end (w, begin, size);
        for (uint32_t k = 0; k < size && begin + k < w->n; k++) {
            const float *suffix = w->suffix + k * w->width;
            float *to = out + (begin + k + w->side) % w->n * step;
            if (k == 0) {
                rk_vec ()->copy (w->width, suffix, to);
                continue;
            }
            if (k == 1)
                rk_vec ()->copy (w->width, s_row (w, begin + size), prefix);
            else
                rk_vec ()->add (w->width, prefix, s_row (w, begin + size + k - 1), prefix);
            rk_vec ()->add (w->width, suffix, prefix, to);
        }
    }
}
