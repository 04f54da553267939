/* SPDX-License-Identifier: MPL-2.0
 * Random models, layouts and fleets for the tests of cluster/. Every test starts from a fixed seed.      */
#ifndef RK_TESTS_CLUSTER_FIXTURES_H
#define RK_TESTS_CLUSTER_FIXTURES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/plan.h"

#define FIXTURE_LAYERS 40

static inline uint64_t fixture_next (uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* 0 .. n - 1 */
static inline uint32_t fixture_below (uint64_t *x, uint32_t n)
{
    return (uint32_t) (fixture_next (x) >> 11) % n;
}

typedef struct {
    rk_model_info_t info;
    rk_layer_info_t layers[FIXTURE_LAYERS];
} fixture_model_t;

/* Layers of random size, about a third without parameters. */
static inline void fixture_model (fixture_model_t *m, uint64_t *x, uint32_t n_layers)
{
    uint64_t flat = 0;
    memset (m, 0, sizeof *m);
    for (uint32_t l = 0; l < n_layers; l++) {
        m->layers[l] = (rk_layer_info_t){
            .flat_at = flat,
            .stash_bytes = fixture_below (x, 4000000),
            .grad_bytes = fixture_below (x, 2000000),
            .work_bytes = fixture_below (x, 1000000),
            .cut_bytes = 1000 + fixture_below (x, 500000),
        };
        flat += fixture_below (x, 3) ? 16 * (uint64_t) fixture_below (x, 5000) : 0;
    }
    m->info = (rk_model_info_t){.n_layers = n_layers, .layers = m->layers, .n_flat = flat, .label_bytes = 256,
                                .optimizer_slots = 1, .train_samples = 1 + fixture_below (x, 60000),
                                .test_samples = fixture_below (x, 10000)};
}

/* counts and ascending cuts of a random layout. Returns the number of stages. */
static inline uint32_t fixture_layout (uint64_t *x, uint32_t n_layers, uint32_t n_clusters, uint32_t most_stages,
                                       uint32_t *counts, uint32_t *cuts)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < n_clusters; c++) {
        uint32_t most = most_stages < n_layers ? most_stages : n_layers;
        counts[c] = 1 + fixture_below (x, most);
        uint32_t left = counts[c] - 1;
        cuts[n++] = 0;
        for (uint32_t l = 1; l < n_layers && left > 0; l++)
            if (fixture_below (x, n_layers - l) < left) {
                cuts[n++] = l;
                left--;
            }
    }
    return n;
}

/* A fleet of up to RK_MAX_FLEET nodes with its own layer times. */
typedef struct {
    rk_fleet_t fleet;
    rk_profile_t nodes[RK_MAX_FLEET];
    uint64_t forward[RK_MAX_FLEET][FIXTURE_LAYERS], backward[RK_MAX_FLEET][FIXTURE_LAYERS];
    uint64_t links[RK_MAX_FLEET * RK_MAX_FLEET];
} fixture_fleet_t;

/* n_hosts machines with 1 to 4 cores; ram: from least_mb up to three times that; links: measured or not. */
static inline void fixture_fleet (fixture_fleet_t *f, uint64_t *x, uint32_t n_nodes, uint32_t n_hosts, uint32_t n_layers,
                                  uint32_t least_mb, bool links)
{
    uint64_t base[FIXTURE_LAYERS];
    memset (f, 0, sizeof *f);
    for (uint32_t l = 0; l < n_layers; l++)
        base[l] = 10000 + fixture_below (x, 9990000);
    uint32_t cores = 1 + fixture_below (x, 4);
    for (uint32_t i = 0; i < n_nodes; i++) {
        uint32_t speed = 250000 + 250000 * fixture_below (x, 4);
        for (uint32_t l = 0; l < n_layers; l++) {
            f->forward[i][l] = base[l] * 1000000 / speed * (95 + fixture_below (x, 11)) / 100;
            f->backward[i][l] = 2 * f->forward[i][l];
        }
        for (uint32_t j = 0; j < n_nodes; j++)
            f->links[i * n_nodes + j] = fixture_below (x, 20) ? 10000000 + fixture_below (x, 500000000) : 0;
        f->nodes[i] = (rk_profile_t){.id = 3 * i + 1,
                                     .host = i % n_hosts,
                                     .cores = cores,
                                     .speed_ppm = speed,
                                     .ram_bytes = (least_mb + fixture_below (x, 2 * least_mb + 1)) * UINT64_C (1000000),
                                     .forward_ns = f->forward[i],
                                     .backward_ns = f->backward[i]};
        snprintf (f->nodes[i].name, sizeof f->nodes[i].name, "n%u", i);
    }
    f->fleet = (rk_fleet_t){.nodes = f->nodes, .n_nodes = n_nodes, .link_bytes_per_s = links ? f->links : NULL};
}

/* The memory of a stage, written out again as the planner's header tells it. */
static inline uint64_t fixture_memory (const rk_model_info_t *m, const rk_settings_t *s, const rk_plan_stage_t *stage, uint64_t window)
{
    uint64_t params = 4 * (stage->flat_hi - stage->flat_lo), stash = 0, grads = 0, work = 0;
    for (uint32_t l = stage->first; l < stage->last; l++) {
        stash += m->layers[l].stash_bytes;
        grads += m->layers[l].grad_bytes;
        work = m->layers[l].work_bytes > work ? m->layers[l].work_bytes : work;
    }
    uint64_t in = m->layers[stage->first].cut_bytes;
    uint64_t out = stage->last < m->n_layers ? m->layers[stage->last].cut_bytes : 0;
    bool judged = s->train_clip > 0 || s->train_loss_scale != 1 || s->train_nonfinite == RK_NONFINITE_SKIP;
    uint64_t held = judged && stage->first > 0 ? (window - 1) / s->pipeline_update_every + 1 : 0;
    uint64_t versions = window + 1, gradient = 1 + held, averaging = 1;
    uint64_t copies = versions + gradient + averaging + m->optimizer_slots * (s->average_optimizer_state ? 5 : 3);
    return copies * params + (stage->recompute ? 1 : window) * stash + grads + work +
           window * 2 * (in + out + m->label_bytes);
}

static inline rk_settings_t fixture_settings (void)
{
    rk_settings_t s;
    rk_settings_default (&s);
    return s;
}

/* NULL: refused, in a way that tells why. */
static inline rk_plan_t *fixture_make (const fixture_fleet_t *f, const fixture_model_t *m, const rk_settings_t *s)
{
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    rk_err_t code = rk_plan_make (&plan, 1, &f->fleet, &m->info, s, "base", &err);
    assert_true (code == RK_OK || code == RK_EPLAN);
    assert_true ((code == RK_OK) == (plan != NULL));
    if (code == RK_EPLAN && !strstr (err.text, "MB") && !strstr (err.text, "layout") && !strstr (err.text, "memory"))
        fail_msg ("%s", err.text);
    return plan;
}

/* Random layouts of random models, by hand. */
static inline rk_plan_t *fixture_plan (uint64_t *x, rk_rings_t rings)
{
    fixture_model_t m;
    uint32_t counts[8], cuts[64], n_clusters = 1 + fixture_below (x, 7), n_layers = 1 + fixture_below (x, FIXTURE_LAYERS);
    uint64_t rates[8];
    fixture_model (&m, x, n_layers);
    fixture_layout (x, n_layers, n_clusters, 8, counts, cuts);
    for (uint32_t c = 0; c < n_clusters; c++)
        rates[c] = 1 + fixture_below (x, 1000000000);
    rk_settings_t s = fixture_settings ();
    s.plan_rings = rings;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, fixture_next (x), &m.info, &s, n_clusters, counts, cuts, rates, &err) != RK_OK)
        fail_msg ("%s", err.text);
    return plan;
}

static inline void fixture_check_covers (const rk_plan_t *plan)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < plan->n_segments; i++) {
        const rk_plan_segment_t *g = &plan->segments[i];
        assert_true (g->lo == at && g->hi > g->lo);
        at = g->hi;
        const rk_plan_ring_t *ring = &plan->rings[g->ring];
        assert_true (ring->lo <= g->lo && g->hi <= ring->hi);
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            uint32_t owner = plan->owners[g->first_owner + c], cluster;
            const rk_plan_stage_t *stage = &plan->stages[owner];
            assert_true (stage->flat_lo <= g->lo && g->hi <= stage->flat_hi);
            assert_int_equal (rk_plan_stage_of_node (plan, stage->node, &cluster, NULL), owner);
            assert_int_equal (cluster, c); /* every ring visits every cluster once */
        }
        uint64_t piece_at = g->lo;
        for (uint32_t p = 0; p < plan->n_clusters; p++) {
            uint64_t lo, hi;
            rk_plan_piece (plan, i, p, &lo, &hi);
            assert_true (lo <= hi && (lo == hi || lo == piece_at));
            piece_at += hi - lo;
        }
        assert_true (piece_at == g->hi);
    }
    assert_true (at == plan->n_flat);
    at = 0;
    for (uint32_t r = 0; r < plan->n_rings; r++) {
        assert_true (plan->rings[r].lo == at && plan->rings[r].hi > at);
        at = plan->rings[r].hi;
    }
    assert_true (at == plan->n_flat);
}

static inline void fixture_check_stages (const rk_plan_t *plan)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        uint32_t layer = 0;
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++) {
            const rk_plan_stage_t *stage = rk_plan_stage (plan, c, s);
            assert_int_equal (stage->first, layer);
            assert_true (stage->last > layer);
            layer = stage->last;
        }
        assert_int_equal (layer, plan->n_layers);
    }
}

#endif
