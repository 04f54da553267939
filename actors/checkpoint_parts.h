/* SPDX-License-Identifier: MPL-2.0
 * What writer and reader of checkpoints agree on: names of tensors and keys. Private to them. */
#ifndef RK_ACTORS_CHECKPOINT_PARTS_H
#define RK_ACTORS_CHECKPOINT_PARTS_H
#include <inttypes.h>
#include <stdio.h>

#include "actors/checkpoint.h"
#include "messages/safetensors.h"

#define RK_CHECKPOINT_NAME 192 /* of a tensor in the file */
/* Of one replica; all of one length, so that they can be filled in at the end. */
#define RK_CHECKPOINT_NUMBERS "steps=%020" PRIu64 " good=%020" PRIu64 " loss_scale=%08" PRIx32 " frozen=%u"
#define RK_CHECKPOINT_NUMBERS_READ "steps=%20" SCNu64 " good=%20" SCNu64 " loss_scale=%8" SCNx32 " frozen=%1u"

/* Whether a tensor has a place in a plane: statistics are no optimiser's. */
static inline bool rk_checkpoint_has (const rk_param_t *p, rk_plane_t plane)
{
    return p->trainable || plane == RK_PLANE_PARAMS || plane == RK_PLANE_MIXTURE;
}

static inline const char *rk_checkpoint_name (char text[RK_CHECKPOINT_NAME], const rk_param_t *p, uint32_t replica, rk_plane_t plane)
{
    if (replica == RK_CHECKPOINT_MEAN)
        snprintf (text, RK_CHECKPOINT_NAME, "%s", p->name);
    else
        snprintf (text, RK_CHECKPOINT_NAME, "replica.%u.%s.%s", replica, p->name, rk_plane_name (plane));
    return text;
}

#endif
