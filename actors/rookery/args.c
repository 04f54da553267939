/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rk_option_t s_options[] = {
    {"set", "KEY=VALUE", "set any key of a run file; may be repeated (rookery help settings)"},
    {"preset", "NAME", "start from a named set of settings (ravnest, ada-small, ada-1008)"},
    {"passes", "N", "sweeps over the data set, as run.passes"},
    {"threads", "N", "threads per node, as run.threads"},
    {"model", "NAME", "as model.name"},
    {"batch", "N", "samples per minibatch, as train.batch"},
    {"from", "RUN_DIR|FILE", "start from the parameters of a run or checkpoint"},
    {"resume", "RUN_DIR|FILE", "go on from the latest checkpoint of a run, or from this one"},
    {"listen", "ENDPOINT", "wait for other processes there, as net.listen (tcp://127.0.0.1:5600)"},
    {"beacon", NULL, "say on the networks of --listen that the run is there, so that `rookery node --join lan` finds it"},
    {"nodes", "N", "how many `rookery node` processes will join"},
    {"join", "ENDPOINT|TICKET|lan", "address of the process that runs `rookery train --listen`, or a ticket; several with commas; lan or lan:RUN by beacon"},
    {"reach", "auto|direct|relay", "how others reach this node: through the leader if it is behind NAT (default auto: as the leader finds)"},
    {"witness", NULL, "only vote (the leader has net.witness=1): no training here, and nothing is measured"},
    {"name", "NAME", "name of this node (default: host name and process id)"},
    {"speed", "S", "declared strength, 0 < S <= 1 (default 1: this machine as it is)"},
    {"ram", "MB", "memory this node may use (default: what the machine has)"},
    {"insecure", NULL, "no encryption, on this machine; twice: anywhere, for whoever can reach it"},
    {"keys", "FOLDER", "folder of keys and certificates (default: ~/.config/rookery)"},
    {"fresh", NULL, "measure this machine again instead of using what an earlier run measured"},
    {"svg", "FILE", "draw the plan, or the fleet"},
    {"fleet", "FILE", "plan for the machines of that file instead of fleet.node"},
    {"checkpoint", "FILE", "this checkpoint instead of the run's latest"},
    {"input", "FILE", "samples: IDX images (plain or gzip) or raw f32"},
    {"output", "FILE", "write there instead of to stdout"},
    {"seconds", "S", "time to measure per figure (default 3)"},
    {"m", "N", "rows of the product (default 64)"},
    {"n", "N", "columns of the product (default 512)"},
    {"k", "N", "products summed per element (default 784)"},
    {"trans", "NN|NT|TN|TT", "which operands are transposed (default NN)"},
    {"layer", "NAME", "the layer to measure, as `fc1`"},
    {"precision", "f32|bf16", "factors of products, as run.precision (sums are f32)"},
    {"ranks", "N", "processes or threads in the ring (default 2)"},
    {"bytes", "N", "size of the vector to average (default 1048576)"},
    {"transport", "NAME", "inproc, ipc or tcp (default inproc)"},
    {"graph", "NAME", "who mixes with whom, as average.graph (default complete: a ring all-reduce)"},
    {"mixing", "NAME", "of stacked replicas: sparse (the bits of actors, default) or auto (windows of a lattice)"},
    {"jobs", "N", "cells at a time (default: one per core, as far as memory allows)"},
    {"expires", "TIME", "how long a ticket may be used: 90s, 30m, 1h, 7d (default 1h)"},
    {"revoke", "NUMBER", "take a ticket back"},
    {"list", NULL, "dbench: show the cells with their memory and work, run nothing; invite: the tickets that are not used"},
    {"watch", NULL, "again every second, until it is interrupted"},
    {"json", NULL, "one JSON object per line on stdout, nothing else there"},
    {"quiet", NULL, "no progress"},
};

const rk_option_t *rk_option_find (const char *name)
{
    for (size_t i = 0; i < sizeof s_options / sizeof *s_options; i++)
        if (!strcmp (s_options[i].name, name))
            return &s_options[i];
    return NULL;
}

bool rk_subcommand_takes (const rk_subcommand_t *sub, const char *option)
{
    char word[64];
    int n = snprintf (word, sizeof word, " %s ", option);
    return n > 0 && (size_t) n < sizeof word && strstr (sub->options, word);
}

/* "--json --quiet ..." of the options a subcommand takes. */
static void s_valid (const rk_subcommand_t *sub, char *text, size_t size)
{
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; i < sizeof s_options / sizeof *s_options; i++)
        if (rk_subcommand_takes (sub, s_options[i].name) && used < size) {
            int n = snprintf (text + used, size - used, "%s--%s", used ? " " : "", s_options[i].name);
            used += n > 0 ? (size_t) n : 0;
        }
    if (!used)
        snprintf (text, size, "none");
}

/* One option at argv[*i]; moves *i past its value. */
static rk_err_t s_option (rk_args_t *args, const rk_subcommand_t *sub, int argc, char **argv, int *i, rk_error_t *err)
{
    const char *text = argv[*i] + 2;
    char name[32];
    size_t length = strcspn (text, "=");
    snprintf (name, sizeof name, "%.*s", (int) (length < sizeof name ? length : sizeof name - 1), text);
    const rk_option_t *option = length < sizeof name ? rk_option_find (name) : NULL;
    if (!option || !rk_subcommand_takes (sub, name)) {
        char valid[200];
        s_valid (sub, valid, sizeof valid);
        return rk_error_set (err, RK_EINVAL, "rookery %s has no option --%.*s; valid: %s", sub->name, (int) length, text,
                             valid);
    }
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    if (!option->argument && value)
        return rk_error_set (err, RK_EINVAL, "--%s takes no value", name);
    if (option->argument && !value) {
        if (*i + 1 >= argc)
            return rk_error_set (err, RK_EINVAL, "--%s needs a value: --%s %s", name, name, option->argument);
        value = argv[++*i];
    }
    args->given[args->n_given++] = (rk_given_t){option->name, value ? value : ""};
    return RK_OK;
}

rk_err_t rk_args_parse (rk_args_t *args, const rk_subcommand_t *sub, int argc, char **argv, rk_error_t *err)
{
    size_t room = argc > 0 ? (size_t) argc : 1;
    args->given = calloc (room, sizeof *args->given);
    args->words = calloc (room, sizeof *args->words);
    if (!args->given || !args->words)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && !strcmp (argv[i], "--")) {
            only_words = true;
        }
        else if (!only_words && !strncmp (argv[i], "--", 2)) {
            rk_err_t code = s_option (args, sub, argc, argv, &i, err);
            if (code)
                return code;
        }
        else {
            args->words[args->n_words++] = argv[i];
        }
    }
    if (args->n_words < sub->min_words)
        return rk_error_set (err, RK_EINVAL, "rookery %s needs %s (see rookery help %s)", sub->name, sub->words, sub->name);
    if (args->n_words > sub->max_words)
        return rk_error_set (err, RK_EINVAL, "rookery %s: what is \"%s\"? (usage: rookery %s%s%s)", sub->name,
                             args->words[sub->max_words], sub->name, *sub->words ? " " : "", sub->words);
    return RK_OK;
}

void rk_args_free (rk_args_t *args)
{
    free (args->given);
    free (args->words);
    *args = (rk_args_t){0};
}

const char *rk_args_get (const rk_args_t *args, const char *name)
{
    for (size_t i = args->n_given; i-- > 0;)
        if (!strcmp (args->given[i].name, name))
            return args->given[i].value;
    return NULL;
}

unsigned rk_args_count (const rk_args_t *args, const char *name)
{
    unsigned n = 0;
    for (size_t i = 0; i < args->n_given; i++)
        n += !strcmp (args->given[i].name, name);
    return n;
}

bool rk_args_has (const rk_args_t *args, const char *name)
{
    return rk_args_get (args, name) != NULL;
}

rk_err_t rk_args_number (const rk_args_t *args, const char *name, uint64_t lo, uint64_t hi, uint64_t *value, rk_error_t *err)
{
    const char *text = rk_args_get (args, name);
    if (!text)
        return RK_OK;
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull (text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n < lo || n > hi)
        return rk_error_set (err, RK_EINVAL, "--%s %s: a whole number from %llu to %llu is needed", name, text,
                             (unsigned long long) lo, (unsigned long long) hi);
    *value = n;
    return RK_OK;
}

rk_err_t rk_args_real (const rk_args_t *args, const char *name, double lo, double hi, double *value, rk_error_t *err)
{
    const char *text = rk_args_get (args, name);
    if (!text)
        return RK_OK;
    char *end = NULL;
    double x = strtod (text, &end);
    if (end == text || *end || !isfinite (x) || x < lo || x > hi)
        return rk_error_set (err, RK_EINVAL, "--%s %s: a number from %g to %g is needed", name, text, lo, hi);
    *value = x;
    return RK_OK;
}

int rk_program_fail (const rk_error_t *err)
{
    fprintf (stderr, "rookery: %s\n", *err->text ? err->text : rk_strerror (err->code));
    return err->code == RK_EINVAL || err->code == RK_ENOTFOUND || err->code == RK_EUNSUPPORTED ? RK_EXIT_USAGE
                                                                                                  : RK_EXIT_FAILED;
}

int rk_program_fail_run (const rk_error_t *err)
{
    rk_program_fail (err);
    return RK_EXIT_FAILED;
}
