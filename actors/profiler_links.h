/* SPDX-License-Identifier: MPL-2.0
 * The part of a profiler that measures links, and answers those that measure theirs. One link at a time, over the
 * socket of this process's profiler to that of the other's: the least round trip of some short messages, then
 * bursts, there and back, each long enough to leave the slow start behind; the median of their tails' rates.
 * The answering side keeps nothing but the burst that is coming in. thread: the profiler's own.          */
#ifndef RK_ACTORS_PROFILER_LINKS_H
#define RK_ACTORS_PROFILER_LINKS_H
#include "actors/actor.h"
#include "cluster/links.h"

#define RK_LINK_BURSTS 3

typedef enum { RK_LINK_IDLE = 0, RK_LINK_PINGS, RK_LINK_OUT, RK_LINK_BACK } rk_link_phase_t;

typedef struct {
    rk_loop_t *loop;
    /* asking */
    rk_link_phase_t phase;
    uint32_t from, to, peer;          /* nodes; address of the other profiler */
    uint64_t seq;                     /* of the last question */
    int64_t asked_ns, deadline_ns;    /* of the question; of the whole link: no word for so long */
    uint32_t n_pings, n_tries, n_rates;
    uint64_t bytes;                   /* of the next burst */
    uint64_t rtt_ns, out_rate, rates[RK_LINK_BURSTS];
    rk_burst_t back;
    /* answering */
    uint32_t whose;                   /* burst, by address and seq */
    uint64_t whose_seq;
    rk_burst_t in;
    int64_t patience_ns;
    uint8_t *bytes_of_no_meaning;
} rk_profiler_links_t;

rk_err_t rk_profiler_links_open (rk_profiler_links_t *links, rk_loop_t *loop, int64_t patience_ms, rk_error_t *err) RK_MUST_CHECK;
void rk_profiler_links_close (rk_profiler_links_t *links);
rk_err_t rk_profiler_links_request (rk_profiler_links_t *links, const rk_link_request_t *request, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_profiler_links_probe (rk_profiler_links_t *links, rk_packet_t *packet, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_profiler_links_echo (rk_profiler_links_t *links, const rk_msg_t *msg, rk_error_t *err) RK_MUST_CHECK;
/* ns until it wants to be called again. */
int64_t rk_profiler_links_work (rk_profiler_links_t *links, int64_t now_ns, rk_err_t *code, rk_error_t *err);

#endif
