/* SPDX-License-Identifier: MPL-2.0
 * rookery eval and rookery predict: forward-only minibatches through the same pipeline.                  */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors/node.h"
#include "actors/planfile.h"
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
    if (!config.json && !result.judged)
        printf ("test loss %.4f\n", result.test_loss);
    else if (!config.json)
        printf ("test accuracy %.4f, test loss %.4f\n", result.test_accuracy, result.test_loss);
    return RK_EXIT_DONE;
}

/* The samples of a file as the run knew them: its classes, which a set may learn from labels that nobody has here, and
 * its shape.                                                                                              */
static rk_err_t s_open_input (const rk_args_t *args, const rk_settings_t *settings, rk_data_t **data_p, rk_error_t *err)
{
    char path[RK_CHECKPOINT_PATH], found[RK_SHAPE_TEXT], expected[RK_SHAPE_TEXT];
    const char *dir = args->words[0], *input = rk_args_get (args, "input");
    rk_plan_t *plan = NULL;
    if ((size_t) snprintf (path, sizeof path, "%s/plan.json", dir) >= sizeof path)
        return rk_error_set (err, RK_EINVAL, "%.60s...: the path is too long", dir);
    rk_err_t code = rk_planfile_read (&plan, path, err);
    if (code)
        return code;
    rk_data_options_t options = rk_data_options_of (settings);
    options.n_classes = plan->n_classes;
    rk_shape_t shape = {.n_dims = (int) plan->n_dims};
    for (uint32_t i = 0; i < plan->n_dims && i < RK_MAX_DIMS; i++)
        shape.dim[i] = plan->dims[i];
    rk_plan_destroy (&plan);
    code = rk_data_open_input (data_p, settings->data_name, &options, input, err);
    if (!code && !rk_shape_equal (shape, rk_data_shape (*data_p)))
        code = rk_error_set (err, RK_ESHAPE, "%s: samples are %s, the run was trained on %s", input,
                             rk_shape_text (rk_data_shape (*data_p), found), rk_shape_text (shape, expected));
    return code;
}

int rk_command_predict (const rk_args_t *args)
{
    rk_error_t err = {0};
    /* stdout belongs to the predictions, so there are no JSON lines about the run */
    rk_node_config_t config = {.kind = RK_RUN_PREDICT, .predictions_json = rk_args_has (args, "json")};
    rk_node_result_t result = {0};
    const char *input = rk_args_get (args, "input"), *output = rk_args_get (args, "output");
    rk_err_t code = input ? s_settings (args, &config.settings, &err)
                          : rk_error_set (&err, RK_EINVAL, "rookery predict needs --input FILE: IDX images, .npy, CSV, raw f32 or a text");
    if (code)
        return rk_program_fail (&err);
    rk_data_t *data = NULL;
    code = s_open_input (args, &config.settings, &data, &err);
    config.data = data;
    config.predictions = output ? output : "-";
    if (!code)
        code = s_run (args, &config, &result, &err);
    rk_data_close (&data);
    return code ? rk_program_fail_run (&err) : RK_EXIT_DONE;
}
