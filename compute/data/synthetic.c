/* SPDX-License-Identifier: MPL-2.0
 * Ten Gaussian classes in the shape of Fashion-MNIST: a class is a random picture, a sample is its picture
 * with noise. Needs no files; learnable by every model in a few hundred minibatches.                 */
#include <stdlib.h>

#include "compute/data_impl.h"
#include "compute/rng.h"

#define N_CLASSES 10
#define SEED 20240229u /* part of the data set's definition: it never changes */
#define FIRST_SAMPLE 1024u /* ids below are the classes' own pictures */

/* Bytes instead of floats: the same memory and the same path as real images. */
static void s_fill (rk_data_t *data, rk_data_part_t *part, uint64_t first, const float *classes, float *noise)
{
    for (size_t s = 0; s < part->n; s++) {
        const size_t label = (first + s) % N_CLASSES;
        rk_rng_normal (SEED, rk_rng_stream (RK_RNG_SYNTHETIC, FIRST_SAMPLE + first + s), 0, data->elems, 0, 60, noise);
        for (size_t i = 0; i < data->elems; i++) {
            const float value = classes[label * data->elems + i] + noise[i];
            part->bytes[s * data->elems + i] = (uint8_t) (value < 0 ? 0 : value > 255 ? 255 : value);
        }
        part->labels[s] = (uint8_t) label;
    }
}

void rk_data_describe_synthetic (rk_data_t *data);
rk_err_t rk_data_open_synthetic (rk_data_t *data, const char *path, rk_error_t *err);

void rk_data_describe_synthetic (rk_data_t *data)
{
    data->shape = rk_shape_3 (1, 28, 28);
    data->n_classes = N_CLASSES;
    data->mean = 0.5f;
    data->deviation = 0.25f;
}

rk_err_t rk_data_open_synthetic (rk_data_t *data, const char *path, rk_error_t *err)
{
    data->part[RK_SPLIT_TRAIN].n = 4096;
    data->part[RK_SPLIT_TEST].n = 1000;
    float *classes = malloc ((N_CLASSES + 1) * data->elems * sizeof *classes);
    bool complete = classes != NULL;
    for (int split = 0; split < 2; split++) {
        rk_data_part_t *part = &data->part[split];
        part->bytes = malloc (part->n * data->elems);
        part->labels = malloc (part->n);
        complete = complete && part->bytes && part->labels;
    }
    if (!complete) {
        free (classes);
        return rk_error_set (err, RK_ENOMEM, "no memory for the synthetic data set");
    }
    for (size_t c = 0; c < N_CLASSES; c++)
        rk_rng_normal (SEED, rk_rng_stream (RK_RNG_SYNTHETIC, c), 0, data->elems, 128, 24, classes + c * data->elems);
    float *noise = classes + N_CLASSES * data->elems;
    s_fill (data, &data->part[RK_SPLIT_TRAIN], 0, classes, noise);
    s_fill (data, &data->part[RK_SPLIT_TEST], data->part[RK_SPLIT_TRAIN].n, classes, noise);
    free (classes);
    return RK_OK;
}
