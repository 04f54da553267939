/* SPDX-License-Identifier: MPL-2.0
 * Decoder-only transformers. gpt2-124m and gpt-nano, -micro, -mini: GPT-2 (Radford et al., 2019) with its names; the
 * output projection is the token embedding. char-gpt: a small one for characters, whose output has weights of its own.
 * Tokens: the classes; positions: the input's, of gpt2-124m 1,024.                                     */
#include <math.h>
#include <stdio.h>

#include "compute/models/models.h"

#define DEVIATION 0.02f /* of initial weights */

typedef struct {
    size_t n_blocks, n_heads, width, n_positions; /* n_positions 0: the input's */
} s_size_t;

static int s_linear (rk_model_t *m, const char *name, int in, size_t n_out, bool bias, float deviation)
{
    const int t = rk_model_linear (m, name, in, n_out, bias);
    rk_model_normal (m, t, deviation);
    return t;
}

/* Names of the parts of one block, each behind "<prefix>.". */
typedef struct {
    const char *norm[2], *qkv, *attention, *out, *add[2], *up, *act, *down;
    rk_gelu_t gelu;
    float out_deviation; /* of what is added to the residual stream */
} s_names_t;

static int s_block (rk_model_t *m, const char *prefix, int in, const s_size_t *size, const s_names_t *names)
{
    char name[64];
#define NAMED(part) (snprintf (name, sizeof name, "%s.%s", prefix, part), name)
    int t = rk_model_layernorm (m, NAMED (names->norm[0]), in, 0);
    t = s_linear (m, NAMED (names->qkv), t, 3 * size->width, true, DEVIATION);
    t = rk_model_attention (m, NAMED (names->attention), t, size->n_heads, true);
    t = s_linear (m, NAMED (names->out), t, size->width, true, names->out_deviation);
    const int middle = rk_model_add (m, NAMED (names->add[0]), t, in);
    t = rk_model_layernorm (m, NAMED (names->norm[1]), middle, 0);
    t = s_linear (m, NAMED (names->up), t, 4 * size->width, true, DEVIATION);
    t = rk_model_gelu (m, NAMED (names->act), t, names->gelu);
    t = s_linear (m, NAMED (names->down), t, size->width, true, names->out_deviation);
    return rk_model_add (m, NAMED (names->add[1]), t, middle);
#undef NAMED
}

static void s_gpt2 (rk_model_t *m, const s_size_t *size, size_t n_tokens)
{
    const s_names_t names = {{"ln_1", "ln_2"}, "attn.c_attn", "attn", "attn.c_proj", {"attn.add", "mlp.add"}, "mlp.c_fc",
                             "mlp.act", "mlp.c_proj", RK_GELU_TANH, DEVIATION / sqrtf (2 * (float) size->n_blocks)};
    const size_t length = rk_shape_elems (rk_model_tensor_shape (m, 0));
    char prefix[32];
    const int embedded = rk_model_embedding (m, "wte", 0, n_tokens, size->width);
    rk_model_normal (m, embedded, DEVIATION);
    int t = rk_model_positions (m, "wpe", embedded, size->n_positions ? size->n_positions : length);
    rk_model_normal (m, t, DEVIATION);
    for (size_t b = 0; b < size->n_blocks; b++) {
        snprintf (prefix, sizeof prefix, "h.%zu", b);
        t = s_block (m, prefix, t, size, &names);
    }
    t = rk_model_layernorm (m, "ln_f", t, 0);
    rk_model_softmax_xent (m, "loss", rk_model_projection (m, "lm_head", t, embedded));
}

void rk_model_build_gpt_nano (rk_model_t *m, size_t n_classes)
{
    s_gpt2 (m, &(s_size_t) {3, 3, 48, 0}, n_classes);
}

void rk_model_build_gpt_micro (rk_model_t *m, size_t n_classes)
{
    s_gpt2 (m, &(s_size_t) {4, 4, 128, 0}, n_classes);
}

void rk_model_build_gpt_mini (rk_model_t *m, size_t n_classes)
{
    s_gpt2 (m, &(s_size_t) {6, 6, 192, 0}, n_classes);
}

void rk_model_build_gpt2_124m (rk_model_t *m, size_t n_classes)
{
    s_gpt2 (m, &(s_size_t) {12, 12, 768, 1024}, n_classes);
}

void rk_model_build_char_gpt (rk_model_t *m, size_t n_classes)
{
    static const s_names_t names = {{"n1", "n2"}, "att.qkv", "att", "att.out", {"add1", "add2"}, "mlp.0", "mlp.1", "mlp.2",
                                    RK_GELU_ERF, DEVIATION};
    const s_size_t size = {4, 4, 128, 0};
    char prefix[32];
    int t = rk_model_embedding (m, "tok", 0, n_classes, size.width);
    rk_model_normal (m, t, DEVIATION);
    t = rk_model_positions (m, "pos", t, rk_shape_elems (rk_model_tensor_shape (m, 0)));
    rk_model_normal (m, t, DEVIATION);
    for (size_t b = 0; b < size.n_blocks; b++) {
        snprintf (prefix, sizeof prefix, "layers.%zu", b);
        t = s_block (m, prefix, t, &size, &names);
    }
    t = rk_model_layernorm (m, "norm", t, 0);
    rk_model_softmax_xent (m, "loss", s_linear (m, "head", t, n_classes, false, DEVIATION));
}
