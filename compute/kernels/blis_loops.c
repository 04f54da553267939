/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/blis_loops.h"

#include <blis.h>
#include <pthread.h>
#include <string.h>

#include "compute/kernels/sets.h"

#define BLOCK_COLS 4064 /* of B, packed at a time */
#define BLOCK_ROWS 480  /* of A: a 1 MiB cache at RK_PRODUCT_K */

#define MAX_TILE_SETS 2

typedef struct {
    const rk_tile_set_t *set;
    cntx_t cntx;
    packm_blk_var1_params_t pack; /* our packing kernel: BLIS packs panels as wide as ours slowly */
} s_context_t;

/* Written once by rk_blis_init, const afterwards. */
static s_context_t s_contexts[MAX_TILE_SETS];
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

/* BLIS's micro-kernel interface. C is any (m, n) block; the tile needs its columns contiguous. */
static void s_kernel (const rk_tile_set_t *set, dim_t m, dim_t n, const rk_tile_t *t, float *c, inc_t rs, inc_t cs)
{
    rk_tile_t tile = *t;
    float room[14 * 32];
    if (cs == 1) {
        tile.c = c;
        tile.c_row = (size_t) rs;
        set->tile ((size_t) m, (size_t) n, &tile);
        return;
    }
    tile.c = room;
    tile.c_row = (size_t) n;
    tile.beta = 0.0f;
    set->tile ((size_t) m, (size_t) n, &tile);
    for (dim_t i = 0; i < m; i++)
        for (dim_t j = 0; j < n; j++) {
            float *to = c + i * rs + j * cs, value = room[i * n + j];
            *to = t->beta == 0.0f ? value : t->beta * *to + value;
        }
}

#define DEFINE_KERNEL(idx)                                                                                             \
    static void s_kernel_##idx (dim_t m, dim_t n, dim_t k, float *restrict alpha, float *restrict a, float *restrict b, \
                                float *restrict beta, float *restrict c, inc_t rs, inc_t cs,                           \
                                auxinfo_t *restrict data, cntx_t *restrict cntx)                                       \
    {                                                                                                                  \
        const rk_tile_set_t *set = s_contexts[idx].set;                                                                \
        const rk_tile_t t = {.n_runs = 1, .k_run = (size_t) k, .a = a, .a_row = 1, .a_k = set->flat_rows, .b = b,      \
                             .b_k = set->max_cols, .alpha = *alpha, .beta = *beta};                                    \
        s_kernel (set, m, n, &t, c, rs, cs);                                                                           \
    }
DEFINE_KERNEL (0)
DEFINE_KERNEL (1)

/* One panel: p (k, width) = kappa times the (wide, k) block at c, zeros beyond. */
static void s_pack (const rk_tile_set_t *set, size_t wide, size_t len, float kappa, const float *c, size_t inc,
                    size_t ld, float *p, size_t width)
{
    if (inc == 1 && wide <= set->max_cols)
        set->copy (len, wide, c, ld, p, width);
    else if (ld == 1)
        set->transpose (wide, len, c, inc, p, width);
    else
        for (size_t l = 0; l < len; l++)
            for (size_t i = 0; i < wide; i++)
                p[l * width + i] = c[i * inc + l * ld];
    for (size_t l = 0; kappa != 1.0f && l < len; l++)
        for (size_t i = 0; i < wide; i++)
            p[l * width + i] *= kappa;
    for (size_t l = 0; wide < width && l < len; l++)
        memset (p + l * width + wide, 0, (width - wide) * sizeof *p);
}

/* BLIS's packing interface, of which a dense float matrix needs little. */
#define DEFINE_PACK(idx)                                                                                               \
    static void s_pack_##idx (struc_t struc, diag_t diag, uplo_t uplo, conj_t conj, pack_t schema, bool invert,        \
                              dim_t wide, dim_t len, dim_t wide_max, dim_t len_max, dim_t wide_at, dim_t len_at,       \
                              float *kappa, float *c, inc_t inc, inc_t ld, float *p, inc_t p_ld, inc_t p_is,           \
                              cntx_t *cntx, void *params)                                                              \
    {                                                                                                                  \
        s_pack (s_contexts[idx].set, (size_t) wide, (size_t) len, *kappa, c, (size_t) inc, (size_t) ld, p,             \
                (size_t) p_ld);                                                                                        \
        memset (p + len * p_ld, 0, (size_t) ((len_max - len) * p_ld) * sizeof *p);                                     \
    }
DEFINE_PACK (0)
DEFINE_PACK (1)

static void s_set_block (cntx_t *cntx, bszid_t id, dim_t value)
{
    blksz_t *block = bli_cntx_get_blksz (id, cntx);
    bli_blksz_set_def (value, BLIS_FLOAT, block);
    bli_blksz_set_max (value, BLIS_FLOAT, block);
}

static void s_register (s_context_t *context, const rk_tile_set_t *set, void *kernel, void *pack)
{
    context->set = set;
    context->cntx = *bli_gks_query_cntx ();
    context->pack.ukr_fn[BLIS_FLOAT][BLIS_FLOAT] = (packm_ker_vft) pack;
    cntx_t *cntx = &context->cntx;
    bli_cntx_set_l3_nat_ukrs (1, BLIS_GEMM_UKR, BLIS_FLOAT, kernel, TRUE, cntx);
    s_set_block (cntx, BLIS_MR, (dim_t) set->flat_rows);
    s_set_block (cntx, BLIS_NR, (dim_t) set->max_cols);
    s_set_block (cntx, BLIS_KC, RK_PRODUCT_K);
    s_set_block (cntx, BLIS_MC, BLOCK_ROWS);
    s_set_block (cntx, BLIS_NC, BLOCK_COLS);
}

static void s_init (void)
{
    bli_init ();
#if defined(__x86_64__)
    s_register (&s_contexts[0], &rk_tiles_avx512, (void *) s_kernel_0, (void *) s_pack_0);
    s_register (&s_contexts[1], &rk_tiles_avx2, (void *) s_kernel_1, (void *) s_pack_1);
#endif
}

void rk_blis_init (void)
{
    pthread_once (&s_once, s_init);
}

static s_context_t *s_context_of (const rk_tile_set_t *set)
{
    for (size_t i = 0; i < MAX_TILE_SETS; i++)
        if (s_contexts[i].set == set)
            return &s_contexts[i];
    return NULL;
}

void rk_blis_product (const rk_tile_set_t *set, const rk_product_t *p)
{
    obj_t alpha, a, b, beta, c;
    float alpha_value = p->alpha, beta_value = p->beta;
    bli_obj_create_1x1_with_attached_buffer (BLIS_FLOAT, &alpha_value, &alpha);
    bli_obj_create_1x1_with_attached_buffer (BLIS_FLOAT, &beta_value, &beta);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) p->m, (dim_t) p->k, (void *) p->a, (inc_t) p->a_row,
                                         (inc_t) p->a_k, &a);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) p->k, (dim_t) p->n, (void *) p->b, (inc_t) p->b_k,
                                         (inc_t) p->b_col, &b);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) p->m, (dim_t) p->n, p->c, (inc_t) p->c_row, 1, &c);
    rntm_t rntm = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads (1, &rntm);
    bli_rntm_disable_l3_sup (&rntm);
    s_context_t *context = set ? s_context_of (set) : NULL;
    if (context) {
        bli_obj_set_pack_params (&context->pack, &a);
        bli_obj_set_pack_params (&context->pack, &b);
    }
    bli_gemm_ex (&alpha, &a, &b, &beta, &c, context ? &context->cntx : NULL, &rntm);
}
