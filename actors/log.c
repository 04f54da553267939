/* SPDX-License-Identifier: MPL-2.0
 * Log lines: "12:34:56.789 warning PEER-STALE text". The level comes from the environment (RK_LOG=error|
 * warning|info|debug), read at each call: logging is rare, and there is no state to share between threads. */
#include "actors/actor.h"

#include <strings.h>

static const char *const s_levels[] = {"error", "warning", "info", "debug"};

static rk_log_level_t s_shown (void)
{
    const char *name = getenv ("RK_LOG");
    for (int i = 0; name && i <= RK_LOG_DEBUG; i++)
        if (strcasecmp (name, s_levels[i]) == 0)
            return (rk_log_level_t) i;
    return RK_LOG_WARNING;
}

void rk_log (rk_log_level_t level, const char *id, const char *fmt, ...)
{
    if (level > s_shown ())
        return;
    char line[512];
    struct timespec now;
    struct tm local;
    clock_gettime (CLOCK_REALTIME, &now);
    localtime_r (&now.tv_sec, &local);
    int at = snprintf (line, sizeof line, "%02d:%02d:%02d.%03d %s %s ", local.tm_hour, local.tm_min, local.tm_sec,
                       (int) (now.tv_nsec / 1000000), s_levels[level], id);
    va_list args;
    va_start (args, fmt);
    vsnprintf (line + at, sizeof line - (size_t) at, fmt, args);
    va_end (args);
    /* One call: lines of several threads do not mix. A terminal may hold the observer's live line: written over. */
    fprintf (stderr, "%s%s\n", isatty (STDERR_FILENO) == 1 ? "\r\033[K" : "", line);
}
