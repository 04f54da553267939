/* SPDX-License-Identifier: MPL-2.0
 * Every optimiser: compute/optim/<name>.c defines rk_optim_<name>. No include guard.                 */
RK_OPTIM (sgd)
RK_OPTIM (adam)
RK_OPTIM (adamw)
RK_OPTIM (lamb)
RK_OPTIM (lars)
