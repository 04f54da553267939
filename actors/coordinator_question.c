/* SPDX-License-Identifier: MPL-2.0
 * A member's connection has ended: has its process? On this machine its pid tells. Another machine is asked by a plain tcp
 * connection to the member's inbox: if that is refused the machine is up and nobody listens there, so the process is gone
 * and nobody needs to wait for its silence. Whatever else comes of it (somebody listens, no answer within ANSWER_MS, no
 * way) says nothing, and silence goes on to count. cluster/member says when to ask, and what an answer is worth.
 * It is evidence of one observer, no proof: the member keeps its vote.                                     */
#include "actors/coordinator_self.h"

#include <arpa/inet.h>

#include "actors/host.h"
#include "actors/node_endpoints.h"
#include "actors/relay/splice.h"

#define ANSWER_MS 250
#define LOOK_MS 2 /* while an answer is awaited */

void rk_coordinator_hung_up (void *arg, uint32_t address)
{
    rk_coordinator_t *self = arg;
    if (!self->membership || self->state >= RK_STATE_STOPPING)
        return;
    rk_log (RK_LOG_DEBUG, "HUNG-UP", "process=%u", rk_address_node (address));
    rk_coordinator_joiner_hung_up (self, rk_address_node (address), rk_coordinator_now_ms ());
    rk_membership_hung_up (self->membership, rk_address_node (address), rk_coordinator_now_ms ());
}

/* Where the member listens, by numbers: looking up a name could take long. */
static bool s_where (const rk_coordinator_t *self, const rk_view_member_t *m, char host[RK_TCP_HOST], uint16_t *port)
{
    char seen[RK_VIEW_CONTROL + RK_TCP_HOST];
    struct in_addr address;
    rk_node_seen_from (m->control, rk_loop_identity (self->loop)->any, seen, sizeof seen);
    return rk_tcp_parse (seen, host, port) && inet_pton (AF_INET, host, &address) == 1;
}

/* It cannot be dialed: it is reached through another one, whose word says nothing of it. Without relays two machines at one address
 * may be of that kind.                                                                                     */
static bool s_is_relayed (const rk_coordinator_t *self, const rk_view_member_t *m, const char *host)
{
    for (uint32_t i = 0; i < self->view->n_members && !m->relay[0]; i++) {
        const rk_view_member_t *o = &self->view->members[i];
        char other[RK_TCP_HOST];
        uint16_t port;
        if (o->relay[0] || (o->host != m->host && s_where (self, o, other, &port) && strcmp (other, host) == 0))
            return true;
    }
    return false;
}

static void s_refused (rk_coordinator_t *self, uint32_t process, int64_t asked_ms)
{
    rk_log (RK_LOG_DEBUG, "REFUSED", "process=%u", process);
    rk_membership_refused (self->membership, process, asked_ms, self->now_ms);
}

static void s_ask (rk_coordinator_t *self, uint32_t process)
{
    const rk_view_member_t *m = rk_view_find (self->view, process), *own = rk_view_find (self->view, self->process);
    char host[RK_TCP_HOST];
    uint16_t port;
    if (!m || !own)
        return;
    if (m->host == own->host && rk_host_process_gone (m->pid)) {
        rk_membership_dead (self->membership, process, self->now_ms);
        return;
    }
    if (self->n_questions == RK_QUESTIONS || !s_where (self, m, host, &port) || s_is_relayed (self, m, host))
        return;
    const int fd = rk_tcp_dial (host, port);
    if (fd >= 0)
        self->questions[self->n_questions++] = (rk_coordinator_question_t){process, fd, self->now_ms};
    else if (errno == ECONNREFUSED)
        s_refused (self, process, self->now_ms);
}

/* True when the question is over. */
static bool s_answered (rk_coordinator_t *self, const rk_coordinator_question_t *q)
{
    struct pollfd item = {.fd = q->fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll (&item, 1, 0) == 0)
        return self->now_ms >= q->asked_ms + ANSWER_MS;
    if (getsockopt (q->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNREFUSED)
        s_refused (self, q->process, q->asked_ms);
    return true;
}

void rk_coordinator_question_tick (rk_coordinator_t *self)
{
    for (uint32_t id; (id = rk_membership_ask (self->membership, self->now_ms)) != UINT32_MAX;)
        s_ask (self, id);
    for (uint32_t i = self->n_questions; i-- > 0;)
        if (s_answered (self, &self->questions[i])) {
            close (self->questions[i].fd);
            self->questions[i] = self->questions[--self->n_questions];
        }
}

int64_t rk_coordinator_answer_ms (const rk_coordinator_t *self)
{
    return self->n_questions ? self->now_ms + LOOK_MS : INT64_MAX;
}

void rk_coordinator_drop_questions (rk_coordinator_t *self)
{
    while (self->n_questions)
        close (self->questions[--self->n_questions].fd);
}
