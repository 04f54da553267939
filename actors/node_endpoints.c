/* SPDX-License-Identifier: MPL-2.0
 * Addresses: what may be bound, where, and how others see it.                                             */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "actors/node_self.h"

void rk_node_host_of (const char *endpoint, char *host, size_t size)
{
    host[0] = '\0';
    if (strncmp (endpoint, "tcp://", 6) != 0)
        return;
    const char *start = endpoint + 6, *colon = strrchr (start, ':');
    if (colon)
        snprintf (host, size, "%.*s", (int) (colon - start), start);
}

bool rk_node_is_loopback (const char *host)
{
    struct in_addr address;
    if (strcmp (host, "localhost") == 0 || strcmp (host, "[::1]") == 0)
        return true;
    return inet_pton (AF_INET, host, &address) == 1 && (ntohl (address.s_addr) >> 24) == 127;
}

bool rk_node_is_loopback_endpoint (const char *endpoint)
{
    char host[64];
    rk_node_host_of (endpoint, host, sizeof host);
    return !host[0] || rk_node_is_loopback (host);
}

rk_err_t rk_node_check_endpoint (const char *endpoint, rk_error_t *err)
{
    if (strncmp (endpoint, "ipc://", 6) == 0 && endpoint[6])
        return RK_OK;
    char host[64];
    rk_node_host_of (endpoint, host, sizeof host);
    if (!host[0])
        return rk_error_set (err, RK_EINVAL, "\"%s\" is no address: tcp://HOST:PORT or ipc://FILE", endpoint);
    return RK_OK;
}

void rk_node_interface (const char *host, char *address, size_t size)
{
    snprintf (address, size, "127.0.0.1");
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM}, *list = NULL;
    if (getaddrinfo (host, "9", &hints, &list) != 0)
        return;
    /* Connecting a datagram socket sends nothing; it only chooses the way. */
    int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    if (fd >= 0 && connect (fd, list->ai_addr, list->ai_addrlen) == 0 &&
        getsockname (fd, (struct sockaddr *) &own, &length) == 0)
        inet_ntop (AF_INET, &own.sin_addr, address, (socklen_t) size);
    if (fd >= 0)
        close (fd);
    freeaddrinfo (list);
}

void rk_node_seen_from (const char *endpoint, const char *host, char *text, size_t size)
{
    static const char any[] = "tcp://0.0.0.0:";
    if (host[0] && strncmp (endpoint, any, sizeof any - 1) == 0)
        snprintf (text, size, "tcp://%s:%s", host, endpoint + sizeof any - 1);
    else
        snprintf (text, size, "%s", endpoint);
}

static bool s_one_host (const rk_plan_t *plan)
{
    for (uint32_t i = 1; i < plan->n_nodes; i++)
        if (plan->node_hosts[i] != plan->node_hosts[0])
            return false;
    return true;
}

const char *rk_node_transport (const rk_node_t *self)
{
    if (!self->follows && !self->config->n_processes)
        return self->settings.net_transport;
    /* The leader's own actors are reached by nodes of which it knows nothing yet: always tcp. Where everybody came over
     * loopback nothing has to be encrypted; sockets in the file system are faster.                             */
    const char *asked = self->settings.net_transport;
    bool near = strcmp (asked, "ipc") == 0 || (strcmp (asked, "inproc") == 0 && rk_node_is_loopback (self->host));
    return self->follows && self->plan && near && s_one_host (self->plan) ? "ipc" : "tcp";
}
