/* SPDX-License-Identifier: MPL-2.0
 * What came of it. The ledger of samples is kept from what leaders say when they commit: round after round covers the
 * minibatches [from, to); a gap would be samples lost, an overlap is what was trained again after a committed round
 * was given up, and the run's own count must have it.                                                     */
#include "tests/chaos/chaos.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ROUNDS   (1 << 20)
#define MOST_STALL_MS 10000
#define STALL_MS      1000 /* what is listed */
#define MOST_APART    0.01 /* of the accuracy */
#define STALLS        12

static struct {
    int64_t from_ms, ms;
} s_stalls[STALLS];

/* ---- while it runs */
static void s_recovered (chaos_t *c, int64_t now, uint64_t view)
{
    for (uint32_t i = c->n_events; i-- > 0 && i + 64 > c->n_events;) {
        chaos_event_t *e = &c->events[i];
        const bool newer = view > e->view, passed = e->kind != 0 && now >= e->at_ms + e->lasts_ms;
        if (e->recovered_ms >= 0 || (!newer && !passed))
            continue;
        e->recovered_ms = now - e->at_ms;
        e->view_changed = newer;
        chaos_say (c, "%s %s: the next round after %lld ms", chaos_name (e->machine), faults_name (e->kind), (long long) e->recovered_ms);
    }
}

static void s_stall (chaos_t *c, int64_t from, int64_t ms)
{
    uint32_t least = 0;
    if (ms > c->longest_ms) {
        c->longest_ms = ms;
        c->longest_at_ms = from;
    }
    for (uint32_t i = 1; i < STALLS; i++)
        if (s_stalls[i].ms < s_stalls[least].ms)
            least = i;
    if (ms > s_stalls[least].ms) {
        s_stalls[least].from_ms = from;
        s_stalls[least].ms = ms;
    }
}

void ledger_commit (chaos_t *c, uint32_t m, uint64_t view, uint64_t from, uint64_t to)
{
    const int64_t now = chaos_now_ms ();
    if (!c->rounds_ms)
        c->rounds_ms = calloc (MOST_ROUNDS, sizeof *c->rounds_ms);
    if (view < c->view) { /* it was said before the others went on, and is heard late */
        chaos_say (c, "%s commits minibatches %llu to %llu in view %llu, after view %llu", chaos_name (m),
                   (unsigned long long) from, (unsigned long long) to, (unsigned long long) view,
                   (unsigned long long) c->view);
        c->n_retaken++;
        return;
    }
    if (c->last_commit_ms && view == c->view && c->rounds_ms && c->n_rounds < MOST_ROUNDS)
        c->rounds_ms[c->n_rounds++] = (double) (now - c->last_commit_ms);
    if (c->last_commit_ms)
        s_stall (c, c->last_commit_ms, now - c->last_commit_ms);
    if (from > c->next_f) {
        chaos_say (c, "LOST: minibatches %llu to %llu are of no round", (unsigned long long) c->next_f, (unsigned long long) from);
        c->lost += from - c->next_f;
    } else
        c->again += c->next_f - from;
    s_recovered (c, now, view);
    c->next_f = to;
    c->view = view;
    c->leader = m;
    c->commits++;
    c->last_commit_ms = now;
    c->procs[m].commit_ms = now;
}

static int s_ascending (const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double s_median (double *x, uint32_t n)
{
    if (!n)
        return 0;
    qsort (x, n, sizeof *x, s_ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* kind < 0: whatever made a new view. */
static uint32_t s_recoveries (const chaos_t *c, int kind, double *x, double *most)
{
    uint32_t n = 0;
    *most = 0;
    for (uint32_t i = 0; i < c->n_events; i++) {
        const chaos_event_t *e = &c->events[i];
        if (e->recovered_ms < 0 || (kind < 0 ? !e->view_changed : e->kind != (uint32_t) kind))
            continue;
        x[n++] = (double) e->recovered_ms;
        *most = (double) e->recovered_ms > *most ? (double) e->recovered_ms : *most;
    }
    return n;
}

int64_t ledger_recovery_ms (const chaos_t *c)
{
    static double x[CHAOS_EVENTS];
    double most;
    return (int64_t) s_median (x, s_recoveries (c, -1, x, &most));
}

void ledger_watch (chaos_t *c)
{
    bool stands = false;
    for (uint32_t m = 0; m <= c->config.n_nodes; m++)
        stands |= c->procs[m].stopped_ms != 0;
    for (uint32_t m = 0; m <= c->config.n_nodes; m++) {
        chaos_proc_t *p = &c->procs[m];
        const int64_t kb = p->pid ? procs_rss_kb (p->pid) : 0;
        p->rss_most_kb = kb > p->rss_most_kb ? kb : p->rss_most_kb;
        if (stands && kb && p->rss_kb && kb - p->rss_kb > c->gained_kb)
            c->gained_kb = kb - p->rss_kb;
    }
}

/* ---- afterwards */
double ledger_field (const char *line, const char *name)
{
    char key[64];
    snprintf (key, sizeof key, "\"%s\":", name);
    const char *at = strstr (line, key);
    return at ? strtod (at + strlen (key), NULL) : -1;
}

double ledger_quiet (chaos_t *c)
{
    char command[1024], line[4096] = "", last[4096] = "";
    snprintf (command, sizeof command,
              "cd '%s' && rm -rf quiet && '%s' train --json --quiet --set model.name=%s --set data.name=%s --set train.batch=32 "
              "--set train.lr=0.05 --set run.threads=1 --set average.every=%u --set run.passes=%u --set run.dir=quiet "
              "--set fleet.layout=2,2",
              c->config.folder, c->config.rookery, c->config.model, c->config.data, c->config.every, c->config.passes);
    FILE *pipe = popen (command, "r");
    while (pipe && fgets (line, sizeof line, pipe))
        if (strstr (line, "\"event\":\"done\""))
            memcpy (last, line, sizeof last);
    return pipe && pclose (pipe) == 0 ? ledger_field (last, "test_accuracy") : -1;
}

static void s_print_stalls (const chaos_t *c)
{
    printf ("\nstalls of more than %.0f s (the longest %d)\n", STALL_MS / 1000.0, STALLS);
    for (uint32_t i = 0; i < STALLS; i++) {
        bool known = false;
        const int64_t from = s_stalls[i].from_ms, to = from + s_stalls[i].ms;
        if (s_stalls[i].ms < STALL_MS)
            continue;
        printf ("  %6.1f s at %.1f s:", (double) s_stalls[i].ms / 1000, (double) (from - c->began_ms) / 1000);
        for (uint32_t k = 0; k < c->n_events; k++) {
            const chaos_event_t *e = &c->events[k];
            if (e->at_ms > to || (e->at_ms + e->lasts_ms < from && e->recovered_ms >= 0 && e->at_ms + e->recovered_ms <= from))
                continue;
            printf (" %s%s %s at %.1f s;", chaos_name (e->machine), e->leader ? " (leads)" : "", faults_name (e->kind),
                    (double) (e->at_ms - c->began_ms) / 1000);
            known = true;
        }
        printf ("%s\n", known ? "" : " no fault at that time (an evaluation, or a busy machine)");
    }
}

static void s_row (const char *name, const char *fmt, ...) __attribute__ ((format (printf, 2, 3)));
static void s_row (const char *name, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start (args, fmt);
    vsnprintf (text, sizeof text, fmt, args);
    va_end (args);
    printf ("  %-46s %s\n", name, text);
}

/* One promise: said, and remembered when it does not hold. */
static void s_hold (chaos_t *c, bool holds, const char *what)
{
    if (holds)
        return;
    printf ("  BROKEN: %s\n", what);
    c->failed = true;
}

static void s_print_faults (const chaos_t *c, double round_ms)
{
    static double x[CHAOS_EVENTS];
    printf ("\n  %-22s %8s  %s\n", "fault", "injected", "until the next committed round: median, most (ms)");
    for (uint32_t kind = 0; kind < faults_n (); kind++) {
        double most;
        const uint32_t n = s_recoveries (c, (int) kind, x, &most);
        if (c->done[kind])
            printf ("  %-22s %8u  %8.0f %8.0f\n", faults_name (kind), c->done[kind], s_median (x, n), most);
    }
    printf ("  (a normal round: %.0f ms; what makes no new view is over when its time is, or at the next round)\n\n", round_ms);
}

static void s_print_ledger (chaos_t *c, double round_ms)
{
    const double redone = ledger_field (c->last, "redone");
    const uint64_t uncounted = c->ended && (double) c->again > redone ? c->again - (uint64_t) redone : 0;
    s_row ("faults injected", "%u", c->n_events);
    s_row ("rounds completed", "%llu, in %.0f views", (unsigned long long) c->commits, ledger_field (c->last, "views"));
    s_row ("longest stall", "%.2f s", (double) c->longest_ms / 1000);
    s_row ("a round", "%.0f ms", round_ms);
    s_row ("minibatches lost", "%llu", (unsigned long long) c->lost);
    s_row ("minibatches trained again, and counted", "%.0f, of them committed before %llu", redone, (unsigned long long) c->again);
    s_row ("minibatches trained twice uncounted", "%llu", (unsigned long long) uncounted);
    s_row ("processes that crashed", "%u", c->crashed);
    s_row ("processes that were left out and ended", "%u", c->left);
    s_row ("strangers told in logs; wrong keys let in", "%u; %u", c->strangers_seen, c->wrong_key_in);
    s_row ("replayed connections refused; taken", "%u; %u", c->replays_refused, c->replays_taken);
    s_row ("memory gained by others while one stood still", "%.1f MB at most", (double) c->gained_kb / 1024);
    s_hold (c, c->ended, "the run has not come to its end");
    s_hold (c, c->lost == 0, "minibatches were lost");
    s_hold (c, uncounted == 0, "minibatches were trained twice and not counted");
    s_hold (c, c->longest_ms < MOST_STALL_MS, "a stall of more than 10 s");
    s_hold (c, c->crashed == 0, "a process crashed");
    s_hold (c, c->wrong_key_in == 0 && c->replays_taken == 0, "a stranger was let in");
    s_hold (c, !c->ended || ledger_field (c->last, "rounds") >= 0, "the last line says how many rounds there were");
}

int ledger_print (chaos_t *c)
{
    const double round_ms = s_median (c->rounds_ms, c->n_rounds);
    printf ("seed %llu, %u nodes and a leader, %s on %s, %u passes\n", (unsigned long long) c->config.seed, c->config.n_nodes,
            c->config.model, c->config.data, c->config.passes);
    s_print_faults (c, round_ms);
    s_print_ledger (c, round_ms);
    if (c->ended) {
        const double accuracy = ledger_field (c->last, "test_accuracy"), quiet = ledger_quiet (c);
        s_row ("samples", "%.0f", ledger_field (c->last, "samples"));
        s_row ("accuracy; of a quiet run of as many samples", "%.4f; %.4f", accuracy, quiet);
        s_hold (c, quiet >= 0 && accuracy >= quiet - MOST_APART, "the accuracy is more than 1 % below that of a quiet run");
    }
    s_print_stalls (c);
    printf ("%s\n", c->failed ? "FAILED" : "passed");
    return c->failed;
}
