/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/tensor.h"

#include <stdio.h>

size_t rk_shape_elems (rk_shape_t shape)
{
    if (shape.n_dims < 1 || shape.n_dims > RK_MAX_DIMS)
        return 0;
    size_t elems = 1;
    for (int d = 0; d < shape.n_dims; d++) {
        if (shape.dim[d] == 0 || shape.dim[d] > RK_MAX_ELEMS / elems)
            return 0;
        elems *= shape.dim[d];
    }
    return elems;
}

bool rk_shape_equal (rk_shape_t a, rk_shape_t b)
{
    if (a.n_dims != b.n_dims)
        return false;
    for (int d = 0; d < a.n_dims; d++)
        if (a.dim[d] != b.dim[d])
            return false;
    return true;
}

const char *rk_shape_text (rk_shape_t shape, char text[RK_SHAPE_TEXT])
{
    size_t at = 0;
    text[at++] = '(';
    for (int d = 0; d < shape.n_dims && d < RK_MAX_DIMS; d++)
        at += (size_t) snprintf (text + at, RK_SHAPE_TEXT - at, "%s%zu", d ? ", " : "", shape.dim[d]);
    snprintf (text + at, RK_SHAPE_TEXT - at, ")");
    return text;
}
