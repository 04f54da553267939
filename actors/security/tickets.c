/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/tickets.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <czmq.h>
#include <xxhash.h>

#include "messages/file.h"

/* ---- the string: "rookery-" and base64url of: version, leader, secret, address, check */
#define PREFIX "rookery-"
#define VERSION 1
#define FIXED (1 + 2 * RK_KEY_BYTES)
#define CHECK 4

bool rk_ticket_is (const char *text)
{
    return strncmp (text, PREFIX, sizeof PREFIX - 1) == 0;
}

static uint32_t s_check (const uint8_t *bytes, size_t n)
{
    return XXH32 (bytes, n, VERSION);
}

static const char s_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* base64url without padding; text: 4 / 3 of n and the NUL. */
static void s_encode (const uint8_t *bytes, size_t n, char *text)
{
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *text++ = s_digits[held >> (bits - 6) & 63];
    }
    if (bits)
        *text++ = s_digits[held << (6 - bits) & 63];
    *text = '\0';
}

/* Bytes, or 0 when a character is none of ours or it does not fit. */
static size_t s_decode (const char *text, uint8_t *bytes, size_t size)
{
    size_t n = 0;
    uint32_t held = 0;
    unsigned bits = 0;
    for (; *text; text++) {
        const char *digit = strchr (s_digits, *text);
        if (!digit)
            return 0;
        held = held << 6 | (uint32_t) (digit - s_digits);
        bits += 6;
        if (bits < 8)
            continue;
        if (n == size)
            return 0;
        bits -= 8;
        bytes[n++] = (uint8_t) (held >> bits);
    }
    return held & ((1u << bits) - 1) ? 0 : n; /* what is left over is zero, or it was not written by s_encode */
}

void rk_ticket_write (const rk_ticket_t *ticket, char text[RK_TICKET_TEXT])
{
    uint8_t bytes[FIXED + RK_TICKET_ADDRESS + CHECK] = {VERSION};
    size_t n = strlen (ticket->address);
    memcpy (bytes + 1, ticket->leader, RK_KEY_BYTES);
    memcpy (bytes + 1 + RK_KEY_BYTES, ticket->secret, RK_KEY_BYTES);
    memcpy (bytes + FIXED, ticket->address, n);
    uint32_t check = s_check (bytes, FIXED + n);
    for (int i = 0; i < CHECK; i++)
        bytes[FIXED + n + (size_t) i] = (uint8_t) (check >> 8 * i);
    memcpy (text, PREFIX, sizeof PREFIX);
    s_encode (bytes, FIXED + n + CHECK, text + sizeof PREFIX - 1);
    explicit_bzero (bytes, sizeof bytes);
}

static rk_err_t s_take (rk_ticket_t *ticket, const uint8_t *bytes, size_t n, rk_error_t *err)
{
    if (n < FIXED + CHECK + 1 || n - FIXED - CHECK >= RK_TICKET_ADDRESS)
        return rk_error_set (err, RK_EINVAL, "this ticket is not whole; copy it again");
    if (bytes[0] != VERSION)
        return rk_error_set (err, RK_EINVAL, "this ticket is of version %u, this program knows version %d", bytes[0], VERSION);
    uint32_t check = 0;
    for (int i = 0; i < CHECK; i++)
        check |= (uint32_t) bytes[n - CHECK + (size_t) i] << 8 * i;
    if (check != s_check (bytes, n - CHECK))
        return rk_error_set (err, RK_EINVAL, "this ticket is not whole or mistyped; copy it again");
    memcpy (ticket->leader, bytes + 1, RK_KEY_BYTES);
    memcpy (ticket->secret, bytes + 1 + RK_KEY_BYTES, RK_KEY_BYTES);
    memcpy (ticket->address, bytes + FIXED, n - FIXED - CHECK);
    for (const char *c = ticket->address; *c; c++)
        if (!isgraph ((unsigned char) *c))
            return rk_error_set (err, RK_EINVAL, "this ticket holds no address");
    return RK_OK;
}

rk_err_t rk_ticket_read (rk_ticket_t *ticket, const char *text, rk_error_t *err)
{
    *ticket = (rk_ticket_t){.address = ""};
    uint8_t bytes[FIXED + RK_TICKET_ADDRESS + CHECK];
    const char *body = text + sizeof PREFIX - 1;
    if (!rk_ticket_is (text) || body[strspn (body, s_digits)])
        return rk_error_set (err, RK_EINVAL, "this is no ticket; it begins with " PREFIX " and has letters, digits, - and _");
    rk_err_t rc = s_take (ticket, bytes, s_decode (body, bytes, sizeof bytes), err);
    explicit_bzero (bytes, sizeof bytes);
    return rc;
}

void rk_ticket_id (const uint8_t public_key[RK_KEY_BYTES], char id[RK_TICKET_ID])
{
    char text[RK_KEY_TEXT];
    rk_key_text (public_key, text);
    memcpy (id, text, RK_TICKET_ID - 1);
    id[RK_TICKET_ID - 1] = '\0';
}

/* ---- what the leader keeps */
static bool s_is_name (const char *name)
{
    size_t n = strspn (name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return n > 0 && n < 40 && name[n] == '\0' && name[0] != '-';
}

static bool s_is_id (const char *id)
{
    return strlen (id) == RK_TICKET_ID - 1 && strspn (id, "0123456789abcdef") == RK_TICKET_ID - 1;
}

static rk_err_t s_path (const char *folder, const char *id, char path[RK_KEYRING_PATH], rk_error_t *err)
{
    int n = snprintf (path, RK_KEYRING_PATH, "%s/tickets/%s", folder, id);
    return n < 0 || n >= RK_KEYRING_PATH ? rk_error_set (err, RK_EINVAL, "path too long: %.80s...", folder) : RK_OK;
}

static rk_err_t s_keep (const char *folder, const rk_invitation_t *kept, rk_error_t *err)
{
    char path[RK_KEYRING_PATH], text[512], z85[RK_KEY_Z85];
    rk_err_t rc = rk_keyring_subfolder (folder, "tickets", path, err);
    if (!rc)
        rc = s_path (folder, kept->id, path, err);
    rk_key_z85 (kept->key, z85);
    int n = snprintf (text, sizeof text, "metadata\n    name = \"%s\"\n    expires = \"%" PRId64 "\"\ncurve\n    public-key = \"%s\"\n", kept->name,
                      kept->expires_s, z85);
    rk_file_t *file = NULL;
    if (!rc)
        rc = rk_file_create (&file, path, err);
    if (!rc)
        rc = rk_file_write (file, text, (size_t) n, err);
    if (!rc)
        rc = rk_file_commit (&file, err);
    rk_file_discard (&file);
    return rc;
}

rk_err_t rk_tickets_issue (const char *folder, const rk_identity_t *leader, const char *address, const char *name,
                           int64_t now_s, int64_t valid_s, rk_ticket_t *ticket, rk_invitation_t *kept, rk_error_t *err)
{
    if (!s_is_name (name))
        return rk_error_set (err, RK_EINVAL, "\"%.50s\" is no name for a guest: letters, digits, - and _, at most 39", name);
    if (!rk_endpoint_is_tcp (address) || strlen (address) >= RK_TICKET_ADDRESS)
        return rk_error_set (err, RK_EINVAL, "\"%.80s\" is no address: tcp://HOST:PORT", address);
    rk_identity_t pair;
    rk_err_t rc = rk_identity_generate (&pair, err);
    if (rc)
        return rc;
    *ticket = (rk_ticket_t){.address = ""};
    snprintf (ticket->address, sizeof ticket->address, "%s", address);
    memcpy (ticket->leader, leader->public_key, RK_KEY_BYTES);
    memcpy (ticket->secret, pair.secret_key, RK_KEY_BYTES);
    *kept = (rk_invitation_t){.expires_s = now_s + valid_s};
    memcpy (kept->key, pair.public_key, RK_KEY_BYTES);
    rk_ticket_id (pair.public_key, kept->id);
    snprintf (kept->name, sizeof kept->name, "%s", name);
    rk_identity_forget (&pair);
    return s_keep (folder, kept, err);
}

static rk_err_t s_load (const char *folder, const char *id, rk_invitation_t *found, rk_error_t *err)
{
    char path[RK_KEYRING_PATH];
    *found = (rk_invitation_t){.expires_s = 0};
    rk_err_t rc = s_path (folder, id, path, err);
    if (rc)
        return rc;
    if (access (path, F_OK) != 0)
        return rk_error_set (err, RK_ENOTFOUND, "ticket %s is not valid: never issued, used or revoked", id);
    rc = rk_keyring_read_public (path, found->key, err);
    zconfig_t *root = rc ? NULL : zconfig_load (path);
    if (!rc && !root)
        rc = rk_error_set (err, RK_EFORMAT, "%s is no ticket", path);
    if (rc)
        return rc;
    snprintf (found->id, sizeof found->id, "%s", id);
    snprintf (found->name, sizeof found->name, "%s", zconfig_get (root, "metadata/name", "guest"));
    found->expires_s = strtoll (zconfig_get (root, "metadata/expires", "0"), NULL, 10);
    zconfig_destroy (&root);
    return s_is_name (found->name) ? RK_OK : rk_error_set (err, RK_EFORMAT, "%s is no ticket", path);
}

static rk_err_t s_open (const char *folder, const char *id, int64_t now_s, rk_invitation_t *found, rk_error_t *err)
{
    rk_err_t rc = s_load (folder, id, found, err);
    if (!rc && now_s >= found->expires_s)
        rc = rk_error_set (err, RK_ETIMEDOUT, "ticket %s expired %" PRId64 " s ago", id, now_s - found->expires_s);
    return rc;
}

rk_err_t rk_tickets_find (const char *folder, const uint8_t key[RK_KEY_BYTES], int64_t now_s, rk_invitation_t *found, rk_error_t *err)
{
    char id[RK_TICKET_ID];
    rk_ticket_id (key, id);
    rk_err_t rc = s_open (folder, id, now_s, found, err);
    if (!rc && memcmp (found->key, key, RK_KEY_BYTES) != 0)
        rc = rk_error_set (err, RK_ENOTFOUND, "ticket %s is of another key", id);
    return rc;
}

/* The certificate is complete before it has its name, and only one can have it: that is what using up means. */
static rk_err_t s_admit (const char *folder, const rk_invitation_t *ticket, const uint8_t guest[RK_KEY_BYTES], rk_error_t *err)
{
    char allowed[RK_KEYRING_PATH], fresh[RK_KEYRING_PATH + 160], path[RK_KEYRING_PATH + 160];
    rk_err_t rc = rk_keyring_subfolder (folder, "allowed", allowed, err);
    if (rc)
        return rc;
    snprintf (path, sizeof path, "%s/%s-%s.cert", allowed, ticket->name, ticket->id);
    snprintf (fresh, sizeof fresh, "%s/.%s-%d", allowed, ticket->id, (int) getpid ());
    if (strlen (path) >= RK_KEYRING_PATH)
        return rk_error_set (err, RK_EINVAL, "path too long: %.80s...", path);
    rc = rk_keyring_write_public (fresh, guest, ticket->name, err);
    if (rc)
        return rc;
    uint8_t present[RK_KEY_BYTES];
    if (link (fresh, path) != 0) {
        if (errno != EEXIST)
            rc = rk_error_set (err, RK_EIO, "cannot write %s: %s", path, strerror (errno));
        else if (rk_keyring_read_public (path, present, err) || memcmp (present, guest, RK_KEY_BYTES) != 0)
            rc = rk_error_set (err, RK_ESTATE, "ticket %s has been used by somebody else", ticket->id);
    }
    unlink (fresh);
    return rc;
}

rk_err_t rk_tickets_redeem (const char *folder, const char *id, const uint8_t guest[RK_KEY_BYTES], int64_t now_s, rk_error_t *err)
{
    rk_invitation_t ticket;
    char path[RK_KEYRING_PATH];
    if (!s_is_id (id))
        return rk_error_set (err, RK_EINVAL, "\"%.20s\" is no ticket's number", id);
    rk_err_t rc = s_open (folder, id, now_s, &ticket, err);
    if (!rc)
        rc = s_admit (folder, &ticket, guest, err);
    if (!rc)
        rc = s_path (folder, id, path, err);
    if (!rc && unlink (path) != 0 && errno != ENOENT)
        rc = rk_error_set (err, RK_EIO, "cannot remove %s: %s", path, strerror (errno));
    return rc;
}

rk_err_t rk_tickets_revoke (const char *folder, const char *id, rk_error_t *err)
{
    char path[RK_KEYRING_PATH];
    if (!s_is_id (id))
        return rk_error_set (err, RK_ENOTFOUND, "\"%.20s\" is no ticket's number: 16 hexadecimal digits", id);
    rk_err_t rc = s_path (folder, id, path, err);
    if (!rc && unlink (path) != 0)
        rc = rk_error_set (err, errno == ENOENT ? RK_ENOTFOUND : RK_EIO, "ticket %s: %s", id,
                           errno == ENOENT ? "there is none: used, revoked or never issued" : strerror (errno));
    return rc;
}

rk_err_t rk_tickets_list (const char *folder, rk_invitation_t **list_p, size_t *n, rk_error_t *err)
{
    char path[RK_KEYRING_PATH];
    *list_p = NULL;
    *n = 0;
    rk_err_t rc = s_path (folder, "", path, err);
    DIR *dir = rc ? NULL : opendir (path);
    for (struct dirent *e; dir && !rc && (e = readdir (dir));) {
        rk_invitation_t found;
        rk_error_t unread;
        if (!s_is_id (e->d_name) || s_load (folder, e->d_name, &found, &unread))
            continue;
        rk_invitation_t *list = realloc (*list_p, (*n + 1) * sizeof *list);
        if (!list) {
            rc = rk_error_set (err, RK_ENOMEM, "no memory for ticket %zu", *n);
            break;
        }
        list[(*n)++] = found;
        *list_p = list;
    }
    if (dir)
        closedir (dir);
    return rc;
}
