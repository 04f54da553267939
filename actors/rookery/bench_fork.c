/* SPDX-License-Identifier: MPL-2.0
 * Ranks as processes. Each talks with the parent over a socket pair: first its endpoint, then after every
 * chunk how long it took; the parent answers with all endpoints, then with the length of the next chunk.  */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/rookery/bench_allreduce.h"

typedef struct {
    uint64_t failed;
    int64_t elapsed_ns;
    double cpu_s;
    char text[RK_RANKS_ENDPOINT]; /* endpoint, or why it failed */
} s_word_t;

typedef struct {
    uint32_t n;
    int fd[RK_RANKS_MAX];
    pid_t pid[RK_RANKS_MAX];
} s_family_t;

static bool s_write (int fd, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = write (fd, (const char *) bytes + at, size - at);
        if (n <= 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t) n : 0;
    }
    return true;
}

static bool s_read (int fd, void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = read (fd, (char *) bytes + at, size - at);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += n > 0 ? (size_t) n : 0;
    }
    return true;
}

/* ---- one rank */
static rk_err_t s_rank (rk_ranks_t *r, int fd, rk_error_t *err)
{
    char endpoints[RK_RANKS_MAX][RK_RANKS_ENDPOINT];
    s_word_t word = {0};
    rk_err_t code = rk_ranks_open (r, endpoints, err);
    if (code)
        return code;
    memcpy (word.text, endpoints[r->first], sizeof word.text);
    if (!s_write (fd, &word, sizeof word) || !s_read (fd, endpoints, r->n * sizeof *endpoints))
        return rk_error_set (err, RK_EPEER, "the parent process is gone");
    code = rk_ranks_connect (r, endpoints, err);
    for (uint64_t k = 1; !code && k;) {
        word.cpu_s = rk_process_cpu_s ();
        if (!s_write (fd, &word, sizeof word) || !s_read (fd, &k, sizeof k))
            return rk_error_set (err, RK_EPEER, "the parent process is gone");
        if (k)
            code = rk_ranks_run (r, k, &word.elapsed_ns, err);
    }
    return code;
}

static int s_child (const rk_ranks_t *like, uint32_t rank, int fd)
{
    rk_ranks_t r = *like;
    rk_error_t err = {0};
    r.first = rank;
    r.n_here = 1;
    rk_err_t code = s_rank (&r, fd, &err);
    if (code) {
        s_word_t word = {.failed = 1};
        snprintf (word.text, sizeof word.text, "%.*s", (int) sizeof word.text - 1, err.text);
        if (!s_write (fd, &word, sizeof word))
            fprintf (stderr, "rank %u: %s\n", rank, err.text);
    }
    rk_ranks_close (&r);
    return code ? 1 : 0;
}

/* ---- the parent */
static rk_err_t s_collect (const s_family_t *family, s_word_t *words, rk_error_t *err)
{
    for (uint32_t i = 0; i < family->n; i++) {
        if (!s_read (family->fd[i], &words[i], sizeof words[i]))
            return rk_error_set (err, RK_EPEER, "rank %u (process %d) is gone", i, (int) family->pid[i]);
        if (words[i].failed)
            return rk_error_set (err, RK_EPEER, "rank %u: %.*s", i, (int) sizeof words[i].text, words[i].text);
    }
    return RK_OK;
}

static rk_err_t s_lead (const s_family_t *family, rk_pace_t *pace, const volatile bool *interrupted, rk_error_t *err)
{
    s_word_t words[RK_RANKS_MAX];
    rk_err_t code = s_collect (family, words, err);
    for (uint32_t i = 0; i < family->n && !code; i++)
        for (uint32_t j = 0; j < family->n && !code; j++)
            if (!s_write (family->fd[i], words[j].text, sizeof words[j].text))
                code = rk_error_set (err, RK_EPEER, "rank %u is gone", i);
    for (uint64_t k = 1; !code && k;) {
        code = s_collect (family, words, err);
        double cpu_s = 0;
        for (uint32_t i = 0; i < family->n && !code; i++)
            cpu_s += words[i].cpu_s;
        k = code ? 0 : rk_pace_next (pace, words[0].elapsed_ns, cpu_s, interrupted);
        for (uint32_t i = 0; i < family->n && !code; i++)
            if (!s_write (family->fd[i], &k, sizeof k))
                code = rk_error_set (err, RK_EPEER, "rank %u is gone", i);
    }
    return code;
}

static rk_err_t s_spawn (s_family_t *family, const rk_ranks_t *like, rk_error_t *err)
{
    for (uint32_t i = 0; i < like->n; i++) {
        int pair[2];
        if (socketpair (AF_UNIX, SOCK_STREAM, 0, pair))
            return rk_error_set (err, RK_EIO, "no socket pair: %s", strerror (errno));
        fflush (stdout);
        pid_t pid = fork ();
        if (pid == 0) {
            close (pair[0]);
            for (uint32_t j = 0; j < i; j++)
                close (family->fd[j]);
            exit (s_child (like, i, pair[1]));
        }
        close (pair[1]);
        if (pid < 0) {
            close (pair[0]);
            return rk_error_set (err, RK_EIO, "no process for rank %u: %s", i, strerror (errno));
        }
        family->fd[i] = pair[0];
        family->pid[i] = pid;
        family->n = i + 1;
    }
    return RK_OK;
}

rk_err_t rk_ranks_fork (const rk_ranks_t *like, rk_pace_t *pace, const volatile bool *interrupted, rk_error_t *err)
{
    s_family_t family = {.n = 0};
    rk_err_t code = s_spawn (&family, like, err);
    if (!code)
        code = s_lead (&family, pace, interrupted, err);
    for (uint32_t i = 0; i < family.n; i++) {
        close (family.fd[i]); /* a rank that still waits sees the end of file and goes */
        if (code)
            kill (family.pid[i], SIGKILL);
        waitpid (family.pid[i], NULL, 0);
    }
    return code;
}
