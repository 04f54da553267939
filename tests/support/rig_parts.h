/* SPDX-License-Identifier: MPL-2.0
 * The inside of the rig: rig_start.c starts and joins the actors, rig.c leads them, rig_plain.c and
 * rig_models.c are what they are compared with and run on. Only tests/support/rig*.c.                     */
#ifndef RK_TESTS_SUPPORT_RIG_PARTS_H
#define RK_TESTS_SUPPORT_RIG_PARTS_H
#include "tests/support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "cluster/lease.h"

#define MOST_ACTORS 256

typedef struct {
    uint32_t address;
    uint8_t routing[255];
    size_t n_routing;
} way_t;

typedef struct {
    const rig_config_t *config;
    rig_result_t *result;
    rk_plan_t *plan;
    rk_actor_t *actors[MOST_ACTORS];
    size_t n_actors;
    zsock_t *hub;
    void *socket;
    char endpoint[128];
    rk_packet_t *packet;
    way_t ways[MOST_ACTORS];
    size_t n_ways;
    rk_lease_table_t *leases;
    uint64_t closed, committed, n_rounds;
    uint32_t asks[RIG_MOST_CLUSTERS]; /* leases a feeder waits for */
    uint64_t eval_next, eval_done;
    bool evaluating;
    uint32_t n_slices, n_stopped, n_final;
    float *means;                 /* n_rounds x n_clusters x n_flat */
    uint64_t *slices_of;          /* by round: the stages whose slice is here */
    bool *counted;
} rig_t;

static inline void rig_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

/* Stage, and where the plan wants them reducer and feeder, of every node of rig->plan; then their links. */
void rig_start (rig_t *rig);

#endif
