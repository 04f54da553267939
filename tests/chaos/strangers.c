/* SPDX-License-Identifier: MPL-2.0
 * Strangers: they reach every port of a machine and have no key, or a wrong one, or the recorded bytes of somebody who has
 * the right one. Each works in a process of its own on the stranger's machine; its exit code is its report. */
#include "tests/chaos/chaos.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#define PORTS     64
#define CHILDREN  64
#define RECORD_MS 1500
#define PATIENCE_MS 12000 /* a handshake that comes to nothing lasts 10 s */

enum { CAME_TO_NOTHING = 10, WAS_TAKEN = 11, NOT_RECORDED = 12 };

static struct {
    pid_t pid;
    bool wrong_key;
    int64_t until_ms;
} s_children[CHILDREN];

static void s_remember (pid_t pid, bool wrong_key)
{
    for (uint32_t i = 0; pid && i < CHILDREN; i++)
        if (!s_children[i].pid) {
            s_children[i].pid = pid;
            s_children[i].wrong_key = wrong_key;
            s_children[i].until_ms = chaos_now_ms () + 60000;
            return;
        }
}

void strangers_reap (chaos_t *c)
{
    for (uint32_t i = 0; i < CHILDREN; i++) {
        int status;
        if (!s_children[i].pid)
            continue;
        if (chaos_now_ms () > s_children[i].until_ms)
            kill (s_children[i].pid, SIGKILL);
        if (waitpid (s_children[i].pid, &status, WNOHANG) != s_children[i].pid)
            continue;
        s_children[i].pid = 0;
        const int code = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
        c->wrong_key_in += s_children[i].wrong_key && code == 0;
        c->replays_refused += !s_children[i].wrong_key && code == CAME_TO_NOTHING;
        c->replays_taken += !s_children[i].wrong_key && code == WAS_TAKEN;
        if (code == NOT_RECORDED)
            chaos_say (c, "a stranger had nothing to record");
    }
}

bool strangers_left (void)
{
    for (uint32_t i = 0; i < CHILDREN; i++)
        if (s_children[i].pid)
            return true;
    return false;
}

/* The ports on which a process listens: it has its namespace for itself. */
static uint32_t s_ports (pid_t pid, uint16_t ports[PORTS])
{
    char path[64], line[512];
    uint32_t n = 0;
    snprintf (path, sizeof path, "/proc/%d/net/tcp", (int) pid);
    FILE *file = fopen (path, "re");
    while (file && n < PORTS && fgets (line, sizeof line, file)) {
        unsigned port, state;
        if (sscanf (line, " %*d: %*x:%x %*x:%*x %x", &port, &state) == 2 && state == 0x0a)
            ports[n++] = (uint16_t) port;
    }
    if (file)
        fclose (file);
    return n;
}

static int s_dial (uint32_t m, uint16_t port)
{
    char address[32];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons (port)};
    const struct timeval most = {.tv_sec = 2};
    machine_address (m, address);
    inet_pton (AF_INET, address, &in.sin_addr);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (connect (fd, (struct sockaddr *) &in, sizeof in) == 0)
        return fd;
    close (fd);
    return -1;
}

/* A child on the stranger's machine; false in the parent. */
static bool s_child (chaos_t *c)
{
    const pid_t pid = fork ();
    if (pid) {
        s_remember (pid > 0 ? pid : 0, false);
        return false;
    }
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (!machine_enter (c, CHAOS_STRANGER))
        _exit (1);
    return true;
}

void strangers_scan (chaos_t *c, uint32_t m)
{
    uint16_t ports[PORTS];
    const uint32_t n = s_ports (c->procs[m].pid, ports);
    if (!s_child (c))
        return;
    for (uint32_t i = 0; i < 3 * n; i++)
        close (s_dial (m, ports[i % n]));
    _exit (0);
}

void strangers_noise (chaos_t *c, uint32_t m)
{
    uint16_t ports[PORTS];
    static uint64_t words[512];
    static const char http[] = "GET / HTTP/1.0\r\n\r\n", greeting[] = "\xff\0\0\0\0\0\0\0\1\x7f\3\1CURVE";
    const uint32_t n = s_ports (c->procs[m].pid, ports);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = noise_next (&c->noise);
    if (!s_child (c))
        return;
    for (uint32_t i = 0; i < 3 * n; i++) {
        int fd = s_dial (m, ports[i % n]);
        if (fd < 0)
            continue;
        if (i / n == 0)
            send (fd, words, sizeof words, MSG_NOSIGNAL);
        else if (i / n == 1)
            send (fd, http, sizeof http - 1, MSG_NOSIGNAL);
        else if (send (fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL) > 0)
            send (fd, words, 400, MSG_NOSIGNAL);
        usleep (20000); /* so that it is read before it is hung up */
        close (fd);
    }
    _exit (0);
}

void strangers_wrong_key (chaos_t *c, uint32_t m)
{
    char address[64], keys[300];
    static bool knows; /* the leader's public key is in the certificate of its folder */
    machine_address (m, address);
    uint16_t ports[PORTS];
    const uint32_t n = s_ports (c->procs[m].pid, ports);
    snprintf (address + strlen (address), 32, ":%u", n ? ports[0] : CHAOS_PORT);
    char endpoint[300], key[128] = "";
    if ((knows = !knows)) {
        snprintf (keys, sizeof keys, "'%s' keygen --keys '%s/keys'", c->config.rookery, c->config.folder);
        FILE *pipe = popen (keys, "r");
        if (pipe && fscanf (pipe, "this node has key %100[0-9a-f]", key) != 1)
            key[0] = '\0';
        if (pipe)
            pclose (pipe);
    }
    snprintf (endpoint, sizeof endpoint, "tcp://%s%s%s", address, key[0] ? "/" : "", key);
    snprintf (keys, sizeof keys, "%s/other-keys", c->config.folder);
    char *const argv[] = {(char *) (uintptr_t) c->config.rookery, "node", "--quiet", "--keys", keys, "--join", endpoint, NULL};
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    if (!c->config.insecure) /* where nobody has a key, none is wrong */
        s_remember (procs_spawn (c, CHAOS_STRANGER, argv, null, null), true);
    close (null);
}

/* ---- replay */
typedef struct {
    uint8_t bytes[1 << 17];
    size_t n;
} s_record_t;

static bool s_has_ready (const s_record_t *r)
{
    return memmem (r->bytes, r->n, "\5READY", 6) != NULL;
}

/* Passes on what comes in on one side and keeps it; false: that side has ended. */
static bool s_pass_on (int from, int to, s_record_t *r)
{
    uint8_t bytes[4096];
    const ssize_t n = recv (from, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    if (r->n + (size_t) n <= sizeof r->bytes) {
        memcpy (r->bytes + r->n, bytes, (size_t) n);
        r->n += (size_t) n;
    }
    return to < 0 || send (to, bytes, (size_t) n, MSG_NOSIGNAL) == n;
}

/* A friend of the run dials the stranger, who passes everything on to port `port` of machine m, and back. */
static void s_record (chaos_t *c, uint32_t m, uint16_t port, s_record_t *there, s_record_t *back)
{
    char address[64], endpoint[80], keys[300];
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof in;
    int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    if (listener < 0 || bind (listener, (struct sockaddr *) &in, size) || listen (listener, 1) ||
        getsockname (listener, (struct sockaddr *) &in, &size))
        return;
    machine_address (CHAOS_STRANGER, address);
    snprintf (endpoint, sizeof endpoint, "tcp://%s:%u", address, ntohs (in.sin_port));
    snprintf (keys, sizeof keys, "%s/keys", c->config.folder);
    char *secure[] = {(char *) (uintptr_t) c->config.rookery, "node", "--quiet", "--join", endpoint, "--keys", keys, NULL};
    char *plain[] = {(char *) (uintptr_t) c->config.rookery, "node", "--quiet", "--join", endpoint, "--insecure", "--insecure", NULL};
    const pid_t guest = procs_spawn (c, CHAOS_STRANGER, c->config.insecure ? plain : secure, null, null);
    struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}};
    const int from = poll (fds, 1, 5000) > 0 ? accept (listener, NULL, NULL) : -1, to = from >= 0 ? s_dial (m, port) : -1;
    const int64_t until = chaos_now_ms () + RECORD_MS;
    fds[0].fd = from;
    fds[1] = (struct pollfd){.fd = to, .events = POLLIN};
    for (bool on = from >= 0 && to >= 0; on && chaos_now_ms () < until;) {
        if (poll (fds, 2, 100) <= 0)
            continue;
        on = (!fds[0].revents || s_pass_on (from, to, there)) && (!fds[1].revents || s_pass_on (to, from, back));
    }
    if (guest)
        kill (guest, SIGKILL);
    if (from >= 0)
        close (from);
    if (to >= 0)
        close (to);
}

/* The recorded bytes again, `n` of them, on a connection of the stranger's own; what comes back is kept. */
static void s_again (uint32_t m, uint16_t port, const s_record_t *record, size_t n, s_record_t *answer)
{
    int fd = s_dial (m, port);
    const int64_t until = chaos_now_ms () + PATIENCE_MS;
    struct pollfd in = {.fd = fd, .events = POLLIN};
    answer->n = 0;
    if (fd < 0)
        return;
    send (fd, record->bytes, n, MSG_NOSIGNAL);
    while (chaos_now_ms () < until && (poll (&in, 1, 100) <= 0 || s_pass_on (fd, -1, answer)))
        ;
    close (fd);
}

void strangers_replay (chaos_t *c, uint32_t m)
{
    uint16_t ports[PORTS];
    static s_record_t there, back, answer;
    const uint32_t n = s_ports (c->procs[m].pid, ports);
    const uint64_t cut = noise_next (&c->noise);
    if (!s_child (c))
        return;
    const uint16_t port = ports[n - 1];
    if (n)
        s_record (c, m, port, &there, &back);
    if (!s_has_ready (&back)) /* else a replay that is taken could not be told */
        _exit (NOT_RECORDED);
    bool taken = false;
    const size_t sizes[] = {there.n, there.n - 1, there.n / 2, 64 + cut % (there.n - 64)};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        s_again (m, port, &there, sizes[i], &answer);
        taken |= s_has_ready (&answer);
    }
    _exit (taken && !c->config.insecure ? WAS_TAKEN : CAME_TO_NOTHING);
}
