/* SPDX-License-Identifier: MPL-2.0
 * Connections that a loop wants to hear the end of. libzmq mends broken connections and says nothing; but it tells by which
 * descriptor a message came, and that one can be polled beside its own. The descriptor is libzmq's and only looked at: closed
 * by now, or another connection's, it ends a tether that need not have ended. So an end is a hint, never a proof.          */
#include "actors/loop.h"

static rk_loop_tether_t *s_find (rk_loop_t *loop, uint32_t address)
{
    for (size_t i = 0; i < loop->n_tethers; i++)
        if (loop->tethers[i].address == address)
            return &loop->tethers[i];
    return NULL;
}

static rk_loop_tether_t *s_add (rk_loop_t *loop, uint32_t address)
{
    rk_loop_tether_t *more = realloc (loop->tethers, (loop->n_tethers + 1) * sizeof *more);
    if (!more)
        return NULL;
    loop->tethers = more;
    more[loop->n_tethers] = (rk_loop_tether_t){.address = address, .fd = -1};
    return &more[loop->n_tethers++];
}

void rk_loop_tether (rk_loop_t *loop, uint32_t address, const rk_packet_t *packet)
{
    rk_loop_tether_t *tether = s_find (loop, address);
    if (packet->fd < 0 || !loop->klass->hung_up || (tether && tether->fd == packet->fd))
        return;
    if (!tether)
        tether = s_add (loop, address);
    if (!tether)
        return; /* nothing depends on it */
    tether->fd = packet->fd;
    if (rk_loop_list_items (loop) != RK_OK)
        loop->n_tethers--;
}

void rk_loop_untie (rk_loop_t *loop, uint32_t address)
{
    rk_loop_tether_t *tether = s_find (loop, address);
    if (tether)
        *tether = loop->tethers[--loop->n_tethers]; /* whoever unties lists again */
}

void rk_loop_list_tethers (rk_loop_t *loop)
{
    for (size_t i = 0; i < loop->n_tethers; i++)
        loop->fds[(size_t) loop->n_items + i] = (struct pollfd){.fd = loop->tethers[i].fd, .events = POLLRDHUP};
}

void rk_loop_look_at_tethers (rk_loop_t *loop)
{
    for (size_t i = 0; i < loop->n_tethers; i++)
        loop->tethers[i].ended = loop->fds[(size_t) loop->n_items + i].revents != 0;
}

/* Whatever came before the end has been handled by now. */
void rk_loop_hear_hang_ups (rk_loop_t *loop)
{
    for (size_t i = loop->n_tethers; i-- > 0 && !loop->ended;) {
        const rk_loop_tether_t tether = loop->tethers[i];
        if (!tether.ended)
            continue;
        rk_loop_untie (loop, tether.address);
        rk_loop_list_tethers (loop);
        loop->klass->hung_up (loop->self, tether.address);
        i = i < loop->n_tethers ? i : loop->n_tethers;
    }
}
