/* SPDX-License-Identifier: MPL-2.0
 * chaos [--hours H | --minutes M | --seconds S] [--seed N] [--nodes N] [--passes N] [--every N] [--model M] [--data D]
 *       [--speed X] [--rate KBIT] [--leaders N] [--only FAULT] [--no-respawn] [--insecure] [--folder DIR] [--verbose]
 * Exit code 0: every promise held; 1: one was broken; 77: no namespaces can be made, or no clocks moved.   */
#include "tests/chaos/chaos.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HANG_MS  45000 /* without a committed round */
#define START_MS 60000

static volatile sig_atomic_t s_interrupted;

static void s_on_signal (int signal)
{
    (void) signal;
    s_interrupted = 1;
}

int64_t chaos_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void chaos_say (chaos_t *c, const char *fmt, ...)
{
    va_list args;
    if (!c->config.verbose)
        return;
    fprintf (stderr, "%8.2f s  ", (double) (chaos_now_ms () - c->began_ms) / 1000);
    va_start (args, fmt);
    vfprintf (stderr, fmt, args);
    va_end (args);
    fputc ('\n', stderr);
}

const char *chaos_name (uint32_t machine)
{
    static const char names[CHAOS_MACHINES + 1][4] = {"n00", "n01", "n02", "n03", "n04", "n05", "n06",
                                                      "n07", "n08", "n09", "n10", "n11", "n99"};
    return names[machine];
}

/* ---- options */
static void s_usage (void)
{
    fprintf (stderr, "usage: chaos [--hours H | --minutes M | --seconds S] [--seed N] [--nodes 2..%d] [--passes N] [--every N]\n"
                     "             [--model NAME] [--data NAME] [--speed X] [--rate KBIT] [--leaders N] [--only FAULT]\n"
                     "             [--no-respawn] [--insecure] [--folder DIR] [--verbose]\nfaults:", CHAOS_MACHINES - 1);
    for (uint32_t kind = 0; kind < faults_n (); kind++)
        fprintf (stderr, "%s %s", kind ? "," : "", faults_name (kind));
    fprintf (stderr, "\n");
}

static bool s_options (chaos_config_t *config, int argc, char **argv)
{
    static const struct option all[] = {
        {"hours", 1, NULL, 'h'}, {"minutes", 1, NULL, 'm'}, {"seconds", 1, NULL, 's'}, {"seed", 1, NULL, 'S'},
        {"nodes", 1, NULL, 'n'}, {"passes", 1, NULL, 'p'}, {"every", 1, NULL, 'e'}, {"model", 1, NULL, 'M'},
        {"data", 1, NULL, 'd'}, {"speed", 1, NULL, 'x'}, {"rate", 1, NULL, 'R'},
        {"leaders", 1, NULL, 'l'}, {"only", 1, NULL, 'o'}, {"no-respawn", 0, NULL, 'r'},
        {"insecure", 0, NULL, 'i'}, {"folder", 1, NULL, 'f'}, {"verbose", 0, NULL, 'v'}, {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long (argc, argv, "", all, NULL)) != -1;)
        switch (o) {
        case 'h': config->chaos_ms = (int64_t) (strtod (optarg, NULL) * 3600000); break;
        case 'm': config->chaos_ms = (int64_t) (strtod (optarg, NULL) * 60000); break;
        case 's': config->chaos_ms = (int64_t) (strtod (optarg, NULL) * 1000); break;
        case 'S': config->seed = strtoull (optarg, NULL, 10); break;
        case 'n': config->n_nodes = (uint32_t) strtoul (optarg, NULL, 10); break;
        case 'p': config->passes = (uint32_t) strtoul (optarg, NULL, 10); break;
        case 'e': config->every = (uint32_t) strtoul (optarg, NULL, 10); break;
        case 'x': config->speed = strtod (optarg, NULL); break;
        case 'R': config->rate_kbit = (uint32_t) strtoul (optarg, NULL, 10); break;
        case 'l': config->leaders = (uint32_t) strtoul (optarg, NULL, 10); break;
        case 'M': config->model = optarg; break;
        case 'd': config->data = optarg; break;
        case 'o': config->only = optarg; break;
        case 'r': config->respawn = false; break;
        case 'i': config->insecure = true; break;
        case 'v': config->verbose = true; break;
        case 'f': snprintf (config->folder, sizeof config->folder, "%s", optarg); break;
        default: return false;
        }
    bool known = !config->only;
    for (uint32_t kind = 0; kind < faults_n (); kind++)
        known |= config->only && strcmp (config->only, faults_name (kind)) == 0;
    return known && optind == argc && config->n_nodes >= 2 && config->n_nodes < CHAOS_MACHINES && config->chaos_ms > 0 && config->passes;
}

/* ---- a run */
static bool s_hangs (chaos_t *c)
{
    const int64_t now = chaos_now_ms ();
    if (!c->commits)
        return now > c->began_ms + START_MS;
    return !c->ended && now > c->last_commit_ms + HANG_MS;
}

static bool s_somebody (const chaos_t *c)
{
    for (uint32_t m = 0; m <= c->config.n_nodes; m++)
        if (procs_alive (c, m))
            return true;
    return false;
}

static void s_run (chaos_t *c)
{
    int64_t watch_ms = 0, over_ms = 0;
    c->began_ms = chaos_now_ms ();
    for (uint32_t m = 0; m <= c->config.n_nodes; m++) {
        machine_jump (c, m, 0);
        procs_start (c, m);
    }
    while (s_somebody (c) && !s_interrupted && !s_hangs (c) && (!over_ms || chaos_now_ms () < over_ms)) {
        procs_listen (c, 20);
        strangers_reap (c);
        if (c->commits >= 3 && !c->next_ms) {
            c->next_ms = chaos_now_ms ();
            c->until_ms = c->next_ms + c->config.chaos_ms;
        }
        if (c->next_ms)
            faults_tick (c);
        if (chaos_now_ms () >= watch_ms) {
            ledger_watch (c);
            watch_ms = chaos_now_ms () + 1000;
        }
        if (c->ended && !over_ms) { /* the others end, too */
            faults_heal_all (c);
            over_ms = chaos_now_ms () + 15000;
        }
    }
    if (s_hangs (c))
        chaos_say (c, "no round is committed any more; the logs are in %s", c->config.folder);
    faults_heal_all (c);
    procs_end (c);
}

int main (int argc, char **argv)
{
    static chaos_t c;
    static chaos_event_t events[CHAOS_EVENTS];
    char program[512], keep[256] = "";
    c = (chaos_t){.config = {.model = "mlp", .data = "fashion-mnist", .n_nodes = 4, .passes = 20, .every = 50, .seed = 1,
                             .chaos_ms = 25000, .respawn = true},
                  .events = events};
    if (!s_options (&c.config, argc, argv)) {
        s_usage ();
        return 2;
    }
    if (!procs_clocks_can_jump ()) {
        fprintf (stderr, "chaos: clocks cannot be made to jump: run examples/install --tests\n");
        return 77;
    }
    const char *build = getenv ("RK_BUILD_DIR");
    snprintf (program, sizeof program, "%s/rookery", build ? build : "build");
    c.config.rookery = realpath (program, NULL);
    if (!c.config.rookery) {
        fprintf (stderr, "chaos: no program %s: build it, or set RK_BUILD_DIR\n", program);
        return 2;
    }
    if (c.config.folder[0])
        mkdir (c.config.folder, 0755);
    else {
        snprintf (keep, sizeof keep, "/tmp/chaos-XXXXXX");
        snprintf (c.config.folder, sizeof c.config.folder, "%s", mkdtemp (keep) ? keep : "");
    }
    char *folder = realpath (c.config.folder, NULL);
    snprintf (c.config.folder, sizeof c.config.folder, "%s", folder ? folder : "");
    free (folder);
    snprintf (c.tag, sizeof c.tag, "rkc%d", (int) getpid ());
    c.noise.state = c.config.seed * UINT64_C (0x9e3779b97f4a7c15) + 1;
    signal (SIGINT, s_on_signal);
    signal (SIGTERM, s_on_signal);
    int code = 77;
    if (machines_up (&c)) {
        s_run (&c);
        for (int64_t until = chaos_now_ms () + 60000; strangers_left () && chaos_now_ms () < until; usleep (50000))
            strangers_reap (&c);
        code = ledger_print (&c);
    } else
        fprintf (stderr, "chaos: no network namespaces can be made here (this needs root and iproute2)\n");
    machines_down (&c);
    if (keep[0] && code != 1) {
        snprintf (program, sizeof program, "rm -rf '%s'", keep);
        code = system (program) == 0 ? code : 1;
    } else if (code == 1)
        fprintf (stderr, "chaos: logs are in %s\n", c.config.folder);
    free ((void *) (uintptr_t) c.config.rookery);
    free (c.rounds_ms);
    return code;
}
