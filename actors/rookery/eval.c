/* SPDX-License-Identifier: MPL-2.0
 * rookery eval and rookery predict: forward-only minibatches through the same pipeline.                  */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors/node.h"
#include "actors/rookery/commands.h"
#include "actors/rookery/rundir.h"
#include "actors/training.h"
#include "compute/data.h"

/* Settings of the run, for use on this machine: one stage at full speed unless --set fleet.layout=N asks for
 * a pipeline. Nothing is written to the run folder.                                                       */
static rk_err_t s_settings (const rk_args_t *args, rk_settings_t *s, rk_error_t *err)
{
    rk_err_t code = rk_rundir_settings (args->words[0], s, err);
    if (!code) /* the fleet and the layout of the training do not matter here */
        code = rk_settings_set (s, "fleet.node", "none", err);
    if (!code)
        code = rk_settings_set (s, "fleet.layout", "1", err);
    if (!code)
        code = rk_command_apply (s, args, err);
    s->run_dir[0] = s->run_plan[0] = s->net_listen[0] = 0;
    snprintf (s->net_transport, sizeof s->net_transport, "inproc");
    uint32_t n_nodes = 0;
    for (uint32_t i = 0; i < s->n_layout; i++)
        n_nodes += s->fleet_layout[i];
    if (!code && s->n_fleet == 0)
        for (uint32_t i = 0; !code && n_nodes > 1 && i < n_nodes; i++) {
            char node[32];
            snprintf (node, sizeof node, "n%u 1 0", i);
            code = rk_settings_set (s, "fleet.node", node, err);
        }
    return code ? code : rk_command_check_names (s, err);
}

static rk_err_t s_run (const rk_args_t *args, rk_node_config_t *config, rk_node_result_t *result, rk_error_t *err)
{
    char path[RK_CHECKPOINT_PATH];
    const char *given = rk_args_get (args, "checkpoint");
    rk_err_t code = rk_rundir_checkpoint (given ? given : args->words[0], path, err);
    if (code)
        return code;
    config->initial = path;
    config->quiet = rk_args_has (args, "quiet");
    return rk_node_run (config, args->interrupted, result, err);
}

int rk_command_eval (const rk_args_t *args)
{
    rk_error_t err = {0};
    rk_node_config_t config = {.kind = RK_RUN_EVAL, .json = rk_args_has (args, "json")};
    rk_node_result_t result = {0};
    rk_err_t code = s_settings (args, &config.settings, &err);
    if (code)
        return rk_program_fail (&err);
    code = s_run (args, &config, &result, &err);
    if (code)
        return rk_program_fail_run (&err);
    if (!config.json)
        printf ("test accuracy %.4f, test loss %.4f\n", result.test_accuracy, result.test_loss);
    return RK_EXIT_DONE;
}

int rk_command_predict (const rk_args_t *args)
{
    rk_error_t err = {0};
    /* stdout belongs to the predictions, so there are no JSON lines about the run */
    rk_node_config_t config = {.kind = RK_RUN_PREDICT, .predictions_json = rk_args_has (args, "json")};
    rk_node_result_t result = {0};
    const char *input = rk_args_get (args, "input"), *output = rk_args_get (args, "output");
    rk_err_t code = input ? s_settings (args, &config.settings, &err)
                          : rk_error_set (&err, RK_EINVAL, "rookery predict needs --input FILE: IDX images, .npy, raw f32 or a text");
    if (code)
        return rk_program_fail (&err);
    rk_data_t *data = NULL;
    const rk_data_options_t options = rk_data_options_of (&config.settings);
    code = rk_data_open_input (&data, config.settings.data_name, &options, input, &err);
    config.data = data;
    config.predictions = output ? output : "-";
    if (!code)
        code = s_run (args, &config, &result, &err);
    rk_data_close (&data);
    return code ? rk_program_fail_run (&err) : RK_EXIT_DONE;
}
