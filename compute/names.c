/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/names.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define MAX_NAME 63 /* longer names are compared by their beginning */

static size_t s_min (size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance with one row of memory. */
static size_t s_distance (const char *a, const char *b)
{
    size_t n_a = s_min (strlen (a), MAX_NAME), n_b = s_min (strlen (b), MAX_NAME);
    size_t row[MAX_NAME + 1];
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t same = tolower ((unsigned char) a[i - 1]) == tolower ((unsigned char) b[j - 1]) ? 0 : 1;
            size_t best = s_min (diagonal + same, s_min (row[j], row[j - 1]) + 1);
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n_b];
}

const char *rk_nearest_name (const char *name, const char *const *names)
{
    const char *best = NULL;
    size_t best_distance = 0;
    for (; *names; names++) {
        size_t distance = s_distance (name, *names);
        if (!best || distance < best_distance) {
            best = *names;
            best_distance = distance;
        }
    }
    return best;
}

int rk_find_name (const char *what, const char *name, const char *const *names, rk_error_t *err)
{
    for (int i = 0; names[i]; i++)
        if (name && strcmp (name, names[i]) == 0)
            return i;
    const char *nearest = rk_nearest_name (name ? name : "", names);
    rk_error_set (err, RK_ENOTFOUND, "unknown %s \"%.60s\", nearest is \"%s\"", what, name ? name : "",
                  nearest ? nearest : "");
    return -1;
}
