/* SPDX-License-Identifier: MPL-2.0
 * Control records: what a closed-loop graph's control is from which round on (cluster/control.h). The leader
 * decides from the distances that stages report with RoundApplied, or replays a file; RoundClosed tells every
 * stage the value of its round, so that all use the same graph.                                             */
#include "actors/coordinator_self.h"

#include <errno.h>
#include <math.h>

#include "actors/training.h"
#include "cluster/exchange.h"

#define MOST_FILE 65536 /* bytes of a file of records */
#define MOST_RECORDS 8192

struct rk_coordinator_control {
    bool decides;
    rk_control_t loop;
    rk_graph_t *graph;
    rk_training_t training;
    double *distance; /* 2 x n_stages, by parity of the round: squared, of one stage */
    rk_control_record_t *records;
    size_t n_records;
};

static rk_err_t s_read_file (rk_coordinator_control_t *control, const char *path, rk_error_t *err)
{
    char *text = malloc (MOST_FILE);
    FILE *file = fopen (path, "r");
    rk_err_t code = RK_OK;
    if (!text || !file)
        code = rk_error_set (err, text ? RK_EIO : RK_ENOMEM, "run.control %s: %s", path, strerror (errno));
    size_t n = code == RK_OK ? fread (text, 1, MOST_FILE, file) : 0;
    if (code == RK_OK && n == MOST_FILE)
        code = rk_error_set (err, RK_EFORMAT, "run.control %s has more than %d bytes", path, MOST_FILE - 1);
    if (code == RK_OK)
        code = rk_control_read (text, n, control->records, MOST_RECORDS, &control->n_records, err);
    if (file)
        fclose (file);
    free (text);
    return code;
}

static rk_err_t s_begin_loop (rk_coordinator_control_t *control, const rk_plan_t *plan, rk_error_t *err)
{
    const rk_settings_t *s = &plan->settings;
    const rk_graph_config_t config = rk_exchange_config (plan);
    uint32_t values[RK_CONTROL_LADDER], n = 0;
    double sight[RK_CONTROL_LADDER];
    rk_err_t code = rk_control_ladder (&config, values, &n, err);
    if (code == RK_OK)
        code = rk_control_sparse_only (&config, values, &n, err);
    double mu = strcmp (s->train_optimizer, "sgd") == 0 ? s->train_momentum : 0;
    if (code == RK_OK)
        code = rk_control_sight (&config, values, n, mu, sight, err);
    if (code != RK_OK)
        return code;
    const rk_control_config_t loop = {.values = values, .sight = sight, .n_values = n, .ratio = s->average_control_ratio,
                                      .lr_peak = s->train_lr, .settle = s->average_control_settle};
    control->decides = true;
    control->records[control->n_records++] = (rk_control_record_t){.round = plan->view > 1 ? plan->first_round : 0, .value = values[n - 1]};
    return rk_control_init (&control->loop, &loop, err);
}

bool rk_coordinator_control_fits (const rk_plan_t *plan, rk_error_t *err)
{
    if (!plan->settings.average_control || *plan->settings.run_control || plan->n_clusters < 2)
        return true;
    rk_control_record_t first[1];
    rk_coordinator_control_t probe = {.records = first};
    return s_begin_loop (&probe, plan, err) == RK_OK;
}

/* What was decided before holds on; the loop looks anew, from the value in force. */
static rk_err_t s_go_on (rk_coordinator_t *self, rk_coordinator_control_t *control, rk_error_t *err)
{
    rk_err_t code = s_begin_loop (control, self->plan, err);
    control->n_records = 0;
    if (code == RK_OK)
        code = rk_control_read (self->cursor.control, strlen (self->cursor.control), control->records, MOST_RECORDS, &control->n_records, err);
    return code;
}

rk_err_t rk_coordinator_control_open (rk_coordinator_t *self, rk_error_t *err)
{
    const rk_settings_t *s = &self->plan->settings;
    if ((!s->average_control && !*s->run_control) || self->plan->n_clusters < 2 || self->kind != RK_RUN_TRAIN)
        return RK_OK;
    rk_coordinator_control_t *control = self->control = calloc (1, sizeof *control);
    if (control) {
        control->distance = calloc (2 * self->plan->n_stages, sizeof *control->distance);
        control->records = calloc (MOST_RECORDS, sizeof *control->records);
    }
    if (!control || !control->distance || !control->records)
        return rk_error_set (err, RK_ENOMEM, "no memory for control records");
    rk_err_t code = rk_exchange_graph (&control->graph, self->plan, err);
    if (code == RK_OK)
        code = rk_training_of (self->plan, &control->training, err);
    if (code != RK_OK)
        return code;
    if (!*s->run_control && self->plan->view == 1 && self->cursor.control && *self->cursor.control)
        return s_go_on (self, control, err);
    return *s->run_control ? s_read_file (control, s->run_control, err) : s_begin_loop (control, self->plan, err);
}

void rk_coordinator_control_close (rk_coordinator_t *self)
{
    if (!self->control)
        return;
    rk_graph_destroy (&self->control->graph);
    free (self->control->distance);
    free (self->control->records);
    free (self->control);
    self->control = NULL;
}

uint32_t rk_coordinator_control_at (const rk_coordinator_t *self, uint64_t round)
{
    return self->control ? rk_control_at (self->control->records, self->control->n_records, round) : 0;
}

void rk_coordinator_control_hear (rk_coordinator_t *self, const rk_round_applied_t *applied)
{
    if (self->control)
        self->control->distance[(applied->round & 1) * self->plan->n_stages + applied->stage] = applied->distance;
}

char *rk_coordinator_control_text (const rk_coordinator_t *self)
{
    const rk_coordinator_control_t *control = self->control;
    size_t n = control ? rk_control_write (control->records, control->n_records, NULL, 0) : 0;
    char *text = control && n < MOST_FILE ? malloc (n + 1) : NULL;
    if (text)
        rk_control_write (control->records, control->n_records, text, n + 1);
    return text;
}

/* Told when it comes into force: replayed records are kept like decided ones. */
static void s_tell (rk_coordinator_t *self, const rk_control_record_t *record)
{
    rk_log (RK_LOG_INFO, "CONTROL", "round=%llu value=%u", (unsigned long long) record->round, record->value);
    rk_msg_t msg = {.kind = RK_MSG_CONTROL, .control = {.round = record->round, .value = record->value}};
    if (rk_loop_connected (self->loop, RK_TO_OBSERVER))
        rk_coordinator_send (self, RK_TO_OBSERVER, &msg, NULL, 0);
}

void rk_coordinator_control_begin (rk_coordinator_t *self)
{
    for (size_t i = 0; self->control && i < self->control->n_records; i++)
        s_tell (self, &self->control->records[i]);
}

/* All stages have applied the round: what they measured, in order of the stages, so that the sum is the same every time. */
void rk_coordinator_control_decide (rk_coordinator_t *self, uint64_t round)
{
    rk_coordinator_control_t *control = self->control;
    if (!control || !control->decides || control->n_records == MOST_RECORDS)
        return;
    if (!rk_exchange_at (self->plan, control->graph, round, rk_coordinator_control_at (self, round)).mix)
        return;
    double sum = 0;
    for (uint32_t s = 0; s < self->plan->n_stages; s++)
        sum += control->distance[(round & 1) * self->plan->n_stages + s];
    uint64_t first, end;
    rk_round_range (self->plan, round, &first, &end);
    rk_control_record_t record;
    if (!rk_control_observe (&control->loop, round, sqrt (sum / self->plan->n_clusters), rk_lr_at (&control->training.lr, end - 1), &record))
        return;
    control->records[control->n_records++] = record;
    s_tell (self, &record);
}
