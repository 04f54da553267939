/* SPDX-License-Identifier: MPL-2.0
 * What a stage tells about itself, and its orderly end. */
#include "actors/stage_parts.h"

#include <sys/resource.h>

/* The most that this process ever held. */
static uint64_t s_rss_bytes (void)
{
    struct rusage usage;
    return getrusage (RUSAGE_SELF, &usage) ? 0 : (uint64_t) usage.ru_maxrss * 1024;
}

static int64_t s_runnable_ns (const rk_stage_t *self)
{
    return self->counts.started_ns ? rk_thread_runnable_ns () - self->counts.started_runnable_ns : 0;
}

/* Waiting for messages since the first minibatch. A declared wait is no idling, nor is being ready while others have the
 * processor: wall less CPU, declared and runnable wait, and no more than was spent in poll (kernels that wait for
 * their pool do not idle).                                                                                */
static int64_t s_idle_ns (const rk_stage_t *self, int64_t runnable_ns)
{
    const rk_stage_counts_t *counts = &self->counts;
    const int64_t polled_ns = rk_loop_idle_ns (self->loop) - counts->started_idle_ns - counts->declared_wait_ns;
    const int64_t rest_ns = rk_now_ns () - counts->started_ns - (rk_thread_cpu_ns () - counts->started_cpu_ns) -
                            counts->declared_wait_ns - runnable_ns;
    const int64_t idle_ns = rest_ns < polled_ns ? rest_ns : polled_ns;
    return counts->started_ns && idle_ns > 0 ? idle_ns : 0;
}

/* Thread CPU time outside kernels since the first minibatch. */
static int64_t s_dispatch_ns (const rk_stage_t *self)
{
    const rk_stage_counts_t *counts = &self->counts;
    int64_t dispatch_ns = rk_thread_cpu_ns () - counts->started_cpu_ns - counts->busy_ns;
    return counts->started_ns && dispatch_ns > 0 ? dispatch_ns : 0;
}

rk_err_t rk_stage_show (rk_stage_t *self, rk_msg_t *msg, const rk_frame_t *frames, int n_frames, rk_error_t *err)
{
    rk_err_t code = rk_loop_send (self->loop, RK_TO_OBSERVER, msg, frames, n_frames, err);
    return code == RK_EPEER ? RK_OK : code;
}

rk_err_t rk_stage_report (rk_stage_t *self, bool final, rk_error_t *err)
{
    const bool shows = rk_loop_connected (self->loop, RK_TO_OBSERVER), tells = self->tells && !final;
    if (!shows && !tells)
        return RK_OK;
    const rk_stage_counts_t *counts = &self->counts;
    const int64_t runnable_ns = s_runnable_ns (self);
    rk_msg_t msg = {
        .kind = RK_MSG_REPORT,
        .report = {.cluster = self->cluster, .stage = self->stage, .final = final, .minibatches = counts->minibatches,
                   .samples = counts->samples, .loss_sum = counts->loss_sum, .n_correct = counts->n_correct,
                   .n_counted = counts->n_counted,
                   .busy_ns = (uint64_t) counts->busy_ns, .declared_wait_ns = (uint64_t) counts->declared_wait_ns,
                   .idle_ns = (uint64_t) s_idle_ns (self, runnable_ns),
                   .wall_ns = counts->started_ns ? (uint64_t) (rk_now_ns () - counts->started_ns) : 0,
                   .bytes_sent = rk_loop_bytes_sent (self->loop) + counts->reducer_bytes,
                   .staleness_sum = counts->staleness_sum, .staleness_max = counts->staleness_max,
                   .staleness_n = counts->staleness_n, .dropped = rk_loop_dropped (self->loop), .rss_bytes = s_rss_bytes (),
                   .dispatch_ns = (uint64_t) s_dispatch_ns (self), .skipped = counts->skipped,
                   .forward_ns = (uint64_t) counts->kernels[RK_ACT_FORWARD].ns, .n_forward = counts->kernels[RK_ACT_FORWARD].n,
                   .backward_ns = (uint64_t) counts->kernels[RK_ACT_BACKWARD].ns, .n_backward = counts->kernels[RK_ACT_BACKWARD].n,
                   .runnable_ns = (uint64_t) runnable_ns, .view = self->plan->view, .pid = (uint32_t) getpid (),
                   .kernel_wall_ns = (uint64_t) (counts->kernels[RK_ACT_FORWARD].wall_ns + counts->kernels[RK_ACT_BACKWARD].wall_ns)}};
    rk_err_t code = shows ? rk_stage_show (self, &msg, NULL, 0, err) : RK_OK;
    if (code == RK_OK && tells) /* what a better plan would be made from */
        code = rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
    return code;
}

rk_err_t rk_stage_on_stop (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    if (rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR)
        return rk_stage_expect (packet, 0, err);
    if (self->stopped)
        return RK_OK;
    self->stopped = true; /* nothing more is computed; the actor stays until its parent ends it */
    self->next = NULL;
    for (int i = 0; i < self->n_slots; i++)
        rk_stage_release (self, &self->slots[i]);
    rk_err_t code = rk_stage_report (self, true, err);
    rk_msg_t msg = {.kind = RK_MSG_STOPPED};
    return code == RK_OK ? rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err) : code;
}
