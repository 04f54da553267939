/* SPDX-License-Identifier: MPL-2.0
 * Profiler: one per process; measures this machine with the run's own model when asked, and answers for all
 * virtual nodes of the process, their declared speed and memory applied. Integers only.
 * in:  ProfileRequest (coordinator), once registered with Ready      out: Profile (coordinator)
 *      LinkRequest (coordinator)                                     out: LinkProbe (another profiler), LinkMeasured (coordinator)
 *      LinkProbe (another profiler)                                  out: LinkEcho, LinkProbe (that one)
 * Each layer runs alone as a slice of one layer at the run's batch, with the optimiser's step: once to warm up, then as often
 * as the budget allows; the median of the thread's own CPU time counts, which other processes disturb least. Then
 * layers run together, which corrects those times (profiler_together.c).                                   */
#ifndef RK_ACTORS_PROFILER_H
#define RK_ACTORS_PROFILER_H
#include "actors/actor.h"
#include "actors/profile_cache.h"
#include "cluster/profiles.h"
#include "compute/model.h"

typedef struct {
    uint32_t node;          /* id of the plan */
    char name[32];
    double speed;           /* declared; 0: 1 */
    uint64_t ram_mb;        /* declared; 0: an equal share of what is free */
} rk_profiler_node_t;

typedef struct {
    uint32_t process;
    const char *bind;                 /* where other processes' profilers reach it; NULL: there are none */
    const rk_identity_t *identity;    /* for tcp (actor.h) */
    const char *coordinator;
    const rk_settings_t *settings;    /* copied */
    const rk_model_t *model;          /* borrowed; NULL: built by name for the request's shape */
    const rk_profiler_node_t *nodes;  /* copied */
    uint32_t n_nodes;
    rk_cache_mode_t cache;            /* figures kept from an earlier run */
    bool fails;                       /* tests only: it does when asked */
    int64_t budget_ms;                /* of one measurement; 0: 1500 */
    int64_t link_patience_ms;         /* for a word from the other end of a link; 0: 10000 */
} rk_profiler_config_t;
rk_err_t rk_profiler_new (rk_actor_t **actor_p, const rk_profiler_config_t *config, rk_error_t *err) RK_MUST_CHECK;

/* A profile as it came, its lists borrowed; name: of a node that has none of its own. */
rk_profile_t rk_profile_of_message (const rk_node_profile_t *message, const char *name);

typedef void (rk_profile_told_fn) (int n_done, int n_layers, int64_t ns); /* ns: since it began */
/* Measures what rk_layer_figures_t says, all but the product, within about budget_ns; each layer at least once, equal ones
 * together once. told: called after each layer; NULL: nobody. out: the caller clears it, even after an error. errors: RK_ENOMEM,
 * RK_EINVAL (optimiser), and those of slices.                                                            */
rk_err_t rk_profile_layers (rk_layer_figures_t *out, const rk_model_t *model, const rk_settings_t *settings, int64_t budget_ns,
                            rk_profile_told_fn *told, rk_error_t *err) RK_MUST_CHECK;
/* The products that a model's forward is made of, per minibatch, the heaviest first; returns how many there are, at
 * most `most`. A convolution counts as the product of its kernel with the patches of a minibatch.         */
typedef struct {
    size_t m, n, k;
} rk_product_t;
size_t rk_profile_products (const rk_model_t *model, size_t batch, rk_product_t *products, size_t most);
uint64_t rk_profile_product (const rk_product_t *product, int64_t budget_ns); /* MFLOP/s of it; 0: no memory */
/* Millions of floating-point operations per second of the heaviest of them. */
uint64_t rk_profile_gemm (const rk_model_t *model, size_t batch, int64_t budget_ns);

#endif
