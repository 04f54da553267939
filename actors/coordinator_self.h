/* SPDX-License-Identifier: MPL-2.0
 * The inside of a coordinator, shared by its files: coordinator.c (class, clock), coordinator_known.c (who is
 * who, sending), coordinator_join.c (GATHER, PROFILE), coordinator_measure.c (links), coordinator_wire.c (WIRING), coordinator_run.c (RUN),
 * coordinator_joiners.c (nodes that come while it runs), coordinator_pass.c (EVALUATE), coordinator_question.c (evidence of a death), coordinator_replan.c (another plan while it runs), coordinator_save.c (SAVE), coordinator_stop.c (STOPPING, ENDED). thread: the coordinator's own.  */
#ifndef RK_ACTORS_COORDINATOR_SELF_H
#define RK_ACTORS_COORDINATOR_SELF_H
#include "actors/coordinator.h"
#include "actors/coordinator_links.h"
#include "actors/profiler.h"
#include "actors/wires.h"
#include "cluster/control.h"
#include "cluster/panel.h"
#include "cluster/lease.h"
#include "cluster/member.h"
#include "cluster/membership.h"
#include "cluster/patience.h"
#include "cluster/profiles.h"
#include "cluster/observed.h"
#include "cluster/restart.h"
#include "cluster/roster.h"
#include "cluster/watch.h"
#include "compute/model.h"

#define RK_COORDINATOR_SOFTWARE "rookery-1" /* grows when two versions cannot work in one run */
#define RK_FIRST 0                          /* number of the process that leads at first; the parent's, the checkpointer's */
#define RK_UNNUMBERED 0xffffff              /* a follower's process number until it is welcome */
#define RK_MAX_PROCESSES 4096
#define RK_GRANT_MOST 256 /* minibatches in one LeaseGrant */

typedef enum {
    RK_STATE_GATHER = 0, RK_STATE_PROFILE, RK_STATE_WIRING, RK_STATE_RUN, RK_STATE_EVALUATE, RK_STATE_SAVE,
    RK_STATE_VIEW, RK_STATE_STOPPING, RK_STATE_ENDED, RK_N_STATES
} rk_state_t;

/* One party that may speak to us, by the ROUTER's routing id; the id cannot be forged by another party. */
typedef struct {
    uint32_t address; /* of a local actor, or (coordinator, process) */
    bool stopped;
    size_t n_routing;
    uint8_t routing[255];
} rk_known_t;

typedef struct rk_coordinator_control rk_coordinator_control_t;
typedef struct rk_coordinator_status rk_coordinator_status_t;

#define RK_MISSED 8  /* members that are told to be missed */
#define RK_COMMITS 8 /* rounds that a rate is told of */

/* What stages and links do while they train and, of the leader, whether another plan is better. */
typedef struct {
    rk_observed_t *observed; /* of self->plan; NULL: nobody reports, or it has been kept */
    rk_watch_t watch;
    rk_wires_t *wires;       /* every process: connections of its node; NULL: nobody wants to know */
    int64_t next_look_ms;
    bool moves;              /* a better plan waits until the open rounds are committed */
    bool changed;            /* the profile table: others do not know it yet */
} rk_coordinator_replan_t;

/* Leader: somebody who wants to take part in a run that has begun. */
typedef struct {
    uint32_t process;        /* number given, of the next view */
    rk_roster_entry_t entry; /* steps: RK_STEP_PROFILING, RK_STEP_PROFILED */
    int64_t ready_ms;        /* since when it is profiled */
    int64_t hung_up_ms;      /* when its connection ended; 0: it holds, or it was heard over another */
} rk_coordinator_joiner_t;

/* A machine that is being asked whether anybody listens where a member did. */
typedef struct {
    uint32_t process;
    int fd;
    int64_t asked_ms;
} rk_coordinator_question_t;
#define RK_QUESTIONS 16 /* under way at a time */

/* The save asked for last. */
typedef struct {
    bool under_way, final, again; /* again: one was wanted meanwhile */
    uint64_t round, last_round;
    int64_t last_ms;
} rk_coordinator_save_t;

typedef struct rk_coordinator {
    rk_loop_t *loop;
    /* what was asked for */
    bool leads;                /* process == leader */
    bool witness;              /* this process only votes */
    uint32_t process, leader;  /* numbers: of this process, and of the one that leads */
    uint64_t token;            /* of the run: what members show one another */
    rk_run_kind_t kind;
    rk_settings_t settings;
    const rk_model_t *program_model; /* borrowed; NULL: by name */
    rk_model_info_t model;     /* leader, and whoever plans; layers are a copy of ours */
    rk_plan_cursor_t cursor;   /* leader; control is ours */
    rk_plan_t *given;          /* leader: plan given beforehand, until proposed */
    uint32_t n_processes;      /* others */
    uint64_t n_forward_only;
    int64_t patience_ms;
    char join[256], name[32], relay[256];
    uint32_t leader_pid;       /* follower: 0 when the leader is not a process this one can see */
    /* who is there */
    rk_known_t *known;
    size_t n_known, known_capacity;
    rk_roster_t roster;        /* leader */
    rk_member_t *member;       /* the other coordinators this one hears from, by process number */
    rk_profiles_t profiles;    /* leader */
    rk_links_table_t links;    /* leader */
    rk_coordinator_joiner_t *joiners; /* leader; ascending numbers */
    uint32_t n_joiners, joiner_capacity;
    bool under_way;            /* follower: the run had begun when this process came */
    uint32_t *hosted;          /* addresses of this process's own actors, as its parent wired them */
    size_t n_hosted;
    bool parent_ready;         /* the parent has connected them all */
    uint64_t parent_digest;
    bool profile_wanted;       /* a ProfileRequest waits for the profiler to come up */
    bool profile_open;         /* it has been asked and has not answered */
    bool link_open;            /* the same of a LinkRequest, which is kept here; follower */
    rk_link_request_t link_request;
    char link_endpoint[256];
    uint64_t dims[RK_MAX_DIMS];
    rk_profile_request_t request;
    /* the view; coordinator_view.c */
    rk_view_t *view;           /* NULL: the first is yet to come */
    rk_membership_t *membership; /* NULL: no view, or a lost process ends the run */
    rk_coordinator_question_t questions[RK_QUESTIONS];
    uint32_t n_questions;
    rk_plan_t *base;           /* whose state self->plan takes over; NULL: first values */
    uint64_t n_committed, n_evaluated; /* rounds and passes, as far as this process knows */
    uint64_t issued;                   /* follower: minibatches of this view that may have been trained are below */
    uint64_t redone;           /* minibatches that were issued again, in all views */
    bool moved;                /* a round has been committed in this view: its own state is what another would take over */
    bool retiring;             /* the parent ends the actors of the plan */
    bool wants_view;           /* at the next commit */
    uint64_t *dead;            /* n_members of the view: scratch */
    uint64_t missed[RK_MISSED]; /* members that are not heard, as heartbeats say it */
    uint32_t n_missed;
    char parked[256];          /* what was said last */
    int64_t next_tell_ms;      /* follower, WIRING: Wired or Ready is told again */
    bool told_wired, has_peers, told_ready;
    /* the run */
    rk_plan_t *plan;
    rk_endpoint_t *wired;      /* leader: all endpoints told so far; strings are ours */
    size_t n_wired, wired_capacity;
    rk_lease_table_t *leases;  /* leader */
    uint32_t pending[RK_MAX_CLUSTERS];        /* leader: by cluster: leases asked for and not granted yet */
    uint64_t *counts, *samples;/* leader: n_clusters, scratch of RoundClosed */
    uint64_t next_close;       /* first round not announced as closed */
    rk_panel_t panel;
    rk_coordinator_save_t save; /* leader */
    rk_coordinator_replan_t replan;
    rk_coordinator_control_t *control; /* leader; NULL: no control records */
    /* what rookery status is told; coordinator_status.c */
    rk_coordinator_status_t *status; /* NULL: nobody has asked */
    struct { int64_t ms; uint64_t f; } commits[RK_COMMITS]; /* the last ones of this view, by number modulo RK_COMMITS */
    uint64_t n_commits;
    char reason[256];          /* of the view */
    bool reason_given;         /* when it was wished for */
    int64_t reason_ms;
    /* time */
    rk_state_t state;
    int64_t state_ms;          /* since */
    rk_patience_t patience;    /* of the state */
    int64_t now_ms, next_beat_ms, next_line_ms, next_dial_ms;
    /* the end */
    rk_err_t end_code;
    char end_text[256];
    bool interrupted;
    bool unsaved;              /* trained to its end, but the last checkpoint was not written */
    int64_t leave_by_ms;       /* this process has asked to leave; later than this it goes. 0: it has not */
    bool leaving, left, rejoins; /* this process goes: announced; the others have gone on; as a new member it may come back */
    bool apart;                /* ... after a while: it and another member do not hear one another */
    rk_restart_t restart;      /* of actors of this process */
    int64_t restart_ms;        /* when a view is wished for in which they are started again; 0: none failed; INT64_MAX: it was */
    char restart_why[200];
} rk_coordinator_t;

/* ---- coordinator.c */
void rk_coordinator_enter (rk_coordinator_t *self, rk_state_t state);
/* Handlers run after a wait: they read the clock again. */
static inline int64_t rk_coordinator_now_ms (void)
{
    return rk_now_ns () / 1000000;
}
static inline void rk_coordinator_progress (rk_coordinator_t *self)
{
    rk_patience_progress (&self->patience, rk_coordinator_now_ms ());
}

/* ---- coordinator_known.c: origins of messages */
typedef enum { RK_FROM_STRANGER = 0, RK_FROM_LOCAL, RK_FROM_PROCESS, RK_FROM_LEADER } rk_origin_kind_t;
typedef struct {
    rk_origin_kind_t kind;
    rk_known_t *known; /* local actor or process */
    uint32_t process;  /* its number; the own one for local actors */
} rk_origin_t;
rk_origin_t rk_coordinator_origin (rk_coordinator_t *self, const rk_packet_t *packet);
rk_err_t rk_coordinator_know (rk_coordinator_t *self, uint32_t address, const rk_packet_t *packet,
                              rk_error_t *err) RK_MUST_CHECK;
rk_known_t *rk_coordinator_find (rk_coordinator_t *self, uint32_t address);
void rk_coordinator_forget (rk_coordinator_t *self, uint32_t address);
void rk_coordinator_forget_plan (rk_coordinator_t *self); /* the actors of a plan that were here */
/* A message that is not allowed from there: RK_EFORMAT with a text, which the loop counts and logs. */
rk_err_t rk_coordinator_refuse (const rk_packet_t *packet, const char *why, rk_error_t *err) RK_MUST_CHECK;
/* The process that hosts a node of the plan; UINT32_MAX: none. Leader only. */
uint32_t rk_coordinator_host_of (const rk_coordinator_t *self, uint32_t node);
/* True when a message about `node` may come from there. */
bool rk_coordinator_speaks_for (const rk_coordinator_t *self, rk_origin_t origin, uint32_t node);

/* Sending. A party that cannot be reached is logged: its silence has consequences of its own. */
void rk_coordinator_send (rk_coordinator_t *self, uint32_t address, rk_msg_t *msg, const rk_frame_t *frames,
                          int n_frames);
void rk_coordinator_to_kind (rk_coordinator_t *self, rk_actor_kind_t kind, rk_msg_t *msg); /* all local ones */
void rk_coordinator_to_parent (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames);
void rk_coordinator_to_others (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames);
void rk_coordinator_to_node (rk_coordinator_t *self, rk_actor_kind_t kind, uint32_t node, rk_msg_t *msg);
rk_err_t rk_coordinator_relay_up (rk_coordinator_t *self, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

/* ---- steps from one state to the next */
void rk_coordinator_after_profile (rk_coordinator_t *self);
/* Coordinator_measure.c: measures the links that are not measured; true: that is under way, and after it
 * rk_coordinator_after_profile comes again.                                                               */
bool rk_coordinator_measure_links (rk_coordinator_t *self);
void rk_coordinator_ask_link_again (rk_coordinator_t *self); /* the profiler is another one now */
/* The whole table to the other processes, and with to_parent to the own parent. */
void rk_coordinator_send_table (rk_coordinator_t *self, bool to_parent);
void rk_coordinator_propose (rk_coordinator_t *self, rk_plan_t *plan); /* the first one; takes it */
rk_err_t rk_coordinator_prepare (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK; /* the leader, for self->plan */
/* A message of another view: RK_ESTALE. */
rk_err_t rk_coordinator_of_view (const rk_coordinator_t *self, const rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;
void rk_coordinator_check_ready (rk_coordinator_t *self); /* this process */
void rk_coordinator_tell_again (rk_coordinator_t *self); /* what may have come before the leader knew of the view */
void rk_coordinator_step_ready (rk_coordinator_t *self, uint32_t process, uint64_t digest);
void rk_coordinator_begin_run (rk_coordinator_t *self);
void rk_coordinator_serve (rk_coordinator_t *self);
void rk_coordinator_committed (rk_coordinator_t *self, uint64_t round); /* as this process hears of it */
void rk_coordinator_begin_evaluation (rk_coordinator_t *self);
void rk_coordinator_finish_evaluation (rk_coordinator_t *self);
void rk_coordinator_save_begin (rk_coordinator_t *self);  /* the clock of saves starts */
void rk_coordinator_save_if_due (rk_coordinator_t *self); /* a round has committed, before the next one is granted */
void rk_coordinator_save_now (rk_coordinator_t *self);    /* or when the one under way is done */
void rk_coordinator_save_and_end (rk_coordinator_t *self);
uint32_t rk_coordinator_deal_evaluation (rk_coordinator_t *self, uint32_t cluster, uint32_t most, uint64_t *f, uint32_t *mode);
/* The run ends: RK_OK done; else why. The first reason stays. */
void rk_coordinator_end (rk_coordinator_t *self, rk_err_t code, const char *fmt, ...) RK_PRINTF (3, 4);
void rk_coordinator_tell_stop (rk_coordinator_t *self, uint32_t address);
void rk_coordinator_check_stopped (rk_coordinator_t *self);
/* Coordinator_restart.c: true when the run survives that failure. */
bool rk_coordinator_survives (rk_coordinator_t *self, rk_origin_t origin, const rk_packet_t *packet);
int64_t rk_coordinator_restart_tick (rk_coordinator_t *self); /* when it has something to do, ms; INT64_MAX: it has not */
void rk_coordinator_lost (rk_coordinator_t *self, uint32_t process, const char *why);
void rk_coordinator_late (rk_coordinator_t *self); /* the deadline of the state has passed */
rk_err_t rk_coordinator_welcome (rk_coordinator_t *self, uint32_t process, uint32_t node, rk_error_t *err) RK_MUST_CHECK;
/* Once, to somebody who is not known and will not be. */
void rk_coordinator_answer_stranger (rk_coordinator_t *self, const rk_packet_t *packet, rk_msg_t *msg);
void rk_coordinator_refuse_stranger (rk_coordinator_t *self, const rk_packet_t *packet, const char *why);

/* ---- coordinator_joiners.c: nodes that come while a run is under way. Nothing waits for them: they are measured while
 * others train, and a view that they are in begins between two rounds, so that nothing is done again.      */
const char *rk_coordinator_unwelcome_now (const rk_coordinator_t *self); /* why nobody may join now; NULL: welcome */
rk_err_t rk_coordinator_take_joiner (rk_coordinator_t *self, const rk_packet_t *packet, const rk_roster_entry_t *entry,
                                     rk_error_t *err) RK_MUST_CHECK;
void rk_coordinator_joiner_hung_up (rk_coordinator_t *self, uint32_t process, int64_t now_ms); /* whoever is none: nothing happens */
void rk_coordinator_joiner_heard (rk_coordinator_t *self, uint32_t process, int64_t now_ms);
bool rk_coordinator_is_joiner (const rk_coordinator_t *self, uint32_t process);
/* It is no joiner any more; why is told to it, too. false: it was none. */
bool rk_coordinator_drop_joiner (rk_coordinator_t *self, uint32_t process, const char *why);
void rk_coordinator_ask_joiners (rk_coordinator_t *self); /* for their profiles, one at a time on one machine */
rk_err_t rk_coordinator_joiner_profile (rk_coordinator_t *self, uint32_t process, const rk_node_profile_t *profile, rk_error_t *err) RK_MUST_CHECK;
void rk_coordinator_joiners_tick (rk_coordinator_t *self);
uint32_t rk_coordinator_n_joining (const rk_coordinator_t *self); /* who would be in a view made now */
const rk_coordinator_joiner_t *rk_coordinator_joining (const rk_coordinator_t *self, uint32_t i);
bool rk_coordinator_joins (const rk_coordinator_t *self, uint32_t node);
void rk_coordinator_to_joiners (rk_coordinator_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames);
/* A view has begun: those in it are told, others are sent to whoever leads. */
void rk_coordinator_admit_joiners (rk_coordinator_t *self, const uint8_t *bytes, size_t size);
/* Where members listen, the leader first; to whoever knocks elsewhere, and for the parent, which may have to come again. */
void rk_coordinator_send_elsewhere (rk_coordinator_t *self, const rk_packet_t *packet);
void rk_coordinator_note_elsewhere (rk_coordinator_t *self, const rk_view_t *view);
/* ---- coordinator_leave.c: a member goes in two steps: a view in which it only gives its state to others, then, when a round of
 * that is committed, one without it. Both begin between two rounds, so that nothing is done again.        */
void rk_coordinator_ask_to_leave (rk_coordinator_t *self);   /* this process, of whoever leads; again in every view */
void rk_coordinator_leave_tick (rk_coordinator_t *self);
rk_err_t rk_coordinator_let_leave (rk_coordinator_t *self, uint32_t process, const rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK; /* leader */
bool rk_coordinator_is_leaving (const rk_coordinator_t *self, uint32_t process); /* it will host nothing in the next view */
bool rk_coordinator_has_given (const rk_coordinator_t *self, uint32_t process, uint64_t of_view); /* the next view is without it */
const char *rk_coordinator_wants_leave (const rk_coordinator_t *self); /* leader: why another view is wanted; NULL: no such wish */
/* ---- coordinator_back.c: where the run goes back to when nobody has a part of its state; false: to the beginning. */
bool rk_coordinator_back_to (const rk_coordinator_t *self, uint64_t committed, rk_plan_cursor_t *cursor);
/* A change that can wait until the open rounds are committed. */
const char *rk_coordinator_wants_change (const rk_coordinator_t *self); /* why; NULL: none */

/* ---- coordinator_keys.c */
const char *rk_coordinator_own_key (const rk_coordinator_t *self, char text[RK_KEY_TEXT]); /* "" without encryption */
const char *rk_coordinator_impostor (const rk_packet_t *packet); /* why a Hello's key is not to be believed; NULL: it is */
void rk_coordinator_tell_keys (rk_coordinator_t *self);          /* to every process, before it is told to connect */
/* ---- coordinator_question.c: whether the process of a member that hung up is gone */
void rk_coordinator_hung_up (void *self, uint32_t address); /* of the loop */
void rk_coordinator_question_tick (rk_coordinator_t *self);
int64_t rk_coordinator_answer_ms (const rk_coordinator_t *self); /* when to look for an answer; INT64_MAX: none is awaited */
void rk_coordinator_drop_questions (rk_coordinator_t *self);
/* ---- coordinator_view.c: from one view to the next */
void rk_coordinator_drive (rk_coordinator_t *self); /* after anything that the membership was told */
void rk_coordinator_view_tick (rk_coordinator_t *self);
void rk_coordinator_want_view (rk_coordinator_t *self, const char *why); /* the leader does; whoever is told of it otherwise */
void rk_coordinator_retired (rk_coordinator_t *self);
/* ---- coordinator_next.c: what the next view is */
rk_err_t rk_coordinator_first_view (rk_coordinator_t *self, const rk_plan_t *plan, uint8_t **bytes_p, size_t *size, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_coordinator_next_view (rk_coordinator_t *self, uint8_t **bytes_p, size_t *size, rk_error_t *err) RK_MUST_CHECK;
/* Nobody who has answered holds some part of the state, but silent members may: they are waited for, not for ever. */
bool rk_coordinator_waits_for_state (const rk_coordinator_t *self);
/* The plans that travel with a view; *base NULL: none. */
rk_err_t rk_coordinator_view_plans (const rk_view_t *view, rk_plan_t **plan, rk_plan_t **base, uint64_t *n_evaluated, uint64_t *redone,
                                    rk_error_t *err) RK_MUST_CHECK;
/* Committed rounds, view of the plan they are of, passes evaluated, minibatches granted beyond; behind that, as text, where the
 * member's coordinator is found from now on: one that others cannot reach may have another relay.          */
#define RK_STANDING_BYTES 32
/* ---- coordinator_install.c */
/* A process alone in its view makes the next one by itself: with a membership of its own until then. */
rk_err_t rk_coordinator_watch_alone (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_coordinator_leave (rk_coordinator_t *self, rk_err_t code, const char *why);
void rk_coordinator_left_out (rk_coordinator_t *self, const rk_view_t *view); /* others have gone on without this process */
rk_err_t rk_coordinator_own_model (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK; /* the costs of the model */
rk_err_t rk_coordinator_guess_profiles (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK; /* where none were measured */
rk_err_t rk_coordinator_copy_model (rk_coordinator_t *self, const rk_model_info_t *model) RK_MUST_CHECK;
rk_err_t rk_coordinator_install (rk_coordinator_t *self, const uint8_t *bytes, size_t size, rk_error_t *err) RK_MUST_CHECK;

/* ---- coordinator_replan.c; all do nothing where nobody reports */
rk_err_t rk_coordinator_figures_begin (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK; /* the leader, for self->plan */
/* What was observed is from now on what the profile table says; other processes are told before they plan with it. */
rk_err_t rk_coordinator_figures_keep (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_coordinator_wires_begin (rk_coordinator_t *self, const rk_endpoints_t *list, rk_error_t *err) RK_MUST_CHECK;
void rk_coordinator_wires_tick (rk_coordinator_t *self);
void rk_coordinator_figures_close (rk_coordinator_t *self);
void rk_coordinator_consider (rk_coordinator_t *self); /* a round has been committed: is there a better plan now? */
void rk_coordinator_move (rk_coordinator_t *self);     /* a change that is wanted, once everything that was open is committed */

/* ---- coordinator_status.c */
int64_t rk_coordinator_status_tick (rk_coordinator_t *self); /* when it has something to do next, ms; INT64_MAX: it has not */
void rk_coordinator_status_close (rk_coordinator_t *self);
void rk_coordinator_count_commit (rk_coordinator_t *self);
/* Why the view before ends, before its membership does. next: what comes then. */
void rk_coordinator_note_reason (rk_coordinator_t *self, const rk_view_t *next);
/* What a state waits for, as text. */
void rk_coordinator_missing (rk_coordinator_t *self, char *text, size_t size);
const char *rk_coordinator_doing (const rk_coordinator_t *self);

/* ---- coordinator_control.c; all do nothing without control records */
rk_err_t rk_coordinator_control_open (rk_coordinator_t *self, rk_error_t *err) RK_MUST_CHECK;
bool rk_coordinator_control_fits (const rk_plan_t *plan, rk_error_t *err); /* a closed loop has something to choose between there */
void rk_coordinator_control_close (rk_coordinator_t *self);
char *rk_coordinator_control_text (const rk_coordinator_t *self); /* records so far; owner: the caller frees; NULL: none */
void rk_coordinator_control_begin (rk_coordinator_t *self);
uint32_t rk_coordinator_control_at (const rk_coordinator_t *self, uint64_t round);
void rk_coordinator_control_hear (rk_coordinator_t *self, const rk_round_applied_t *applied);
void rk_coordinator_control_decide (rk_coordinator_t *self, uint64_t round); /* it has committed */

/* ---- handlers, by message */
rk_handler_fn rk_coordinator_on_hello, rk_coordinator_on_welcome, rk_coordinator_on_ready, rk_coordinator_on_heartbeat,
    rk_coordinator_on_profile_request, rk_coordinator_on_profile, rk_coordinator_on_wired,
    rk_coordinator_on_peers, rk_coordinator_on_start, rk_coordinator_on_lease_request, rk_coordinator_on_lease_grant,
    rk_coordinator_on_for_stages, rk_coordinator_on_round_applied, rk_coordinator_on_evaluated, rk_coordinator_on_saved,
    rk_coordinator_on_link_request, rk_coordinator_on_link_measured, rk_coordinator_on_agreement, rk_coordinator_on_failed, rk_coordinator_on_stop, rk_coordinator_on_stopped,
    rk_coordinator_on_keys, rk_coordinator_on_enrol, rk_coordinator_on_report,
    rk_coordinator_on_status_request, rk_coordinator_on_waits, rk_coordinator_on_status;
void rk_coordinator_on_parent_ready (rk_coordinator_t *self);

#endif
