/* SPDX-License-Identifier: MPL-2.0
 * Some part of the state was with the lost alone: the whole run goes back to the newest checkpoint of its folder that is
 * whole, or to the beginning.                                                                             */
#include "actors/coordinator_self.h"

#include "actors/checkpoint.h"

/* Of this very run, and not later than what was committed. */
static bool s_is_ours (const rk_coordinator_t *self, const rk_checkpoint_t *c, uint64_t committed)
{
    const rk_settings_t *is = &self->plan->settings, *was = &c->settings;
    return c->rounds <= committed && was->run_seed == is->run_seed && was->train_batch == is->train_batch &&
           strcmp (was->model_name, is->model_name) == 0 && strcmp (was->data_name, is->data_name) == 0 &&
           strcmp (was->train_optimizer, is->train_optimizer) == 0 && c->plan->minibatches_per_pass == self->plan->minibatches_per_pass;
}

static bool s_find (const rk_coordinator_t *self, const char *folder, uint64_t committed, rk_plan_cursor_t *cursor)
{
    char path[RK_CHECKPOINT_PATH];
    rk_checkpoint_t c = {.file = NULL};
    rk_error_t err = {RK_OK, ""};
    if (!*folder || rk_checkpoint_latest (folder, path, &err) || rk_checkpoint_open (&c, path, &err))
        return false;
    const bool ours = s_is_ours (self, &c, committed);
    if (ours)
        *cursor = (rk_plan_cursor_t){.first_round = c.rounds, .first_f = c.next_f, .n_shards = c.plan->n_shards};
    rk_checkpoint_close (&c);
    return ours;
}

bool rk_coordinator_back_to (const rk_coordinator_t *self, uint64_t committed, rk_plan_cursor_t *cursor)
{
    const char *dir = self->settings.run_dir, *name = strrchr (dir, '/');
    char here[RK_SETTINGS_TEXT];
    snprintf (here, sizeof here, "runs/%.200s", name ? name + 1 : dir); /* where a process of another machine keeps it (node_view.c) */
    *cursor = (rk_plan_cursor_t){.first_round = 0};
    const bool found = s_find (self, dir, committed, cursor) || s_find (self, here, committed, cursor);
    if (found)
        rk_log (RK_LOG_WARNING, "STATE-LOST", "view=%llu a part of the state after %llu rounds was with the lost alone; training goes back to the "
                "checkpoint of round %llu", (unsigned long long) self->view->number, (unsigned long long) committed,
                (unsigned long long) cursor->first_round);
    else
        rk_log (RK_LOG_WARNING, "STATE-LOST", "view=%llu a part of the state after %llu rounds was with the lost alone, and there is no checkpoint; "
                "training begins anew", (unsigned long long) self->view->number, (unsigned long long) committed);
    return found;
}
