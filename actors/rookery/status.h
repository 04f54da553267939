/* SPDX-License-Identifier: MPL-2.0
 * A Status for people (80 columns) and for programs (one JSON object).                                    */
#ifndef RK_ACTORS_ROOKERY_STATUS_H
#define RK_ACTORS_ROOKERY_STATUS_H
#include "messages/wire.h"

void rk_status_print (const rk_msg_t *status);
rk_err_t rk_status_print_json (const rk_msg_t *status, rk_error_t *err) RK_MUST_CHECK;
/* "the mean of round 7" and whose: from "" when it is nobody's in particular. */
void rk_status_wait_text (const rk_status_t *s, const rk_waits_t *w, char *what, size_t what_size, char *from, size_t from_size);

#endif
