/* SPDX-License-Identifier: MPL-2.0
 * The inside of a reducer, shared by reducer.c (class, messages) and reducer_ring.c (lanes, sums, sends).
 * A lane is one segment on its ring; a lane's pieces are cut into parts of at most 1 MiB, which travel
 * independently. All parts of all lanes and planes are numbered, so that one byte each says what has come. */
#ifndef RK_ACTORS_REDUCER_PARTS_H
#define RK_ACTORS_REDUCER_PARTS_H
#include "actors/buffers.h"
#include "actors/reducer.h"
#include "actors/stage.h" /* RK_CORRUPT_ */
#include "actors/training.h"
#include "cluster/ring.h"

#define RK_REDUCER_PART 262144 /* floats: 1 MiB */
#define RK_REDUCER_PLANES (1 + RK_OPTIM_MAX_SLOTS)

typedef struct {
    uint64_t lo, n;      /* floats from the start of this stage's range */
    uint32_t first_part; /* number of its first part, in plane 0 */
} rk_piece_t;

typedef struct {
    uint32_t segment;        /* of the plan */
    uint32_t next, previous; /* addresses of the owners in the neighbour clusters */
    rk_piece_t *pieces;      /* n_clusters */
} rk_lane_t;

/* Whether the socket still holds a part of the accumulator. Lies in the accumulator's extra bytes. */
typedef struct {
    rk_buffer_t *buffer;
    atomic_int lent;
} rk_part_lend_t;

/* A chunk that cannot be used yet: its round has not begun here, or its place is still lent. */
typedef struct {
    bool used;
    rk_chunk_t chunk;
    zmq_msg_t frame;
} rk_parked_t;

enum { RK_GOT_SUM = 1, RK_GOT_MEAN = 2 };

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
    uint64_t n_arrivals;                  /* chunks of one round */

    rk_buffers_t *accumulators;
    rk_buffer_t *acc;                     /* n_planes x stride; NULL between rounds */
    uint8_t *got;                         /* n_planes x n_parts: RK_GOT_ */
    uint64_t n_missing;
    uint64_t round, next_round;           /* round: while acc; next_round: that may begin */
    uint64_t weight, total;
    bool waiting;                         /* a snapshot is here, its round has not begun */
    int n_snapshot;                       /* frames held */
    zmq_msg_t snapshot[RK_REDUCER_PLANES];
    float *aligned;                       /* n_planes x n_flat: snapshots that cannot be read where they lie */

    rk_parked_t *parked;
    uint32_t n_parked, capacity, parked_end; /* in use; slots; all used ones lie below parked_end */
    bool stopped;
} rk_reducer_self_t;

/* ---- reducer_ring.c */
rk_err_t rk_reducer_make_lanes (rk_reducer_self_t *self, uint32_t index, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_reducer_begin (rk_reducer_self_t *self, rk_error_t *err) RK_MUST_CHECK; /* step 0 of all rings */
/* The chunk is valid and of the current round. *taken is false while its place is lent: try again later. */
rk_err_t rk_reducer_take (rk_reducer_self_t *self, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_reducer_check (const rk_reducer_self_t *self, const rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;

#endif
