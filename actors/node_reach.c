/* SPDX-License-Identifier: MPL-2.0
 * How others reach this process: directly if they can, which the leader's machine tries; else through the leader, and when that is
 * lost through another member: every one that can be reached has a relay.                                 */
#include <sys/resource.h>

#include "actors/node_self.h"
#include "actors/relay/splice.h"

#define LINES_PER_NODE 64   /* connections to the inboxes of one node, with room to spare */
#define MOST_LINES 4096
#define NODES_AT_A_NODE 16   /* that a follower has room for when it joins and does not know how many there are */
#define STILL_MS 1000       /* for a relay to say that it is still there */
#define THERE_MS 3000       /* ... for another one */


/* Two descriptors for each connection, and no more than a quarter of what the process may have. */
static uint32_t s_most_lines (uint32_t n_processes)
{
    uint64_t lines = (uint64_t) LINES_PER_NODE * n_processes;
    struct rlimit files;
    lines = lines < MOST_LINES ? lines : MOST_LINES;
    if (getrlimit (RLIMIT_NOFILE, &files) != 0)
        return LINES_PER_NODE;
    const rlim_t wanted = 8 * lines;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
        if (setrlimit (RLIMIT_NOFILE, &files) != 0 && getrlimit (RLIMIT_NOFILE, &files) != 0)
            return LINES_PER_NODE;
    }
    return (uint32_t) (lines < files.rlim_cur / 8 ? lines : files.rlim_cur / 8);
}

static void s_open_relay (rk_node_t *self, uint32_t n_processes)
{
    rk_error_t err = {RK_OK, ""};
    const rk_relay_config_t config = {.host = self->host, .identity = &self->identity, .most_lines = s_most_lines (n_processes)};
    if (rk_relay_new (&self->relay, &config, &err)) /* most nodes can be reached without */
        rk_log (RK_LOG_WARNING, "NO-RELAY", "nodes that others cannot reach %s: %s",
                self->follows ? "are not helped by this one if it leads" : "cannot take part", err.text);
}

void rk_node_open_relay (rk_node_t *self)
{
    const rk_node_config_t *c = self->config;
    if (c->n_processes && !rk_node_is_loopback_endpoint (c->listen))
        s_open_relay (self, c->n_processes);
}

const char *rk_node_relay (const rk_node_t *self)
{
    return self->relay ? rk_relay_endpoint (self->relay) : NULL;
}

rk_err_t rk_node_open_beacon (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    if (!c->beacon || !c->n_processes)
        return RK_OK;
    if (rk_node_is_loopback_endpoint (c->listen))
        return rk_error_set (err, RK_EINVAL, "nobody else can reach %s: a beacon is for an address beyond this machine", c->listen);
    const rk_node_actor_t *coordinator = rk_node_find (self, rk_address (RK_ACTOR_COORDINATOR, 0)); /* whoever leads at first */
    rk_beacon_facts_t facts = {.plain = self->identity.plain};
    char host[RK_TCP_HOST];
    if (!coordinator || !rk_tcp_parse (rk_actor_endpoint (coordinator->actor), host, &facts.port))
        return rk_error_set (err, RK_EINVAL, "%s has no port that a beacon could tell", c->listen);
    memcpy (facts.key, self->identity.public_key, RK_KEY_BYTES);
    rk_beacon_name (self->settings.run_dir[0] ? self->settings.run_dir : "run", facts.name);
    rk_err_t rc = rk_beacon_new (&self->beacon, &facts, host, err);
    if (!rc && !c->quiet)
        fprintf (stderr, "or, on the same network: rookery node --join lan:%s\n", facts.name);
    return rc;
}

/* ---- a follower */
static rk_err_t s_is_reached (rk_node_t *self, bool *reached)
{
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = rk_tunnel_probe (self->identity.tunnel, self->host, reached, &err);
    if (rc)
        rk_log (RK_LOG_WARNING, "REACH", "the relay of the leader cannot be asked whether others reach this node: %s", err.text);
    return rc;
}

/* The tunnel to that relay; its name is in the identity. */
static rk_err_t s_dig (rk_node_t *self, const char *relay, rk_tunnel_t **tunnel_p, rk_error_t *err)
{
    char seen[RK_NODE_ENDPOINT];
    rk_node_seen_from (relay, self->leader_host, seen, sizeof seen);
    return rk_tunnel_new (tunnel_p, &self->identity, seen, err);
}

static void s_say_relayed (rk_node_t *self, const char *relay)
{
    char seen[RK_NODE_ENDPOINT], by[64];
    rk_node_seen_from (relay, self->leader_host, seen, sizeof seen);
    rk_node_host_of (seen, by, sizeof by);
    snprintf (self->relayed_by, sizeof self->relayed_by, "%s", relay);
    rk_log (RK_LOG_INFO, "RELAYED", "host=%s by=%s", self->host, seen);
    if (!self->config->quiet)
        fprintf (stderr, "others cannot reach this machine at %s: what they send comes through %s\n", self->host, by);
}

/* Whether it needs a relay; if so the tunnel is there. */
static rk_err_t s_try (rk_node_t *self, rk_error_t *err)
{
    const rk_reach_t reach = self->config->reach;
    bool reached = false;
    if (reach == RK_REACH_DIRECT)
        return RK_OK;
    rk_err_t rc = s_dig (self, self->leader_relay, &self->tunnel, err);
    if (rc)
        return rc;
    self->relayed = reach == RK_REACH_RELAY || reach == RK_REACH_RATHER_RELAY || !(s_is_reached (self, &reached) || reached);
    if (self->relayed)
        return RK_OK;
    rk_tunnel_stop (&self->tunnel);
    self->identity.tunnel[0] = '\0';
    return RK_OK;
}

rk_err_t rk_node_reach (rk_node_t *self, rk_error_t *err)
{
    snprintf (self->identity.any, sizeof self->identity.any, "%s", self->leader_host);
    if (!self->leader_relay[0])
        return self->config->reach == RK_REACH_RELAY ? rk_error_set (err, RK_EPEER, "%s has no relay", self->join) : RK_OK;
    rk_err_t rc = RK_OK;
    if (rk_node_is_loopback (self->leader_host)) /* others come from outside: they will use the leader's address */
        snprintf (self->host, sizeof self->host, "0.0.0.0");
    else
        rc = s_try (self, err);
    if (self->relayed)
        s_say_relayed (self, self->leader_relay);
    else if (!rc)
        s_open_relay (self, NODES_AT_A_NODE);
    return rc;
}

/* ---- another relay */

/* All inboxes there are; of one that cannot be told its parent hears otherwise. */
static rk_err_t s_move_all (rk_node_t *self, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    for (size_t i = 0; !rc && i < self->n_actors; i++)
        if (!self->actors[i].ended)
            rc = rk_actor_move (self->actors[i].actor, self->identity.tunnel, err);
    return rc;
}

static bool s_move_to (rk_node_t *self, const char *relay)
{
    char before[sizeof self->identity.tunnel];
    rk_tunnel_t *next = NULL;
    rk_error_t err = {RK_OK, ""};
    memcpy (before, self->identity.tunnel, sizeof before);
    rk_err_t rc = s_dig (self, relay, &next, &err);
    if (!rc && !rk_tunnel_answers (self->identity.tunnel, THERE_MS))
        rc = rk_error_set (&err, RK_ETIMEDOUT, "it does not answer for %d ms", THERE_MS);
    if (!rc)
        rc = s_move_all (self, &err);
    if (rc) {
        rk_log (RK_LOG_WARNING, "RELAY", "%s does not relay for this machine: %s", relay, err.text);
        rk_tunnel_stop (&next);
        memcpy (self->identity.tunnel, before, sizeof before);
        return false;
    }
    rk_tunnel_stop (&self->tunnel);
    self->tunnel = next;
    s_say_relayed (self, relay);
    return true;
}

/* Nobody is left who would have to reach it by a relay. */
static void s_stop_relaying (rk_node_t *self)
{
    rk_error_t err = {RK_OK, ""};
    self->identity.tunnel[0] = self->relayed_by[0] = '\0';
    if (s_move_all (self, &err))
        rk_log (RK_LOG_WARNING, "RELAY", "%s", err.text);
    rk_tunnel_stop (&self->tunnel);
}

void rk_node_move (rk_node_t *self, const rk_endpoints_t *relays)
{
    if (!self->relayed)
        return;
    bool is_there = false;
    for (size_t i = 0; self->tunnel && i < relays->n; i++)
        is_there = is_there || strcmp (relays->list[i].endpoint, self->relayed_by) == 0;
    if (is_there && rk_tunnel_answers (self->identity.tunnel, STILL_MS))
        return;
    for (size_t i = 0; i < relays->n; i++)
        if (strcmp (relays->list[i].endpoint, self->relayed_by) != 0 && s_move_to (self, relays->list[i].endpoint))
            return;
    if (!relays->n && self->tunnel)
        s_stop_relaying (self);
    else if (relays->n)
        rk_log (RK_LOG_WARNING, "NO-RELAY", "others cannot reach this machine, and of %zu members that could relay for it none answers", relays->n);
}

void rk_node_unreach (rk_node_t *self)
{
    rk_tunnel_stop (&self->tunnel);
    rk_relay_stop (&self->relay);
    rk_beacon_stop (&self->beacon);
}
