/* SPDX-License-Identifier: MPL-2.0
 * Mixed radix: n = g1 g2 .. gL. A replica's number is written in that radix; step t averages the groups of
 * replicas that differ in digit t mod L only. Any L steps in a row are the exact mean.                      */
#ifndef RK_CLUSTER_GRAPHS_RADIX_H
#define RK_CLUSTER_GRAPHS_RADIX_H
#include <stdint.h>

#define RK_RADIX_DIGITS 16 /* 2^16 replicas at most */

typedef struct {
    uint32_t largest; /* factor */
    uint32_t n_digits;
    uint32_t factors[RK_RADIX_DIGITS]; /* in the order they are used in */
    double models; /* sent per replica and step, as ring all-reduce in each group: mean of 2 (g - 1) / g */
} rk_radix_t;

/* Fewest digits with no factor above `largest`, of those the fewest bytes. A prime factor of n above `largest`
 * is let through: nothing smaller exists. n >= 2.                                                           */
rk_radix_t rk_radix_make (uint32_t n, uint32_t largest);
/* Fewest digits that send at most `models` per step; if none does, the cheapest. */
rk_radix_t rk_radix_within (uint32_t n, double models);

#endif
