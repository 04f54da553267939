/* SPDX-License-Identifier: MPL-2.0
 * The subcommands, one function each; they print what a person asked for and return the exit code.       */
#ifndef RK_ACTORS_ROOKERY_COMMANDS_H
#define RK_ACTORS_ROOKERY_COMMANDS_H
#include "actors/rookery/args.h"
#include "cluster/settings.h"

extern const rk_subcommand_t rk_subcommands[]; /* ends with a NULL name */

int rk_command_train (const rk_args_t *args);
int rk_command_node (const rk_args_t *args);
int rk_command_eval (const rk_args_t *args);
int rk_command_predict (const rk_args_t *args);
int rk_command_plan (const rk_args_t *args);
int rk_command_profile (const rk_args_t *args);
int rk_command_bench (const rk_args_t *args);
int rk_command_dbench (const rk_args_t *args);
int rk_command_report (const rk_args_t *args);
int rk_command_keygen (const rk_args_t *args);
int rk_command_status (const rk_args_t *args);
int rk_command_invite (const rk_args_t *args);
int rk_command_help (const rk_args_t *args);

void rk_help_program (void);

/* --set and the short forms, on top of *s. */
rk_err_t rk_command_apply (rk_settings_t *s, const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
/* model.name and data.name are built in. errors: RK_ENOTFOUND (lists the valid ones). */
rk_err_t rk_command_check_names (const rk_settings_t *s, rk_error_t *err) RK_MUST_CHECK;
/* Settings of a command line: defaults, --preset, the run file (NULL: none), --set in order, then the short
 * forms (--passes, --threads, --model, --batch, --listen). Checked as a whole.                            */
rk_err_t rk_command_settings (rk_settings_t *s, const rk_args_t *args, const char *run_file, rk_error_t *err) RK_MUST_CHECK;

#endif
