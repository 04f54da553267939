/* SPDX-License-Identifier: MPL-2.0
 * What a message must satisfy beyond being well-formed protobuf: one table of rules per kind, used before
 * sending and after receiving, so that neither side can hold what the other would refuse. Private to
 * messages. thread: any.                                                                               */
#ifndef RK_MESSAGES_CHECK_H
#define RK_MESSAGES_CHECK_H
#include "messages/wire.h"

/* Envelope and body. errors: RK_EFORMAT (text names the field, its value and what is allowed). */
rk_err_t rk_check_msg (const rk_msg_t *msg, rk_error_t *err) RK_MUST_CHECK;

/* Number and sizes of the raw frames that belong to msg (already checked): size[0 .. n). errors: RK_EFORMAT. */
rk_err_t rk_check_frames (const rk_msg_t *msg, const size_t *size, int n, rk_error_t *err) RK_MUST_CHECK;

#endif
