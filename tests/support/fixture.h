/* SPDX-License-Identifier: MPL-2.0
 * What tests/fixtures/make.py wrote about one model: PyTorch's results, of which each tensor has its norm and up to 64
 * sampled entries. Parameters and inputs are the same functions of (seed, name) here and there.           */
#ifndef RK_TESTS_SUPPORT_FIXTURE_H
#define RK_TESTS_SUPPORT_FIXTURE_H
#include "compute/model.h"

#define FIXTURE_STEPS 10
#define FIXTURE_SAMPLES 64

typedef struct {
    char kind[8];   /* output, grad, buffer or eval */
    char name[96];  /* of the tensor */
    size_t count;   /* its elements */
    double norm;
    int n;          /* sampled entries */
    double entry[FIXTURE_SAMPLES];
} fixture_tensor_t;

typedef struct {
    char model[64];
    rk_shape_t input;
    size_t n_classes, batch;
    uint64_t seed;
    float lr, momentum;
    bool clear; /* initial values keep all rectifiers away from their kinks */
    double curve[FIXTURE_STEPS]; /* losses */
    fixture_tensor_t *tensors;
    size_t n_tensors;
    double rms[2]; /* of all gradients, of all buffers: below a part of it everything is rounding */
} fixture_t;

/* 0 if the file is there and whole. */
int fixture_read (fixture_t *fixture, const char *path);
void fixture_free (fixture_t *fixture);

/* Initial values of the whole model, and minibatch `step`: values in [-1, 1) or token ids, and labels: classes, or the
 * bits of targets in [0, 1). */
void fixture_values (const fixture_t *fixture, const rk_model_t *model, float *flat);
void fixture_batch (const fixture_t *fixture, const rk_model_t *model, uint64_t step, float *x, int32_t *labels);

/* Tensor `name` of this kind; NULL: the file has none. */
const fixture_tensor_t *fixture_find (const fixture_t *fixture, const char *kind, const char *name);

/* Largest deviation of the norm and of the sampled entries, as a part of the tensor's root mean square (or of 1e-3, clear
 * ones 5e-2, of that of all tensors of its kind, if that is more). */
double fixture_deviation (const fixture_t *fixture, const fixture_tensor_t *tensor, const float *values);

#endif
