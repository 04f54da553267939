/* SPDX-License-Identifier: MPL-2.0
 * Leases in, minibatches out. While the window is full one more minibatch is built ahead, so that stage 0
 * never waits for data. x and labels are written straight into the buffer that is lent to the socket.     */
#include "actors/feeder.h"

#include <math.h>

#include "actors/buffers.h"
#include "actors/stage.h" /* RK_CORRUPT_ */
#include "cluster/lease.h"
#include "cluster/shard.h"

#define SPARE_BUFFERS 5 /* one built ahead, and some on their way back from the I/O thread */
#define RETRY_NS 50000  /* until the I/O thread gives a buffer back */
#define LINE 64
#define KNOWN 8         /* credits after which their period is known */
#define SLOWLY 4        /* of a change counts at a time */

typedef struct {
    uint64_t f, round;
    uint32_t mode;
} lease_t;

typedef struct {
    rk_loop_t *loop;
    rk_plan_t *plan;
    const rk_data_t *data;
    rk_shard_t **shards;                 /* data.shard: by number, those of this cluster; NULL: leased */
    uint32_t corrupt;
    uint32_t cluster, stage0, in_flight; /* stage0: address */
    size_t elems, n_labels;              /* of one sample */

    lease_t *leases;                     /* ring of those granted and not built */
    uint32_t capacity, first, waiting;
    bool asked;                          /* one LeaseRequest is under way */
    int64_t asked_ns, lease_ns;          /* when; what the quickest answers take */
    int64_t build_ns;                    /* what making a minibatch took last */
    int64_t credit_ns, period_ns;        /* the last credit; from one to the next, smoothed */
    uint32_t n_credits;
    int64_t waits_ns;                    /* since when there is nothing to do; 0: there is */

    rk_buffers_t *buffers;               /* x, then labels */
    rk_buffer_t *built;                  /* the minibatch that goes next */
    lease_t built_lease;
    uint32_t built_n, outstanding;       /* samples; minibatches without credit */
    uint64_t n_sent, n_late;             /* minibatches; of them begun when stage 0 had room already */
    bool stopped;
} self_t;

/* ---- making a minibatch */

static size_t s_labels_at (const self_t *self)
{
    size_t bytes = self->plan->settings.train_batch * self->elems * sizeof (float);
    return (bytes + LINE - 1) / LINE * LINE;
}

static void s_swap_label (int32_t *labels, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (labels[i] != labels[0]) {
            int32_t label = labels[0];
            labels[0] = labels[i];
            labels[i] = label;
            return;
        }
}

static rk_err_t s_build (self_t *self, rk_error_t *err)
{
    const rk_settings_t *s = &self->plan->settings;
    lease_t lease = self->leases[self->first];
    self->first = (self->first + 1) % self->capacity;
    self->waiting--;
    bool train = lease.mode == RK_MB_TRAIN, measure = lease.mode == RK_MB_MEASURE; /* measured on the first of pass 0 */
    uint64_t pass = train ? rk_pass_of (self->plan, lease.f) : 0;
    uint64_t index = lease.f - pass * self->plan->minibatches_per_pass;
    float *x = rk_buffer_floats (self->built);
    void *labels = self->built->bytes + s_labels_at (self);
    size_t n = train && self->shards ? rk_shard_batch (self->shards[rk_shard_of (self->plan, lease.f)], lease.f, x, labels)
                                    : rk_data_batch (self->data, train || measure ? RK_SPLIT_TRAIN : RK_SPLIT_TEST, s->run_seed, pass, index, s->train_batch, x,
                              labels);
    if (n == 0)
        return rk_error_set (err, RK_EINVAL, "the data hold no minibatch %llu of pass %llu (mode %u)", (unsigned long long) index,
                             (unsigned long long) pass, lease.mode);
    if (self->corrupt == RK_CORRUPT_SWAPPED_LABEL && train)
        s_swap_label (labels, (uint32_t) (n * self->n_labels));
    if (self->corrupt == RK_CORRUPT_NAN_SAMPLE && train && lease.f % RK_CORRUPT_NAN_EVERY == RK_CORRUPT_NAN_EVERY - 1)
        x[0] = NAN;
    self->built_lease = lease;
    self->built_n = (uint32_t) n;
    return RK_OK;
}

static rk_err_t s_inject (self_t *self, rk_error_t *err)
{
    const lease_t *lease = &self->built_lease;
    rk_buffer_t *buffer = self->built;
    rk_msg_t msg = {.kind = RK_MSG_ACTIVATION,
                    .activation = {.f = lease->f, .round = lease->round, .mode = lease->mode, .n = self->built_n,
                                   .dtype = RK_DTYPE_F32, .n_tensors = 1}};
    const rk_frame_t frames[2] = {
        {.bytes = buffer->bytes, .size = self->built_n * self->elems * sizeof (float), .release = rk_buffer_release,
         .hint = rk_buffer_ref (buffer)},
        {.bytes = buffer->bytes + s_labels_at (self), .size = self->built_n * self->n_labels * RK_LABEL_BYTES, .release = rk_buffer_release,
         .hint = buffer}}; /* the second frame takes over our own reference */
    self->built = NULL;
    self->outstanding++;
    self->n_sent++;
    return rk_loop_send (self->loop, self->stage0, &msg, frames, 2, err);
}

/* How many are missing. */
static uint32_t s_missing (const self_t *self)
{
    if (self->n_credits < KNOWN)
        return self->waiting < self->in_flight ? self->in_flight - self->waiting : 0;
    const uint32_t ahead = rk_lease_ahead (self->lease_ns + self->build_ns, self->period_ns, self->in_flight);
    const uint32_t wanted = ahead + self->in_flight - self->outstanding, held = self->waiting + (self->built != NULL);
    return wanted > held ? wanted - held : 0;
}

static rk_err_t s_ask (self_t *self, uint32_t n, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_LEASE_REQUEST, .lease_request = {.cluster = self->cluster, .n = n}};
    self->asked = true;
    self->asked_ns = rk_now_ns ();
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

static int64_t s_feed (self_t *self, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    if (self->stopped || !rk_loop_connected (self->loop, self->stage0))
        return RK_FOREVER;
    const uint32_t missing = self->asked ? 0 : s_missing (self);
    if (missing && rk_loop_connected (self->loop, RK_TO_COORDINATOR))
        *code = s_ask (self, missing, err);
    if (*code != RK_OK)
        return 0;
    if (self->built && self->outstanding < self->in_flight) {
        *code = s_inject (self, err);
        return 0;
    }
    if (self->built || !self->waiting)
        return RK_FOREVER;
    self->built = rk_buffers_take (self->buffers);
    if (!self->built)
        return RETRY_NS;
    self->n_late += self->outstanding < self->in_flight && self->n_sent >= self->in_flight; /* the window's first ones have nobody to wait for */
    const int64_t start_ns = rk_now_ns ();
    *code = s_build (self, err);
    self->build_ns = rk_now_ns () - start_ns;
    return 0;
}

static int64_t s_work (void *self_, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    self_t *self = self_;
    const int64_t wait_ns = s_feed (self, now_ns, code, err);
    self->waits_ns = wait_ns != RK_FOREVER ? 0 : self->waits_ns ? self->waits_ns : now_ns;
    return wait_ns;
}

/* ---- what leases are asked for by */

/* An answer may wait for a round to open: only those that do not tell how long it takes. */
static void s_learn_answer (self_t *self, int64_t took_ns)
{
    const int64_t most_ns = self->lease_ns ? self->lease_ns + self->lease_ns / SLOWLY + 1 : took_ns;
    self->lease_ns = took_ns < most_ns ? took_ns : most_ns;
}

static void s_learn_credit (self_t *self, int64_t now_ns)
{
    const int64_t ns = now_ns - self->credit_ns;
    if (self->n_credits)
        self->period_ns += self->n_credits > 1 ? (ns - self->period_ns) / SLOWLY : ns;
    self->credit_ns = now_ns;
    self->n_credits += self->n_credits < KNOWN;
}

/* ---- messages */

static rk_err_t s_refuse (const rk_packet_t *packet, rk_error_t *err)
{
    return rk_error_set (err, RK_EFORMAT, "%s from %s %u, which the plan does not foresee", rk_msg_kind_name (packet->msg.kind),
                         rk_actor_kind_name (rk_address_kind (packet->msg.sender)), rk_address_node (packet->msg.sender));
}

static bool s_from_coordinator (const rk_packet_t *packet)
{
    return rk_address_kind (packet->msg.sender) == RK_ACTOR_COORDINATOR;
}

static rk_err_t s_on_lease_grant (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    const rk_lease_grant_t *grant = &packet->msg.lease_grant;
    if (!s_from_coordinator (packet))
        return s_refuse (packet, err);
    if (self->stopped)
        return RK_OK;
    if (grant->cluster != self->cluster || grant->mode >= RK_N_MB || grant->n == 0 ||
        grant->n > self->capacity - self->waiting)
        return rk_error_set (err, RK_EFORMAT, "grant of %zu leases of mode %u to cluster %u; this is cluster %u with room for %u",
                             grant->n, grant->mode, grant->cluster, self->cluster, self->capacity - self->waiting);
    for (size_t i = 0; i < grant->n && grant->mode == RK_MB_TRAIN; i++)
        if (grant->round >= rk_round_n (self->plan) || rk_round_of (self->plan, grant->f[i]) != grant->round ||
            (self->shards && rk_shard_owner (self->plan, grant->f[i]) != self->cluster))
            return rk_error_set (err, RK_EFORMAT, "lease of minibatch %llu, which is not of round %llu",
                                 (unsigned long long) grant->f[i], (unsigned long long) grant->round);
    self->asked = false;
    s_learn_answer (self, rk_now_ns () - self->asked_ns);
    for (size_t i = 0; i < grant->n; i++)
        self->leases[(self->first + self->waiting++) % self->capacity] =
            (lease_t){.f = grant->f[i], .round = grant->round, .mode = grant->mode};
    return RK_OK;
}

static rk_err_t s_on_credit (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    if (packet->msg.sender != self->stage0)
        return s_refuse (packet, err);
    if (!self->outstanding)
        return rk_error_set (err, RK_EFORMAT, "credit for minibatch %llu, but none is out",
                             (unsigned long long) packet->msg.credit.f);
    self->outstanding--;
    s_learn_credit (self, rk_now_ns ());
    return RK_OK;
}

static rk_err_t s_on_round (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    return s_from_coordinator (packet) ? RK_OK : s_refuse (packet, err); /* leases say all a feeder needs */
}

/* For rookery status. */
static rk_err_t s_on_status_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    if (!s_from_coordinator (packet))
        return s_refuse (packet, err);
    rk_msg_t msg = {.kind = RK_MSG_WAITS, .waits = {.actor = rk_loop_address (self->loop)}};
    rk_waits_t *w = &msg.waits;
    if (self->stopped)
        w->what = RK_WAITS_END;
    else if (self->waits_ns && self->built)
        *w = (rk_waits_t){.actor = w->actor, .what = RK_WAITS_CREDIT, .from = self->stage0, .f = self->built_lease.f, .round = self->built_lease.round};
    else if (self->waits_ns)
        w->what = RK_WAITS_LEASE;
    w->ms = self->waits_ns ? (uint64_t) (rk_now_ns () - self->waits_ns) / 1000000 : 0;
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

static rk_err_t s_on_stop (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    if (!s_from_coordinator (packet))
        return s_refuse (packet, err);
    if (self->stopped)
        return RK_OK;
    self->stopped = true;
    rk_msg_t msg = {.kind = RK_MSG_STOPPED};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

/* ---- open and close */

static rk_err_t s_check_data (const self_t *self, rk_error_t *err)
{
    rk_shape_t shape = rk_data_shape (self->data);
    bool same = (uint32_t) shape.n_dims == self->plan->n_dims && rk_data_n_classes (self->data) == self->plan->n_classes;
    for (uint32_t i = 0; same && i < self->plan->n_dims; i++)
        same = shape.dim[i] == self->plan->dims[i];
    if (!same)
        return rk_error_set (err, RK_ESHAPE, "the data of cluster %u have %zu floats a sample and %zu classes, unlike the plan's",
                             self->cluster, self->elems, rk_data_n_classes (self->data));
    return RK_OK;
}

/* Its own, and those it has inherited. */
static rk_err_t s_open_shards (self_t *self, rk_error_t *err)
{
    uint32_t n = rk_shard_count (self->plan);
    self->shards = calloc (n, sizeof *self->shards);
    rk_err_t code = self->shards ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for %u shards", n);
    for (uint32_t s = self->cluster; s < n && code == RK_OK; s += self->plan->n_clusters)
        code = rk_shard_new (&self->shards[s], self->plan, s, self->data, err);
    return code;
}

static rk_err_t s_open (void *self_, rk_loop_t *loop, const void *config_, rk_error_t *err)
{
    self_t *self = self_;
    const rk_feeder_config_t *config = config_;
    self->loop = loop;
    self->data = config->data;
    self->corrupt = config->corrupt;
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan");
    uint32_t stage;
    if (rk_plan_stage_of_node (self->plan, config->node, &self->cluster, &stage) == RK_NO_NODE || stage != 0)
        return rk_error_set (err, RK_EPLAN, "node %u holds no first stage in this plan", config->node);
    self->stage0 = rk_address (RK_ACTOR_STAGE, config->node);
    self->in_flight = self->plan->clusters[self->cluster].in_flight ? self->plan->clusters[self->cluster].in_flight : 1;
    self->elems = rk_shape_elems (rk_data_shape (self->data));
    self->n_labels = rk_data_labels (self->data)->n;
    code = s_check_data (self, err);
    if (code == RK_OK && rk_shard_is_on (&self->plan->settings) && rk_data_n (self->data, RK_SPLIT_TRAIN) == self->plan->train_samples)
        code = s_open_shards (self, err);
    if (code != RK_OK)
        return code;
    self->capacity = 4 * self->in_flight + 16;
    self->leases = calloc (self->capacity, sizeof *self->leases);
    size_t bytes = s_labels_at (self) + self->plan->settings.train_batch * self->n_labels * RK_LABEL_BYTES;
    if (!self->leases || rk_buffers_new (&self->buffers, self->in_flight + SPARE_BUFFERS, bytes, 0) != RK_OK)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u minibatches of %zu bytes", self->in_flight + SPARE_BUFFERS, bytes);
    if (!rk_loop_connected (loop, RK_TO_COORDINATOR))
        return RK_OK;
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}};
    return rk_loop_send (loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

static void s_close (void *self_)
{
    self_t *self = self_;
    rk_log (RK_LOG_DEBUG, "FEEDER-DONE", "cluster=%u minibatches=%llu late=%llu", self->cluster, (unsigned long long) self->n_sent,
            (unsigned long long) self->n_late);
    rk_buffer_unref (self->built);
    rk_buffers_destroy (&self->buffers);
    free (self->leases);
    for (uint32_t s = 0; self->shards && s < rk_shard_count (self->plan); s++)
        rk_shard_destroy (&self->shards[s]);
    free (self->shards);
    rk_plan_destroy (&self->plan);
    memset (self, 0, sizeof *self);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_LEASE_GRANT] = s_on_lease_grant, [RK_MSG_CREDIT] = s_on_credit,          [RK_MSG_ROUND_CLOSED] = s_on_round,
    [RK_MSG_ROUND_COMMITTED] = s_on_round,   [RK_MSG_STOP] = s_on_stop,           [RK_MSG_STATUS_REQUEST] = s_on_status_request,
};
static const rk_command_t s_commands[] = {{NULL, NULL}};
static const rk_actor_class_t s_class = {.kind = RK_ACTOR_FEEDER, .self_size = sizeof (self_t), .open = s_open, .close = s_close,
                                         .work = s_work, .on = s_on, .commands = s_commands};

rk_err_t rk_feeder_new (rk_actor_t **actor_p, const rk_feeder_config_t *config, rk_error_t *err)
{
    const rk_actor_plumbing_t plumbing = {.bind = config->bind, .identity = config->identity, .coordinator = config->coordinator, .observer = config->observer,
                                          .node = config->node, .view = config->plan->view,
                                          .max_message_bytes = RK_WIRE_MAX_ENVELOPE};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
