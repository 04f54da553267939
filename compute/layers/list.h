/* SPDX-License-Identifier: MPL-2.0
 * Every kind of layer: compute/layers/<kind>.c defines rk_layer_<kind>. No include guard: it is read
 * with RK_LAYER defined as what to do with a kind.                                                   */
RK_LAYER (linear)
RK_LAYER (conv2d)
RK_LAYER (batchnorm2d)
RK_LAYER (relu)
RK_LAYER (maxpool2d)
RK_LAYER (avgpool2d)
RK_LAYER (globalavgpool)
RK_LAYER (add)
RK_LAYER (shortcut)
RK_LAYER (flatten)
RK_LAYER (reshape)
RK_LAYER (dropout)
RK_LAYER (softmax_xent)
