/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data/text.h"

#include <stdlib.h>
#include <string.h>

#include "compute/data/bpe.h"
#include "compute/rng.h"

/* ---- characters */

static uint16_t s_char (uint8_t c)
{
    return c == '\n' ? RK_TEXT_CHARS - 1 : c >= ' ' && c <= '~' ? (uint16_t) (c - ' ') : 0;
}

/* bpe NULL: characters. tokens: room for size; returns how many. */
static size_t s_encode (const rk_bpe_t *bpe, const uint8_t *bytes, size_t size, uint16_t *tokens)
{
    if (bpe)
        return rk_bpe_encode (bpe, bytes, size, tokens);
    for (size_t i = 0; i < size; i++)
        tokens[i] = s_char (bytes[i]);
    return size;
}

/* ---- checks */

static rk_err_t s_check (const char *file, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    const uint8_t *zero = memchr (bytes, 0, size);
    if (zero)
        return rk_error_set (err, RK_EFORMAT, "%s: byte %zu is 0, which no text has", file, (size_t) (zero - bytes));
    return RK_OK;
}

static rk_err_t s_sequence (const rk_data_options_t *options, size_t *sequence, rk_error_t *err)
{
    *sequence = options->sequence ? options->sequence : RK_TEXT_SEQUENCE;
    if (*sequence > RK_TEXT_MOST_SEQUENCE)
        return rk_error_set (err, RK_EINVAL, "sequences of %zu tokens, at most %d are possible", *sequence, RK_TEXT_MOST_SEQUENCE);
    return RK_OK;
}

/* ---- windows */

static void s_describe (rk_data_t *data, size_t sequence, size_t n_tokens)
{
    data->shape = rk_shape_1 (sequence);
    data->elems = sequence;
    data->n_classes = n_tokens;
    data->labels = (rk_labels_t) {.kind = RK_LABEL_CLASS, .n = sequence, .n_classes = n_tokens};
}

/* more: tokens that a window needs beyond its own: 1 where there are labels. */
static rk_err_t s_take_part (rk_data_part_t *part, const char *file, const rk_bpe_t *bpe, const uint8_t *bytes, size_t size,
                             size_t sequence, size_t more, rk_error_t *err)
{
    part->tokens = malloc ((size + 1) * sizeof *part->tokens);
    if (!part->tokens)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu tokens", file, size);
    const size_t n = s_encode (bpe, bytes, size, part->tokens);
    if (n < sequence + more)
        return rk_error_set (err, RK_EFORMAT, "%s: a part of %zu tokens, one sequence of %zu needs %zu", file, n, sequence,
                             sequence + more);
    part->n = (n - more) / sequence;
    part->has_next = more != 0;
    uint16_t *exact = realloc (part->tokens, n * sizeof *exact);
    part->tokens = exact ? exact : part->tokens;
    return RK_OK;
}

static rk_err_t s_learn (rk_bpe_t **bpe, const char *file, const uint8_t *bytes, size_t size, size_t vocabulary, rk_error_t *err)
{
    *bpe = NULL;
    if (vocabulary == 0)
        return RK_OK;
    const rk_err_t rc = rk_bpe_learn (bpe, bytes, size, vocabulary, err);
    return rc ? rk_error_wrap (err, rc, "%s", file) : RK_OK;
}

/* Bytes of the part to train on. */
static size_t s_cut (size_t size)
{
    return size / 10 * 9 + size % 10 * 9 / 10;
}

rk_err_t rk_text_take (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size, const rk_data_options_t *options,
                       rk_error_t *err)
{
    const size_t cut = s_cut (size);
    size_t sequence;
    rk_bpe_t *bpe = NULL;
    rk_err_t rc = s_sequence (options, &sequence, err);
    if (!rc)
        rc = s_check (file, bytes, size, err);
    if (!rc)
        rc = s_learn (&bpe, file, bytes, cut, options->vocabulary, err);
    if (!rc)
        rc = s_take_part (&data->part[RK_SPLIT_TRAIN], file, bpe, bytes, cut, sequence, 1, err);
    if (!rc)
        rc = s_take_part (&data->part[RK_SPLIT_TEST], file, bpe, bytes + cut, size - cut, sequence, 1, err);
    if (!rc)
        s_describe (data, sequence, bpe ? rk_bpe_n_tokens (bpe) : RK_TEXT_CHARS);
    rk_bpe_destroy (&bpe);
    return rc;
}

/* The vocabulary of the data set that a model was trained on. */
static rk_err_t s_learn_again (rk_bpe_t **bpe, const rk_data_options_t *options, rk_error_t *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *bpe = NULL;
    if (options->vocabulary == 0)
        return RK_OK;
    if (!options->path)
        return rk_error_set (err, RK_EUNSUPPORTED, "byte pairs of a text without a file are not kept: predict with data.vocabulary=0");
    rk_err_t rc = rk_file_read (options->path, RK_TEXT_MOST_BYTES, &bytes, &size, err);
    if (!rc)
        rc = s_learn (bpe, options->path, bytes, s_cut (size), options->vocabulary, err);
    free (bytes);
    return rc ? rk_error_wrap (err, rc, "the text whose byte pairs the model knows") : RK_OK;
}

rk_err_t rk_text_take_input (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size,
                             const rk_data_options_t *options, rk_error_t *err)
{
    size_t sequence;
    rk_bpe_t *bpe = NULL;
    rk_err_t rc = s_sequence (options, &sequence, err);
    if (!rc)
        rc = s_check (file, bytes, size, err);
    if (!rc)
        rc = s_learn_again (&bpe, options, err);
    if (!rc)
        rc = s_take_part (&data->part[RK_SPLIT_TEST], file, bpe, bytes, size, sequence, 0, err);
    if (!rc)
        s_describe (data, sequence, bpe ? rk_bpe_n_tokens (bpe) : RK_TEXT_CHARS);
    rk_bpe_destroy (&bpe);
    return rc;
}

/* ---- a file */

void rk_data_describe_text (rk_data_t *data);
rk_err_t rk_data_open_text (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);
void rk_data_describe_synthetic_text (rk_data_t *data);
rk_err_t rk_data_open_synthetic_text (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_text (rk_data_t *data)
{
    data->is_text = true;
    s_describe (data, RK_TEXT_SEQUENCE, RK_TEXT_CHARS);
}

rk_err_t rk_data_open_text (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    rk_err_t rc = rk_file_read (options->path, RK_TEXT_MOST_BYTES, &bytes, &size, err);
    if (!rc)
        rc = rk_text_take (data, options->path, bytes, size, options, err);
    free (bytes);
    return rc;
}

/* ---- a text without a file: words of a small dictionary, each followed by one of four that are its own */

#define WORDS 200
#define SYNTHETIC_BYTES 400000
#define SEED 20240229u /* part of the data set's definition: it never changes */

static uint32_t s_random (uint64_t stream, uint64_t i)
{
    uint32_t words[4];
    rk_rng_block (SEED, rk_rng_stream (RK_RNG_SYNTHETIC, stream), i, words);
    return words[0];
}

static size_t s_write_word (uint32_t word, uint8_t *to)
{
    const size_t n = 2 + s_random (1, word) % 6;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t) ('a' + s_random (2, word * 8 + i) % 26);
    return n;
}

void rk_data_describe_synthetic_text (rk_data_t *data)
{
    rk_data_describe_text (data);
}

rk_err_t rk_data_open_synthetic_text (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    uint8_t *bytes = malloc (SYNTHETIC_BYTES + 16);
    if (!bytes)
        return rk_error_set (err, RK_ENOMEM, "no memory for the synthetic text");
    uint32_t word = 0;
    for (size_t at = 0, i = 0; at < SYNTHETIC_BYTES; i++) {
        word = s_random (3, word * 4 + s_random (4, i) % 4) % WORDS;
        at += s_write_word (word, bytes + at);
        bytes[at++] = s_random (5, i) % 12 ? ' ' : '\n';
    }
    rk_err_t rc = rk_text_take (data, "synthetic-text", bytes, SYNTHETIC_BYTES, options, err);
    free (bytes);
    return rc;
}
