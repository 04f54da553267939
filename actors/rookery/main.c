/* SPDX-License-Identifier: MPL-2.0
 * rookery: the command line. Exit codes: 0 done, 1 failed, 2 wrong use or wrong run file.                */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <czmq.h>

#include "actors/host.h"
#include "actors/rookery/commands.h"

const rk_subcommand_t rk_subcommands[] = {
    {"train", "[RUN.zpl]", 0, 1, " set preset passes threads precision model batch from resume listen beacon nodes keys insecure json quiet ",
     "train a network; without a run file: cnn on Fashion-MNIST with four virtual nodes",
     "With --listen and --nodes it waits for that many `rookery node --join` processes and leads them.\n"
     "Every run writes a folder (run.dir, default runs/<date>-<model>): settings.zpl, plan.json, metrics.csv\n"
     "and checkpoints; --resume goes on with one that was stopped or killed. The last line on stdout says how it went; progress goes to stderr.\n",
     rk_command_train},
    {"node", "", 0, 0, " join reach name speed ram threads witness fresh keys insecure json quiet ", "take part in the run of another process",
     "  rookery train --listen tcp://127.0.0.1:5600 --nodes 2\n"
     "  rookery node --join tcp://127.0.0.1:5600        (twice)\n",
     rk_command_node},
    {"keygen", "", 0, 0, " keys json quiet ", "make this user's key, or show it",
     "train --listen and node do it by themselves when there is none; docs/security.md says what it is for.\n", rk_command_keygen},
    {"invite", "[tcp://HOST:PORT]", 0, 1, " expires name revoke list keys json quiet ", "a ticket with which one other machine may join",
     "The address is where guests reach `rookery train --listen`. The ticket is for one use; whoever has it can use it.\n"
     "  rookery invite tcp://192.0.2.7:5600 --expires 2h --name bob\n"
     "  rookery node --join rookery-...                 (bob, on his machine)\n", rk_command_invite},
    {"status", "ENDPOINT", 1, 1, " watch keys insecure json quiet ", "how a run goes: who waits for whom, for what, since when",
     "Any process of the run may be asked, at any time: the leader where it listens, others where they say.\n"
     "  rookery status tcp://127.0.0.1:5600\n"
     "Whoever may join may ask. --watch asks again every second.\n", rk_command_status},
    {"eval", "RUN_DIR", 1, 1, " checkpoint set threads json quiet ", "accuracy of a trained run on the test samples",
     "Reads settings.zpl and the latest checkpoint of the run folder. --set fleet.layout=2 evaluates over a\n"
     "pipeline of two stages, for a model that is too big for one node.\n",
     rk_command_eval},
    {"predict", "RUN_DIR", 1, 1, " input output checkpoint set threads json quiet ", "classes or values of the samples of a file",
     "One line per sample: index,class,probability, or the values or probabilities themselves of a model that ends in\n"
     "mse or bce (CSV with a header; with --json one object per line).\n",
     rk_command_predict},
    {"plan", "[RUN.zpl|RUN_DIR]", 0, 1, " set preset threads precision model batch fleet svg json quiet ", "show who would do what, without training",
     "Profiles this machine, plans and prints clusters, stages, rings, memory and predicted rates. With the\n"
     "folder of a run it prints the plan of that run; --svg FILE draws it. With --fleet it plans for the machines of a\n"
     "file, one line each:\n"
     "  node = NAME SPEED RAM_MB [CORES [HOST]]\n"
     "  link = FROM TO MBIT_PER_S RTT_MS\n",
     rk_command_plan},
    {"profile", "[RUN.zpl]", 0, 1, " set preset precision model batch listen beacon nodes join name svg fresh keys insecure json quiet ",
     "what this machine can do for a model, or a whole fleet",
     "Alone: processor, memory, disc, products and layers of the model, in seconds. A fleet is measured by\n"
     "  rookery profile --listen tcp://127.0.0.1:5600 --nodes 3\n"
     "  rookery node --join tcp://127.0.0.1:5600        (three times; or rookery profile --join, which prints it too)\n"
     "with the speed of every link. Layer times are kept in ~/.cache/rookery; --fresh measures again.\n",
     rk_command_profile},
    {"bench", "gemm|layer|train|allreduce|hop|stack", 1, 1,
     " m n k trans model layer batch threads precision seconds ranks bytes transport graph mixing insecure json quiet ", "measure one thing",
     "gemm: a product by shape (--m --n --k --trans --threads --precision)\n"
     "layer: one layer of a model: forward, input and parameter gradients (--model --layer --batch --threads)\n"
     "train: samples/s of a model in one process, without sockets (--model --batch --threads)\n"
     "allreduce: averaging a vector, or one mixing step of a graph (--ranks --bytes --transport --graph); tcp and ipc use one process a rank\n"
     "hop: one activation from stage to stage and back (--bytes --transport): time, CPU, dispatch\n"
     "stack: a step of stacked replicas next to what memory alone would take (--model --ranks --batch --threads --mixing)\n",
     rk_command_bench},
    {"dbench", "RUN.zpl", 1, 1, " jobs ram list quiet ", "compare graphs, scales and learning-rate rules on stacked replicas",
     "The file names keys and, in its section grid, lists of values; every combination is a cell (docs/dbench.md).\n"
     "Cells that are done are not run again, so a stopped command is simply repeated.\n",
     rk_command_dbench},
    {"report", "DIR...", 1, 16, " output quiet ", "a page of pictures of a benchmark, or of a training run",
     "Writes DIR/report.html, which needs no network and no other file; several folders make one page.\n", rk_command_report},
    {"help", "[COMMAND|settings]", 0, 1, "", "this text, one command, or every key of a run file", NULL, rk_command_help},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

/* In the design, not built yet: refused by name so that nobody takes them for typing errors. */
static const char *const s_planned[] = {"export", NULL};

/* The one mutable static of the program: a signal handler has no other place to write to. */
static volatile bool s_interrupted;

static void s_on_signal (int number)
{
    (void) number;
    if (s_interrupted) /* asked twice: the person does not want to wait */
        _exit (128 + number);
    s_interrupted = true;
}

static void s_catch_signals (void)
{
    zsys_handler_set (NULL); /* CZMQ must not install its own */
    struct sigaction action = {.sa_handler = s_on_signal};
    sigemptyset (&action.sa_mask);
    sigaction (SIGINT, &action, NULL);
    sigaction (SIGTERM, &action, NULL);
    signal (SIGPIPE, SIG_IGN);
}

static int s_unknown (const char *name)
{
    bool planned = false;
    for (int i = 0; s_planned[i]; i++)
        planned |= !strcmp (s_planned[i], name);
    fprintf (stderr, planned ? "rookery: %s is not built yet; valid:" : "rookery: no command \"%s\"; valid:", name);
    for (const rk_subcommand_t *sub = rk_subcommands; sub->name; sub++)
        fprintf (stderr, " %s", sub->name);
    fprintf (stderr, "\n");
    return RK_EXIT_USAGE;
}

int main (int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        rk_help_program ();
        return RK_EXIT_USAGE;
    }
    if (!strcmp (name, "--help") || !strcmp (name, "-h"))
        name = "help";
    const rk_subcommand_t *sub = rk_subcommands;
    while (sub->name && strcmp (sub->name, name))
        sub++;
    if (!sub->name)
        return s_unknown (name);
    char *help[] = {argv[1]};
    bool asks_help = argc > 2 && (!strcmp (argv[2], "--help") || !strcmp (argv[2], "-h"));
    if (asks_help) {
        for (sub = rk_subcommands; strcmp (sub->name, "help");)
            sub++;
    }
    s_catch_signals ();
    rk_host_keep_little ();
    rk_args_t args = {.interrupted = &s_interrupted};
    rk_error_t err = {0};
    int code = RK_EXIT_USAGE;
    if (rk_args_parse (&args, sub, asks_help ? 1 : argc - 2, asks_help ? help : argv + 2, &err))
        rk_program_fail (&err);
    else
        code = sub->run (&args);
    rk_args_free (&args);
    if (fflush (stdout) && code == RK_EXIT_DONE)
        code = RK_EXIT_FAILED;
    return code;
}
