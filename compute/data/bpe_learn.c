/* SPDX-License-Identifier: MPL-2.0
 * Learning a byte-pair vocabulary: words with their numbers, pairs with theirs, and a heap of candidates in which
 * entries that are out of date are passed over.                                                       */
#include <stdlib.h>
#include <string.h>

#include "compute/data/bpe_impl.h"

#define LEAST_ROOM 64 /* of the tables: small, so that short texts (fuzzed ones, too) make them grow */

typedef struct {
    const uint8_t *text; /* first occurrence; NULL: empty slot */
    size_t at;           /* of its tokens */
    uint32_t count;      /* occurrences in the text */
    uint8_t size, n;     /* bytes; tokens now */
} s_word_t;

typedef struct {
    uint32_t pair, count;
    bool used;
} s_pair_t;

typedef struct {
    s_word_t *words; /* hash table, then only its used entries */
    size_t n_words, word_slots;
    uint16_t *tokens; /* of all words */
    size_t n_tokens;
    s_pair_t *pairs; /* hash table */
    size_t n_pairs, pair_slots;
    s_pair_t *heap; /* most frequent first, of equals the lowest pair */
    size_t n_heap, heap_room;
} s_learner_t;

/* ---- words */

static s_word_t *s_find_word (s_learner_t *l, const uint8_t *text, size_t size)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ text[i]) * 1099511628211u;
    size_t slot = (size_t) (hash ^ hash >> 29) & (l->word_slots - 1);
    while (l->words[slot].text && (l->words[slot].size != size || memcmp (l->words[slot].text, text, size) != 0))
        slot = (slot + 1) & (l->word_slots - 1);
    return &l->words[slot];
}

static rk_err_t s_grow_words (s_learner_t *l)
{
    s_word_t *old = l->words;
    const size_t n = l->word_slots;
    l->word_slots = n ? 2 * n : LEAST_ROOM;
    l->words = calloc (l->word_slots, sizeof *l->words);
    for (size_t i = 0; i < n && l->words; i++)
        if (old[i].text)
            *s_find_word (l, old[i].text, old[i].size) = old[i];
    free (old);
    return l->words ? RK_OK : RK_ENOMEM;
}

static rk_err_t s_count_words (s_learner_t *l, const uint8_t *text, size_t size)
{
    rk_err_t rc = s_grow_words (l);
    for (size_t at = 0; at < size && !rc;) {
        const size_t n = rk_bpe_word (text + at, size - at);
        s_word_t *word = s_find_word (l, text + at, n);
        if (!word->text) {
            *word = (s_word_t) {.text = text + at, .at = l->n_tokens, .size = (uint8_t) n, .n = (uint8_t) n};
            l->n_tokens += n;
            l->n_words++;
        }
        word->count++;
        at += n;
        if (2 * l->n_words > l->word_slots)
            rc = s_grow_words (l);
    }
    return rc;
}

/* The table becomes a list, and every word its bytes. */
static rk_err_t s_list_words (s_learner_t *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->word_slots; i++)
        if (l->words[i].text)
            l->words[n++] = l->words[i];
    l->tokens = calloc (l->n_tokens + 1, sizeof *l->tokens);
    for (size_t w = 0; w < n && l->tokens; w++)
        for (size_t i = 0; i < l->words[w].size; i++)
            l->tokens[l->words[w].at + i] = l->words[w].text[i];
    return l->tokens ? RK_OK : RK_ENOMEM;
}

/* ---- the heap */

static bool s_before (const s_pair_t *a, const s_pair_t *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static rk_err_t s_push (s_learner_t *l, s_pair_t pair)
{
    if (l->n_heap == l->heap_room) {
        const size_t room = l->heap_room ? 2 * l->heap_room : LEAST_ROOM;
        s_pair_t *heap = realloc (l->heap, room * sizeof *heap);
        if (!heap)
            return RK_ENOMEM;
        l->heap = heap;
        l->heap_room = room;
    }
    size_t at = l->n_heap++;
    for (; at && s_before (&pair, &l->heap[(at - 1) / 2]); at = (at - 1) / 2)
        l->heap[at] = l->heap[(at - 1) / 2];
    l->heap[at] = pair;
    return RK_OK;
}

static s_pair_t s_pop (s_learner_t *l)
{
    const s_pair_t top = l->heap[0], last = l->heap[--l->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= l->n_heap)
            break;
        if (child + 1 < l->n_heap && s_before (&l->heap[child + 1], &l->heap[child]))
            child++;
        if (!s_before (&l->heap[child], &last))
            break;
        l->heap[at] = l->heap[child];
        at = child;
    }
    l->heap[at] = last;
    return top;
}

/* ---- pairs */

static s_pair_t *s_find_pair (s_learner_t *l, uint32_t pair)
{
    size_t slot = rk_bpe_slot (pair, l->pair_slots);
    while (l->pairs[slot].used && l->pairs[slot].pair != pair)
        slot = (slot + 1) & (l->pair_slots - 1);
    return &l->pairs[slot];
}

static rk_err_t s_grow_pairs (s_learner_t *l)
{
    s_pair_t *old = l->pairs;
    const size_t n = l->pair_slots;
    l->pair_slots = n ? 2 * n : LEAST_ROOM;
    l->pairs = calloc (l->pair_slots, sizeof *l->pairs);
    for (size_t i = 0; i < n && l->pairs; i++)
        if (old[i].used)
            *s_find_pair (l, old[i].pair) = old[i];
    free (old);
    return l->pairs ? RK_OK : RK_ENOMEM;
}

/* The pairs of a word come or go; what comes is a candidate. */
static rk_err_t s_count_pairs (s_learner_t *l, const s_word_t *word, bool come)
{
    const uint16_t *tokens = l->tokens + word->at;
    for (size_t i = 0; i + 1 < word->n; i++) {
        if (2 * l->n_pairs >= l->pair_slots && s_grow_pairs (l))
            return RK_ENOMEM;
        s_pair_t *pair = s_find_pair (l, rk_bpe_pair (tokens[i], tokens[i + 1]));
        l->n_pairs += !pair->used;
        pair->used = true;
        pair->pair = rk_bpe_pair (tokens[i], tokens[i + 1]);
        pair->count += come ? word->count : 0 - word->count;
        if (come && s_push (l, *pair))
            return RK_ENOMEM;
    }
    return RK_OK;
}

/* The most frequent pair now; count 0: none is left. An entry that is out of date goes back as it is now. */
static rk_err_t s_choose (s_learner_t *l, s_pair_t *best)
{
    *best = (s_pair_t) {0};
    while (l->n_heap) {
        const s_pair_t top = s_pop (l), now = *s_find_pair (l, top.pair);
        if (now.count == top.count) {
            *best = top;
            return RK_OK;
        }
        if (now.count < top.count && now.count && s_push (l, now))
            return RK_ENOMEM;
    }
    return RK_OK;
}

static rk_err_t s_merge (s_learner_t *l, uint32_t pair, uint16_t token)
{
    for (size_t w = 0; w < l->n_words; w++) {
        s_word_t *word = &l->words[w];
        const uint16_t *tokens = l->tokens + word->at;
        bool here = false;
        for (size_t i = 0; i + 1 < word->n && !here; i++)
            here = rk_bpe_pair (tokens[i], tokens[i + 1]) == pair;
        if (!here)
            continue;
        if (s_count_pairs (l, word, false))
            return RK_ENOMEM;
        word->n = (uint8_t) rk_bpe_apply (pair, token, l->tokens + word->at, word->n);
        if (s_count_pairs (l, word, true))
            return RK_ENOMEM;
    }
    return RK_OK;
}

static rk_err_t s_learn (s_learner_t *l, rk_bpe_t *bpe, const uint8_t *text, size_t size, size_t n_merges)
{
    rk_err_t rc = s_count_words (l, text, size);
    if (!rc)
        rc = s_list_words (l);
    if (!rc)
        rc = s_grow_pairs (l);
    for (size_t w = 0; w < l->n_words && !rc; w++)
        rc = s_count_pairs (l, &l->words[w], true);
    while (!rc && bpe->n_merges < n_merges) {
        s_pair_t best;
        rc = s_choose (l, &best);
        if (rc || best.count < 2)
            break;
        bpe->merges[bpe->n_merges] = best.pair;
        rc = s_merge (l, best.pair, (uint16_t) (RK_BPE_BYTES + bpe->n_merges));
        bpe->n_merges++;
    }
    return rc ? rc : rk_bpe_index (bpe);
}

rk_err_t rk_bpe_learn (rk_bpe_t **bpe_p, const uint8_t *text, size_t size, size_t n_tokens, rk_error_t *err)
{
    *bpe_p = NULL;
    if (n_tokens <= RK_BPE_BYTES || n_tokens > RK_BPE_MOST_TOKENS)
        return rk_error_set (err, RK_EINVAL, "a byte-pair vocabulary of %zu tokens: %d to %d are possible", n_tokens,
                             RK_BPE_BYTES + 1, RK_BPE_MOST_TOKENS);
    s_learner_t learner = {0};
    rk_bpe_t *bpe = calloc (1, sizeof *bpe);
    if (bpe)
        bpe->merges = calloc (n_tokens - RK_BPE_BYTES, sizeof *bpe->merges);
    rk_err_t rc = bpe && bpe->merges ? RK_OK : RK_ENOMEM;
    if (!rc)
        rc = s_learn (&learner, bpe, text, size < RK_BPE_LEARN_BYTES ? size : RK_BPE_LEARN_BYTES, n_tokens - RK_BPE_BYTES);
    free (learner.words);
    free (learner.tokens);
    free (learner.pairs);
    free (learner.heap);
    if (rc) {
        rk_bpe_destroy (&bpe);
        return rk_error_set (err, rc, "no memory for a byte-pair vocabulary of %zu tokens", n_tokens);
    }
    *bpe_p = bpe;
    return RK_OK;
}
