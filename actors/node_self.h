/* SPDX-License-Identifier: MPL-2.0
 * The inside of a running node, shared by its files: node.c (run, poll, end), node_open.c (settings, data,
 * model, the actors every process has), node_security.c (keys), node_build.c (the actors of a plan), node_endpoints.c (addresses),
 * node_reach.c (how others reach it).
 * thread: the caller of rk_node_run.                                                                      */
#ifndef RK_ACTORS_NODE_SELF_H
#define RK_ACTORS_NODE_SELF_H
#include "actors/beacon.h"
#include "actors/coordinator_links.h"
#include "actors/modelinfo.h"
#include "actors/node.h"
#include "actors/node_endpoints.h"
#include "actors/profiler.h"
#include "actors/relay/relay.h"
#include "actors/relay/tunnel.h"
#include "actors/security/gate.h"
#include "actors/stage.h"
#include "cluster/profiles.h"
#include "cluster/restart.h"

#define RK_NODE_ENDPOINT 256

/* One actor of this process. */
typedef struct {
    rk_actor_t *actor;
    uint32_t address;
    char local[RK_NODE_ENDPOINT]; /* where actors of this process reach it */
    uint64_t view;                /* retired: of the plan it was of; 0: of the one there is, or of none */
    bool ends;                    /* says DONE after Stop, and is waited for */
    bool ended;
} rk_node_actor_t;

/* One that is started again when it fails: node_restart.c. */
enum { RK_NODE_OBSERVER = 0, RK_NODE_PROFILER, RK_NODE_N_WATCHED };
typedef struct {
    rk_actor_kind_t kind;
    rk_restart_t restart;
    int64_t at_ms;                /* when; 0: it runs, or is done without */
    char bind[RK_NODE_ENDPOINT];  /* where it was; "": anywhere */
} rk_node_watched_t;

/* Where other members of the run listened last; it outlives a life of this process in the run. */
#define RK_NODE_PLACES 16
typedef struct {
    char list[RK_NODE_PLACES][RK_NODE_ENDPOINT];
    size_t n;
} rk_node_places_t;

typedef struct {
    const rk_node_config_t *config;
    rk_node_places_t *places;
    const volatile bool *interrupted;
    rk_node_result_t *result;
    /* what the run is about */
    rk_settings_t settings;
    const rk_model_t *model;
    rk_model_t *own_model;
    const rk_data_t *data;
    rk_data_t *own_data;
    rk_model_info_t *info;
    rk_plan_t *plan;
    rk_plan_t *base;        /* whose state the plan takes over; NULL: first values */
    bool *alive;            /* by stage of base: who has its state is there */
    rk_profiles_t table;    /* follower: every node's profile, if the leader planned from them */
    uint64_t n_forward_only;
    /* who this is */
    rk_identity_t identity;
    rk_gate_t *gate;        /* NULL: plain, or the program's own */
    rk_beacon_t *beacon;    /* leader: NULL: it does not say on its networks that it is there */
    rk_relay_t *relay;      /* for those that others cannot reach; NULL: it is one of them, or the leader listens on its machine only */
    rk_tunnel_t *tunnel;    /* follower: others cannot reach it; NULL: they can, or there is nobody who relays */
    bool relayed;           /* follower: others cannot reach it */
    char relayed_by[RK_NODE_ENDPOINT]; /* the tunnel's relay, as its member tells it */
    char leader_relay[RK_NODE_ENDPOINT]; /* follower: the leader's, as it says; "": none */
    char join[RK_NODE_ENDPOINT]; /* follower: the leader's address with its key */
    /* where */
    bool follows;           /* it has joined another */
    bool leads;             /* now */
    uint32_t process;       /* its number */
    uint32_t node;          /* follower: its id in the plan */
    char host[64];          /* of tcp endpoints this process binds */
    char leader_host[64];   /* follower: as in its --join */
    char observer[RK_NODE_ENDPOINT], coordinator[RK_NODE_ENDPOINT]; /* as actors of this process reach them */
    /* who */
    rk_node_actor_t *actors;
    size_t n_actors, capacity;
    zsock_t *control;       /* DEALER to the coordinator */
    rk_packet_t *packet;
    uint64_t seq;
    rk_node_watched_t watched[RK_NODE_N_WATCHED];
    char leader_observer[RK_NODE_ENDPOINT]; /* follower: where the leader's was */
    uint64_t redone;        /* as the last plan says */
    uint32_t n_stage_failed, n_reducer_failed, n_observer_failed, n_profiler_failed; /* tests: how often they were built to fail */
    bool told;              /* of the interrupt */
    bool over;              /* the coordinator has said how it ended */
    bool rejoins;           /* ... and that this process may come back as a new member */
    bool apart;             /* ... after a while: it and another member do not hear one another */
    int64_t start_ns, stop_ns;
    rk_error_t first;       /* the first error of this process */
} rk_node_t;

/* ---- node_restart.c */
bool rk_node_restarts (rk_node_t *self, const rk_node_actor_t *a, const rk_error_t *why); /* it has failed; false: that is a failure of the process */
int64_t rk_node_restart_tick (rk_node_t *self); /* ms until it has something to do, INT64_MAX: nothing */
/* ---- node.c: a failure of this process's own doing, told to the coordinator */
void rk_node_fail (rk_node_t *self, uint32_t actor, rk_err_t code, const char *text);

/* ---- node_endpoints.c */
/* The transport between processes: "inproc" when there is only one. */
const char *rk_node_transport (const rk_node_t *self);

/* ---- node_reach.c */
void rk_node_open_relay (rk_node_t *self); /* the leader, if it listens beyond this machine; after its keys */
const char *rk_node_relay (const rk_node_t *self); /* its endpoint; NULL: none */
/* A view has ended. Those of its members that are heard have these relays: if others cannot reach this process, and whoever relayed
 * for it is not among them or does not answer, the first that does relays from now on, for all inboxes there are. */
void rk_node_move (rk_node_t *self, const rk_endpoints_t *relays);
rk_err_t rk_node_open_beacon (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK; /* the leader, once it listens, if it is asked for */
/* The follower, who knows the leader: decides where its inboxes will be found, before any is opened. */
rk_err_t rk_node_reach (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_node_unreach (rk_node_t *self);    /* after all actors, before the gate */

/* ---- node_open.c */
rk_err_t rk_node_open_leader (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_node_open_follower (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_node_start_profiler (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_node_open_data (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_node_prepare_data (rk_node_t *self); /* opens it now if it can be; if not, a plan that needs it here will say why */
rk_err_t rk_node_start_observer (rk_node_t *self, const char *leader, rk_error_t *err) RK_MUST_CHECK;

/* ---- node_security.c: keys, the gate; a follower has been let in by its leader when it returns */
rk_err_t rk_node_secure_leader (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_node_secure_follower (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_node_unsecure (rk_node_t *self); /* after all actors */
rk_err_t rk_node_on_keys (rk_node_t *self, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

/* ---- node_build.c */
rk_err_t rk_node_take_plan (rk_node_t *self, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_node_connect_all (rk_node_t *self, const rk_endpoints_t *peers, rk_error_t *err) RK_MUST_CHECK;

/* ---- node_view.c: from one plan to the next */
rk_err_t rk_node_retire (rk_node_t *self, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK; /* all actors of the plan end, or only give */
/* The base of a new plan: retired stages of any other are stopped. bytes NULL: none. */
rk_err_t rk_node_take_base (rk_node_t *self, const rk_plan_msg_t *msg, const uint8_t *bytes, size_t size, rk_error_t *err) RK_MUST_CHECK;
void rk_node_drop_retired (rk_node_t *self, uint64_t but_view); /* 0: all */
/* Who gives a stage of self->plan its state. tell: what is not its own is logged. owner: the caller frees *list; NULL with *n 0: nobody, it starts with first values. */
rk_err_t rk_node_donors (rk_node_t *self, uint32_t stage, bool tell, rk_stage_donor_t **list, size_t *n, rk_error_t *err) RK_MUST_CHECK;
/* A stage of this node that was taking over from the same base when its view ended; 0: none. */
uint32_t rk_node_half (const rk_node_t *self, uint32_t node);
rk_err_t rk_node_lead (rk_node_t *self, rk_error_t *err) RK_MUST_CHECK; /* this process leads from now on */

/* ---- node.c */
/* Keeps a started actor; on failure it is stopped. `local`: its inproc endpoint, NULL: where it is bound. */
rk_err_t rk_node_keep (rk_node_t *self, rk_actor_t *actor, const char *local, bool ends, rk_error_t *err) RK_MUST_CHECK;
rk_node_actor_t *rk_node_find (rk_node_t *self, uint32_t address);
rk_err_t rk_node_send (rk_node_t *self, rk_msg_t *msg, rk_error_t *err) RK_MUST_CHECK;
static inline bool rk_node_hosts (const rk_node_t *self, uint32_t node)
{
    return self->follows ? node == self->node : self->config->n_processes == 0;
}

#endif
