/* SPDX-License-Identifier: MPL-2.0 */
#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* gcc, clang 14 */
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compute/kernels/amx.h"

/* By hand: compilers drop stores to a configuration that they see only through the intrinsic. */
#define s_amx_config(config) __asm__ volatile ("ldtilecfg %0" : : "m"(*(config)))
#define s_amx_release() _tile_release ()

/* The instructions want tile numbers that are constants, also where nothing is inlined. */
#define EACH_TILE(tile, call)                                                                                          \
    switch (tile) {                                                                                                    \
    case 0:                                                                                                            \
        call (0);                                                                                                      \
        break;                                                                                                         \
    case 1:                                                                                                            \
        call (1);                                                                                                      \
        break;                                                                                                         \
    case 2:                                                                                                            \
        call (2);                                                                                                      \
        break;                                                                                                         \
    default:                                                                                                           \
        call (3);                                                                                                      \
    }
#define ZERO(tile) _tile_zero (tile)
#define STORE(tile) _tile_stored (tile, to, (int) bytes)
#define s_amx_load(tile, from, bytes) _tile_loadd (tile, from, (int) (bytes))
#define s_amx_dot(c, a, b) _tile_dpbf16ps (c, a, b)

static inline void s_amx_zero (int tile)
{
    EACH_TILE (tile, ZERO)
}

static inline void s_amx_store (int tile, float *to, size_t bytes)
{
    EACH_TILE (tile, STORE)
}

#include "compute/kernels/amx_loops.h"

/* Linux gives the tiles to a process that asks (since 5.16). */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18
#define XCR0_TILES (3ull << 17)

static bool s_system_saves_tiles (void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid (1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return false;
    unsigned low, high;
    __asm__ volatile ("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t) high << 32 | low) & XCR0_TILES) == XCR0_TILES;
}

bool rk_amx_allowed (void)
{
    unsigned a, b, c, d;
    const unsigned wanted = 1u << 22 | 1u << 24; /* AMX-BF16, AMX-TILE */
    if (!__get_cpuid_count (7, 0, &a, &b, &c, &d) || (d & wanted) != wanted || !s_system_saves_tiles ())
        return false;
    return syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

double rk_amx_spin (size_t turns)
{
    s_shape (RK_AMX_ROWS);
    for (int tile = 0; tile < 4; tile++)
        s_amx_zero (tile);
    _tile_zero (4);
    _tile_zero (5);
    _tile_zero (6);
    _tile_zero (7);
    for (size_t t = 0; t < turns; t++) {
        s_amx_dot (0, 4, 6);
        s_amx_dot (1, 4, 7);
        s_amx_dot (2, 5, 6);
        s_amx_dot (3, 5, 7);
    }
    s_amx_release ();
    return (double) turns * 4 * SIDE * SIDE * SIDE * 4;
}
#else
typedef int rk_amx_not_built;
#endif
