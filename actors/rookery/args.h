/* SPDX-License-Identifier: MPL-2.0
 * Command lines: one table of options for the whole program, one table of subcommands that name the ones
 * they take. "--name value" and "--name=value" are the same. Errors are one line that names what is valid. */
#ifndef RK_ACTORS_ROOKERY_ARGS_H
#define RK_ACTORS_ROOKERY_ARGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

enum { RK_EXIT_DONE = 0, RK_EXIT_FAILED = 1, RK_EXIT_USAGE = 2 };

typedef struct {
    const char *name;     /* without the dashes */
    const char *argument; /* word for the help; NULL: a flag */
    const char *help;
} rk_option_t;

typedef struct {
    const char *name;
    const char *value; /* "" for a flag */
} rk_given_t;

typedef struct {
    rk_given_t *given;   /* in the order of the command line */
    size_t n_given;
    const char **words;  /* what is not an option */
    size_t n_words;
    const volatile bool *interrupted; /* SIGINT or SIGTERM came */
} rk_args_t;

typedef struct {
    const char *name;
    const char *words;            /* "RUN_DIR", "[RUN.zpl]", "" */
    size_t min_words, max_words;
    const char *options;          /* names between blanks: " json quiet set " */
    const char *help;             /* one line */
    const char *more;             /* lines for `rookery help NAME`, or NULL */
    int (*run) (const rk_args_t *args); /* exit code */
} rk_subcommand_t;

/* Sorts argv (after the subcommand) into *args; texts are borrowed from argv.
 * errors: RK_EINVAL (unknown option with the valid ones, missing value, too few or many words), RK_ENOMEM. */
rk_err_t rk_args_parse (rk_args_t *args, const rk_subcommand_t *sub, int argc, char **argv, rk_error_t *err) RK_MUST_CHECK;
void rk_args_free (rk_args_t *args);
/* The last value given, or NULL. */
const char *rk_args_get (const rk_args_t *args, const char *name);
unsigned rk_args_count (const rk_args_t *args, const char *name); /* how often it was given */
bool rk_args_has (const rk_args_t *args, const char *name);
/* A whole number in [lo, hi]; *value keeps its fallback when the option is absent. errors: RK_EINVAL. */
rk_err_t rk_args_number (const rk_args_t *args, const char *name, uint64_t lo, uint64_t hi, uint64_t *value,
                         rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_args_real (const rk_args_t *args, const char *name, double lo, double hi, double *value, rk_error_t *err) RK_MUST_CHECK;

const rk_option_t *rk_option_find (const char *name); /* NULL: no such option */
bool rk_subcommand_takes (const rk_subcommand_t *sub, const char *option);

/* Prints "rookery: text" on stderr and returns the exit code that fits the error. */
int rk_program_fail (const rk_error_t *err);
/* The same for a run that had begun: always RK_EXIT_FAILED. */
int rk_program_fail_run (const rk_error_t *err);

#endif
