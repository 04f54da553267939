/* SPDX-License-Identifier: MPL-2.0
 * Texts as sequences: characters, byte pairs against a learner that counts everything anew for every merge, windows
 * and labels, refusals; and the text that people have at hand on Debian, if it is installed.           */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "compute/data/bpe.h"
#include "compute/data/text.h"
#include "compute/rng.h"

static uint32_t s_random (uint64_t i)
{
    uint32_t words[4];
    rk_rng_block (7, rk_rng_stream (RK_RNG_TEST, 1), i, words);
    return words[0];
}

/* Words of three letters of a small alphabet, punctuation, numbers, other bytes. */
static size_t s_make_text (uint8_t *text, size_t size)
{
    static const char signs[] = "aaaabbc e,.; 17\n  \t-";
    for (size_t i = 0; i < size; i++)
        text[i] = s_random (i) % 23 == 0 ? (uint8_t) (0x80 + s_random (i) / 23 % 128) : (uint8_t) signs[s_random (i) % (sizeof signs - 1)];
    return size;
}

/* ---- byte pairs */

/* The word that begins at text[at], by its definition. */
static int s_kind (uint8_t c)
{
    if (c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return 0;
    return c >= '0' && c <= '9' ? 1 : c == ' ' || (c >= 9 && c <= 13) ? 2 : 3;
}

/* Ends of words as a mark on each first byte. */
static void s_mark_words (const uint8_t *text, size_t size, bool *first)
{
    memset (first, 0, size + 1);
    for (size_t at = 0; at < size;) {
        size_t n = text[at] == ' ' && at + 1 < size && s_kind (text[at + 1]) != 2 ? 1 : 0;
        const int kind = s_kind (text[at + n]);
        first[at] = true;
        while (at + n < size && n < RK_BPE_WORD && s_kind (text[at + n]) == kind)
            n++;
        at += n;
    }
}

typedef struct {
    uint16_t *token;
    bool *first; /* of a word */
    size_t n;
} s_stream_t;

/* The most frequent pair inside words; of equals the lowest. */
static uint32_t s_best_pair (const s_stream_t *s, uint32_t n_tokens, uint32_t *counts)
{
    uint32_t best = 0;
    memset (counts, 0, (size_t) n_tokens * n_tokens * sizeof *counts);
    for (size_t i = 0; i + 1 < s->n; i++)
        if (!s->first[i + 1])
            counts[s->token[i] * n_tokens + s->token[i + 1]]++;
    for (uint32_t pair = 0; pair < n_tokens * n_tokens; pair++)
        best = counts[pair] > counts[best] ? pair : best;
    return best;
}

static void s_replace (s_stream_t *s, uint32_t pair, uint32_t n_tokens, uint16_t token)
{
    size_t to = 0;
    for (size_t i = 0; i < s->n; i++, to++) {
        const bool here = i + 1 < s->n && !s->first[i + 1] && s->token[i] == pair / n_tokens && s->token[i + 1] == pair % n_tokens;
        s->first[to] = s->first[i];
        s->token[to] = here ? token : s->token[i];
        i += here;
    }
    s->n = to;
}

static void test_byte_pairs (void **state)
{
    enum { SIZE = 6000, TOKENS = 330 };
    static uint8_t text[SIZE], word[2][RK_BPE_WORD];
    static uint16_t token[SIZE], ours[SIZE];
    static bool first[SIZE + 1];
    uint32_t *counts = malloc (TOKENS * TOKENS * sizeof *counts);
    s_make_text (text, SIZE);
    rk_error_t err = {0};
    rk_bpe_t *bpe, *again;
    assert_int_equal (rk_bpe_learn (&bpe, text, SIZE, TOKENS, &err), RK_OK);
    assert_int_equal (rk_bpe_n_tokens (bpe), TOKENS);
    s_mark_words (text, SIZE, first);
    s_stream_t stream = {token, first, SIZE};
    for (size_t i = 0; i < SIZE; i++)
        token[i] = text[i];
    for (uint16_t t = 256; t < TOKENS; t++) {
        const uint32_t best = s_best_pair (&stream, TOKENS, counts);
        uint8_t bytes[RK_BPE_WORD];
        const size_t left = rk_bpe_bytes (bpe, (uint16_t) (best / TOKENS), word[0], RK_BPE_WORD);
        const size_t right = rk_bpe_bytes (bpe, (uint16_t) (best % TOKENS), word[1], RK_BPE_WORD);
        assert_int_equal (rk_bpe_bytes (bpe, t, bytes, sizeof bytes), left + right);
        assert_memory_equal (bytes, word[0], left);
        assert_memory_equal (bytes + left, word[1], right);
        s_replace (&stream, best, TOKENS, t);
    }
    assert_int_equal (rk_bpe_encode (bpe, text, SIZE, ours), stream.n);
    assert_memory_equal (ours, stream.token, stream.n * sizeof *ours);
    assert_true (stream.n < SIZE * 3 / 4);
    assert_int_equal (rk_bpe_learn (&again, text, SIZE, TOKENS, &err), RK_OK);
    assert_int_equal (rk_bpe_encode (again, text, SIZE, token), stream.n);
    assert_memory_equal (ours, token, stream.n * sizeof *ours);
    rk_bpe_destroy (&again);
    rk_bpe_destroy (&bpe);
    free (counts);
}

/* Whatever the bytes, they come back; fewer tokens than asked for when nothing occurs twice. */
static void test_byte_pairs_come_back (void **state)
{
    enum { SIZE = 3000 };
    static uint8_t text[SIZE], back[SIZE + RK_BPE_WORD];
    static uint16_t token[SIZE];
    rk_error_t err = {0};
    rk_bpe_t *bpe;
    s_make_text (text, SIZE / 2);
    assert_int_equal (rk_bpe_learn (&bpe, text, SIZE / 2, 900, &err), RK_OK);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (uint8_t) s_random (i + 9999); /* of another kind, zeros too */
    memset (text + 100, 'a', 200); /* longer than any word */
    const size_t n = rk_bpe_encode (bpe, text, SIZE, token);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        at += rk_bpe_bytes (bpe, token[i], back + at, sizeof back - at);
    assert_int_equal (at, SIZE);
    assert_memory_equal (back, text, SIZE);
    rk_bpe_destroy (&bpe);
    assert_int_equal (rk_bpe_learn (&bpe, (const uint8_t *) "abab cd", 7, 300, &err), RK_OK);
    assert_int_equal (rk_bpe_n_tokens (bpe), 257); /* ab; abab occurs once */
    rk_bpe_destroy (&bpe);
    assert_int_equal (rk_bpe_learn (&bpe, text, SIZE, 256, &err), RK_EINVAL);
    assert_int_equal (rk_bpe_learn (&bpe, text, SIZE, 65537, &err), RK_EINVAL);
    assert_null (bpe);
}

/* ---- data sets */

/* A text in a file of its own, opened. */
static rk_err_t s_open (rk_data_t **data_p, const uint8_t *text, size_t size, size_t sequence, size_t vocabulary, rk_error_t *err)
{
    char path[] = "/tmp/rk-text-XXXXXX";
    const int fd = mkstemp (path);
    assert_true (fd >= 0 && write (fd, text, size) == (ssize_t) size);
    close (fd);
    const rk_data_options_t options = {.path = path, .sequence = sequence, .vocabulary = vocabulary};
    const rk_err_t rc = rk_data_open (data_p, "text", &options, err);
    unlink (path);
    return rc;
}

/* The peers' table: space to tilde, newline, everything else a space. */
static float s_char (uint8_t c)
{
    return c == '\n' ? 95 : c >= 32 && c < 127 ? (float) (c - 32) : 0;
}

static void test_characters (void **state)
{
    enum { SIZE = 1003, LENGTH = 7, CUT = 902 };
    uint8_t text[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (uint8_t) (1 + i % 255);
    rk_error_t err = {0};
    rk_data_t *data;
    if (s_open (&data, text, SIZE, LENGTH, 0, &err))
        fail_msg ("%s", err.text);
    assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_1 (LENGTH)));
    assert_int_equal (rk_data_n_classes (data), RK_TEXT_CHARS);
    assert_int_equal (rk_data_labels (data)->n, LENGTH);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), (CUT - 1) / LENGTH);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), (SIZE - CUT - 1) / LENGTH);
    float x[200 * LENGTH];
    int32_t labels[200 * LENGTH];
    for (int split = 0; split < 2; split++) {
        const size_t begin = split ? CUT : 0, n = rk_data_batch (data, (rk_split_t) split, 3, 0, 0, 200, x, labels);
        assert_int_equal (n, rk_data_n (data, (rk_split_t) split));
        const rk_permutation_t order = rk_rng_permutation (3, 0, n);
        for (size_t s = 0; s < n; s++) {
            const size_t at = split ? begin + s * LENGTH : (size_t) rk_permutation_at (&order, s) * LENGTH;
            for (size_t i = 0; i < LENGTH; i++) {
                assert_true (x[s * LENGTH + i] == s_char (text[at + i]));
                assert_int_equal (labels[s * LENGTH + i], (int32_t) s_char (text[at + i + 1]));
            }
        }
    }
    rk_data_close (&data);
}

static void test_byte_pair_set (void **state)
{
    enum { SIZE = 20000, LENGTH = 10, CUT = 18000 };
    static uint8_t text[SIZE];
    static uint16_t token[SIZE];
    s_make_text (text, SIZE);
    rk_error_t err = {0};
    rk_data_t *data;
    rk_bpe_t *bpe;
    if (s_open (&data, text, SIZE, LENGTH, 400, &err))
        fail_msg ("%s", err.text);
    assert_int_equal (rk_bpe_learn (&bpe, text, CUT, 400, &err), RK_OK); /* from what is trained on alone */
    const size_t n = rk_bpe_encode (bpe, text + CUT, SIZE - CUT, token);
    assert_int_equal (rk_data_n_classes (data), 400);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), (n - 1) / LENGTH);
    float x[3 * LENGTH];
    int32_t labels[3 * LENGTH];
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 3, 0, 1, 3, x, labels), 3);
    for (size_t i = 0; i < 3 * LENGTH; i++) {
        assert_true (x[i] == (float) token[3 * LENGTH + i]);
        assert_int_equal (labels[i], token[3 * LENGTH + i + 1]);
    }
    rk_bpe_destroy (&bpe);
    rk_data_close (&data);
}

static void test_refusals (void **state)
{
    enum { SIZE = 2000 };
    static uint8_t text[SIZE];
    rk_error_t err = {0};
    rk_data_t *data;
    memset (text, 'a', SIZE);
    assert_int_equal (s_open (&data, text, 1282, 128, 0, &err), RK_OK);
    rk_data_close (&data);
    assert_int_equal (s_open (&data, text, 1280, 128, 0, &err), RK_EFORMAT); /* 128 held out: no label for the last one */
    assert_non_null (strstr (err.text, "a part of 128 tokens, one sequence of 128 needs 129"));
    assert_null (data);
    assert_int_equal (s_open (&data, text, 0, 128, 0, &err), RK_EFORMAT);
    assert_int_equal (s_open (&data, text, SIZE, 128, 0, &err), RK_OK);
    rk_data_close (&data);
    assert_int_equal (s_open (&data, text, SIZE, 65537, 0, &err), RK_EINVAL);
    assert_int_equal (s_open (&data, text, SIZE, 128, 256, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "257 to 65536 are possible"));
    text[1234] = 0;
    assert_int_equal (s_open (&data, text, SIZE, 128, 0, &err), RK_EFORMAT);
    assert_non_null (strstr (err.text, "byte 1234 is 0"));
    const rk_data_options_t nowhere = {.path = "/nowhere/text"};
    assert_int_equal (rk_data_open (&data, "text", &nowhere, &err), RK_EIO);
    const rk_data_options_t cropped = {.augment = "crop"};
    assert_int_equal (rk_data_open (&data, "synthetic-text", &cropped, &err), RK_EINVAL);
}

static void test_input (void **state)
{
    char path[] = "/tmp/rk-text-XXXXXX";
    const int fd = mkstemp (path);
    assert_true (fd >= 0 && write (fd, "And God said, Let there be light", 32) == 32);
    close (fd);
    rk_error_t err = {0};
    rk_data_t *data;
    const rk_data_options_t ten = {.sequence = 10}, pairs = {.path = path, .sequence = 5, .vocabulary = 260}, whole = {.sequence = 33};
    assert_int_equal (rk_data_open_input (&data, "text", &ten, path, &err), RK_OK);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), 3);
    float x[40];
    int32_t labels[40];
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 4, x, labels), 3);
    assert_true (x[0] == 'A' - 32 && x[29] == 'g' - 32 && labels[0] == 0);
    rk_data_close (&data);
    assert_int_equal (rk_data_open_input (&data, "text", &pairs, path, &err), RK_OK);
    assert_true (rk_data_n_classes (data) >= 256); /* a short text has no pair twice */
    rk_data_close (&data);
    assert_int_equal (rk_data_open_input (&data, "text", &whole, path, &err), RK_EFORMAT);
    assert_non_null (strstr (err.text, "a part of 32 tokens, one sequence of 33 needs 33"));
    assert_int_equal (rk_data_open_input (&data, "synthetic-text", &pairs, path, &err), RK_OK); /* the path is one */
    rk_data_close (&data);
    const rk_data_options_t no_path = {.vocabulary = 260};
    assert_int_equal (rk_data_open_input (&data, "synthetic-text", &no_path, path, &err), RK_EUNSUPPORTED);
    unlink (path);
}

/* ---- the King James Bible as Debian's package bible-kjv prints it */

static void test_bible (void **state)
{
    enum { ROOM = 5000000 };
    FILE *pipe = access ("/usr/bin/bible", X_OK) == 0 ? popen ("/usr/bin/bible -f Gen1:1-Rev22:21", "r") : NULL;
    if (!pipe)
        skip (); /* see examples/install */
    uint8_t *text = malloc (ROOM), *back = malloc (ROOM);
    uint16_t *token = malloc (ROOM * sizeof *token);
    const size_t size = fread (text, 1, ROOM, pipe);
    pclose (pipe);
    assert_int_equal (size, 4404412);
    rk_error_t err = {0};
    rk_bpe_t *bpe;
    assert_int_equal (rk_bpe_learn (&bpe, text, size, 2000, &err), RK_OK);
    const size_t n = rk_bpe_encode (bpe, text, size, token);
    assert_true (n < size / 3);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        at += rk_bpe_bytes (bpe, token[i], back + at, ROOM - at);
    assert_int_equal (at, size);
    assert_memory_equal (back, text, size);
    rk_bpe_destroy (&bpe);
    free (text);
    free (back);
    free (token);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_byte_pairs), cmocka_unit_test (test_byte_pairs_come_back), cmocka_unit_test (test_characters),
        cmocka_unit_test (test_byte_pair_set), cmocka_unit_test (test_refusals), cmocka_unit_test (test_input),
        cmocka_unit_test (test_bible),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
