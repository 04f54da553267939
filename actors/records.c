/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/records.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cluster/control.h"
#include "cluster/settings.h"

static rk_err_t s_open (const rk_records_t *records, FILE **file, const char *name, const char *mode, const char *head, rk_error_t *err)
{
    if (*file || !*records->run_dir)
        return RK_OK;
    char path[RK_SETTINGS_TEXT + 32];
    snprintf (path, sizeof path, "%s/%s", records->run_dir, name);
    *file = fopen (path, records->goes_on ? "a" : mode);
    if (!*file)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    if (ftell (*file) == 0)
        fputs (head, *file);
    return RK_OK;
}

rk_err_t rk_records_probe (rk_records_t *records, const rk_probe_t *probe, const void *values, rk_error_t *err)
{
    uint32_t n = *probe->names ? 1 : 0;
    for (const char *c = probe->names; *c; c++)
        n += *c == ' ';
    if (n != probe->n_tensors)
        return rk_error_set (err, RK_EFORMAT, "probe of %u tensors with %u names", probe->n_tensors, n);
    rk_err_t code = s_open (records, &records->probes, "probes.csv", "a", "round,replica,tensor,norm_before,norm_after,distance,exact\n", err);
    const char *name = probe->names;
    for (uint32_t i = 0; i < n && code == RK_OK && records->probes; i++) {
        double v[3];
        memcpy (v, (const char *) values + i * sizeof v, sizeof v);
        int length = (int) strcspn (name, " ");
        fprintf (records->probes, "%" PRIu64 ",%u,%.*s,%.17g,%.17g,%.17g,%d\n", probe->round, probe->cluster, length, name, v[0], v[1],
                 v[2], probe->exact);
        name += length + 1;
    }
    if (records->probes)
        fflush (records->probes);
    return code;
}

rk_err_t rk_records_control (rk_records_t *records, uint64_t round, uint32_t value, rk_error_t *err)
{
    rk_err_t code = s_open (records, &records->control, "control.log", "w", "", err);
    const rk_control_record_t record = {.round = round, .value = value};
    char line[64];
    if (code != RK_OK || !records->control)
        return code;
    rk_control_write (&record, 1, line, sizeof line);
    fputs (line, records->control);
    fflush (records->control);
    return RK_OK;
}

rk_err_t rk_records_observed (rk_records_t *records, double seconds, const rk_plan_t *plan, const rk_observed_t *observed, rk_error_t *err)
{
    rk_err_t code = s_open (records, &records->observed, "observed.csv", "a",
                            "seconds,cluster,stage,node,first,last,forward_us,backward_us,planned_us\n", err);
    for (uint32_t c = 0; c < plan->n_clusters && !code && records->observed; c++)
        for (uint32_t i = 0; i < plan->clusters[c].n_stages; i++) {
            const rk_plan_stage_t *stage = rk_plan_stage (plan, c, i);
            uint64_t forward, backward;
            if (rk_observed_stage (observed, plan->clusters[c].first_stage + i, &forward, &backward))
                fprintf (records->observed, "%.3f,%u,%u,%u,%u,%u,%.1f,%.1f,%.1f\n", seconds, c, i, stage->node, stage->first, stage->last,
                         (double) forward / 1e3, (double) backward / 1e3, (double) stage->busy_ns / 1e3);
        }
    if (!code && records->observed)
        fflush (records->observed);
    return code;
}

void rk_records_close (rk_records_t *records)
{
    if (records->observed)
        fclose (records->observed);
    records->observed = NULL;
    if (records->probes)
        fclose (records->probes);
    if (records->control)
        fclose (records->control);
    records->probes = records->control = NULL;
}
