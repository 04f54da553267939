/* SPDX-License-Identifier: MPL-2.0
 * Recurrent language models. lstm-lm: the medium one of Zaremba, Sutskever and Vinyals, 2014. char-lstm: one layer for
 * characters. Tokens: the classes.                                                                     */
#include "compute/models/models.h"

void rk_model_build_lstm_lm (rk_model_t *m, size_t n_classes)
{
    const size_t width = 650;
    int t = rk_model_embedding (m, "encoder", 0, n_classes, width);
    rk_model_normal (m, t, 0.05f);
    t = rk_model_dropout (m, "drop1", t, 0.5f);
    t = rk_model_lstm (m, "rnn1", t, width);
    t = rk_model_dropout (m, "drop2", t, 0.5f);
    t = rk_model_lstm (m, "rnn2", t, width);
    t = rk_model_dropout (m, "drop3", t, 0.5f);
    rk_model_softmax_xent (m, "loss", rk_model_linear (m, "decoder", t, n_classes, true));
}

static void s_small (rk_model_t *m, size_t n_classes, size_t width, size_t n_hidden)
{
    int t = rk_model_embedding (m, "tok", 0, n_classes, width);
    t = rk_model_lstm (m, "rnn", t, n_hidden);
    rk_model_softmax_xent (m, "loss", rk_model_linear (m, "head", t, n_classes, true));
}

void rk_model_build_char_lstm (rk_model_t *m, size_t n_classes)
{
    s_small (m, n_classes, 128, 256);
}

void rk_model_build_lstm_tiny (rk_model_t *m, size_t n_classes)
{
    s_small (m, n_classes, 12, 20);
}
