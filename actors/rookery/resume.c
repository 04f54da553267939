/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/resume.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "actors/rookery/rundir.h"

/* Whoever changes one of these has another run: what was trained, or which sample is whose, would mean something else. */
static const char *const s_fixed[] = {"run.seed",      "model.name",      "data.name",      "data.shard", "data.classes",
                                      "data.sequence", "data.vocabulary", "data.label",     "data.alpha", "data.header",
                                      "data.labels",
                                      "train.batch",   "train.optimizer", "run.precision"};
/* What planning looks at. */
static const char *const s_planned[] = {"fleet.", "plan.", "pipeline.", "run.threads", "run.plan"};

static bool s_is_one (const char *key, const char *const *list, size_t n, bool prefix)
{
    for (size_t i = 0; i < n; i++)
        if (prefix ? strncmp (key, list[i], strlen (list[i])) == 0 : strcmp (key, list[i]) == 0)
            return true;
    return false;
}

/* The first key of the list that differs; NULL: none. */
static const char *s_changed (const rk_settings_t *a, const rk_settings_t *b, const char *const *list, size_t n, bool prefix)
{
    static const char *found;
    found = NULL;
    for (size_t i = 0; i < rk_settings_n_keys () && !found; i++) {
        rk_settings_key_t key;
        char was[4096], is[4096];
        rk_settings_key (i, &key);
        if (!s_is_one (key.key, list, n, prefix))
            continue;
        rk_settings_get (a, i, was, sizeof was);
        rk_settings_get (b, i, is, sizeof is);
        found = strcmp (was, is) != 0 ? key.key : NULL;
    }
    return found;
}

/* Plans are made for paths and addresses of their own run: these are not in a checkpoint. */
static void s_place (rk_settings_t *s, const char *file)
{
    char copy[RK_CHECKPOINT_PATH];
    snprintf (copy, sizeof copy, "%s", file);
    snprintf (s->run_dir, sizeof s->run_dir, "%s", dirname (copy));
    s->run_plan[0] = s->net_listen[0] = 0;
}

static rk_err_t s_settings (rk_resume_t *r, const rk_args_t *args, rk_settings_t *s, rk_error_t *err)
{
    *s = r->from.settings;
    s_place (s, r->from.path);
    s->fleet_given = false; /* the first fleet.node on the command line replaces the fleet of the checkpoint */
    rk_err_t code = rk_command_apply (s, args, err);
    s->fleet_given = s->fleet_given || r->from.settings.fleet_given;
    if (code)
        return code;
    const char *key = s_changed (&r->from.settings, s, s_fixed, sizeof s_fixed / sizeof *s_fixed, false);
    if (key)
        return rk_error_set (err, RK_EINVAL, "--resume: %s may not change; --from starts a new run from the parameters", key);
    if (r->from.next_f >= s->run_passes * r->from.plan->minibatches_per_pass)
        return rk_error_set (err, RK_EINVAL, "--resume %s: all of its %llu passes are trained; --passes N with a larger N goes on",
                             r->from.path, (unsigned long long) s->run_passes);
    return RK_OK;
}

rk_err_t rk_resume_open (rk_resume_t *r, const rk_args_t *args, const char *folder_or_file, rk_node_config_t *config, rk_error_t *err)
{
    char path[RK_CHECKPOINT_PATH];
    memset (r, 0, sizeof *r);
    rk_err_t code = rk_rundir_checkpoint (folder_or_file, path, err);
    if (code == RK_OK)
        code = rk_checkpoint_open (&r->from, path, err);
    if (code == RK_OK)
        code = s_settings (r, args, &config->settings, err);
    if (code != RK_OK)
        return code;
    const rk_plan_t *plan = r->from.plan;
    config->resume = r->from.path;
    config->cursor = (rk_plan_cursor_t){.first_round = r->from.rounds, .first_f = r->from.next_f, .control = r->from.control,
                                        .n_shards = plan->n_shards ? plan->n_shards : plan->n_clusters};
    return RK_OK;
}

static bool s_fits (const rk_resume_t *r, uint32_t n_processes, const rk_settings_t *s)
{
    uint32_t n_nodes = n_processes ? n_processes : s->n_fleet ? s->n_fleet : 1;
    return n_nodes == r->from.plan->n_nodes &&
           !s_changed (&r->from.settings, s, s_planned, sizeof s_planned / sizeof *s_planned, true);
}

rk_err_t rk_resume_plan (rk_resume_t *r, uint32_t n_processes, rk_node_config_t *config, rk_error_t *err)
{
    if (!s_fits (r, n_processes, &config->settings))
        return RK_OK;
    rk_err_t code = rk_plan_copy (&r->plan, r->from.plan);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan");
    const rk_settings_t planned = r->plan->settings;
    r->plan->settings = config->settings; /* such as another learning rate; the plan's own paths stay */
    memcpy (r->plan->settings.run_dir, planned.run_dir, sizeof planned.run_dir);
    memcpy (r->plan->settings.net_listen, planned.net_listen, sizeof planned.net_listen);
    code = rk_plan_set_cursor (r->plan, config->cursor.first_round, config->cursor.first_f, config->cursor.n_shards, err);
    config->plan = r->plan;
    return code;
}

void rk_resume_close (rk_resume_t *r)
{
    rk_checkpoint_close (&r->from);
    rk_plan_destroy (&r->plan);
}
