/* SPDX-License-Identifier: MPL-2.0
 * Run files: ZPL (CZMQ's zconfig), read into settings. Sections nest ("run" / "    passes = 2") or keys are
 * written with dots ("run.passes = 2"). A node of the fleet is one line ("node = strong 1 512") or a section
 * with name, speed and ram_mb. Every error is one line: file, line, key and the nearest valid key.         */
#ifndef RK_ACTORS_ROOKERY_RUNFILE_H
#define RK_ACTORS_ROOKERY_RUNFILE_H
#include "cluster/settings.h"

#define RK_RUNFILE_MAX_BYTES (1 << 20)

/* Calls set for every key and value in the order of the file; its error stops, with file and line put before it.
 * fleet.node sections become "name speed ram_mb". errors: RK_EIO, RK_EINVAL, RK_EFORMAT, what set says.    */
typedef rk_err_t rk_runfile_set_t (void *arg, const char *key, const char *value, rk_error_t *err);
rk_err_t rk_runfile_each (const char *path, rk_runfile_set_t *set, void *arg, rk_error_t *err) RK_MUST_CHECK;

/* Sets what the file names on top of *s. errors: RK_EIO (no such file), RK_EINVAL, RK_ENOTFOUND,
 * RK_EUNSUPPORTED, as rk_settings_set; *s is untouched on error.                                        */
rk_err_t rk_runfile_read (rk_settings_t *s, const char *path, rk_error_t *err) RK_MUST_CHECK;
/* The same from text; `origin` stands for the file's name in errors. */
rk_err_t rk_runfile_parse (rk_settings_t *s, const char *text, const char *origin, rk_error_t *err) RK_MUST_CHECK;
/* Writes all settings as a run file that rk_runfile_read reads back. errors: RK_EIO, RK_EINVAL (a value with
 * both kinds of quotes cannot be written).                                                                */
rk_err_t rk_runfile_write (const rk_settings_t *s, const char *path, rk_error_t *err) RK_MUST_CHECK;

#endif
