/* SPDX-License-Identifier: MPL-2.0
 * One frame as a zmq message: lent, copied or shared. Private to messages; lend.c is the only file that
 * hands memory to libzmq.                                                                              */
#ifndef RK_MESSAGES_LEND_H
#define RK_MESSAGES_LEND_H
#include "messages/wire.h"

/* Frames from this size on are lent. Measured over loopback TCP and inproc: below it a copy costs no more than
 * the bookkeeping of lending (64 KiB: 20 us either way over TCP), above it lending wins (4 MiB: 310 us saved). */
#define RK_LEND_MIN_BYTES (64u << 10)

/* Fill *msg (not yet initialised) from frame. Afterwards the frame's release is settled: already called
 * (copied), or called when the last reference to *msg is closed. On failure it is called, too, and *msg
 * needs no closing. errors: RK_ENOMEM.                                                                 */
rk_err_t rk_lend (zmq_msg_t *msg, const rk_frame_t *frame) RK_MUST_CHECK;

/* The frame will not be sent: call its release if it has one. */
void rk_lend_give_back (const rk_frame_t *frame);

#endif
