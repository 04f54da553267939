/* SPDX-License-Identifier: MPL-2.0
 * rookery keygen and rookery invite.                                                                     */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "actors/node_endpoints.h"
#include "actors/rookery/commands.h"
#include "actors/security/tickets.h"

static void s_put (json_t *object)
{
    char *text = object ? json_dumps (object, JSON_COMPACT) : NULL;
    printf ("%s\n", text ? text : "{}");
    free (text);
    json_decref (object);
}

static rk_err_t s_open (const rk_args_t *args, char folder[RK_KEYRING_PATH], rk_identity_t *identity, bool *made, rk_error_t *err)
{
    rk_err_t rc = rk_keyring_folder (rk_args_get (args, "keys"), folder, err);
    return rc ? rc : rk_keyring_open (folder, identity, made, err);
}

int rk_command_keygen (const rk_args_t *args)
{
    char folder[RK_KEYRING_PATH], key[RK_KEY_TEXT];
    rk_identity_t identity;
    rk_error_t err = {0};
    bool made;
    if (s_open (args, folder, &identity, &made, &err))
        return rk_program_fail (&err);
    rk_key_text (identity.public_key, key);
    rk_identity_forget (&identity);
    if (rk_args_has (args, "json"))
        s_put (json_pack ("{s:s,s:s,s:s,s:b}", "event", "key", "key", key, "folder", folder, "made", made));
    else
        printf ("%s key %s\n%s/node.cert may be given to others; node.key is secret\n", made ? "new" : "this node has", key, folder);
    return RK_EXIT_DONE;
}

/* ---- invite */

/* "90s", "30m", "1h", "7d"; NULL: 1 hour. */
static rk_err_t s_duration (const char *text, int64_t *seconds, rk_error_t *err)
{
    static const struct { char unit; int64_t s; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    *seconds = 3600;
    if (!text)
        return RK_OK;
    char *end = NULL;
    long n = strtol (text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit && !end[1] && text[0] >= '0' && text[0] <= '9' && n > 0 && n <= 366 * 86400 / units[i].s) {
            *seconds = n * units[i].s;
            return RK_OK;
        }
    return rk_error_set (err, RK_EINVAL, "--expires %.20s: a number and s, m, h or d is needed, at most 366d", text);
}

static rk_err_t s_list (const rk_args_t *args, const char *folder, rk_error_t *err)
{
    rk_invitation_t *list;
    size_t n;
    int64_t now = (int64_t) time (NULL);
    rk_err_t rc = rk_tickets_list (folder, &list, &n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        int64_t left = list[i].expires_s - now;
        if (rk_args_has (args, "json"))
            s_put (json_pack ("{s:s,s:s,s:s,s:I}", "event", "ticket", "ticket", list[i].id, "name", list[i].name, "seconds_left",
                              (json_int_t) left));
        else
            printf ("%s %s, %s %" PRId64 " s\n", list[i].id, list[i].name, left > 0 ? "for another" : "expired since", left > 0 ? left : -left);
    }
    free (list);
    return rc;
}

static rk_err_t s_issue (const rk_args_t *args, const char *folder, const rk_identity_t *identity, rk_error_t *err)
{
    const char *name = rk_args_get (args, "name"), *address = args->n_words ? args->words[0] : NULL;
    char text[RK_TICKET_TEXT], host[64];
    int64_t seconds;
    rk_ticket_t ticket;
    rk_invitation_t kept;
    rk_err_t rc = s_duration (rk_args_get (args, "expires"), &seconds, err);
    if (!rc && !address)
        rc = rk_error_set (err, RK_EINVAL, "rookery invite needs the address guests will use: tcp://HOST:PORT");
    if (rc)
        return rc;
    rk_node_host_of (address, host, sizeof host);
    if (!strcmp (host, "0.0.0.0") || !strcmp (host, "*"))
        return rk_error_set (err, RK_EINVAL, "%s is where one listens; a guest needs an address of this machine", address);
    if (strchr (address + (rk_endpoint_is_tcp (address) ? 6 : 0), '/'))
        return rk_error_set (err, RK_EINVAL, "the address alone is needed, tcp://HOST:PORT; the ticket carries the key");
    rc = rk_tickets_issue (folder, identity, address, name ? name : "guest", (int64_t) time (NULL), seconds, &ticket, &kept, err);
    if (rc)
        return rc;
    rk_ticket_write (&ticket, text);
    if (rk_args_has (args, "json"))
        s_put (json_pack ("{s:s,s:s,s:s,s:s,s:I}", "event", "invited", "join", text, "ticket", kept.id, "name", kept.name, "expires_s",
                          (json_int_t) kept.expires_s));
    else
        printf ("%s\n", text);
    if (!rk_args_has (args, "quiet"))
        fprintf (stderr, "one guest, within %" PRId64 " s: rookery node --join TICKET\nto take it back: rookery invite --revoke %s\n%s", seconds,
                 kept.id, rk_node_is_loopback (host) ? "note: a loopback address is of use on this machine only\n" : "");
    explicit_bzero (&ticket, sizeof ticket);
    return RK_OK;
}

int rk_command_invite (const rk_args_t *args)
{
    char folder[RK_KEYRING_PATH];
    rk_identity_t identity;
    rk_error_t err = {0};
    bool made;
    const char *revoke = rk_args_get (args, "revoke");
    rk_err_t rc = s_open (args, folder, &identity, &made, &err);
    if (!rc && revoke)
        rc = rk_tickets_revoke (folder, revoke, &err);
    else if (!rc && rk_args_has (args, "list"))
        rc = s_list (args, folder, &err);
    else if (!rc)
        rc = s_issue (args, folder, &identity, &err);
    rk_identity_forget (&identity);
    return rc ? rk_program_fail (&err) : RK_EXIT_DONE;
}
