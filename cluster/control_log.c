/* SPDX-License-Identifier: MPL-2.0
 * Control records: which one holds, and as text.                                                            */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/control.h"

uint32_t rk_control_at (const rk_control_record_t *records, size_t n_records, uint64_t round)
{
    size_t low = 0, high = n_records; /* records[low ..] are behind the round */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (records[middle].round <= round)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? records[low - 1].value : 0;
}

/* One number and the spaces before it; false: there is none, or it is too large. */
static bool s_number (const char **text, uint64_t most, uint64_t *number)
{
    while (**text == ' ' || **text == '\t')
        (*text)++;
    uint64_t value = 0;
    const char *digit = *text;
    for (; isdigit ((unsigned char) *digit); digit++) {
        const unsigned next = (unsigned) (*digit - '0');
        if (value > (most - next) / 10)
            return false;
        value = 10 * value + next;
    }
    *number = value;
    const bool any = digit > *text;
    *text = digit;
    return any;
}

static bool s_line (const char *line, rk_control_record_t *record)
{
    uint64_t value;
    if (!s_number (&line, UINT64_MAX, &record->round) || !s_number (&line, UINT32_MAX, &value))
        return false;
    record->value = (uint32_t) value;
    return line[strspn (line, " \t\r")] == 0 && value > 0;
}

rk_err_t rk_control_read (const char *text, size_t size, rk_control_record_t *records, size_t most, size_t *n_records,
                          rk_error_t *err)
{
    size_t n = 0;
    unsigned number = 1;
    for (size_t at = 0; at < size; number++) {
        const char *newline = memchr (text + at, '\n', size - at);
        const size_t length = newline ? (size_t) (newline - text) - at : size - at;
        char line[64];
        rk_control_record_t record;
        if (length >= sizeof line)
            return rk_error_set (err, RK_EFORMAT, "line %u of the control records is too long", number);
        memcpy (line, text + at, length);
        line[length] = 0;
        at += length + 1;
        if (line[strspn (line, " \t\r")] == 0 && strlen (line) == length)
            continue;
        if (strlen (line) != length || !s_line (line, &record))
            return rk_error_set (err, RK_EFORMAT,
                                 "line %u of the control records is not \"round value\", value above 0", number);
        if (n > 0 && record.round <= records[n - 1].round)
            return rk_error_set (err, RK_EFORMAT,
                                 "line %u of the control records: round %" PRIu64 " is not behind %" PRIu64, number,
                                 record.round, records[n - 1].round);
        if (n == most)
            return rk_error_set (err, RK_EFORMAT, "more than %zu control records", most);
        records[n++] = record;
    }
    *n_records = n;
    return RK_OK;
}

size_t rk_control_write (const rk_control_record_t *records, size_t n_records, char *text, size_t size)
{
    size_t n = 0;
    if (size > 0)
        *text = 0;
    for (size_t r = 0; r < n_records; r++)
        n += (size_t) snprintf (n < size ? text + n : NULL, n < size ? size - n : 0, "%" PRIu64 " %" PRIu32 "\n",
                                records[r].round, records[r].value);
    return n;
}
