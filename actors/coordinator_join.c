/* SPDX-License-Identifier: MPL-2.0
 * GATHER and PROFILE: processes come in and are measured.                                                 */
#include "actors/coordinator_self.h"

#include "actors/host.h"
#include "compute/blas.h"

/* ---- answering somebody who is not known and will not be */
void rk_coordinator_answer_stranger (rk_coordinator_t *self, const rk_packet_t *packet, rk_msg_t *msg)
{
    const uint32_t once = rk_address (RK_ACTOR_COORDINATOR, RK_UNNUMBERED);
    if (rk_loop_learn (self->loop, once, packet) != RK_OK)
        return;
    rk_coordinator_send (self, once, msg, NULL, 0);
    rk_loop_forget (self->loop, once);
}

void rk_coordinator_refuse_stranger (rk_coordinator_t *self, const rk_packet_t *packet, const char *why)
{
    rk_log (RK_LOG_WARNING, "REFUSED", "message=%s address=%s key=%.12s %s", rk_msg_kind_name (packet->msg.kind),
            packet->remote[0] ? packet->remote : "local", packet->user, why);
    rk_msg_t stop = {.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = why}};
    rk_coordinator_answer_stranger (self, packet, &stop);
}

/* ---- the leader: Hello */
static uint32_t s_witnesses (const rk_coordinator_t *self)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < self->roster.n; p++)
        n += self->roster.list[p].witness;
    return n;
}

/* Of the places that are left, some are for witnesses. */
static const char *s_out_of_place (const rk_coordinator_t *self, const rk_hello_t *hello)
{
    const bool gathers = self->state == RK_STATE_GATHER;
    const uint32_t missing = self->settings.net_witness - s_witnesses (self);
    if (hello->witness && (!gathers || !missing))
        return gathers ? "this run expects no further witness (net.witness)" : "the run has begun: a witness joins before";
    if (gathers && !hello->witness && self->roster.n < self->roster.capacity && self->roster.capacity - self->roster.n <= missing)
        return "all nodes of this run have joined already; it waits for a witness (rookery node --witness)";
    return NULL;
}

static const char *s_unwelcome (const rk_coordinator_t *self, const rk_hello_t *hello)
{
    if (self->state != RK_STATE_GATHER || self->roster.n == self->roster.capacity) {
        const char *why = rk_coordinator_unwelcome_now (self);
        if (why)
            return why;
    }
    if (strcmp (hello->software, RK_COORDINATOR_SOFTWARE) != 0)
        return "it runs another version of rookery; both must be the same";
    const char *place = s_out_of_place (self, hello);
    if (place)
        return place;
    if (hello->profile_only && self->kind != RK_RUN_PROFILE)
        return "this run trains; a fleet that is only measured is led by rookery profile --listen";
    return NULL;
}

static uint32_t s_next_node (const rk_coordinator_t *self)
{
    uint32_t order = self->roster.n - 1 - s_witnesses (self); /* the leader is in first */
    return self->given ? self->given->nodes[order] : order;
}

rk_err_t rk_coordinator_welcome (rk_coordinator_t *self, uint32_t process, uint32_t node, rk_error_t *err)
{
    size_t size = rk_settings_write (&self->settings, NULL, 0) + 1;
    char *text = malloc (size);
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "%zu bytes of settings", size);
    rk_settings_write (&self->settings, text, size);
    rk_msg_t msg = {.kind = RK_MSG_WELCOME, .welcome = {.node = node, .settings = text, .leader = self->process,
                                                           .host = self->roster.list[self->process].host,
                                                           .pid = self->roster.list[self->process].pid, .process = process,
                                                           .token = self->token,
                                                           .listen = rk_loop_endpoint (self->loop),
                                                           .later = rk_coordinator_is_joiner (self, process)}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, process), &msg, NULL, 0);
    free (text);
    return RK_OK;
}

static void s_check_gathered (rk_coordinator_t *self)
{
    if (self->roster.n < self->roster.capacity || !rk_coordinator_find (self, rk_address (RK_ACTOR_NODE, RK_FIRST)))
        return;
    rk_coordinator_tell_keys (self); /* before anybody is told to connect */
    if (self->given) {
        rk_plan_t *plan = self->given;
        self->given = NULL;
        rk_coordinator_propose (self, plan);
        return;
    }
    rk_coordinator_enter (self, RK_STATE_PROFILE);
    rk_coordinator_after_profile (self);
}

rk_err_t rk_coordinator_on_hello (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_hello_t *hello = &packet->msg.hello;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_STRANGER)
        return rk_coordinator_refuse (packet, "a second Hello", err);
    if (!self->leads && self->state < RK_STATE_STOPPING) {
        rk_coordinator_send_elsewhere (self, packet);
        return RK_OK;
    }
    const char *why = rk_coordinator_impostor (packet);
    if (!why)
        why = s_unwelcome (self, hello);
    if (why) {
        rk_coordinator_refuse_stranger (self, packet, why);
        return RK_OK;
    }
    rk_roster_entry_t entry = {.host = hello->host, .ram_bytes = hello->ram_bytes,
                               .cores = hello->cores, .pid = hello->pid};
    snprintf (entry.name, sizeof entry.name, "%s", hello->name);
    snprintf (entry.kernels, sizeof entry.kernels, "%s", hello->kernels);
    snprintf (entry.key, sizeof entry.key, "%s", hello->key);
    snprintf (entry.control, sizeof entry.control, "%s", hello->control);
    snprintf (entry.relay, sizeof entry.relay, "%s", hello->relay);
    if (self->state != RK_STATE_GATHER || self->roster.n == self->roster.capacity)
        return rk_coordinator_take_joiner (self, packet, &entry, err);
    entry.witness = hello->witness;
    entry.node = hello->witness ? RK_ROSTER_NO_NODE : s_next_node (self);
    uint32_t process;
    rk_err_t rc = rk_roster_add (&self->roster, &entry, &process, err);
    if (!rc && entry.witness) /* it is not measured */
        rk_roster_mark (&self->roster, process, RK_STEP_PROFILING | RK_STEP_PROFILED);
    if (!rc)
        rc = rk_coordinator_know (self, rk_address (RK_ACTOR_COORDINATOR, process), packet, err);
    if (!rc && rk_member_join (self->member, process, rk_coordinator_now_ms ()))
        rc = rk_error_set (err, RK_ENOMEM, "no memory for process %u", process);
    if (!rc)
        rc = rk_coordinator_welcome (self, process, entry.node, err);
    if (rc)
        return rc;
    rk_log (RK_LOG_INFO, "JOINED", "node=%u name=%s pid=%u key=%.12s cores=%u joined=%u of=%u", entry.node, entry.name, entry.pid, entry.key,
            entry.cores, self->roster.n - 1, self->n_processes);
    s_check_gathered (self);
    return RK_OK;
}

/* ---- the follower: Hello once the parent can be told of the answer */
static void s_hello (rk_coordinator_t *self)
{
    rk_host_t host;
    char key[RK_KEY_TEXT];
    rk_host_look (&host);
    rk_msg_t msg = {.kind = RK_MSG_HELLO,
                    .hello = {.name = self->name, .control = rk_loop_endpoint (self->loop), .host = host.id,
                              .cores = host.cores, .pid = (uint32_t) getpid (), .kernels = rk_blas_best (true),
                              .ram_bytes = host.ram_bytes, .software = RK_COORDINATOR_SOFTWARE,
                              .profile_only = self->kind == RK_RUN_PROFILE, .witness = self->witness,
                              .key = rk_coordinator_own_key (self, key), .relay = self->relay}};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, self->leader), &msg, NULL, 0);
}

void rk_coordinator_on_parent_ready (rk_coordinator_t *self)
{
    if (!self->leads)
        s_hello (self);
    else if (self->state == RK_STATE_GATHER)
        s_check_gathered (self);
}

rk_err_t rk_coordinator_on_welcome (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER || self->state != RK_STATE_GATHER)
        return rk_coordinator_refuse (packet, "not from the leader, or a second one", err);
    const rk_welcome_t *welcome = &packet->msg.welcome;
    rk_err_t rc = rk_settings_read (&self->settings, welcome->settings, strlen (welcome->settings), err);
    if (rc)
        return rk_error_wrap (err, RK_EFORMAT, "settings of the run");
    if (rk_member_join (self->member, welcome->leader, rk_coordinator_now_ms ()))
        return rk_error_set (err, RK_ENOMEM, "no memory for the leader");
    if (welcome->later) /* the run may get another leader: to be asked soon */
        rk_member_set_least (self->member, RK_MEMBER_LEAST_MS);
    rk_loop_rename (self->loop, rk_address (RK_ACTOR_COORDINATOR, self->leader), rk_address (RK_ACTOR_COORDINATOR, welcome->leader));
    self->process = welcome->process;
    self->leader = welcome->leader;
    self->token = welcome->token;
    rk_loop_set_address (self->loop, rk_address (RK_ACTOR_COORDINATOR, self->process));
    rk_host_t host;
    rk_host_look (&host);
    self->leader_pid = host.id == welcome->host && !rk_host_process_gone (welcome->pid) ? welcome->pid : 0;
    rk_log (RK_LOG_INFO, "WELCOME", "node=%u process=%u leader=%u; others may join at %s, too", welcome->node, welcome->process, welcome->leader,
            rk_loop_endpoint (self->loop));
    /* Other nodes may be long in coming: the leader's heartbeats are what this process goes by now. */
    rk_coordinator_enter (self, RK_STATE_PROFILE);
    rk_coordinator_to_parent (self, &packet->msg, NULL, 0);
    return RK_OK;
}

/* A member has dialed this one: a later one of the view, or one that was away. It shows what every member was given. */
static bool s_meet (rk_coordinator_t *self, const rk_packet_t *packet)
{
    const uint32_t address = packet->msg.sender, process = rk_address_node (address);
    if (!self->view || rk_address_kind (address) != RK_ACTOR_COORDINATOR || packet->msg.heartbeat.token != self->token ||
        process == self->process || process == RK_UNNUMBERED)
        return false;
    rk_coordinator_forget (self, address); /* it may have dialed anew */
    return rk_coordinator_know (self, address, packet, NULL) == RK_OK;
}

rk_err_t rk_coordinator_on_heartbeat (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind == RK_FROM_STRANGER && s_meet (self, packet))
        origin = rk_coordinator_origin (self, packet);
    if (origin.kind != RK_FROM_LEADER && origin.kind != RK_FROM_PROCESS)
        return rk_coordinator_refuse (packet, "it is no member", err);
    const int64_t now_ms = rk_coordinator_now_ms ();
    rk_member_heard (self->member, origin.process, now_ms);
    rk_loop_tether (self->loop, rk_address (RK_ACTOR_COORDINATOR, origin.process), packet);
    if (!self->membership)
        return RK_OK;
    rk_membership_heard (self->membership, origin.process, packet->msg.heartbeat.hears, now_ms);
    rk_membership_misses (self->membership, origin.process, packet->msg.heartbeat.misses, packet->msg.heartbeat.n_misses, now_ms);
    rk_coordinator_joiner_heard (self, origin.process, now_ms);
    if (packet->msg.view)
        rk_membership_other_view (self->membership, origin.process, packet->msg.view, now_ms);
    rk_coordinator_drive (self);
    return RK_OK;
}

/* ---- PROFILE */
static void s_ask_profiler (rk_coordinator_t *self)
{
    rk_known_t *profiler = NULL;
    for (size_t i = 0; i < self->n_known; i++)
        if (rk_address_kind (self->known[i].address) == RK_ACTOR_PROFILER)
            profiler = &self->known[i];
    self->profile_wanted = profiler == NULL;
    if (!profiler)
        return;
    self->profile_open = true;
    rk_msg_t msg = {.kind = RK_MSG_PROFILE_REQUEST, .profile_request = self->request};
    rk_coordinator_send (self, profiler->address, &msg, NULL, 0);
}

/* A local actor has come up: the first thing to do with a profiler is to ask it, again if the one before failed meanwhile. */
static void s_registered (rk_coordinator_t *self, uint32_t address)
{
    if (rk_address_kind (address) == RK_ACTOR_NODE)
        rk_coordinator_on_parent_ready (self);
    if (rk_address_kind (address) == RK_ACTOR_PROFILER) {
        if (self->profile_wanted || self->profile_open)
            s_ask_profiler (self);
        rk_coordinator_ask_link_again (self);
    }
    rk_coordinator_check_ready (self);
}

static rk_err_t s_register (rk_coordinator_t *self, const rk_packet_t *packet, rk_error_t *err)
{
    uint32_t address = packet->msg.sender;
    const bool profiler = rk_address_kind (address) == RK_ACTOR_PROFILER; /* it is started again when it fails */
    if (packet->remote[0])
        return rk_coordinator_refuse (packet, "actors of this process do not come over tcp", err);
    if (profiler && rk_coordinator_find (self, address))
        rk_coordinator_forget (self, address);
    if (rk_address_kind (address) == RK_ACTOR_COORDINATOR || rk_coordinator_find (self, address))
        return rk_coordinator_refuse (packet, "the address is taken", err);
    if (self->state >= RK_STATE_RUN && self->state < RK_STATE_STOPPING && !profiler)
        return rk_coordinator_refuse (packet, "the run has started", err);
    const rk_actor_kind_t kind = rk_address_kind (address); /* one of a plan that is no more may still be on its way */
    const bool of_plan = kind == RK_ACTOR_STAGE || kind == RK_ACTOR_REDUCER || kind == RK_ACTOR_FEEDER || kind == RK_ACTOR_CHECKPOINTER;
    if (of_plan && self->view && rk_coordinator_of_view (self, packet, err))
        return RK_ESTALE;
    rk_err_t rc = rk_coordinator_know (self, address, packet, err);
    if (rc)
        return rc;
    if (self->state < RK_STATE_STOPPING)
        s_registered (self, address);
    else /* it came up while the run was ending */
        rk_coordinator_tell_stop (self, address);
    return RK_OK;
}

/* The first Ready of a local actor makes it known; the parent's and the processes' second one is a step. */
rk_err_t rk_coordinator_on_ready (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind == RK_FROM_STRANGER)
        return s_register (self, packet, err);
    bool parent = origin.kind == RK_FROM_LOCAL && rk_address_kind (origin.known->address) == RK_ACTOR_NODE;
    if (origin.kind == RK_FROM_PROCESS && self->view && (self->state == RK_STATE_RUN || self->state == RK_STATE_VIEW))
        return RK_OK; /* told again meanwhile */
    if (parent && self->view && self->state >= RK_STATE_VIEW)
        return RK_OK; /* the view has ended meanwhile */
    if (self->state != RK_STATE_WIRING || !(parent || origin.kind == RK_FROM_PROCESS))
        return rk_coordinator_refuse (packet, "nothing to be ready for", err);
    if (parent) {
        self->parent_ready = true;
        self->parent_digest = packet->msg.ready.digest;
        rk_coordinator_check_ready (self);
        return RK_OK;
    }
    rk_err_t rc = rk_coordinator_of_view (self, packet, err);
    if (!rc)
        rk_coordinator_step_ready (self, origin.process, packet->msg.ready.digest);
    return rc;
}

static void s_request (rk_coordinator_t *self, uint32_t process)
{
    rk_roster_mark (&self->roster, process, RK_STEP_PROFILING);
    if (process == self->process) {
        s_ask_profiler (self);
        return;
    }
    rk_msg_t msg = {.kind = RK_MSG_PROFILE_REQUEST, .profile_request = self->request};
    rk_coordinator_send (self, rk_address (RK_ACTOR_COORDINATOR, process), &msg, NULL, 0);
}

rk_err_t rk_coordinator_on_profile_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    const rk_profile_request_t *request = &packet->msg.profile_request;
    if (rk_coordinator_origin (self, packet).kind != RK_FROM_LEADER)
        return rk_coordinator_refuse (packet, "not from the leader", err);
    if (request->n_dims < 1 || request->n_dims > RK_MAX_DIMS)
        return rk_coordinator_refuse (packet, "samples of no shape", err);
    memcpy (self->dims, request->dims, request->n_dims * sizeof *self->dims);
    self->request = *request;
    self->request.dims = self->dims;
    s_ask_profiler (self);
    return RK_OK;
}

/* Asks whoever may be measured next; when all are, plans. */
void rk_coordinator_after_profile (rk_coordinator_t *self)
{
    uint32_t process;
    while ((process = rk_roster_next_profile (&self->roster)) != UINT32_MAX)
        s_request (self, process);
    if (!rk_roster_all (&self->roster, RK_STEP_PROFILED))
        return;
    if (rk_coordinator_measure_links (self))
        return;
    if (self->kind == RK_RUN_PROFILE) {
        rk_coordinator_send_table (self, true);
        rk_coordinator_end (self, RK_OK, "measured");
        return;
    }
    rk_fleet_t fleet;
    rk_plan_t *plan = NULL;
    rk_error_t err = {RK_OK, ""};
    rk_err_t rc = rk_profiles_fleet (&self->profiles, &fleet, &err);
    if (!rc)
        rc = rk_plan_make (&plan, 1, &fleet, &self->model, &self->settings, rk_roster_kernels (&self->roster, self->settings.run_precision == RK_PRECISION_BF16), &err);
    if (!rc && self->cursor.first_round)
        rc = rk_plan_set_cursor (plan, self->cursor.first_round, self->cursor.first_f, self->cursor.n_shards, &err);
    if (rc) {
        rk_plan_destroy (&plan);
        rk_coordinator_end (self, rc, "%s", err.text);
    } else
        rk_coordinator_propose (self, plan);
}

static rk_err_t s_take_profile (rk_coordinator_t *self, uint32_t process, const rk_node_profile_t *p, rk_error_t *err)
{
    if (self->n_processes && p->node != self->roster.list[process].node)
        return rk_error_set (err, RK_EFORMAT, "process %u measured node %u, which is not its own", process, p->node);
    const rk_profile_t profile = rk_profile_of_message (p, self->n_processes ? self->roster.list[process].name : "");
    rk_err_t rc = rk_profiles_add (&self->profiles, &profile, p->n_layers, err);
    return rc ? rc : rk_links_table_add (&self->links, p->node, rk_address (RK_ACTOR_PROFILER, process), p->endpoint, err);
}

static rk_err_t s_take_table (rk_coordinator_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_profile_msg_t *table = &packet->msg.profile;
    rk_profiles_clear (&self->profiles);
    rk_err_t rc = rk_profiles_init (&self->profiles, (uint32_t) table->n_nodes, table->n_nodes ? (uint32_t) table->nodes[0].n_layers : 0);
    if (rc)
        return rk_error_set (err, rc, "no memory for %zu profiles", table->n_nodes);
    for (size_t i = 0; !rc && i < table->n_nodes; i++) {
        const rk_profile_t profile = rk_profile_of_message (&table->nodes[i], "");
        rc = rk_profiles_add (&self->profiles, &profile, table->nodes[i].n_layers, err);
    }
    return rc ? rc : rk_links_unpack (&self->profiles, packet, err);
}

rk_err_t rk_coordinator_on_profile (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    rk_coordinator_t *self = arg;
    rk_origin_t origin = rk_coordinator_origin (self, packet);
    if (origin.kind == RK_FROM_LOCAL)
        self->profile_open = false;
    if (origin.kind == RK_FROM_LEADER) { /* the whole table, with which the parent plans again, and this process if it leads one day */
        rk_frame_t frame = {.share = packet->n_frames ? &packet->frame[0] : NULL};
        rk_coordinator_to_parent (self, &packet->msg, &frame, packet->n_frames ? 1 : 0);
        return s_take_table (self, packet, err);
    }
    if (!self->leads)
        return rk_coordinator_relay_up (self, packet, err);
    if (origin.kind == RK_FROM_STRANGER)
        return rk_coordinator_refuse (packet, "nobody asked", err);
    if (rk_coordinator_is_joiner (self, origin.process))
        return packet->msg.profile.n_nodes == 1 ? rk_coordinator_joiner_profile (self, origin.process, &packet->msg.profile.nodes[0], err)
                                                : rk_coordinator_refuse (packet, "not one node", err);
    if (self->state != RK_STATE_PROFILE)
        return rk_coordinator_refuse (packet, "nobody asked", err);
    for (size_t i = 0; i < packet->msg.profile.n_nodes; i++) {
        rk_err_t rc = s_take_profile (self, origin.process, &packet->msg.profile.nodes[i], err);
        if (rc) { /* without its figures there is no plan */
            rk_coordinator_end (self, RK_EPEER, "%s", err->text);
            return rc == RK_ENOMEM ? rc : RK_EFORMAT;
        }
    }
    rk_roster_mark (&self->roster, origin.process, RK_STEP_PROFILED);
    rk_coordinator_progress (self);
    rk_coordinator_after_profile (self);
    return RK_OK;
}
