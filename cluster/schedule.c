/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/schedule.h"

/* Forwards a stage may be ahead of its backwards. */
static uint64_t s_lead (uint32_t stage, uint32_t n_stages, uint32_t in_flight)
{
    return stage + 1 >= n_stages || in_flight <= stage + 1 ? 1 : in_flight - stage;
}

rk_act_t rk_schedule_drained (uint32_t stage, uint32_t n_stages, uint32_t in_flight, uint64_t n, uint64_t n_forward,
                              uint64_t n_backward)
{
    if (n_backward >= n)
        return RK_ACT_NONE;
    bool lead_full = n_forward - n_backward >= s_lead (stage, n_stages, in_flight);
    return n_forward < n && !lead_full ? RK_ACT_FORWARD : RK_ACT_BACKWARD;
}

rk_act_t rk_schedule_overlapped (bool forward_ready, bool backward_ready)
{
    return backward_ready ? RK_ACT_BACKWARD : forward_ready ? RK_ACT_FORWARD : RK_ACT_NONE;
}

uint32_t rk_schedule_staleness (uint32_t stage, uint32_t n_stages, uint32_t in_flight)
{
    return (uint32_t) s_lead (stage, n_stages, in_flight) - 1;
}
