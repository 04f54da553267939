/* SPDX-License-Identifier: MPL-2.0
 * A plain text: the first byte is the length of a sequence, the second the size of its byte-pair vocabulary. */
#include "compute/data/bpe.h"
#include "compute/data/text.h"
#include "tests/fuzz/fuzz.h"

static void s_check_part (const rk_data_t *data, rk_split_t split)
{
    const rk_data_part_t *part = &data->part[split];
    for (size_t i = 0; i < part->n * data->elems + part->has_next; i++)
        FUZZ_CHECK (part->tokens[i] < data->n_classes);
}

/* Bytes that are encoded come back. */
static void s_round_trip (const uint8_t *bytes, size_t size, size_t vocabulary)
{
    rk_bpe_t *bpe = NULL;
    rk_error_t err = {0};
    uint16_t *tokens = malloc ((size + 1) * sizeof *tokens);
    uint8_t *back = malloc (size + RK_BPE_WORD);
    if (tokens && back && rk_bpe_learn (&bpe, bytes, size / 2, vocabulary, &err) == RK_OK) {
        const size_t n = rk_bpe_encode (bpe, bytes, size, tokens);
        size_t at = 0;
        FUZZ_CHECK (n <= size);
        for (size_t i = 0; i < n && at <= size; i++)
            at += rk_bpe_bytes (bpe, tokens[i], back + at, RK_BPE_WORD);
        FUZZ_CHECK (at == size && memcmp (back, bytes, size) == 0);
    }
    rk_bpe_destroy (&bpe);
    free (tokens);
    free (back);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    const rk_data_options_t options = {.path = "/nowhere", .sequence = bytes[0] % 16, .vocabulary = bytes[1] % 4 ? 256u + bytes[1] : 0};
    rk_data_t data = {0};
    rk_error_t err = {0};
    const rk_err_t rc = rk_text_take (&data, "input", bytes + 2, size - 2, &options, &err);
    FUZZ_CHECK (rc == RK_OK ? data.part[0].n && data.part[1].n : err.text[0] != 0);
    for (int split = 0; split < 2; split++) {
        if (!rc)
            s_check_part (&data, (rk_split_t) split);
        free (data.part[split].tokens);
    }
    s_round_trip (bytes + 2, size - 2, 256u + bytes[1] + 1);
    return 0;
}
