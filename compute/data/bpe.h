/* SPDX-License-Identifier: MPL-2.0
 * Byte-pair vocabulary (Sennrich, Haddow and Birch, 2016), over bytes: tokens 0 to 255 are the bytes, token 256 + k is
 * the k-th merge of two earlier tokens. Merges never cross a word's end; a word is a run of letters, digits or
 * other signs with at most one space before it, or a run of white space, of at most RK_BPE_WORD bytes.
 * The same text and size give the same vocabulary everywhere.                                         */
#ifndef RK_COMPUTE_DATA_BPE_H
#define RK_COMPUTE_DATA_BPE_H
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_BPE_WORD 32
#define RK_BPE_MOST_TOKENS 65536
#define RK_BPE_LEARN_BYTES ((size_t) 1 << 24) /* of the text that merges are learnt from: its beginning */

typedef struct rk_bpe rk_bpe_t;

/* Learns n_tokens - 256 merges, always of the most frequent pair (of equals the lowest tokens), or fewer if no pair is
 * left that occurs twice: rk_bpe_n_tokens says. errors: RK_EINVAL (n_tokens not in 257..RK_BPE_MOST_TOKENS), RK_ENOMEM. */
rk_err_t rk_bpe_learn (rk_bpe_t **bpe_p, const uint8_t *text, size_t size, size_t n_tokens, rk_error_t *err) RK_MUST_CHECK;
void rk_bpe_destroy (rk_bpe_t **bpe_p);
size_t rk_bpe_n_tokens (const rk_bpe_t *bpe);

/* Tokens of text into tokens, which has room for size of them; returns how many. */
size_t rk_bpe_encode (const rk_bpe_t *bpe, const uint8_t *text, size_t size, uint16_t *tokens);

/* Bytes of one token, the first `room` of them written; returns their number. token < rk_bpe_n_tokens. */
size_t rk_bpe_bytes (const rk_bpe_t *bpe, uint16_t token, uint8_t *bytes, size_t room);

#endif
