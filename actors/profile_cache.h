/* SPDX-License-Identifier: MPL-2.0
 * Figures of this machine, kept from one run to the next: a file per (model, shape, batch, optimiser, kernel set, processor,
 * cores, threads, program) in $XDG_CACHE_HOME/rookery or ~/.cache/rookery, valid for 30 days. A file that is missing, old, of
 * another key or damaged means that one has to measure; one that cannot be written is no error.           */
#ifndef RK_ACTORS_PROFILE_CACHE_H
#define RK_ACTORS_PROFILE_CACHE_H
#include <stdbool.h>
#include "cluster/settings.h"
#include "compute/model.h"

typedef enum { RK_CACHE_OFF = 0, RK_CACHE_USE, RK_CACHE_FRESH } rk_cache_mode_t; /* fresh: measure, and keep that */

#define RK_ALONE_PPM 1000000

/* What a machine does with a model, declared speeds not applied. */
typedef struct {
    uint64_t gemm_mflops;
    size_t n_layers;
    uint64_t *times;  /* ns per minibatch on one core: n_layers forward, n_layers backward with the optimiser's step; freed by
                         rk_layer_figures_clear */
    uint64_t *steps;  /* n_layers behind them: of the backward, the step */
    uint32_t team_ppm;  /* time with a thread on every core over time with one, in millionths */
    uint32_t crowd_ppm; /* time of one thread while every core does the same over time alone */
    uint64_t dispatch_ns, feed_ns, copy_bytes_per_s; /* CPU time beside kernels, and memory copied: cluster/plan.h; 0: not measured */
    bool kept;        /* from the cache */
} rk_layer_figures_t;
void rk_layer_figures_clear (rk_layer_figures_t *figures);

/* Kept figures, or measured ones within about budget_ns. errors: those of rk_profile_layers. */
rk_err_t rk_profile_model (rk_layer_figures_t *figures, const rk_model_t *model, const rk_settings_t *settings, int64_t budget_ns,
                           rk_cache_mode_t mode, void (*told) (int n_done, int n_layers, int64_t ns), rk_error_t *err) RK_MUST_CHECK;
/* Where the figures of that would be: "" when there is no such place. For messages and tests. */
void rk_profile_cache_path (const rk_model_t *model, const rk_settings_t *settings, char *path, size_t size);

#endif
