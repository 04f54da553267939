/* SPDX-License-Identifier: MPL-2.0
 * Whether an update is made and how large it is: clipping by the global norm (as PyTorch's clip_grad_norm_) and
 * loss scaling, static or dynamic. Pure; the one who knows the whole norm decides for everybody.        */
#ifndef RK_COMPUTE_VERDICT_H
#define RK_COMPUTE_VERDICT_H
#include <stdbool.h>
#include <stdint.h>

#define RK_LOSS_SCALE_START 65536.0f
#define RK_LOSS_SCALE_MOST 16777216.0f

typedef struct {
    double clip;         /* largest norm of the gradient; 0: any */
    double loss_scale;   /* losses are multiplied by it; 0: dynamic */
    uint64_t grow_every; /* dynamic: updates in a row after which it doubles */
} rk_verdict_config_t;

typedef struct {
    float loss_scale; /* of the next update */
    uint64_t n_good;  /* updates since it last changed */
} rk_verdict_state_t;

typedef struct {
    bool skip;        /* the norm was no finite number: nothing is changed */
    float grad_scale; /* what summed gradients are multiplied by: mean, loss scale and clipping in one */
    float loss_scale; /* from the next update on */
} rk_verdict_t;

void rk_verdict_start (const rk_verdict_config_t *config, rk_verdict_state_t *state);

/* squares: sum of the squares of all summed gradients, whose losses were multiplied by loss_scale; mean: what makes
 * their mean of their sum. Dynamic: a skipped update halves the scale (down to 1), grow_every good ones double it. */
rk_verdict_t rk_verdict_give (const rk_verdict_config_t *config, rk_verdict_state_t *state, double squares, double mean,
                              float loss_scale);

#endif
