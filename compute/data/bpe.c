/* SPDX-License-Identifier: MPL-2.0
 * A vocabulary in use; compute/data/bpe_learn.c makes it. */
#include "compute/data/bpe_impl.h"

#include <stdlib.h>
#include <string.h>

void rk_bpe_destroy (rk_bpe_t **bpe_p)
{
    rk_bpe_t *self = bpe_p ? *bpe_p : NULL;
    if (!self)
        return;
    free (self->merges);
    free (self->ranks);
    free (self);
    *bpe_p = NULL;
}

size_t rk_bpe_n_tokens (const rk_bpe_t *self)
{
    return RK_BPE_BYTES + self->n_merges;
}

/* ---- words */

typedef enum { IS_LETTER, IS_DIGIT, IS_SPACE, IS_OTHER } s_class_t;

static s_class_t s_class (uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80)
        return IS_LETTER;
    if (c >= '0' && c <= '9')
        return IS_DIGIT;
    return c == ' ' || (c >= '\t' && c <= '\r') ? IS_SPACE : IS_OTHER;
}

size_t rk_bpe_word (const uint8_t *text, size_t size)
{
    const size_t most = size < RK_BPE_WORD ? size : RK_BPE_WORD;
    size_t n = most > 1 && text[0] == ' ' && s_class (text[1]) != IS_SPACE ? 1 : 0;
    const s_class_t kind = s_class (text[n]);
    while (n < most && s_class (text[n]) == kind)
        n++;
    return n;
}

/* ---- ranks of pairs */

size_t rk_bpe_slot (uint32_t pair, size_t n_slots)
{
    return (size_t) ((pair * UINT64_C (0x9e3779b97f4a7c15)) >> 32) & (n_slots - 1);
}

rk_err_t rk_bpe_index (rk_bpe_t *self)
{
    self->n_slots = 512;
    while (self->n_slots < 2 * self->n_merges)
        self->n_slots *= 2;
    self->ranks = calloc (self->n_slots, sizeof *self->ranks);
    if (!self->ranks)
        return RK_ENOMEM;
    for (size_t k = 0; k < self->n_merges; k++) {
        size_t slot = rk_bpe_slot (self->merges[k], self->n_slots);
        while (self->ranks[slot])
            slot = (slot + 1) & (self->n_slots - 1);
        self->ranks[slot] = (uint32_t) k + 1;
    }
    return RK_OK;
}

/* Index of the merge of this pair, n_merges: there is none. */
static size_t s_rank (const rk_bpe_t *self, uint32_t pair)
{
    for (size_t slot = rk_bpe_slot (pair, self->n_slots); self->ranks[slot]; slot = (slot + 1) & (self->n_slots - 1))
        if (self->merges[self->ranks[slot] - 1] == pair)
            return self->ranks[slot] - 1;
    return self->n_merges;
}

size_t rk_bpe_apply (uint32_t pair, uint16_t token, uint16_t *tokens, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        const bool here = i + 1 < n && rk_bpe_pair (tokens[i], tokens[i + 1]) == pair;
        tokens[to++] = here ? token : tokens[i];
        i += here;
    }
    return to;
}

/* Merges of one word in the order in which they were learnt. */
static size_t s_encode_word (const rk_bpe_t *self, const uint8_t *text, size_t n, uint16_t *tokens)
{
    for (size_t i = 0; i < n; i++)
        tokens[i] = text[i];
    for (;;) {
        size_t first = self->n_merges;
        for (size_t i = 0; i + 1 < n; i++) {
            const size_t rank = s_rank (self, rk_bpe_pair (tokens[i], tokens[i + 1]));
            first = rank < first ? rank : first;
        }
        if (first == self->n_merges)
            return n;
        n = rk_bpe_apply (self->merges[first], (uint16_t) (RK_BPE_BYTES + first), tokens, n);
    }
}

size_t rk_bpe_encode (const rk_bpe_t *self, const uint8_t *text, size_t size, uint16_t *tokens)
{
    size_t n_tokens = 0;
    for (size_t at = 0; at < size;) {
        const size_t n = rk_bpe_word (text + at, size - at);
        n_tokens += s_encode_word (self, text + at, n, tokens + n_tokens);
        at += n;
    }
    return n_tokens;
}

/* Left halves first: what is still to be written waits on a stack, of at most a word's merges. */
size_t rk_bpe_bytes (const rk_bpe_t *self, uint16_t token, uint8_t *bytes, size_t room)
{
    uint16_t waiting[RK_BPE_WORD + 1];
    size_t n = 0, n_waiting = 1;
    waiting[0] = token;
    while (n_waiting) {
        const uint16_t now = waiting[--n_waiting];
        if (now < RK_BPE_BYTES) {
            if (n < room)
                bytes[n] = (uint8_t) now;
            n++;
            continue;
        }
        waiting[n_waiting++] = (uint16_t) self->merges[now - RK_BPE_BYTES];
        waiting[n_waiting++] = (uint16_t) (self->merges[now - RK_BPE_BYTES] >> 16);
    }
    return n;
}
