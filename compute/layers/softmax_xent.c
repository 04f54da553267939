/* SPDX-License-Identifier: MPL-2.0
 * Softmax and cross-entropy in one: loss = -log p(label), gradient (p - onehot) / n.
 * save: probabilities (n, classes), then the labels (n).                                             */
#include <math.h>
#include <string.h>

#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_softmax_xent;

int rk_model_softmax_xent (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_softmax_xent, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 1 || layer->in_elems[0] < 2)
        return rk_error_set (err, RK_ESHAPE, "input %s is not a vector of at least two classes",
                             rk_shape_text (layer->in_shape[0], text));
    layer->shape = rk_shape_1 (1);
    return RK_OK;
}

/* Probabilities of one sample; returns the index of the first largest logit and adds to *log_sum. */
static size_t s_softmax (const float *x, float *p, size_t n_classes, double *log_sum)
{
    size_t best = 0;
    for (size_t c = 1; c < n_classes; c++)
        if (x[c] > x[best])
            best = c;
    float sum = 0;
    for (size_t c = 0; c < n_classes; c++) {
        p[c] = expf (x[c] - x[best]);
        sum += p[c];
    }
    for (size_t c = 0; c < n_classes; c++)
        p[c] /= sum;
    *log_sum = log ((double) sum) + (double) x[best];
    return best;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n_classes = call->layer->in_elems[0];
    float *p = call->save;
    int32_t *labels = (int32_t *) (p + call->n * n_classes);
    rk_loss_t loss = {.n_samples = (uint32_t) call->n};
    for (size_t i = 0; i < call->n; i++) {
        const float *x = call->x[0] + i * n_classes;
        double log_sum;
        size_t best = s_softmax (x, p + i * n_classes, n_classes, &log_sum);
        if (!call->labels)
            continue;
        labels[i] = call->labels[i];
        loss.loss_sum += log_sum - (double) x[labels[i]];
        loss.n_correct += best == (size_t) labels[i];
    }
    if (call->loss)
        *call->loss = loss;
    if (call->probabilities)
        memcpy (call->probabilities, p, call->n * n_classes * sizeof *p);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t n_classes = call->layer->in_elems[0];
    const float *p = call->save;
    const int32_t *labels = (const int32_t *) (p + call->n * n_classes);
    const float scale = 1.0f / (float) call->n;
    for (size_t i = 0; i < call->n; i++)
        for (size_t c = 0; c < n_classes; c++)
            call->gx[0][i * n_classes + c] =
                (p[i * n_classes + c] - ((size_t) labels[i] == c ? 1.0f : 0.0f)) * scale;
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 10 * (uint64_t) batch * layer->in_elems[0];
    need->backward_flops = 2 * (uint64_t) batch * layer->in_elems[0];
    need->save_bytes = batch * (layer->in_elems[0] * sizeof (float) + sizeof (int32_t));
}

const rk_layer_type_t rk_layer_softmax_xent = {
    .kind = "softmax_xent",
    .flags = RK_IS_LOSS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
