/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/planfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define ROW_BYTES 48 /* of the listing per string of "canonical" */

/* ---- to JSON; a NULL from jansson (no memory) ends in json_dumps failing on the whole */
static json_t *s_hex (uint64_t x)
{
    char text[20];
    snprintf (text, sizeof text, "%016" PRIx64, x);
    return json_string (text);
}

static json_t *s_int (uint64_t x)
{
    return json_integer ((json_int_t) x);
}

static json_t *s_stage (const rk_plan_t *plan, const rk_plan_stage_t *stage, const rk_model_t *model)
{
    json_t *object = json_pack ("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "node", s_int (stage->node), "first", s_int (stage->first),
                                "last", s_int (stage->last), "flat_lo", s_int (stage->flat_lo), "flat_hi",
                                s_int (stage->flat_hi), "memory_bytes", s_int (stage->memory_bytes), "busy_us",
                                json_real ((double) stage->busy_ns / 1e3));
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i] == stage->node)
            json_object_set_new (object, "speed", json_real (plan->node_speed_ppm[i] / 1e6));
    if (model && stage->last <= (uint32_t) rk_model_n_layers (model)) {
        json_t *names = json_array ();
        for (uint32_t layer = stage->first; layer < stage->last; layer++)
            json_array_append_new (names, json_string (rk_model_layer_name (model, (int) layer)));
        json_object_set_new (object, "layers", names);
    }
    return object;
}

static json_t *s_clusters (const rk_plan_t *plan, const rk_model_t *model)
{
    json_t *clusters = json_array ();
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const rk_plan_cluster_t *cluster = &plan->clusters[c];
        json_t *stages = json_array ();
        for (uint32_t s = 0; s < cluster->n_stages; s++)
            json_array_append_new (stages, s_stage (plan, rk_plan_stage (plan, c, s), model));
        json_array_append_new (clusters, json_pack ("{s:f,s:o,s:o}", "minibatches_per_s", (double) cluster->rate / 1e9,
                                                    "in_flight", s_int (cluster->in_flight), "stages", stages));
    }
    return clusters;
}

static json_t *s_rings (const rk_plan_t *plan)
{
    json_t *rings = json_array ();
    for (uint32_t i = 0; i < plan->n_rings; i++)
        json_array_append_new (rings, json_pack ("{s:o,s:o}", "lo", s_int (plan->rings[i].lo), "hi", s_int (plan->rings[i].hi)));
    return rings;
}

static json_t *s_segments (const rk_plan_t *plan)
{
    json_t *segments = json_array ();
    for (uint32_t i = 0; i < plan->n_segments; i++) {
        const rk_plan_segment_t *segment = &plan->segments[i];
        json_t *owners = json_array ();
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            json_array_append_new (owners, s_int (plan->owners[segment->first_owner + c]));
        json_array_append_new (segments, json_pack ("{s:o,s:o,s:o,s:o}", "lo", s_int (segment->lo), "hi", s_int (segment->hi),
                                                    "ring", s_int (segment->ring), "owners", owners));
    }
    return segments;
}

static json_t *s_predicted (const rk_plan_t *plan)
{
    rk_score_t score;
    rk_plan_score (plan, &score);
    return json_pack ("{s:f,s:o,s:o,s:o}", "samples_per_s", (double) score.samples_per_1000s / 1000, "bytes_per_round",
                      s_int (score.round_bytes), "max_memory_bytes", s_int (score.max_memory_bytes), "bottleneck_stage",
                      s_int (score.bottleneck_stage));
}

static json_t *s_settings (const rk_plan_t *plan)
{
    json_t *settings = json_object ();
    for (size_t i = 0; i < rk_settings_n_keys (); i++) {
        rk_settings_key_t key;
        char value[8192];
        rk_settings_key (i, &key);
        if (rk_settings_get (&plan->settings, i, value, sizeof value) < sizeof value)
            json_object_set_new (settings, key.key, json_string (value));
    }
    return settings;
}

static json_t *s_canonical (const rk_plan_t *plan)
{
    size_t size = rk_plan_encode (plan, NULL, 0);
    uint8_t *bytes = malloc (size ? size : 1);
    json_t *rows = bytes ? json_array () : NULL;
    if (bytes)
        rk_plan_encode (plan, bytes, size);
    for (size_t at = 0; rows && at < size; at += ROW_BYTES) {
        char row[2 * ROW_BYTES + 1];
        size_t n = size - at < ROW_BYTES ? size - at : ROW_BYTES;
        for (size_t i = 0; i < n; i++)
            snprintf (row + 2 * i, 3, "%02x", bytes[at + i]);
        json_array_append_new (rows, json_string (row));
    }
    free (bytes);
    return rows;
}

static json_t *s_plan (const rk_plan_t *plan, const rk_model_t *model)
{
    json_t *rows = s_canonical (plan);
    if (!rows)
        return NULL;
    return json_pack ("{s:s,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "format", "rookery-plan-1", "digest",
                      s_hex (plan->digest), "view", s_int (plan->view), "model", plan->settings.model_name, "kernels",
                      plan->kernels, "train_samples", s_int (plan->train_samples), "floats", s_int (plan->n_flat), "clusters",
                      s_clusters (plan, model), "rings", s_rings (plan), "segments", s_segments (plan), "predicted",
                      s_predicted (plan), "settings", s_settings (plan), "canonical", rows);
}

rk_err_t rk_planfile_write (const rk_plan_t *plan, const rk_model_t *model, const char *path, rk_error_t *err)
{
    json_t *object = s_plan (plan, model);
    char *text = object ? json_dumps (object, JSON_INDENT (1) | JSON_REAL_PRECISION (8)) : NULL;
    json_decref (object);
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory", path);
    FILE *file = fopen (path, "w");
    bool bad = !file || fprintf (file, "%s\n", text) < 0;
    if (file)
        bad = fclose (file) || bad;
    free (text);
    return bad ? rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno)) : RK_OK;
}

static json_t *s_simulated (const rk_plan_t *plan, const rk_simulated_t *simulated, uint64_t rounds)
{
    json_t *idle = json_array ();
    for (uint32_t i = 0; i < plan->n_stages; i++)
        json_array_append_new (idle, json_real (simulated->idle_ppm[i] / 1e6));
    return json_pack ("{s:f,s:f,s:o,s:f,s:f}", "samples_per_s", (double) simulated->samples_per_1000s / 1000, "pass_s",
                      (double) simulated->pass_ns / 1e9, "idle", idle, "averaging_bytes_per_round",
                      (double) simulated->averaging_bytes / (double) rounds, "averaging_ms_per_round",
                      (double) simulated->averaging_ns / 1e6 / (double) rounds);
}

rk_err_t rk_planfile_print (const rk_plan_t *plan, const rk_model_t *model, const rk_simulated_t *simulated, uint64_t rounds,
                            rk_error_t *err)
{
    json_t *object = s_plan (plan, model);
    if (object && simulated)
        json_object_set_new (object, "simulated", s_simulated (plan, simulated, rounds));
    char *text = object ? json_dumps (object, JSON_COMPACT | JSON_REAL_PRECISION (8)) : NULL;
    json_decref (object);
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "no memory for the plan as JSON");
    printf ("%s\n", text);
    free (text);
    return RK_OK;
}

/* ---- from JSON: only "canonical" counts, the rest is for people */
static int s_nibble (char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr (digits, c) : NULL;
    return at ? (int) (at - digits) : -1;
}

/* Appends a row; false when it is not hex. */
static bool s_row (const char *row, uint8_t *bytes, size_t *n)
{
    for (; row[0]; row += 2) {
        int high = s_nibble (row[0]), low = row[1] ? s_nibble (row[1]) : -1;
        if (high < 0 || low < 0)
            return false;
        bytes[(*n)++] = (uint8_t) (high << 4 | low);
    }
    return true;
}

static rk_err_t s_decode (rk_plan_t **plan_p, const json_t *rows, const char *path, rk_error_t *err)
{
    size_t room = 1, n = 0;
    for (size_t i = 0; i < json_array_size (rows); i++)
        room += json_string_length (json_array_get (rows, i));
    uint8_t *bytes = malloc (room);
    if (!bytes)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory", path);
    rk_err_t code = RK_OK;
    for (size_t i = 0; i < json_array_size (rows) && !code; i++) {
        const char *row = json_string_value (json_array_get (rows, i));
        if (!row || !s_row (row, bytes, &n))
            code = rk_error_set (err, RK_EFORMAT, "%s: row %zu of \"canonical\" is not hex", path, i);
    }
    if (!code && (code = rk_plan_decode (plan_p, bytes, n, err)))
        rk_error_wrap (err, code, "%s", path);
    free (bytes);
    return code;
}

rk_err_t rk_planfile_read (rk_plan_t **plan_p, const char *path, rk_error_t *err)
{
    *plan_p = NULL;
    FILE *file = fopen (path, "rb");
    if (!file)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    json_error_t where;
    json_t *object = json_loadf (file, JSON_REJECT_DUPLICATES, &where);
    fclose (file);
    if (!object)
        return rk_error_set (err, RK_EFORMAT, "%s: line %d: %s", path, where.line, where.text);
    const json_t *rows = json_object_get (object, "canonical");
    rk_err_t code = json_is_array (rows) ? s_decode (plan_p, rows, path, err)
                                         : rk_error_set (err, RK_EFORMAT, "%s: no \"canonical\" listing, so it is no plan", path);
    json_decref (object);
    return code;
}
