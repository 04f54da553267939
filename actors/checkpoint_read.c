/* SPDX-License-Identifier: MPL-2.0
 * A checkpoint read: nothing of it is used before all of it has been looked at.                           */
#include "actors/checkpoint_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"

static rk_err_t s_wrong (const rk_checkpoint_t *c, rk_error_t *err, const char *key, const char *why)
{
    return rk_error_set (err, RK_EFORMAT, "%s: %s %s", c->path, key, why);
}

/* ---- keys */
static rk_err_t s_number (const rk_checkpoint_t *c, const char *key, uint64_t most, uint64_t *out, rk_error_t *err)
{
    const char *text = rk_st_metadata (c->file, key);
    char *end = NULL;
    errno = 0;
    unsigned long long value = text && *text >= '0' && *text <= '9' ? strtoull (text, &end, 10) : 0;
    if (!end || *end || errno || value > most)
        return s_wrong (c, err, key, text ? "is no number that can be" : "is missing");
    *out = value;
    return RK_OK;
}

static rk_err_t s_replica (rk_checkpoint_t *c, uint32_t replica, rk_error_t *err)
{
    char key[24];
    snprintf (key, sizeof key, "replica.%u", replica);
    const char *text = rk_st_metadata (c->file, key);
    rk_checkpoint_replica_t *r = &c->replicas[replica];
    uint32_t bits;
    unsigned frozen;
    if (!text || sscanf (text, RK_CHECKPOINT_NUMBERS_READ, &r->steps, &r->n_good, &bits, &frozen) != 4)
        return s_wrong (c, err, key, text ? "does not say its steps" : "is missing");
    memcpy (&r->loss_scale, &bits, sizeof bits);
    r->frozen = frozen;
    if (!(r->loss_scale >= 0 && r->loss_scale <= 1e30f))
        return s_wrong (c, err, key, "has an impossible loss scale");
    return RK_OK;
}

static rk_err_t s_planes (rk_checkpoint_t *c, rk_error_t *err)
{
    const char *text = rk_st_metadata (c->file, "planes");
    for (unsigned p = 0; text && p < RK_N_PLANES; p++) {
        size_t n = strlen (rk_plane_name ((rk_plane_t) p));
        if (strncmp (text, rk_plane_name ((rk_plane_t) p), n) != 0 || (text[n] != ' ' && text[n]))
            continue;
        c->planes[c->n_planes++] = (rk_plane_t) p;
        text += text[n] ? n + 1 : n;
    }
    if (!text || *text || c->n_planes == 0 || c->planes[0] != RK_PLANE_PARAMS)
        return s_wrong (c, err, "planes", text ? "names vectors that are not known" : "is missing");
    return RK_OK;
}

static rk_err_t s_plan (rk_checkpoint_t *c, rk_error_t *err)
{
    const char *text = rk_st_metadata (c->file, "plan");
    size_t n = text ? strlen (text) / 2 : 0;
    uint8_t *bytes = malloc (n + 1);
    if (!bytes)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for the plan", c->path);
    rk_err_t code = n ? RK_OK : s_wrong (c, err, "plan", "is missing");
    for (size_t i = 0; i < n && code == RK_OK; i++) {
        unsigned byte;
        if (sscanf (text + 2 * i, "%2x", &byte) != 1)
            code = s_wrong (c, err, "plan", "is not in hexadecimal digits");
        bytes[i] = (uint8_t) byte;
    }
    if (code == RK_OK) {
        code = rk_plan_decode (&c->plan, bytes, n, err);
        if (code != RK_OK)
            rk_error_wrap (err, RK_EFORMAT, "%s: plan", c->path);
    }
    free (bytes);
    return code == RK_ENOMEM ? code : code == RK_OK ? RK_OK : RK_EFORMAT;
}

static rk_err_t s_settings (rk_checkpoint_t *c, rk_error_t *err)
{
    const char *text = rk_st_metadata (c->file, "settings");
    if (!text)
        return s_wrong (c, err, "settings", "is missing");
    rk_err_t code = rk_settings_read (&c->settings, text, strlen (text), err);
    return code == RK_OK ? RK_OK : rk_error_wrap (err, RK_EFORMAT, "%s: settings", c->path);
}

/* What the keys say must fit together. */
static rk_err_t s_cursor (rk_checkpoint_t *c, rk_error_t *err)
{
    if (c->n_replicas != c->plan->n_clusters)
        return s_wrong (c, err, "replicas", "are not those of the plan");
    if (c->rounds < c->plan->first_round || c->rounds > rk_round_n (c->plan) || rk_round_cursor (c->plan, c->rounds) != c->next_f)
        return s_wrong (c, err, "next_minibatch", "is not where the rounds of the plan end");
    return RK_OK;
}

static rk_err_t s_read (rk_checkpoint_t *c, rk_error_t *err)
{
    const char *format = rk_st_metadata (c->file, "format");
    uint64_t replicas = 0, apart = 0;
    if (!format || strcmp (format, RK_CHECKPOINT_FORMAT) != 0)
        return rk_error_set (err, RK_EUNSUPPORTED, "%s: format %.40s, only %s can be resumed (--from starts anew from its parameters)",
                             c->path, format ? format : "unknown", RK_CHECKPOINT_FORMAT);
    rk_err_t code = s_number (c, "rounds", UINT64_MAX, &c->rounds, err);
    if (code == RK_OK)
        code = s_number (c, "next_minibatch", UINT64_MAX, &c->next_f, err);
    if (code == RK_OK)
        code = s_number (c, "replicas", RK_MAX_CLUSTERS, &replicas, err);
    if (code == RK_OK)
        code = s_number (c, "apart", 1, &apart, err);
    c->n_replicas = (uint32_t) replicas;
    c->apart = apart;
    for (uint32_t r = 0; r < c->n_replicas && code == RK_OK; r++)
        code = s_replica (c, r, err);
    if (code == RK_OK)
        code = s_planes (c, err);
    if (code == RK_OK)
        code = s_settings (c, err);
    if (code == RK_OK)
        code = s_plan (c, err);
    if (code == RK_OK)
        code = s_cursor (c, err);
    c->control = rk_st_metadata (c->file, "control");
    return code == RK_OK && !c->control ? s_wrong (c, err, "control", "is missing") : code;
}

rk_err_t rk_checkpoint_open (rk_checkpoint_t *c, const char *path, rk_error_t *err)
{
    memset (c, 0, sizeof *c);
    snprintf (c->path, sizeof c->path, "%s", path);
    rk_err_t code = rk_st_open (&c->file, path, err);
    if (code == RK_OK)
        code = s_read (c, err);
    if (code != RK_OK)
        rk_checkpoint_close (c);
    return code;
}

void rk_checkpoint_close (rk_checkpoint_t *c)
{
    rk_plan_destroy (&c->plan);
    rk_st_close (&c->file);
}

/* ---- tensors */
static const rk_st_tensor_t *s_tensor (const rk_checkpoint_t *c, const rk_param_t *p, uint32_t replica, rk_plane_t plane)
{
    char name[RK_CHECKPOINT_NAME];
    return rk_st_find (c->file, rk_checkpoint_name (name, p, replica, plane));
}

static rk_err_t s_check_tensor (const rk_checkpoint_t *c, const rk_param_t *p, uint32_t replica, rk_plane_t plane, rk_error_t *err)
{
    const rk_st_tensor_t *t = s_tensor (c, p, replica, plane);
    char name[RK_CHECKPOINT_NAME];
    rk_checkpoint_name (name, p, replica, plane);
    if (!t)
        return rk_error_set (err, RK_ESHAPE, "%s has no %s", c->path, name);
    if (t->count != p->count)
        return rk_error_set (err, RK_ESHAPE, "%s: %s has %zu values, the model %zu", c->path, name, t->count, p->count);
    return RK_OK;
}

rk_err_t rk_checkpoint_check (const rk_checkpoint_t *c, const rk_model_t *model, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (size_t i = 0; i < rk_model_n_tensors (model) && code == RK_OK; i++) {
        const rk_param_t *p = rk_model_param (model, i);
        code = s_check_tensor (c, p, RK_CHECKPOINT_MEAN, RK_PLANE_PARAMS, err);
        for (uint32_t r = 0; r < c->n_replicas; r++)
            for (uint32_t k = 0; k < c->n_planes && code == RK_OK; k++)
                if (rk_checkpoint_has (p, c->planes[k]) && (c->planes[k] != RK_PLANE_PARAMS || c->apart))
                    code = s_check_tensor (c, p, r, c->planes[k], err);
    }
    return code;
}

static bool s_was_saved (const rk_checkpoint_t *c, rk_plane_t plane)
{
    for (uint32_t k = 0; k < c->n_planes; k++)
        if (c->planes[k] == plane)
            return true;
    return false;
}

void rk_checkpoint_take (const rk_checkpoint_t *c, const rk_model_t *model, bool same, uint32_t replica, rk_plane_t plane,
                         uint64_t lo, uint64_t n, float *floats)
{
    memset (floats, 0, n * sizeof *floats);
    if (plane == RK_PLANE_MIXTURE && (!same || !s_was_saved (c, plane)))
        plane = RK_PLANE_PARAMS;
    if (plane == RK_PLANE_PARAMS)
        replica = same && c->apart ? replica : RK_CHECKPOINT_MEAN;
    else if (!s_was_saved (c, plane) || (!same && plane >= RK_PLANE_TRACKED))
        return; /* it begins anew */
    else
        replica %= c->n_replicas;
    for (size_t i = 0; i < rk_model_n_tensors (model); i++) {
        const rk_param_t *p = rk_model_param (model, i);
        uint64_t from = p->offset > lo ? p->offset : lo, end = p->offset + p->count < lo + n ? p->offset + p->count : lo + n;
        if (from >= end || !rk_checkpoint_has (p, plane))
            continue;
        const rk_st_tensor_t *t = s_tensor (c, p, replica, plane);
        if (t && t->count == p->count)
            memcpy (floats + (from - lo), (const char *) t->data + (from - p->offset) * sizeof (float), (end - from) * sizeof (float));
    }
}
