/* SPDX-License-Identifier: MPL-2.0
 * The inside of a reducer, shared by reducer.c (class, messages, rounds), reducer_open.c (from plan to memory),
 * reducer_ring.c (exact means over rings), reducer_graph.c (mixing with neighbours in a graph) and reducer_hops.c (the
 * same mixture hop by hop, where that sends less). A lane is one
 * segment; its pieces (on the ring) or the whole of it (mixing) are cut into parts of at most 1 MiB, which travel
 * independently. All parts of all lanes and planes are numbered, so that one byte each says what has come. */
#ifndef RK_ACTORS_REDUCER_PARTS_H
#define RK_ACTORS_REDUCER_PARTS_H
#include "actors/buffers.h"
#include "actors/reducer.h"
#include "actors/stage.h" /* RK_CORRUPT_ */
#include "actors/training.h"
#include "cluster/exchange.h"
#include "cluster/hops.h"
#include "cluster/mix.h"
#include "cluster/ring.h"

#define RK_REDUCER_PART 262144 /* floats: 1 MiB */
#define RK_REDUCER_PLANES (1 + RK_OPTIM_MAX_SLOTS)
#define RK_REDUCER_PAIR 16384  /* floats: two replicas swap segments up to this size whole, in one hop, not in two */

typedef struct {
    uint64_t lo, n;      /* floats from the start of this stage's range */
    uint32_t first_part; /* number of its first part, in plane 0 */
} rk_piece_t;

typedef struct {
    uint32_t segment;        /* of the plan */
    uint32_t next, previous; /* addresses of the owners in the neighbour clusters of the ring */
    bool pair;               /* two replicas, a small segment: piece 0 is all of it, both send it, both add */
    rk_piece_t *pieces;      /* n_clusters */
    rk_piece_t whole;        /* the segment; parts numbered as mixing numbers them */
} rk_lane_t;

/* Whether the socket still holds a part of the accumulator. Lies in the accumulator's extra bytes. */
typedef struct {
    rk_buffer_t *buffer;
    atomic_int lent;
} rk_part_lend_t;

/* A chunk that cannot be used yet: its round has not begun here, or its place is still lent. */
typedef struct {
    bool used;
    uint32_t sender;
    rk_chunk_t chunk;
    zmq_msg_t frame;
} rk_parked_t;

enum { RK_GOT_SUM = 1, RK_GOT_MEAN = 2 };

/* Mixing with the neighbours in a graph. A part is summed over the row in ascending order of the replicas, as far
 * as they have come; what is here before its turn waits as the frame it came in.                            */
typedef struct {
    rk_graph_t *graph;              /* NULL: all averaging is exact */
    bool push;                      /* push-sum: every sender divides what it has among those who hear it */
    uint32_t max_row;
    rk_graph_edge_t *row, *column;  /* of this round: who is heard, this replica too; who hears it */
    uint32_t n_row, n_column, own_at; /* own_at: this replica's place in the row */
    bool mean;                      /* rk_mix_is_mean of the row */
    double *pushed;                 /* beside row: push weight of the sender */
    double push_weight;             /* of this replica, for this round */
    float share;                    /* push-sum: of the round's samples, in units of the mean of all; 1 with equal weights */
    uint32_t n_parts;               /* of one plane */
    uint32_t *n_added;              /* n_planes x n_parts: edges of the row that are in the sum */
    uint8_t *here;                  /* n_planes x n_parts x max_row: RK_HERE_ */
    zmq_msg_t *frames;              /* beside here: valid while RK_HERE_FRAME */
    rk_buffer_t *own, *out;         /* what is sent; the mixture */
    rk_buffer_t *last;              /* push-sum: the result before, as the stage has it */
    float *mass;                    /* push-sum: n_planes x stride */
    uint64_t n_missing;             /* parts */

    uint32_t slots;                 /* places of a part in here and frames: max_row, or the most hops */
    bool cheapest;                  /* average.exchange: hops where they send less */
    rk_hops_t hops;                 /* of this round; n_hops 0: every peer is heard. n_added: 2 x the hop, + 1 when sent */
    uint32_t *members;              /* of the ring */
    uint32_t *in_p, *in_a;          /* n_planes x n_parts (in_p: x max_row, by piece): replicas in the sum */
    uint32_t *in_frame;             /* beside here */
    float *aside;                   /* n_planes x stride */
} rk_mixer_t;

/* A part of a lane's whole segment, in one plane. */
typedef struct {
    const rk_lane_t *lane;
    uint32_t plane;
    size_t number;   /* of the part, in all planes */
    uint64_t offset; /* floats, from the start of the segment */
    uint64_t at, n;  /* floats, from the start of the range */
} rk_mix_part_t;
enum { RK_HERE_FRAME = 1, RK_HERE_USED, RK_HERE_FROZEN };

typedef struct {
    rk_loop_t *loop;
    rk_plan_t *plan;
    uint32_t corrupt;
    uint32_t cluster, n, stage, n_planes; /* n: clusters; stage: address of our stage */
    size_t n_flat, stride;                /* floats of the range; of a plane in the accumulator */
    rk_lane_t *lanes;
    rk_piece_t *pieces;                   /* of all lanes */
    uint32_t n_lanes, n_parts;            /* parts: of one plane */
    uint32_t *lane_of;                    /* by segment; n_lanes: not ours */
    uint64_t n_arrivals;                  /* chunks of one plane and round, on the rings */

    rk_buffers_t *accumulators;
    rk_buffer_t *acc;                     /* ring: n_planes x stride; NULL when none is under way */
    uint8_t *got;                         /* n_planes x n_parts: RK_GOT_ */
    uint64_t n_missing;
    uint32_t ring_planes;                 /* of this round: a merge beside mixing takes the parameters alone */
    rk_mixer_t mix;
    rk_exchange_t exchange;               /* of this round */
    uint64_t round, next_round;           /* round: while running; next_round: that may begin */
    uint64_t weight, total;
    uint32_t control;
    bool frozen;                          /* the snapshot is not to be mixed in */
    int64_t heard_ns;                     /* while running: when a chunk came last */
    bool waiting, running;                /* a snapshot is here, its round has not begun; it has */
    int n_snapshot;                       /* frames held */
    zmq_msg_t snapshot[RK_REDUCER_PLANES];
    const float *own[RK_REDUCER_PLANES];  /* while running: this replica's values */
    float *aligned;                       /* n_planes x n_flat: snapshots that cannot be read where they lie */

    rk_parked_t *parked;
    uint32_t n_parked, capacity, parked_end; /* in use; slots; all used ones lie below parked_end */
    bool stopped;
} rk_reducer_self_t;

/* ---- reducer_open.c */
rk_err_t rk_reducer_open (void *self, rk_loop_t *loop, const void *config, rk_error_t *err) RK_MUST_CHECK;
void rk_reducer_close (void *self);
static inline uint32_t rk_reducer_n_parts (uint64_t n)
{
    return (uint32_t) ((n + RK_REDUCER_PART - 1) / RK_REDUCER_PART);
}
/* The reducer that owns a segment in a cluster. */
uint32_t rk_reducer_owner (const rk_plan_t *plan, uint32_t segment, uint32_t cluster);

/* ---- reducer.c */
void rk_reducer_drop_snapshot (rk_reducer_self_t *self);
void rk_reducer_unpark (rk_reducer_self_t *self, rk_parked_t *parked);

/* Both ways of averaging: begin sends what this replica sends first. take: the chunk has been checked and is of
 * the current round; *taken is false while it cannot be used (its place is lent, its control record is another
 * one): it stays parked. check: what a chunk must look like.                                              */

/* ---- reducer_ring.c */
uint32_t rk_rings_missing (const rk_reducer_self_t *self); /* address of an owner whose chunks are awaited; 0: nobody's */
rk_err_t rk_rings_begin (rk_reducer_self_t *self, rk_error_t *err) RK_MUST_CHECK; /* step 0 of all rings */
rk_err_t rk_rings_take (rk_reducer_self_t *self, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_rings_check (const rk_reducer_self_t *self, const rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

/* ---- reducer_graph.c */
uint32_t rk_mixer_missing (const rk_reducer_self_t *self);
rk_err_t rk_mixer_open (rk_reducer_self_t *self, rk_error_t *err) RK_MUST_CHECK; /* after the lanes */
void rk_mixer_close (rk_reducer_self_t *self);
void rk_mixer_weigh (rk_reducer_self_t *self);   /* push-sum: weights of the snapshot become the share */
void rk_mixer_prepare (rk_reducer_self_t *self); /* what this replica has to say, for rings too */
rk_err_t rk_mixer_begin (rk_reducer_self_t *self, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_mixer_take (rk_reducer_self_t *self, uint32_t sender, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken,
                      rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_mixer_check (const rk_reducer_self_t *self, const rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;
void rk_mixer_end (rk_reducer_self_t *self); /* all is summed */
rk_mix_part_t rk_mixer_part (const rk_reducer_self_t *self, const rk_lane_t *lane, uint32_t plane, uint64_t offset);
float *rk_mixer_floats (const rk_reducer_self_t *self, const rk_buffer_t *buffer, const rk_mix_part_t *part);
void rk_mixer_drop_frame (rk_mixer_t *mix, size_t at);
double rk_mixer_distance (const rk_reducer_self_t *self); /* |own - mixed|^2 over the parameters, after the last part */

/* ---- reducer_hops.c */
rk_err_t rk_hopper_open (rk_reducer_self_t *self, rk_error_t *err) RK_MUST_CHECK; /* after the graph */
void rk_hopper_close (rk_reducer_self_t *self);
rk_err_t rk_hopper_begin (rk_reducer_self_t *self, const rk_mix_part_t *part, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_hopper_take (rk_reducer_self_t *self, uint32_t peer, const rk_chunk_t *chunk, zmq_msg_t *frame, rk_error_t *err) RK_MUST_CHECK;
bool rk_hopper_check (const rk_reducer_self_t *self, const rk_chunk_t *chunk);

#endif
