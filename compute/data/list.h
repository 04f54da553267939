/* SPDX-License-Identifier: MPL-2.0
 * name, usual folder, stem: compute/data/ defines rk_data_describe_<stem> and rk_data_open_<stem>.
 * No include guard.                                                                                  */
RK_DATA ("fashion-mnist", "/usr/share/datasets/fashion-mnist", fashion_mnist)
RK_DATA ("synthetic", NULL, synthetic)
RK_DATA ("synthetic-digits", NULL, synthetic_digits)
