/* SPDX-License-Identifier: MPL-2.0
 * name, function that appends its layers, dimensions of its input (0: any). No include guard.        */
RK_MODEL (mlp, rk_model_build_mlp, 0)
RK_MODEL (cnn, rk_model_build_cnn, 3)
RK_MODEL (resnet20, rk_model_build_resnet20, 3)
RK_MODEL (mlp-tiny, rk_model_build_mlp_tiny, 0)
RK_MODEL (cnn-tiny, rk_model_build_cnn_tiny, 3)
RK_MODEL (residual-tiny, rk_model_build_residual_tiny, 3)
RK_MODEL (dense-tiny, rk_model_build_dense_tiny, 0)
RK_MODEL (ravnest-cnn, rk_model_build_ravnest_cnn, 3)
