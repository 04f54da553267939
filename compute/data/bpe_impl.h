/* SPDX-License-Identifier: MPL-2.0
 * The inside of rk_bpe_t. Only compute/data/bpe*.c.                                                   */
#ifndef RK_COMPUTE_DATA_BPE_IMPL_H
#define RK_COMPUTE_DATA_BPE_IMPL_H
#include <stdbool.h>

#include "compute/data/bpe.h"

#define RK_BPE_BYTES 256

struct rk_bpe {
    size_t n_merges, n_slots; /* n_slots: a power of two */
    uint32_t *merges;         /* pair of merge k; owned */
    uint32_t *ranks;          /* hash table of merges: k + 1, 0 empty; owned */
};

static inline uint32_t rk_bpe_pair (uint16_t left, uint16_t right)
{
    return (uint32_t) left << 16 | right;
}

/* Bytes of the first word of text; size > 0. */
size_t rk_bpe_word (const uint8_t *text, size_t size);

/* Where the search for a pair begins in a table of n_slots, a power of two. */
size_t rk_bpe_slot (uint32_t pair, size_t n_slots);

/* Every occurrence of pair in tokens becomes `token`, from left to right; returns how many tokens are left. */
size_t rk_bpe_apply (uint32_t pair, uint16_t token, uint16_t *tokens, size_t n);

/* Makes ranks from merges. errors: RK_ENOMEM. */
rk_err_t rk_bpe_index (rk_bpe_t *bpe) RK_MUST_CHECK;

#endif
