/* SPDX-License-Identifier: MPL-2.0
 * Random valid messages of every kind with frames that fit, for the tests of messages. */
#ifndef RK_TESTS_MESSAGES_SAMPLE_H
#define RK_TESTS_MESSAGES_SAMPLE_H
#include <math.h>
#include <string.h>

#include "messages/wire.h"

#define SAMPLE_LIST 40

typedef struct { /* what the pointers of a sample point into */
    uint64_t state;
    char text[2 * SAMPLE_LIST + 8][1200];
    size_t n_text;
    uint64_t numbers[2 * SAMPLE_LIST * SAMPLE_LIST];
    size_t n_numbers;
    rk_endpoint_t endpoints[SAMPLE_LIST];
    rk_node_profile_t nodes[SAMPLE_LIST];
    rk_status_member_t members[SAMPLE_LIST / 4];
    rk_waits_t waits[SAMPLE_LIST];
    uint8_t bytes[1 << 14]; /* for frames */
} sample_t;

static inline uint64_t sample_next (sample_t *s)
{
    s->state ^= s->state << 13;
    s->state ^= s->state >> 7;
    s->state ^= s->state << 17;
    return s->state;
}

/* All widths of varint, the extremes included. */
static inline uint64_t sample_u64 (sample_t *s)
{
    uint64_t value = sample_next (s);
    return sample_next (s) % 8 == 0 ? UINT64_MAX : value >> (sample_next (s) % 64);
}

static inline uint32_t sample_u32 (sample_t *s)
{
    return sample_next (s) % 8 == 0 ? UINT32_MAX : (uint32_t) sample_next (s) >> (sample_next (s) % 32);
}

static inline uint32_t sample_below (sample_t *s, uint32_t n)
{
    return (uint32_t) (sample_next (s) % n);
}

static inline double sample_f64 (sample_t *s)
{
    return ((double) (int64_t) sample_next (s)) / (double) (1 + sample_below (s, 1000));
}

/* At most max bytes of UTF-8, among it characters of two, three and four bytes. */
static inline const char *sample_text (sample_t *s, size_t max)
{
    static const char *const parts[] = {"a", "Z", "0", " ", "/", ":", "~", "é", "Ж", "中", "€", "🐦"};
    char *text = s->text[s->n_text++];
    size_t n = 0, goal = sample_below (s, (uint32_t) max + 1);
    for (;;) {
        const char *part = parts[sample_below (s, sizeof parts / sizeof *parts)];
        if (n + strlen (part) > goal)
            break;
        memcpy (text + n, part, strlen (part));
        n += strlen (part);
    }
    text[n] = 0;
    return text;
}

static inline const uint64_t *sample_numbers (sample_t *s, size_t n)
{
    uint64_t *numbers = s->numbers + s->n_numbers;
    s->n_numbers += n;
    for (size_t i = 0; i < n; i++)
        numbers[i] = sample_u64 (s);
    return numbers;
}

static inline uint32_t sample_address (sample_t *s)
{
    return rk_address ((rk_actor_kind_t) (1 + sample_below (s, RK_ACTOR_KEEPER)), sample_u32 (s));
}

static inline rk_endpoints_t sample_endpoints (sample_t *s)
{
    size_t n = sample_below (s, SAMPLE_LIST);
    for (size_t i = 0; i < n; i++)
        s->endpoints[i] = (rk_endpoint_t) {sample_address (s), sample_text (s, 255)};
    return (rk_endpoints_t) {n, s->endpoints};
}

static inline rk_profile_msg_t sample_profile (sample_t *s)
{
    size_t n = sample_below (s, SAMPLE_LIST), n_layers = sample_below (s, SAMPLE_LIST);
    for (size_t i = 0; i < n; i++)
        s->nodes[i] = (rk_node_profile_t) {
            sample_u32 (s), sample_text (s, 31), sample_u64 (s), sample_u32 (s), sample_u32 (s), sample_u64 (s),
            sample_u64 (s), sample_u32 (s), sample_u32 (s), sample_u32 (s), sample_u64 (s), sample_u64 (s), sample_u64 (s), n_layers,
            sample_numbers (s, n_layers), sample_numbers (s, n_layers), sample_text (s, 200)};
    return (rk_profile_msg_t) {n, s->nodes, sample_below (s, 3) * 7};
}

static inline rk_waits_t sample_wait (sample_t *s)
{
    return (rk_waits_t) {sample_address (s), sample_below (s, RK_N_WAITS), sample_below (s, 2) ? sample_address (s) : 0, sample_u64 (s),
                         sample_u64 (s), sample_u64 (s)};
}

static inline rk_status_t sample_status (sample_t *s)
{
    const size_t n = sample_below (s, SAMPLE_LIST / 4), n_waits = sample_below (s, SAMPLE_LIST);
    for (size_t i = 0; i < n; i++)
        s->members[i] = (rk_status_member_t) {
            sample_u32 (s), sample_u32 (s), sample_u32 (s), sample_text (s, 31), sample_text (s, 255), sample_text (s, 31), sample_u64 (s),
            sample_text (s, 900), sample_below (s, RK_N_STANDINGS), sample_u64 (s), sample_u64 (s), i % 2 == 0, i % 3 == 0,
            sample_u32 (s), sample_u32 (s)};
    for (size_t i = 0; i < n_waits; i++)
        s->waits[i] = sample_wait (s);
    return (rk_status_t) {sample_u32 (s), sample_u64 (s), sample_u64 (s), sample_u64 (s), sample_u64 (s), sample_u64 (s), sample_u64 (s),
                          sample_u64 (s), sample_text (s, 900), sample_u64 (s), n, s->members, n_waits, s->waits};
}

static inline void sample_body (sample_t *s, rk_msg_t *m)
{
#define N32 sample_u32 (s)
#define N64 sample_u64 (s)
    uint64_t total = N64;
    uint32_t n = 1 + sample_below (s, 50), tensors = 1 + sample_below (s, 6), mode = sample_below (s, 3);
    switch (m->kind) {
    case RK_MSG_ACTIVATION: m->activation = (rk_activation_t) {N64, N64, mode, n, sample_below (s, 2), tensors}; break;
    case RK_MSG_GRADIENT: m->gradient = (rk_gradient_t) {N64, N64, n, sample_below (s, 2), tensors - 1}; break;
    case RK_MSG_CREDIT: m->credit = (rk_credit_t) {N64, N64, mode}; break;
    case RK_MSG_SNAPSHOT: m->snapshot = (rk_snapshot_t) {N64, tensors, total / 3, total, N32, mode == 1}; break;
    case RK_MSG_CHUNK:
        m->chunk = (rk_chunk_t) {N64, N32, N32, N32, N32, N64 >> 1, sample_below (s, 999), N64, mode == 1, N32,
                                 fabs (sample_f64 (s)), mode == 2};
        break;
    case RK_MSG_MEAN: m->mean = (rk_mean_t) {N64, tensors, N64, mode == 1, sample_f64 (s)}; break;
    case RK_MSG_SLICE: m->slice = (rk_slice_msg_t) {N64, N32, N64 >> 1, sample_below (s, 999), tensors, N64, mode == 1}; break;
    case RK_MSG_HANDOVER_REQUEST: m->handover_request = (rk_handover_request_t) {N64, N32, N64 >> 1, n, mode == 1}; break;
    case RK_MSG_HANDOVER:
        m->handover = (rk_handover_t) {N64, N32, N64 >> 1, sample_below (s, 99), tensors - 1, sample_below (s, 2), mode == 1,
                                       N64, N64, 1 + (float) n, mode == 2, mode == 0};
        break;
    case RK_MSG_PREDICTION: m->prediction = (rk_prediction_t) {N64, n, 1 + sample_below (s, 20)}; break;
    case RK_MSG_TIED: m->tied = (rk_tied_t) {sample_below (s, 4), N64, N64, sample_below (s, 3), 7 + n}; break;
    case RK_MSG_NORM: m->norm = (rk_norm_t) {N64, sample_f64 (s), (float) n}; break;
    case RK_MSG_VERDICT: m->verdict = (rk_verdict_msg_t) {N64, mode & 1, 1.0f / (float) n, (float) tensors}; break;
    case RK_MSG_SUSPECT: m->suspect = (rk_suspect_t) {N64, N64}; break;
    case RK_MSG_HELLO:
        m->hello = (rk_hello_t) {sample_text (s, 31), sample_text (s, 255), N64, N32, N32, sample_text (s, 15), N64,
                                 sample_text (s, 63), mode == 1, sample_text (s, 64), mode == 2, sample_text (s, 255)};
        break;
    case RK_MSG_WELCOME: m->welcome = (rk_welcome_t) {N32, sample_text (s, 1100), N32, N64, N32, N32, N64, sample_text (s, 255), mode == 1}; break;
    case RK_MSG_PROFILE: m->profile = sample_profile (s); break;
    case RK_MSG_PLAN: m->plan = (rk_plan_msg_t) {N64, N32, mode == 1, N64, n, sample_numbers (s, n)}; break;
    case RK_MSG_WIRED: m->wired = sample_endpoints (s); break;
    case RK_MSG_PEERS: m->peers = sample_endpoints (s); break;
    case RK_MSG_READY: m->ready = (rk_ready_t) {N64}; break;
    case RK_MSG_START: m->start = (rk_start_t) {N64}; break;
    case RK_MSG_LEASE_REQUEST: m->lease_request = (rk_lease_request_t) {N32, sample_below (s, 4097)}; break;
    case RK_MSG_LEASE_GRANT: m->lease_grant = (rk_lease_grant_t) {n, sample_numbers (s, n), N64, mode, N32}; break;
    case RK_MSG_ROUND_CLOSED:
        m->round_closed = (rk_round_closed_t) {N64, n, sample_numbers (s, n), sample_numbers (s, n), N32};
        break;
    case RK_MSG_ROUND_APPLIED: m->round_applied = (rk_round_applied_t) {N64, N32, sample_f64 (s)}; break;
    case RK_MSG_ROUND_COMMITTED: m->round_committed = (rk_round_committed_t) {N64}; break;
    case RK_MSG_EVALUATED:
        m->evaluated = (rk_evaluated_t) {N64, N64, sample_f64 (s), sample_below (s, n + 1), n, N32, mode, N32, N32, sample_f64 (s),
                                         sample_f64 (s), sample_f64 (s)};
        break;
    case RK_MSG_REPORT:
        m->report = (rk_report_t) {N32, N32, mode & 1, N64, N64, sample_f64 (s), N64, N64, N64, N64,
                                   N64, N64, N64,      N64, N64, N64,            N64, N64, N64, N64, N32,
                                   N64, N64, N64,      N64, N64, N64,            N64};
        break;
    case RK_MSG_SAVE_REQUEST: m->save_request = (rk_save_request_t) {N64, mode & 1, mode == 2, sample_text (s, 900)}; break;
    case RK_MSG_SAVED: m->saved = (rk_saved_t) {N64, N64, sample_text (s, 1100), sample_text (s, 1000)}; break;
    case RK_MSG_HEARTBEAT: m->heartbeat = (rk_heartbeat_t) {(int64_t) N64, N64, mode & 1, n, sample_numbers (s, n)}; break;
    case RK_MSG_FAILED: m->failed = (rk_failed_t) {N32, sample_text (s, 1023), N32, mode == 1}; break;
    case RK_MSG_PROBE: m->probe = (rk_probe_t) {N64, N32, N32, 1 + sample_below (s, 9), sample_text (s, 60), mode == 1}; break;
    case RK_MSG_CONTROL: m->control = (rk_control_msg_t) {N64, N32}; break;
    case RK_MSG_AGREEMENT:
        m->agreement = (rk_agreement_t) {mode, N64, N64, mode, N64, N32, N64, N32, mode & 1, n, sample_numbers (s, n)};
        break;
    case RK_MSG_REPLAN: m->replan = (rk_replan_msg_t) {N64, N32, N64, N64, N64, N64, N64, N64, sample_text (s, 300)}; break;
    case RK_MSG_STATUS_REQUEST: m->status_request = (rk_status_request_t) {mode == 1}; break;
    case RK_MSG_WAITS: m->waits = sample_wait (s); break;
    case RK_MSG_STATUS: m->status = sample_status (s); break;
    case RK_MSG_LINK_REQUEST: m->link_request = (rk_link_request_t) {N32, N32, sample_address (s), sample_text (s, 255)}; break;
    case RK_MSG_LINK_PROBE: m->link_probe = (rk_link_probe_t) {mode, N64, sample_below (s, 32 << 20)}; break;
    case RK_MSG_LINK_ECHO: m->link_echo = (rk_link_echo_t) {mode & 1, N64, N64}; break;
    case RK_MSG_LINK_MEASURED: m->link_measured = (rk_link_measured_t) {N32, N32, N64, N64, N64}; break;
    case RK_MSG_KEYS: m->keys = sample_endpoints (s); break;
    case RK_MSG_RETIRE: m->retire = sample_endpoints (s); break;
    case RK_MSG_ENROL: m->enrol = (rk_enrol_t) {sample_text (s, 64)}; break;
    case RK_MSG_ENROLLED: m->enrolled = (rk_enrolled_t) {sample_text (s, 255)}; break;
    case RK_MSG_STOP: m->stop = (rk_stop_t) {sample_below (s, 256), sample_text (s, 1023)}; break;
    default: break; /* no fields */
    }
#undef N32
#undef N64
}

/* A valid message of this kind; its pointers live in *s until the next call. */
static inline rk_msg_t sample_msg (sample_t *s, rk_msg_kind_t kind)
{
    s->n_text = s->n_numbers = 0;
    rk_msg_t m = {.kind = kind, .view = sample_u64 (s), .sender = sample_address (s), .seq = sample_u64 (s)};
    sample_body (s, &m);
    return m;
}

/* Frames that fit m, contents random; returns how many. */
static inline int sample_frames (sample_t *s, const rk_msg_t *m, rk_frame_t *frames)
{
    size_t unit = 4, count = 100 + sample_below (s, 100);
    int n = 0;
    for (size_t i = 0; i < sizeof s->bytes; i++)
        s->bytes[i] = (uint8_t) sample_next (s);
    switch (m->kind) {
    case RK_MSG_ACTIVATION: n = (int) m->activation.n_tensors, unit = m->activation.dtype ? 2 : 4; break;
    case RK_MSG_GRADIENT: n = (int) m->gradient.n_tensors, unit = m->gradient.dtype ? 2 : 4; break;
    case RK_MSG_SNAPSHOT: n = (int) m->snapshot.n_planes; break;
    case RK_MSG_MEAN: n = (int) m->mean.n_planes + m->mean.merged; break;
    case RK_MSG_SLICE: n = (int) m->slice.n_planes, count = m->slice.n_floats; break;
    case RK_MSG_HANDOVER: n = (int) m->handover.n_planes, count = m->handover.n_floats; break;
    case RK_MSG_CHUNK: n = 1, count = m->chunk.n_floats; break;
    case RK_MSG_PREDICTION: n = 1, count = (size_t) m->prediction.n * m->prediction.n_classes; break;
    case RK_MSG_TIED: n = (int) m->tied.n_tensors, count = m->tied.n_floats; break;
    case RK_MSG_PROBE: n = 1, unit = 8, count = 3 * m->probe.n_tensors; break;
    case RK_MSG_PLAN: n = 1 + m->plan.goes_on, unit = 1; break;
    case RK_MSG_AGREEMENT: n = m->agreement.has_value, unit = 1; break;
    case RK_MSG_PROFILE: n = m->profile.n_links > 0, unit = 8, count = 4 * m->profile.n_links; break;
    case RK_MSG_LINK_PROBE: n = 1, unit = 1; break;
    default: break;
    }
    for (int i = 0; i < n; i++)
        frames[i] = (rk_frame_t) {.bytes = s->bytes + 64 * i, .size = unit * count};
    if (m->kind == RK_MSG_ACTIVATION)
        frames[n++] = (rk_frame_t) {.bytes = s->bytes + 999, .size = (size_t) m->activation.n * 4};
    return n;
}

#endif
