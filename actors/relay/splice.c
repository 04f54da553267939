/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/relay/splice.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEAD_AFTER_MS 20000
#define BACKLOG 64

/* ---- sockets */
bool rk_tcp_parse (const char *text, char host[RK_TCP_HOST], uint16_t *port)
{
    const char *start = strncmp (text, "tcp://", 6) == 0 ? text + 6 : text, *colon = strrchr (start, ':');
    char *end;
    if (!colon || colon == start || colon - start >= RK_TCP_HOST)
        return false;
    unsigned long number = strtoul (colon + 1, &end, 10);
    if (end == colon + 1 || (*end && *end != '/') || number == 0 || number > UINT16_MAX)
        return false;
    snprintf (host, RK_TCP_HOST, "%.*s", (int) (colon - start), start);
    *port = (uint16_t) number;
    return true;
}

static bool s_resolve (const char *host, uint16_t port, struct sockaddr_in *address)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    char service[8];
    snprintf (service, sizeof service, "%u", port);
    if (getaddrinfo (strcmp (host, "*") == 0 ? NULL : host, service, &hints, &list) != 0)
        return false;
    memcpy (address, list->ai_addr, sizeof *address);
    freeaddrinfo (list);
    return true;
}

/* A peer that is gone without a word must not hold its place. */
static void s_tune (int fd)
{
    const int yes = 1, idle_s = 10, every_s = 5, tries = 2;
    const unsigned dead_ms = DEAD_AFTER_MS;
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

rk_err_t rk_tcp_listen (const char *host, int *fd_p, uint16_t *port, rk_error_t *err)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (!s_resolve (host, 0, &address))
        return rk_error_set (err, RK_EIO, "%s is no address to listen on", host);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) != 0 || listen (fd, BACKLOG) != 0 ||
        getsockname (fd, (struct sockaddr *) &address, &size) != 0) {
        rk_err_t code = rk_error_set (err, RK_EIO, "cannot listen on %s: %s", host, strerror (errno));
        if (fd >= 0)
            close (fd);
        return code;
    }
    *fd_p = fd;
    *port = ntohs (address.sin_port);
    return RK_OK;
}

int rk_tcp_dial (const char *host, uint16_t port)
{
    struct sockaddr_in address;
    if (!s_resolve (host, port, &address)) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    s_tune (fd);
    if (connect (fd, (struct sockaddr *) &address, sizeof address) != 0 && errno != EINPROGRESS) {
        int why = errno;
        close (fd);
        errno = why;
        return -1;
    }
    return fd;
}

bool rk_tcp_connected (int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt (fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

int rk_tcp_accept (int listening)
{
    int fd = accept4 (listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        s_tune (fd);
    return fd;
}

/* ---- two of them */
rk_err_t rk_splice_open (rk_splice_t *splice, int first, int second)
{
    *splice = (rk_splice_t){.fd = {first, second}, .bytes = malloc (2 * RK_SPLICE_BYTES)};
    return splice->bytes ? RK_OK : RK_ENOMEM;
}

void rk_splice_close (rk_splice_t *splice)
{
    for (int i = 0; i < 2; i++)
        if (splice->fd[i] >= 0)
            close (splice->fd[i]);
    free (splice->bytes);
    *splice = (rk_splice_t){.fd = {-1, -1}};
}

void rk_splice_poll (const rk_splice_t *splice, struct pollfd items[2])
{
    for (int i = 0; i < 2; i++) {
        const bool room = splice->begin[i] == splice->end[i], waits = splice->begin[1 - i] < splice->end[1 - i];
        items[i] = (struct pollfd){.fd = splice->fd[i], .events = (short) ((room && !splice->over[i] ? POLLIN : 0) | (waits ? POLLOUT : 0))};
        if (!items[i].events && splice->over[i])
            items[i].fd = -1; /* it would say again and again that it has ended */
    }
}

static bool s_later (void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* One direction; false: broken. */
static bool s_pass (rk_splice_t *s, int from)
{
    uint8_t *bytes = s->bytes + (size_t) from * RK_SPLICE_BYTES;
    if (s->begin[from] == s->end[from] && !s->over[from]) {
        ssize_t n = recv (s->fd[from], bytes, RK_SPLICE_BYTES, 0);
        if (n < 0 && !s_later ())
            return false;
        s->over[from] = n == 0;
        s->begin[from] = 0;
        s->end[from] = n > 0 ? (size_t) n : 0;
    }
    if (s->begin[from] < s->end[from]) {
        ssize_t n = send (s->fd[1 - from], bytes + s->begin[from], s->end[from] - s->begin[from], MSG_NOSIGNAL);
        if (n < 0 && !s_later ())
            return false;
        s->begin[from] += n > 0 ? (size_t) n : 0;
    }
    return true;
}

bool rk_splice_move (rk_splice_t *splice)
{
    for (int i = 0; i < 2; i++)
        if (!s_pass (splice, i))
            return false;
    /* Nobody here closes half a connection: when one has hung up and its last words are passed on, it is over. */
    for (int i = 0; i < 2; i++)
        if (splice->over[i] && splice->begin[i] == splice->end[i])
            return false;
    return true;
}
