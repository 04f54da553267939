/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/observer.h"

#include "actors/display.h"
#include "actors/records.h"

#define TICK_NS (RK_DISPLAY_TICK_MS * INT64_C (1000000))
#define FINAL_WAIT_NS (2 * INT64_C (1000000000)) /* after Stop: for final reports still on their way */

typedef struct {
    rk_loop_t *loop;
    bool follower;        /* passes reports on, shows nothing */
    bool json, quiet;     /* when it leads */
    bool fails;           /* its test wants it */
    rk_figures_t figures;
    rk_display_t display;
    rk_records_t records;
    bool changed;         /* something arrived since the last tick */
    int64_t next_tick_ns;
    bool stopping;
    uint32_t stop_code;   /* RK_STOP_... */
    char reason[256];     /* of a run that is done, but not saved */
    int64_t stop_deadline_ns;
    bool finished;        /* the last line is out */
} self_t;

static void s_begin (self_t *self)
{
    if (!self->follower)
        rk_display_start (&self->display, &self->figures);
}

static rk_err_t s_open (void *me, rk_loop_t *loop, const void *arg, rk_error_t *err)
{
    self_t *self = me;
    const rk_observer_config_t *config = arg;
    self->loop = loop;
    self->follower = config->leader != NULL;
    self->json = config->json;
    self->quiet = config->quiet;
    self->display.json = config->json && !self->follower;
    self->display.quiet = config->quiet || self->follower;
    self->display.kind = config->kind;
    self->figures.unjudged = config->unjudged;
    self->figures.redone = config->redone;
    self->fails = config->fails;
    self->display.goes_on = self->records.goes_on = config->goes_on;
    snprintf (self->display.run_dir, sizeof self->display.run_dir, "%s", config->run_dir ? config->run_dir : "");
    self->records.run_dir = self->follower || config->kind != RK_RUN_TRAIN ? "" : self->display.run_dir;
    rk_err_t code = self->follower ? RK_OK : rk_display_open (&self->display, err);
    if (code || !config->plan)
        return code;
    rk_plan_t *plan = NULL;
    code = rk_plan_copy (&plan, config->plan);
    if (!code)
        code = rk_figures_plan (&self->figures, &plan, err);
    rk_plan_destroy (&plan);
    if (!code && !config->goes_on)
        s_begin (self);
    return code;
}

/* The last line, once. */
static void s_finish (self_t *self, int64_t now_ns)
{
    if (self->finished)
        return;
    self->finished = true;
    if (!self->figures.end_ns)
        self->figures.end_ns = now_ns;
    if (!self->follower && self->stop_code != RK_STOP_FAILED)
        rk_display_done (&self->display, &self->figures, now_ns);
    if (!self->follower && self->stop_code == RK_STOP_UNSAVED)
        rk_display_failed (&self->display, self->reason);
    rk_loop_say (self->loop, "DONE", RK_OK, "");
}

static void s_close (void *me)
{
    self_t *self = me;
    if (self->stopping && self->loop)
        s_finish (self, rk_now_ns ());
    rk_display_close (&self->display);
    rk_records_close (&self->records);
    rk_figures_free (&self->figures);
}

static rk_err_t s_on_plan (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    if (packet->n_frames != 1)
        return rk_error_set (err, RK_EFORMAT, "plan with %d frames, 1 expected", packet->n_frames);
    rk_plan_t *plan = NULL;
    rk_err_t code = rk_plan_decode (&plan, zmq_msg_data (&packet->frame[0]), zmq_msg_size (&packet->frame[0]), err);
    if (!code)
        code = rk_figures_plan (&self->figures, &plan, err);
    rk_plan_destroy (&plan);
    self->figures.redone = packet->msg.plan.redone;
    if (!code && self->display.kind != RK_RUN_TRAIN)
        self->figures.start_ns = rk_now_ns (); /* no stage reports forward-only minibatches */
    if (!code)
        s_begin (self);
    return code;
}

/* The leader's may be away for a while: counted, and told a few times. */
static rk_err_t s_passed_on (rk_err_t code)
{
    return code == RK_EPEER ? RK_ESTALE : code;
}

static rk_err_t s_on_report (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    if (self->follower) {
        rk_msg_t msg = {.kind = RK_MSG_REPORT, .report = packet->msg.report};
        return s_passed_on (rk_loop_send (self->loop, RK_TO_OBSERVER, &msg, NULL, 0, err));
    }
    self->changed = true;
    return rk_figures_report (&self->figures, &packet->msg.report, rk_now_ns (), err);
}

static rk_err_t s_on_committed (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self_t *self = me;
    rk_figures_committed (&self->figures, packet->msg.round_committed.round, rk_now_ns ());
    return RK_OK;
}

static rk_err_t s_on_evaluated (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    rk_now_t now;
    if (self->fails)
        return rk_error_set (err, RK_EIO, "an observer fails, as its test wants");
    rk_figures_evaluated (&self->figures, &packet->msg.evaluated, rk_now_ns ());
    rk_figures_now (&self->figures, rk_now_ns (), &now);
    if (self->follower)
        return RK_OK;
    rk_display_pass (&self->display, &self->figures, &now);
    return self->figures.plan ? rk_records_observed (&self->records, now.seconds, self->figures.plan, self->figures.observed, err) : RK_OK;
}

static rk_err_t s_on_probe (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    if (!self->follower)
        return rk_records_probe (&self->records, &packet->msg.probe, zmq_msg_data (&packet->frame[0]), err);
    rk_msg_t msg = {.kind = RK_MSG_PROBE, .probe = packet->msg.probe};
    const rk_frame_t frame = {.share = &packet->frame[0]};
    return s_passed_on (rk_loop_send (self->loop, RK_TO_OBSERVER, &msg, &frame, 1, err));
}

static rk_err_t s_on_control (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    return rk_records_control (&self->records, packet->msg.control.round, packet->msg.control.value, err);
}

static rk_err_t s_on_replan (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self_t *self = me;
    if (!self->follower)
        rk_display_replan (&self->display, &packet->msg.replan);
    return RK_OK;
}

static rk_err_t s_on_saved (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self_t *self = me;
    if (!self->follower)
        rk_display_saved (&self->display, &packet->msg.saved);
    return RK_OK;
}

static rk_err_t s_on_stop (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) err;
    self_t *self = me;
    if (self->stopping)
        return RK_OK;
    int64_t now_ns = rk_now_ns ();
    self->stopping = true;
    self->stop_code = packet->msg.stop.code > RK_STOP_UNSAVED ? RK_STOP_FAILED : packet->msg.stop.code;
    self->figures.end_ns = now_ns;
    self->stop_deadline_ns = now_ns + (self->stop_code == RK_STOP_FAILED || self->display.kind != RK_RUN_TRAIN ? 0 : FINAL_WAIT_NS);
    snprintf (self->reason, sizeof self->reason, "%s", packet->msg.stop.reason ? packet->msg.stop.reason : "");
    if (!self->follower && self->stop_code == RK_STOP_FAILED)
        rk_display_failed (&self->display, self->reason);
    return RK_OK;
}

static int64_t s_work (void *me, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    (void) code;
    (void) err;
    self_t *self = me;
    if (self->finished)
        return RK_FOREVER;
    if (self->stopping) {
        if (!self->follower && !rk_figures_complete (&self->figures) && now_ns < self->stop_deadline_ns)
            return self->stop_deadline_ns - now_ns;
        s_finish (self, now_ns);
        return RK_FOREVER;
    }
    if (self->follower || !self->changed)
        return RK_FOREVER; /* nothing to show: an idle run costs nothing */
    if (now_ns < self->next_tick_ns)
        return self->next_tick_ns - now_ns;
    self->next_tick_ns = now_ns + TICK_NS;
    self->changed = false;
    rk_now_t now;
    rk_figures_now (&self->figures, now_ns, &now);
    rk_display_progress (&self->display, &self->figures, &now);
    return RK_FOREVER;
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_PLAN] = s_on_plan,
    [RK_MSG_REPORT] = s_on_report,
    [RK_MSG_ROUND_COMMITTED] = s_on_committed,
    [RK_MSG_EVALUATED] = s_on_evaluated,
    [RK_MSG_SAVED] = s_on_saved,
    [RK_MSG_REPLAN] = s_on_replan,
    [RK_MSG_PROBE] = s_on_probe,
    [RK_MSG_CONTROL] = s_on_control,
    [RK_MSG_STOP] = s_on_stop,
};
/* This process leads from now on: what others report is shown here. The files of a folder that is there go on. */
static rk_err_t s_on_lead (void *me, char **words, rk_error_t *err)
{
    self_t *self = me;
    if (!self->follower)
        return RK_OK;
    self->follower = false;
    self->display.json = self->json;
    self->display.quiet = self->quiet;
    self->display.goes_on = self->records.goes_on = true;
    snprintf (self->display.run_dir, sizeof self->display.run_dir, "%s", words[0] ? words[0] : "");
    self->records.run_dir = self->display.run_dir;
    return rk_display_open (&self->display, err);
}

static const rk_command_t s_commands[] = {{"LEAD", s_on_lead}, {NULL, NULL}};
static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_OBSERVER,
    .self_size = sizeof (self_t),
    .open = s_open,
    .close = s_close,
    .work = s_work,
    .on = s_on,
    .commands = s_commands,
};

rk_err_t rk_observer_new (rk_actor_t **actor_p, const rk_observer_config_t *config, rk_error_t *err)
{
    rk_actor_plumbing_t plumbing = {.bind = config->bind, .identity = config->identity, .observer = config->leader, .node = config->node};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
