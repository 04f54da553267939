/* SPDX-License-Identifier: MPL-2.0
 * A picture in memory, and its file.                                                                      */
#include "actors/rookery/picture.h"

#include <stdlib.h>

#include "messages/file.h"

rk_err_t rk_picture_begin (rk_picture_t *self, rk_error_t *err)
{
    *self = (rk_picture_t){0};
    self->out = open_memstream (&self->text, &self->size);
    return self->out ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for a picture");
}

rk_err_t rk_picture_end (rk_picture_t *self, const char *path, rk_error_t *err)
{
    rk_file_t *file = NULL;
    rk_err_t code = fclose (self->out) == 0 && self->text ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for a picture");
    if (!code)
        code = rk_file_create (&file, path, err);
    if (!code)
        code = rk_file_write (file, self->text, self->size, err);
    if (!code)
        code = rk_file_commit (&file, err);
    rk_file_discard (&file);
    free (self->text);
    *self = (rk_picture_t){0};
    return code;
}

void rk_picture_words (FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<' || *c == '&')
            fputs (*c == '<' ? "&lt;" : "&amp;", out);
        else
            fputc (*c, out);
    }
}
