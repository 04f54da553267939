/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/wires.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actors/security/identity.h"

#define TEXT 256

typedef struct {
    uint32_t node;
    char endpoint[TEXT];
    uint64_t before, now; /* bytes that arrived, of all connections to it */
    uint64_t bytes_per_s; /* of the fastest of them */
    uint64_t told;        /* last time */
} s_entry_t;

struct rk_wires {
    s_entry_t *list;
    size_t n, capacity;
    int64_t looked_ns; /* 0: never */
};

rk_err_t rk_wires_new (rk_wires_t **wires_p)
{
    *wires_p = calloc (1, sizeof **wires_p);
    return *wires_p ? RK_OK : RK_ENOMEM;
}

void rk_wires_destroy (rk_wires_t **wires_p)
{
    if (!*wires_p)
        return;
    free ((*wires_p)->list);
    free (*wires_p);
    *wires_p = NULL;
}

rk_err_t rk_wires_add (rk_wires_t *w, uint32_t node, const char *endpoint, rk_error_t *err)
{
    uint8_t key[RK_KEY_BYTES];
    bool has_key;
    s_entry_t entry = {.node = node};
    if (!rk_endpoint_is_tcp (endpoint) || rk_endpoint_split (endpoint, entry.endpoint, sizeof entry.endpoint, key, &has_key, NULL))
        return RK_OK;
    if (w->n == w->capacity) {
        const size_t capacity = w->capacity ? 2 * w->capacity : 16;
        s_entry_t *list = realloc (w->list, capacity * sizeof *list);
        if (!list)
            return rk_error_set (err, RK_ENOMEM, "no memory for %zu connections", capacity);
        w->list = list;
        w->capacity = capacity;
    }
    w->list[w->n++] = entry;
    return RK_OK;
}

/* ---- one open file */
static bool s_peer (int fd, char text[TEXT])
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[128], port[16];
    if (getpeername (fd, (struct sockaddr *) &address, &size) || (address.ss_family != AF_INET && address.ss_family != AF_INET6))
        return false;
    if (getnameinfo ((struct sockaddr *) &address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        return false;
    snprintf (text, TEXT, address.ss_family == AF_INET6 ? "tcp://[%s]:%s" : "tcp://%s:%s", host, port);
    return true;
}

static void s_take (rk_wires_t *w, int fd)
{
    char text[TEXT];
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (!s_peer (fd, text))
        return;
    for (size_t i = 0; i < w->n; i++) {
        s_entry_t *e = &w->list[i];
        if (strcmp (e->endpoint, text) != 0)
            continue;
        if (getsockopt (fd, IPPROTO_TCP, TCP_INFO, &info, &size) || size < offsetof (struct tcp_info, tcpi_delivery_rate) + 8)
            return;
        e->now += info.tcpi_bytes_acked;
        if (info.tcpi_delivery_rate_app_limited && info.tcpi_delivery_rate <= e->told)
            return; /* there was no more to send: it says nothing against what was seen before */
        e->bytes_per_s = info.tcpi_delivery_rate > e->bytes_per_s ? info.tcpi_delivery_rate : e->bytes_per_s;
        return;
    }
}

static void s_walk (rk_wires_t *w)
{
    DIR *dir = opendir ("/proc/self/fd");
    if (!dir)
        return;
    for (struct dirent *d = readdir (dir); d; d = readdir (dir)) {
        char *end;
        const long fd = strtol (d->d_name, &end, 10);
        if (!*end && end != d->d_name && fd != dirfd (dir))
            s_take (w, (int) fd);
    }
    closedir (dir);
}

/* ---- all of them */
static void s_add (rk_wire_t *out, size_t *n, size_t most, s_entry_t *e)
{
    const uint64_t bytes = e->now > e->before ? e->now - e->before : 0; /* less: a connection was made anew */
    size_t at = 0;
    while (at < *n && out[at].node != e->node)
        at++;
    if (at == most)
        return;
    if (at == *n)
        out[(*n)++] = (rk_wire_t){.node = e->node};
    out[at].bytes += bytes;
    if (bytes < RK_WIRES_LEAST_BYTES || !e->bytes_per_s)
        return;
    e->told = e->bytes_per_s;
    if (e->bytes_per_s > out[at].bytes_per_s)
        out[at].bytes_per_s = e->bytes_per_s;
}

static bool s_counts (const rk_wire_t *wire, int64_t ns)
{
    const double per_s = (double) wire->bytes * 1e9 / (double) (ns > 0 ? ns : 1);
    return wire->bytes_per_s && per_s * RK_WIRES_LEAST_SHARE >= (double) wire->bytes_per_s;
}

size_t rk_wires_look (rk_wires_t *w, int64_t now_ns, rk_wire_t *out, size_t most)
{
    size_t n = 0, n_used = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->list[i].before = w->list[i].now;
        w->list[i].now = w->list[i].bytes_per_s = 0;
    }
    s_walk (w);
    const bool first = !w->looked_ns;
    const int64_t ns = now_ns - w->looked_ns;
    w->looked_ns = now_ns;
    for (size_t i = 0; i < w->n && !first; i++)
        s_add (out, &n, most, &w->list[i]);
    for (size_t i = 0; i < n; i++)
        if (s_counts (&out[i], ns))
            out[n_used++] = out[i];
    return n_used;
}
