/* SPDX-License-Identifier: MPL-2.0
 * What is evaluated at the end of a pass. Replicas that are equal are one model, evaluated by whoever asks. Where
 * they differ, the headline is the merged model (the mean of all, which is also what is saved), and every replica
 * is evaluated on the whole test set too. BatchNorm statistics of the merged model are measured beforehand, by
 * every replica on the same training minibatches, so that all of them have the same. Pure.                  */
#ifndef RK_CLUSTER_PANEL_H
#define RK_CLUSTER_PANEL_H
#include "cluster/evaluation.h"

typedef enum { RK_PANEL_MODEL = 0, RK_PANEL_MEASURE, RK_PANEL_REPLICA } rk_panel_kind_t;

typedef struct {
    rk_evaluation_t model;
    uint32_t n_replicas;         /* that measure */
    bool each;                   /* replicas are evaluated too */
    rk_evaluation_t *measure, *replicas; /* n_replicas each */
} rk_panel_t;

typedef struct {
    uint32_t n; /* replicas; 0: none was evaluated */
    double mean, least, most; /* accuracy */
} rk_panel_spread_t;

/* n: minibatches of the test set; n_measure: training minibatches for statistics, 0: none have to be measured. */
rk_err_t rk_panel_init (rk_panel_t *panel, uint64_t n, uint32_t n_replicas, uint64_t n_measure, bool each) RK_MUST_CHECK;
void rk_panel_clear (rk_panel_t *panel);
void rk_panel_begin (rk_panel_t *panel);
/* Up to `most` minibatches of one kind for a replica that asks; what it measures comes first. */
uint32_t rk_panel_deal (rk_panel_t *panel, uint32_t replica, uint32_t most, uint64_t *f, rk_panel_kind_t *kind);
/* errors: as rk_evaluation_answer; RK_ESTALE: no such replica is asked for that. */
rk_err_t rk_panel_answer (rk_panel_t *panel, rk_panel_kind_t kind, uint32_t replica, uint64_t f, rk_evaluation_part_t part,
                          rk_error_t *err) RK_MUST_CHECK;
bool rk_panel_done (const rk_panel_t *panel);
rk_panel_spread_t rk_panel_spread (const rk_panel_t *panel);
/* A minibatch that was dealt and not answered. */
uint64_t rk_panel_waiting (const rk_panel_t *panel);

#endif
