/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/check.h"

#include <math.h>
#include <string.h>

#include "messages/text.h"

/* Longest strings, in bytes without the end. Names and kernel sets fit the fixed arrays of a plan. */
#define MAX_NAME 31
#define MAX_KERNELS 15
#define MAX_SOFTWARE 63
#define MAX_ENDPOINT 255
#define MAX_PATH 4095
#define MAX_LINE 1023
#define MAX_SETTINGS 65535
#define MAX_KEY 64

#define RULE(condition, ...)                                                                                          \
    do {                                                                                                              \
        if (!(condition))                                                                                             \
            return rk_error_set (err, RK_EFORMAT, __VA_ARGS__);                                                       \
    } while (0)

#define TEXT_RULE(what, text, max)                                                                                    \
    do {                                                                                                              \
        rk_err_t text_rc = rk_text_check (what, text, max, false, err);                                               \
        if (text_rc)                                                                                                  \
            return text_rc;                                                                                           \
    } while (0)

static rk_err_t s_address (uint32_t address, rk_error_t *err)
{
    unsigned kind = rk_address_kind (address);
    RULE (kind >= RK_ACTOR_NODE && kind <= RK_ACTOR_KEEPER, "address %08x: actor kind %u is none", address, kind);
    return RK_OK;
}

static rk_err_t s_list (const char *what, size_t n, rk_error_t *err)
{
    RULE (n <= RK_WIRE_MAX_LIST, "%s: %zu elements, at most %d", what, n, RK_WIRE_MAX_LIST);
    return RK_OK;
}

/* ---- bodies */
static rk_err_t s_minibatch (uint32_t mode, uint32_t n, uint32_t dtype, uint32_t n_tensors, rk_error_t *err)
{
    RULE (mode < RK_N_MB, "mode %u, at most %d", mode, RK_N_MB - 1);
    RULE (n > 0, "no samples");
    RULE (dtype <= RK_DTYPE_F16, "dtype %u, at most %d", dtype, RK_DTYPE_F16);
    RULE (n_tensors < RK_WIRE_MAX_FRAMES, "%u tensors, at most %d", n_tensors, RK_WIRE_MAX_FRAMES - 1);
    return RK_OK;
}

static rk_err_t s_activation (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_activation_t *a = &msg->activation;
    RULE (a->n_tensors > 0, "an activation without tensors");
    return s_minibatch (a->mode, a->n, a->dtype, a->n_tensors, err);
}

static rk_err_t s_gradient (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_gradient_t *g = &msg->gradient;
    return s_minibatch (RK_MB_TRAIN, g->n, g->dtype, g->n_tensors, err);
}

static rk_err_t s_credit (const rk_msg_t *msg, rk_error_t *err)
{
    RULE (msg->credit.mode < RK_N_MB, "mode %u, at most %d", msg->credit.mode, RK_N_MB - 1);
    return RK_OK;
}

static rk_err_t s_planes (uint32_t n, rk_error_t *err)
{
    RULE (n <= RK_WIRE_MAX_FRAMES, "%u planes, at most %d", n, RK_WIRE_MAX_FRAMES);
    return RK_OK;
}

static rk_err_t s_snapshot (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_snapshot_t *s = &msg->snapshot;
    RULE (s->weight <= s->total, "weight %llu above the total %llu", (unsigned long long) s->weight,
          (unsigned long long) s->total);
    return s_planes (s->n_planes, err);
}

static rk_err_t s_chunk (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_chunk_t *c = &msg->chunk;
    RULE (c->n_floats <= UINT64_MAX - c->offset, "chunk of %llu floats at %llu", (unsigned long long) c->n_floats,
          (unsigned long long) c->offset);
    RULE (!c->mixing || (c->push >= 0 && isfinite (c->push)), "push weight %g", c->push);
    return RK_OK;
}

static rk_err_t s_mean (const rk_msg_t *msg, rk_error_t *err)
{
    return s_planes (msg->mean.n_planes, err);
}

static rk_err_t s_slice (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_slice_msg_t *s = &msg->slice;
    RULE (s->n_floats <= UINT64_MAX - s->flat_lo, "slice of %llu floats at %llu", (unsigned long long) s->n_floats,
          (unsigned long long) s->flat_lo);
    return s_planes (s->n_planes, err);
}

static rk_err_t s_prediction (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_prediction_t *p = &msg->prediction;
    RULE (p->n > 0 && p->n_classes > 0, "prediction of %u samples in %u classes", p->n, p->n_classes);
    return RK_OK;
}

static rk_err_t s_norm (const rk_msg_t *msg, rk_error_t *err)
{
    /* squares may be anything: no finite number is what it is asked about */
    RULE (isfinite (msg->norm.loss_scale) && msg->norm.loss_scale > 0, "loss scale %g", (double) msg->norm.loss_scale);
    return RK_OK;
}

static rk_err_t s_verdict (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_verdict_msg_t *v = &msg->verdict;
    RULE (isfinite (v->grad_scale) && v->grad_scale >= 0, "gradient scale %g", (double) v->grad_scale);
    RULE (isfinite (v->loss_scale) && v->loss_scale > 0, "loss scale %g", (double) v->loss_scale);
    return RK_OK;
}

static rk_err_t s_handover_range (uint64_t lo, uint64_t n, rk_error_t *err)
{
    RULE (n <= RK_HANDOVER_PART, "%llu floats, at most %d", (unsigned long long) n, RK_HANDOVER_PART);
    RULE (n <= UINT64_MAX - lo, "%llu floats at %llu", (unsigned long long) n, (unsigned long long) lo);
    return RK_OK;
}

static rk_err_t s_handover_request (const rk_msg_t *msg, rk_error_t *err)
{
    return s_handover_range (msg->handover_request.flat_lo, msg->handover_request.n_floats, err);
}

static rk_err_t s_handover (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_handover_t *h = &msg->handover;
    RULE (h->source <= RK_HANDOVER_CHECKPOINT, "source %u, at most %d", h->source, RK_HANDOVER_CHECKPOINT);
    RULE (isfinite (h->loss_scale) && h->loss_scale > 0, "loss scale %g", (double) h->loss_scale);
    rk_err_t rc = s_handover_range (h->flat_lo, h->n_floats, err);
    return rc ? rc : s_planes (h->n_planes, err);
}

static rk_err_t s_hello (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_hello_t *h = &msg->hello;
    TEXT_RULE ("name", h->name, MAX_NAME);
    TEXT_RULE ("control", h->control, MAX_ENDPOINT);
    TEXT_RULE ("kernels", h->kernels, MAX_KERNELS);
    TEXT_RULE ("software", h->software, MAX_SOFTWARE);
    TEXT_RULE ("key", h->key, MAX_KEY);
    TEXT_RULE ("relay", h->relay, MAX_ENDPOINT);
    return RK_OK;
}

static rk_err_t s_welcome (const rk_msg_t *msg, rk_error_t *err)
{
    TEXT_RULE ("listen", msg->welcome.listen, MAX_ENDPOINT);
    return rk_text_check ("settings", msg->welcome.settings, MAX_SETTINGS, true, err);
}

static rk_err_t s_profile_request (const rk_msg_t *msg, rk_error_t *err)
{
    return s_list ("dims", msg->profile_request.n_dims, err);
}

static rk_err_t s_profile (const rk_msg_t *msg, rk_error_t *err)
{
    rk_err_t rc = s_list ("nodes", msg->profile.n_nodes, err);
    for (size_t i = 0; !rc && i < msg->profile.n_nodes; i++) {
        rc = s_list ("layers", msg->profile.nodes[i].n_layers, err);
        if (!rc)
            rc = rk_text_check ("name", msg->profile.nodes[i].name, MAX_NAME, false, err);
        if (!rc)
            rc = rk_text_check ("endpoint", msg->profile.nodes[i].endpoint, MAX_ENDPOINT, false, err);
    }
    return rc;
}

static rk_err_t s_link_request (const rk_msg_t *msg, rk_error_t *err)
{
    rk_err_t rc = s_address (msg->link_request.address, err);
    return rc ? rc : rk_text_check ("endpoint", msg->link_request.endpoint, MAX_ENDPOINT, false, err);
}

static rk_err_t s_link_probe (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_link_probe_t *p = &msg->link_probe;
    RULE (p->what <= RK_LINK_WANT, "probe of kind %u, at most %d", p->what, RK_LINK_WANT);
    RULE (p->total <= RK_LINK_MOST_BYTES, "burst of %llu bytes, at most %u", (unsigned long long) p->total, RK_LINK_MOST_BYTES);
    return RK_OK;
}

static rk_err_t s_link_echo (const rk_msg_t *msg, rk_error_t *err)
{
    RULE (msg->link_echo.what <= RK_LINK_BURST, "echo of kind %u, at most %d", msg->link_echo.what, RK_LINK_BURST);
    return RK_OK;
}

static rk_err_t s_endpoints (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_endpoints_t *e = msg->kind == RK_MSG_WIRED    ? &msg->wired
                              : msg->kind == RK_MSG_KEYS   ? &msg->keys
                              : msg->kind == RK_MSG_RETIRE ? &msg->retire
                                                           : &msg->peers;
    rk_err_t rc = s_list ("endpoints", e->n, err);
    for (size_t i = 0; !rc && i < e->n; i++) {
        rc = s_address (e->list[i].address, err);
        if (!rc)
            rc = rk_text_check ("endpoint", e->list[i].endpoint, MAX_ENDPOINT, false, err);
    }
    return rc;
}

static rk_err_t s_heartbeat (const rk_msg_t *msg, rk_error_t *err)
{
    return s_list ("misses", msg->heartbeat.n_misses, err);
}

static rk_err_t s_enrol (const rk_msg_t *msg, rk_error_t *err)
{
    return rk_text_check ("key", msg->enrol.key, MAX_KEY, false, err);
}

static rk_err_t s_enrolled (const rk_msg_t *msg, rk_error_t *err)
{
    return rk_text_check ("relay", msg->enrolled.relay, MAX_ENDPOINT, false, err);
}

static rk_err_t s_lease_request (const rk_msg_t *msg, rk_error_t *err)
{
    return s_list ("lease", msg->lease_request.n, err);
}

static rk_err_t s_lease_grant (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_lease_grant_t *g = &msg->lease_grant;
    RULE (g->mode < RK_N_MB, "mode %u, at most %d", g->mode, RK_N_MB - 1);
    return s_list ("lease", g->n, err);
}

static rk_err_t s_round_closed (const rk_msg_t *msg, rk_error_t *err)
{
    return s_list ("clusters", msg->round_closed.n_clusters, err);
}

static rk_err_t s_evaluated (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_evaluated_t *e = &msg->evaluated;
    /* loss_sum may be anything: a training that diverges has a loss that is no number, and must be able to say so */
    RULE (e->n_correct <= e->n_counted, "%llu of %llu correct", (unsigned long long) e->n_correct,
          (unsigned long long) e->n_counted);
    RULE (e->mode < RK_N_MB, "mode %u, at most %d", e->mode, RK_N_MB - 1);
    return RK_OK;
}

static rk_err_t s_saved (const rk_msg_t *msg, rk_error_t *err)
{
    rk_err_t rc = rk_text_check ("path", msg->saved.path, MAX_PATH, false, err);
    return rc ? rc : rk_text_check ("error", msg->saved.error, MAX_LINE, false, err);
}

static rk_err_t s_save_request (const rk_msg_t *msg, rk_error_t *err)
{
    return rk_text_check ("control", msg->save_request.control, MAX_SETTINGS, true, err);
}

static rk_err_t s_probe (const rk_msg_t *msg, rk_error_t *err)
{
    RULE (msg->probe.n_tensors > 0, "probe of no tensors");
    return rk_text_check ("names", msg->probe.names, MAX_SETTINGS, false, err);
}

static rk_err_t s_failed (const rk_msg_t *msg, rk_error_t *err)
{
    return rk_text_check ("text", msg->failed.text, MAX_LINE, false, err);
}

static rk_err_t s_stop (const rk_msg_t *msg, rk_error_t *err)
{
    RULE (msg->stop.code <= 255, "exit code %u, at most 255", msg->stop.code);
    return rk_text_check ("reason", msg->stop.reason, MAX_LINE, false, err);
}

static rk_err_t s_tied (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_tied_t *t = &msg->tied;
    RULE (t->what <= RK_TIED_MEAN, "tied values of kind %u, at most %d", t->what, RK_TIED_MEAN);
    RULE (t->n_tensors <= 2, "%u tied tensors, at most 2", t->n_tensors);
    return RK_OK;
}

static rk_err_t s_agreement (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_agreement_t *a = &msg->agreement;
    RULE (a->kind <= RK_AGREEMENT_PAXOS, "an agreement of kind %u, at most %d", a->kind, RK_AGREEMENT_PAXOS);
    RULE (a->paxos < RK_AGREEMENT_N_PAXOS, "step %u of a decision, at most %d", a->paxos, RK_AGREEMENT_N_PAXOS - 1);
    return s_list ("the dead", a->n_dead, err);
}

static rk_err_t s_wait (const rk_waits_t *w, rk_error_t *err)
{
    rk_err_t rc = s_address (w->actor, err);
    RULE (rc || w->what < RK_N_WAITS, "waits for what is of kind %u, at most %d", w->what, RK_N_WAITS - 1);
    return rc || !w->from ? rc : s_address (w->from, err);
}

static rk_err_t s_waits (const rk_msg_t *msg, rk_error_t *err)
{
    return s_wait (&msg->waits, err);
}

static rk_err_t s_status_member (const rk_status_member_t *m, rk_error_t *err)
{
    RULE (m->standing < RK_N_STANDINGS, "standing %u, at most %d", m->standing, RK_N_STANDINGS - 1);
    TEXT_RULE ("name", m->name, MAX_NAME);
    TEXT_RULE ("control", m->control, MAX_ENDPOINT);
    TEXT_RULE ("state", m->state, MAX_NAME);
    TEXT_RULE ("waits_for", m->waits_for, MAX_LINE);
    return RK_OK;
}

static rk_err_t s_status (const rk_msg_t *msg, rk_error_t *err)
{
    const rk_status_t *s = &msg->status;
    TEXT_RULE ("reason", s->reason, MAX_LINE);
    rk_err_t rc = s_list ("members", s->n_members, err);
    if (!rc)
        rc = s_list ("waits", s->n_waits, err);
    for (size_t i = 0; !rc && i < s->n_members; i++)
        rc = s_status_member (&s->members[i], err);
    for (size_t i = 0; !rc && i < s->n_waits; i++)
        rc = s_wait (&s->waits[i], err);
    return rc;
}

static rk_err_t (*const s_rules[RK_N_MSG]) (const rk_msg_t *, rk_error_t *) = {
    [RK_MSG_ACTIVATION] = s_activation,
    [RK_MSG_GRADIENT] = s_gradient,
    [RK_MSG_CREDIT] = s_credit,
    [RK_MSG_SNAPSHOT] = s_snapshot,
    [RK_MSG_CHUNK] = s_chunk,
    [RK_MSG_MEAN] = s_mean,
    [RK_MSG_SLICE] = s_slice,
    [RK_MSG_PREDICTION] = s_prediction,
    [RK_MSG_TIED] = s_tied,
    [RK_MSG_NORM] = s_norm,
    [RK_MSG_VERDICT] = s_verdict,
    [RK_MSG_HANDOVER_REQUEST] = s_handover_request,
    [RK_MSG_HANDOVER] = s_handover,
    [RK_MSG_HELLO] = s_hello,
    [RK_MSG_HEARTBEAT] = s_heartbeat,
    [RK_MSG_WELCOME] = s_welcome,
    [RK_MSG_PROFILE_REQUEST] = s_profile_request,
    [RK_MSG_PROFILE] = s_profile,
    [RK_MSG_WIRED] = s_endpoints,
    [RK_MSG_PEERS] = s_endpoints,
    [RK_MSG_LEASE_REQUEST] = s_lease_request,
    [RK_MSG_LEASE_GRANT] = s_lease_grant,
    [RK_MSG_ROUND_CLOSED] = s_round_closed,
    [RK_MSG_EVALUATED] = s_evaluated,
    [RK_MSG_SAVE_REQUEST] = s_save_request,
    [RK_MSG_SAVED] = s_saved,
    [RK_MSG_FAILED] = s_failed,
    [RK_MSG_PROBE] = s_probe,
    [RK_MSG_STOP] = s_stop,
    [RK_MSG_AGREEMENT] = s_agreement,
    [RK_MSG_LINK_REQUEST] = s_link_request,
    [RK_MSG_LINK_PROBE] = s_link_probe,
    [RK_MSG_LINK_ECHO] = s_link_echo,
    [RK_MSG_KEYS] = s_endpoints,
    [RK_MSG_ENROL] = s_enrol,
    [RK_MSG_WAITS] = s_waits,
    [RK_MSG_STATUS] = s_status,
    [RK_MSG_ENROLLED] = s_enrolled,
};

rk_err_t rk_check_msg (const rk_msg_t *msg, rk_error_t *err)
{
    unsigned kind = msg->kind;
    RULE (kind > RK_MSG_NONE && kind < RK_N_MSG, "message kind %u is none", kind);
    rk_err_t rc = s_address (msg->sender, err);
    if (!rc && s_rules[kind])
        rc = s_rules[kind](msg, err);
    return rc ? rk_error_wrap (err, rc, "%s from %08x", rk_msg_kind_name (msg->kind), msg->sender) : RK_OK;
}

/* ---- frames */
typedef struct {
    uint64_t count;  /* frames in all */
    uint64_t unit;   /* bytes of an element: sizes are multiples of it */
    uint64_t elems;  /* ANY, or elements of each frame */
    bool labels;     /* the last one holds labels instead */
} s_frames_t;
#define ANY UINT64_MAX

static s_frames_t s_expected (const rk_msg_t *msg)
{
    switch (msg->kind) {
    case RK_MSG_ACTIVATION:
        return (s_frames_t) {msg->activation.n_tensors + 1, msg->activation.dtype == RK_DTYPE_F16 ? 2 : 4, ANY, true};
    case RK_MSG_GRADIENT:
        return (s_frames_t) {msg->gradient.n_tensors, msg->gradient.dtype == RK_DTYPE_F16 ? 2 : 4, ANY, false};
    case RK_MSG_SNAPSHOT:
        return (s_frames_t) {msg->snapshot.n_planes, 4, ANY, false};
    case RK_MSG_MEAN:
        return (s_frames_t) {(uint64_t) msg->mean.n_planes + msg->mean.merged, 4, ANY, false};
    case RK_MSG_CHUNK:
        return (s_frames_t) {1, 4, msg->chunk.n_floats, false};
    case RK_MSG_SLICE:
        return (s_frames_t) {msg->slice.n_planes, 4, msg->slice.n_floats, false};
    case RK_MSG_HANDOVER:
        return (s_frames_t) {msg->handover.n_planes, 4, msg->handover.n_floats, false};
    case RK_MSG_PREDICTION:
        return (s_frames_t) {1, 4, (uint64_t) msg->prediction.n * msg->prediction.n_classes, false};
    case RK_MSG_TIED:
        return (s_frames_t) {msg->tied.n_tensors, 4, msg->tied.n_floats, false};
    case RK_MSG_PROBE:
        return (s_frames_t) {1, 8, 3 * (uint64_t) msg->probe.n_tensors, false};
    case RK_MSG_PROFILE:
        return (s_frames_t) {msg->profile.n_links > 0, 8, 4 * (uint64_t) msg->profile.n_links, false};
    case RK_MSG_LINK_PROBE:
        return (s_frames_t) {1, 1, ANY, false};
    case RK_MSG_PLAN:
        return (s_frames_t) {(uint64_t) 1 + msg->plan.goes_on, 1, ANY, false};
    case RK_MSG_AGREEMENT:
        return (s_frames_t) {msg->agreement.has_value, 1, ANY, false};
    default:
        return (s_frames_t) {0, 1, ANY, false};
    }
}

/* Labels are 4 bytes each, the same number for every sample (the model knows which); a sample to be predicted may
 * have none.                                                                                          */
static bool s_labels_ok (const rk_activation_t *a, size_t size)
{
    return (size > 0 && a->n > 0 && size % (4 * (size_t) a->n) == 0) || (a->mode == RK_MB_PREDICT && size == 0);
}

rk_err_t rk_check_frames (const rk_msg_t *msg, const size_t *size, int n, rk_error_t *err)
{
    s_frames_t want = s_expected (msg);
    const char *name = rk_msg_kind_name (msg->kind);
    RULE (n >= 0 && (uint64_t) n == want.count, "%s from %08x: %d frames, expected %llu", name, msg->sender, n,
          (unsigned long long) want.count);
    for (int i = 0; i < n; i++)
        if (want.labels && i == n - 1)
            RULE (s_labels_ok (&msg->activation, size[i]), "%s from %08x: %zu bytes of labels for %u samples", name,
                  msg->sender, size[i], msg->activation.n);
        else
            RULE (size[i] % want.unit == 0 && (want.elems == ANY || size[i] / want.unit == want.elems),
                  "%s from %08x: frame %d has %zu bytes, expected %lld x %d", name, msg->sender, i, size[i],
                  want.elems == ANY ? -1LL : (long long) want.elems, (int) want.unit);
    return RK_OK;
}
