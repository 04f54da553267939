/* SPDX-License-Identifier: MPL-2.0
 * A model of your own: not in the list of built-in ones, defined layer by layer, trained by two clusters of two stages
 * that talk over tcp.
 *
 * What you will learn: how layers are wired by the tensors they return (branches, concat, a residual), how a wrong
 * shape is reported before anything runs, and that a program's own model trains like a built-in one: the same call
 * cuts it into stages, pipelines the minibatches and averages the clusters' parameters over rings.
 *
 *   build/examples/own_model           (needs no files; about two seconds)
 *
 * Expected output (~ stands for anything):
 *   a wrong layer: layer fc (linear): input (16, 14, 14) is neither a vector nor (positions, features), ~
 *   two-scale: 16 layers, 10282 parameters
 *   layer  2 silu         1568 floats a sample
 *   trained 12288 samples on 2 clusters, 4 stages, over tcp
 *   test accuracy ~
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/node.h"

/* conv - batchnorm - silu; every layer needs a name of its own. */
static int conv_bn_silu (rk_model_t *m, const char *prefix, int in, rk_conv2d_t conv)
{
    char name[64];
    snprintf (name, sizeof name, "%s.conv", prefix);
    int t = rk_model_conv2d (m, name, in, conv);
    snprintf (name, sizeof name, "%s.bn", prefix);
    t = rk_model_batchnorm2d (m, name, t);
    snprintf (name, sizeof name, "%s.silu", prefix);
    return rk_model_silu (m, name, t);
}

/* Two branches of different reach over the same picture, joined, and a residual around a bottleneck. The first error of
 * any layer is kept, so only rk_model_seal needs checking.                                                */
static rk_err_t build (rk_model_t **model_p, rk_shape_t input, size_t n_classes, rk_error_t *err)
{
    rk_model_t *m = *model_p = rk_model_new (input);
    if (!m)
        return RK_ENOMEM;
    const int stem = conv_bn_silu (m, "stem", 0, (rk_conv2d_t) {.channels = 8, .kernel = 3, .stride = 2, .padding = 1});
    const int near = rk_model_conv2d (m, "near", stem, (rk_conv2d_t) {.channels = 8, .kernel = 1, .stride = 1, .bias = true});
    const int far = rk_model_conv2d (m, "far", stem, (rk_conv2d_t) {.channels = 8, .kernel = 5, .stride = 1, .padding = 2, .bias = true});
    const int both = rk_model_concat (m, "both", 2, (const int[]) {near, far}, 0); /* channels come first */
    int t = conv_bn_silu (m, "squeeze", both, (rk_conv2d_t) {.channels = 4, .kernel = 1, .stride = 1});
    t = rk_model_conv2d (m, "expand", t, (rk_conv2d_t) {.channels = 16, .kernel = 3, .stride = 1, .padding = 1, .bias = true});
    t = rk_model_add (m, "residual", t, both);
    t = rk_model_maxpool2d (m, "pool", t, 2, 2, 0);
    t = rk_model_relu (m, "relu", t);
    t = rk_model_flatten (m, "flatten", t);
    t = rk_model_linear (m, "fc", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
    return rk_model_seal (m, err);
}

/* What a mistake looks like: the planes were not flattened. */
static void show_mistake (rk_shape_t input)
{
    rk_error_t err = {RK_OK, ""};
    rk_model_t *m = rk_model_new (input);
    const int t = rk_model_conv2d (m, "conv", 0, (rk_conv2d_t) {.channels = 16, .kernel = 3, .stride = 2, .padding = 1});
    rk_model_linear (m, "fc", t, 10, true);
    if (rk_model_seal (m, &err))
        printf ("a wrong layer: %s\n", err.text);
    rk_model_destroy (&m);
}

static void show (const rk_model_t *m)
{
    printf ("two-scale: %d layers, %zu parameters\n", rk_model_n_layers (m), rk_model_n_params (m));
    printf ("layer  2 %-12s %zu floats a sample\n", rk_model_layer_kind (m, 2), rk_shape_elems (rk_model_tensor_shape (m, 3)));
}

/* Any key of a run file; `rookery help settings` lists them. */
static rk_err_t settings (rk_settings_t *s, rk_error_t *err)
{
    static const char *const keys[][2] = {
        {"fleet.node", "a 1 0, b 1 0, c 1 0, d 1 0"}, {"fleet.layout", "2,2"}, {"net.transport", "tcp"},
        {"run.passes", "3"}, {"train.batch", "32"}, {"train.lr", "0.02"}, {"average.every", "8"}};
    rk_settings_default (s);
    rk_err_t rc = RK_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !rc; i++)
        rc = rk_settings_set (s, keys[i][0], keys[i][1], err);
    return rc;
}

int main (void)
{
    rk_error_t err = {RK_OK, ""};
    rk_data_t *data = NULL;
    rk_model_t *model = NULL;
    rk_node_result_t result;
    rk_settings_t s;
    rk_err_t rc = settings (&s, &err);
    if (!rc)
        rc = rk_data_open (&data, "synthetic", NULL, &err);
    if (!rc) {
        show_mistake (rk_data_shape (data));
        rc = build (&model, rk_data_shape (data), rk_data_n_classes (data), &err);
    }
    if (!rc) {
        show (model);
        rc = rk_node_run (&(rk_node_config_t) {.settings = s, .model = model, .data = data, .quiet = true}, NULL, &result, &err);
    }
    if (!rc)
        printf ("trained %llu samples on %u clusters, %u stages, over tcp\ntest accuracy %.2f\n",
                (unsigned long long) result.samples, result.n_clusters, result.n_stages, result.test_accuracy);
    else
        fprintf (stderr, "own_model: %s: %s\n", rk_strerror (rc), err.text);
    rk_model_destroy (&model);
    rk_data_close (&data);
    return rc ? 1 : 0;
}
