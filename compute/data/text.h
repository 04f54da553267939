/* SPDX-License-Identifier: MPL-2.0
 * Plain text as sequences of tokens: a sample is a window of `sequence` tokens, its labels are the tokens that follow
 * each of them; windows do not overlap. The last tenth of the bytes is held out for the test. vocabulary 0: one token
 * per character, of RK_TEXT_CHARS: the printable ASCII from space on, then newline; every other byte is a space.
 * Else byte pairs (compute/data/bpe.h), learnt from the other nine tenths.                            */
#ifndef RK_COMPUTE_DATA_TEXT_H
#define RK_COMPUTE_DATA_TEXT_H
#include "compute/data_impl.h"

#define RK_TEXT_CHARS 96
#define RK_TEXT_SEQUENCE 128 /* unless said otherwise */
#define RK_TEXT_MOST_SEQUENCE 65536
#define RK_TEXT_MOST_BYTES ((size_t) 1 << 30)

/* Both parts of a data set from bytes, which are only read. file: for the text of errors: RK_EFORMAT (a byte 0, too
 * short), RK_EINVAL (an option), RK_ENOMEM.                                                            */
rk_err_t rk_text_take (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size, const rk_data_options_t *options,
                       rk_error_t *err) RK_MUST_CHECK;

/* One text to predict: its windows are the test part, without labels. Byte pairs are those of the data set that
 * options name. errors: as above, and those of reading it.                                            */
rk_err_t rk_text_take_input (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size,
                             const rk_data_options_t *options, rk_error_t *err) RK_MUST_CHECK;

#endif
