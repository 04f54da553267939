/* SPDX-License-Identifier: MPL-2.0
 * A fleet as a table and as JSON.                                                                         */
#include "actors/rookery/profile.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define COLUMNS 8 /* of the matrix side by side */

void rk_profile_rate_text (uint64_t bytes_per_s, char *text, size_t size)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}, {1, "B/s"}};
    size_t u = 0;
    if (!bytes_per_s)
        snprintf (text, size, "-");
    else if (bytes_per_s == RK_LINK_DEAD_BYTES_PER_S)
        snprintf (text, size, "dead");
    else {
        while (u < 3 && (double) bytes_per_s < units[u].unit)
            u++;
        const double value = (double) bytes_per_s / units[u].unit;
        snprintf (text, size, value < 10 ? "%.1f %s" : "%.0f %s", value, units[u].name);
    }
}

void rk_profile_time_text (uint64_t ns, char *text, size_t size)
{
    if (!ns)
        snprintf (text, size, "-");
    else if (ns < 10000000)
        snprintf (text, size, ns < 10000 ? "%.1f us" : "%.0f us", (double) ns / 1e3);
    else
        snprintf (text, size, "%.0f ms", (double) ns / 1e6);
}

static uint64_t s_minibatch_ns (const rk_profile_t *p, uint32_t n_layers)
{
    uint64_t ns = 0;
    for (uint32_t l = 0; l < n_layers; l++)
        ns += p->forward_ns[l] + p->backward_ns[l];
    return ns;
}

/* 1, 2, ...: nodes of one machine have one number. */
static uint32_t s_machine (const rk_fleet_t *fleet, uint32_t node)
{
    uint32_t machine = 0;
    for (uint32_t i = 0; i <= node; i++) {
        uint32_t j = 0;
        while (j < i && fleet->nodes[j].host != fleet->nodes[i].host)
            j++;
        machine += j == i;
        if (fleet->nodes[i].host == fleet->nodes[node].host)
            return machine;
    }
    return machine;
}

static void s_print_matrix (const rk_fleet_t *fleet, uint32_t from_column, const uint64_t *figures,
                            void (*text_of) (uint64_t, char *, size_t))
{
    const uint32_t n = fleet->n_nodes, end = from_column + COLUMNS < n ? from_column + COLUMNS : n;
    printf ("%-12s", "");
    for (uint32_t j = from_column; j < end; j++)
        printf (" %8u", fleet->nodes[j].id);
    printf ("\n");
    for (uint32_t i = 0; i < n; i++) {
        printf ("%3u %-8.8s", fleet->nodes[i].id, fleet->nodes[i].name);
        for (uint32_t j = from_column; j < end; j++) {
            char text[32] = "";
            if (i != j)
                text_of (figures[(size_t) i * n + j], text, sizeof text);
            printf (" %8s", text);
        }
        printf ("\n");
    }
}

void rk_profile_print_fleet (const rk_fleet_t *fleet, uint32_t n_layers)
{
    printf ("%3s %-24s %7s %5s %6s %9s %9s %12s\n", "id", "name", "machine", "cores", "speed", "memory", "GFLOP/s", "minibatch ms");
    for (uint32_t i = 0; i < fleet->n_nodes; i++) {
        const rk_profile_t *p = &fleet->nodes[i];
        printf ("%3u %-24.24s %7u %5u %6.3g %6.1f GB %9.1f %12.2f\n", p->id, p->name, s_machine (fleet, i), p->cores,
                (double) p->speed_ppm / 1e6, (double) p->ram_bytes / 1e9, (double) p->gemm_mflops / 1e3,
                (double) s_minibatch_ns (p, n_layers) / 1e6);
    }
    for (uint32_t j = 0; fleet->link_bytes_per_s && j < fleet->n_nodes; j += COLUMNS) {
        printf ("\nrate from row to column\n");
        s_print_matrix (fleet, j, fleet->link_bytes_per_s, rk_profile_rate_text);
        printf ("\nround trip\n");
        s_print_matrix (fleet, j, fleet->link_rtt_ns, rk_profile_time_text);
    }
}

/* ---- for programs */
static json_t *s_node_json (const rk_profile_t *p, uint32_t n_layers)
{
    json_t *forward = json_array (), *backward = json_array ();
    for (uint32_t l = 0; l < n_layers; l++) {
        json_array_append_new (forward, json_integer ((json_int_t) p->forward_ns[l]));
        json_array_append_new (backward, json_integer ((json_int_t) p->backward_ns[l]));
    }
    char host[20];
    snprintf (host, sizeof host, "%016llx", (unsigned long long) p->host);
    return json_pack ("{s:I,s:s,s:s,s:I,s:f,s:I,s:I,s:o,s:o}", "id", (json_int_t) p->id, "name", p->name, "host", host, "cores",
                      (json_int_t) p->cores, "speed", (double) p->speed_ppm / 1e6, "ram_bytes", (json_int_t) p->ram_bytes,
                      "gemm_mflops", (json_int_t) p->gemm_mflops, "forward_ns", forward, "backward_ns", backward);
}

static bool s_measured (const rk_profiles_t *table, uint32_t from, uint32_t to)
{
    for (size_t l = 0; l < table->n_links; l++)
        if (table->links[l].from == from && table->links[l].to == to)
            return true;
    return false;
}

static json_t *s_links_json (const rk_profiles_t *table, const rk_fleet_t *fleet)
{
    json_t *list = json_array ();
    for (uint32_t i = 0; fleet->link_bytes_per_s && i < fleet->n_nodes; i++)
        for (uint32_t j = 0; j < fleet->n_nodes; j++) {
            const size_t at = (size_t) i * fleet->n_nodes + j;
            const uint32_t from = fleet->nodes[i].id, to = fleet->nodes[j].id;
            if (i != j)
                json_array_append_new (list, json_pack ("{s:I,s:I,s:I,s:I,s:b}", "from", (json_int_t) from, "to", (json_int_t) to,
                                                        "bytes_per_s", (json_int_t) fleet->link_bytes_per_s[at], "rtt_ns",
                                                        (json_int_t) fleet->link_rtt_ns[at], "measured",
                                                        (int) s_measured (table, from, to)));
        }
    return list;
}

rk_err_t rk_profile_print_json (const rk_profiles_t *table, const rk_fleet_t *fleet, rk_error_t *err)
{
    json_t *nodes = json_array ();
    for (uint32_t i = 0; i < fleet->n_nodes; i++)
        json_array_append_new (nodes, s_node_json (&fleet->nodes[i], table->n_layers));
    json_t *root = json_pack ("{s:s,s:o,s:o}", "event", "fleet", "nodes", nodes, "links", s_links_json (table, fleet));
    char *text = root ? json_dumps (root, JSON_COMPACT | JSON_REAL_PRECISION (10)) : NULL;
    if (text)
        puts (text);
    const rk_err_t code = text ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for the text of %u nodes", fleet->n_nodes);
    free (text);
    json_decref (root);
    return code;
}
