/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#define HANDSHAKE_MS 10000 /* a connection that says nothing is closed after this time */

const rk_identity_t rk_identity_plain = {.plain = true};

static rk_err_t s_unsupported (rk_error_t *err)
{
    return rk_error_set (err, RK_EUNSUPPORTED, "this libzmq has no CURVE encryption (it was built without libsodium): %s",
                         zmq_strerror (errno));
}

rk_err_t rk_identity_of_secret (rk_identity_t *identity, const uint8_t secret[RK_KEY_BYTES], rk_error_t *err)
{
    char public_text[RK_KEY_Z85], secret_text[RK_KEY_Z85];
    rk_key_z85 (secret, secret_text);
    if (zmq_curve_public (public_text, secret_text) != 0)
        return s_unsupported (err);
    *identity = (rk_identity_t){.plain = false};
    memcpy (identity->secret_key, secret, RK_KEY_BYTES);
    explicit_bzero (secret_text, sizeof secret_text);
    return rk_key_of_z85 (public_text, identity->public_key) ? RK_OK : s_unsupported (err);
}

rk_err_t rk_identity_generate (rk_identity_t *identity, rk_error_t *err)
{
    char public_text[RK_KEY_Z85], secret_text[RK_KEY_Z85];
    if (zmq_curve_keypair (public_text, secret_text) != 0)
        return s_unsupported (err);
    *identity = (rk_identity_t){.plain = false};
    bool good = rk_key_of_z85 (public_text, identity->public_key) && rk_key_of_z85 (secret_text, identity->secret_key);
    explicit_bzero (secret_text, sizeof secret_text);
    return good ? RK_OK : s_unsupported (err);
}

void rk_identity_forget (rk_identity_t *identity)
{
    explicit_bzero (identity, sizeof *identity);
}

/* ---- keys as text */
void rk_key_text (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < RK_KEY_BYTES; i++) {
        text[2 * i] = digits[key[i] >> 4];
        text[2 * i + 1] = digits[key[i] & 15];
    }
    text[RK_KEY_TEXT - 1] = '\0';
}

void rk_key_short (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_SHORT])
{
    char all[RK_KEY_TEXT];
    rk_key_text (key, all);
    memcpy (text, all, RK_KEY_SHORT - 1);
    text[RK_KEY_SHORT - 1] = '\0';
}

static int s_digit (char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool rk_key_parse (const char *text, uint8_t key[RK_KEY_BYTES])
{
    if (strlen (text) != RK_KEY_TEXT - 1)
        return false;
    for (int i = 0; i < RK_KEY_BYTES; i++) {
        int high = s_digit (text[2 * i]), low = s_digit (text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t) (high << 4 | low);
    }
    return true;
}

bool rk_key_of_z85 (const char *text, uint8_t key[RK_KEY_BYTES])
{
    return strlen (text) == RK_KEY_Z85 - 1 && zmq_z85_decode (key, text);
}

void rk_key_z85 (const uint8_t key[RK_KEY_BYTES], char text[RK_KEY_Z85])
{
    if (!zmq_z85_encode (text, key, RK_KEY_BYTES)) /* cannot fail: 32 is a multiple of 4 */
        text[0] = '\0';
}

/* ---- endpoints */
bool rk_endpoint_is_tcp (const char *endpoint)
{
    return strncmp (endpoint, "tcp://", 6) == 0;
}

rk_err_t rk_endpoint_split (const char *endpoint, char *address, size_t size, uint8_t key[RK_KEY_BYTES], bool *has_key,
                            rk_error_t *err)
{
    const char *slash = rk_endpoint_is_tcp (endpoint) ? strchr (endpoint + 6, '/') : NULL;
    size_t n = slash ? (size_t) (slash - endpoint) : strlen (endpoint);
    *has_key = slash != NULL;
    if (n >= size)
        return rk_error_set (err, RK_EINVAL, "address too long: %.60s...", endpoint);
    if (slash && !rk_key_parse (slash + 1, key))
        return rk_error_set (err, RK_EINVAL, "%.100s: what follows the port is no key (64 hexadecimal digits)", endpoint);
    memcpy (address, endpoint, n);
    address[n] = '\0';
    return RK_OK;
}

/* ---- sockets */
static rk_err_t s_set (void *socket, int option, const void *value, size_t size, rk_error_t *err)
{
    if (zmq_setsockopt (socket, option, value, size) != 0)
        return rk_error_set (err, RK_EIO, "cannot encrypt a socket: %s", zmq_strerror (errno));
    return RK_OK;
}

static rk_err_t s_set_handshake (void *socket, rk_error_t *err)
{
    int wait_ms = HANDSHAKE_MS;
    return s_set (socket, ZMQ_HANDSHAKE_IVL, &wait_ms, sizeof wait_ms, err);
}

rk_err_t rk_identity_serve (const rk_identity_t *identity, void *socket, bool join, rk_error_t *err)
{
    const char *domain = join ? RK_DOMAIN_JOIN : RK_DOMAIN;
    int yes = 1;
    rk_err_t rc = s_set (socket, ZMQ_CURVE_SERVER, &yes, sizeof yes, err);
    if (!rc)
        rc = s_set (socket, ZMQ_CURVE_SECRETKEY, identity->secret_key, RK_KEY_BYTES, err);
    if (!rc) /* without a domain libzmq would not ask the gate */
        rc = s_set (socket, ZMQ_ZAP_DOMAIN, domain, strlen (domain), err);
    return rc ? rc : s_set_handshake (socket, err);
}

rk_err_t rk_identity_call (const rk_identity_t *identity, void *socket, const uint8_t server_key[RK_KEY_BYTES],
                           rk_error_t *err)
{
    rk_err_t rc = s_set (socket, ZMQ_CURVE_SERVERKEY, server_key, RK_KEY_BYTES, err);
    if (!rc)
        rc = s_set (socket, ZMQ_CURVE_PUBLICKEY, identity->public_key, RK_KEY_BYTES, err);
    if (!rc)
        rc = s_set (socket, ZMQ_CURVE_SECRETKEY, identity->secret_key, RK_KEY_BYTES, err);
    return rc ? rc : s_set_handshake (socket, err);
}
