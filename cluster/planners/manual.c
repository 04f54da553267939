/* SPDX-License-Identifier: MPL-2.0
 * The planner "manual": plan.manual says who holds what. Stages from first to last, clusters in ring order:
 *   plan.manual = strong-1:0 weak-1:4 / strong-2:0 weak-2:4
 * Commas may stand between stages. A cluster without layers is cut by the dynamic programming that auto uses. */
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>

#define BLANK " \t,"

typedef struct {
    rk_costs_t *costs;
    rk_assignment_t *out;
    bool used[RK_PLAN_MAX_NODES];
    uint32_t n_given; /* of the cluster at hand: stages with a layer */
} s_reader_t;

static bool s_find (const rk_costs_t *costs, const char *name, size_t length, uint32_t *node)
{
    for (uint32_t i = 0; i < costs->n_nodes; i++)
        if (strlen (costs->fleet->nodes[i].name) == length && memcmp (costs->fleet->nodes[i].name, name, length) == 0) {
            *node = i;
            return true;
        }
    return false;
}

static bool s_is_place (const rk_costs_t *costs, uint64_t layer)
{
    for (uint32_t u = 0; u < costs->n_units; u++)
        if (costs->at[u] == layer)
            return true;
    return false;
}

static rk_err_t s_layer (s_reader_t *r, const char *word, const char *text, uint32_t stage, rk_error_t *err)
{
    const rk_costs_t *costs = r->costs;
    rk_assignment_t *out = r->out;
    char *end;
    const unsigned long long layer = strtoull (text, &end, 10);
    if (end == text || *text == '-' || (*end && !strchr (BLANK "/", *end)) || layer >= costs->model->n_layers)
        return rk_error_set (err, RK_EPLAN, "plan.manual: \"%.40s\": the model has layers 0 to %u", word, costs->model->n_layers - 1);
    if (stage == 0 ? layer != 0 : layer <= out->first_layers[out->n_stages - 1])
        return rk_error_set (err, RK_EPLAN, "plan.manual: \"%.40s\": the first stage begins with layer 0, each other behind the one before",
                             word);
    if (!s_is_place (costs, layer))
        return rk_error_set (err, RK_EPLAN, "plan.manual: layer %llu lies inside a run of layers that is never cut: the model has %u",
                             layer, costs->model->n_layers);
    out->first_layers[out->n_stages] = (uint32_t) layer;
    r->n_given++;
    return RK_OK;
}

static rk_err_t s_stage (s_reader_t *r, const char *word, size_t length, uint32_t stage, rk_error_t *err)
{
    const char *colon = memchr (word, ':', length);
    const size_t n_name = colon ? (size_t) (colon - word) : length;
    uint32_t node;
    if (!s_find (r->costs, word, n_name, &node))
        return rk_error_set (err, RK_EPLAN, "plan.manual: no node of the fleet is called \"%.*s\"", (int) (n_name < 40 ? n_name : 40), word);
    if (r->used[node])
        return rk_error_set (err, RK_EPLAN, "plan.manual: node %s has two stages", r->costs->fleet->nodes[node].name);
    r->used[node] = true;
    rk_err_t code = colon ? s_layer (r, word, colon + 1, stage, err) : RK_OK;
    r->out->nodes[r->out->n_stages++] = node;
    return code;
}

/* Cuts for the cluster that ends here. */
static rk_err_t s_close (s_reader_t *r, uint32_t k, rk_error_t *err)
{
    rk_assignment_t *out = r->out;
    const uint32_t base = out->n_stages - k;
    if (k == 0 || k > r->costs->n_units)
        return rk_error_set (err, RK_EPLAN, "plan.manual: cluster %u has %u stages, the model %u layers", out->n_clusters, k,
                             r->costs->model->n_layers);
    if (r->n_given > 0 && r->n_given < k)
        return rk_error_set (err, RK_EPLAN, "plan.manual: cluster %u tells the first layer of %u of its %u stages: all or none", out->n_clusters,
                             r->n_given, k);
    out->counts[out->n_clusters++] = k;
    if (r->n_given == k)
        return RK_OK;
    rk_chain_t chain = {.k = k};
    for (uint32_t s = 0; s < k; s++)
        chain.node[s] = (uint16_t) out->nodes[base + s];
    if (!rk_cut_best (r->costs, &chain, UINT64_MAX))
        return rk_error_set (err, RK_EPLAN, "plan.manual: the model does not fit into the memory of cluster %u, however it is cut",
                             out->n_clusters - 1);
    for (uint32_t s = 0; s < k; s++)
        out->first_layers[base + s] = r->costs->at[chain.first[s]];
    return RK_OK;
}

rk_err_t rk_planner_manual (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    const char *text = costs->settings->plan_manual;
    s_reader_t r = {.costs = costs, .out = out};
    uint32_t k = 0;
    rk_err_t code = RK_OK;
    out->n_clusters = out->n_stages = 0;
    costs->averaging = strchr (text, '/') != NULL;
    if (!text[strspn (text, BLANK)])
        return rk_error_set (err, RK_EPLAN, "plan.planner = manual needs plan.manual, as plan.manual = a:0 b:4 / c:0 d:6");
    while (code == RK_OK && *text) {
        text += strspn (text, BLANK);
        const size_t length = strcspn (text, BLANK "/");
        if (length > 0) {
            code = s_stage (&r, text, length, k++, err);
            text += length;
        }
        if (code == RK_OK && (*text == '/' || !*text)) {
            code = s_close (&r, k, err);
            k = r.n_given = 0;
            text += *text == '/';
            if (code == RK_OK && text[-1] == '/' && !text[strspn (text, BLANK)])
                code = rk_error_set (err, RK_EPLAN, "plan.manual: nothing behind the last /");
        }
    }
    return code;
}
