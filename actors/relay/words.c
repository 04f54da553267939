/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/relay/words.h"

#include <sys/random.h>

#include "actors/actor.h"

#define BEAT_MS 2000
#define DEAD_MS 10000

bool rk_relay_words (zmsg_t *msg, char words[][RK_RELAY_WORD], size_t *n)
{
    *n = 0;
    for (zframe_t *frame = zmsg_first (msg); frame; frame = zmsg_next (msg), (*n)++) {
        const size_t size = zframe_size (frame);
        const uint8_t *bytes = zframe_data (frame);
        if (*n == RK_RELAY_WORDS || size >= RK_RELAY_WORD)
            return false;
        for (size_t i = 0; i < size; i++)
            if (bytes[i] <= ' ' || bytes[i] > '~')
                return false;
        memcpy (words[*n], bytes, size);
        words[*n][size] = '\0';
    }
    return *n > 0;
}

static void s_random (uint8_t *bytes, size_t n)
{
    if (getrandom (bytes, n, 0) != (ssize_t) n) { /* cannot fail after boot */
        const int64_t now = rk_now_ns ();
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t) (now >> (8 * (i % 8)));
    }
}

void rk_relay_token (char token[RK_RELAY_TOKEN])
{
    uint8_t bytes[(RK_RELAY_TOKEN - 1) / 2];
    s_random (bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf (token + 2 * i, 3, "%02x", bytes[i]);
}

void rk_relay_id (uint8_t id[RK_RELAY_ID])
{
    id[0] = 'r'; /* ids that begin with zero are libzmq's own */
    s_random (id + 1, RK_RELAY_ID - 1);
}

void rk_relay_keep_alive (void *socket)
{
    const int beat_ms = BEAT_MS, dead_ms = DEAD_MS;
    zmq_setsockopt (socket, ZMQ_HEARTBEAT_IVL, &beat_ms, sizeof beat_ms);
    zmq_setsockopt (socket, ZMQ_HEARTBEAT_TIMEOUT, &dead_ms, sizeof dead_ms);
    zmq_setsockopt (socket, ZMQ_HEARTBEAT_TTL, &dead_ms, sizeof dead_ms);
}

void rk_relay_boot_reply (zsock_t *pipe, rk_err_t code, const char *text)
{
    char digits[16];
    snprintf (digits, sizeof digits, "%d", (int) code);
    zstr_sendx (pipe, digits, text, NULL);
}

rk_err_t rk_relay_boot_wait (zactor_t *zactor, char *text, rk_error_t *err)
{
    char *digits = NULL, *said = NULL;
    rk_err_t rc = RK_ENOMEM;
    if (zactor && zstr_recvx (zactor, &digits, &said, NULL) == 2)
        rc = (rk_err_t) atoi (digits);
    if (rc)
        rk_error_set (err, rc, "%s", said && *said ? said : "no thread to be had");
    else
        snprintf (text, RK_RELAY_TEXT, "%s", said);
    zstr_free (&digits);
    zstr_free (&said);
    return rc;
}
