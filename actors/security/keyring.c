/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <czmq.h>

#include "actors/actor.h"

/* ---- folders */
static rk_err_t s_io (rk_error_t *err, const char *what, const char *path)
{
    return rk_error_set (err, RK_EIO, "cannot %s %s: %s", what, path, strerror (errno));
}

static rk_err_t s_join (char path[RK_KEYRING_PATH], const char *folder, const char *name, rk_error_t *err)
{
    int n = snprintf (path, RK_KEYRING_PATH, "%s/%s", folder, name);
    return n < 0 || n >= RK_KEYRING_PATH ? rk_error_set (err, RK_EINVAL, "path too long: %.80s...", folder) : RK_OK;
}

rk_err_t rk_keyring_folder (const char *given, char path[RK_KEYRING_PATH], rk_error_t *err)
{
    if (given) {
        int n = snprintf (path, RK_KEYRING_PATH, "%s", given);
        return n < 0 || n >= RK_KEYRING_PATH - 100 ? rk_error_set (err, RK_EINVAL, "path too long: %.80s...", given) : RK_OK;
    }
    const char *config = getenv ("XDG_CONFIG_HOME"), *home = getenv ("HOME");
    bool xdg = config && config[0] == '/';
    if (!xdg && (!home || home[0] != '/'))
        return rk_error_set (err, RK_EINVAL, "no place for keys: neither HOME nor XDG_CONFIG_HOME is set; say --keys FOLDER");
    int n = snprintf (path, RK_KEYRING_PATH, "%s%s/rookery", xdg ? config : home, xdg ? "" : "/.config");
    return n < 0 || n >= RK_KEYRING_PATH - 100 ? rk_error_set (err, RK_EINVAL, "path too long: %.80s...", path) : RK_OK;
}

/* mkdir -p with 0700. */
static rk_err_t s_make (const char *folder, rk_error_t *err)
{
    char path[RK_KEYRING_PATH];
    snprintf (path, sizeof path, "%s", folder);
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = '\0';
            if (mkdir (path, 0700) != 0 && errno != EEXIST)
                return s_io (err, "make folder", path);
            *at = '/';
        }
    return mkdir (path, 0700) != 0 && errno != EEXIST ? s_io (err, "make folder", path) : RK_OK;
}

/* Nobody else may write to it (mask 022), or even read it (mask 077). */
static rk_err_t s_check_mode (const char *path, const struct stat *st, mode_t mask, rk_error_t *err)
{
    if (st->st_uid != geteuid () && st->st_uid != 0)
        return rk_error_set (err, RK_EINVAL, "%s belongs to another user (uid %u); keys must be yours", path, (unsigned) st->st_uid);
    if (st->st_mode & mask)
        return rk_error_set (err, RK_EINVAL, "other users can %s %s (mode %04o): chmod %s %s", mask == 077 ? "read" : "write to", path,
                             (unsigned) (st->st_mode & 07777), mask == 077 ? "600" : "go-w", path);
    return RK_OK;
}

static rk_err_t s_check_folder (const char *path, rk_error_t *err)
{
    struct stat st;
    if (stat (path, &st) != 0)
        return s_io (err, "look at", path);
    return s_check_mode (path, &st, 022, err);
}

rk_err_t rk_keyring_subfolder (const char *folder, const char *name, char path[RK_KEYRING_PATH], rk_error_t *err)
{
    rk_err_t rc = s_join (path, folder, name, err);
    if (!rc)
        rc = s_make (path, err);
    return rc ? rc : s_check_folder (path, err);
}

/* ---- certificates: ZPL as zcert writes it */
#define MOST_BYTES 4096

/* The whole of a small regular file, after its permissions were found good; text ends with NUL. */
static rk_err_t s_read (const char *path, mode_t mask, char text[MOST_BYTES + 1], rk_error_t *err)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return s_io (err, "read", path);
    rk_err_t rc = fstat (fd, &st) ? s_io (err, "look at", path) : s_check_mode (path, &st, mask, err);
    if (!rc && (!S_ISREG (st.st_mode) || st.st_size > MOST_BYTES))
        rc = rk_error_set (err, RK_EFORMAT, "%s is no certificate", path);
    ssize_t n = rc ? 0 : read (fd, text, MOST_BYTES);
    if (n < 0)
        rc = s_io (err, "read", path);
    text[n > 0 ? n : 0] = '\0';
    close (fd);
    return rc;
}

static rk_err_t s_parse (const char *path, const char *text, const char *field, uint8_t key[RK_KEY_BYTES], rk_error_t *err)
{
    zconfig_t *root = zconfig_str_load (text);
    const char *z85 = root ? zconfig_get (root, field, "") : "";
    bool good = rk_key_of_z85 (z85, key);
    zconfig_destroy (&root);
    return good ? RK_OK : rk_error_set (err, RK_EFORMAT, "%s: no %s of 40 characters", path, field);
}

rk_err_t rk_keyring_read_public (const char *path, uint8_t key[RK_KEY_BYTES], rk_error_t *err)
{
    char text[MOST_BYTES + 1];
    rk_err_t rc = s_read (path, 022, text, err);
    return rc ? rc : s_parse (path, text, "curve/public-key", key, err);
}

/* A new file under a name of its own, durable; the caller links or renames it. */
static rk_err_t s_write_new (const char *folder, mode_t mode, const char *text, char path[RK_KEYRING_PATH], rk_error_t *err)
{
    rk_err_t rc = s_join (path, folder, ".new-XXXXXX", err);
    int fd = rc ? -1 : mkostemp (path, O_CLOEXEC);
    if (rc)
        return rc;
    if (fd < 0)
        return s_io (err, "write in", folder);
    size_t n = strlen (text);
    bool good = fchmod (fd, mode) == 0 && write (fd, text, n) == (ssize_t) n && fsync (fd) == 0;
    if (!good) {
        rc = s_io (err, "write", path);
        unlink (path);
    }
    close (fd);
    return rc;
}

static void s_public_text (const uint8_t key[RK_KEY_BYTES], const char *name, char *text, size_t size)
{
    char z85[RK_KEY_Z85], hex[RK_KEY_TEXT];
    rk_key_z85 (key, z85);
    rk_key_text (key, hex);
    snprintf (text, size, "# Public certificate of a Rookery node: may be given to anybody.\nmetadata\n    name = \"%s\"\n    key = \"%s\"\ncurve\n    public-key = \"%s\"\n",
              name, hex, z85);
}

rk_err_t rk_keyring_write_public (const char *path, const uint8_t key[RK_KEY_BYTES], const char *name, rk_error_t *err)
{
    char text[512], folder[RK_KEYRING_PATH], fresh[RK_KEYRING_PATH];
    snprintf (folder, sizeof folder, "%s", path);
    char *slash = strrchr (folder, '/');
    if (slash)
        *slash = '\0';
    s_public_text (key, name, text, sizeof text);
    rk_err_t rc = s_write_new (slash ? folder : ".", 0644, text, fresh, err);
    if (!rc && rename (fresh, path) != 0) {
        rc = s_io (err, "write", path);
        unlink (fresh);
    }
    return rc;
}

static rk_err_t s_load (const char *path, rk_identity_t *identity, rk_error_t *err)
{
    char text[MOST_BYTES + 1];
    uint8_t secret[RK_KEY_BYTES];
    rk_err_t rc = s_read (path, 077, text, err);
    if (!rc)
        rc = s_parse (path, text, "curve/secret-key", secret, err);
    if (!rc)
        rc = rk_identity_of_secret (identity, secret, err);
    explicit_bzero (text, sizeof text);
    explicit_bzero (secret, sizeof secret);
    return rc;
}

/* Whoever links first has made the key; everybody else reads that one. */
static rk_err_t s_make_key (const char *folder, const char *path, bool *made, rk_error_t *err)
{
    rk_identity_t identity;
    char public_text[RK_KEY_Z85], secret_text[RK_KEY_Z85], text[512], fresh[RK_KEYRING_PATH];
    rk_err_t rc = rk_identity_generate (&identity, err);
    if (rc)
        return rc;
    rk_key_z85 (identity.public_key, public_text);
    rk_key_z85 (identity.secret_key, secret_text);
    snprintf (text, sizeof text, "# SECRET certificate of a Rookery node: give it to nobody.\ncurve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
              public_text, secret_text);
    rc = s_write_new (folder, 0600, text, fresh, err);
    explicit_bzero (text, sizeof text);
    explicit_bzero (secret_text, sizeof secret_text);
    rk_identity_forget (&identity);
    if (rc)
        return rc;
    *made = link (fresh, path) == 0;
    if (!*made && errno != EEXIST)
        rc = s_io (err, "write", path);
    unlink (fresh);
    return rc;
}

rk_err_t rk_keyring_open (const char *folder, rk_identity_t *identity, bool *made, rk_error_t *err)
{
    char secret[RK_KEYRING_PATH], cert[RK_KEYRING_PATH], name[RK_KEYRING_NAME] = "node";
    *made = false;
    rk_err_t rc = s_make (folder, err);
    if (!rc)
        rc = s_check_folder (folder, err);
    if (!rc)
        rc = s_join (secret, folder, "node.key", err);
    if (!rc)
        rc = s_join (cert, folder, "node.cert", err);
    if (!rc && access (secret, F_OK) != 0)
        rc = s_make_key (folder, secret, made, err);
    if (!rc)
        rc = s_load (secret, identity, err);
    if (rc || access (cert, F_OK) == 0)
        return rc;
    if (gethostname (name, sizeof name - 1) != 0 || strpbrk (name, "\"\\\n"))
        snprintf (name, sizeof name, "node");
    return rk_keyring_write_public (cert, identity->public_key, name, err);
}

/* ---- the others */
static bool s_is_cert (const char *name)
{
    size_t n = strlen (name);
    return name[0] != '.' && n > 5 && strcmp (name + n - 5, ".cert") == 0;
}

static rk_err_t s_add (const char *path, const char *file, rk_allowed_t **list_p, size_t *n, rk_error_t *err)
{
    rk_allowed_t entry = {.name = ""};
    if (rk_keyring_read_public (path, entry.key, err) != RK_OK) {
        rk_log (RK_LOG_WARNING, "CERTIFICATE", "%s", err->text);
        return RK_OK;
    }
    snprintf (entry.name, sizeof entry.name, "%.*s", (int) (strlen (file) - 5), file);
    rk_allowed_t *list = realloc (*list_p, (*n + 1) * sizeof *list);
    if (!list)
        return rk_error_set (err, RK_ENOMEM, "no memory for certificate %zu", *n);
    list[(*n)++] = entry;
    *list_p = list;
    return RK_OK;
}

rk_err_t rk_keyring_allowed (const char *folder, rk_allowed_t **list_p, size_t *n, rk_error_t *err)
{
    char path[RK_KEYRING_PATH], file[RK_KEYRING_PATH];
    *list_p = NULL;
    *n = 0;
    rk_err_t rc = s_join (path, folder, "allowed", err);
    DIR *dir = rc ? NULL : opendir (path);
    if (!dir)
        return rc; /* nobody else is allowed */
    rc = s_check_folder (path, err);
    for (struct dirent *e; !rc && (e = readdir (dir));)
        if (s_is_cert (e->d_name) && s_join (file, path, e->d_name, err) == RK_OK)
            rc = s_add (file, e->d_name, list_p, n, err);
    closedir (dir);
    if (rc) {
        free (*list_p);
        *list_p = NULL;
        *n = 0;
    }
    return rc;
}

uint64_t rk_keyring_signature (const char *folder)
{
    char path[RK_KEYRING_PATH], file[RK_KEYRING_PATH];
    rk_error_t err;
    uint64_t sum = 0;
    DIR *dir = s_join (path, folder, "allowed", &err) ? NULL : opendir (path);
    for (struct dirent *e; dir && (e = readdir (dir));) {
        struct stat st;
        if (!s_is_cert (e->d_name) || s_join (file, path, e->d_name, &err) || stat (file, &st) != 0)
            continue;
        uint64_t h = UINT64_C (14695981039346656037); /* FNV-1a; entries come in any order, so they are summed */
        for (const char *c = e->d_name; *c; c++)
            h = (h ^ (uint8_t) *c) * UINT64_C (1099511628211);
        const uint64_t facts[] = {(uint64_t) st.st_ino, (uint64_t) st.st_size, (uint64_t) st.st_mtim.tv_sec, (uint64_t) st.st_mtim.tv_nsec,
                                  (uint64_t) st.st_ctim.tv_nsec, st.st_mode};
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
            h = (h ^ facts[i]) * UINT64_C (1099511628211);
        sum += h;
    }
    if (dir)
        closedir (dir);
    return sum;
}

/* ---- addresses with keys */

/* "tcp://host:port/NAME": the key of allowed/NAME.cert. */
static rk_err_t s_named_key (const char *folder, const char *endpoint, char *address, size_t size, uint8_t key[RK_KEY_BYTES], rk_error_t *err)
{
    const char *slash = strchr (endpoint + 6, '/');
    char path[RK_KEYRING_PATH];
    if (!slash || slash[1] == '.' || strchr (slash + 1, '/') || (size_t) (slash - endpoint) >= size)
        return rk_error_set (err, RK_EINVAL, "\"%.120s\" is no address: tcp://HOST:PORT, tcp://HOST:PORT/KEY or tcp://HOST:PORT/NAME of "
                             "a certificate in allowed/", endpoint);
    int n = snprintf (path, sizeof path, "%s/allowed/%s.cert", folder, slash + 1);
    snprintf (address, size, "%.*s", (int) (slash - endpoint), endpoint);
    return n >= (int) sizeof path ? rk_error_set (err, RK_EINVAL, "name too long: %.80s", slash + 1) : rk_keyring_read_public (path, key, err);
}

rk_err_t rk_keyring_address (const char *folder, const char *text, const uint8_t own[RK_KEY_BYTES], char *address, size_t size,
                             uint8_t key[RK_KEY_BYTES], rk_error_t *err)
{
    bool has_key = false;
    rk_error_t no_key = {RK_OK, ""};
    rk_err_t rc = RK_OK;
    if (rk_endpoint_split (text, address, size, key, &has_key, &no_key))
        rc = s_named_key (folder, text, address, size, key, err);
    else if (!has_key)
        memcpy (key, own, RK_KEY_BYTES);
    return rc;
}
