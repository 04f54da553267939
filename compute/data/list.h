/* SPDX-License-Identifier: MPL-2.0
 * name, usual folder or file, stem: compute/data/ defines rk_data_describe_<stem> and rk_data_open_<stem>.
 * No include guard.                                                                                  */
RK_DATA ("fashion-mnist", "/usr/share/datasets/fashion-mnist", fashion_mnist)
RK_DATA ("cifar10", "cifar-10-batches-bin", cifar10)
RK_DATA ("cifar100", "cifar-100-binary", cifar100)
RK_DATA ("numpy", "data.npz", numpy)
RK_DATA ("csv", ".", csv)
RK_DATA ("text", "text.txt", text)
RK_DATA ("synthetic-text", NULL, synthetic_text)
RK_DATA ("synthetic", NULL, synthetic)
RK_DATA ("synthetic-digits", NULL, synthetic_digits)
