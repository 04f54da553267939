/* SPDX-License-Identifier: MPL-2.0
 * rookery bench hop: an activation to the next actor and its gradient back, through the same loop, envelopes
 * and lent frames as stages use, without kernels. One hop is half a round trip.                          */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/security/gate.h"

#define CHUNK_NS 50000000 /* batches of about 50 ms */
#define LEAST_CHUNKS 15

typedef struct {
    uint64_t bytes;
    uint32_t other;       /* address of the other actor */
} s_config_t;

typedef struct {
    rk_loop_t *loop;
    s_config_t config;
    void *buffer;
    uint64_t to_go;       /* round trips left of this chunk */
    uint64_t f;
    int64_t start_ns, start_cpu_ns;
} self_t;

static rk_err_t s_open (void *me, rk_loop_t *loop, const void *config, rk_error_t *err)
{
    self_t *self = me;
    self->loop = loop;
    self->config = *(const s_config_t *) config;
    self->buffer = calloc (1, self->config.bytes);
    return self->buffer ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for %llu bytes", (unsigned long long) self->config.bytes);
}

static void s_close (void *me)
{
    free (((self_t *) me)->buffer);
}

/* Nothing is written to the buffer while the run lasts, so lending it again before its release is fine. */
static void s_released (void *bytes, void *hint)
{
    (void) bytes;
    (void) hint;
}

static rk_err_t s_send_activation (self_t *self, rk_error_t *err)
{
    rk_frame_t frames[2] = {{.bytes = self->buffer, .size = self->config.bytes, .release = s_released},
                            {.bytes = "\0\0\0", .size = 4}};
    rk_msg_t msg = {.kind = RK_MSG_ACTIVATION, .activation = {.f = self->f++, .n = 1, .n_tensors = 1}};
    return rk_loop_send (self->loop, self->config.other, &msg, frames, 2, err);
}

static rk_err_t s_on_activation (void *me, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = me;
    rk_frame_t frame = {.bytes = self->buffer, .size = self->config.bytes, .release = s_released};
    rk_msg_t msg = {.kind = RK_MSG_GRADIENT, .gradient = {.f = packet->msg.activation.f, .n = 1, .n_tensors = 1}};
    return rk_loop_send (self->loop, self->config.other, &msg, &frame, 1, err);
}

static rk_err_t s_on_gradient (void *me, rk_packet_t *packet, rk_error_t *err)
{
    (void) packet;
    self_t *self = me;
    if (--self->to_go)
        return s_send_activation (self, err);
    char text[64];
    snprintf (text, sizeof text, "%lld %lld", (long long) (rk_now_ns () - self->start_ns),
              (long long) (rk_thread_cpu_ns () - self->start_cpu_ns));
    rk_loop_say (self->loop, "DONE", RK_OK, text);
    return RK_OK;
}

static rk_err_t s_go (void *me, char **words, rk_error_t *err)
{
    self_t *self = me;
    self->to_go = words[0] ? strtoull (words[0], NULL, 10) : 1;
    self->start_ns = rk_now_ns ();
    self->start_cpu_ns = rk_thread_cpu_ns ();
    return s_send_activation (self, err);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {[RK_MSG_ACTIVATION] = s_on_activation, [RK_MSG_GRADIENT] = s_on_gradient};
static const rk_command_t s_commands[] = {{"GO", s_go}, {NULL, NULL}};
static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_STAGE, .self_size = sizeof (self_t), .open = s_open, .close = s_close, .on = s_on, .commands = s_commands};

static rk_err_t s_start (rk_actor_t *actors[2], const rk_identity_t *identity, const char *transport, uint64_t bytes, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (uint32_t i = 0; i < 2 && !code; i++) {
        char bind[128];
        rk_endpoint_unique (bind, sizeof bind, transport, NULL);
        s_config_t config = {bytes, rk_address (RK_ACTOR_STAGE, 1 - i)};
        rk_actor_plumbing_t plumbing = {.bind = bind, .identity = identity, .node = i};
        code = rk_actor_start (&actors[i], &s_class, &plumbing, &config, err);
    }
    for (uint32_t i = 0; i < 2 && !code; i++)
        code = rk_actor_connect (actors[i], rk_address (RK_ACTOR_STAGE, 1 - i), rk_actor_endpoint (actors[1 - i]), err);
    return code;
}

/* k round trips; wall and CPU time of the first actor's thread. */
static rk_err_t s_chunk (rk_actor_t *actor, uint64_t k, int64_t *wall_ns, int64_t *cpu_ns, rk_error_t *err)
{
    char count[24], word[16];
    snprintf (count, sizeof count, "%llu", (unsigned long long) k);
    rk_err_t code = rk_actor_command (actor, "GO", count, err);
    if (code)
        return code;
    zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (actor)), .events = ZMQ_POLLIN};
    rk_error_t said = {0};
    if (zmq_poll (&item, 1, 60000) <= 0 || !rk_actor_said (actor, word, sizeof word, &said))
        return rk_error_set (err, RK_ETIMEDOUT, "no answer to %llu activations in 60 s", (unsigned long long) k);
    long long wall, cpu;
    if (strcmp (word, "DONE") || sscanf (said.text, "%lld %lld", &wall, &cpu) != 2)
        return rk_error_set (err, said.code ? said.code : RK_ESTATE, "%s", said.text);
    *wall_ns = wall;
    *cpu_ns = cpu;
    return RK_OK;
}

typedef struct {
    rk_chunks_t us, cpu_us, dispatch_us;
    uint64_t k;
    double other_cores;
} s_figures_t;

static rk_err_t s_measure (s_figures_t *f, rk_actor_t *actor, double seconds, const volatile bool *interrupted, rk_error_t *err)
{
    int64_t wall, cpu;
    rk_err_t code = s_chunk (actor, 50, &wall, &cpu, err);
    f->k = code || wall <= 0 ? 1 : (uint64_t) (CHUNK_NS * INT64_C (50) / wall) + 1;
    int64_t end = rk_now_ns () + (int64_t) (seconds * 1e9);
    rk_meter_t meter;
    rk_meter_begin (&meter);
    while (!code && !*interrupted && (rk_now_ns () < end || f->us.n < LEAST_CHUNKS)) {
        double process = rk_process_cpu_s ();
        code = s_chunk (actor, f->k, &wall, &cpu, err);
        double hops = 2 * (double) f->k;
        rk_chunks_add (&f->us, (double) wall / hops / 1e3);
        rk_chunks_add (&f->dispatch_us, (double) cpu / (double) f->k / 1e3);
        rk_chunks_add (&f->cpu_us, (rk_process_cpu_s () - process) * 1e6 / hops);
    }
    f->other_cores = rk_meter_other_cores (&meter);
    return code;
}

rk_err_t rk_bench_hop (const rk_args_t *args, rk_error_t *err)
{
    const char *transport;
    uint64_t bytes = 65536;
    double seconds = 3;
    rk_err_t code = rk_bench_transport (args, &transport, err);
    if (!code)
        code = rk_args_number (args, "bytes", 4, UINT64_C (1) << 30, &bytes, err);
    if (!code)
        code = rk_args_real (args, "seconds", 0.1, 3600, &seconds, err);
    if (code)
        return code;
    bytes -= bytes % 4;
    rk_actor_t *actors[2] = {NULL, NULL};
    rk_identity_t identity;
    rk_gate_t *gate = NULL;
    code = rk_bench_identity (args, transport, &identity, err);
    if (!code && !identity.plain)
        code = rk_gate_new (&gate, &identity, NULL, err);
    if (code)
        return code;
    s_figures_t *f = calloc (1, sizeof *f);
    code = f ? s_start (actors, &identity, transport, bytes, err) : rk_error_set (err, RK_ENOMEM, "out of memory");
    if (!code)
        code = s_measure (f, actors[0], seconds, args->interrupted, err);
    rk_actor_stop (&actors[0]);
    rk_actor_stop (&actors[1]);
    rk_gate_stop (&gate);
    if (!code)
        rk_bench_put (args, json_pack ("{s:s,s:s,s:s,s:b,s:I,s:f,s:f,s:f,s:f,s:I,s:i,s:f}", "figure", "hop", "peer", "rookery",
                                       "transport", transport, "encrypted", !identity.plain, "bytes", (json_int_t) bytes, "us",
                                       rk_bench_round (rk_chunks_at (&f->us, 0.5), 100), "best_us",
                                       rk_bench_round (rk_chunks_at (&f->us, 0), 100), "cpu_us",
                                       rk_bench_round (rk_chunks_at (&f->cpu_us, 0.5), 100), "dispatch_us",
                                       rk_bench_round (rk_chunks_at (&f->dispatch_us, 0.5), 100), "per_batch",
                                       (json_int_t) f->k, "batches", (int) f->us.n, "other_cores", f->other_cores));
    free (f);
    return code;
}
