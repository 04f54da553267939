/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/ring.h"

uint32_t rk_ring_n_steps (uint32_t n)
{
    return n < 2 ? 0 : 2 * (n - 1);
}

/* Reduce-scatter: at step t rank r passes on piece r - t, the one it completed a step ago; after n - 1
 * steps it holds the whole sum of piece r + 1, which the all-gather passes round.                        */
rk_ring_step_t rk_ring_step (uint32_t rank, uint32_t n, uint32_t t)
{
    bool gather = t >= n - 1;
    uint32_t turn = gather ? t - (n - 1) : t;
    uint32_t send = (rank + (gather ? 1 : 0) + n - turn) % n;
    return (rk_ring_step_t){.send_piece = send, .receive_piece = (send + n - 1) % n, .gather = gather};
}
