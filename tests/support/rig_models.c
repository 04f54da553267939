/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig_parts.h"

static rk_model_t *s_seal (rk_model_t *m)
{
    rk_error_t err = {RK_OK, ""};
    rig_ok (rk_model_seal (m, &err), &err);
    return m;
}

rk_model_t *rig_mlp (int hidden_layers)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, 28, 28));
    int at = rk_model_avgpool2d (m, "pool", 0, 4, 4, 0);
    at = rk_model_flatten (m, "flatten", at);
    for (int i = 0; i < hidden_layers; i++) {
        char name[32];
        snprintf (name, sizeof name, "fc%d", i);
        at = rk_model_linear (m, name, at, 24, true);
        snprintf (name, sizeof name, "relu%d", i);
        at = rk_model_relu (m, name, at);
    }
    at = rk_model_linear (m, "out", at, 10, true);
    rk_model_softmax_xent (m, "loss", at);
    return s_seal (m);
}

rk_model_t *rig_residual (void)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, 28, 28));
    int pooled = rk_model_maxpool2d (m, "pool", 0, 4, 4, 0);
    int stem = rk_model_conv2d (m, "stem", pooled, (rk_conv2d_t){.channels = 4, .kernel = 3, .stride = 1, .padding = 1});
    int at = rk_model_batchnorm2d (m, "stem.norm", stem);
    for (int i = 0; i < 3; i++) {
        char name[32];
        int before = at;
        snprintf (name, sizeof name, "block%d.conv", i);
        at = rk_model_conv2d (m, name, at, (rk_conv2d_t){.channels = 4, .kernel = 3, .stride = 1, .padding = 1});
        snprintf (name, sizeof name, "block%d.norm", i);
        at = rk_model_batchnorm2d (m, name, at);
        snprintf (name, sizeof name, "block%d.relu", i);
        at = rk_model_relu (m, name, at);
        snprintf (name, sizeof name, "block%d.add", i);
        at = rk_model_add (m, name, at, before);
    }
    at = rk_model_add (m, "long", at, stem);    /* crosses every cut between */
    int flat = rk_model_flatten (m, "flatten", at);
    at = rk_model_dropout (m, "dropout", flat, 0.1f);
    at = rk_model_linear (m, "fc", at, 49, true);
    int raw = rk_model_flatten (m, "raw", pooled); /* so does this one, from before the first parameters */
    at = rk_model_add (m, "again", at, raw);
    at = rk_model_linear (m, "out", at, 10, true);
    rk_model_softmax_xent (m, "loss", at);
    return s_seal (m);
}

static rk_data_t *s_data;

const rk_data_t *rig_data (void)
{
    rk_error_t err = {RK_OK, ""};
    if (!s_data)
        rig_ok (rk_data_open (&s_data, "synthetic", NULL, &err), &err);
    return s_data;
}

void rig_data_close (void)
{
    if (s_data)
        rk_data_close (&s_data);
    s_data = NULL;
}
