/* SPDX-License-Identifier: MPL-2.0
 * name, function that appends its layers, dimensions of its input (0: any). No include guard.        */
RK_MODEL (mlp, rk_model_build_mlp, 0)
RK_MODEL (mlp-tiny, rk_model_build_mlp_tiny, 0)
