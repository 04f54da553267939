/* SPDX-License-Identifier: MPL-2.0
 * name, usual folder, function that opens it. No include guard.                                      */
RK_DATA ("fashion-mnist", "/usr/share/datasets/fashion-mnist", rk_data_open_fashion_mnist)
RK_DATA ("synthetic", NULL, rk_data_open_synthetic)
