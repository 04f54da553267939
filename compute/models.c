/* SPDX-License-Identifier: MPL-2.0
 * The models that have a name: compute/models/<name>.c defines the function, list.h the line.        */
#include <stdio.h>

#include "compute/model_impl.h"
#include "compute/models/models.h"
#include "compute/names.h"

#define RK_MODEL(name, build, n_dims) #name,
static const char *const s_names[] = {
#include "compute/models/list.h"
    NULL};
#undef RK_MODEL

static const struct {
    void (*build) (rk_model_t *m, size_t n_classes);
    int n_dims; /* of the input; 0: any */
} s_models[] = {
#define RK_MODEL(name, build, n_dims) {build, n_dims},
#include "compute/models/list.h"
#undef RK_MODEL
};

const char *const *rk_model_names (void)
{
    return s_names;
}

rk_err_t rk_model_by_name (rk_model_t **model_p, const char *name, rk_shape_t input, size_t n_classes, rk_error_t *err)
{
    *model_p = NULL;
    int found = rk_find_name ("model", name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    char text[RK_SHAPE_TEXT];
    if (s_models[found].n_dims && input.n_dims != s_models[found].n_dims)
        return rk_error_set (err, RK_ESHAPE, "model %s takes %s, the input is %s", name,
                             s_models[found].n_dims == 1 ? "a sequence of token ids" : "(channels, height, width)",
                             rk_shape_text (input, text));
    rk_model_t *model = rk_model_new (input);
    if (!model)
        return rk_error_set (err, RK_ENOMEM, "no memory for model %s", name);
    snprintf (model->name, sizeof model->name, "%s", name);
    s_models[found].build (model, n_classes);
    rk_err_t rc = rk_model_seal (model, err);
    if (rc) {
        rk_error_wrap (err, rc, "model %s on input %s", name, rk_shape_text (input, text));
        rk_model_destroy (&model);
        return rc;
    }
    *model_p = model;
    return RK_OK;
}
