/* SPDX-License-Identifier: MPL-2.0
 * The leader's measuring of links, once all nodes are profiled: who is to measure which link when is cluster/links'
 * decision; the profilers do it; what they say goes into the profile table. thread: the coordinator's own. */
#ifndef RK_ACTORS_COORDINATOR_LINKS_H
#define RK_ACTORS_COORDINATOR_LINKS_H
#include "actors/actor.h"
#include "cluster/links.h"
#include "cluster/profiles.h"

typedef struct {
    uint32_t node, profiler; /* id; address of the profiler of its process */
    char endpoint[256];
} rk_links_node_t;

typedef struct {
    rk_links_node_t *nodes;  /* that other processes can reach, in order of arrival */
    uint32_t n, capacity;
    uint32_t n_known;        /* the first ones, whose links are measured */
    rk_probing_t *probing;   /* NULL: none under way */
} rk_links_table_t;

void rk_links_table_clear (rk_links_table_t *table);
/* A node was profiled; "" as endpoint: it is of this process alone. errors: RK_ENOMEM. */
rk_err_t rk_links_table_add (rk_links_table_t *table, uint32_t node, uint32_t profiler, const char *endpoint,
                             rk_error_t *err) RK_MUST_CHECK;
/* The node is gone. */
void rk_links_table_drop (rk_links_table_t *table, uint32_t node);
/* Starts measuring what is not measured. *under_way false: nothing is to be done. errors: RK_ENOMEM. */
rk_err_t rk_links_table_start (rk_links_table_t *table, const rk_profiles_t *profiles, bool *under_way,
                               rk_error_t *err) RK_MUST_CHECK;
/* The next question, whose endpoint is borrowed; false: none now. */
bool rk_links_table_next (rk_links_table_t *table, rk_link_request_t *request);
/* An answer: both directions go into the profiles. errors: RK_EFORMAT (nobody asked, or figures that no link has). */
rk_err_t rk_links_table_take (rk_links_table_t *table, rk_profiles_t *profiles, const rk_link_measured_t *measured,
                              rk_error_t *err) RK_MUST_CHECK;
bool rk_links_table_over (rk_links_table_t *table);

/* ---- the table as a message, for both ways */
/* n x (from, to, bytes/s, round trip) as the frame of a Profile; owner: the caller. NULL: no links, or no memory. */
uint64_t *rk_links_pack (const rk_profiles_t *profiles);
/* errors: RK_EFORMAT, RK_ENOMEM. */
rk_err_t rk_links_unpack (rk_profiles_t *profiles, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

#endif
