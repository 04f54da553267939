/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/radix.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    rk_radix_t best, now;
    double best_models, now_models; /* sums */
} s_search_t;

static double s_models (uint32_t factor)
{
    return 2.0 * (factor - 1) / factor;
}

/* All products of ascending factors from `least` on, best first by digits, then by bytes. */
static void s_search (s_search_t *search, uint32_t rest, uint32_t least, uint32_t largest)
{
    rk_radix_t *now = &search->now;
    if (search->best.n_digits > 0 && now->n_digits + (rest > 1) > search->best.n_digits)
        return;
    if (rest == 1) {
        if (search->best.n_digits == 0 || now->n_digits < search->best.n_digits ||
            search->now_models < search->best_models - 1e-12) {
            search->best = *now;
            search->best_models = search->now_models;
        }
        return;
    }
    for (uint32_t factor = least; factor <= rest && now->n_digits < RK_RADIX_DIGITS; factor++) {
        if ((uint64_t) factor * factor > rest)
            factor = rest; /* no room for a further one that is not smaller */
        if (rest % factor != 0 || factor > largest)
            continue;
        const double models = search->now_models;
        now->factors[now->n_digits++] = factor;
        search->now_models += s_models (factor);
        s_search (search, rest / factor, factor, largest);
        search->now_models = models;
        now->n_digits--;
    }
}

/* Small and large in turn, so that no few steps in a row are all cheap ones. */
static void s_interleave (rk_radix_t *radix)
{
    uint32_t sorted[RK_RADIX_DIGITS];
    memcpy (sorted, radix->factors, sizeof sorted);
    for (uint32_t d = 0; d < radix->n_digits; d++)
        radix->factors[d] = d % 2 ? sorted[radix->n_digits - 1 - d / 2] : sorted[d / 2];
}

static uint32_t s_largest_prime (uint32_t n)
{
    uint32_t largest = 1;
    for (uint32_t p = 2; n > 1; p++) {
        if ((uint64_t) p * p > n)
            p = n;
        for (; n % p == 0; n /= p)
            largest = p > largest ? p : largest;
    }
    return largest;
}

rk_radix_t rk_radix_make (uint32_t n, uint32_t largest)
{
    const uint32_t prime = s_largest_prime (n);
    s_search_t search = {0};
    s_search (&search, n, 2, largest > prime ? largest : prime);
    rk_radix_t *best = &search.best;
    best->largest = best->factors[best->n_digits - 1];
    best->models = search.best_models / best->n_digits;
    s_interleave (best);
    return *best;
}

static bool s_better (const rk_radix_t *a, const rk_radix_t *b, double models)
{
    const bool a_fits = a->models <= models + 1e-9, b_fits = b->models <= models + 1e-9;
    if (a_fits && b_fits && a->n_digits != b->n_digits)
        return a->n_digits < b->n_digits;
    return a_fits != b_fits ? a_fits : a->models < b->models;
}

rk_radix_t rk_radix_within (uint32_t n, double models)
{
    rk_radix_t best = rk_radix_make (n, 2);
    for (uint32_t largest = 3; largest <= n; largest++) {
        if (n % largest != 0)
            continue;
        const rk_radix_t next = rk_radix_make (n, largest);
        if (s_better (&next, &best, models))
            best = next;
    }
    return best;
}
