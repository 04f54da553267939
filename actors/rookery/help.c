/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "actors/rookery/commands.h"

void rk_help_program (void)
{
    printf ("Rookery trains neural networks on whatever machines you have.\n\nusage: rookery COMMAND ...\n\n");
    for (const rk_subcommand_t *sub = rk_subcommands; sub->name; sub++)
        printf ("  %-8s %s\n", sub->name, sub->help);
    printf ("\nrookery help COMMAND lists its options; rookery help settings lists every key of a run file.\n"
            "Exit codes: 0 done, 1 failed, 2 wrong use or wrong run file.\n");
}

static void s_help_command (const rk_subcommand_t *sub)
{
    printf ("usage: rookery %s%s%s%s\n%s\n", sub->name, *sub->words ? " " : "", sub->words,
            *sub->options ? " [options]" : "", sub->help);
    if (sub->more)
        printf ("\n%s", sub->more);
    if (*sub->options)
        printf ("\noptions:\n");
    char names[256];
    snprintf (names, sizeof names, "%s", sub->options);
    char *rest = NULL;
    for (char *name = strtok_r (names, " ", &rest); name; name = strtok_r (NULL, " ", &rest)) {
        const rk_option_t *option = rk_option_find (name);
        char usage[40];
        snprintf (usage, sizeof usage, "--%s%s%s", option->name, option->argument ? " " : "",
                  option->argument ? option->argument : "");
        printf ("  %-20s %s\n", usage, option->help);
    }
}

static void s_help_settings (void)
{
    printf ("Keys of a run file. In the file they are grouped:\n\n"
            "    run\n        passes = 2\n    model\n        name = cnn\n\n"
            "and on the command line --set run.passes=2. \"=\" marks the default.\n\n");
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t key;
        rk_settings_key (i, &key);
        printf ("%s\n    %s\n    %s   = %s\n", key.key, key.help, key.allowed, *key.fallback ? key.fallback : "(empty)");
    }
}

/* docs/settings.md is this, so that page and program cannot differ (tests/e2e/cli.sh compares them). */
static void s_help_page (void)
{
    printf ("<!-- SPDX-License-Identifier: MPL-2.0 -->\n# Settings\n\n"
            "Every key of a run file. Written by `rookery help settings-page` from the table that the parser, `--set` and the\n"
            "error messages use. [usage.md](usage.md) says how run files look.\n\n"
            "| key | allowed | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t key;
        rk_settings_key (i, &key);
        printf ("| `%s` | ", key.key);
        for (const char *c = key.allowed; *c; c++) /* a bar would end the cell */
            printf (*c == '|' ? "\\%c" : "%c", *c);
        printf (" | %s%s%s | %s |\n", *key.fallback ? "`" : "", *key.fallback ? key.fallback : "empty", *key.fallback ? "`" : "",
                key.help);
    }
}

int rk_command_help (const rk_args_t *args)
{
    const char *topic = args->n_words ? args->words[0] : NULL;
    if (!topic) {
        rk_help_program ();
        return RK_EXIT_DONE;
    }
    if (!strcmp (topic, "settings")) {
        s_help_settings ();
        return RK_EXIT_DONE;
    }
    if (!strcmp (topic, "settings-page")) {
        s_help_page ();
        return RK_EXIT_DONE;
    }
    for (const rk_subcommand_t *sub = rk_subcommands; sub->name; sub++)
        if (!strcmp (sub->name, topic)) {
            s_help_command (sub);
            return RK_EXIT_DONE;
        }
    fprintf (stderr, "rookery: no help on \"%s\"; valid: settings", topic);
    for (const rk_subcommand_t *sub = rk_subcommands; sub->name; sub++)
        fprintf (stderr, " %s", sub->name);
    fprintf (stderr, "\n");
    return RK_EXIT_USAGE;
}
