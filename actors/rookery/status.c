/* SPDX-License-Identifier: MPL-2.0
 * rookery status: asks one process of a run how it goes.                                                  */
#include "actors/rookery/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "actors/node_endpoints.h"
#include "actors/rookery/commands.h"
#include "actors/security/keyring.h"
#include "actors/security/knock.h"

#define DOOR_MS 3000    /* for somebody to be there */
#define ANSWER_MS 10000 /* it asks the others for a second, and may be making a plan */

static rk_err_t s_open (const rk_args_t *args, const char *where, rk_identity_t *identity, char *address, size_t size, uint8_t key[RK_KEY_BYTES],
                        rk_error_t *err)
{
    char folder[RK_KEYRING_PATH];
    bool made;
    rk_err_t rc = rk_node_check_endpoint (where, err);
    if (!rc && rk_args_has (args, "insecure")) {
        *identity = rk_identity_plain;
        snprintf (address, size, "%s", where);
        return RK_OK;
    }
    if (!rc)
        rc = rk_keyring_folder (rk_args_get (args, "keys"), folder, err);
    if (!rc)
        rc = rk_keyring_open (folder, identity, &made, err);
    return rc ? rc : rk_keyring_address (folder, where, identity->public_key, address, size, key, err);
}

static rk_err_t s_ask (const rk_args_t *args, const rk_knock_t *knock, rk_packet_t *packet, rk_error_t *err)
{
    const rk_msg_t question = {.kind = RK_MSG_STATUS_REQUEST, .sender = rk_address (RK_ACTOR_NODE, 0xffffff), .seq = 1};
    rk_err_t rc = rk_knock_ask (knock, &question, ANSWER_MS, packet, err);
    if (rc == RK_ETIMEDOUT && strncmp (err->text, "joining", 7) == 0)
        rk_error_set (err, rc, "nobody answers at %s (waited %d ms)", knock->address, DOOR_MS);
    if (!rc && packet->msg.kind != RK_MSG_STATUS)
        rc = rk_error_set (err, RK_EPEER, "%s answers with %s: it is no process of a run", knock->address, rk_msg_kind_name (packet->msg.kind));
    if (rc)
        return rc;
    if (rk_args_has (args, "json"))
        rc = rk_status_print_json (&packet->msg, err);
    else
        rk_status_print (&packet->msg);
    fflush (stdout);
    return rc;
}

static rk_err_t s_watch (const rk_args_t *args, const rk_knock_t *knock, rk_packet_t *packet, rk_error_t *err)
{
    const bool clear = !rk_args_has (args, "json") && isatty (STDOUT_FILENO);
    rk_err_t rc = RK_OK;
    while (!rc && !*args->interrupted) {
        if (clear)
            printf ("\033[H\033[2J");
        rc = s_ask (args, knock, packet, err);
        const struct timespec second = {.tv_sec = 1};
        if (!rc)
            nanosleep (&second, NULL); /* a signal ends it */
    }
    return *args->interrupted ? RK_OK : rc;
}

int rk_command_status (const rk_args_t *args)
{
    rk_error_t err = {0};
    rk_identity_t identity = {0};
    rk_packet_t *packet = NULL;
    char address[256];
    uint8_t key[RK_KEY_BYTES];
    rk_err_t rc = s_open (args, args->words[0], &identity, address, sizeof address, key, &err);
    if (rc)
        return rk_program_fail (&err);
    const rk_knock_t knock = {.identity = &identity, .address = address, .leader = key, .patience_ms = DOOR_MS, .interrupted = args->interrupted};
    rc = rk_packet_new (&packet);
    if (rc)
        rk_error_set (&err, rc, "no memory for an answer");
    if (!rc)
        rc = rk_args_has (args, "watch") ? s_watch (args, &knock, packet, &err) : s_ask (args, &knock, packet, &err);
    rk_packet_destroy (&packet);
    rk_identity_forget (&identity);
    return rc ? rk_program_fail_run (&err) : RK_EXIT_DONE;
}
