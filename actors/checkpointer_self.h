/* SPDX-License-Identifier: MPL-2.0
 * The inside of a checkpointer, shared by checkpointer.c (class, predictions, end), checkpointer_gather.c (a save: from
 * everybody's state to a file) and checkpointer_give.c (a resumed run: from a file to everybody's state). */
#ifndef RK_ACTORS_CHECKPOINTER_SELF_H
#define RK_ACTORS_CHECKPOINTER_SELF_H
#include "actors/checkpoint.h"
#include "actors/checkpointer.h"
#include "actors/predictions.h"

/* What one stage of the plan still has to give. */
typedef struct {
    bool here;          /* its Slice has come: it keeps the state until it is fetched */
    bool has_model;     /* model is valid */
    zmq_msg_t model;    /* its part of the model as it is evaluated */
    uint64_t next;      /* first float not asked for */
    uint32_t n_asked;   /* parts under way */
    bool asked_all;
} rk_gather_stage_t;

/* A save. Nothing is written before every stage has said that it keeps the state. */
typedef struct {
    bool on, wanted;    /* wanted: the coordinator's SaveRequest has come */
    uint64_t round;
    char *control;
    rk_gather_stage_t *stages; /* n_stages */
    uint32_t n_here, n_asked, n_finished;
    bool merged, apart;
    rk_checkpoint_replica_t replicas[RK_MAX_CLUSTERS];
    rk_checkpoint_draft_t *draft;
} rk_gather_t;

typedef struct {
    rk_loop_t *loop;
    rk_plan_t *plan;
    const rk_model_t *model;
    char run_dir[RK_SETTINGS_TEXT]; /* "": no files */
    uint32_t keep, n_planes;
    rk_plane_t planes[RK_N_PLANES];
    rk_gather_t gather;
    /* a run that goes on */
    rk_checkpoint_t resumed;        /* file NULL: none */
    float *scratch;                 /* n_planes x RK_HANDOVER_PART */
    /* predictions */
    rk_predictions_t *predictions;
    uint64_t n_predictions;
    bool stopping, finished;
    int64_t deadline_ns;
} rk_checkpointer_self_t;

/* ---- checkpointer_gather.c */
rk_err_t rk_gather_open (rk_checkpointer_self_t *self) RK_MUST_CHECK;
void rk_gather_close (rk_checkpointer_self_t *self);
rk_err_t rk_checkpointer_on_save_request (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_checkpointer_on_slice (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_checkpointer_on_handover (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- checkpointer_give.c */
rk_err_t rk_give_open (rk_checkpointer_self_t *self, const char *path, rk_error_t *err) RK_MUST_CHECK;
void rk_give_close (rk_checkpointer_self_t *self);
rk_err_t rk_checkpointer_on_handover_request (void *self, rk_packet_t *packet, rk_error_t *err);

#endif
