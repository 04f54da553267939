/* SPDX-License-Identifier: MPL-2.0
 * From a command line to settings.                                                                       */
#include <stdio.h>
#include <string.h>

#include "actors/rookery/commands.h"
#include "actors/rookery/runfile.h"

/* Short forms of keys that are set often. */
static const struct {
    const char *option, *key;
} s_short[] = {
    {"passes", "run.passes"}, {"threads", "run.threads"}, {"precision", "run.precision"}, {"model", "model.name"},
    {"batch", "train.batch"}, {"listen", "net.listen"},
};

static rk_err_t s_set_given (rk_settings_t *s, const char *text, rk_error_t *err)
{
    const char *equals = strchr (text, '=');
    if (!equals || equals == text)
        return rk_error_set (err, RK_EINVAL, "--set %s: KEY=VALUE is needed, as --set run.passes=2", text);
    char key[128];
    snprintf (key, sizeof key, "%.*s", (int) (equals - text), text);
    rk_err_t code = rk_settings_set (s, key, equals + 1, err);
    return code ? rk_error_wrap (err, code, "--set %.60s", text) : RK_OK;
}

rk_err_t rk_command_apply (rk_settings_t *s, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (size_t i = 0; !code && i < args->n_given; i++)
        if (!strcmp (args->given[i].name, "set"))
            code = s_set_given (s, args->given[i].value, err);
    for (size_t i = 0; !code && i < sizeof s_short / sizeof *s_short; i++) {
        const char *value = rk_args_get (args, s_short[i].option);
        if (!value)
            continue;
        code = rk_settings_set (s, s_short[i].key, value, err);
        if (code)
            return rk_error_wrap (err, code, "--%s %.60s", s_short[i].option, value);
    }
    return code ? code : rk_settings_check (s, err);
}

rk_err_t rk_command_settings (rk_settings_t *s, const rk_args_t *args, const char *run_file, rk_error_t *err)
{
    rk_settings_default (s);
    rk_err_t code = RK_OK;
    const char *preset = rk_args_get (args, "preset");
    if (preset)
        code = rk_settings_preset (s, preset, err);
    if (!code && run_file)
        code = rk_runfile_read (s, run_file, err);
    if (!code && rk_args_has (args, "listen") && !s->fleet_given) /* other processes are the fleet */
        code = rk_settings_set (s, "fleet.node", "none", err);
    return code ? code : rk_command_apply (s, args, err);
}
