/* SPDX-License-Identifier: MPL-2.0
 * PROFILE, second half: every node is measured, now their links are.                                      */
#include "actors/coordinator_self.h"

static void s_request (rk_coordinator_t *self, rk_link_request_t *request)
{
    rk_msg_t msg = {.kind = RK_MSG_LINK_REQUEST, .link_request = *request};
    const uint32_t process = rk_coordinator_host_of (self, request->from);
    if (process == self->process)
        rk_coordinator_to_kind (self, RK_ACTOR_PROFILER, &msg);
    else
        rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, process), &msg, NULL, 0);
}

bool rk_coordinator_measure_links (rk_coordinator_t *self)
{
    rk_error_t err = {RK_OK, ""};
    bool under_way;
    if (rk_links_table_start (&self->links, &self->profiles, &under_way, &err)) {
        rk_coordinator_end (self, err.code, "%s", err.text);
        return true;
    }
    rk_link_request_t request;
    while (under_way && rk_links_table_next (&self->links, &request))
        s_request (self, &request);
    return under_way && !rk_links_table_over (&self->links);
}

void rk_coordinator_ask_link_again (rk_coordinator_t *self)
{
    rk_msg_t msg = {.kind = RK_MSG_LINK_REQUEST, .link_request = self->link_request};
    msg.link_request.endpoint = self->link_endpoint;
    if (self->link_open)
        rk_coordinator_to_kind (self, RK_ACTOR_PROFILER, &msg);
}

/* A follower passes it on to its profiler, and keeps it in case that one fails. */
rk_err_t rk_coordinator_on_link_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER)
        return rk_coordinator_refuse (packet, "not from the leader", err);
    self->link_request = packet->msg.link_request;
    snprintf (self->link_endpoint, sizeof self->link_endpoint, "%s", self->link_request.endpoint);
    self->link_open = true;
    rk_coordinator_to_kind (self, RK_ACTOR_PROFILER, &packet->msg);
    return RK_OK;
}

rk_err_t rk_coordinator_on_link_measured (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_link_measured_t *m = &packet->msg.link_measured;
    self->link_open = false;
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    const rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind == RK_FROM_STRANGER || rk_coordinator_host_of (self, m->from) != origin.process)
        return rk_coordinator_refuse (packet, "of somebody else's link", err);
    if (self->state > RK_STATE_PROFILE) { /* in use */
        if (self->replan.observed && self->state < RK_STATE_VIEW)
            rk_observed_link (self->replan.observed, m->from, m->to, m->bytes_per_s);
        return RK_OK;
    }
    rk_err_t rc = rk_links_table_take (&self->links, &self->profiles, m, err);
    if (rc)
        return rc;
    rk_log (RK_LOG_DEBUG, "LINK-RATE", "from=%u to=%u bytes_per_s=%llu back=%llu rtt_us=%llu", m->from, m->to,
            (unsigned long long) m->bytes_per_s, (unsigned long long) m->back_bytes_per_s, (unsigned long long) m->rtt_ns / 1000);
    rk_coordinator_progress (self);
    if (rk_links_table_over (&self->links))
        rk_coordinator_after_profile (self);
    else
        rk_coordinator_measure_links (self);
    return RK_OK;
}
