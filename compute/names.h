/* SPDX-License-Identifier: MPL-2.0
 * Tables of names: what the error of a misspelt name offers instead.                                 */
#ifndef RK_COMPUTE_NAMES_H
#define RK_COMPUTE_NAMES_H
#include "compute/error.h"

/* The name of the NULL-terminated list with the smallest edit distance (case ignored); NULL only if the
 * list is empty. thread: any.                                                                        */
const char *rk_nearest_name (const char *name, const char *const *names);

/* Index of `name` in the list, or -1 after setting *err to RK_ENOTFOUND: "unknown <what> ..., nearest is ...". */
int rk_find_name (const char *what, const char *name, const char *const *names, rk_error_t *err);

#endif
