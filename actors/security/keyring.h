/* SPDX-License-Identifier: MPL-2.0
 * The folder of keys of one owner, by default ~/.config/rookery (XDG_CONFIG_HOME):
 *   node.key   0600  the secret certificate, in the format of CZMQ's zcert
 *   node.cert        the public one, to be given to others
 *   allowed/         public certificates of others who may connect: any file NAME.cert
 *   tickets/   0700  invitations not used yet (tickets.h)
 * A secret that others can read, or a folder that others can write to, is refused with the command that helps.
 * thread: any.                                                                                             */
#ifndef RK_ACTORS_SECURITY_KEYRING_H
#define RK_ACTORS_SECURITY_KEYRING_H
#include "actors/security/identity.h"

#define RK_KEYRING_PATH 512
#define RK_KEYRING_NAME 64

/* The folder: `given`, or the default one when it is NULL. errors: RK_EINVAL: no home, or too long. */
rk_err_t rk_keyring_folder (const char *given, char path[RK_KEYRING_PATH], rk_error_t *err) RK_MUST_CHECK;

/* The key pair of a folder; where there is none it is made, and *made says so. Two processes that start at once
 * agree on one. errors: RK_EIO (file, reason), RK_EINVAL (permissions, with the chmod to run), RK_EFORMAT,
 * RK_EUNSUPPORTED.                                                                                         */
rk_err_t rk_keyring_open (const char *folder, rk_identity_t *identity, bool *made, rk_error_t *err) RK_MUST_CHECK;

/* Makes folder/name (0700) if it is not there, and checks who can write to it. errors: RK_EIO, RK_EINVAL. */
rk_err_t rk_keyring_subfolder (const char *folder, const char *name, char path[RK_KEYRING_PATH], rk_error_t *err) RK_MUST_CHECK;

/* Writes a public certificate. errors: RK_EIO. */
rk_err_t rk_keyring_write_public (const char *path, const uint8_t key[RK_KEY_BYTES], const char *name, rk_error_t *err) RK_MUST_CHECK;
/* Reads one. errors: RK_EIO, RK_EINVAL (others can write to it), RK_EFORMAT. */
rk_err_t rk_keyring_read_public (const char *path, uint8_t key[RK_KEY_BYTES], rk_error_t *err) RK_MUST_CHECK;

typedef struct {
    uint8_t key[RK_KEY_BYTES];
    char name[RK_KEYRING_NAME]; /* of the file, without .cert */
} rk_allowed_t;
/* The certificates in allowed/; one that is not valid is logged and left out. *list_p is the caller's.
 * errors: RK_ENOMEM, RK_EINVAL (permissions of the folder).                                                */
rk_err_t rk_keyring_allowed (const char *folder, rk_allowed_t **list_p, size_t *n, rk_error_t *err) RK_MUST_CHECK;
/* "tcp://host:port", "tcp://host:port/KEY" or "tcp://host:port/NAME" (of allowed/NAME.cert): the address, and the key of who answers
 * there; own: where none is said. errors: RK_EINVAL (no address), RK_EIO, RK_EFORMAT (certificate).         */
rk_err_t rk_keyring_address (const char *folder, const char *text, const uint8_t own[RK_KEY_BYTES], char *address, size_t size,
                             uint8_t key[RK_KEY_BYTES], rk_error_t *err) RK_MUST_CHECK;
/* Changes whenever a certificate in allowed/ is added, removed or rewritten. */
uint64_t rk_keyring_signature (const char *folder);

#endif
