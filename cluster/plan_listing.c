/* SPDX-License-Identifier: MPL-2.0
 * The canonical listing: fixed-width little-endian integers in the order below, the settings as text. The
 * last 8 bytes are the XXH64 (seed 0) of all before them. One walk serves size, encode, digest and decode.
 */
#include "cluster/plan_parts.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/bytes.h"
/* Shows the state's size, so that it can live on the stack and a digest cannot fail. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

static const char s_magic[8] = "RKPLAN4";

/* Room for the settings as text; 64 nodes with long names need about 5 KiB. */
#define SETTINGS_TEXT 16384

/* As rk_writer_t, and hashes everything. */
typedef struct {
    rk_writer_t to;
    XXH64_state_t *hash; /* may be NULL */
} s_writer_t;

static void s_put_bytes (s_writer_t *w, const void *bytes, size_t n)
{
    rk_put_bytes (&w->to, bytes, n);
    if (w->hash)
        XXH64_update (w->hash, bytes, n);
}

static void s_put (s_writer_t *w, uint64_t x, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t) (x >> (8 * i));
    s_put_bytes (w, bytes, width);
}

static void s_put_parts (s_writer_t *w, const rk_plan_t *plan)
{
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        s_put (w, plan->nodes[i], 4);
        s_put (w, plan->node_hosts[i], 8);
        s_put (w, plan->node_speed_ppm[i], 4);
        s_put (w, plan->node_cores[i], 4);
    }
    for (uint32_t i = 0; i < plan->n_clusters; i++) {
        const rk_plan_cluster_t *c = &plan->clusters[i];
        s_put (w, c->first_stage, 4);
        s_put (w, c->n_stages, 4);
        s_put (w, c->rate, 8);
        s_put (w, c->in_flight, 4);
    }
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        const rk_plan_stage_t *s = &plan->stages[i];
        s_put (w, s->node, 4);
        s_put (w, s->first, 4);
        s_put (w, s->last, 4);
        s_put (w, s->flat_lo, 8);
        s_put (w, s->flat_hi, 8);
        s_put (w, s->memory_bytes, 8);
        s_put (w, s->busy_ns, 8);
        s_put (w, s->beside_ns, 8);
        s_put (w, s->recompute, 1);
    }
    for (uint32_t i = 0; i < plan->n_rings; i++) {
        s_put (w, plan->rings[i].lo, 8);
        s_put (w, plan->rings[i].hi, 8);
    }
    for (uint32_t i = 0; i < plan->n_segments; i++) {
        const rk_plan_segment_t *g = &plan->segments[i];
        s_put (w, g->lo, 8);
        s_put (w, g->hi, 8);
        s_put (w, g->ring, 4);
        s_put (w, g->first_owner, 4);
    }
    for (size_t i = 0; i < (size_t) plan->n_segments * plan->n_clusters; i++)
        s_put (w, plan->owners[i], 4);
}

/* All but the digest. */
static void s_put_plan (s_writer_t *w, const rk_plan_t *plan)
{
    char settings[SETTINGS_TEXT];
    size_t n_text = rk_settings_write (&plan->settings, settings, sizeof settings);
    n_text = n_text < sizeof settings ? n_text : sizeof settings - 1;
    s_put_bytes (w, s_magic, sizeof s_magic);
    s_put (w, plan->view, 8);
    s_put (w, n_text, 4);
    s_put_bytes (w, settings, n_text);
    s_put (w, plan->n_flat, 8);
    s_put (w, plan->train_samples, 8);
    s_put (w, plan->test_samples, 8);
    s_put (w, plan->minibatches_per_pass, 8);
    s_put (w, plan->test_minibatches, 8);
    s_put (w, plan->first_round, 8);
    s_put (w, plan->first_f, 8);
    s_put (w, plan->n_shards, 4);
    s_put (w, plan->averaging_ns, 8);
    s_put (w, plan->fill_ns, 8);
    s_put (w, plan->n_dims, 4);
    for (uint32_t i = 0; i < 4; i++)
        s_put (w, plan->dims[i], 4);
    s_put (w, plan->n_classes, 4);
    s_put (w, plan->n_layers, 4);
    s_put (w, plan->n_nodes, 4);
    s_put (w, plan->n_clusters, 4);
    s_put (w, plan->n_stages, 4);
    s_put (w, plan->n_rings, 4);
    s_put (w, plan->n_segments, 4);
    s_put_bytes (w, plan->kernels, sizeof plan->kernels);
    s_put_parts (w, plan);
}

uint64_t rk_plan_digest (const rk_plan_t *plan)
{
    XXH64_state_t hash;
    XXH64_reset (&hash, 0);
    s_writer_t w = {.hash = &hash};
    s_put_plan (&w, plan);
    return XXH64_digest (&hash);
}

size_t rk_plan_encode (const rk_plan_t *plan, uint8_t *bytes, size_t size)
{
    s_writer_t count = {0};
    s_put_plan (&count, plan);
    size_t n = count.to.n + 8;
    if (size < n)
        return n;
    s_writer_t w = {.to = {.bytes = bytes, .size = size}};
    s_put_plan (&w, plan);
    s_put (&w, plan->digest, 8);
    return n;
}

/* ---- decoding: reads past the end give zeros and clear ok */
#define TAKE32(reader) ((uint32_t) rk_take ((reader), 4))
#define TAKE64(reader) (rk_take ((reader), 8))

static rk_err_t s_take_head (rk_reader_t *r, rk_plan_t *head, rk_error_t *err)
{
    const uint8_t *magic = rk_take_bytes (r, sizeof s_magic);
    if (!magic || memcmp (magic, s_magic, sizeof s_magic) != 0)
        return rk_error_set (err, RK_EFORMAT, "not a plan: %zu bytes without the mark %s", r->size, s_magic);
    head->view = TAKE64 (r);
    uint32_t n_text = TAKE32 (r);
    const uint8_t *text = rk_take_bytes (r, n_text);
    if (!text)
        return rk_error_set (err, RK_EFORMAT, "plan cut short: settings of %u bytes in %zu", n_text, r->size);
    rk_err_t code = rk_settings_read (&head->settings, (const char *) text, n_text, err);
    if (code != RK_OK)
        return rk_error_wrap (err, code, "settings of the plan");
    head->n_flat = TAKE64 (r);
    head->train_samples = TAKE64 (r);
    head->test_samples = TAKE64 (r);
    head->minibatches_per_pass = TAKE64 (r);
    head->test_minibatches = TAKE64 (r);
    head->first_round = TAKE64 (r);
    head->first_f = TAKE64 (r);
    head->n_shards = TAKE32 (r);
    head->averaging_ns = TAKE64 (r);
    head->fill_ns = TAKE64 (r);
    head->n_dims = TAKE32 (r);
    for (uint32_t i = 0; i < 4; i++)
        head->dims[i] = TAKE32 (r);
    head->n_classes = TAKE32 (r);
    head->n_layers = TAKE32 (r);
    head->n_nodes = TAKE32 (r);
    head->n_clusters = TAKE32 (r);
    head->n_stages = TAKE32 (r);
    head->n_rings = TAKE32 (r);
    head->n_segments = TAKE32 (r);
    const uint8_t *kernels = rk_take_bytes (r, sizeof head->kernels);
    if (!kernels)
        return rk_error_set (err, RK_EFORMAT, "plan cut short at %zu bytes", r->size);
    memcpy (head->kernels, kernels, sizeof head->kernels);
    return RK_OK;
}

/* Counts bound every allocation, so they come before any. */
static rk_err_t s_check_counts (const rk_plan_t *p, rk_error_t *err)
{
    if (p->n_nodes == 0 || p->n_nodes > RK_MAX_FLEET || p->n_stages != p->n_nodes || p->n_clusters == 0 ||
        p->n_clusters > p->n_stages || p->n_rings > p->n_stages || p->n_segments > 2 * p->n_stages)
        return rk_error_set (err, RK_EFORMAT, "no plan has %u nodes, %u clusters, %u stages, %u rings and %u segments",
                             p->n_nodes, p->n_clusters, p->n_stages, p->n_rings, p->n_segments);
    return RK_OK;
}

static void s_take_parts (rk_reader_t *r, rk_plan_t *plan)
{
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        plan->nodes[i] = TAKE32 (r);
        plan->node_hosts[i] = TAKE64 (r);
        plan->node_speed_ppm[i] = TAKE32 (r);
        plan->node_cores[i] = TAKE32 (r);
    }
    for (uint32_t i = 0; i < plan->n_clusters; i++) {
        rk_plan_cluster_t *c = &plan->clusters[i];
        c->first_stage = TAKE32 (r);
        c->n_stages = TAKE32 (r);
        c->rate = TAKE64 (r);
        c->in_flight = TAKE32 (r);
    }
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        rk_plan_stage_t *s = &plan->stages[i];
        s->node = TAKE32 (r);
        s->first = TAKE32 (r);
        s->last = TAKE32 (r);
        s->flat_lo = TAKE64 (r);
        s->flat_hi = TAKE64 (r);
        s->memory_bytes = TAKE64 (r);
        s->busy_ns = TAKE64 (r);
        s->beside_ns = TAKE64 (r);
        s->recompute = rk_take (r, 1);
    }
    for (uint32_t i = 0; i < plan->n_rings; i++) {
        plan->rings[i].lo = TAKE64 (r);
        plan->rings[i].hi = TAKE64 (r);
    }
    for (uint32_t i = 0; i < plan->n_segments; i++) {
        rk_plan_segment_t *g = &plan->segments[i];
        g->lo = TAKE64 (r);
        g->hi = TAKE64 (r);
        g->ring = TAKE32 (r);
        g->first_owner = TAKE32 (r);
    }
    for (size_t i = 0; i < (size_t) plan->n_segments * plan->n_clusters; i++)
        plan->owners[i] = TAKE32 (r);
    plan->digest = TAKE64 (r);
}

rk_err_t rk_plan_decode (rk_plan_t **plan_p, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    rk_reader_t r = {bytes, size, 0, true};
    rk_plan_t head = {0}, *plan = NULL;
    rk_err_t code = s_take_head (&r, &head, err);
    if (code == RK_OK)
        code = s_check_counts (&head, err);
    if (code != RK_OK)
        return code;
    code = rk_plan_new (&plan, &head);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan of %u stages", head.n_stages);
    s_take_parts (&r, plan);
    if (!r.ok || r.at != r.size)
        code = rk_error_set (err, RK_EFORMAT, "a plan of %u stages in %zu bytes is cut short or too long", plan->n_stages, size);
    else if (XXH64 (bytes, size - 8, 0) != plan->digest)
        code = rk_error_set (err, RK_EFORMAT, "the plan's bytes do not have its digest %016llx",
                             (unsigned long long) plan->digest);
    else
        code = rk_plan_check (plan, err); /* its own digest comparison also refuses listings that are not canonical */
    if (code == RK_OK)
        *plan_p = plan;
    else
        rk_plan_destroy (&plan);
    return code;
}
