/* SPDX-License-Identifier: MPL-2.0
 * Elementwise operations and short reductions on float ranges, for any length and alignment.
 * One table of functions, built several times for different processors; rk_vec () gives the one of the
 * kernel set in force. Every build gives the same bits: no contraction, fixed lanes in reductions, own
 * exponential. Outputs may be exactly an input (in place), else ranges must not overlap.
 * `const void *` operands are floats or halves that may lie at any address, as in a received frame.
 * thread: any.                                                                                       */
#ifndef RK_COMPUTE_KERNELS_VEC_H
#define RK_COMPUTE_KERNELS_VEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PyTorch's SGD: g' = grad_scale g + weight_decay w; v = momentum v + g'; w -= lr (nesterov ? g' + momentum v : v) */
typedef struct {
    float lr, momentum, weight_decay, grad_scale;
    bool nesterov;
} rk_vec_sgd_t;

/* PyTorch's Adam: m, v are running means of g' and g'^2; w -= lr (m / correct1) / (sqrt (v / correct2) + epsilon).
 * decoupled: g' is without the decay, and w -= lr weight_decay w comes first (AdamW).                       */
typedef struct {
    float lr, beta1, beta2, epsilon, weight_decay, grad_scale;
    float correct1, correct2; /* 1 - beta^t, t counting from 1 */
    bool decoupled;
} rk_vec_adam_t;

/* A channel of a minibatch: n planes of `size` floats, the first floats of two of them `stride` apart. */
typedef struct {
    size_t n, size, stride;
} rk_planes_t;

/* Some units of one sample at one step of a recurrent layer: four gates, the first floats of two of them `stride`
 * apart, as are those of the bias. LSTM: input, forget, cell, output; `before` and `state` are c. GRU: reset, update,
 * new, and the new gate's share of h, with its own bias, before the reset; `before` is h; no state.      */
typedef struct {
    size_t stride;
    float *gates;        /* forward: sums before their bias -> values; backward: values -> gradients of the sums */
    const float *bias;
    const float *before; /* of the step before */
    float *state;
    float *h;            /* forward: written; backward: its gradient, read */
    float *carry;        /* backward: what goes to the step before besides the gates: dc, or dh */
} rk_vec_cell_t;

/* A row of a normalisation: xhat = a x + b; the means of g = dy weight and of g xhat over the row. */
typedef struct {
    float a, b, mean_g, mean_gx;
} rk_vec_norm_t;

/* A row of n tiles of a convolution of kernel 3 by 2 x 2 outputs, for sixteen channels: rows are (cols, 16), column 0 of
 * `row` is column `left` of the first tile; element (i, j) of the transformed 4 x 4 tile t lies at
 * tiles + (4 i + j) pos + t tile. What one of the transforms below does not name it does not read.        */
typedef struct {
    size_t n, cols, left;
    const float *row[4];
    float *out[2]; /* NULL: outside */
    float *tiles;
    size_t pos, tile;
} rk_winograd_rows_t;

typedef struct {
    /* ---- elementwise, n floats */
    void (*copy) (size_t n, const void *x, float *y);
    void (*relu) (size_t n, const float *x, float *y);                             /* y = max (x, 0); NaN stays */
    void (*relu_backward) (size_t n, const float *y, const float *dy, float *dx);  /* dx = y > 0 ? dy : 0 */
    void (*add) (size_t n, const float *a, const float *b, float *y);              /* y = a + b */
    void (*mul) (size_t n, const float *a, const float *b, float *y);              /* y = a b */
    void (*scale) (size_t n, float alpha, const void *x, float *y);                /* y = alpha x */
    void (*axpy) (size_t n, float alpha, const void *x, float *y);                 /* y += alpha x */
    void (*sum_scaled) (size_t n, float alpha, const float *x, const void *in, float *y); /* y = in + alpha x */
    /* y = w[0] x[0] + w[1] x[1] + ..., in this order, every product rounded: the bits of one scale and axpys.
     * n_in >= 1; y may be x[0], else overlaps no x.                                                        */
    void (*mix) (size_t n, size_t n_in, const void *const *x, const float *w, float *y);
    /* y[r] += x[0], y[r] += x[1], ... for four r at once: each x is read once. y overlaps no x. */
    void (*sum4) (size_t n, size_t n_in, const float *const *x, float *const y[4]);

    /* ---- activations, n floats, within 3e-7 of the true value or of the product with it (x, dy). Backward takes y
     * where the slope is a function of it, else x. gelu: x Phi (x); gelu_tanh: its approximation by tanh.  */
    void (*sigmoid) (size_t n, const float *x, float *y);
    void (*sigmoid_backward) (size_t n, const float *y, const float *dy, float *dx);
    void (*tanh) (size_t n, const float *x, float *y);
    void (*tanh_backward) (size_t n, const float *y, const float *dy, float *dx);
    void (*silu) (size_t n, const float *x, float *y);
    void (*silu_backward) (size_t n, const float *x, const float *dy, float *dx);
    void (*gelu) (size_t n, const float *x, float *y);
    void (*gelu_backward) (size_t n, const float *x, const float *dy, float *dx);
    void (*gelu_tanh) (size_t n, const float *x, float *y);
    void (*gelu_tanh_backward) (size_t n, const float *x, const float *dy, float *dx);
    void (*leaky_relu) (size_t n, float slope, const float *x, float *y);
    void (*leaky_relu_backward) (size_t n, float slope, const float *y, const float *dy, float *dx); /* slope >= 0 */

    /* ---- rows and channels */
    void (*bias_rows) (size_t rows, size_t n, const float *bias, float *y);       /* y[r][j] += bias[j] */
    void (*bias_rows_grad) (size_t rows, size_t n, const float *dy, float *db);   /* db[j] += sum over r, ascending */
    /* y (samples, channels, plane) += bias[channel];  db[channel] += sum of its planes */
    void (*bias_planes) (size_t samples, size_t channels, size_t plane, const float *bias, float *y);
    void (*bias_planes_grad) (size_t samples, size_t channels, size_t plane, const float *dy, float *db);
    void (*affine) (rk_planes_t at, float a, const float *x, float b, float *y); /* y = a x + b */
    void (*affine2) (rk_planes_t at, float a, const float *u, float b, const float *v, float c, float *y); /* y = a u + b v + c */

    /* ---- sums: 64 float lanes, emptied pairwise into a double about every 4096 floats */
    double (*sum) (size_t n, const float *x);
    /* sum (x - shift), sum (x - shift)^2 */
    void (*moments) (rk_planes_t at, const float *x, float shift, double out[2]);
    /* sum dy, sum dy (x - shift) */
    void (*co_moments) (rk_planes_t at, const float *dy, const float *x, float shift, double out[2]);

    /* ---- normalisation of a row: y = xhat weight + bias (NULL: none); sum g, sum g xhat; dx = a (g - mean_g - xhat mean_gx);
     * dweight += dy xhat, dbias += dy (NULL: none) */
    void (*norm_row) (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight, const float *bias, float *y);
    void (*norm_row_sums) (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight, const float *dy, double out[2]);
    void (*norm_row_backward) (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight, const float *dy, float *dx);
    void (*norm_row_params) (size_t n, const rk_vec_norm_t *how, const float *x, const float *dy, float *dweight, float *dbias);

    /* ---- 2 x 2 windows side by side. x: (2 rows.., x_row)   y, place: (rows, cols), place 0 to 3 in its window,
     * the first of equals, NaN before anything. Backward writes all of the windows; when x_row > 2 cols it
     * leaves what is beside them alone. */
    void (*max_2x2) (size_t rows, size_t cols, const float *x, size_t x_row, float *y, uint16_t *place);
    void (*max_2x2_backward) (size_t rows, size_t cols, const float *dy, const uint16_t *place, float *dx, size_t dx_row);

    /* ---- loss: p = softmax (logits) by row; lse[r] = log of the sum of exp (logits), may be NULL */
    void (*softmax_rows) (size_t rows, size_t n, const float *logits, float *p, float *lse);

    /* ---- recurrent cells, n units (Hochreiter and Schmidhuber, 1997; Cho et al., 2014, as PyTorch has it) */
    void (*lstm) (size_t n, const rk_vec_cell_t *at);
    void (*lstm_backward) (size_t n, const rk_vec_cell_t *at);
    void (*gru) (size_t n, const rk_vec_cell_t *at);
    void (*gru_backward) (size_t n, const rk_vec_cell_t *at);

    /* ---- rows of attention: sums in 16 lanes */
    float (*max) (size_t n, const float *x);                                                /* n > 0 */
    float (*exp_sum) (size_t n, float scale, float shift, const float *x, float *y);        /* y = exp (scale x - shift), its sum */
    float (*dot) (size_t n, const float *a, const float *b);
    void (*softmax_slope) (size_t n, float scale, const float *p, float mean, float *dp);   /* dp = scale p (dp - mean) */

    /* ---- convolutions by winograd.h, sixteen channels side by side: row -> tiles; tiles -> out, + bias (NULL: none);
     * row[0], row[1] (of cols outputs) -> tiles, the transpose of the one before. */
    void (*winograd_input) (const rk_winograd_rows_t *at);
    void (*winograd_output) (const rk_winograd_rows_t *at, const float *bias);
    void (*winograd_gradient) (const rk_winograd_rows_t *at);
    /* w (n, 9, 16) -> u: element p of row r at u + p pos + r row;   and the transpose, of n_sums sums `sum` apart */
    void (*winograd_weights) (size_t n, const float *w, float *u, size_t pos, size_t row);
    void (*winograd_weights_back) (size_t n, size_t n_sums, size_t sum, const float *s, size_t pos, size_t row, float *dw);

    /* ---- optimisers, out of place: w_new beside w (or equal). m, v: state, may be NULL when unused */
    void (*sgd) (const rk_vec_sgd_t *how, size_t n, const float *w, float *w_new, const float *g, float *v);
    void (*adam) (const rk_vec_adam_t *how, size_t n, const float *w, float *w_new, const float *g, float *const mv[2]);
    /* Moves m and v as a decoupled adam does; u = (m / correct1) / (sqrt (v / correct2) + epsilon) + weight_decay w.
     * u may be g. */
    void (*adam_direction) (const rk_vec_adam_t *how, size_t n, const float *w, const float *g, float *u, float *const mv[2]);

    /* ---- conversions, round to nearest even, little-endian halves. f16 clamps to +-65504; NaN stays NaN */
    void (*f32_to_f16) (size_t n, const float *x, void *y);
    void (*f16_to_f32) (size_t n, const void *x, float *y);
    void (*f32_to_bf16) (size_t n, const float *x, void *y);
    void (*bf16_to_f32) (size_t n, const void *x, float *y);
} rk_vec_t;

/* The build of the kernel set in force (the plainest before rk_blas_init). */
const rk_vec_t *rk_vec (void);

#endif
