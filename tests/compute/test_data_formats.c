/* SPDX-License-Identifier: MPL-2.0
 * Data sets in the formats of others, from files written here byte by byte: CIFAR, CSV. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/compute/opened.h"

/* ---- CIFAR */

#define PICTURE 3072

/* n records; pixel i of record r is r + i modulo 256, its label first + r. */
static void s_write_cifar (const files_t *files, const char *name, size_t n_labels, size_t n, unsigned first)
{
    uint8_t *bytes = malloc (n * (n_labels + PICTURE)), *at = bytes;
    for (size_t r = 0; r < n; r++) {
        for (size_t l = 0; l < n_labels; l++)
            *at++ = l + 1 < n_labels ? 19 : (uint8_t) (first + r); /* 19: the coarse label, which must not be taken */
        for (size_t i = 0; i < PICTURE; i++)
            *at++ = (uint8_t) (r + i);
    }
    files_write (files, name, bytes, (size_t) (at - bytes));
    free (bytes);
}

static void s_write_cifar10 (const files_t *files)
{
    char name[32];
    for (unsigned b = 1; b <= 5; b++) {
        snprintf (name, sizeof name, "data_batch_%u.bin", b);
        s_write_cifar (files, name, 1, 2, b);
    }
    s_write_cifar (files, "test_batch.bin", 1, 3, 7);
}

static void test_cifar10 (void **state)
{
    static float x[3 * PICTURE];
    int32_t labels[3];
    const files_t *files = *state;
    s_write_cifar10 (files);
    rk_data_t *data = opened ("cifar10", &(rk_data_options_t) {.path = files->path});
    assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_3 (3, 32, 32)));
    assert_int_equal (rk_data_n_classes (data), 10);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 10);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 3, x, labels), 3);
    assert_true (labels[0] == 7 && labels[2] == 9);
    /* red, green and blue have means and deviations of their own */
    assert_true (about (x[5], (5 / 255.0f - 0.4914f) / 0.2470f));
    assert_true (about (x[PICTURE + 1024 + 3], (4 / 255.0f - 0.4822f) / 0.2435f));
    assert_true (about (x[2 * PICTURE + 2048], (2 / 255.0f - 0.4465f) / 0.2616f));
    rk_data_close (&data);
}

static void test_cifar100_takes_the_fine_label (void **state)
{
    static float x[PICTURE];
    int32_t label;
    const files_t *files = *state;
    s_write_cifar (files, "train.bin", 2, 4, 40);
    s_write_cifar (files, "test.bin", 2, 1, 99);
    rk_data_t *data = opened ("cifar100", &(rk_data_options_t) {.path = files->path});
    assert_int_equal (rk_data_n_classes (data), 100);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 1, x, &label), 1);
    assert_int_equal (label, 99);
    rk_data_close (&data);
}

static void test_wrong_cifar (void **state)
{
    const files_t *files = *state;
    const rk_data_options_t options = {.path = files->path};
    refused ("cifar10", &options, RK_EIO, "data_batch_1.bin");
    s_write_cifar10 (files);
    for (size_t size = 0; size < 2 * 3073; size += 1024) { /* cut short anywhere but between records */
        files_cut (files, "data_batch_3.bin", size);
        if (size % 3073 || size == 0)
            refused ("cifar10", &options, RK_EFORMAT, "data_batch_3.bin: ");
        s_write_cifar10 (files);
    }
    s_write_cifar (files, "test_batch.bin", 1, 2, 9);
    refused ("cifar10", &options, RK_EFORMAT, "test_batch.bin: label 10 of record 1 is not in 0..9");
    unlink (files_path (files, "test_batch.bin"));
    refused ("cifar10", &options, RK_EIO, "test_batch.bin");
}

/* ---- CSV */

static void s_write_text (const files_t *files, const char *name, const char *text)
{
    files_write (files, name, text, strlen (text));
}

static void test_csv (void **state)
{
    float x[2];
    int32_t label;
    const files_t *files = *state;
    static const struct {
        const char *train, *test, *label;
        bool no_header;
    } same[] = {
        {"a,b,class\n1,2,0\n3,4,1\n", "a,b,class\n1.5,-2e1,1\n", NULL, false},
        {"1,2,0\n3,4,1", "1.5,-2e1,1", NULL, true},
        {"\r\n\"a\",\"class, or \"\"kind\"\"\",b\r\n1,0,2\r\n\r\n3,1,4\r\n", "a,c,b\n 1.5 ,\"1\",\"-20\"\n", "2", false},
        {"class,a,b\n0,1,2\n1,3,4\n", "class,a,b\n1,1.5,-20\n", "class", false},
        {"1,0,2\n1,3,4\n", "1,1.5,-20\n", "1", true},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        s_write_text (files, "train.csv", same[i].train);
        s_write_text (files, "test.csv", same[i].test);
        rk_data_t *data = opened ("csv", &(rk_data_options_t) {.path = files->path, .label = same[i].label, .no_header = same[i].no_header});
        assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_1 (2)));
        assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 2);
        assert_int_equal (rk_data_n_classes (data), 2);
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 1, x, &label), 1);
        assert_true (x[0] == 1.5f && x[1] == -20 && label == 1);
        rk_data_close (&data);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_cifar10, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_cifar100_takes_the_fine_label, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_wrong_cifar, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_csv, files_setup, files_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
