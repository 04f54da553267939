/* SPDX-License-Identifier: MPL-2.0
 * rookery train and rookery node.                                                                        */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors/find.h"
#include "actors/node.h"
#include "actors/planfile.h"
#include "actors/rookery/commands.h"
#include "actors/rookery/resume.h"
#include "actors/rookery/rundir.h"

/* Names are checked before anything is made, so that a wrong one is wrong use, not a failed run. */
static rk_err_t s_check_name (const char *key, const char *name, const char *const *valid, rk_error_t *err)
{
    char list[160] = "";
    size_t used = 0;
    for (; *valid; valid++) {
        if (!strcmp (*valid, name))
            return RK_OK;
        if (used < sizeof list)
            used += (size_t) snprintf (list + used, sizeof list - used, "%s%s", used ? ", " : "", *valid);
    }
    return rk_error_set (err, RK_ENOTFOUND, "%s = %.60s: there is no such one; valid: %s", key, name, list);
}

rk_err_t rk_command_check_names (const rk_settings_t *s, rk_error_t *err)
{
    rk_err_t code = s_check_name ("model.name", s->model_name, rk_model_names (), err);
    return code ? code : s_check_name ("data.name", s->data_name, rk_data_names (), err);
}

/* The plan to replay decides everything but where the run listens and writes. */
static rk_err_t s_replay (rk_settings_t *s, rk_plan_t **plan_p, rk_error_t *err)
{
    rk_err_t code = rk_planfile_read (plan_p, s->run_plan, err);
    if (code)
        return code;
    rk_settings_t planned = (*plan_p)->settings;
    memcpy (planned.run_dir, s->run_dir, sizeof planned.run_dir);
    memcpy (planned.net_listen, s->net_listen, sizeof planned.net_listen);
    *s = planned;
    return RK_OK;
}

static rk_err_t s_processes (const rk_args_t *args, const rk_settings_t *s, uint64_t *n, rk_error_t *err)
{
    rk_err_t code = rk_args_number (args, "nodes", 1, RK_MAX_FLEET, n, err);
    if (!code && *n && !*s->net_listen)
        return rk_error_set (err, RK_EINVAL, "--nodes %" PRIu64 " needs --listen ENDPOINT, where they can join", *n);
    if (!code && !*n && *s->net_listen)
        return rk_error_set (err, RK_EINVAL, "--listen %s needs --nodes N: how many processes will join", s->net_listen);
    return code;
}

static void s_say_done (const rk_settings_t *s, const rk_node_result_t *result)
{
    printf ("test %s %.4f, %.1f s; run folder %s\n", result->judged ? "accuracy" : "loss",
            result->judged ? result->test_accuracy : result->test_loss, result->seconds, s->run_dir);
}

/* Runs with settings that are complete. */
static rk_err_t s_train (const rk_args_t *args, rk_node_config_t *config, const char *initial, rk_error_t *err)
{
    rk_node_result_t result = {0};
    char path[RK_CHECKPOINT_PATH];
    rk_err_t code = RK_OK;
    if (initial) {
        code = rk_rundir_checkpoint (initial, path, err);
        config->initial = path;
    }
    if (!code)
        code = config->resume ? rk_rundir_go_on (&config->settings, err) : rk_rundir_make (&config->settings, err);
    if (code)
        return code;
    code = rk_node_run (config, args->interrupted, &result, err);
    if (result.done && !config->json)
        s_say_done (&config->settings, &result);
    if (code)
        rk_rundir_abandon (config->settings.run_dir);
    if (code == RK_ECANCELED && rk_rundir_is (config->settings.run_dir)) /* the coordinator saved before it stopped */
        rk_error_set (err, code, "stopped on request; what was trained is in %s", config->settings.run_dir);
    return code;
}

static rk_err_t s_open_resume (rk_resume_t *resume, const rk_args_t *args, const char *from, rk_node_config_t *config, rk_error_t *err)
{
    if (args->n_words || rk_args_has (args, "preset") || rk_args_has (args, "from"))
        return rk_error_set (err, RK_EINVAL, "--resume takes its settings from the checkpoint: no run file, --preset or --from beside it");
    return rk_resume_open (resume, args, from, config, err);
}

int rk_command_train (const rk_args_t *args)
{
    rk_error_t err = {0};
    rk_node_config_t config = {.kind = RK_RUN_TRAIN, .json = rk_args_has (args, "json"), .quiet = rk_args_has (args, "quiet"),
                               .insecure = rk_args_count (args, "insecure"), .keys = rk_args_get (args, "keys")};
    rk_plan_t *plan = NULL;
    uint64_t n_processes = 0;
    const char *resumed = rk_args_get (args, "resume");
    rk_resume_t resume = {.plan = NULL};
    rk_err_t code = resumed ? s_open_resume (&resume, args, resumed, &config, &err)
                            : rk_command_settings (&config.settings, args, args->n_words ? args->words[0] : NULL, &err);
    if (!code)
        code = rk_command_check_names (&config.settings, &err);
    if (!code)
        code = s_processes (args, &config.settings, &n_processes, &err);
    if (code) { /* whatever it is, it is about the command line or the run file */
        rk_resume_close (&resume);
        rk_program_fail (&err);
        return RK_EXIT_USAGE;
    }
    if (resumed)
        code = rk_resume_plan (&resume, (uint32_t) n_processes, &config, &err);
    else if (*config.settings.run_plan)
        code = s_replay (&config.settings, &plan, &err);
    if (plan)
        config.plan = plan;
    config.n_processes = (uint32_t) n_processes;
    config.beacon = rk_args_has (args, "beacon");
    config.listen = *config.settings.net_listen ? config.settings.net_listen : NULL;
    if (!code)
        code = s_train (args, &config, rk_args_get (args, "from"), &err);
    rk_plan_destroy (&plan);
    rk_resume_close (&resume);
    return code ? rk_program_fail_run (&err) : RK_EXIT_DONE;
}

static rk_err_t s_reach (const rk_args_t *args, rk_reach_t *reach, rk_error_t *err)
{
    static const char *const words[] = {[RK_REACH_AUTO] = "auto", [RK_REACH_DIRECT] = "direct", [RK_REACH_RELAY] = "relay"};
    const char *word = rk_args_get (args, "reach");
    for (int i = 0; i < 3; i++)
        if (!word || !strcmp (word, words[i])) {
            *reach = word ? (rk_reach_t) i : RK_REACH_AUTO;
            return RK_OK;
        }
    return rk_error_set (err, RK_EINVAL, "--reach %.40s: there is no such one; valid: auto, direct, relay", word);
}

int rk_command_node (const rk_args_t *args)
{
    rk_error_t err = {0};
    rk_node_config_t config = {.join = rk_args_get (args, "join"), .cache = rk_args_has (args, "fresh") ? RK_CACHE_FRESH : RK_CACHE_USE,
                               .name = rk_args_get (args, "name"), .speed = 1, .witness = rk_args_has (args, "witness"),
                               .json = rk_args_has (args, "json"), .quiet = rk_args_has (args, "quiet"),
                               .insecure = rk_args_count (args, "insecure"), .keys = rk_args_get (args, "keys")};
    rk_settings_default (&config.settings);
    uint64_t threads = 0;
    rk_err_t code = config.join ? RK_OK : rk_error_set (&err, RK_EINVAL, "rookery node needs --join ENDPOINT");
    if (!code)
        code = s_reach (args, &config.reach, &err);
    if (!code)
        code = rk_args_real (args, "speed", 0.001, 1, &config.speed, &err);
    if (!code)
        code = rk_args_number (args, "ram", 1, UINT64_C (1) << 30, &config.ram_mb, &err);
    if (!code)
        code = rk_args_number (args, "threads", 0, 1024, &threads, &err);
    if (code)
        return rk_program_fail (&err);
    config.settings.run_threads = (uint32_t) threads;
    rk_node_result_t result = {0};
    char leader[RK_FIND_TEXT];
    const rk_find_t find = {.join = config.join, .keys = config.keys, .plain = config.insecure, .interrupted = args->interrupted};
    code = rk_find_leader (&find, leader, &err);
    config.join = leader;
    if (!code)
        code = rk_node_run (&config, args->interrupted, &result, &err);
    return code ? rk_program_fail_run (&err) : RK_EXIT_DONE;
}
