/* SPDX-License-Identifier: MPL-2.0
 * Figures of this machine, kept from one run to the next: a file per (model, shape, batch, kernel set, processor,
 * cores, program) in $XDG_CACHE_HOME/rookery or ~/.cache/rookery, valid for 30 days. A file that is missing, old, of
 * another key or damaged means that one has to measure; one that cannot be written is no error.           */
#ifndef RK_ACTORS_PROFILE_CACHE_H
#define RK_ACTORS_PROFILE_CACHE_H
#include <stdbool.h>
#include "compute/model.h"

typedef enum { RK_CACHE_OFF = 0, RK_CACHE_USE, RK_CACHE_FRESH } rk_cache_mode_t; /* fresh: measure, and keep that */

/* What a machine does with a model, declared speeds not applied. times: forward, then backward. */
typedef struct {
    uint64_t gemm_mflops;
    size_t n_layers;
    uint64_t *times;  /* 2 x n_layers, ns per minibatch; freed by rk_layer_figures_clear */
    bool kept;        /* from the cache */
} rk_layer_figures_t;
void rk_layer_figures_clear (rk_layer_figures_t *figures);

/* Kept figures, or measured ones within about budget_ns. errors: RK_ENOMEM, and those of slices. */
rk_err_t rk_profile_model (rk_layer_figures_t *figures, const rk_model_t *model, const char *name, size_t batch,
                           int64_t budget_ns, rk_cache_mode_t mode, rk_error_t *err) RK_MUST_CHECK;
/* Where the figures of that would be: "" when there is no such place. For messages and tests. */
void rk_profile_cache_path (const rk_model_t *model, const char *name, size_t batch, char *path, size_t size);

#endif
