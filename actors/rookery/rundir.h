/* SPDX-License-Identifier: MPL-2.0
 * The folder that a run writes and that eval, predict and plan read.                                     */
#ifndef RK_ACTORS_ROOKERY_RUNDIR_H
#define RK_ACTORS_ROOKERY_RUNDIR_H
#include "actors/checkpoint.h"

/* mkdir -p. errors: RK_EIO. */
rk_err_t rk_make_path (const char *dir, rk_error_t *err) RK_MUST_CHECK;
/* Makes s->run_dir (default: runs/<date>-<model>, numbered when taken) and writes settings.zpl into it.
 * errors: RK_EIO, RK_EINVAL (the folder holds another run).                                              */
rk_err_t rk_rundir_make (rk_settings_t *s, rk_error_t *err) RK_MUST_CHECK;
/* A run goes on in s->run_dir, which is made if it is not there: writes settings.zpl. errors: RK_EIO. */
rk_err_t rk_rundir_go_on (const rk_settings_t *s, rk_error_t *err) RK_MUST_CHECK;
/* Settings of the run in `dir`. errors: RK_EIO, RK_EINVAL. */
rk_err_t rk_rundir_settings (const char *dir, rk_settings_t *s, rk_error_t *err) RK_MUST_CHECK;
/* A checkpoint: the file itself, or the latest of a run folder. errors: RK_EIO, RK_ENOTFOUND. */
rk_err_t rk_rundir_checkpoint (const char *dir_or_file, char path[RK_CHECKPOINT_PATH], rk_error_t *err) RK_MUST_CHECK;
bool rk_rundir_is (const char *dir); /* a folder with a plan in it */
/* After a run that failed before it had a plan: nothing worth keeping, so a second try finds the place free. */
void rk_rundir_abandon (const char *dir);

#endif
