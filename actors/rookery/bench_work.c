/* SPDX-License-Identifier: MPL-2.0
 * What a benchmark of a model works on. */
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/bench.h"
#include "actors/rookery/commands.h"

/* Samples and labels that the model takes, of any meaning: token ids, or zeros. */
static rk_err_t s_any_samples (rk_data_t **data_p, const rk_model_t *model, rk_error_t *err)
{
    enum { N = 256 };
    const rk_labels_t *labels = rk_model_labels (model);
    const rk_shape_t shape = rk_model_tensor_shape (model, 0);
    const size_t elems = rk_shape_elems (shape), n_tokens = rk_model_n_tokens (model);
    float *x = calloc (N * elems, sizeof *x);
    int32_t *classes = calloc (N * labels->n, sizeof *classes);
    if (x && classes && n_tokens) {
        for (size_t i = 0; i < N * elems; i++)
            x[i] = (float) (i * 2654435761u % n_tokens);
        for (size_t i = 0; i < N * labels->n && labels->kind == RK_LABEL_CLASS; i++)
            classes[i] = (int32_t) (i % labels->n_classes);
    }
    const rk_data_split_t split[2] = {{N, x, classes}, {1, x, classes}};
    rk_err_t code = x && classes ? rk_data_from_memory (data_p, shape, *labels, split, err) : RK_ENOMEM;
    free (x);
    free (classes);
    return code == RK_ENOMEM ? rk_error_set (err, code, "no memory for %d samples", N) : code;
}

/* Speed does not depend on the pictures; a model that takes none gets a text. */
rk_err_t rk_bench_data (rk_data_t **data_p, const rk_settings_t *settings, rk_error_t *err)
{
    rk_model_t *model = NULL;
    rk_err_t code = rk_data_open (data_p, settings->data_name, NULL, NULL) ? rk_data_open (data_p, "synthetic", NULL, err) : RK_OK;
    if (code)
        return code;
    code = rk_model_by_name (&model, settings->model_name, rk_data_shape (*data_p), rk_data_n_classes (*data_p), NULL);
    if (!code && rk_data_check_model (*data_p, model, NULL)) { /* it learns values */
        rk_data_close (data_p);
        code = s_any_samples (data_p, model, err);
        rk_model_destroy (&model);
        return code;
    }
    rk_model_destroy (&model);
    if (code != RK_ESHAPE)
        return RK_OK; /* any other error comes again where the model is made */
    rk_data_close (data_p);
    code = rk_data_open (data_p, "synthetic-text", NULL, err);
    if (!code)
        code = rk_model_by_name (&model, settings->model_name, rk_data_shape (*data_p), rk_data_n_classes (*data_p), err);
    if (!code && rk_data_check_model (*data_p, model, NULL)) { /* it tells classes of whole texts */
        rk_data_close (data_p);
        code = s_any_samples (data_p, model, err);
    }
    rk_model_destroy (&model);
    return code;
}

rk_err_t rk_bench_work (const rk_args_t *args, rk_bench_work_t *work, rk_error_t *err)
{
    *work = (rk_bench_work_t) {.batch = 64};
    rk_settings_default (&work->settings);
    const char *model = rk_args_get (args, "model");
    if (model)
        snprintf (work->settings.model_name, sizeof work->settings.model_name, "%s", model);
    rk_err_t code = rk_command_check_names (&work->settings, err);
    if (!code)
        code = rk_args_number (args, "batch", 1, 65536, &work->batch, err);
    if (!code)
        code = rk_bench_machine (args, &work->machine, err);
    return code ? code : rk_bench_data (&work->data, &work->settings, err);
}
