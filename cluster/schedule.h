/* SPDX-License-Identifier: MPL-2.0
 * The order in which a stage works (architecture §6). Pure.                                              */
#ifndef RK_CLUSTER_SCHEDULE_H
#define RK_CLUSTER_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>

typedef enum { RK_ACT_FORWARD = 0, RK_ACT_BACKWARD = 1, RK_ACT_NONE = 2 } rk_act_t;

/* Drained: the action after `n_forward` forwards and `n_backward` backwards of the `n` minibatches of this
 * round at stage s of S with window in_flight: max (1, in_flight - s) forwards (last stage: 1), then
 * strictly backward, forward, ..., then the remaining backwards. NONE when the round is over.             */
rk_act_t rk_schedule_drained (uint32_t stage, uint32_t n_stages, uint32_t in_flight, uint64_t n, uint64_t n_forward,
                              uint64_t n_backward);
/* Overlapped: backward first, else forward, else nothing. */
rk_act_t rk_schedule_overlapped (bool forward_ready, bool backward_ready);
/* Steady-state staleness (updates between forward and backward of the same f) of a drained stage:
 * in_flight - 1 - s, at least 0, and 0 at the last stage; with in_flight = S this is S - 1 - s.          */
uint32_t rk_schedule_staleness (uint32_t stage, uint32_t n_stages, uint32_t in_flight);

#endif
