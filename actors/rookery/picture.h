/* SPDX-License-Identifier: MPL-2.0
 * A picture (SVG) that is drawn in memory and written to its file whole or not at all.                    */
#ifndef RK_ACTORS_ROOKERY_PICTURE_H
#define RK_ACTORS_ROOKERY_PICTURE_H
#include <stdio.h>

#include "compute/error.h"

typedef struct {
    FILE *out; /* to draw on, between begin and end */
    char *text;
    size_t size;
} rk_picture_t;

rk_err_t rk_picture_begin (rk_picture_t *self, rk_error_t *err) RK_MUST_CHECK;
/* Writes what was drawn to `path`; frees the picture in any case. */
rk_err_t rk_picture_end (rk_picture_t *self, const char *path, rk_error_t *err) RK_MUST_CHECK;
/* Text between tags. */
void rk_picture_words (FILE *out, const char *text);

#endif
