/* SPDX-License-Identifier: MPL-2.0
 * rookery train --resume: what goes on from a checkpoint, and what may be changed on the way.            */
#ifndef RK_ACTORS_ROOKERY_RESUME_H
#define RK_ACTORS_ROOKERY_RESUME_H
#include "actors/checkpoint.h"
#include "actors/node.h"
#include "actors/rookery/commands.h"

typedef struct {
    rk_checkpoint_t from;
    rk_plan_t *plan; /* the stored one, where it fits who is there now; NULL: to be made anew */
} rk_resume_t;

/* Opens the checkpoint (a run folder: the latest whole one) and fills settings (its own, then the command line's) and
 * cursor. errors: RK_EINVAL (a key that may not change, by name; nothing left to train), as rk_checkpoint_open. */
rk_err_t rk_resume_open (rk_resume_t *r, const rk_args_t *args, const char *folder_or_file, rk_node_config_t *config,
                         rk_error_t *err) RK_MUST_CHECK;
/* The stored plan is used again if as many nodes take part and nothing that planning looks at was changed. */
rk_err_t rk_resume_plan (rk_resume_t *r, uint32_t n_processes, rk_node_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_resume_close (rk_resume_t *r);

#endif
