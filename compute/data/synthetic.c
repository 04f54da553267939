/* SPDX-License-Identifier: MPL-2.0
 * Ten Gaussian classes in the shape of Fashion-MNIST, or of the 8 x 8 digits that come with scikit-learn (1,078
 * samples to train on and 719 to test): a class is a random picture, a sample is its picture with noise. Needs no
 * files; learnable by every model in a few hundred minibatches.                                          */
#include <stdlib.h>

#include "compute/data_impl.h"
#include "compute/rng.h"

#define N_CLASSES 10
#define SEED 20240229u /* part of the data set's definition: it never changes */
#define FIRST_SAMPLE 1024u /* ids below are the classes' own pictures */

typedef struct {
    float classes, samples; /* standard deviations of a pixel, of 256 */
} s_spread_t;

/* Bytes instead of floats: the same memory and the same path as real images. */
static void s_fill (rk_data_t *data, rk_data_part_t *part, uint64_t first, const float *classes, float deviation, float *noise)
{
    for (size_t s = 0; s < part->n; s++) {
        const size_t label = (first + s) % N_CLASSES;
        rk_rng_normal (SEED, rk_rng_stream (RK_RNG_SYNTHETIC, FIRST_SAMPLE + first + s), 0, data->elems, 0, deviation, noise);
        for (size_t i = 0; i < data->elems; i++) {
            const float value = classes[label * data->elems + i] + noise[i];
            part->bytes[s * data->elems + i] = (uint8_t) (value < 0 ? 0 : value > 255 ? 255 : value);
        }
        part->labels[s] = (int32_t) label;
    }
}

static rk_err_t s_open (rk_data_t *data, size_t n_train, size_t n_test, const s_spread_t *spread, rk_error_t *err)
{
    data->part[RK_SPLIT_TRAIN].n = n_train;
    data->part[RK_SPLIT_TEST].n = n_test;
    float *classes = malloc ((N_CLASSES + 1) * data->elems * sizeof *classes);
    bool complete = classes != NULL;
    for (int split = 0; split < 2; split++) {
        rk_data_part_t *part = &data->part[split];
        part->bytes = malloc (part->n * data->elems);
        part->labels = malloc (part->n * sizeof *part->labels);
        complete = complete && part->bytes && part->labels;
    }
    if (!complete) {
        free (classes);
        return rk_error_set (err, RK_ENOMEM, "no memory for the synthetic data set");
    }
    for (size_t c = 0; c < N_CLASSES; c++)
        rk_rng_normal (SEED, rk_rng_stream (RK_RNG_SYNTHETIC, c), 0, data->elems, 128, spread->classes, classes + c * data->elems);
    float *noise = classes + N_CLASSES * data->elems;
    s_fill (data, &data->part[RK_SPLIT_TRAIN], 0, classes, spread->samples, noise);
    s_fill (data, &data->part[RK_SPLIT_TEST], data->part[RK_SPLIT_TRAIN].n, classes, spread->samples, noise);
    free (classes);
    return RK_OK;
}

static void s_describe (rk_data_t *data, size_t side)
{
    data->shape = rk_shape_3 (1, side, side);
    data->n_classes = N_CLASSES;
    data->n_norms = 1;
    data->mean[0] = 0.5f;
    data->deviation[0] = 0.25f;
}

void rk_data_describe_synthetic (rk_data_t *data);
rk_err_t rk_data_open_synthetic (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);
void rk_data_describe_synthetic_digits (rk_data_t *data);
rk_err_t rk_data_open_synthetic_digits (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_synthetic (rk_data_t *data)
{
    s_describe (data, 28);
}

rk_err_t rk_data_open_synthetic (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    return s_open (data, 4096, 1000, &(s_spread_t) {24, 60}, err);
}

void rk_data_describe_synthetic_digits (rk_data_t *data)
{
    s_describe (data, 8);
}

rk_err_t rk_data_open_synthetic_digits (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    return s_open (data, 1078, 719, &(s_spread_t) {50, 40}, err);
}
