/* SPDX-License-Identifier: MPL-2.0
 * The plan: immutable result of planning for one view. plan = f(view, profile table, model costs, run
 * settings, seed): integers only, no clock, fixed iteration counts, so the same inputs give the same bytes
 * on every node. A plan is plain data; rk_plan_new allocates it in one block.                           */
#ifndef RK_CLUSTER_PLAN_H
#define RK_CLUSTER_PLAN_H
#include "cluster/settings.h"

#define RK_NO_NODE UINT32_MAX
/* Bounds of anything in a plan, so that products of two of them fit 64 bits. */
#define RK_PLAN_MAX_NODES 1024u /* that can be planned; RK_MAX_FLEET of them can run */
#define RK_PLAN_MAX_LAYERS 65536u
#define RK_PLAN_MAX_FLOATS (UINT64_C (1) << 40)
#define RK_PLAN_MAX_SAMPLES (UINT64_C (1) << 40)
#define RK_PLAN_MAX_RATE UINT64_C (100000000000000000)
#define RK_PLAN_MAX_BUSY_NS UINT64_C (1000000000000000000)

/* ---- inputs */
typedef struct {
    uint32_t id;         /* unique in the run, ascending */
    char name[32];
    uint64_t host;       /* nodes with the same value share a machine */
    uint32_t cores;      /* of that machine */
    uint32_t speed_ppm;  /* declared strength, 1,000,000 = the machine itself */
    uint64_t ram_bytes;  /* it may use; 0: not known, no limit */
    uint64_t gemm_mflops;
    /* In millionths, 0: not known. team: time with a thread on every core over time with one. crowd: time of one thread while
     * every core computes over time alone. settled: what the times below have been multiplied by (cluster/profiles.h). */
    uint32_t team_ppm, crowd_ppm, settled_ppm;
    /* CPU time of a minibatch beside kernels: of each stage that it passes, for messages and what comes with them; and of its
     * cluster's other actors on the first node, who read data and lead. Not slowed by declared speeds; 0: not known. */
    uint64_t dispatch_ns, feed_ns;
    uint64_t copy_bytes_per_s; /* within memory, by one thread; 0: not known */
    /* Time of each layer per minibatch on this node, declared speed already applied; length n_layers. */
    const uint64_t *forward_ns, *backward_ns;
} rk_profile_t;

typedef struct { /* one layer, independent of the node */
    uint64_t flat_at;       /* first float in the flat vector */
    uint64_t stash_bytes;   /* per minibatch in flight */
    uint64_t grad_bytes;    /* kept between the two backward calls: summed over a stage, once per stage */
    uint64_t work_bytes;    /* scratch and gradients, per stage the maximum counts */
    uint64_t cut_bytes;     /* all tensors that cross the cut BEFORE this layer, per minibatch, f32 */
} rk_layer_info_t;

typedef struct {
    uint32_t n_layers;
    const rk_layer_info_t *layers; /* n_layers */
    uint64_t n_flat;               /* length of the flat vector */
    uint64_t label_bytes;          /* per minibatch */
    uint32_t optimizer_slots;
    uint32_t n_statistics;         /* tensors that no gradient moves (BatchNorm) */
    uint64_t train_samples, test_samples;
    uint32_t n_dims, dims[4];      /* input shape per sample, so that a node needs no data to build the model */
    uint32_t n_classes;
} rk_model_info_t;

typedef struct {
    const rk_profile_t *nodes;
    uint32_t n_nodes;
    /* Links, n_nodes x n_nodes, row: from; NULL when none is measured (cluster/links). */
    const uint64_t *link_bytes_per_s, *link_rtt_ns; /* entry 0: not known */
} rk_fleet_t;

/* ---- output */
typedef struct {
    uint32_t node;              /* id */
    uint32_t first, last;       /* layers [first, last) */
    uint64_t flat_lo, flat_hi;  /* floats of the flat vector */
    uint64_t memory_bytes;      /* predicted */
    uint64_t busy_ns;           /* predicted time per minibatch */
    uint64_t beside_ns;         /* CPU time per minibatch that others take of its host meanwhile, where nodes share it */
    bool recompute;             /* activations are not kept but made again */
} rk_plan_stage_t;

typedef struct {
    uint32_t first_stage, n_stages;  /* into plan->stages */
    uint64_t rate;                   /* planned minibatches per 1e9 seconds (nano-rate), > 0 */
    uint32_t in_flight;              /* credit window */
} rk_plan_cluster_t;

typedef struct {
    uint64_t lo, hi; /* floats */
} rk_plan_ring_t;

typedef struct {
    uint64_t lo, hi;       /* floats; one owner per cluster */
    uint32_t ring;         /* whose piece boundaries it follows */
    uint32_t first_owner;  /* plan->owners[first_owner + c] = stage index (into plan->stages) in cluster c */
} rk_plan_segment_t;

typedef struct {
    uint64_t view;
    rk_settings_t settings;
    uint64_t n_flat, train_samples, test_samples;
    uint32_t n_dims, dims[4], n_classes; /* of the input and the labels */
    uint64_t minibatches_per_pass, test_minibatches; /* ceil (samples / batch) */
    uint64_t first_round, first_f;  /* the cursor: rounds and minibatches before them are not of this plan */
    uint32_t n_shards;              /* data.shard: of the run, whatever its clusters are now; 0: n_clusters */
    uint64_t averaging_ns, fill_ns; /* predicted: one averaging; from empty pipelines to the first result, less a period */
    uint32_t n_layers, n_nodes, n_clusters, n_stages, n_rings, n_segments;
    uint32_t *nodes;              /* ids taking part, ascending */
    uint64_t *node_hosts;         /* beside nodes */
    uint32_t *node_speed_ppm;     /* beside nodes */
    uint32_t *node_cores;         /* beside nodes */
    rk_plan_cluster_t *clusters;  /* ring order = cluster order */
    rk_plan_stage_t *stages;      /* cluster after cluster, stage 0 first */
    rk_plan_ring_t *rings;
    rk_plan_segment_t *segments;  /* ascending, covering [0, n_flat) exactly once */
    uint32_t *owners;             /* n_segments x n_clusters */
    char kernels[16];             /* kernel set, lowest common of the fleet */
    uint64_t digest;              /* xxh64 of the canonical listing without this field */
} rk_plan_t;

/* Make a plan. errors: RK_EPLAN (the text says by how many MB the model does not fit, and where).
 * `kernels`: lowest common kernel set. settings.plan_planner decides; fleet_layout forces the number of clusters
 * and stages. Up to RK_PLAN_MAX_NODES nodes; a plan of more than RK_MAX_FLEET is for looking at: decode refuses
 * it.                                                                                                    */
rk_err_t rk_plan_make (rk_plan_t **plan_p, uint64_t view, const rk_fleet_t *fleet, const rk_model_info_t *model,
                       const rk_settings_t *settings, const char *kernels, rk_error_t *err) RK_MUST_CHECK;

/* A plan by hand: cuts[c] lists the first layer of each stage of cluster c; nodes ascend in order of
 * (cluster, stage) from 0; equal rates unless `rates` (nano-rates, n_clusters) is given. For tests and
 * scripted topologies. counts[c] = stages of cluster c; cuts is flat, cluster after cluster.             */
rk_err_t rk_plan_by_hand (rk_plan_t **plan_p, uint64_t view, const rk_model_info_t *model, const rk_settings_t *settings,
                          uint32_t n_clusters, const uint32_t *counts, const uint32_t *cuts, const uint64_t *rates,
                          rk_error_t *err) RK_MUST_CHECK;
/* The same plan from another cursor on, with a new digest. errors: RK_EINVAL (a minibatch beyond the run). */
rk_err_t rk_plan_set_cursor (rk_plan_t *plan, uint64_t first_round, uint64_t first_f, uint32_t n_shards, rk_error_t *err) RK_MUST_CHECK;
void rk_plan_destroy (rk_plan_t **plan_p);
rk_err_t rk_plan_copy (rk_plan_t **copy_p, const rk_plan_t *plan) RK_MUST_CHECK;

/* Canonical little-endian listing. encode returns the bytes needed (nothing written when size is short).
 * decode validates everything (ranges, covers, owners, digest) before it returns a plan.                 */
size_t rk_plan_encode (const rk_plan_t *plan, uint8_t *bytes, size_t size);
rk_err_t rk_plan_decode (rk_plan_t **plan_p, const uint8_t *bytes, size_t size, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_plan_check (const rk_plan_t *plan, rk_error_t *err) RK_MUST_CHECK;

/* Predicted figures of any plan. */
typedef struct {
    uint64_t samples_per_1000s;    /* whole fleet */
    uint64_t score;                /* cluster/score.h: samples per 1e6 s times statistical efficiency */
    uint64_t round_ns, averaging_ns; /* one round, and what averaging takes of it or beside it */
    uint64_t round_bytes;          /* sent by all nodes per averaging round */
    uint64_t max_memory_bytes;     /* of the fullest node */
    uint32_t bottleneck_stage;     /* index into stages */
} rk_score_t;
void rk_plan_score (const rk_plan_t *plan, rk_score_t *out);

/* ---- questions everybody asks */
const rk_plan_stage_t *rk_plan_stage (const rk_plan_t *plan, uint32_t cluster, uint32_t stage);
/* The stage index (into plan->stages) of a node, or RK_NO_NODE; its cluster and position. */
uint32_t rk_plan_stage_of_node (const rk_plan_t *plan, uint32_t node, uint32_t *cluster, uint32_t *stage);
/* Piece p (0 .. n_clusters - 1) of a segment: floats [*lo, *hi), possibly empty. Pieces cut the segment's
 * ring into n_clusters near-equal parts, ignoring tensors, and are intersected with the segment.          */
void rk_plan_piece (const rk_plan_t *plan, uint32_t segment, uint32_t piece, uint64_t *lo, uint64_t *hi);

#endif
