/* SPDX-License-Identifier: MPL-2.0
 * plan.json as run.plan takes it. What is taken is a plan that holds.                                      */
#include "actors/planfile.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    fuzz_file_t input;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (fuzz_file_open (&input, bytes, size)) {
        const rk_err_t rc = rk_planfile_read (&plan, input.path, &err);
        FUZZ_CHECK ((rc == RK_OK) == (plan != NULL) && (rc == RK_OK || err.text[0]));
        FUZZ_CHECK (!plan || rk_plan_check (plan, &err) == RK_OK);
    }
    rk_plan_destroy (&plan);
    fuzz_file_close (&input);
    return 0;
}
