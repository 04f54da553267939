/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/evaluation.h"

#include <stdlib.h>
#include <string.h>

rk_err_t rk_evaluation_init (rk_evaluation_t *e, uint64_t n_minibatches)
{
    *e = (rk_evaluation_t){.n_all = n_minibatches};
    e->parts = calloc (n_minibatches ? n_minibatches : 1, sizeof *e->parts);
    return e->parts ? RK_OK : RK_ENOMEM;
}

void rk_evaluation_clear (rk_evaluation_t *e)
{
    free (e->parts);
    *e = (rk_evaluation_t){0};
}

void rk_evaluation_begin (rk_evaluation_t *e)
{
    e->n_dealt = e->n_answered = 0;
    memset (e->parts, 0, e->n_all * sizeof *e->parts);
}

uint32_t rk_evaluation_deal (rk_evaluation_t *e, uint32_t most, uint64_t *f)
{
    uint32_t n = 0;
    while (n < most && e->n_dealt < e->n_all)
        f[n++] = e->n_dealt++;
    return n;
}

rk_err_t rk_evaluation_answer (rk_evaluation_t *e, uint64_t f, rk_evaluation_part_t part, rk_error_t *err)
{
    if (f >= e->n_dealt || e->parts[f].n || !part.n)
        return rk_error_set (err, RK_ESTALE, "evaluation of minibatch %llu: %s", (unsigned long long) f,
                             f >= e->n_dealt ? "never dealt" : part.n ? "answered already" : "no samples");
    e->parts[f] = part;
    e->n_answered++;
    return RK_OK;
}

bool rk_evaluation_done (const rk_evaluation_t *e)
{
    return e->n_answered == e->n_all;
}

rk_evaluation_part_t rk_evaluation_sum (const rk_evaluation_t *e)
{
    rk_evaluation_part_t sum = {0};
    for (uint64_t f = 0; f < e->n_all; f++) {
        sum.loss_sum += e->parts[f].loss_sum;
        sum.n_correct += e->parts[f].n_correct;
        sum.n_counted += e->parts[f].n_counted;
        sum.n += e->parts[f].n;
    }
    return sum;
}

uint64_t rk_evaluation_waiting (const rk_evaluation_t *e)
{
    for (uint64_t f = 0; f < e->n_dealt; f++)
        if (!e->parts[f].n)
            return f;
    return e->n_all;
}
