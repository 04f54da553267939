/* SPDX-License-Identifier: MPL-2.0
 * Softmax and cross-entropy in one, per position: loss = - sum over c of t_c log p_c, where t has 1 - smoothing at
 * the label and smoothing / classes everywhere; gradient (p - t) / labels that count (PyTorch's CrossEntropyLoss).
 * x: (N, classes) or (N, positions, classes)   labels: (N) or (N, positions)
 * save: probabilities (N positions, classes), then the labels, then the loss of each and whether it is right. */
#include <math.h>
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/layer.h"

#define RUN_ROWS 32 /* positions of one task */

typedef struct {
    float *p; /* (rows, classes) */
    int32_t *labels;
    float *loss;
    int32_t *right;
    size_t rows, n_classes;
} s_save_t;

extern const rk_layer_type_t rk_layer_softmax_xent;

int rk_model_cross_entropy (rk_model_t *m, const char *name, int in, rk_cross_entropy_t how)
{
    return rk_model_append (m, &rk_layer_softmax_xent, name, 1, &in, (rk_layer_config_t) {.cross_entropy = how});
}

int rk_model_softmax_xent (rk_model_t *m, const char *name, int in)
{
    return rk_model_cross_entropy (m, name, in, (rk_cross_entropy_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_cross_entropy_t *how = &layer->config.cross_entropy;
    const rk_shape_t x = layer->in_shape[0];
    const size_t n_classes = x.n_dims ? x.dim[x.n_dims - 1] : 0;
    if (x.n_dims > 2 || n_classes < 2)
        return rk_error_set (err, RK_ESHAPE,
                             "input %s is not (classes) or (positions, classes) with at least two classes",
                             rk_shape_text (x, text));
    if (!(how->smoothing >= 0 && how->smoothing < 1))
        return rk_error_set (err, RK_EINVAL, "label smoothing %g is not in [0, 1)", (double) how->smoothing);
    layer->shape = rk_shape_1 (1);
    layer->labels = (rk_labels_t) {.kind = RK_LABEL_CLASS, .n = layer->in_elems[0] / n_classes, .n_classes = n_classes,
                                   .ignores = how->ignores, .ignore = how->ignore};
    return RK_OK;
}

static s_save_t s_save (const rk_layer_call_t *call)
{
    s_save_t s = {.p = call->save, .rows = call->n * call->layer->labels.n, .n_classes = call->layer->labels.n_classes};
    s.labels = (int32_t *) (s.p + s.rows * s.n_classes);
    s.loss = (float *) (s.labels + s.rows);
    s.right = (int32_t *) (s.loss + s.rows);
    return s;
}

static bool s_counts (const rk_layer_call_t *call, int32_t label)
{
    return !call->layer->labels.ignores || label != call->layer->labels.ignore;
}

/* Loss of a row, and whether its first largest logit is the label's. log p_c = x_c - x_best + log p_best, where
 * nothing large cancels.                                                                              */
static void s_judge (const rk_layer_call_t *call, const s_save_t *s, size_t row)
{
    const float *x = call->x[0] + row * s->n_classes, smoothing = call->layer->config.cross_entropy.smoothing;
    const size_t label = (size_t) s->labels[row];
    size_t best = 0;
    for (size_t c = 1; c < s->n_classes; c++)
        best = x[c] > x[best] ? c : best;
    s->right[row] = best == label;
    const double log_best = log ((double) s->p[row * s->n_classes + best]);
    double expected = (double) x[label]; /* logit, under t */
    if (smoothing > 0)
        expected += (double) smoothing * (rk_vec ()->sum (s->n_classes, x) / (double) s->n_classes - expected);
    s->loss[row] = (float) (((double) x[best] - expected) - log_best);
}

static void s_forward_rows (void *arg, size_t task, size_t worker)
{
    const rk_layer_call_t *call = arg;
    const s_save_t s = s_save (call);
    const size_t first = task * RUN_ROWS, n = s.rows - first < RUN_ROWS ? s.rows - first : RUN_ROWS;
    rk_vec ()->softmax_rows (n, s.n_classes, call->x[0] + first * s.n_classes, s.p + first * s.n_classes, NULL);
    for (size_t row = first; call->labels && row < first + n; row++)
        if (s_counts (call, s.labels[row]))
            s_judge (call, &s, row);
}

static void s_forward (const rk_layer_call_t *call)
{
    const s_save_t s = s_save (call);
    rk_layer_call_t own = *call;
    rk_loss_t loss = {0};
    if (call->labels)
        memcpy (s.labels, call->labels, s.rows * sizeof *s.labels);
    rk_pool_run (call->pool, (s.rows + RUN_ROWS - 1) / RUN_ROWS, s_forward_rows, &own);
    for (size_t row = 0; call->labels && row < s.rows; row++) {
        if (!s_counts (call, s.labels[row]))
            continue;
        loss.loss_sum += (double) s.loss[row];
        loss.n_correct += (uint64_t) s.right[row];
        loss.n_counted++;
    }
    if (call->loss)
        *call->loss = loss;
    if (call->probabilities)
        memcpy (call->probabilities, s.p, s.rows * s.n_classes * sizeof *s.p);
}

static void s_backward_rows (void *arg, size_t task, size_t worker)
{
    const rk_layer_call_t *call = arg;
    const s_save_t s = s_save (call);
    const size_t first = task * RUN_ROWS, end = s.rows - first < RUN_ROWS ? s.rows : first + RUN_ROWS;
    size_t n_counted = 0;
    for (size_t row = 0; row < s.rows; row++)
        n_counted += s_counts (call, s.labels[row]);
    const float smoothing = call->layer->config.cross_entropy.smoothing,
                scale = n_counted ? 1.0f / (float) n_counted : 0;
    const float everywhere = scale * smoothing / (float) s.n_classes;
    for (size_t row = first; row < end; row++) {
        float *gx = call->gx[0] + row * s.n_classes;
        if (!s_counts (call, s.labels[row])) {
            memset (gx, 0, s.n_classes * sizeof *gx);
            continue;
        }
        rk_vec ()->affine ((rk_planes_t){1, s.n_classes, s.n_classes}, scale, s.p + row * s.n_classes, -everywhere, gx);
        gx[s.labels[row]] -= scale * (1 - smoothing);
    }
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_layer_call_t own = *call;
    rk_pool_run (call->pool, (s_save (call).rows + RUN_ROWS - 1) / RUN_ROWS, s_backward_rows, &own);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 20 * (uint64_t) batch * layer->in_elems[0];
    need->backward_flops = 2 * (uint64_t) batch * layer->in_elems[0];
    need->save_bytes = batch * (layer->in_elems[0] + 3 * layer->labels.n) * sizeof (float);
}

const rk_layer_type_t rk_layer_softmax_xent = {
    .kind = "softmax_xent",
    .flags = RK_IS_LOSS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
