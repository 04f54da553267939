/* SPDX-License-Identifier: MPL-2.0
 * The inside of a stage, shared by its files: stage.c (class), stage_open.c (from plan to memory),
 * stage_receive.c (messages of neighbours, checked), stage_work.c (what to do next), stage_forward.c,
 * stage_backward.c (kernels and what they send), stage_verdict.c (updates and whether they are made), stage_blame.c
 * (who made a number that is none), stage_version.c (parameters), stage_tied.c (a tensor that two stages share),
 * stage_round.c (averaging), stage_keep.c, stage_give.c, stage_take.c (states between rounds), stage_warm.c (copies of others'), stage_waits.c (what it waits for), stage_report.c. Everything runs in the stage's thread.                       */
#ifndef RK_ACTORS_STAGE_PARTS_H
#define RK_ACTORS_STAGE_PARTS_H
#include "actors/buffers.h"
#include "actors/stage.h"
#include "actors/stage_keep.h"
#include "actors/stage_tied.h"
#include "actors/stage_warm.h"
#include "actors/training.h"
#include "cluster/hold.h"
#include "cluster/lease.h"
#include "cluster/schedule.h"
#include "compute/pool.h"
#include "compute/slice.h"

/* Send buffers beyond in_flight: the I/O thread gives one back a little after the peer has answered it. */
#define RK_STAGE_SPARE_BUFFERS 4

/* A minibatch that is here. */
typedef enum {
    RK_SLOT_FREE = 0,
    RK_SLOT_ARRIVED, /* its activation waits for the forward */
    RK_SLOT_STASHED, /* forward done, waits for its gradient */
    RK_SLOT_ANSWERED /* the gradient waits for the backward */
} rk_slot_state_t;

typedef struct {
    rk_slot_state_t state;
    uint64_t f, round, order; /* order: of arrival of what it has last received */
    uint32_t mode, n, dtype;  /* dtype of the activation */
    uint32_t gradient_dtype;
    int n_in, n_gout;                   /* frames held */
    zmq_msg_t in[RK_MAX_BOUNDARY + 1];  /* tensors of the cut before, then labels: const */
    zmq_msg_t gout[RK_MAX_BOUNDARY];
    rk_buffer_t *out;                   /* this slice's outputs, f32; NULL: none */
    rk_buffer_t *version;               /* the parameters its forward saw */
    uint64_t version_steps;             /* optimiser steps these had taken */
    float loss_scale;                   /* in force at its forward */
    int ctx;                            /* of the slice; -1: none */
    rk_loss_t loss;                     /* last stage */
    float *scratch;                     /* inputs that cannot be read where they lie: misaligned or f16 */
} rk_slot_t;

/* The tensors of one cut and where each lies in a buffer for a whole minibatch. */
typedef struct {
    int n;
    rk_boundary_t tensor[RK_MAX_BOUNDARY];
    int source[RK_MAX_BOUNDARY]; /* a tensor that only passes through: its index in the cut before; else -1 */
    size_t at[RK_MAX_BOUNDARY];  /* in elements, multiples of 16 */
    size_t elems;                /* of the buffer */
    int n_grads;                 /* tensors whose gradient travels back */
} rk_cut_t;

/* One update: the summed gradients of update_every minibatches, fewer at the end of a round. Updates of a stage are
 * numbered as everywhere in its cluster: those from n_settled on wait for their verdict, n_closed is being summed up. */
typedef struct {
    uint32_t n;                    /* minibatches */
    uint64_t samples;
    uint64_t last_f, round;        /* of the last one: it decides the learning rate */
    uint64_t seen_sum, seen_least; /* steps that the versions of their forwards had taken */
    double above;                  /* squares of the gradients of the stages after this one */
    double poison;                 /* 0, or no number: not to be made whatever the gradients are */
    float loss_scale;              /* what its losses are multiplied by: in force at the forward of the first */
    bool closed, summed, sent;     /* has all its minibatches; `above` is known; the sum has gone on */
    bool owes_credit;              /* stage 0: the verdict returns the credit of last_f */
    uint64_t order;                /* of arrival of the verdict, as of activations */
    rk_verdict_t verdict;
} rk_update_t;

/* RoundClosed, kept until this stage has come to the end of that round. */
typedef struct {
    bool known;
    uint64_t count, samples, weight, total; /* of this cluster; total of all */
    uint32_t control;                       /* value of the control record */
} rk_round_end_t;

typedef struct {
    uint64_t minibatches, samples, n_correct, n_counted, staleness_sum, staleness_max, staleness_n;
    double loss_sum;
    uint64_t skipped; /* updates */
    int64_t busy_ns, declared_wait_ns, next_report_ns;
    struct {
        int64_t ns, wall_ns;
        uint64_t n;
    } kernels[3];     /* by rk_act_t: of busy_ns that of training forwards and backwards, by the clock, and their number */
    rk_act_t act;     /* what the kernels now belong to; NONE: neither */
    int64_t started_runnable_ns;
    int64_t started_ns, started_idle_ns, started_cpu_ns; /* clocks at the first minibatch: what came before is no idling */
    uint64_t reducer_bytes;
    bool dirty; /* something happened since the last report */
} rk_stage_counts_t;

/* stage_mix.c; all zero with exact averaging */
typedef struct {
    bool late, due;     /* AWC; a mixture waits for the end of the round */
    bool guarded;       /* a replica that is not finite must not spread */
    bool frozen;
    float *start;       /* quasi-global momentum: as the round began; n_flat */
    double lr_sum;      /* of its steps */
    float *y, *d;       /* gradient tracking, rk_mix_track; n_flat each */
} rk_stage_mix_t;

struct rk_stage {
    rk_loop_t *loop;
    rk_plan_t *plan;       /* own copy */
    const rk_model_t *model;
    rk_slice_t *slice;
    rk_pool_t *pool;       /* threads of its kernels; NULL: its own thread alone */
    rk_training_t training;
    uint32_t corrupt;

    uint32_t cluster, stage, n_stages, index, in_flight; /* index: into plan->stages */
    uint32_t upstream, downstream, reducer;              /* addresses; 0: none */
    bool first, last, drained, f16;
    int layer_first, layer_last;
    rk_cut_t in, out;

    rk_slot_t *slots;
    int n_slots;
    uint64_t n_orders;                /* last order given */
    bool *ctx_busy;                   /* in_flight contexts of the slice */
    rk_buffers_t *outs, *gins;        /* f32, written by kernels; lent when the wire is f32 */
    rk_buffers_t *wire_outs, *wire_gins; /* f16 images of the same */
    rk_buffers_t *probabilities;      /* last stage */
    float *gout_scratch;              /* one minibatch's gradients that cannot be read where they lie */
    float *scratch;                   /* of all slots */
    void *label_scratch;              /* labels of one minibatch that cannot be read where they lie */

    /* Parameters: the flat range of this stage. */
    size_t n_flat;
    size_t n_tied;                       /* floats behind them in versions and gradients: the copy of a tied tensor */
    rk_stage_tied_t tied;
    rk_buffers_t *versions;
    rk_buffer_t *live, *mean, *snapshot; /* mean: of the last round applied; snapshot: being averaged, or NULL */
    rk_buffer_t *merged;                 /* the mean of all replicas, when `mean` is only this one's mixture; or NULL */
    bool has_stats;                      /* BatchNorm buffers in this slice */
    float *measured;                     /* n_flat: where one minibatch's statistics go; used with average.bn = recalibrate */
    rk_stage_mix_t mix;
    double *probe;                       /* stage_probe.c: 3 of each tensor; NULL: none are wanted */
    char *probe_names;
    size_t probe_names_size;
    float *slot_state[RK_OPTIM_MAX_SLOTS], *slot_snapshot[RK_OPTIM_MAX_SLOTS];
    uint64_t n_steps;

    /* Updates. */
    bool judged;                         /* they wait for a verdict */
    rk_verdict_state_t verdict_state;    /* stage 0 */
    float loss_scale;                    /* of the next update that begins; last stage */
    rk_update_t *updates;                /* n_updates, by number modulo n_updates */
    float **grads;                       /* n_grads, likewise */
    uint32_t n_updates, n_grads;
    uint64_t n_closed, n_judged, n_settled;
    double *squares;                     /* n_squares, of the update closed last, by tensor */
    size_t n_squares;

    /* Rounds. */
    uint64_t round;                      /* being trained */
    uint64_t next_f;                     /* overlapped: smallest id that may still come */
    uint64_t n_forward, n_backward;      /* of `round`, this cluster */
    rk_round_end_t ends[2];              /* by parity of the round */
    uint64_t *dealt;                     /* drained: ids of this cluster in `round`, in order */
    uint64_t n_dealt, n_arrived;
    uint32_t *deal_scratch;
    uint64_t averaging;                  /* the round that is being averaged while snapshot != NULL */
    uint64_t mean_round;                 /* rounds applied so far */
    rk_stage_keep_t keep;
    rk_stage_warm_t warm;

    /* The step that follows a held kernel call (slow nodes), on slot `at`. */
    rk_err_t (*next) (rk_stage_t *self, rk_error_t *err);
    rk_slot_t *at;
    rk_buffer_t *gin;                    /* input gradients not sent yet */
    rk_buffer_t *probs;                  /* of the prediction at `at` */
    int64_t kernel_cpu_ns, kernel_wall_ns; /* start of the kernel call */
    int64_t hold_from_ns, hold_until_ns;
    int64_t waits_ns;                    /* since when there is nothing to do; 0: there is */
    rk_hold_t hold;                      /* of a node of declared speed */
    bool tells;           /* reports go to the coordinator too */
    bool stopped, halted; /* halted: a loss was no number; only the end is waited for */
    rk_stage_counts_t counts;
};

/* ---- stage_open.c */
rk_err_t rk_stage_open (void *self, rk_loop_t *loop, const void *config, rk_error_t *err) RK_MUST_CHECK;
void rk_stage_close (void *self);
size_t rk_stage_max_frame (const rk_plan_t *plan, const rk_model_t *model, uint32_t node);

/* ---- stage_receive.c: rk_handler_fn */
rk_err_t rk_stage_on_activation (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_on_gradient (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_on_credit (void *self, rk_packet_t *packet, rk_error_t *err);
void rk_stage_release (rk_stage_t *self, rk_slot_t *slot);
rk_slot_t *rk_stage_find (rk_stage_t *self, uint64_t f, uint32_t mode); /* NULL: not here */
/* Whether `packet` comes from `address`; else RK_EFORMAT. */
rk_err_t rk_stage_expect (const rk_packet_t *packet, uint32_t address, rk_error_t *err) RK_MUST_CHECK;

/* ---- stage_work.c */
int64_t rk_stage_work (void *self, int64_t now_ns, rk_err_t *code, rk_error_t *err);
/* Around every kernel call: its CPU time is counted; end holds `next` back on a slow node, else runs it. */
void rk_stage_kernel_begin (rk_stage_t *self);
rk_err_t rk_stage_kernel_end (rk_stage_t *self, rk_err_t (*next) (rk_stage_t *, rk_error_t *), rk_error_t *err) RK_MUST_CHECK;

/* ---- stage_forward.c, stage_backward.c: one kernel call on self->at, then what it sends */
rk_err_t rk_stage_forward (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_backward (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_send_credit (rk_stage_t *self, uint64_t f, uint64_t round, uint32_t mode, rk_error_t *err) RK_MUST_CHECK;
const void *rk_stage_labels (rk_stage_t *self, rk_slot_t *slot);
/* Frame `msg` of n elements as f32, in place when possible, else in scratch. */
const float *rk_stage_floats (zmq_msg_t *msg, uint32_t dtype, size_t n, float *scratch);

/* ---- stage_verdict.c */
rk_err_t rk_stage_make_updates (rk_stage_t *self) RK_MUST_CHECK; /* memory */
void rk_stage_free_updates (rk_stage_t *self);
void rk_stage_clear_updates (rk_stage_t *self); /* as if none had begun */
rk_update_t *rk_stage_update (const rk_stage_t *self); /* that is being summed up */
bool rk_stage_begins_update (const rk_stage_t *self);   /* the next minibatch overwrites them */
float *rk_stage_grads (const rk_stage_t *self);        /* its gradients */
bool rk_stage_has_room (const rk_stage_t *self);       /* for the gradients of one more backward */
float rk_stage_loss_weight (rk_stage_t *self, const rk_slot_t *slot); /* last stage, before its backward */
bool rk_stage_add (rk_stage_t *self, const rk_slot_t *slot);          /* its gradients are in; true: complete now */
rk_err_t rk_stage_make_update (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* at once */
/* Judged: measure its gradients (a kernel), then send it on its way. */
void rk_stage_measure (rk_stage_t *self);
rk_err_t rk_stage_close_update (rk_stage_t *self, bool owes_credit, rk_error_t *err) RK_MUST_CHECK;
bool rk_stage_take_verdict (rk_stage_t *self, rk_err_t *code, rk_error_t *err); /* whose turn it is; false: none */
rk_err_t rk_stage_on_norm (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_on_verdict (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- stage_blame.c */
rk_err_t rk_stage_blame (rk_stage_t *self, rk_slot_t *slot, rk_error_t *err) RK_MUST_CHECK; /* its loss is no number */
rk_err_t rk_stage_on_suspect (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- stage_version.c */
/* The optimiser's, on the live version; f decides the learning rate. */
rk_err_t rk_stage_step (rk_stage_t *self, float *grads, float grad_scale, uint64_t f, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_own_live (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;  /* so that BatchNorm may write to it */
/* `count` floats of the live version from `at`; values at any address */
rk_err_t rk_stage_write_live (rk_stage_t *self, size_t at, size_t count, const void *values, rk_error_t *err) RK_MUST_CHECK;
/* mean: n_flat floats at any address */
rk_err_t rk_stage_apply_mean (rk_stage_t *self, const void *mean, rk_error_t *err) RK_MUST_CHECK;
/* n_flat floats at any address; NULL: the last round did not merge */
rk_err_t rk_stage_keep_merged (rk_stage_t *self, const void *merged, rk_error_t *err) RK_MUST_CHECK;
rk_buffer_t *rk_stage_model (const rk_stage_t *self); /* what is evaluated and saved; borrowed */
/* Around the forward of MEASURE minibatch k, whose statistics go to self->measured. */
rk_err_t rk_stage_begin_measure (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_stage_end_measure (rk_stage_t *self, uint64_t k);
rk_err_t rk_stage_init_live (rk_stage_t *self, const char *initial, rk_error_t *err) RK_MUST_CHECK;

rk_buffer_t *rk_stage_take_version (rk_stage_t *self, rk_error_t *err);    /* NULL: all are in use */
void rk_stage_copy_stats (const rk_stage_t *self, const float *from, float *to);
rk_err_t rk_stage_correct_live (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* live += mean - snapshot; the snapshot is done with */

/* ---- stage_mix.c */
rk_err_t rk_stage_mix_open (rk_stage_t *self) RK_MUST_CHECK;
void rk_stage_mix_close (rk_stage_t *self);
rk_err_t rk_stage_take_snapshot (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_correct_late (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK;
void rk_stage_after_mix (rk_stage_t *self, const float *before);

/* ---- stage_probe.c: called when a mixture is here, before it is applied; ranges at any address */
rk_err_t rk_stage_probe_open (rk_stage_t *self) RK_MUST_CHECK;
bool rk_stage_probes (const rk_stage_t *self, uint64_t round);
rk_err_t rk_stage_probe (rk_stage_t *self, uint64_t round, const void *mixed, const void *merged, rk_error_t *err) RK_MUST_CHECK;

/* ---- stage_round.c */
rk_err_t rk_stage_begin_round (rk_stage_t *self, uint64_t round, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_check_round (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* end it if it has ended */
rk_err_t rk_stage_on_round_closed (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_on_round_committed (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_take_held_mean (rk_stage_t *self, rk_error_t *err) RK_MUST_CHECK; /* of stage_tied.h */
rk_err_t rk_stage_on_mean (void *self, rk_packet_t *packet, rk_error_t *err);
rk_err_t rk_stage_on_save_request (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- stage_waits.c */
rk_err_t rk_stage_on_status_request (void *self, rk_packet_t *packet, rk_error_t *err);

/* ---- stage_report.c */
rk_err_t rk_stage_report (rk_stage_t *self, bool final, rk_error_t *err) RK_MUST_CHECK;
/* To the observer, who only watches: nobody there is no error. */
rk_err_t rk_stage_show (rk_stage_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_stage_on_stop (void *self, rk_packet_t *packet, rk_error_t *err);

#endif
