/* SPDX-License-Identifier: MPL-2.0
 * BERT base, uncased (Devlin et al., 2019): encoder and pooler, and a linear layer that tells the classes of a sample by
 * its first position. 30,522 tokens, up to 512 positions; norms after the sums. The query, key and value matrices are
 * one, "attention.self.qkv", in this order.                                                            */
#include <stdio.h>

#include "compute/models/models.h"

#define WIDTH 768
#define DEVIATION 0.02f
#define EPSILON 1e-12f
#define DROPOUT 0.1f

static int s_linear (rk_model_t *m, const char *name, int in, size_t n_out)
{
    const int t = rk_model_linear (m, name, in, n_out, true);
    rk_model_normal (m, t, DEVIATION);
    return t;
}

static int s_embed (rk_model_t *m)
{
    int t = rk_model_embedding (m, "embeddings.word_embeddings", 0, 30522, WIDTH);
    rk_model_normal (m, t, DEVIATION);
    t = rk_model_positions (m, "embeddings.position_embeddings", t, 512);
    rk_model_normal (m, t, DEVIATION);
    t = rk_model_segment (m, "embeddings.token_type_embeddings", t, 2);
    rk_model_normal (m, t, DEVIATION);
    t = rk_model_layernorm (m, "embeddings.LayerNorm", t, EPSILON);
    return rk_model_dropout (m, "embeddings.dropout", t, DROPOUT);
}

static int s_layer (rk_model_t *m, int nth, int in)
{
    char name[64];
#define NAMED(part) (snprintf (name, sizeof name, "encoder.layer.%d.%s", nth, part), name)
    int t = s_linear (m, NAMED ("attention.self.qkv"), in, 3 * WIDTH);
    t = rk_model_attention (m, NAMED ("attention.self"), t, 12, false);
    t = s_linear (m, NAMED ("attention.output.dense"), t, WIDTH);
    t = rk_model_dropout (m, NAMED ("attention.output.dropout"), t, DROPOUT);
    t = rk_model_add (m, NAMED ("attention.output.add"), t, in);
    const int middle = rk_model_layernorm (m, NAMED ("attention.output.LayerNorm"), t, EPSILON);
    t = s_linear (m, NAMED ("intermediate.dense"), middle, 4 * WIDTH);
    t = rk_model_gelu (m, NAMED ("intermediate.act"), t, RK_GELU_ERF);
    t = s_linear (m, NAMED ("output.dense"), t, WIDTH);
    t = rk_model_dropout (m, NAMED ("output.dropout"), t, DROPOUT);
    t = rk_model_add (m, NAMED ("output.add"), t, middle);
    return rk_model_layernorm (m, NAMED ("output.LayerNorm"), t, EPSILON);
#undef NAMED
}

void rk_model_build_bert_base (rk_model_t *m, size_t n_classes)
{
    int t = s_embed (m);
    for (int i = 0; i < 12; i++)
        t = s_layer (m, i, t);
    t = rk_model_split (m, "pooler.first", t, 0, 0, 1);
    t = s_linear (m, "pooler.dense", rk_model_flatten (m, "pooler.flatten", t), WIDTH);
    t = rk_model_tanh (m, "pooler.activation", t);
    t = rk_model_dropout (m, "dropout", t, DROPOUT);
    rk_model_softmax_xent (m, "loss", s_linear (m, "classifier", t, n_classes));
}
