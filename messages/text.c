/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/text.h"

#include <stdint.h>
#include <string.h>

/* Length of the UTF-8 sequence at s (ends with 0), and its code point; 0 when it is not valid: too short,
 * longer than needed, a surrogate, or above U+10FFFF.                                                  */
static size_t s_code_point (const unsigned char *s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 0x6 ? 2 : s[0] >> 4 == 0xe ? 3 : s[0] >> 3 == 0x1e ? 4 : 0;
    if (n <= 1) {
        *code = s[0];
        return n;
    }
    *code = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) /* the end of the string included */
            return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    return *code < least[n] || *code > 0x10ffff || *code >> 11 == 0x1b ? 0 : n;
}

static bool s_is_control (uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

rk_err_t rk_text_check (const char *what, const char *text, size_t max, bool lines, rk_error_t *err)
{
    size_t n = text ? strnlen (text, max + 1) : 0;
    if (n > max)
        return rk_error_set (err, RK_EFORMAT, "%s: longer than %zu bytes", what, max);
    const unsigned char *bytes = (const unsigned char *) text;
    for (size_t at = 0, step; at < n; at += step) {
        uint32_t code = 0;
        step = s_code_point (bytes + at, &code);
        if (step == 0)
            return rk_error_set (err, RK_EFORMAT, "%s: not UTF-8 at byte %zu (%02x)", what, at, bytes[at]);
        if (s_is_control (code) && !(lines && code == '\n'))
            return rk_error_set (err, RK_EFORMAT, "%s: control character %02x at byte %zu", what, code, at);
    }
    return RK_OK;
}
