/* SPDX-License-Identifier: MPL-2.0
 * Long short-term memory: i, f, o = sigmoid, g = tanh of W x + b + U h + b'; c = f c + i g; h = o tanh (c).
 * Blocks of the weights in the order i, f, g, o, as PyTorch stores them.                              */
#include "compute/layers/recurrent.h"

extern const rk_layer_type_t rk_layer_lstm;

int rk_model_lstm (rk_model_t *m, const char *name, int in, size_t n_hidden)
{
    return rk_model_append (m, &rk_layer_lstm, name, 1, &in, (rk_layer_config_t) {.channels = n_hidden});
}

static void s_cell_forward (size_t n, const rk_vec_cell_t *at)
{
    rk_vec ()->lstm (n, at);
}

static void s_cell_backward (size_t n, const rk_vec_cell_t *at)
{
    rk_vec ()->lstm_backward (n, at);
}

static const rk_cell_t s_cell = {.n_blocks = 4, .has_state = true, .n_parts = 1, .part = {{0, 0, 4}},
                                 .forward = s_cell_forward, .backward = s_cell_backward};

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    return rk_recurrent_infer (&s_cell, layer, err);
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_recurrent_forward (&s_cell, call);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_recurrent_backward_input (&s_cell, call);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    rk_recurrent_backward_params (&s_cell, call);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    rk_recurrent_need (&s_cell, layer, batch, need);
}

const rk_layer_type_t rk_layer_lstm = {
    .kind = "lstm",
    .flags = RK_PARAMS_FROM_SAVE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
