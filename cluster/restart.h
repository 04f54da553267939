/* SPDX-License-Identifier: MPL-2.0
 * Supervision: whether something that has failed is started again, and when. Each pause is twice the one before, times a
 * random factor from 1/2 to 3/2, so that several that failed together do not come back together; after a quiet time all is
 * forgotten. Pure: time is an argument, chance has a seed. thread: one at a time.                         */
#ifndef RK_CLUSTER_RESTART_H
#define RK_CLUSTER_RESTART_H
#include <stdbool.h>
#include <stdint.h>

#define RK_RESTART_LONGEST_MS 30000 /* of a pause, before chance */

typedef struct {
    uint32_t most;     /* restarts in a row; the failure after them is one too many */
    int64_t first_ms;  /* the first pause */
    int64_t forget_ms; /* without a failure: all before count no more */
    uint64_t random;   /* state of the generator: any seed */
    uint32_t n;        /* failures in a row */
    int64_t last_ms;   /* of the last one */
} rk_restart_t;

/* Something has failed now. true: it is to be started again at *at_ms. false: it has failed too often. */
bool rk_restart_failed (rk_restart_t *r, int64_t now_ms, int64_t *at_ms);

#endif
