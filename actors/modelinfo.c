/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/modelinfo.h"

#include <stdlib.h>

#include "actors/training.h"

static uint64_t s_cut_bytes (const rk_model_t *model, int layer, uint64_t batch)
{
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    int n = rk_model_boundary (model, layer, 0, boundary);
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += batch * boundary[i].elems * sizeof (float);
    return bytes;
}

static rk_err_t s_slots (const rk_settings_t *settings, uint32_t *slots, rk_error_t *err)
{
    const rk_optim_t *optim;
    rk_optim_config_t config = rk_optim_config_of (settings);
    rk_err_t rc = rk_optim_by_name (&optim, settings->train_optimizer, &config, err);
    if (rc)
        return rc;
    *slots = (uint32_t) optim->n_slots;
    return RK_OK;
}

rk_err_t rk_model_info_new (rk_model_info_t **info_p, const rk_model_t *model, const rk_settings_t *settings,
                            uint64_t train_samples, uint64_t test_samples, rk_error_t *err)
{
    uint32_t slots;
    rk_err_t rc = s_slots (settings, &slots, err);
    if (rc)
        return rc;
    int n_layers = rk_model_n_layers (model);
    rk_model_info_t *info = calloc (1, sizeof *info + (size_t) n_layers * sizeof *info->layers);
    if (!info)
        return rk_error_set (err, RK_ENOMEM, "no memory for the costs of %d layers", n_layers);
    rk_layer_info_t *layers = (rk_layer_info_t *) (info + 1);
    uint64_t batch = settings->train_batch;
    for (int l = 0; l < n_layers; l++) {
        rk_layer_cost_t cost;
        rk_model_cost (model, l, batch, &cost);
        layers[l] = (rk_layer_info_t){.flat_at = rk_model_flat_at (model, l), .stash_bytes = cost.stash_bytes,
                                      .grad_bytes = cost.grad_bytes, .work_bytes = cost.work_bytes,
                                      .cut_bytes = s_cut_bytes (model, l, batch)};
    }
    rk_shape_t shape = rk_model_tensor_shape (model, 0);
    *info = (rk_model_info_t){.n_layers = (uint32_t) n_layers,
                              .layers = layers,
                              .n_flat = rk_model_flat_at (model, n_layers),
                              .label_bytes = batch * rk_model_n_labels (model) * RK_LABEL_BYTES,
                              .optimizer_slots = slots,
                              .train_samples = train_samples,
                              .test_samples = test_samples,
                              .n_dims = (uint32_t) shape.n_dims,
                              .n_classes = (uint32_t) rk_model_n_classes (model)};
    for (size_t i = 0; i < rk_model_n_tensors (model); i++)
        info->n_statistics += !rk_model_param (model, i)->trainable;
    for (int d = 0; d < shape.n_dims; d++)
        info->dims[d] = (uint32_t) shape.dim[d];
    *info_p = info;
    return RK_OK;
}

void rk_model_info_destroy (rk_model_info_t **info_p)
{
    free (*info_p);
    *info_p = NULL;
}

rk_err_t rk_shape_of_dims (rk_shape_t *shape, const uint64_t *dims, size_t n_dims, rk_error_t *err)
{
    if (n_dims < 1 || n_dims > RK_MAX_DIMS)
        return rk_error_set (err, RK_EFORMAT, "samples of %zu dimensions, 1 to %d can be", n_dims, RK_MAX_DIMS);
    *shape = (rk_shape_t){.n_dims = (int) n_dims};
    for (size_t d = 0; d < n_dims; d++) {
        if (dims[d] < 1 || dims[d] > UINT32_MAX)
            return rk_error_set (err, RK_EFORMAT, "samples with dimension %zu of %llu", d,
                                 (unsigned long long) dims[d]);
        shape->dim[d] = dims[d];
    }
    return RK_OK;
}
