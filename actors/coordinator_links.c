/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/coordinator_links.h"

void rk_links_table_clear (rk_links_table_t *table)
{
    rk_probing_destroy (&table->probing);
    free (table->nodes);
    *table = (rk_links_table_t){0};
}

static uint32_t s_find (const rk_links_table_t *table, uint32_t node)
{
    uint32_t at = 0;
    while (at < table->n && table->nodes[at].node != node)
        at++;
    return at;
}

rk_err_t rk_links_table_add (rk_links_table_t *table, uint32_t node, uint32_t profiler, const char *endpoint, rk_error_t *err)
{
    if (!endpoint[0] || s_find (table, node) < table->n)
        return RK_OK;
    if (table->n == table->capacity) {
        const uint32_t capacity = table->capacity ? 2 * table->capacity : 8;
        rk_links_node_t *nodes = realloc (table->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return rk_error_set (err, RK_ENOMEM, "no memory for the links of %u nodes", capacity);
        table->nodes = nodes;
        table->capacity = capacity;
    }
    rk_links_node_t *entry = &table->nodes[table->n++];
    *entry = (rk_links_node_t){.node = node, .profiler = profiler};
    snprintf (entry->endpoint, sizeof entry->endpoint, "%s", endpoint);
    return RK_OK;
}

void rk_links_table_drop (rk_links_table_t *table, uint32_t node)
{
    const uint32_t at = s_find (table, node);
    if (at == table->n)
        return;
    if (table->probing) { /* numbers of its nodes must not move: it is forgotten when this measuring is over */
        rk_probing_drop (table->probing, at);
        table->nodes[at].endpoint[0] = '\0';
        return;
    }
    memmove (table->nodes + at, table->nodes + at + 1, (table->n - at - 1) * sizeof *table->nodes);
    table->n--;
    table->n_known -= at < table->n_known;
}

rk_err_t rk_links_table_start (rk_links_table_t *table, const rk_profiles_t *profiles, bool *under_way, rk_error_t *err)
{
    *under_way = table->probing != NULL;
    if (*under_way || table->n < 2 || table->n_known == table->n)
        return RK_OK;
    uint64_t *hosts = calloc (table->n, sizeof *hosts);
    if (!hosts)
        return rk_error_set (err, RK_ENOMEM, "no memory for the links of %u nodes", table->n);
    for (uint32_t i = 0; i < table->n; i++)
        for (uint32_t p = 0; p < profiles->n; p++)
            if (profiles->nodes[p].id == table->nodes[i].node)
                hosts[i] = profiles->nodes[p].host;
    rk_err_t rc = rk_probing_new (&table->probing, hosts, table->n, table->n_known, 1);
    free (hosts);
    if (rc)
        return rk_error_set (err, rc, "no memory for the links of %u nodes", table->n);
    rk_log (RK_LOG_INFO, "LINKS", "nodes=%u known=%u pairs=%u", table->n, table->n_known, rk_probing_n (table->probing));
    *under_way = true;
    return RK_OK;
}

bool rk_links_table_next (rk_links_table_t *table, rk_link_request_t *request)
{
    uint32_t a, b;
    if (!table->probing || !rk_probing_next (table->probing, &a, &b))
        return false;
    *request = (rk_link_request_t){table->nodes[a].node, table->nodes[b].node, table->nodes[b].profiler, table->nodes[b].endpoint};
    return true;
}

rk_err_t rk_links_table_take (rk_links_table_t *table, rk_profiles_t *profiles, const rk_link_measured_t *m, rk_error_t *err)
{
    if (!table->probing || rk_probing_done (table->probing, s_find (table, m->from), s_find (table, m->to)))
        return rk_error_set (err, RK_EFORMAT, "figures of a link from node %u to %u, which nobody asked for", m->from, m->to);
    rk_err_t rc = rk_profiles_link (profiles, &(rk_link_t){m->from, m->to, m->bytes_per_s, m->rtt_ns}, err);
    if (!rc)
        rc = rk_profiles_link (profiles, &(rk_link_t){m->to, m->from, m->back_bytes_per_s, m->rtt_ns}, err);
    return rc;
}

bool rk_links_table_over (rk_links_table_t *table)
{
    if (table->probing && !rk_probing_over (table->probing))
        return false;
    rk_probing_destroy (&table->probing);
    for (uint32_t i = table->n; i > 0; i--)
        if (!table->nodes[i - 1].endpoint[0])
            rk_links_table_drop (table, table->nodes[i - 1].node);
    table->n_known = table->n;
    return true;
}

/* ---- the table as a message */
uint64_t *rk_links_pack (const rk_profiles_t *profiles)
{
    uint64_t *words = profiles->n_links ? malloc (profiles->n_links * 4 * sizeof *words) : NULL;
    for (size_t i = 0; words && i < profiles->n_links; i++) {
        const rk_link_t *l = &profiles->links[i];
        const uint64_t link[4] = {l->from, l->to, l->bytes_per_s, l->rtt_ns};
        memcpy (words + 4 * i, link, sizeof link);
    }
    return words;
}

rk_err_t rk_links_unpack (rk_profiles_t *profiles, rk_packet_t *packet, rk_error_t *err)
{
    rk_err_t rc = RK_OK;
    for (uint32_t i = 0; !rc && i < packet->msg.profile.n_links; i++) {
        uint64_t w[4]; /* the frame may start anywhere */
        memcpy (w, (const uint8_t *) zmq_msg_data (&packet->frame[0]) + i * sizeof w, sizeof w);
        rc = w[0] > UINT32_MAX || w[1] > UINT32_MAX
                 ? rk_error_set (err, RK_EFORMAT, "a link between nodes %llu and %llu", (unsigned long long) w[0],
                                 (unsigned long long) w[1])
                 : rk_profiles_link (profiles, &(rk_link_t){(uint32_t) w[0], (uint32_t) w[1], w[2], w[3]}, err);
    }
    return rc;
}
