/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/lend.h"

#include <string.h>

void rk_lend_give_back (const rk_frame_t *frame)
{
    if (frame->release && !frame->share)
        frame->release ((void *) frame->bytes, frame->hint);
}

static rk_err_t s_share (zmq_msg_t *msg, zmq_msg_t *received)
{
    zmq_msg_init (msg);
    return zmq_msg_copy (msg, received) == 0 ? RK_OK : RK_ENOMEM;
}

static rk_err_t s_copy (zmq_msg_t *msg, const rk_frame_t *frame)
{
    rk_err_t rc = zmq_msg_init_size (msg, frame->size) == 0 ? RK_OK : RK_ENOMEM;
    if (!rc && frame->size)
        memcpy (zmq_msg_data (msg), frame->bytes, frame->size);
    rk_lend_give_back (frame);
    return rc;
}

rk_err_t rk_lend (zmq_msg_t *msg, const rk_frame_t *frame)
{
    if (frame->share)
        return s_share (msg, frame->share);
    if (!frame->release || frame->size < RK_LEND_MIN_BYTES)
        return s_copy (msg, frame);
    if (zmq_msg_init_data (msg, (void *) frame->bytes, frame->size, frame->release, frame->hint) == 0)
        return RK_OK;
    rk_lend_give_back (frame);
    return RK_ENOMEM;
}
