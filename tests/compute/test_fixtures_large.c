/* SPDX-License-Identifier: MPL-2.0
 * The large built-in models against PyTorch; gpt2-124m with fewer tokens.                               */
#include "tests/compute/fixture_bench.h"

int main (void)
{
    static struct CMUnitTest tests[sizeof s_large / sizeof *s_large];
    const size_t n = sizeof tests / sizeof *tests;
    if (rk_blas_init ("auto", NULL))
        return 1;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest) {.name = s_large[i], .test_func = test_model, .initial_state = (void *) (uintptr_t) s_large[i]};
    return _cmocka_run_group_tests ("fixtures_large", tests, n, NULL, NULL);
}
