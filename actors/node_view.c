/* SPDX-License-Identifier: MPL-2.0
 * From one plan to the next in a living process: its actors end, its stages stay as donors until the first round of
 * the next plan is committed, and who gives what to a new stage.                                          */
#include <sys/stat.h>

#include "actors/node_self.h"
#include "cluster/handover.h"

/* ---- ending a plan */
static bool s_is_of_plan (rk_actor_kind_t kind)
{
    return kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER;
}

static void s_remove (rk_node_t *self, size_t i)
{
    rk_actor_stop (&self->actors[i].actor);
    self->actors[i] = self->actors[--self->n_actors];
}

/* The base stays what it was when a view ends before its first commit: its stages were taking over, and what has come to
 * them is kept for those that try again. One of a node: a retired stage of the base itself, else the latest.  */
static bool s_is_half (const rk_node_t *self, const rk_node_actor_t *a, uint64_t base)
{
    for (size_t i = 0; i < self->n_actors; i++) {
        const rk_node_actor_t *other = &self->actors[i];
        if (other != a && other->address == a->address && (other->view == base || other->view > a->view))
            return false;
    }
    return base && a->view > base;
}

uint32_t rk_node_half (const rk_node_t *self, uint32_t node)
{
    for (size_t i = 0; i < self->n_actors; i++)
        if (self->base && self->actors[i].address == rk_address (RK_ACTOR_KEEPER, node) && self->actors[i].view > self->base->view)
            return self->actors[i].address;
    return 0;
}

void rk_node_drop_retired (rk_node_t *self, uint64_t but_view)
{
    for (size_t i = self->n_actors; i-- > 0;)
        if (rk_address_kind (self->actors[i].address) == RK_ACTOR_KEEPER && (!but_view || self->actors[i].view != but_view) &&
            !s_is_half (self, &self->actors[i], but_view))
            s_remove (self, i);
}

/* A stage that has failed has nothing to give any more. */
static rk_err_t s_retire_stage (rk_node_t *self, size_t i, rk_error_t *err)
{
    rk_node_actor_t *a = &self->actors[i];
    if (a->ended) {
        s_remove (self, i);
        return RK_OK;
    }
    a->address = rk_address (RK_ACTOR_KEEPER, rk_address_node (a->address));
    a->view = self->plan ? self->plan->view : 0;
    return rk_actor_command (a->actor, "RETIRE", NULL, err);
}

rk_err_t rk_node_retire (rk_node_t *self, rk_packet_t *packet, rk_error_t *err)
{
    static const rk_actor_kind_t order[] = {RK_ACTOR_FEEDER, RK_ACTOR_STAGE, RK_ACTOR_REDUCER, RK_ACTOR_CHECKPOINTER};
    rk_err_t rc = RK_OK;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = self->n_actors; i-- > 0 && !rc;) {
            const rk_actor_kind_t kind = rk_address_kind (self->actors[i].address);
            if (kind != order[k] || !s_is_of_plan (kind))
                continue;
            if (kind == RK_ACTOR_STAGE)
                rc = s_retire_stage (self, i, err);
            else
                s_remove (self, i);
        }
    if (!rc)
        rk_node_move (self, &packet->msg.retire);
    rk_msg_t stopped = {.kind = RK_MSG_STOPPED};
    return rc ? rc : rk_node_send (self, &stopped, err);
}

/* ---- whose state */
rk_err_t rk_node_take_base (rk_node_t *self, const rk_plan_msg_t *msg, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    rk_plan_destroy (&self->base);
    free (self->alive);
    self->alive = NULL;
    if (!bytes) {
        rk_node_drop_retired (self, 0);
        return RK_OK;
    }
    rk_err_t rc = rk_plan_decode (&self->base, bytes, size, err);
    if (rc)
        return rc;
    rk_node_drop_retired (self, self->base->view);
    self->alive = calloc (self->base->n_stages, sizeof *self->alive);
    if (!self->alive)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u stages", self->base->n_stages);
    for (uint32_t s = 0; s < self->base->n_stages; s++)
        for (size_t n = 0; n < msg->n_nodes && !self->alive[s]; n++)
            self->alive[s] = msg->nodes[n] == self->base->stages[s].node;
    return RK_OK;
}

static bool s_are_alike (const rk_plan_t *base)
{
    return strcmp (base->settings.average_graph, "complete") == 0;
}

static void s_tell (const rk_node_t *self, const rk_handover_range_t *ranges, size_t n)
{
    for (const rk_handover_range_t *r = ranges; r < ranges + n; r++) {
        const bool nobody = r->from == RK_FROM_CHECKPOINT;
        if (!r->exact && !nobody)
            rk_log (RK_LOG_INFO, "TAKES-OTHER", "node=%u floats=%llu-%llu of=replica %u, not its own", self->node, (unsigned long long) r->lo,
                    (unsigned long long) r->hi, r->replica);
        if (r->of != r->from && !nobody)
            rk_log (RK_LOG_INFO, "TAKES-WARM", "node=%u floats=%llu-%llu of=node %u, kept by node %u", self->node, (unsigned long long) r->lo,
                    (unsigned long long) r->hi, self->base->stages[r->of].node, self->base->stages[r->from].node);
    }
}

static rk_err_t s_add (rk_node_t *self, const rk_handover_range_t *ranges, size_t n_ranges, rk_stage_donor_t *list, size_t *n, rk_error_t *err)
{
    for (size_t i = 0; i < n_ranges; i++) {
        const rk_handover_range_t *r = &ranges[i];
        if (r->from == RK_FROM_CHECKPOINT)
            return rk_error_set (err, RK_EPEER, "nobody has floats %llu to %llu after round %llu", (unsigned long long) r->lo,
                                 (unsigned long long) r->hi, (unsigned long long) self->plan->first_round);
        const uint32_t node = self->base->stages[r->from].node;
        list[(*n)++] = (rk_stage_donor_t){.address = rk_address (RK_ACTOR_KEEPER, node), .replica = r->replica, .lo = r->lo, .hi = r->hi,
                                          .alike = !r->exact && s_are_alike (self->base)};
    }
    return RK_OK;
}

/* A stage without parameters takes over numbers alone, from whoever has them. */
static void s_add_numbers (rk_node_t *self, uint64_t at, rk_stage_donor_t *list, size_t *n)
{
    for (uint32_t c = 0; c < self->base->n_clusters; c++)
        for (uint32_t s = 0; s < self->base->clusters[c].n_stages; s++) {
            const rk_plan_stage_t *stage = rk_plan_stage (self->base, c, s);
            const uint32_t holder = rk_handover_holder (self->base, self->alive, (uint32_t) (stage - self->base->stages));
            if (!*n && holder != RK_NO_NODE && stage->flat_lo <= at && at <= stage->flat_hi)
                list[(*n)++] = (rk_stage_donor_t){.address = rk_address (RK_ACTOR_KEEPER, self->base->stages[holder].node), .replica = c, .lo = at, .hi = at};
        }
}

rk_err_t rk_node_donors (rk_node_t *self, uint32_t stage, bool tell, rk_stage_donor_t **list, size_t *n, rk_error_t *err)
{
    *list = NULL;
    *n = 0;
    if (!self->base)
        return RK_OK;
    const rk_plan_t *plan = self->plan, *base = self->base;
    const rk_plan_stage_t *own = &plan->stages[stage];
    uint32_t replicas[RK_MAX_CLUSTERS], cluster = 0, at;
    rk_plan_stage_of_node (plan, own->node, &cluster, &at);
    rk_handover_replicas (base, plan, replicas);
    const bool alike = s_are_alike (base);
    const size_t most = 2 * (size_t) base->n_segments * base->n_clusters + 1;
    const rk_tie_t *tie = rk_model_tie (self->model);
    const size_t n_tied = rk_model_n_tied (self->model, (int) own->first, (int) own->last);
    rk_handover_range_t *ranges = calloc (2 * most, sizeof *ranges);
    size_t n_ranges = 0;
    *list = calloc (2 * most, sizeof **list);
    rk_err_t rc = ranges && *list ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for %zu donors", most);
    if (!rc)
        n_ranges = rk_handover_sources (base, self->alive, alike, replicas[cluster], own->flat_lo, own->flat_hi, ranges, most);
    if (!rc && n_tied)
        n_ranges += rk_handover_sources (base, self->alive, alike, replicas[cluster], tie->offset, tie->offset + n_tied, ranges + n_ranges, most);
    if (tell)
        s_tell (self, ranges, n_ranges);
    if (!rc)
        rc = s_add (self, ranges, n_ranges, *list, n, err);
    if (!rc && !*n)
        s_add_numbers (self, own->flat_lo, *list, n);
    free (ranges);
    if (rc) {
        free (*list);
        *list = NULL;
    }
    return rc;
}

/* ---- leading */

/* The folder of the run, where it is on this machine too; else one of the same name here. */
static void s_find_run_dir (rk_node_t *self)
{
    char *dir = self->settings.run_dir, *name = strrchr (dir, '/');
    struct stat s;
    if (!*dir || (stat (dir, &s) == 0 && S_ISDIR (s.st_mode)))
        return;
    char here[RK_SETTINGS_TEXT];
    snprintf (here, sizeof here, "runs/%.200s", name ? name + 1 : dir);
    (void) mkdir ("runs", 0777);
    if (mkdir (here, 0777) == 0 || errno == EEXIST)
        snprintf (dir, sizeof self->settings.run_dir, "%s", here);
    else {
        rk_log (RK_LOG_WARNING, "NO-FOLDER", "dir=%s %s; nothing is saved from here on", here, strerror (errno));
        dir[0] = '\0';
    }
}

rk_err_t rk_node_lead (rk_node_t *self, rk_error_t *err)
{
    if (self->leads)
        return RK_OK;
    self->leads = true;
    s_find_run_dir (self);
    for (size_t i = 0; i < self->n_actors; i++)
        if (rk_address_kind (self->actors[i].address) == RK_ACTOR_OBSERVER) {
            self->actors[i].ends = true;
            return rk_actor_command (self->actors[i].actor, "LEAD", self->settings.run_dir, err);
        }
    return rk_node_start_observer (self, NULL, err);
}
