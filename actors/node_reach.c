/* SPDX-License-Identifier: MPL-2.0
 * How others reach this process: directly if they can, which the leader's machine tries; else through the leader. */
#include <sys/resource.h>

#include "actors/node_self.h"
#include "actors/relay/splice.h"

#define LINES_PER_NODE 64   /* connections to the inboxes of one node, with room to spare */
#define MOST_LINES 4096

/* ---- the leader */

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

void rk_node_open_relay (rk_node_t *self)
{
    const rk_node_config_t *c = self->config;
    rk_error_t err = {RK_OK, ""};
    if (!c->n_processes || rk_node_is_loopback_endpoint (c->listen))
        return;
    const rk_relay_config_t config = {.host = self->host, .identity = &self->identity, .most_lines = s_most_lines (c->n_processes)};
    if (rk_relay_new (&self->relay, &config, &err)) /* most nodes can be reached without */
        rk_log (RK_LOG_WARNING, "NO-RELAY", "nodes that others cannot reach cannot take part: %s", err.text);
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

rk_err_t rk_node_reach (rk_node_t *self, rk_error_t *err)
{
    const rk_node_config_t *c = self->config;
    bool reached = false;
    snprintf (self->identity.any, sizeof self->identity.any, "%s", self->leader_host);
    if (!self->leader_relay[0])
        return c->reach == RK_REACH_RELAY ? rk_error_set (err, RK_EPEER, "%s has no relay", self->join) : RK_OK;
    if (rk_node_is_loopback (self->leader_host)) { /* others come from outside: they will use the leader's address */
        snprintf (self->host, sizeof self->host, "0.0.0.0");
        return RK_OK;
    }
    if (c->reach == RK_REACH_DIRECT)
        return RK_OK;
    char relay[RK_NODE_ENDPOINT];
    rk_node_seen_from (self->leader_relay, self->leader_host, relay, sizeof relay);
    rk_err_t rc = rk_tunnel_new (&self->tunnel, &self->identity, relay, err);
    if (rc)
        return rc;
    if (c->reach == RK_REACH_AUTO && (s_is_reached (self, &reached) || reached)) {
        rk_tunnel_stop (&self->tunnel);
        self->identity.tunnel[0] = '\0';
        return RK_OK;
    }
    rk_log (RK_LOG_INFO, "RELAYED", "host=%s by=%s", self->host, relay);
    if (!c->quiet)
        fprintf (stderr, "others cannot reach this machine at %s: what they send comes through %s\n", self->host, self->leader_host);
    return RK_OK;
}

void rk_node_unreach (rk_node_t *self)
{
    rk_tunnel_stop (&self->tunnel);
    rk_relay_stop (&self->relay);
    rk_beacon_stop (&self->beacon);
}
