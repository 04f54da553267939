/* SPDX-License-Identifier: MPL-2.0
 * Machines: namespaces on one bridge, 10.78.0.(10 + m). What is done to their links uses iproute2 alone: a bridge port that is
 * disabled drops both directions silently; a wrong neighbour entry loses what one side sends; tbf slows.   */
#include "tests/chaos/chaos.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISC_MB   128
#define DISC_SIZE "size=128m"

static bool s_do (const char *fmt, ...) __attribute__ ((format (printf, 1, 2)));
static bool s_do (const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start (args, fmt);
    vsnprintf (line, sizeof line - 16, fmt, args);
    va_end (args);
    return system (line) == 0;
}

void machine_address (uint32_t m, char text[32])
{
    snprintf (text, 32, "10.78.0.%u", 10 + m);
}

static bool s_up (chaos_t *c, uint32_t m)
{
    char address[32], path[512];
    machine_address (m, address);
    snprintf (path, sizeof path, "%s/%s", c->config.folder, chaos_name (m));
    const char *t = c->tag;
    return (mkdir (path, 0755) == 0 || access (path, W_OK) == 0) &&
           s_do ("ip netns add %s-%u 2>/dev/null", t, m) &&
           s_do ("ip -n %s-sw link add p%u type veth peer name eth netns %s-%u 2>/dev/null", t, m, t, m) &&
           s_do ("ip -n %s-sw link set p%u master sw up", t, m) &&
           s_do ("ip -n %s-%u addr add %s/24 dev eth", t, m, address) &&
           s_do ("ip -n %s-%u link set eth up && ip -n %s-%u link set lo up", t, m, t, m) &&
           mount ("chaos", path, "tmpfs", 0, DISC_SIZE) == 0;
}

bool machines_up (chaos_t *c)
{
    const char *t = c->tag;
    bool up = geteuid () == 0 && s_do ("ip netns add %s-sw 2>/dev/null", t) &&
              s_do ("ip -n %s-sw link add sw type bridge 2>/dev/null && ip -n %s-sw link set sw up", t, t);
    for (uint32_t m = 0; up && m <= c->config.n_nodes; m++) {
        up = s_up (c, m);
        machine_slow (c, m, 0);
    }
    return up && s_up (c, CHAOS_STRANGER);
}

void machines_down (chaos_t *c)
{
    char path[512];
    for (uint32_t m = 0; m <= CHAOS_STRANGER; m++) {
        snprintf (path, sizeof path, "%s/%s", c->config.folder, chaos_name (m));
        umount2 (path, MNT_DETACH);
        s_do ("ip netns del %s-%u 2>/dev/null", c->tag, m);
    }
    s_do ("ip netns del %s-sw 2>/dev/null", c->tag);
}

/* A host name of its own makes it another machine in Rookery's eyes: no sockets in the file system, no look at /proc. */
bool machine_enter (const chaos_t *c, uint32_t m)
{
    char path[512];
    snprintf (path, sizeof path, "/run/netns/%s-%u", c->tag, m);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    bool in = fd >= 0 && setns (fd, CLONE_NEWNET) == 0;
    if (fd >= 0)
        close (fd);
    snprintf (path, sizeof path, "%s/%s", c->config.folder, chaos_name (m));
    return in && unshare (CLONE_NEWUTS) == 0 && sethostname (chaos_name (m), 3) == 0 && chdir (path) == 0;
}

void machine_cut (chaos_t *c, uint32_t m, bool cut)
{
    s_do ("bridge -n %s-sw link set dev p%u state %d", c->tag, m, cut ? 0 : 3);
}

void machine_mute (chaos_t *c, uint32_t m, bool mute)
{
    char address[32];
    for (uint32_t q = 0; q <= c->config.n_nodes; q++) {
        machine_address (q, address);
        if (q != m && mute)
            s_do ("ip -n %s-%u neigh replace %s lladdr 02:00:00:00:de:ad dev eth nud permanent", c->tag, m, address);
        else if (q != m)
            s_do ("ip -n %s-%u neigh del %s dev eth 2>/dev/null", c->tag, m, address);
    }
}

/* A slow reader has a long queue; a link that is as it always is has a short one. */
void machine_slow (chaos_t *c, uint32_t m, uint32_t kbit)
{
    if (kbit)
        s_do ("tc -n %s-sw qdisc replace dev p%u root tbf rate %ukbit burst 8kb latency 2s", c->tag, m, kbit);
    else if (c->config.rate_kbit)
        s_do ("tc -n %s-sw qdisc replace dev p%u root tbf rate %ukbit burst 32kb latency 200ms", c->tag, m, c->config.rate_kbit);
    else
        s_do ("tc -n %s-sw qdisc del dev p%u root 2>/dev/null", c->tag, m);
}

void machine_fill (chaos_t *c, uint32_t m, bool full)
{
    char path[512];
    snprintf (path, sizeof path, "%s/%s/fill", c->config.folder, chaos_name (m));
    if (!full) {
        unlink (path);
        return;
    }
    static char zeros[1 << 16];
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    for (uint32_t i = 0; fd >= 0 && i < DISC_MB * 16 && write (fd, zeros, sizeof zeros) > 0; i++)
        ;
    if (fd >= 0)
        close (fd);
}

void machine_jump (chaos_t *c, uint32_t m, int seconds)
{
    char path[512], next[520];
    snprintf (path, sizeof path, "%s/clock-%u", c->config.folder, m);
    snprintf (next, sizeof next, "%s.new", path);
    FILE *file = fopen (next, "w");
    if (!file)
        return;
    fprintf (file, "%+d\n", seconds);
    fclose (file);
    rename (next, path);
}
