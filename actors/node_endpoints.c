/* SPDX-License-Identifier: MPL-2.0
 * Addresses: what may be bound, where, and how others see it.                                             */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "actors/node_self.h"
#include "actors/relay/splice.h"

#define OWN_MS 1000 /* for a connection to this very machine */

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

#define NO_LOOPBACK "what goes from this machine to itself does not arrive: is its loopback interface up (ip link set lo up), or does a firewall drop it?"

static bool s_arrives (const char *host, uint16_t port)
{
    struct pollfd item = {.fd = rk_tcp_dial (host, port), .events = POLLOUT};
    const bool arrives = item.fd >= 0 && poll (&item, 1, OWN_MS) > 0 && rk_tcp_connected (item.fd);
    if (item.fd >= 0)
        close (item.fd);
    return arrives;
}

static bool s_resolve (const char *host, struct in_addr *address)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo (host, "9", &hints, &list) != 0)
        return false;
    *address = ((const struct sockaddr_in *) (const void *) list->ai_addr)->sin_addr;
    freeaddrinfo (list);
    return true;
}

/* On some interface, which may be down. */
static bool s_is_own (struct in_addr address)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs (&list) != 0)
        return true; /* whoever binds it will see */
    bool own = false;
    for (const struct ifaddrs *i = list; i && !own; i = i->ifa_next)
        own = i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
              ((const struct sockaddr_in *) (const void *) i->ifa_addr)->sin_addr.s_addr == address.s_addr;
    freeifaddrs (list);
    return own;
}

rk_err_t rk_node_check_own (const char *endpoint, rk_error_t *err)
{
    char host[64];
    int fd;
    uint16_t port;
    struct in_addr address;
    if (strstr (endpoint, "://"))
        rk_node_host_of (endpoint, host, sizeof host);
    else
        snprintf (host, sizeof host, "%s", endpoint);
    if (strcmp (host, "*") == 0 || strcmp (host, "0.0.0.0") == 0)
        snprintf (host, sizeof host, "127.0.0.1");
    if (!host[0] || !s_resolve (host, &address))
        return RK_OK;
    const bool loopback = (ntohl (address.s_addr) >> 24) == 127;
    if (!loopback && !s_is_own (address))
        return rk_error_set (err, RK_EINVAL, "cannot use %s: no interface of this machine has that address (ip addr tells those that there are)", host);
    rk_err_t rc = rk_tcp_listen (host, &fd, &port, err);
    if (rc)
        return loopback ? rk_error_set (err, rc, "cannot use %s: " NO_LOOPBACK, host) : rc;
    const bool arrives = s_arrives (host, port);
    close (fd);
    return arrives ? RK_OK : rk_error_set (err, RK_EIO, "cannot use %s: " NO_LOOPBACK, host);
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
