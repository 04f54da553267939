/* SPDX-License-Identifier: MPL-2.0
 * Functions that append a named model's layers; errors stay in the model until it is sealed.         */
#ifndef RK_COMPUTE_MODELS_H
#define RK_COMPUTE_MODELS_H
#include "compute/model.h"

void rk_model_build_softmax (rk_model_t *m, size_t n_classes);
void rk_model_build_mlp (rk_model_t *m, size_t n_classes);
void rk_model_build_mlp_tiny (rk_model_t *m, size_t n_classes);
void rk_model_build_mlp_mse (rk_model_t *m, size_t n_values);
void rk_model_build_mlp_bce (rk_model_t *m, size_t n_values);
void rk_model_build_cnn (rk_model_t *m, size_t n_classes);
void rk_model_build_cnn_tiny (rk_model_t *m, size_t n_classes);
void rk_model_build_lenet5 (rk_model_t *m, size_t n_classes);
void rk_model_build_resnet20 (rk_model_t *m, size_t n_classes);
void rk_model_build_resnet32 (rk_model_t *m, size_t n_classes);
void rk_model_build_resnet56 (rk_model_t *m, size_t n_classes);
void rk_model_build_resnet18 (rk_model_t *m, size_t n_classes);
void rk_model_build_resnet50 (rk_model_t *m, size_t n_classes);
void rk_model_build_inception_v3 (rk_model_t *m, size_t n_classes);
void rk_model_build_densenet40 (rk_model_t *m, size_t n_classes);
void rk_model_build_densenet100 (rk_model_t *m, size_t n_classes);
void rk_model_build_residual_tiny (rk_model_t *m, size_t n_classes);
void rk_model_build_dense_tiny (rk_model_t *m, size_t n_classes);
void rk_model_build_ravnest_cnn (rk_model_t *m, size_t n_classes);
void rk_model_build_char_lstm (rk_model_t *m, size_t n_classes);
void rk_model_build_lstm_lm (rk_model_t *m, size_t n_classes);
void rk_model_build_char_gpt (rk_model_t *m, size_t n_classes);
void rk_model_build_gpt_nano (rk_model_t *m, size_t n_classes);
void rk_model_build_gpt_micro (rk_model_t *m, size_t n_classes);
void rk_model_build_gpt_mini (rk_model_t *m, size_t n_classes);
void rk_model_build_gpt2_124m (rk_model_t *m, size_t n_classes);
void rk_model_build_bert_base (rk_model_t *m, size_t n_classes);
void rk_model_build_lstm_tiny (rk_model_t *m, size_t n_classes);

#endif
