/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/profiler_links.h"

#include "compute/rng.h"

#define PINGS 8
#define MOST_TRIES 8                          /* bursts of one direction that were too short */
#define PART_BYTES 32768u                     /* of a message of a burst: small enough to be copied, not lent */
#define LEAST_PARTS 32
#define LEAST_DURATION_NS UINT64_C (30000000) /* of a burst that counts; eight round trips if that is more */
#define MOST_DURATION_NS UINT64_C (400000000)
#define PATIENCE_MS 10000

rk_err_t rk_profiler_links_open (rk_profiler_links_t *links, rk_loop_t *loop, int64_t patience_ms, rk_error_t *err)
{
    *links = (rk_profiler_links_t){.loop = loop, .patience_ns = (patience_ms ? patience_ms : PATIENCE_MS) * 1000000};
    links->bytes_of_no_meaning = malloc (PART_BYTES);
    if (!links->bytes_of_no_meaning)
        return rk_error_set (err, RK_ENOMEM, "no memory for bursts");
    uint32_t word[4]; /* a link that compresses must not find anything to compress */
    for (uint32_t i = 0; i < PART_BYTES / sizeof word; i++) {
        rk_rng_block (1, rk_rng_stream (RK_RNG_TIME, 0), i, word);
        memcpy (links->bytes_of_no_meaning + i * sizeof word, word, sizeof word);
    }
    return RK_OK;
}

void rk_profiler_links_close (rk_profiler_links_t *links)
{
    free (links->bytes_of_no_meaning);
    links->bytes_of_no_meaning = NULL;
}

/* ---- sending */
static rk_err_t s_probe (rk_profiler_links_t *links, uint32_t to, rk_link_probe_t probe, size_t size, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_LINK_PROBE, .link_probe = probe};
    rk_frame_t frame = {.bytes = links->bytes_of_no_meaning, .size = size};
    return rk_loop_send (links->loop, to, &msg, &frame, 1, err);
}

static rk_err_t s_burst (rk_profiler_links_t *links, uint32_t to, uint64_t seq, uint64_t total, rk_error_t *err)
{
    uint64_t part = total / LEAST_PARTS + 1;
    part = part > PART_BYTES ? PART_BYTES : part;
    rk_err_t rc = RK_OK;
    for (uint64_t at = 0; !rc && at < total; at += part)
        rc = s_probe (links, to, (rk_link_probe_t){RK_LINK_BURST, seq, total}, total - at < part ? total - at : part, err);
    return rc;
}

static rk_err_t s_question (rk_profiler_links_t *links, rk_error_t *err)
{
    if (links->phase == RK_LINK_PINGS)
        return s_probe (links, links->peer, (rk_link_probe_t){RK_LINK_PING, links->seq, 0}, 0, err);
    if (links->phase == RK_LINK_OUT)
        return s_burst (links, links->peer, links->seq, links->bytes, err);
    rk_burst_start (&links->back, links->bytes);
    return s_probe (links, links->peer, (rk_link_probe_t){RK_LINK_WANT, links->seq, links->bytes}, 0, err);
}

static rk_err_t s_tell (rk_profiler_links_t *links, uint64_t out, uint64_t back, uint64_t rtt_ns, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_LINK_MEASURED, .link_measured = {links->from, links->to, out, back, rtt_ns}};
    links->phase = RK_LINK_IDLE;
    rk_loop_forget (links->loop, links->peer);
    return rk_loop_send (links->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

/* A link that does not work is a figure too: the plan may do without. */
static rk_err_t s_give_up (rk_profiler_links_t *links, const char *why, rk_error_t *err)
{
    rk_log (RK_LOG_WARNING, "LINK-DEAD", "from=%u to=%u %s", links->from, links->to, why);
    return s_tell (links, RK_LINK_DEAD_BYTES_PER_S, RK_LINK_DEAD_BYTES_PER_S, RK_LINK_DEAD_RTT_NS, err);
}

static rk_err_t s_ask (rk_profiler_links_t *links, rk_error_t *err)
{
    links->seq++;
    links->asked_ns = rk_now_ns ();
    links->deadline_ns = links->asked_ns + links->patience_ns;
    rk_error_t why = {RK_OK, ""};
    return s_question (links, &why) ? s_give_up (links, why.text, err) : RK_OK;
}

/* ---- asking */
rk_err_t rk_profiler_links_request (rk_profiler_links_t *links, const rk_link_request_t *request, rk_error_t *err)
{
    if (links->phase != RK_LINK_IDLE)
        return rk_error_set (err, RK_EFORMAT, "a link to node %u is being measured already", links->to);
    if (rk_address_kind (request->address) != RK_ACTOR_PROFILER || request->address == rk_loop_address (links->loop))
        return rk_error_set (err, RK_EFORMAT, "%s %u is no profiler of another process",
                             rk_actor_kind_name (rk_address_kind (request->address)), rk_address_node (request->address));
    links->from = request->from;
    links->to = request->to;
    links->peer = request->address;
    links->n_pings = links->n_tries = links->n_rates = 0;
    links->rtt_ns = 0;
    links->phase = RK_LINK_PINGS;
    rk_loop_forget (links->loop, links->peer);
    rk_error_t why = {RK_OK, ""};
    if (rk_loop_connect (links->loop, links->peer, request->endpoint, &why))
        return s_give_up (links, why.text, err);
    return s_ask (links, err);
}

static int s_compare (const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static rk_err_t s_begin (rk_profiler_links_t *links, rk_link_phase_t phase, uint64_t bytes, rk_error_t *err)
{
    links->phase = phase;
    links->bytes = bytes;
    links->n_tries = links->n_rates = 0;
    return s_ask (links, err);
}

/* A burst is in, here or there: it counts if it was long enough; the next one is as long as its rate says. */
static rk_err_t s_take_rate (rk_profiler_links_t *links, uint64_t rate, rk_error_t *err)
{
    uint64_t duration = 8 * links->rtt_ns > LEAST_DURATION_NS ? 8 * links->rtt_ns : LEAST_DURATION_NS;
    duration = duration > MOST_DURATION_NS ? MOST_DURATION_NS : duration;
    const uint64_t wanted = rk_burst_bytes (rate, duration), bytes = links->bytes;
    if (2 * bytes >= wanted || ++links->n_tries >= MOST_TRIES)
        links->rates[links->n_rates++] = rate;
    const bool slow = (uint64_t) (rk_now_ns () - links->asked_ns) > 2 * MOST_DURATION_NS;
    links->bytes = wanted;
    if (links->n_rates < RK_LINK_BURSTS && !(slow && links->n_rates))
        return s_ask (links, err);
    qsort (links->rates, links->n_rates, sizeof *links->rates, s_compare);
    rate = links->rates[links->n_rates / 2];
    if (links->phase == RK_LINK_BACK)
        return s_tell (links, links->out_rate, rate, links->rtt_ns, err);
    links->out_rate = rate;
    return s_begin (links, RK_LINK_BACK, RK_BURST_LEAST_BYTES, err);
}

static rk_err_t s_take_ping (rk_profiler_links_t *links, rk_error_t *err)
{
    const int64_t ns = rk_now_ns () - links->asked_ns;
    const uint64_t rtt_ns = ns > 0 ? (uint64_t) ns : 1;
    if (!links->rtt_ns || rtt_ns < links->rtt_ns)
        links->rtt_ns = rtt_ns;
    if (++links->n_pings < PINGS)
        return s_ask (links, err);
    return s_begin (links, RK_LINK_OUT, RK_BURST_LEAST_BYTES, err);
}

rk_err_t rk_profiler_links_echo (rk_profiler_links_t *links, const rk_msg_t *msg, rk_error_t *err)
{
    const rk_link_echo_t *echo = &msg->link_echo;
    const bool pings = links->phase == RK_LINK_PINGS && echo->what == RK_LINK_PING;
    const bool bursts = links->phase == RK_LINK_OUT && echo->what == RK_LINK_BURST;
    if (!(pings || bursts) || msg->sender != links->peer || echo->seq != links->seq)
        return rk_error_set (err, RK_ESTALE, "an echo that nobody waits for");
    return pings ? s_take_ping (links, err) : s_take_rate (links, echo->bytes_per_s ? echo->bytes_per_s : 1, err);
}

int64_t rk_profiler_links_work (rk_profiler_links_t *links, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    if (links->phase == RK_LINK_IDLE)
        return RK_FOREVER;
    if (now_ns < links->deadline_ns)
        return links->deadline_ns - now_ns;
    char why[64];
    snprintf (why, sizeof why, "no answer for %lld ms", (long long) (links->patience_ns / 1000000));
    *code = s_give_up (links, why, err);
    return RK_FOREVER;
}

/* ---- answering; who asked may be gone, which is not this node's trouble */
static rk_err_t s_answered (rk_err_t rc)
{
    return rc == RK_EPEER ? RK_ESTALE : rc;
}

static rk_err_t s_echo (rk_profiler_links_t *links, uint32_t to, rk_link_echo_t echo, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_LINK_ECHO, .link_echo = echo};
    return s_answered (rk_loop_send (links->loop, to, &msg, NULL, 0, err));
}

static rk_err_t s_take_part (rk_profiler_links_t *links, const rk_packet_t *packet, rk_error_t *err)
{
    const rk_link_probe_t *probe = &packet->msg.link_probe;
    const uint64_t n = zmq_msg_size ((zmq_msg_t *) &packet->frame[0]);
    const uint32_t sender = packet->msg.sender;
    if (links->phase == RK_LINK_BACK && sender == links->peer && probe->seq == links->seq) {
        if (!rk_burst_take (&links->back, n, rk_now_ns ()))
            return RK_OK;
        const uint64_t rate = rk_burst_rate (&links->back);
        return s_take_rate (links, rate ? rate : 1, err);
    }
    if (links->whose != sender || links->whose_seq != probe->seq) {
        links->whose = sender;
        links->whose_seq = probe->seq;
        rk_burst_start (&links->in, probe->total);
    }
    if (!rk_burst_take (&links->in, n, rk_now_ns ()))
        return RK_OK;
    links->whose = 0;
    return s_echo (links, sender, (rk_link_echo_t){RK_LINK_BURST, probe->seq, rk_burst_rate (&links->in)}, err);
}

rk_err_t rk_profiler_links_probe (rk_profiler_links_t *links, rk_packet_t *packet, rk_error_t *err)
{
    const rk_link_probe_t *probe = &packet->msg.link_probe;
    const uint32_t sender = packet->msg.sender;
    if (rk_address_kind (sender) != RK_ACTOR_PROFILER)
        return rk_error_set (err, RK_EFORMAT, "a probe from %s %u", rk_actor_kind_name (rk_address_kind (sender)),
                             rk_address_node (sender));
    if (packet->n_routing && rk_loop_learn (links->loop, sender, packet))
        return rk_error_set (err, RK_ENOMEM, "no memory to answer profiler %u", rk_address_node (sender));
    if (probe->what == RK_LINK_PING)
        return s_echo (links, sender, (rk_link_echo_t){RK_LINK_PING, probe->seq, 0}, err);
    if (probe->what == RK_LINK_WANT)
        return s_answered (s_burst (links, sender, probe->seq, probe->total, err));
    return s_take_part (links, packet, err);
}
