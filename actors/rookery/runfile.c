/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/runfile.h"

#include <ctype.h>
#include <czmq.h>

#define MAX_DEPTH 8
#define MAX_KEY 128

typedef struct {
    const char *origin;
    size_t *lines; /* lines[i] = line of the i-th item in document order */
    size_t n_lines;
    size_t at; /* items walked so far */
    rk_runfile_set_t *set;
    void *arg;
    rk_error_t *err;
} self_t;

/* ---- lines: zconfig reports syntax errors on its own log, so they are found here first */
static bool s_is_name (char c)
{
    return isalnum ((unsigned char) c) || (c && strchr ("$-_@.&+/", c));
}

static bool s_only_comment (const char *text)
{
    text += strspn (text, " \t\r");
    return *text == 0 || *text == '#';
}

/* What is wrong with a line, or NULL. *level: its depth, -1 for an empty one. */
static const char *s_line_problem (const char *line, int last_level, int *level)
{
    *level = -1;
    if (s_only_comment (line))
        return NULL;
    size_t indent = strspn (line, " ");
    if (line[indent] == '\t')
        return "tabs cannot indent; use 4 spaces a level";
    if (indent % 4)
        return "indent by 4 spaces a level";
    *level = (int) (indent / 4);
    if (*level > last_level + 1 || *level >= MAX_DEPTH)
        return "indented deeper than the line above allows";
    const char *at = line + indent;
    size_t name = 0;
    while (s_is_name (at[name]))
        name++;
    if (!name || name >= MAX_KEY)
        return "a key or section name is expected";
    at += name;
    at += strspn (at, " \t");
    if (*at != '=')
        return s_only_comment (at) ? NULL : "\"=\" is expected after the key";
    at++;
    at += strspn (at, " \t");
    if (*at != '"' && *at != '\'')
        return NULL;
    const char *end = strchr (at + 1, *at);
    if (!end)
        return "the quote is not closed";
    return s_only_comment (end + 1) ? NULL : "nothing but a comment may follow the closing quote";
}

/* Checks all lines and records where the items are. */
static rk_err_t s_scan (self_t *self, const char *text)
{
    int last_level = -1;
    for (size_t number = 1; *text; number++) {
        size_t length = strcspn (text, "\n");
        char line[1024];
        if (length >= sizeof line)
            return rk_error_set (self->err, RK_EINVAL, "%s: line %zu is longer than %zu characters", self->origin, number,
                                 sizeof line - 1);
        memcpy (line, text, length);
        line[length] = 0;
        int level;
        const char *problem = s_line_problem (line, last_level, &level);
        if (problem)
            return rk_error_set (self->err, RK_EINVAL, "%s: line %zu: %s", self->origin, number, problem);
        if (level >= 0) {
            self->lines[self->n_lines++] = number;
            last_level = level;
        }
        text += length + (text[length] == '\n');
    }
    return RK_OK;
}

/* ---- items */
static rk_err_t s_set (self_t *self, size_t line, const char *key, const char *value)
{
    rk_err_t code = self->set (self->arg, key, value, self->err);
    return code ? rk_error_wrap (self->err, code, "%s: line %zu", self->origin, line) : RK_OK;
}

/* fleet / node / name, speed, ram_mb -> "name speed ram_mb". */
static rk_err_t s_node (self_t *self, zconfig_t *node, size_t line)
{
    const char *part[3] = {NULL, "1", "0"};
    static const char *const names[3] = {"name", "speed", "ram_mb"};
    for (zconfig_t *item = zconfig_child (node); item; item = zconfig_next (item)) {
        size_t at = self->lines[self->at++], i = 0;
        while (i < 3 && strcmp (zconfig_name (item), names[i]))
            i++;
        if (i == 3)
            return rk_error_set (self->err, RK_ENOTFOUND,
                                 "%s: line %zu: no key \"fleet.node.%.40s\"; a node has name, speed and ram_mb",
                                 self->origin, at, zconfig_name (item));
        part[i] = zconfig_value (item);
    }
    const char *own = zconfig_value (node);
    if (!part[0])
        part[0] = own && *own ? own : NULL;
    if (!part[0])
        return rk_error_set (self->err, RK_EINVAL, "%s: line %zu: fleet.node has no name", self->origin, line);
    char value[256];
    int n = snprintf (value, sizeof value, "%s %s %s", part[0], part[1], part[2]);
    if (n < 0 || (size_t) n >= sizeof value)
        return rk_error_set (self->err, RK_EINVAL, "%s: line %zu: fleet.node is too long", self->origin, line);
    return s_set (self, line, "fleet.node", value);
}

static rk_err_t s_walk (self_t *self, zconfig_t *parent, const char *prefix, int depth)
{
    for (zconfig_t *item = zconfig_child (parent); item; item = zconfig_next (item)) {
        if (self->at >= self->n_lines || depth >= MAX_DEPTH)
            return rk_error_set (self->err, RK_EFORMAT, "%s: not understood", self->origin);
        size_t line = self->lines[self->at++];
        char key[MAX_KEY * 2];
        int n = snprintf (key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", zconfig_name (item));
        if (n < 0 || (size_t) n >= sizeof key)
            return rk_error_set (self->err, RK_EINVAL, "%s: line %zu: the key is too long", self->origin, line);
        bool section = zconfig_child (item) != NULL;
        const char *value = zconfig_value (item);
        rk_err_t code;
        if (section && !strcmp (key, "fleet.node"))
            code = s_node (self, item, line);
        else if (section && value && *value)
            code = rk_error_set (self->err, RK_EINVAL, "%s: line %zu: %.64s has both a value and keys below it",
                                 self->origin, line, key);
        else if (section)
            code = s_walk (self, item, key, depth + 1);
        else
            code = s_set (self, line, key, value ? value : "");
        if (code)
            return code;
    }
    return RK_OK;
}

static rk_err_t s_parse (const char *text, const char *origin, rk_runfile_set_t *set, void *arg, rk_error_t *err)
{
    size_t n_newlines = 1;
    for (const char *c = text; *c; c++)
        n_newlines += *c == '\n';
    self_t self = {.origin = origin, .set = set, .arg = arg, .err = err};
    self.lines = calloc (n_newlines, sizeof *self.lines);
    if (!self.lines)
        return rk_error_set (err, RK_ENOMEM, "%s: out of memory", origin);
    rk_err_t code = s_scan (&self, text);
    if (!code) {
        zconfig_t *root = zconfig_str_load (text);
        code = root ? s_walk (&self, root, "", 0) : rk_error_set (err, RK_EFORMAT, "%s: not a ZPL file", origin);
        zconfig_destroy (&root);
    }
    free (self.lines);
    return code;
}

static rk_err_t s_set_setting (void *arg, const char *key, const char *value, rk_error_t *err)
{
    return rk_settings_set (arg, key, value, err);
}

rk_err_t rk_runfile_parse (rk_settings_t *s, const char *text, const char *origin, rk_error_t *err)
{
    rk_settings_t fresh = *s;
    rk_err_t code = s_parse (text, origin, s_set_setting, &fresh, err);
    if (!code)
        *s = fresh;
    return code;
}

rk_err_t rk_runfile_each (const char *path, rk_runfile_set_t *set, void *arg, rk_error_t *err)
{
    FILE *file = fopen (path, "rb");
    if (!file)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    char *text = malloc (RK_RUNFILE_MAX_BYTES + 1);
    rk_err_t code = text ? RK_OK : rk_error_set (err, RK_ENOMEM, "%s: out of memory", path);
    if (!code) {
        size_t n = fread (text, 1, RK_RUNFILE_MAX_BYTES, file);
        text[n] = 0;
        if (ferror (file))
            code = rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
        else if (n == RK_RUNFILE_MAX_BYTES)
            code = rk_error_set (err, RK_EINVAL, "%s: larger than %d bytes", path, RK_RUNFILE_MAX_BYTES);
        else if (memchr (text, 0, n))
            code = rk_error_set (err, RK_EINVAL, "%s: holds a zero byte, so it is no run file", path);
        else
            code = s_parse (text, path, set, arg, err);
    }
    free (text);
    fclose (file);
    return code;
}

rk_err_t rk_runfile_read (rk_settings_t *s, const char *path, rk_error_t *err)
{
    rk_settings_t fresh = *s;
    rk_err_t code = rk_runfile_each (path, s_set_setting, &fresh, err);
    if (!code)
        *s = fresh;
    return code;
}

/* ---- writing */
static rk_err_t s_write_value (FILE *file, const char *key, const char *value, rk_error_t *err)
{
    bool bare = *value && !strpbrk (value, "#\"'");
    char quote = strchr (value, '"') ? '\'' : '"';
    if (!bare && strchr (value, quote))
        return rk_error_set (err, RK_EINVAL, "%s: a value with both kinds of quotes cannot be written to a run file", key);
    if (bare)
        fprintf (file, "    %s = %s\n", strchr (key, '.') + 1, value);
    else
        fprintf (file, "    %s = %c%s%c\n", strchr (key, '.') + 1, quote, value, quote);
    return RK_OK;
}

/* Keys of one section stand together in the table. Nodes of the fleet get a line each. */
static rk_err_t s_write_item (FILE *file, const rk_settings_key_t *key, char *value, char section[64], rk_error_t *err)
{
    size_t n = strcspn (key->key, ".");
    if (strncmp (section, key->key, n) || section[n]) {
        fprintf (file, "%.*s\n", (int) n, key->key);
        snprintf (section, 64, "%.*s", (int) n, key->key);
    }
    if (strcmp (key->key, "fleet.node"))
        return s_write_value (file, key->key, value, err);
    rk_err_t code = RK_OK;
    char *rest = NULL;
    for (char *node = strtok_r (value, ",", &rest); node && !code; node = strtok_r (NULL, ",", &rest))
        code = s_write_value (file, key->key, node + strspn (node, " "), err);
    return code;
}

rk_err_t rk_runfile_write (const rk_settings_t *s, const char *path, rk_error_t *err)
{
    FILE *file = fopen (path, "w");
    if (!file)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    fprintf (file, "# Rookery run file: every key and its value in this run.\n");
    char section[64] = "";
    rk_err_t code = RK_OK;
    for (size_t i = 0; i < rk_settings_n_keys () && !code; i++) {
        rk_settings_key_t key;
        char value[8192];
        rk_settings_key (i, &key);
        if (rk_settings_get (s, i, value, sizeof value) >= sizeof value)
            code = rk_error_set (err, RK_EINVAL, "%s: too long for a run file", key.key);
        else
            code = s_write_item (file, &key, value, section, err);
    }
    bool failed = ferror (file) != 0;
    if ((fclose (file) || failed) && !code)
        code = rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    return code;
}
