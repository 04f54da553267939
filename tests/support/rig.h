/* SPDX-License-Identifier: MPL-2.0
 * A run without coordinators: stages, reducers and feeders of a plan by hand in this process, over any
 * transport, and a scripted leader on the test's own thread that grants leases, closes and commits rounds,
 * evaluates, collects every mean and stops them. Asserts on the test's thread only.                        */
#ifndef RK_TESTS_SUPPORT_RIG_H
#define RK_TESTS_SUPPORT_RIG_H
#include "actors/stage.h"
#include "compute/data.h"
#include "compute/slice.h"

#define RIG_MOST_CLUSTERS 8

typedef struct {
    const rk_model_t *model;
    const rk_data_t *data;
    rk_settings_t settings;
    uint32_t n_clusters, counts[RIG_MOST_CLUSTERS];
    const uint32_t *cuts;  /* as rk_plan_by_hand takes them; NULL: even in layers */
    const uint64_t *rates; /* NULL: equal */
    const char *transport; /* inproc, ipc, tcp */
    uint32_t corrupt;      /* all stages (stale version) or node 0 made to err */
    const char *initial;   /* file of initial parameters */
    uint32_t recompute;    /* bit i: stage i of the plan makes its activations again, whatever the settings say */
    const uint32_t *speed_ppm; /* declared, by node; NULL: full speed */
    bool evaluate;         /* once at the end, at the last mean */
    bool predict;          /* the same by predictions */
    bool fails;            /* an actor is expected to fail */
    bool unsaved;          /* no round is saved: there are no means, and the rig holds no copy of the model */
} rig_config_t;

typedef struct {
    rk_plan_t *plan;
    uint64_t rounds, minibatches;
    float *mean[RIG_MOST_CLUSTERS]; /* of the last round, n_flat floats, from the stages of each cluster */
    uint64_t complete_rounds;       /* rounds whose mean is known from every stage */
    uint64_t unequal_rounds;        /* of those, whose mean was not the same bits in all clusters */
    uint64_t granted[RIG_MOST_CLUSTERS];
    rk_report_t *reports;           /* final ones, by index of the stage */
    rk_loss_t evaluated;
    uint64_t predicted, predicted_correct;
    char failure[256];              /* what the first actor that failed said; there are no means then */
} rig_result_t;

/* Settings small enough for tests: mlp-sized models, sgd with momentum, one pass of rounds of 4 x C. */
void rig_settings (rk_settings_t *settings);
/* Runs it to the end; the test fails if anything does not go by the book. */
void rig_run (const rig_config_t *config, rig_result_t *result);
void rig_clear (rig_result_t *result);

/* The plan it runs; the caller destroys it. */
rk_plan_t *rig_plan (const rig_config_t *config);
/* The same minibatches, one after the other, in one slice: n_flat floats, the caller frees. */
float *rig_plain (const rig_config_t *config, uint64_t n_minibatches);

/* Models over the synthetic data's (1, 28, 28). */
rk_model_t *rig_mlp (int hidden_layers);
rk_model_t *rig_residual (void); /* conv, batchnorm, additions across many layers, dropout */
/* One data set for all tests of a program. */
const rk_data_t *rig_data (void);
void rig_data_close (void);

#endif
