/* SPDX-License-Identifier: MPL-2.0
 * What a checkpoint says of itself: the input is key, 0, value, 0, key, ... and becomes the metadata of a file that is whole
 * (fuzz_safetensors breaks files). What is taken fits together: cursor, plan and replicas.                */
#include "actors/checkpoint.h"
#include "cluster/control.h"
#include "cluster/lease.h"
#include "messages/safetensors.h"
#include "tests/fuzz/fuzz.h"

#define PAIRS 32

static void s_use (const rk_checkpoint_t *c)
{
    static rk_control_record_t records[64];
    rk_error_t err = {0};
    size_t n = 0;
    FUZZ_CHECK (c->plan && c->n_replicas == c->plan->n_clusters && c->n_replicas <= RK_MAX_CLUSTERS);
    FUZZ_CHECK (c->n_planes >= 1 && c->n_planes <= RK_N_PLANES && c->planes[0] == RK_PLANE_PARAMS);
    FUZZ_CHECK (rk_round_cursor (c->plan, c->rounds) == c->next_f);
    for (uint32_t r = 0; r < c->n_replicas; r++)
        FUZZ_CHECK (c->replicas[r].loss_scale >= 0);
    if (rk_control_read (c->control, strlen (c->control), records, 64, &n, &err))
        FUZZ_CHECK (err.text[0]);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    static const float x[2] = {1, -2};
    const rk_st_tensor_t tensor = {"fc.weight", 1, {2}, x, 2};
    const char *pairs[2 * PAIRS];
    static rk_checkpoint_t c;
    rk_error_t err = {0};
    char path[64], *text = malloc (size + 2);
    size_t n = 0;
    if (!text)
        return 0;
    memcpy (text, bytes, size);
    text[size] = text[size + 1] = '\0';
    for (size_t at = 0; at < size && n < 2 * PAIRS; at += strlen (text + at) + 1)
        pairs[n++] = text + at;
    snprintf (path, sizeof path, "/dev/shm/fuzz-checkpoint-%d", (int) getpid ());
    if (rk_st_write (path, &tensor, 1, pairs, n / 2, &err) == RK_OK) {
        err = (rk_error_t){RK_OK, ""};
        const rk_err_t rc = rk_checkpoint_open (&c, path, &err);
        FUZZ_CHECK ((rc == RK_OK) == (c.plan != NULL && c.file != NULL) && (rc == RK_OK || err.text[0]));
        if (!rc)
            s_use (&c);
        rk_checkpoint_close (&c);
    }
    unlink (path);
    free (text);
    return 0;
}
