/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/verdict.h"

#include <math.h>

void rk_verdict_start (const rk_verdict_config_t *config, rk_verdict_state_t *state)
{
    *state = (rk_verdict_state_t) {.loss_scale = config->loss_scale > 0 ? (float) config->loss_scale : RK_LOSS_SCALE_START};
}

/* An update in the pipeline may be older than the last change: only one at the scale in force halves or counts. */
static void s_move_scale (const rk_verdict_config_t *config, rk_verdict_state_t *state, bool skip, float loss_scale)
{
    if (config->loss_scale > 0 || loss_scale != state->loss_scale)
        return;
    if (skip && state->loss_scale > 1)
        state->loss_scale *= 0.5f;
    else if (!skip && ++state->n_good >= config->grow_every && state->loss_scale < RK_LOSS_SCALE_MOST)
        state->loss_scale *= 2;
    if (state->loss_scale != loss_scale || skip)
        state->n_good = 0;
}

rk_verdict_t rk_verdict_give (const rk_verdict_config_t *config, rk_verdict_state_t *state, double squares, double mean,
                              float loss_scale)
{
    const bool skip = !isfinite (squares);
    const double scale = mean / (double) loss_scale, norm = sqrt (squares) * scale;
    s_move_scale (config, state, skip, loss_scale);
    double kept = 1;
    if (config->clip > 0 && norm > config->clip)
        kept = config->clip / (norm + 1e-6);
    return (rk_verdict_t) {.skip = skip, .grad_scale = skip ? 0 : (float) (scale * kept), .loss_scale = state->loss_scale};
}
