/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/sets.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "compute/kernels/amx.h"

static bool s_always (void)
{
    return true;
}

#if defined(__x86_64__)
static bool s_has_avx2 (void)
{
    return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma");
}

static bool s_has_avx512 (void)
{
    return s_has_avx2 () && __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw") &&
           __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512vl");
}

static bool s_has_avx512bf16 (void)
{
    return s_has_avx512 () && __builtin_cpu_supports ("avx512bf16");
}

static bool s_has_amx (void)
{
    return s_has_avx512bf16 () && rk_amx_allowed ();
}
#endif

/* From the best one down. */
static const rk_kernel_set_t s_sets[] = {
#if defined(__x86_64__)
    {"amx", s_has_amx, &rk_vec_avx512, &rk_tiles_avx512, false, &rk_pairs_amx},
    {"avx512bf16", s_has_avx512bf16, &rk_vec_avx512, &rk_tiles_avx512, false, &rk_pairs_avx512},
    {"avx512", s_has_avx512, &rk_vec_avx512, &rk_tiles_avx512, false, NULL},
    {"avx2", s_has_avx2, &rk_vec_avx2, &rk_tiles_avx2, false, NULL},
#endif
    {"blis", s_always, &rk_vec_base, &rk_tiles_base, true, NULL},
};

#define N_SETS (sizeof s_sets / sizeof *s_sets)

static _Atomic (const rk_kernel_set_t *) s_in_force = &s_sets[N_SETS - 1];

static const rk_kernel_set_t *s_best (bool bf16)
{
    size_t i = 0;
    while (i < N_SETS - 1 && ((s_sets[i].pairs && !bf16) || !s_sets[i].supported ()))
        i++;
    return &s_sets[i];
}

const char *rk_kernel_set_best (bool bf16)
{
    return s_best (bf16)->name;
}

rk_err_t rk_kernel_set_choose (const char *name, rk_error_t *err)
{
    const bool bf16 = strcmp (name, "bf16") == 0;
    if (bf16 || strcmp (name, "auto") == 0) {
        atomic_store (&s_in_force, s_best (bf16));
        return RK_OK;
    }
    for (size_t i = 0; i < N_SETS; i++) {
        if (strcmp (name, s_sets[i].name))
            continue;
        if (!s_sets[i].supported ())
            return rk_error_set (err, RK_EUNSUPPORTED, "kernels \"%s\": this processor does not have them", name);
        atomic_store (&s_in_force, &s_sets[i]);
        return RK_OK;
    }
    return rk_error_set (err, RK_ENOTFOUND, "kernels \"%s\" are unknown; there are auto, bf16, amx, avx512bf16, avx512, "
                         "avx2 and blis", name);
}

const rk_kernel_set_t *rk_kernel_set (void)
{
    return atomic_load_explicit (&s_in_force, memory_order_acquire);
}

const rk_vec_t *rk_vec (void)
{
    return rk_kernel_set ()->vec;
}
