/* SPDX-License-Identifier: MPL-2.0
 * The planner "uniform", what one does without measuring: equal clusters of nodes in the order they come, each
 * stage as many layers as the next. Of all numbers of clusters that leave no node out and fit in memory the one
 * with the best score; the baseline others are compared with.                                            */
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>

static void s_lay_out (const rk_costs_t *costs, uint32_t n_clusters, rk_assignment_t *a)
{
    const uint32_t k = costs->n_nodes / n_clusters;
    *a = (rk_assignment_t){.n_clusters = n_clusters, .n_stages = n_clusters * k};
    for (uint32_t c = 0; c < n_clusters; c++) {
        a->counts[c] = k;
        for (uint32_t s = 0; s < k; s++) {
            a->nodes[c * k + s] = c * k + s;
            a->first_layers[c * k + s] = costs->at[(uint64_t) costs->n_units * s / k];
        }
    }
}

/* Bytes that the fullest stage lacks. */
static bool s_fits (rk_costs_t *costs, const rk_assignment_t *a, rk_chain_t *chains, uint64_t *lacking)
{
    uint64_t most = 0;
    rk_assignment_chains (costs, a, chains);
    for (uint32_t c = 0; c < a->n_clusters; c++)
        most = chains[c].lacking > most ? chains[c].lacking : most;
    *lacking = most < *lacking ? most : *lacking;
    return most == 0;
}

rk_err_t rk_planner_uniform (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    const uint32_t n = costs->n_nodes, forced = costs->settings->n_layout;
    rk_assignment_t *trial = malloc (sizeof *trial);
    rk_chain_t *chains = malloc (n * sizeof *chains);
    rk_err_t code = trial && chains ? RK_OK : RK_ENOMEM;
    uint64_t best = 0, lacking = UINT64_MAX;
    for (uint32_t c = 1; code == RK_OK && c <= n; c++) {
        if (n % c || n / c > costs->n_units || (forced && forced != c))
            continue;
        rk_outlook_t outlook;
        s_lay_out (costs, c, trial);
        if (!s_fits (costs, trial, chains, &lacking))
            continue;
        code = rk_assignment_judge (costs, trial, &outlook);
        if (code == RK_OK && outlook.worth > best) {
            best = outlook.worth;
            memcpy (out, trial, sizeof *out);
        }
    }
    free (trial);
    free (chains);
    if (code == RK_ENOMEM)
        return rk_error_set (err, code, "no memory to plan %u nodes", n);
    if (best > 0)
        return RK_OK;
    if (lacking == UINT64_MAX)
        return rk_error_set (err, RK_EPLAN, "uniform: %u nodes do not divide into equal clusters of up to %u stages", n, costs->n_units);
    return rk_error_set (err, RK_EPLAN, "uniform: with equal shares of the layers a node lacks %llu MB",
                         (unsigned long long) ((lacking + (1 << 20) - 1) >> 20));
}
