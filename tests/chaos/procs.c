/* SPDX-License-Identifier: MPL-2.0
 * Processes: started on their machines, heard through pipes, so that every line has a time of one clock.   */
#include "tests/chaos/chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char s_faketime[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

bool procs_alive (const chaos_t *c, uint32_t m)
{
    return c->procs[m].pid != 0;
}

int64_t procs_rss_kb (pid_t pid)
{
    char path[64];
    long pages = 0, rss = 0;
    snprintf (path, sizeof path, "/proc/%d/statm", (int) pid);
    FILE *file = fopen (path, "re");
    if (!file)
        return 0;
    const bool read = fscanf (file, "%ld %ld", &pages, &rss) == 2;
    fclose (file);
    return read ? rss * (sysconf (_SC_PAGESIZE) / 1024) : 0;
}

bool procs_clocks_can_jump (void)
{
    return access (s_faketime, R_OK) == 0;
}

/* ---- starting */
static void s_child (chaos_t *c, uint32_t m, char *const argv[], int out, int err)
{
    char path[300];
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (!machine_enter (c, m))
        _exit (126);
    dup2 (out, STDOUT_FILENO);
    dup2 (err, STDERR_FILENO);
    snprintf (path, sizeof path, "%s/cache", c->config.folder);
    setenv ("XDG_CACHE_HOME", path, 1);
    setenv ("RK_LOG", "debug", 1);
    snprintf (path, sizeof path, "%s/clock-%u", c->config.folder, m);
    if (access (path, R_OK) == 0) {
        setenv ("LD_PRELOAD", s_faketime, 1);
        setenv ("FAKETIME_TIMESTAMP_FILE", path, 1);
        setenv ("FAKETIME_CACHE_DURATION", "1", 1);
        setenv ("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
    }
    execv (argv[0], argv);
    _exit (127);
}

pid_t procs_spawn (chaos_t *c, uint32_t m, char *const argv[], int out, int err)
{
    const pid_t pid = fork ();
    if (pid == 0)
        s_child (c, m, argv, out, err);
    return pid > 0 ? pid : 0;
}

typedef struct {
    char *list[64];
    size_t n;
    char text[64][300];
} s_args_t;

static void s_arg (s_args_t *args, const char *fmt, ...) __attribute__ ((format (printf, 2, 3)));
static void s_arg (s_args_t *args, const char *fmt, ...)
{
    va_list list;
    va_start (list, fmt);
    vsnprintf (args->text[args->n], sizeof args->text[0], fmt, list);
    va_end (list);
    args->list[args->n] = args->text[args->n];
    args->list[++args->n] = NULL;
}

static void s_set (s_args_t *args, const char *key, const char *value)
{
    s_arg (args, "--set");
    s_arg (args, "%s=%s", key, value);
}

static void s_lead (chaos_t *c, s_args_t *args)
{
    char text[32];
    s_arg (args, "train");
    s_arg (args, "--listen");
    s_arg (args, "tcp://0.0.0.0:%d", CHAOS_PORT);
    s_arg (args, "--nodes");
    s_arg (args, "%u", c->config.n_nodes);
    s_set (args, "model.name", c->config.model);
    s_set (args, "data.name", c->config.data);
    s_set (args, "train.batch", "32");
    s_set (args, "train.lr", "0.05");
    s_set (args, "run.threads", "1");
    s_set (args, "run.dir", "run");
    snprintf (text, sizeof text, "%u", c->config.every);
    s_set (args, "average.every", text);
    snprintf (text, sizeof text, "%u", c->config.passes);
    s_set (args, "run.passes", text);
}

/* Somebody of the run who can be asked to be let in. */
static uint32_t s_contact (const chaos_t *c, uint32_t m)
{
    if (c->leader != m && procs_alive (c, c->leader))
        return c->leader;
    for (uint32_t q = 0; q <= c->config.n_nodes; q++)
        if (q != m && procs_alive (c, q) && c->procs[q].address[0] && !c->procs[q].stopped_ms)
            return q;
    return 0;
}

void procs_start (chaos_t *c, uint32_t m)
{
    chaos_proc_t *p = &c->procs[m];
    static s_args_t args;
    int out[2], err[2];
    char path[512];
    memset (&args, 0, sizeof args);
    s_arg (&args, "%s", c->config.rookery);
    if (m == 0 && p->life == 0)
        s_lead (c, &args);
    else {
        s_arg (&args, "node");
        s_arg (&args, "--name");
        s_arg (&args, "%s", chaos_name (m));
        s_arg (&args, "--join");
        s_arg (&args, "%s", c->procs[s_contact (c, m)].address);
        if (c->config.speed > 0) {
            s_arg (&args, "--speed");
            s_arg (&args, "%g", c->config.speed);
        }
    }
    if (c->config.insecure) {
        s_arg (&args, "--insecure");
        s_arg (&args, "--insecure");
    } else {
        s_arg (&args, "--keys");
        s_arg (&args, "%s/keys", c->config.folder);
    }
    s_arg (&args, "--json");
    if (pipe2 (out, O_CLOEXEC) || pipe2 (err, O_CLOEXEC))
        return;
    snprintf (path, sizeof path, "%s/%s.log", c->config.folder, chaos_name (m));
    if (!p->log)
        p->log = fopen (path, "we");
    const uint32_t life = p->life + 1;
    FILE *log = p->log;
    *p = (chaos_proc_t){.life = life, .out = out[0], .err = err[0], .log = log, .started_ms = chaos_now_ms ()};
    if (m == 0 && life == 1) {
        char host[32];
        machine_address (m, host);
        snprintf (p->address, sizeof p->address, "tcp://%s:%d", host, CHAOS_PORT);
    }
    p->pid = procs_spawn (c, m, args.list, out[1], err[1]);
    close (out[1]);
    close (err[1]);
    fcntl (p->out, F_SETFL, O_NONBLOCK);
    fcntl (p->err, F_SETFL, O_NONBLOCK);
    chaos_say (c, "%s starts (life %u)", chaos_name (m), life);
}

/* ---- hearing */
static void s_line (chaos_t *c, uint32_t m, const char *line)
{
    chaos_proc_t *p = &c->procs[m];
    uint64_t view, round, from, to;
    uint32_t members;
    const char *at;
    if ((at = strstr (line, " COMMITTED view=")) &&
        sscanf (at, " COMMITTED view=%" SCNu64 " round=%" SCNu64 " from=%" SCNu64 " to=%" SCNu64, &view, &round, &from, &to) == 4) {
        ledger_commit (c, m, view, from, to);
        return; /* too many for the log */
    }
    if ((at = strstr (line, " VIEW view=")) && sscanf (at, " VIEW view=%" SCNu64 " members=%u", &view, &members) == 2) {
        p->view = view;
        p->n_members = members;
    }
    if (strstr (line, " WELCOME ") && (at = strstr (line, " join at tcp://")))
        sscanf (at, " join at %159[^ ,]", p->address);
    if (strstr (line, " STRANGER "))
        c->strangers_seen++;
    if (strstr (line, "\"event\":\"done\"")) {
        snprintf (c->last, sizeof c->last, "%s", line);
        c->ended = true;
    }
    if (p->log) {
        fprintf (p->log, "%8lld %s\n", (long long) (chaos_now_ms () - c->began_ms), line);
        fflush (p->log);
    }
}

static void s_hear (chaos_t *c, uint32_t m, int which)
{
    chaos_proc_t *p = &c->procs[m];
    int *fd = which ? &p->err : &p->out;
    char *line = p->line[which];
    for (;;) {
        const ssize_t n = read (*fd, line + p->n_line[which], sizeof p->line[0] - 1 - p->n_line[which]);
        if (n <= 0) {
            if (n == 0) {
                close (*fd);
                *fd = -1;
            }
            return;
        }
        p->n_line[which] += (size_t) n;
        line[p->n_line[which]] = '\0';
        char *begin = line, *end;
        while ((end = strchr (begin, '\n'))) {
            *end = '\0';
            s_line (c, m, begin);
            begin = end + 1;
        }
        p->n_line[which] = strlen (begin);
        memmove (line, begin, p->n_line[which] + 1);
        if (p->n_line[which] == sizeof p->line[0] - 1)
            p->n_line[which] = 0; /* no line of ours is so long */
    }
}

static void s_gone (chaos_t *c, uint32_t m, int status)
{
    chaos_proc_t *p = &c->procs[m];
    for (int which = 0; which < 2; which++)
        if ((which ? p->err : p->out) >= 0)
            s_hear (c, m, which);
    const bool killed = WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL;
    if (WIFSIGNALED (status) && !killed) {
        c->crashed++;
        chaos_say (c, "%s CRASHED with signal %d", chaos_name (m), WTERMSIG (status));
    } else if (!killed && WEXITSTATUS (status) != 0) {
        c->left++;
        p->expelled = true;
        chaos_say (c, "%s left with exit code %d", chaos_name (m), WEXITSTATUS (status));
    } else if (!killed)
        p->ended = true;
    p->pid = 0;
    p->stopped_ms = 0;
    p->view = 0;
}

static void s_reap (chaos_t *c)
{
    for (uint32_t m = 0; m < CHAOS_MACHINES; m++) {
        int status;
        if (c->procs[m].pid && waitpid (c->procs[m].pid, &status, WNOHANG) == c->procs[m].pid)
            s_gone (c, m, status);
    }
}

void procs_listen (chaos_t *c, int wait_ms)
{
    struct pollfd fds[2 * CHAOS_MACHINES];
    uint32_t of[2 * CHAOS_MACHINES];
    nfds_t n = 0;
    for (uint32_t m = 0; m < CHAOS_MACHINES; m++)
        for (int which = 0; which < 2; which++) {
            const int fd = which ? c->procs[m].err : c->procs[m].out;
            if (!c->procs[m].life || fd < 0)
                continue;
            of[n] = 2 * m + (uint32_t) which;
            fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    if (poll (fds, n, wait_ms) > 0)
        for (nfds_t i = 0; i < n; i++)
            if (fds[i].revents)
                s_hear (c, of[i] / 2, (int) (of[i] % 2));
    s_reap (c);
}

void procs_end (chaos_t *c)
{
    for (uint32_t m = 0; m < CHAOS_MACHINES; m++) {
        chaos_proc_t *p = &c->procs[m];
        if (!p->pid)
            continue;
        kill (p->pid, SIGKILL);
        waitpid (p->pid, NULL, 0);
        p->pid = 0;
    }
}
