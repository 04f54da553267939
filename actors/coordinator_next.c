/* SPDX-License-Identifier: MPL-2.0
 * What a view is made of: the members that go on, the round they go on from, the plan for them, and the plan whose
 * state it takes over. All of it is in the bytes that are agreed on.                                      */
#include "actors/coordinator_self.h"

#include "actors/modelinfo.h"
#include "cluster/exchange.h"
#include "cluster/handover.h"
#include "cluster/shard.h"

#define GIVE_UP_MS 15000 /* waiting for state that only silent members have */

/* ---- the plans in a view: lengths, listings, then two numbers */
static void s_put (uint8_t **at, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        *(*at)++ = (uint8_t) (x >> (8 * i));
}

static uint64_t s_get (const uint8_t *at)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x |= (uint64_t) at[i] << (8 * i);
    return x;
}

#define HEAD 32 /* n_evaluated, redone, bytes of the plan, bytes of the base */

static rk_err_t s_pack (rk_view_t **view_p, uint32_t n_members, const rk_plan_t *plan, const rk_plan_t *base, uint64_t n_evaluated,
                        uint64_t redone)
{
    const size_t n_plan = rk_plan_encode (plan, NULL, 0), n_base = base ? rk_plan_encode (base, NULL, 0) : 0;
    uint8_t *bytes = malloc (HEAD + n_plan + n_base), *at = bytes;
    if (!bytes)
        return RK_ENOMEM;
    s_put (&at, n_evaluated);
    s_put (&at, redone);
    s_put (&at, n_plan);
    s_put (&at, n_base);
    rk_plan_encode (plan, at, n_plan);
    if (base)
        rk_plan_encode (base, at + n_plan, n_base);
    rk_err_t rc = rk_view_new (view_p, n_members, bytes, HEAD + n_plan + n_base);
    free (bytes);
    return rc;
}

rk_err_t rk_coordinator_view_plans (const rk_view_t *view, rk_plan_t **plan, rk_plan_t **base, uint64_t *n_evaluated, uint64_t *redone,
                                    rk_error_t *err)
{
    *plan = *base = NULL;
    if (view->plan_size < HEAD)
        return rk_error_set (err, RK_EFORMAT, "a view without a plan");
    const uint64_t n_plan = s_get (view->plan + 16), n_base = s_get (view->plan + 24), room = view->plan_size - HEAD;
    if (n_plan > room || n_base != room - n_plan)
        return rk_error_set (err, RK_EFORMAT, "plans of %llu and %llu bytes in %llu", (unsigned long long) n_plan,
                             (unsigned long long) n_base, (unsigned long long) room);
    *n_evaluated = s_get (view->plan);
    *redone = s_get (view->plan + 8);
    rk_err_t rc = rk_plan_decode (plan, view->plan + HEAD, n_plan, err);
    if (!rc && n_base)
        rc = rk_plan_decode (base, view->plan + HEAD + n_plan, n_base, err);
    if (rc)
        rk_plan_destroy (plan);
    return rc;
}

static rk_err_t s_encode (const rk_view_t *view, uint8_t **bytes_p, size_t *size, rk_error_t *err)
{
    *size = rk_view_encode (view, NULL, 0);
    *bytes_p = malloc (*size);
    if (!*bytes_p)
        return rk_error_set (err, RK_ENOMEM, "no memory for a view of %zu bytes", *size);
    rk_view_encode (view, *bytes_p, *size);
    return RK_OK;
}

/* ---- the first view: everybody who has joined */
static void s_member_of (const rk_coordinator_t *self, uint32_t process, const rk_roster_entry_t *e, rk_view_member_t *m)
{
    *m = (rk_view_member_t){.id = process, .node = e->node, .pid = e->pid, .cores = e->cores, .host = e->host, .ram_bytes = e->ram_bytes,
                              .witness = e->witness};
    snprintf (m->name, sizeof m->name, "%s", e->name);
    snprintf (m->kernels, sizeof m->kernels, "%s", e->kernels);
    snprintf (m->control, sizeof m->control, "%s", process == self->process ? rk_loop_endpoint (self->loop) : e->control);
    snprintf (m->key, sizeof m->key, "%s", e->key);
    snprintf (m->relay, sizeof m->relay, "%s", process == self->process ? self->relay : e->relay);
    if (process == self->process)
        (void) rk_coordinator_own_key (self, m->key);
}

rk_err_t rk_coordinator_first_view (rk_coordinator_t *self, const rk_plan_t *plan, uint8_t **bytes_p, size_t *size, rk_error_t *err)
{
    rk_view_t *view = NULL;
    rk_err_t rc = s_pack (&view, self->roster.n, plan, NULL, 0, 0);
    if (rc)
        return rk_error_set (err, rc, "no memory for the first view");
    view->number = plan->view;
    view->round = plan->first_round;
    view->next_id = view->next_node = self->roster.n;
    for (uint32_t p = 0; p < self->roster.n; p++)
        s_member_of (self, p, &self->roster.list[p], &view->members[p]);
    rc = s_encode (view, bytes_p, size, err);
    rk_view_destroy (&view);
    return rc;
}

/* ---- what the members know together */
typedef struct {
    uint64_t committed, of_view, n_evaluated, redone;
} s_known_t;

static s_known_t s_know (const rk_coordinator_t *self)
{
    s_known_t known = {0};
    bool led = false;
    for (uint32_t i = 0; i < self->view->n_members; i++) {
        size_t size;
        const uint8_t *answer = rk_membership_answer (self->membership, self->view->members[i].id, &size);
        if (!answer || size < RK_STANDING_BYTES)
            continue;
        const uint64_t committed = s_get (answer), evaluated = s_get (answer + 16), redone = s_get (answer + 24);
        if (!led) { /* the leader knows; else those who know of most rounds, and the most of them */
            led = self->view->members[i].id == self->leader;
            if (led || committed > known.committed || (committed == known.committed && redone > known.redone))
                known.redone = redone;
        }
        if (committed >= known.committed) {
            known.of_view = committed > known.committed || s_get (answer + 8) > known.of_view ? s_get (answer + 8) : known.of_view;
            known.committed = committed;
        }
        known.n_evaluated = evaluated > known.n_evaluated ? evaluated : known.n_evaluated;
    }
    return known;
}

static bool s_goes_on (const rk_coordinator_t *self, uint32_t node)
{
    if (!self->n_processes) /* alone: all nodes are here */
        return true;
    for (uint32_t i = 0; i < self->view->n_members; i++)
        if (self->view->members[i].node == node && node != RK_ROSTER_NO_NODE &&
            rk_membership_goes_on (self->membership, self->view->members[i].id, rk_coordinator_now_ms ()))
            return true;
    return false;
}

/* Whether those who go on have every range of that plan's state. */
static bool s_covers (const rk_coordinator_t *self, const rk_plan_t *base)
{
    bool alive[RK_MAX_FLEET];
    for (uint32_t s = 0; s < base->n_stages; s++)
        alive[s] = s_goes_on (self, base->stages[s].node);
    return rk_handover_covers (base, alive);
}

/* Whose plan the state is of that training would go on from; NULL: the beginning. */
static const rk_plan_t *s_base_of (const rk_coordinator_t *self, const s_known_t *known)
{
    if (!known->of_view)
        return NULL;
    return known->of_view == self->plan->view ? self->plan : self->base;
}

bool rk_coordinator_waits_for_state (const rk_coordinator_t *self)
{
    const s_known_t known = s_know (self);
    const rk_plan_t *base = s_base_of (self, &known);
    if (!base || s_covers (self, base) ||
        rk_coordinator_now_ms () - rk_membership_since_ms (self->membership) >= GIVE_UP_MS)
        return false;
    for (uint32_t i = 0; i < self->view->n_members; i++) {
        const uint32_t id = self->view->members[i].id;
        size_t size;
        if ((!rk_membership_answer (self->membership, id, &size) || !rk_membership_is_alive (self->membership, id, rk_coordinator_now_ms ())) &&
            !rk_membership_is_dead (self->membership, id))
            return true;
    }
    return false;
}

/* ---- the plan for those who go on */
rk_err_t rk_coordinator_own_model (rk_coordinator_t *self, rk_error_t *err)
{
    if (self->model.n_layers)
        return RK_OK;
    const rk_plan_t *plan = self->plan;
    uint64_t dims[RK_MAX_DIMS];
    for (uint32_t d = 0; d < plan->n_dims && d < RK_MAX_DIMS; d++)
        dims[d] = plan->dims[d];
    rk_shape_t shape;
    rk_model_t *model = NULL;
    rk_model_info_t *info = NULL;
    rk_err_t rc = rk_shape_of_dims (&shape, dims, plan->n_dims, err);
    if (!rc && !self->program_model)
        rc = rk_model_by_name (&model, plan->settings.model_name, shape, plan->n_classes, err);
    if (!rc)
        rc = rk_model_info_new (&info, self->program_model ? self->program_model : model, &plan->settings, plan->train_samples,
                                plan->test_samples, err);
    if (!rc && rk_coordinator_copy_model (self, info))
        rc = rk_error_set (err, RK_ENOMEM, "no memory for the costs of a model");
    rk_model_info_destroy (&info);
    rk_model_destroy (&model);
    return rc;
}

rk_err_t rk_coordinator_guess_profiles (rk_coordinator_t *self, rk_error_t *err)
{
    if (self->profiles.n)
        return RK_OK;
    rk_profiles_clear (&self->profiles);
    return rk_profiles_guess (&self->profiles, self->plan, &self->model, err);
}

/* Who is in the next view. */
static bool s_stays (const rk_coordinator_t *self, uint32_t process, uint64_t of_view)
{
    return rk_membership_goes_on (self->membership, process, rk_coordinator_now_ms ()) && !rk_coordinator_has_given (self, process, of_view);
}

/* Everybody plans from the table: who leaves has no profile any more. */
static void s_drop_leaving (rk_coordinator_t *self)
{
    for (uint32_t i = 0; i < self->view->n_members; i++)
        if (rk_coordinator_is_leaving (self, self->view->members[i].id)) {
            rk_profiles_drop (&self->profiles, self->view->members[i].node);
            self->replan.changed = true;
        }
}

/* As it says where it is found from now on; what is no address with its own key is not believed. */
static void s_take_control (const rk_coordinator_t *self, rk_view_member_t *m)
{
    char text[RK_VIEW_CONTROL] = "", plain[RK_VIEW_CONTROL], own[RK_KEY_TEXT] = "";
    uint8_t key[RK_KEY_BYTES];
    bool has_key = false;
    size_t size;
    rk_error_t err;
    const uint8_t *answer = rk_membership_answer (self->membership, m->id, &size);
    if (!answer || size <= RK_STANDING_BYTES || size - RK_STANDING_BYTES >= sizeof text)
        return;
    memcpy (text, answer + RK_STANDING_BYTES, size - RK_STANDING_BYTES);
    if (strlen (text) != size - RK_STANDING_BYTES || rk_endpoint_split (text, plain, sizeof plain, key, &has_key, &err))
        return;
    if (has_key)
        rk_key_text (key, own);
    if (strcmp (own, m->key) == 0)
        memcpy (m->control, text, sizeof text);
}

/* Profiles of those who go on, and of those who join. */
static rk_err_t s_living (rk_coordinator_t *self, rk_profiles_t *table, rk_error_t *err)
{
    rk_err_t rc = rk_profiles_init (table, self->profiles.n + 1, self->profiles.n_layers);
    if (rc)
        return rk_error_set (err, rc, "no memory for %u profiles", self->profiles.n);
    for (uint32_t i = 0; !rc && i < self->profiles.n; i++)
        if (s_goes_on (self, self->profiles.nodes[i].id) || rk_coordinator_joins (self, self->profiles.nodes[i].id))
            rc = rk_profiles_add (table, &self->profiles.nodes[i], self->profiles.n_layers, err);
    for (size_t i = 0; !rc && i < self->profiles.n_links; i++)
        rc = rk_profiles_link (table, &self->profiles.links[i], err);
    return rc;
}

/* Kernels that everybody has; "" where each process chooses. */
static const char *s_kernels (const rk_coordinator_t *self)
{
    const char *kernels = self->plan->kernels;
    for (uint32_t i = 0; kernels[0] && i < rk_coordinator_n_joining (self); i++)
        kernels = rk_roster_lower (kernels, rk_coordinator_joining (self, i)->entry.kernels);
    return kernels;
}

/* Nobody goes and nobody comes, and no better plan is wished for: something is only started again. */
static bool s_same_members (const rk_coordinator_t *self)
{
    for (uint32_t i = 0; i < self->view->n_members; i++)
        if (!rk_membership_goes_on (self->membership, self->view->members[i].id, rk_coordinator_now_ms ()) ||
            rk_coordinator_is_leaving (self, self->view->members[i].id))
            return false;
    return !self->replan.moves && !rk_coordinator_n_joining (self);
}

static rk_err_t s_same_plan (const rk_coordinator_t *self, rk_plan_t **plan_p, rk_error_t *err)
{
    if (rk_plan_copy (plan_p, self->plan))
        return rk_error_set (err, RK_ENOMEM, "no memory for a plan of %u nodes", self->plan->n_nodes);
    (*plan_p)->view = self->view->number + 1;
    return RK_OK;
}

/* Settings that were meant for another number of clusters: others hold from here on, and the run goes on. true: one was changed. */
static bool s_give_up_unfit (const rk_plan_t *plan, rk_settings_t *settings)
{
    rk_error_t why = {RK_OK, ""};
    rk_graph_t *graph = NULL;
    bool changed = false;
    if (plan->n_clusters > 1 && rk_exchange_graph (&graph, plan, &why) != RK_OK) {
        rk_log (RK_LOG_WARNING, "GRAPH", "view=%llu %u clusters are left: %s; the graph is a ring from here on", (unsigned long long) plan->view,
                plan->n_clusters, why.text);
        snprintf (settings->average_graph, sizeof settings->average_graph, "ring");
        settings->average_control = false;
        changed = true;
    } else if (!rk_coordinator_control_fits (plan, &why)) {
        rk_log (RK_LOG_WARNING, "CONTROL", "view=%llu %u clusters are left: %s; no control from here on", (unsigned long long) plan->view,
                plan->n_clusters, why.text);
        settings->average_control = false;
        changed = true;
    }
    rk_graph_destroy (&graph);
    return changed;
}

static rk_err_t s_make_plan (rk_coordinator_t *self, rk_plan_t **plan_p, rk_error_t *err)
{
    if (s_same_members (self))
        return s_same_plan (self, plan_p, err);
    rk_profiles_t table = {0};
    rk_fleet_t fleet;
    rk_settings_t settings = self->plan->settings;
    rk_err_t rc = rk_coordinator_own_model (self, err);
    if (!rc)
        rc = rk_coordinator_guess_profiles (self, err);
    if (!rc)
        rc = rk_coordinator_figures_keep (self, err);
    if (!rc)
        s_drop_leaving (self);
    if (!rc)
        rc = s_living (self, &table, err);
    if (!rc && !table.n)
        rc = rk_error_set (err, RK_EPLAN, "no node is left");
    if (!rc)
        rc = rk_profiles_fleet (&table, &fleet, err);
    const uint64_t number = self->view->number + 1;
    if (!rc)
        rc = rk_plan_make (plan_p, number, &fleet, &self->model, &settings, s_kernels (self), err);
    if (rc == RK_EPLAN && table.n && (settings.n_layout || strcmp (settings.plan_planner, "auto") != 0)) { /* asked for other nodes than there are */
        settings.n_layout = 0;
        snprintf (settings.plan_planner, sizeof settings.plan_planner, "auto");
        settings.plan_manual[0] = '\0';
        rc = rk_plan_make (plan_p, number, &fleet, &self->model, &settings, s_kernels (self), err);
    }
    if (!rc && s_give_up_unfit (*plan_p, &settings)) {
        rk_plan_destroy (plan_p);
        rc = rk_plan_make (plan_p, number, &fleet, &self->model, &settings, s_kernels (self), err);
    }
    rk_profiles_clear (&table);
    return rc;
}

rk_err_t rk_coordinator_next_view (rk_coordinator_t *self, uint8_t **bytes_p, size_t *size, rk_error_t *err)
{
    s_known_t known = s_know (self);
    const rk_plan_t *old = self->plan, *base = s_base_of (self, &known);
    uint64_t first_f = rk_round_cursor (old, known.committed);
    uint32_t n_shards = rk_shard_is_on (&old->settings) ? rk_shard_count (old) : 0;
    if (base && !s_covers (self, base)) {
        rk_plan_cursor_t back;
        if (rk_coordinator_back_to (self, known.committed, &back) && n_shards)
            n_shards = back.n_shards ? back.n_shards : n_shards;
        known = (s_known_t){.committed = back.first_round, .redone = known.redone + (first_f - back.first_f),
                            .n_evaluated = back.first_f / old->minibatches_per_pass};
        base = NULL;
        first_f = back.first_f;
    }
    rk_plan_t *plan = NULL;
    rk_err_t rc = s_make_plan (self, &plan, err);
    if (!rc)
        rc = rk_plan_set_cursor (plan, known.committed, first_f, n_shards, err);
    rk_view_t *view = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->view->n_members; i++)
        n += s_stays (self, self->view->members[i].id, known.of_view);
    const uint32_t n_stay = n, n_joining = rk_coordinator_n_joining (self);
    n += n_joining;
    if (!rc && s_pack (&view, n, plan, base, known.n_evaluated, known.redone))
        rc = rk_error_set (err, RK_ENOMEM, "no memory for a view of %u members", n);
    if (!rc) {
        view->number = plan->view;
        view->round = plan->first_round;
        view->next_id = self->view->next_id;
        view->next_node = self->view->next_node;
        for (uint32_t i = 0, at = 0; i < self->view->n_members && at < n_stay; i++)
            if (s_stays (self, self->view->members[i].id, known.of_view)) {
                view->members[at] = self->view->members[i];
                s_take_control (self, &view->members[at]);
                view->members[at].leaves = rk_coordinator_is_leaving (self, view->members[at].id);
                at++;
            }
        for (uint32_t i = 0; i < n_joining; i++) {
            const rk_coordinator_joiner_t *j = rk_coordinator_joining (self, i);
            s_member_of (self, j->process, &j->entry, &view->members[n_stay + i]);
            view->next_id = j->process + 1;
            view->next_node = j->entry.node + 1;
        }
        rc = s_encode (view, bytes_p, size, err);
    }
    rk_view_destroy (&view);
    rk_plan_destroy (&plan);
    return rc;
}
