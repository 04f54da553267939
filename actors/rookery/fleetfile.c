/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/fleetfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/runfile.h"

#define MOST_SPEED 100000.0
#define MOST_MB (1u << 30)

static bool s_find (const rk_fleetfile_t *f, const char *name, uint32_t *node)
{
    for (uint32_t i = 0; i < f->n_nodes; i++)
        if (!strcmp (f->nodes[i].name, name)) {
            *node = i;
            return true;
        }
    return false;
}

static rk_err_t s_node (rk_fleetfile_t *f, const char *value, rk_error_t *err)
{
    rk_fleetfile_node_t node = {.cores = 1};
    double ram, cores = 1;
    uint32_t other;
    int end = 0;
    int n = sscanf (value, "%31s %lf %lf%n %lf%n %31s%n", node.name, &node.speed, &ram, &end, &cores, &end, node.host, &end);
    if (n < 3 || value[end + (int) strspn (value + end, " \t")])
        return rk_error_set (err, RK_EINVAL, "node = %.60s: NAME SPEED RAM_MB [CORES [HOST]] is needed, as node = a 1 4096 4", value);
    if (!(node.speed > 0 && node.speed <= MOST_SPEED))
        return rk_error_set (err, RK_EINVAL, "node %s has speed %g; it must be above 0 (1: this machine)", node.name, node.speed);
    if (!(ram >= 1 && ram <= MOST_MB))
        return rk_error_set (err, RK_EINVAL, "node %s has %g MB of memory; it needs 1 MB or more", node.name, ram);
    if (!(cores >= 1 && cores <= 65536))
        return rk_error_set (err, RK_EINVAL, "node %s has %g cores; it needs 1 or more", node.name, cores);
    if (s_find (f, node.name, &other))
        return rk_error_set (err, RK_EINVAL, "two nodes are called %s", node.name);
    if (f->n_nodes == RK_PLAN_MAX_NODES)
        return rk_error_set (err, RK_EINVAL, "more than %u nodes", RK_PLAN_MAX_NODES);
    node.ram_mb = (uint64_t) ram;
    node.cores = (uint32_t) cores;
    f->nodes[f->n_nodes++] = node;
    return RK_OK;
}

static rk_err_t s_link (rk_fleetfile_t *f, const char *value, rk_error_t *err)
{
    char from[32], to[32];
    double mbit, ms;
    uint32_t a, b;
    int end = 0;
    if (sscanf (value, "%31s %31s %lf %lf%n", from, to, &mbit, &ms, &end) != 4 || value[end + (int) strspn (value + end, " \t")])
        return rk_error_set (err, RK_EINVAL, "link = %.60s: FROM TO MBIT_PER_S RTT_MS is needed, as link = a b 100 20", value);
    if (!s_find (f, from, &a) || !s_find (f, to, &b))
        return rk_error_set (err, RK_ENOTFOUND, "link %s %s: no node before it is called %s", from, to, s_find (f, from, &a) ? to : from);
    if (a == b)
        return rk_error_set (err, RK_EINVAL, "link %s %s leads from a node to itself", from, to);
    if (!(mbit > 0 && mbit <= 1e9) || !(ms > 0 && ms <= 1e6))
        return rk_error_set (err, RK_EINVAL, "link %s %s has %g Mbit/s and %g ms; both must be above 0", from, to, mbit, ms);
    if (!f->bytes_per_s) {
        const size_t all = (size_t) RK_PLAN_MAX_NODES * RK_PLAN_MAX_NODES;
        f->bytes_per_s = calloc (all, sizeof *f->bytes_per_s);
        f->rtt_ns = calloc (all, sizeof *f->rtt_ns);
        if (!f->bytes_per_s || !f->rtt_ns)
            return rk_error_set (err, RK_ENOMEM, "no memory for the links of a fleet");
    }
    const size_t there = (size_t) a * RK_PLAN_MAX_NODES + b, back = (size_t) b * RK_PLAN_MAX_NODES + a;
    f->bytes_per_s[there] = f->bytes_per_s[back] = (uint64_t) (mbit * 125000) + 1;
    f->rtt_ns[there] = f->rtt_ns[back] = (uint64_t) (ms * 1e6) + 1;
    return RK_OK;
}

static rk_err_t s_set (void *arg, const char *key, const char *value, rk_error_t *err)
{
    if (!strcmp (key, "node"))
        return s_node (arg, value, err);
    if (!strcmp (key, "link"))
        return s_link (arg, value, err);
    return rk_error_set (err, RK_ENOTFOUND, "no key \"%.40s\" in a fleet file; valid: node link", key);
}

static void s_pack (uint64_t *matrix, uint32_t n)
{
    for (size_t i = 0; matrix && i < n; i++)
        memmove (matrix + i * n, matrix + i * RK_PLAN_MAX_NODES, n * sizeof *matrix);
}

rk_err_t rk_fleetfile_read (rk_fleetfile_t **file_p, const char *path, rk_error_t *err)
{
    *file_p = NULL;
    rk_fleetfile_t *f = calloc (1, sizeof *f);
    if (!f)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for a fleet", path);
    rk_err_t code = rk_runfile_each (path, s_set, f, err);
    if (!code && f->n_nodes == 0)
        code = rk_error_set (err, RK_EINVAL, "%s: no node; a line for each is needed, as node = a 1 4096 4", path);
    if (code) {
        rk_fleetfile_destroy (&f);
        return code;
    }
    s_pack (f->bytes_per_s, f->n_nodes);
    s_pack (f->rtt_ns, f->n_nodes);
    *file_p = f;
    return RK_OK;
}

void rk_fleetfile_destroy (rk_fleetfile_t **file_p)
{
    if (*file_p) {
        free ((*file_p)->bytes_per_s);
        free ((*file_p)->rtt_ns);
    }
    free (*file_p);
    *file_p = NULL;
}
