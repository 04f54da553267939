/* SPDX-License-Identifier: MPL-2.0
 * Text from outside: valid UTF-8, bounded, without control characters, so that it can be logged, shown on a
 * terminal and put into JSON as it is. Private to messages. thread: any.                                */
#ifndef RK_MESSAGES_TEXT_H
#define RK_MESSAGES_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include "compute/error.h"

/* text: NULL counts as "". max: bytes. lines: '\n' is allowed too. errors: RK_EFORMAT, the text names `what`. */
rk_err_t rk_text_check (const char *what, const char *text, size_t max, bool lines, rk_error_t *err) RK_MUST_CHECK;

#endif
