/* SPDX-License-Identifier: MPL-2.0
 * Data sets that must open or must be refused; behind cmocka.h. */
#ifndef RK_TESTS_COMPUTE_OPENED_H
#define RK_TESTS_COMPUTE_OPENED_H
#include "compute/data.h"
#include "tests/support/files.h"

static inline rk_data_t *opened (const char *name, const rk_data_options_t *options)
{
    rk_error_t err = {0};
    rk_data_t *data;
    if (rk_data_open (&data, name, options, &err))
        fail_msg ("%s", err.text);
    return data;
}

static inline void refused (const char *name, const rk_data_options_t *options, rk_err_t code, const char *text)
{
    rk_error_t err = {0};
    rk_data_t *data;
    const rk_err_t rc = rk_data_open (&data, name, options, &err);
    assert_null (data);
    if (rc != code || !strstr (err.text, text))
        fail_msg ("code %d, \"%s\": expected code %d and \"%s\"", rc, err.text, code, text);
    assert_null (strchr (err.text, '\n'));
}

static inline bool about (float a, float b)
{
    return fabsf (a - b) < 1e-5f;
}

#endif
