/* SPDX-License-Identifier: MPL-2.0
 * The ring lattice C (n; 1..h): replica i with i - h .. i + h. Private to cluster/.                         */
#ifndef RK_CLUSTER_GRAPHS_LATTICE_H
#define RK_CLUSTER_GRAPHS_LATTICE_H
#include <stdint.h>

/* Links h on each side for `degree` connections: half of it, rounded down, at least 1; all n replicas, as
 * h = n / 2, when there are no more than degree + 1 of them.                                                */
uint32_t rk_lattice_side (uint32_t n, uint32_t degree);

#endif
