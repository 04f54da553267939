/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/beacon.h"

#include <arpa/inet.h>

#include "actors/actor.h"

#define PORT 5669
#define INTERVAL_MS 250
#define MOST_INTERFACES 16

static const uint8_t s_magic[8] = {'R', 'O', 'O', 'K', 'E', 'R', 'Y', 1}; /* the last one: version */

struct rk_beacon {
    zactor_t *zactors[MOST_INTERFACES];
    int n;
};

/* ---- bytes: magic, flags, 0, port (big-endian), key, name */
void rk_beacon_write (const rk_beacon_facts_t *facts, uint8_t bytes[RK_BEACON_BYTES])
{
    memset (bytes, 0, RK_BEACON_BYTES);
    memcpy (bytes, s_magic, sizeof s_magic);
    bytes[8] = facts->plain;
    bytes[10] = (uint8_t) (facts->port >> 8);
    bytes[11] = (uint8_t) facts->port;
    if (!facts->plain)
        memcpy (bytes + 12, facts->key, RK_KEY_BYTES);
    memcpy (bytes + 12 + RK_KEY_BYTES, facts->name, strnlen (facts->name, RK_BEACON_NAME - 1));
}

static bool s_is_name (const char *name)
{
    for (; *name; name++)
        if (*name <= ' ' || *name > '~' || strchr ("/,:", *name))
            return false;
    return true;
}

bool rk_beacon_read (rk_beacon_facts_t *facts, const uint8_t *bytes, size_t size)
{
    if (size != RK_BEACON_BYTES || memcmp (bytes, s_magic, sizeof s_magic) != 0 || bytes[8] > 1 || bytes[RK_BEACON_BYTES - 1])
        return false;
    facts->plain = bytes[8];
    facts->port = (uint16_t) (bytes[10] << 8 | bytes[11]);
    memcpy (facts->key, bytes + 12, RK_KEY_BYTES);
    memcpy (facts->name, bytes + 12 + RK_KEY_BYTES, RK_BEACON_NAME);
    return facts->port && s_is_name (facts->name);
}

void rk_beacon_name (const char *text, char name[RK_BEACON_NAME])
{
    const char *slash = strrchr (text, '/');
    snprintf (name, RK_BEACON_NAME, "%s", slash ? slash + 1 : text);
    for (char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr ("/,:", *c))
            *c = '-';
}

/* ---- one interface; zbeacon takes its name from a variable of the process */
static zactor_t *s_start (const char *interface, const rk_beacon_facts_t *facts)
{
    zactor_t *zactor = zactor_new (zbeacon, NULL);
    if (!zactor)
        return NULL;
    zsys_set_interface (interface);
    zsock_send (zactor, "si", "CONFIGURE", PORT);
    char *host = zstr_recv (zactor);
    zsys_set_interface ("");
    if (!host || !*host) {
        zstr_free (&host);
        zactor_destroy (&zactor);
        return NULL;
    }
    zstr_free (&host);
    uint8_t bytes[RK_BEACON_BYTES];
    if (facts) {
        rk_beacon_write (facts, bytes);
        zsock_send (zactor, "sbi", "PUBLISH", bytes, sizeof bytes, INTERVAL_MS);
    } else
        zsock_send (zactor, "sb", "SUBSCRIBE", s_magic, sizeof s_magic);
    return zactor;
}

rk_err_t rk_beacon_new (rk_beacon_t **beacon_p, const rk_beacon_facts_t *facts, const char *host, rk_error_t *err)
{
    rk_beacon_t *beacon = *beacon_p = calloc (1, sizeof *beacon);
    ziflist_t *interfaces = ziflist_new ();
    const bool all = strcmp (host, "*") == 0 || strcmp (host, "0.0.0.0") == 0;
    if (!beacon || !interfaces) {
        ziflist_destroy (&interfaces);
        return rk_error_set (err, RK_ENOMEM, "no memory for a beacon");
    }
    for (const char *name = ziflist_first (interfaces); name && beacon->n < MOST_INTERFACES; name = ziflist_next (interfaces)) {
        zactor_t *zactor = all || strcmp (ziflist_address (interfaces), host) == 0 ? s_start (name, facts) : NULL;
        if (zactor)
            beacon->zactors[beacon->n++] = zactor;
    }
    ziflist_destroy (&interfaces);
    if (beacon->n)
        return RK_OK;
    rk_beacon_stop (beacon_p);
    return rk_error_set (err, RK_EIO, "no network with broadcasts at %s, or UDP port %d is taken", all ? "this machine" : host, PORT);
}

/* What one of them has heard, if anything. */
static bool s_take (zactor_t *zactor, rk_beacon_facts_t *facts, char host[INET_ADDRSTRLEN])
{
    zmsg_t *msg = zmsg_recv (zactor);
    char *from = msg ? zmsg_popstr (msg) : NULL;
    zframe_t *frame = msg ? zmsg_pop (msg) : NULL;
    struct in_addr address;
    bool good = from && frame && inet_pton (AF_INET, from, &address) == 1 && rk_beacon_read (facts, zframe_data (frame), zframe_size (frame));
    if (good)
        inet_ntop (AF_INET, &address, host, INET_ADDRSTRLEN);
    zframe_destroy (&frame);
    zstr_free (&from);
    zmsg_destroy (&msg);
    return good;
}

rk_err_t rk_beacon_hear (rk_beacon_t *beacon, int64_t wait_ms, rk_beacon_facts_t *facts, char host[INET_ADDRSTRLEN])
{
    zmq_pollitem_t items[MOST_INTERFACES];
    const int64_t end_ms = rk_now_ns () / 1000000 + wait_ms;
    for (int i = 0; i < beacon->n; i++)
        items[i] = (zmq_pollitem_t){.socket = zsock_resolve (beacon->zactors[i]), .events = ZMQ_POLLIN};
    for (int64_t left_ms = wait_ms; left_ms >= 0; left_ms = end_ms - rk_now_ns () / 1000000) {
        if (zmq_poll (items, beacon->n, left_ms) <= 0)
            break;
        for (int i = 0; i < beacon->n; i++)
            if (items[i].revents && s_take (beacon->zactors[i], facts, host))
                return RK_OK;
    }
    return RK_ETIMEDOUT;
}

void rk_beacon_stop (rk_beacon_t **beacon_p)
{
    for (int i = 0; *beacon_p && i < (*beacon_p)->n; i++)
        zactor_destroy (&(*beacon_p)->zactors[i]);
    free (*beacon_p);
    *beacon_p = NULL;
}
