/* SPDX-License-Identifier: MPL-2.0
 * For helpers that are not built with cmocka: what must hold, in every build type.                   */
#ifndef RK_TESTS_SUPPORT_MUST_H
#define RK_TESTS_SUPPORT_MUST_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "compute/error.h"

static inline void rk_must_hold (bool holds, const char *what)
{
    if (!holds) {
        fprintf (stderr, "does not hold: %s\n", what);
        abort ();
    }
}

static inline void rk_must (rk_err_t rc, const rk_error_t *err)
{
    rk_must_hold (rc == RK_OK, err->text);
}

#define RK_MUST_HOLD(condition) rk_must_hold ((condition), #condition)

#endif
