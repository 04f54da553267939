/* SPDX-License-Identifier: MPL-2.0
 * Every schedule: compute/lr.c has its s_<function> and s_<function>_check. No include guard.         */
RK_LR (constant, "constant")
RK_LR (step, "step")
RK_LR (milestones, "milestones")
RK_LR (cosine, "cosine")
RK_LR (linear, "linear")
RK_LR (polynomial, "polynomial")
RK_LR (inverse_sqrt, "inverse-sqrt")
