/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const s_sentences[RK_N_ERRORS] = {
    [RK_OK] = "no error",
    [RK_EINVAL] = "a value is not allowed",
    [RK_ENOMEM] = "out of memory",
    [RK_ESHAPE] = "shapes do not fit together",
    [RK_EIO] = "input or output failed",
    [RK_EFORMAT] = "wrong format",
    [RK_ETIMEDOUT] = "a deadline passed",
    [RK_EPEER] = "a peer is gone or misbehaves",
    [RK_ESTALE] = "message of another view or round",
    [RK_ENOTFOUND] = "unknown name",
    [RK_EPLAN] = "no plan can do this",
    [RK_ESTATE] = "not possible in this state",
    [RK_EUNSUPPORTED] = "not supported",
    [RK_ECANCELED] = "stopped on request",
    [RK_ENONFINITE] = "a number is not finite",
};

const char *rk_strerror (rk_err_t code)
{
    return (unsigned) code < RK_N_ERRORS ? s_sentences[code] : "unknown error code";
}

rk_err_t rk_error_set (rk_error_t *err, rk_err_t code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start (args, fmt);
        err->code = code;
        vsnprintf (err->text, sizeof err->text, fmt, args);
        va_end (args);
    }
    return code;
}

rk_err_t rk_error_wrap (rk_error_t *err, rk_err_t code, const char *fmt, ...)
{
    if (!err)
        return code;
    char context[sizeof err->text], inner[sizeof err->text];
    va_list args;
    va_start (args, fmt);
    vsnprintf (context, sizeof context, fmt, args);
    va_end (args);
    memcpy (inner, err->text, sizeof inner);
    int n = snprintf (err->text, sizeof err->text, "%s: ", context);
    if (n > 0 && (size_t) n < sizeof err->text)
        snprintf (err->text + n, sizeof err->text - (size_t) n, "%s", inner);
    if (err->code == RK_OK)
        err->code = code;
    return err->code;
}
