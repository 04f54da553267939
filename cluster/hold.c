/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/hold.h"

#define WHOLE UINT64_C (1000000)

static uint64_t s_speed (const rk_plan_t *plan, uint32_t idx)
{
    return plan->node_speed_ppm[idx] ? plan->node_speed_ppm[idx] : WHOLE;
}

uint64_t rk_hold_pace (const rk_plan_t *plan, uint32_t node)
{
    uint32_t idx = 0;
    while (idx < plan->n_nodes && plan->nodes[idx] != node)
        idx++;
    if (idx == plan->n_nodes || s_speed (plan, idx) >= WHOLE)
        return 0;
    uint64_t strength = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        strength += plan->node_hosts[i] == plan->node_hosts[idx] ? s_speed (plan, i) : 0;
    const uint64_t cores = plan->node_cores[idx] ? plan->node_cores[idx] : 1;
    const uint64_t needed = strength > cores * WHOLE ? strength : cores * WHOLE;
    return needed * WHOLE / (cores * s_speed (plan, idx));
}

int64_t rk_hold_begin (rk_hold_t *hold, int64_t start_ns, int64_t busy_ns)
{
    const int64_t takes = (int64_t) ((__int128) busy_ns * (int64_t) hold->pace_ppm / (int64_t) WHOLE);
    hold->most_ns = takes > RK_HOLD_OWED_NS ? takes : RK_HOLD_OWED_NS;
    hold->until_ns = start_ns + takes - hold->owed_ns;
    return hold->until_ns;
}

void rk_hold_end (rk_hold_t *hold, int64_t now_ns)
{
    const int64_t late_ns = now_ns - hold->until_ns;
    hold->owed_ns = late_ns < 0 ? 0 : late_ns < hold->most_ns ? late_ns : hold->most_ns;
}

void rk_hold_idle (rk_hold_t *hold, int64_t idle_ns)
{
    if (idle_ns > RK_HOLD_OWED_NS)
        hold->owed_ns = 0;
}
