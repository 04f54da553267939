/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/panel.h"

#include <stdlib.h>

rk_err_t rk_panel_init (rk_panel_t *panel, uint64_t n, uint32_t n_replicas, uint64_t n_measure, bool each)
{
    *panel = (rk_panel_t){.n_replicas = n_replicas, .each = each};
    rk_err_t code = rk_evaluation_init (&panel->model, n);
    panel->measure = calloc (n_replicas + 1, sizeof *panel->measure);
    panel->replicas = calloc (n_replicas + 1, sizeof *panel->replicas);
    if (!panel->measure || !panel->replicas) {
        panel->n_replicas = 0;
        return RK_ENOMEM;
    }
    for (uint32_t r = 0; r < n_replicas && code == RK_OK; r++) {
        code = rk_evaluation_init (&panel->measure[r], n_measure);
        if (code == RK_OK)
            code = rk_evaluation_init (&panel->replicas[r], each ? n : 0);
    }
    return code;
}

void rk_panel_clear (rk_panel_t *panel)
{
    rk_evaluation_clear (&panel->model);
    for (uint32_t r = 0; r < panel->n_replicas; r++) {
        rk_evaluation_clear (&panel->measure[r]);
        rk_evaluation_clear (&panel->replicas[r]);
    }
    free (panel->measure);
    free (panel->replicas);
    *panel = (rk_panel_t){0};
}

void rk_panel_begin (rk_panel_t *panel)
{
    rk_evaluation_begin (&panel->model);
    for (uint32_t r = 0; r < panel->n_replicas; r++) {
        rk_evaluation_begin (&panel->measure[r]);
        rk_evaluation_begin (&panel->replicas[r]);
    }
}

static rk_evaluation_t *s_part (rk_panel_t *panel, rk_panel_kind_t kind, uint32_t replica)
{
    if (kind == RK_PANEL_MODEL)
        return &panel->model;
    if (replica >= panel->n_replicas)
        return NULL;
    return kind == RK_PANEL_MEASURE ? &panel->measure[replica] : &panel->replicas[replica];
}

uint32_t rk_panel_deal (rk_panel_t *panel, uint32_t replica, uint32_t most, uint64_t *f, rk_panel_kind_t *kind)
{
    static const rk_panel_kind_t order[] = {RK_PANEL_MEASURE, RK_PANEL_MODEL, RK_PANEL_REPLICA};
    uint32_t n = 0;
    for (int i = 0; i < 3 && n == 0; i++) {
        rk_evaluation_t *part = s_part (panel, order[i], replica);
        *kind = order[i];
        n = part ? rk_evaluation_deal (part, most, f) : 0;
    }
    return n;
}

rk_err_t rk_panel_answer (rk_panel_t *panel, rk_panel_kind_t kind, uint32_t replica, uint64_t f, rk_evaluation_part_t part,
                          rk_error_t *err)
{
    rk_evaluation_t *of = s_part (panel, kind, replica);
    if (!of)
        return rk_error_set (err, RK_ESTALE, "replica %u is not asked for an evaluation of its own", replica);
    return rk_evaluation_answer (of, f, part, err);
}

bool rk_panel_done (const rk_panel_t *panel)
{
    bool done = rk_evaluation_done (&panel->model);
    for (uint32_t r = 0; r < panel->n_replicas; r++)
        done = done && rk_evaluation_done (&panel->measure[r]) && rk_evaluation_done (&panel->replicas[r]);
    return done;
}

rk_panel_spread_t rk_panel_spread (const rk_panel_t *panel)
{
    rk_panel_spread_t spread = {0};
    for (uint32_t r = 0; r < panel->n_replicas && panel->each; r++) {
        rk_evaluation_part_t sum = rk_evaluation_sum (&panel->replicas[r]);
        double accuracy = sum.n_counted ? (double) sum.n_correct / (double) sum.n_counted : 0;
        spread.least = r == 0 || accuracy < spread.least ? accuracy : spread.least;
        spread.most = r == 0 || accuracy > spread.most ? accuracy : spread.most;
        spread.mean += accuracy;
        spread.n++;
    }
    spread.mean = spread.n ? spread.mean / spread.n : 0;
    return spread;
}

uint64_t rk_panel_waiting (const rk_panel_t *panel)
{
    for (uint32_t r = 0; r < panel->n_replicas; r++) {
        const rk_evaluation_t *parts[] = {&panel->measure[r], &panel->replicas[r]};
        for (int i = 0; i < 2; i++)
            if (parts[i]->n_answered < parts[i]->n_dealt)
                return rk_evaluation_waiting (parts[i]);
    }
    return rk_evaluation_waiting (&panel->model);
}
