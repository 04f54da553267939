/* SPDX-License-Identifier: MPL-2.0
 * What does not fit: layers, graphs and names of models, options and files of data, labels, minibatches, values that are no
 * numbers. One row each: what is given, which code comes back, which words its text must hold. (Damage of every kind to each
 * binary format: test_data*.c and tests/fuzz; keys of a run file: tests/cluster/test_settings.c; the commands: tests/e2e/cli.sh.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/slice.h"
#include "tests/compute/opened.h"
#include "tests/support/layers.h"

#define N(rows) (sizeof (rows) / sizeof *(rows))

static void s_expect (const char *what, rk_err_t got, rk_err_t code, const rk_error_t *err, const char *text)
{
    if (got != code || !strstr (err->text, text))
        fail_msg ("%s: code %d, \"%s\"; expected code %d and \"%s\"", what, got, err->text, code, text);
    assert_null (strchr (err->text, '\n'));
}

/* ---- layers that do not fit behind tensor 1, (2, 3, 5) */

#define LAYER(name, call)                                                                                              \
    static int name (rk_model_t *m)                                                                                    \
    {                                                                                                                  \
        return call;                                                                                                   \
    }
#define CONV(name, ...) LAYER (name, rk_model_conv2d (m, "x", 1, (rk_conv2d_t) {__VA_ARGS__}))
#define SMALLER rk_model_maxpool2d (m, "pool", 1, 2, 1, 0) /* (2, 2, 4) */
#define FLAT rk_model_flatten (m, "flat", 1)               /* (30) */
#define TENSORS(...) ((const int[]) {__VA_ARGS__})

LAYER (s_linear_of_planes, rk_model_linear (m, "x", 1, 10, true))
LAYER (s_linear_huge, rk_model_linear (m, "x", FLAT, (size_t) 1 << 40, true))
CONV (s_conv_kernel, .channels = 4, .kernel = 11, .stride = 1, .padding = 1)
CONV (s_conv_stride, .channels = 4, .kernel = 3, .stride = 0)
CONV (s_conv_groups_in, .channels = 3, .kernel = 3, .stride = 1, .groups = 3)
CONV (s_conv_groups_out, .channels = 3, .kernel = 3, .stride = 1, .groups = 2)
CONV (s_conv_dilation, .channels = 4, .kernel = 3, .stride = 1, .dilation = 4)
CONV (s_conv_padding, .channels = 4, .kernel = 3, .stride = 1, .padding = 5, .dilation = 2)
CONV (s_conv_oblong, .channels = 4, .kernel = 3, .stride = 1, .kernel_w = 9)
CONV (s_conv_huge, .channels = 4, .kernel = SIZE_MAX, .stride = 1, .groups = 2)
CONV (s_conv_wide, .channels = 4, .kernel = 3, .stride = 1, .dilation = SIZE_MAX)
LAYER (s_pool, rk_model_maxpool2d (m, "x", 1, 2, 2, 2))
LAYER (s_dropout, rk_model_dropout (m, "x", 1, 1))
LAYER (s_leaky_below, rk_model_leaky_relu (m, "x", 1, -0.1f))
LAYER (s_leaky_above, rk_model_leaky_relu (m, "x", 1, 1))
LAYER (s_leaky_nan, rk_model_leaky_relu (m, "x", 1, NAN))
LAYER (s_gelu_form, rk_model_gelu (m, "x", 1, (rk_gelu_t) 2))
LAYER (s_add_shapes, rk_model_add (m, "x", 1, SMALLER))
LAYER (s_mul_shapes, rk_model_mul (m, "x", 1, SMALLER))
LAYER (s_concat_shapes, rk_model_concat (m, "x", 2, TENSORS (1, SMALLER), 0))
LAYER (s_concat_axis, rk_model_concat (m, "x", 2, TENSORS (1, 1), 3))
LAYER (s_concat_dims, rk_model_concat (m, "x", 2, TENSORS (1, FLAT), 2))
LAYER (s_concat_none, rk_model_concat (m, "x", 0, TENSORS (1), 0))
LAYER (s_concat_many, rk_model_concat (m, "x", 9, TENSORS (1, 1, 1, 1, 1, 1, 1, 1, 1), 0))
LAYER (s_split_beyond, rk_model_split (m, "x", 1, 0, 1, SIZE_MAX))
LAYER (s_split_none, rk_model_split (m, "x", 1, 1, 1, 0))
LAYER (s_permute_twice, rk_model_permute (m, "x", 1, 3, TENSORS (0, 2, 2)))
LAYER (s_permute_few, rk_model_transpose (m, "x", 1))
LAYER (s_reshape_size, rk_model_reshape (m, "x", 1, (rk_shape_t) {2, {5, 7}}))
LAYER (s_upsample_zero, rk_model_upsample (m, "x", 1, 0))
LAYER (s_upsample_huge, rk_model_upsample (m, "x", 1, RK_MAX_ELEMS))
LAYER (s_no_tensor, rk_model_relu (m, "x", 9))
LAYER (s_same_name, rk_model_relu (m, "x", rk_model_relu (m, "x", 1)))
LAYER (s_first_error, rk_model_relu (m, "later", rk_model_linear (m, "x", 1, 10, true)))
LAYER (s_loss_of_planes, rk_model_softmax_xent (m, "x", 1))
LAYER (s_loss_of_one, rk_model_softmax_xent (m, "x", rk_model_linear (m, "fc", FLAT, 1, true)))
LAYER (s_smoothing, rk_model_cross_entropy (m, "x", FLAT, (rk_cross_entropy_t) {.smoothing = 1}))
LAYER (s_smoothing_nan, rk_model_cross_entropy (m, "x", FLAT, (rk_cross_entropy_t) {.smoothing = NAN}))
LAYER (s_behind_loss, rk_model_relu (m, "x", rk_model_softmax_xent (m, "loss", FLAT)))

static void layers_that_do_not_fit (void **state)
{
    static const struct {
        int (*build) (rk_model_t *m);
        rk_err_t code;
        const char *text;
    } rows[] = {
        {s_linear_of_planes, RK_ESHAPE, "layer x (linear): input (2, 3, 5) is neither a vector nor (positions, features)"},
        {s_linear_huge, RK_ESHAPE, "too large"},
        {s_conv_kernel, RK_ESHAPE, "layer x (conv2d): "},
        {s_conv_stride, RK_ESHAPE, "none may be 0"},
        {s_conv_groups_in, RK_ESHAPE, "layer x (conv2d): convolution of 2 to 3 channels in 3 groups"},
        {s_conv_groups_out, RK_ESHAPE, "convolution of 2 to 3 channels in 2 groups"},
        {s_conv_dilation, RK_ESHAPE, "reaches over 9 x 9, padding 0 x 0"},
        {s_conv_padding, RK_ESHAPE, "reaches over 5 x 5, padding 5 x 5"},
        {s_conv_oblong, RK_ESHAPE, "reaches over 3 x 9"},
        {s_conv_huge, RK_ESHAPE, "too large"},
        {s_conv_wide, RK_ESHAPE, "too large"},
        {s_pool, RK_EINVAL, "layer x (maxpool2d): kernel 2, stride 2, padding 2"},
        {s_dropout, RK_EINVAL, "probability 1"},
        {s_leaky_below, RK_EINVAL, "layer x (leaky_relu): slope -0.1"},
        {s_leaky_above, RK_EINVAL, "layer x (leaky_relu): slope 1"},
        {s_leaky_nan, RK_EINVAL, "layer x (leaky_relu): slope nan"},
        {s_gelu_form, RK_EINVAL, "layer x (gelu): form 2"},
        {s_add_shapes, RK_ESHAPE, "layer x (add): inputs (2, 3, 5) and (2, 2, 4) differ"},
        {s_mul_shapes, RK_ESHAPE, "layer x (mul): inputs (2, 3, 5) and (2, 2, 4) differ"},
        {s_concat_shapes, RK_ESHAPE, "layer x (concat): inputs (2, 3, 5) and (2, 2, 4) differ outside dimension 0"},
        {s_concat_axis, RK_EINVAL, "layer x (concat): dimension 3 of an input (2, 3, 5)"},
        {s_concat_dims, RK_ESHAPE, "layer x (concat): inputs (2, 3, 5) and (30) differ outside dimension 2"},
        {s_concat_none, RK_EINVAL, "layer x (concat): 0 inputs, 1..8 are allowed"},
        {s_concat_many, RK_EINVAL, "layer x (concat): 9 inputs, 1..8 are allowed"},
        {s_split_beyond, RK_ESHAPE, "from 1 on of dimension 0 of an input (2, 3, 5)"},
        {s_split_none, RK_ESHAPE, "layer x (split): 0 from 1 on of dimension 1 of an input (2, 3, 5)"},
        {s_permute_twice, RK_EINVAL, "layer x (permute): dimension 2 is named twice"},
        {s_permute_few, RK_ESHAPE, "layer x (permute): an order of 2 dimensions for an input (2, 3, 5)"},
        {s_reshape_size, RK_ESHAPE, "layer x (reshape): input (2, 3, 5) has 30 values, (5, 7) does not"},
        {s_upsample_zero, RK_EINVAL, "layer x (upsample): factor 0"},
        {s_upsample_huge, RK_ESHAPE, "layer x (upsample): output"},
        {s_no_tensor, RK_EINVAL, "layer x (relu): input 0 is tensor 9, valid are 0..1"},
        {s_same_name, RK_EINVAL, "layer x (relu): the name is taken"},
        {s_first_error, RK_ESHAPE, "layer x (linear)"}, /* what follows is not told */
        {s_loss_of_planes, RK_ESHAPE, "layer x (softmax_xent): input (2, 3, 5) is not"},
        {s_loss_of_one, RK_ESHAPE, "layer x (softmax_xent): input (1) is not"},
        {s_smoothing, RK_EINVAL, "label smoothing 1 is not in"},
        {s_smoothing_nan, RK_EINVAL, "label smoothing nan is not in"},
        {s_behind_loss, RK_EINVAL, "nothing may follow the loss"},
    };
    for (size_t i = 0; i < N (rows); i++) {
        rk_error_t err = {0};
        rk_model_t *m = rk_check_head (2, 3, 5);
        const int made = rows[i].build (m);
        s_expect ("layer", rk_model_seal (m, &err), rows[i].code, &err, rows[i].text);
        assert_int_equal (made, -1);
        rk_model_destroy (&m);
    }
}

/* ---- whole models */

LAYER (s_no_layer, 0)
LAYER (s_no_loss, rk_model_relu (m, "relu", 0))
LAYER (s_dead, rk_model_linear (m, "dead", 0, 4, true) + rk_model_softmax_xent (m, "loss", 0))

static void models_that_are_none (void **state)
{
    static const struct {
        rk_shape_t input;
        int (*build) (rk_model_t *m);
        rk_err_t code;
        const char *text;
    } graphs[] = {
        {{0}, s_no_layer, RK_ESHAPE, "input shape"},
        {{3, {0, 4, 4}}, s_no_layer, RK_ESHAPE, "(0, 4, 4)"},
        {{1, {8}}, s_no_layer, RK_EINVAL, "the last layer of a model must be a loss"},
        {{1, {8}}, s_no_loss, RK_EINVAL, "must be a loss"},
        {{1, {8}}, s_dead, RK_EINVAL, "output of dead is read by no layer"},
    };
    static const struct {
        const char *name;
        rk_shape_t input;
        size_t n_classes;
        rk_err_t code;
        const char *text;
    } names[] = {
        {"resnet2", {3, {1, 28, 28}}, 10, RK_ENOTFOUND, "unknown model \"resnet2\", nearest is \"resnet20\""},
        {"mlp_tiny", {1, {8}}, 10, RK_ENOTFOUND, "nearest is \"mlp-tiny\""},
        {"cnn", {1, {784}}, 10, RK_ESHAPE, "model cnn takes (channels, height, width), the input is (784)"},
        {"char-gpt", {3, {1, 28, 28}}, 10, RK_ESHAPE, "model char-gpt takes a sequence of token ids"},
        {"cnn", {3, {1, 28, 28}}, 1, RK_ESHAPE, "with at least two classes"},
        {"mlp", {1, {8}}, 0, RK_ESHAPE, "model mlp on input (8): "},
        {"mlp-mse", {1, {8}}, 0, RK_ESHAPE, "model mlp-mse on input (8): "},
        {"cnn", {3, {1, 1, 1}}, 10, RK_ESHAPE, "layer pool"},
    };
    for (size_t i = 0; i < N (graphs); i++) {
        rk_error_t err = {0};
        rk_model_t *m = rk_model_new (graphs[i].input);
        graphs[i].build (m);
        s_expect ("graph", rk_model_seal (m, &err), graphs[i].code, &err, graphs[i].text);
        rk_model_destroy (&m);
    }
    for (size_t i = 0; i < N (names); i++) {
        rk_error_t err = {0};
        rk_model_t *m;
        s_expect (names[i].name, rk_model_by_name (&m, names[i].name, names[i].input, names[i].n_classes, &err), names[i].code, &err,
                  names[i].text);
        assert_null (m);
    }
}

/* ---- data sets: names, options, and tables as people write them */

static void s_write_text (const files_t *files, const char *name, const char *text)
{
    files_write (files, name, text, strlen (text));
}

static void options_of_data (void **state)
{
    static char long_path[2000];
    const files_t *files = *state;
    memset (long_path, 'x', sizeof long_path - 1);
    s_write_text (files, "train.csv", "a,b,c\n1,1,1\n");
    s_write_text (files, "test.csv", "a,b,c\n1,1,0\n");
    const struct {
        const char *name;
        rk_data_options_t options;
        rk_err_t code;
        const char *text;
    } rows[] = {
        {"fashion", {.path = NULL}, RK_ENOTFOUND, "nearest is \"fashion-mnist\""},
        {"fashion-mnist", {.path = "/nowhere"}, RK_EIO, "/nowhere"},
        {"fashion-mnist", {.path = "/dev"}, RK_EIO, "/dev"},
        {"numpy", {.path = "/dev/null"}, RK_EIO, "/dev/null: not a file"},
        {"text", {.path = "/nowhere"}, RK_EIO, "/nowhere: No such file"},
        {"csv", {.path = long_path}, RK_EINVAL, "too long"},
        {"csv", {.path = files->path, .augment = "flip"}, RK_EINVAL, "samples (2) are no pictures"},
        {"synthetic", {.augment = "crop,turn"}, RK_EINVAL, "\"crop,turn\": each part is crop, flip or cutout"},
        {"csv", {.path = files->path, .label = "d"}, RK_ENOTFOUND, "no column \"d\" among its 3"},
        {"csv", {.path = files->path, .label = "4"}, RK_ENOTFOUND, "no column \"4\""},
        {"csv", {.path = files->path, .n_classes = 1}, RK_EFORMAT, "label 1 of sample 0 is not in 0..0"},
        {"synthetic", {.labels = RK_LABEL_TARGET}, RK_EINVAL, "data set synthetic has classes, not values"},
    };
    for (size_t i = 0; i < N (rows); i++)
        refused (rows[i].name, &rows[i].options, rows[i].code, rows[i].text);
}

static void tables (void **state)
{
    static const struct {
        const char *test, *text;
        bool values; /* fails for targets too */
    } rows[] = {
        {"", "test.csv: empty", true},
        {"\n\n", "test.csv: empty", true},
        {"a,b,c\n", "test.csv: no samples", true},
        {"a\n1\n", "test.csv: 1 column", true},
        {"a,b,c,d\n1,2,3,1\n", "test.csv: 3 features, train.csv has 2", true},
        {"a,b,c\n1,2,1\n\n1,2\n", "test.csv:4: fewer than 3 columns", true},
        {"a,b,c\n1,2,1,0\n", "test.csv:2: more than 3 columns", true},
        {"a,b,c\n1,two,1\n", "test.csv:2: column 2: \"two\" is no finite number", true},
        {"a,b,c\n1,,1\n", "column 2: \"\"", true},
        {"a,b,c\n1,nan,1\n", "column 2: \"nan\"", true},
        {"a,b,c\n1,2,inf\n", "column 3: \"inf\"", true},
        {"a,b,c\n1e99,2,1\n", "column 1: \"1e99\"", true},
        {"a,b,c\n1,2,1.5\n", "label \"1.5\" is not in 0..65535", false},
        {"a,b,c\n1,2,-1\n", "label \"-1\"", false},
        {"a,b,c\n1,\"2,1\n", "test.csv:2: a quote is not closed", true},
        {"a,b,c\n1,\"2\"2,1\n", "test.csv:2: something stands behind a closed quote", true},
    };
    const files_t *files = *state;
    refused ("csv", &(rk_data_options_t) {.path = files->path}, RK_EIO, "train.csv");
    s_write_text (files, "train.csv", "a,b,c\n1,1,1\n");
    for (size_t i = 0; i < 2 * N (rows); i++) {
        const rk_data_options_t options = {.path = files->path, .labels = i < N (rows) ? RK_LABEL_CLASS : RK_LABEL_TARGET};
        s_write_text (files, "test.csv", rows[i % N (rows)].test);
        if (i < N (rows) || rows[i % N (rows)].values)
            refused ("csv", &options, RK_EFORMAT, rows[i % N (rows)].text);
        else { /* classes are numbers too */
            rk_data_t *data = opened ("csv", &options);
            rk_data_close (&data);
        }
    }
}

/* ---- labels, and samples that a model does not take */

#define ELEMS 6
#define CLASSES 4

static rk_model_t *s_loss (int (*loss) (rk_model_t *, const char *, int))
{
    rk_model_t *m = rk_model_new (rk_shape_1 (ELEMS));
    loss (m, "loss", rk_model_linear (m, "fc", 0, CLASSES, true));
    assert_int_equal (rk_model_seal (m, NULL), RK_OK);
    return m;
}

static void labels_that_do_not_suit (void **state)
{
    static const struct {
        rk_shape_t samples;
        rk_labels_t labels;
        int (*loss) (rk_model_t *, const char *, int);
        const char *text;
    } rows[] = {
        {{1, {ELEMS}}, {.n = 3, .n_classes = 4}, rk_model_softmax_xent, "a sample has 3 labels that are classes, the loss takes 1 classes"},
        {{1, {ELEMS}}, {.kind = RK_LABEL_TARGET, .n = 1, .high = 1}, rk_model_softmax_xent, "a sample has 1 labels that are targets"},
        {{1, {ELEMS}}, {.n = 1, .n_classes = 5}, rk_model_softmax_xent, "labels are of 5 classes, the model has 4"},
        {{1, {ELEMS}}, {.n = 1, .n_classes = 4, .ignores = true, .ignore = 9}, rk_model_softmax_xent, "labels of 9 are to be ignored"},
        {{1, {ELEMS}}, {.n = 1, .n_classes = 4}, rk_model_mse, "a sample has 1 labels that are classes, the loss takes 4 targets"},
        {{1, {ELEMS}}, {.kind = RK_LABEL_TARGET, .n = 4, .low = -1, .high = 1}, rk_model_bce, "targets are in -1..1, the loss takes 0..1"},
        {{3, {1, 2, 3}}, {.n = 1, .n_classes = 4}, rk_model_softmax_xent, "samples are (1, 2, 3), model custom takes (6)"},
    };
    static const float x[2 * ELEMS];
    static const int32_t zeros[2 * ELEMS];
    for (size_t i = 0; i < N (rows); i++) {
        rk_error_t err = {0};
        rk_data_t *data;
        const rk_data_split_t splits[2] = {{2, x, zeros}, {0, NULL, NULL}};
        assert_int_equal (rk_data_from_memory (&data, rows[i].samples, rows[i].labels, splits, &err), RK_OK);
        rk_model_t *m = s_loss (rows[i].loss);
        s_expect ("labels", rk_data_check_model (data, m, &err), RK_ESHAPE, &err, rows[i].text);
        rk_model_destroy (&m);
        rk_data_close (&data);
    }
}

/* A data set of a program's own is checked where it is made. */
static void samples_from_memory (void **state)
{
    static const float x[2 * ELEMS];
    static const struct {
        rk_shape_t samples;
        rk_labels_t labels;
        int32_t given[2];
        rk_err_t code;
        const char *text;
    } rows[] = {
        {{1, {ELEMS}}, {.n = 1, .n_classes = 4}, {0, 4}, RK_EINVAL, "training split: label 4 of sample 1 is not in 0..3"},
        {{1, {ELEMS}}, {.n = 1, .n_classes = 4, .ignores = true, .ignore = -1}, {-1, -2}, RK_EINVAL, "label -2 of sample 1"},
        {{1, {ELEMS}}, {.kind = RK_LABEL_TARGET, .n = 1, .high = 1}, {0, 0x7fc00000}, RK_EINVAL, "target nan of sample 1"},
        {{1, {0}}, {.n = 1, .n_classes = 4}, {0, 0}, RK_ESHAPE, "samples of shape (0) with 1 labels"},
        {{1, {ELEMS}}, {.n = 0, .n_classes = 4}, {0, 0}, RK_ESHAPE, "samples of shape (6) with 0 labels"},
    };
    for (size_t i = 0; i < N (rows); i++) {
        rk_error_t err = {0};
        rk_data_t *data;
        const rk_data_split_t splits[2] = {{2, x, rows[i].given}, {0, NULL, NULL}};
        s_expect ("memory", rk_data_from_memory (&data, rows[i].samples, rows[i].labels, splits, &err), rows[i].code, &err, rows[i].text);
        assert_null (data);
    }
}

/* ---- what enters a model: minibatches of no, too many, wrong samples; numbers that are none */

typedef union {
    int32_t classes[8];
    float targets[8];
} labels_t;

static void minibatches (void **state)
{
    static const struct {
        const char *what;
        int (*loss) (rk_model_t *, const char *, int);
        size_t n; /* of at most 2 samples */
        float x;  /* the last value of each sample */
        labels_t labels;
        rk_err_t code;
        const char *text;
    } rows[] = {
        {"no sample", rk_model_softmax_xent, 0, 0, {{0}}, RK_EINVAL, "minibatch 17 has 0 samples, 1..2 are allowed"},
        {"a sample too many", rk_model_softmax_xent, 3, 0, {{0}}, RK_EINVAL, "minibatch 17 has 3 samples, 1..2 are allowed"},
        {"one sample", rk_model_softmax_xent, 1, 0, {{CLASSES - 1, 99}}, RK_OK, ""}, /* 99 is behind its end */
        {"class above", rk_model_softmax_xent, 2, 0, {{0, CLASSES}}, RK_EINVAL, "minibatch 17: label 4 of sample 1 is not in 0..3"},
        {"class below", rk_model_softmax_xent, 2, 0, {{0, -1}}, RK_EINVAL, "minibatch 17: label -1 of sample 1 is not in 0..3"},
        {"target nan", rk_model_mse, 2, 0, {.targets = {[5] = NAN}}, RK_EINVAL, "minibatch 17: target nan of sample 1"},
        {"target inf", rk_model_mse, 1, 0, {.targets = {[3] = INFINITY}}, RK_EINVAL, "minibatch 17: target inf of sample 0"},
        {"target below", rk_model_bce, 2, 0, {.targets = {[7] = -0.5f}}, RK_EINVAL, "target -0.5 of sample 1 is not in 0..1"},
        {"target above", rk_model_bce, 2, 0, {.targets = {[4] = 1.5f}}, RK_EINVAL, "target 1.5 of sample 1 is not in 0..1"},
        {"nan enters", rk_model_mse, 2, NAN, {{0}}, RK_OK, "fc"},
        {"infinity enters", rk_model_bce, 1, INFINITY, {{0}}, RK_OK, "fc"},
        {"only the loss overflows", rk_model_mse, 2, 3e19f, {{0}}, RK_OK, "loss"},
    };
    for (size_t i = 0; i < N (rows); i++) {
        rk_model_t *m = s_loss (rows[i].loss);
        const rk_slice_config_t config = {.model = m, .last = rk_model_n_layers (m), .batch = 2, .n_contexts = 1};
        const size_t len = rk_model_flat_at (m, rk_model_n_layers (m));
        float *flat = aligned_alloc (64, (len * sizeof (float) + 63) / 64 * 64), x[3 * ELEMS] = {0};
        const float *in[] = {x};
        rk_error_t err = {0};
        rk_slice_t *slice;
        rk_loss_t loss = {0};
        int bad_layer = -1;
        assert_non_null (flat);
        for (size_t k = 0; k < len; k++)
            flat[k] = 1;
        for (size_t k = 1; k <= 3; k++)
            x[k * ELEMS - 1] = rows[i].x;
        assert_int_equal (rk_slice_new (&slice, &config, NULL), RK_OK);
        const rk_forward_t call = {.mode = RK_MODE_EVAL, .f = 17, .n = rows[i].n, .flat = flat, .in = in, .labels = &rows[i].labels,
                                   .loss = &loss, .bad_layer = &bad_layer};
        const rk_err_t code = rk_slice_forward (slice, &call, &err);
        if (code == RK_OK) { /* the run decides what a loss that is no number means; the layer has a name */
            assert_int_equal (bad_layer >= 0, *rows[i].text != 0);
            snprintf (err.text, sizeof err.text, "%s", bad_layer < 0 ? "" : rk_model_layer_name (m, bad_layer));
        }
        s_expect (rows[i].what, code, rows[i].code, &err, rows[i].text);
        assert_int_equal (loss.n_counted, code ? 0 : rows[i].n * rk_model_n_labels (m));
        rk_slice_destroy (&slice);
        rk_model_destroy (&m);
        free (flat);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (layers_that_do_not_fit),
        cmocka_unit_test (models_that_are_none),
        cmocka_unit_test_setup_teardown (options_of_data, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (tables, files_setup, files_teardown),
        cmocka_unit_test (labels_that_do_not_suit),
        cmocka_unit_test (samples_from_memory),
        cmocka_unit_test (minibatches),
    };
    return rk_blas_init ("auto", NULL) ? 1 : cmocka_run_group_tests (tests, NULL, NULL);
}
