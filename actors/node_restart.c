/* SPDX-License-Identifier: MPL-2.0
 * Supervision of what belongs to no plan: observer and profiler. One that fails is started again after a pause that doubles
 * (cluster/restart.h), where it was, so that others need not be told. An observer that fails again and again is told of and done
 * without: it only watches. A profiler that does is a failure of this process, which leaves; so is one that would fail
 * again in the same way. Actors of a plan: coordinator_restart.c.                                         */
#include "actors/node_self.h"

static rk_node_watched_t *s_watched (rk_node_t *self, uint32_t address)
{
    const rk_actor_kind_t kind = rk_address_kind (address);
    return kind == RK_ACTOR_OBSERVER ? &self->watched[RK_NODE_OBSERVER] : kind == RK_ACTOR_PROFILER ? &self->watched[RK_NODE_PROFILER] : NULL;
}

/* Of settings, or what they say where there are none yet. */
static void s_limits (const rk_node_t *self, rk_restart_t *r)
{
    rk_settings_t fallback;
    const rk_settings_t *s = &self->settings;
    if (!s->net_restart_ms) {
        rk_settings_default (&fallback);
        s = &fallback;
    }
    r->most = s->net_restarts;
    r->first_ms = s->net_restart_ms;
    r->forget_ms = (int64_t) s->net_restart_forget * 1000;
    if (!r->random)
        r->random = (uint64_t) rk_now_ns ();
}

/* What it does again with the same settings, it does in the same way. */
static bool s_is_final (const rk_node_watched_t *w, rk_err_t code)
{
    return w->kind == RK_ACTOR_PROFILER && (code == RK_EINVAL || code == RK_ESHAPE || code == RK_ENOTFOUND || code == RK_EUNSUPPORTED);
}

static bool s_again (rk_node_t *self, rk_node_watched_t *w, const rk_error_t *why)
{
    const int64_t now_ms = rk_now_ns () / 1000000;
    const char *who = rk_actor_kind_name (w->kind), *text = why->text[0] ? why->text : rk_strerror (why->code);
    int64_t at_ms;
    s_limits (self, &w->restart);
    if (!s_is_final (w, why->code) && rk_restart_failed (&w->restart, now_ms, &at_ms)) {
        rk_log (RK_LOG_WARNING, "FAILED", "actor=%s failures=%u restart_in_ms=%lld %s", who, w->restart.n, (long long) (at_ms - now_ms), text);
        w->at_ms = at_ms;
        return true;
    }
    if (w->kind != RK_ACTOR_OBSERVER)
        return false;
    rk_log (RK_LOG_ERROR, "OBSERVER-LOST", "failures=%u %s; the run goes on, %s", w->restart.n + 1, text,
            self->leads ? "but nothing is shown or recorded of it any more" : "but this process reports no more");
    return true;
}

/* Where it was, in a form that it can be bound to again: without the key. What a relay stands for has another port each time. */
static void s_note_place (rk_node_t *self, rk_node_watched_t *w, const rk_node_actor_t *a)
{
    const char *endpoint = rk_actor_endpoint (a->actor);
    w->bind[0] = '\0';
    if (!self->tunnel && strncmp (endpoint, "tcp://", 6) == 0)
        snprintf (w->bind, sizeof w->bind, "tcp://%.*s", (int) strcspn (endpoint + 6, "/"), endpoint + 6);
}

bool rk_node_restarts (rk_node_t *self, const rk_node_actor_t *a, const rk_error_t *why)
{
    rk_node_watched_t *w = s_watched (self, a->address);
    if (!w)
        return false;
    w->kind = rk_address_kind (a->address);
    s_note_place (self, w, a);
    return s_again (self, w, why);
}

/* Everybody here who reports is connected to the new one. */
static void s_reconnect (rk_node_t *self)
{
    rk_error_t err = {RK_OK, ""};
    for (size_t i = 0; i < self->n_actors; i++) {
        const rk_actor_kind_t kind = rk_address_kind (self->actors[i].address);
        const bool reports = kind == RK_ACTOR_COORDINATOR || kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER ||
                             kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER;
        if (reports && rk_actor_connect (self->actors[i].actor, RK_TO_OBSERVER, self->observer, &err))
            rk_log (RK_LOG_WARNING, "PEER", "actor=node %s", err.text);
    }
}

static void s_start (rk_node_t *self, rk_node_watched_t *w)
{
    rk_error_t err = {RK_OK, ""};
    w->at_ms = 0;
    for (size_t i = self->n_actors; i-- > 0;)
        if (rk_address_kind (self->actors[i].address) == w->kind) {
            rk_actor_stop (&self->actors[i].actor);
            self->actors[i] = self->actors[--self->n_actors];
        }
    rk_err_t rc = w->kind == RK_ACTOR_OBSERVER ? rk_node_start_observer (self, self->leads ? NULL : self->leader_observer, &err)
                                               : rk_node_start_profiler (self, &err);
    if (!rc && w->kind == RK_ACTOR_OBSERVER)
        s_reconnect (self);
    if (rc && !s_again (self, w, &err))
        rk_node_fail (self, rk_address (w->kind, self->node), rc, err.text);
}

int64_t rk_node_restart_tick (rk_node_t *self)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < RK_NODE_N_WATCHED; i++) {
        rk_node_watched_t *w = &self->watched[i];
        if (w->at_ms && (self->over || self->stop_ns)) /* it would not hear of the end */
            w->at_ms = 0;
        const int64_t now_ms = rk_now_ns () / 1000000;
        if (w->at_ms && now_ms >= w->at_ms)
            s_start (self, w);
        if (w->at_ms && w->at_ms - now_ms < next_ms)
            next_ms = w->at_ms > now_ms ? w->at_ms - now_ms : 0;
    }
    return next_ms;
}
