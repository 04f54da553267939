/* SPDX-License-Identifier: MPL-2.0
 * The planner "ravnest": cluster formation as published (arXiv 2401.01728 and its code of 2024), a genetic
 * algorithm over labels.
 *   genome: a cluster label of 5 for each node; 200 genomes, 500 generations, all of them run;
 *   speed of a node: its memory over its bandwidth, rounded down (more is slower);
 *   fitness, to be least: 100 x missing memory of all clusters + slowest less fastest cluster's speed, in MB;
 *   parents by two tournaments of 5 without replacement, one-point crossover always, each gene drawn anew with
 *   probability 0.01, full replacement, the best genome ever is kept.
 * L, what a cluster must hold, counts parameters and outputs, nothing else; stages have equal shares of the
 * parameters, in tenths where that leaves the last one something; nodes stay in their order. What the paper's
 * code does not do, noticing that a stage does not fit, is done by the caller. Draws come from run.seed.   */
#include "cluster/planners/planner.h"

#include <stdlib.h>
#include <string.h>
#include "compute/rng.h"

#define LABELS 5
#define POPULATION 200
#define GENERATIONS 500
#define TOURNAMENT 5
#define PENALTY 100
#define WORST 1000000
#define STREAM 1 /* of RK_RNG_PLAN */

typedef struct {
    uint32_t n;
    uint64_t need_mb, *ram_mb, *speed;
    uint64_t seed, counter;
    uint8_t *genomes, *children, *best; /* POPULATION x n, twice; n */
    uint64_t fitness[POPULATION], best_fitness;
} s_ga_t;

/* ---- what the published code knows of nodes and model */
static uint64_t s_mbit_per_s (const rk_costs_t *costs, uint32_t node)
{
    uint64_t best = 0;
    for (uint32_t j = 0; costs->fleet->link_bytes_per_s && j < costs->n_nodes; j++)
        if (j != node) {
            const uint64_t rate = costs->fleet->link_bytes_per_s[(size_t) node * costs->n_nodes + j];
            best = rate > best ? rate : best;
        }
    return best / 125000 > 0 ? best / 125000 : best > 0 ? 1 : 1000;
}

static uint64_t s_need_mb (const rk_model_info_t *model)
{
    uint64_t bytes = 4 * model->n_flat;
    for (uint32_t l = 0; l < model->n_layers; l++)
        bytes += model->layers[l].cut_bytes;
    return (bytes + 999999) / 1000000;
}

/* ---- the algorithm */
static uint32_t s_below (s_ga_t *g, uint32_t n)
{
    uint32_t words[4];
    rk_rng_block (g->seed, rk_rng_stream (RK_RNG_PLAN, STREAM), g->counter++, words);
    return (uint32_t) (((uint64_t) words[0] * n) >> 32);
}

static uint64_t s_fitness (const s_ga_t *g, const uint8_t *genome)
{
    uint64_t ram[LABELS] = {0}, speed[LABELS] = {0}, missing = 0, slowest = 0, fastest = UINT64_MAX;
    bool used[LABELS] = {false};
    for (uint32_t i = 0; i < g->n; i++) {
        ram[genome[i]] += g->ram_mb[i];
        speed[genome[i]] += g->speed[i];
        used[genome[i]] = true;
    }
    for (uint32_t c = 0; c < LABELS; c++) {
        if (!used[c])
            continue;
        missing += ram[c] < g->need_mb ? g->need_mb - ram[c] : 0;
        slowest = speed[c] > slowest ? speed[c] : slowest;
        fastest = speed[c] < fastest ? speed[c] : fastest;
    }
    return PENALTY * missing + slowest - fastest;
}

static void s_judge (s_ga_t *g)
{
    for (uint32_t i = 0; i < POPULATION; i++) {
        g->fitness[i] = s_fitness (g, g->genomes + (size_t) i * g->n);
        if (g->fitness[i] >= g->best_fitness)
            continue;
        g->best_fitness = g->fitness[i];
        memcpy (g->best, g->genomes + (size_t) i * g->n, g->n);
    }
}

/* The best of five different ones. */
static uint32_t s_tournament (s_ga_t *g)
{
    uint32_t drawn[TOURNAMENT], best = POPULATION;
    for (uint32_t t = 0; t < TOURNAMENT; t++) {
        bool again = true;
        while (again) {
            drawn[t] = s_below (g, POPULATION);
            again = false;
            for (uint32_t i = 0; i < t; i++)
                again = again || drawn[i] == drawn[t];
        }
        if (best == POPULATION || g->fitness[drawn[t]] < g->fitness[best])
            best = drawn[t];
    }
    return best;
}

static void s_breed (s_ga_t *g)
{
    for (uint32_t i = 0; i < POPULATION; i++) {
        const uint8_t *mother = g->genomes + (size_t) s_tournament (g) * g->n, *father = g->genomes + (size_t) s_tournament (g) * g->n;
        uint8_t *child = g->children + (size_t) i * g->n;
        const uint32_t cut = g->n > 1 ? 1 + s_below (g, g->n - 1) : 1;
        memcpy (child, mother, cut);
        memcpy (child + cut, father + cut, g->n - cut);
        for (uint32_t gene = 0; gene < g->n; gene++)
            if (s_below (g, 100) == 0)
                child[gene] = (uint8_t) s_below (g, LABELS);
    }
    uint8_t *parents = g->genomes;
    g->genomes = g->children;
    g->children = parents;
}

static void s_evolve (s_ga_t *g)
{
    for (size_t i = 0; i < (size_t) POPULATION * g->n; i++)
        g->genomes[i] = (uint8_t) s_below (g, LABELS);
    s_judge (g);
    for (int generation = 0; generation < GENERATIONS; generation++) {
        s_breed (g);
        s_judge (g);
    }
}

/* ---- cutting */
/* Share of stage s of k in thousandths, as published: rounded to a tenth, the last one takes the rest; equal where
 * that leaves the last one nothing. */
static uint32_t s_share (uint32_t s, uint32_t k)
{
    const uint32_t tenths = (20 + k) / (2 * k);
    if (tenths == 0 || tenths * (k - 1) >= 10)
        return 1000 / k;
    return s + 1 < k ? 100 * tenths : 1000 - 100 * tenths * (k - 1);
}

/* Units are added until the share of the parameters would be passed; every stage gets one at least. */
static void s_cut (const rk_costs_t *costs, uint32_t k, uint32_t *first_layers)
{
    uint32_t unit = 0;
    for (uint32_t s = 0; s < k; s++) {
        first_layers[s] = costs->at[unit];
        const uint64_t most = (uint64_t) ((unsigned __int128) costs->model->n_flat * s_share (s, k) / 1000);
        const uint64_t begin = costs->flat[unit];
        const uint32_t last_start = costs->n_units - (k - 1 - s);
        uint32_t end = unit + 1;
        while (end < last_start && costs->flat[end + 1] - begin <= most)
            end++;
        unit = end;
    }
}

static rk_err_t s_hand_over (const rk_costs_t *costs, const s_ga_t *g, rk_assignment_t *out, rk_error_t *err)
{
    *out = (rk_assignment_t){.n_clusters = 0};
    for (uint32_t label = 0; label < LABELS; label++) {
        const uint32_t base = out->n_stages;
        uint64_t ram = 0;
        for (uint32_t i = 0; i < g->n; i++)
            if (g->best[i] == label) {
                out->nodes[out->n_stages++] = i;
                ram += g->ram_mb[i];
            }
        const uint32_t k = out->n_stages - base;
        if (k == 0)
            continue;
        if (ram < g->need_mb)
            return rk_error_set (err, RK_EPLAN, "ravnest: a cluster of %u nodes has %llu MB, the model needs %llu MB", k,
                                 (unsigned long long) ram, (unsigned long long) g->need_mb);
        if (k > costs->n_units)
            return rk_error_set (err, RK_EPLAN, "ravnest: its %d clusters would have %u stages, the model has %u layers", LABELS, k,
                                 costs->n_units);
        s_cut (costs, k, out->first_layers + base);
        out->counts[out->n_clusters++] = k;
    }
    return RK_OK;
}

rk_err_t rk_planner_ravnest (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    const uint32_t n = costs->n_nodes;
    s_ga_t *g = calloc (1, sizeof *g);
    uint8_t *genes = malloc ((size_t) (2 * POPULATION + 1) * n);
    uint64_t *figures = malloc (2 * n * sizeof *figures);
    rk_err_t code = g && genes && figures ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory to plan %u nodes", n);
    if (code == RK_OK) {
        *g = (s_ga_t){.n = n, .need_mb = s_need_mb (costs->model), .ram_mb = figures, .speed = figures + n,
                      .seed = costs->settings->run_seed, .genomes = genes, .children = genes + (size_t) POPULATION * n,
                      .best = genes + (size_t) 2 * POPULATION * n, .best_fitness = WORST};
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t ram = costs->fleet->nodes[i].ram_bytes;
            g->ram_mb[i] = ram ? ram >> 20 : UINT64_C (1) << 20;
            g->speed[i] = g->ram_mb[i] / s_mbit_per_s (costs, i);
        }
        s_evolve (g);
        code = g->best_fitness < WORST ? s_hand_over (costs, g, out, err)
                                       : rk_error_set (err, RK_EPLAN, "ravnest: the nodes' memory is far too small for the model's %llu MB",
                                                       (unsigned long long) g->need_mb);
    }
    free (genes);
    free (figures);
    free (g);
    return code;
}
