/* SPDX-License-Identifier: MPL-2.0
 * Arrays saved by NumPy, from files written here byte by byte and from one that NumPy wrote. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "tests/compute/opened.h"

/* descr and shape as Python prints them; version 1 or 2. */
static size_t s_npy (uint8_t *out, int version, const char *descr, const char *shape, const void *data, size_t size)
{
    char header[128];
    const size_t length = (size_t) snprintf (header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
    const uint8_t begin[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t) version, 0, (uint8_t) length, 0, 0, 0};
    const size_t at = version == 1 ? 10 : 12;
    memcpy (out, begin, at);
    memcpy (out + at, header, length);
    memcpy (out + at + length, data, size);
    return at + length + size;
}

static void s_write_npy (const files_t *files, const char *name, const char *descr, const char *shape, const void *data, size_t size)
{
    static uint8_t bytes[4096];
    files_write (files, name, bytes, s_npy (bytes, 1, descr, shape, data, size));
}

static const float s_x_train[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, s_x_test[4] = {0.5f, -1, 2, 3};
static const int64_t s_y_train[3] = {0, 2, 1}, s_y_test[1] = {1};

static void s_write_arrays (const files_t *files)
{
    s_write_npy (files, "x_train.npy", "<f4", "(3, 4)", s_x_train, sizeof s_x_train);
    s_write_npy (files, "y_train.npy", "<i8", "(3,)", s_y_train, sizeof s_y_train);
    s_write_npy (files, "x_test.npy", "<f4", "(1, 4)", s_x_test, sizeof s_x_test);
    s_write_npy (files, "y_test.npy", "<i8", "(1,)", s_y_test, sizeof s_y_test);
}

static void test_npy_folder (void **state)
{
    float x[4];
    int32_t label;
    const files_t *files = *state;
    s_write_arrays (files);
    rk_data_t *data = opened ("numpy", &(rk_data_options_t) {.path = files->path});
    assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_1 (4)));
    assert_int_equal (rk_data_n_classes (data), 3);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 3);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 8, x, &label), 1); /* a batch larger than the set */
    assert_memory_equal (x, s_x_test, sizeof x);
    assert_int_equal (label, 1);
    rk_data_close (&data);
    data = opened ("numpy", &(rk_data_options_t) {.path = files->path, .n_classes = 7});
    assert_int_equal (rk_data_n_classes (data), 7);
    rk_data_close (&data);
}

/* y of any shape that begins with the samples: targets, in the range that is there. */
static void test_npy_targets (void **state)
{
    static const float y_train[6] = {0.5f, -2, 3, 1, 0, 7.25f};
    static const double y_test[2] = {-2.5, 6};
    const files_t *files = *state;
    const rk_data_options_t options = {.path = files->path, .labels = RK_LABEL_TARGET};
    float x[4], targets[2];
    s_write_arrays (files);
    s_write_npy (files, "y_train.npy", "<f4", "(3, 2)", y_train, sizeof y_train);
    s_write_npy (files, "y_test.npy", "<f8", "(1, 2)", y_test, sizeof y_test);
    rk_data_t *data = opened ("numpy", &options);
    const rk_labels_t *labels = rk_data_labels (data);
    assert_int_equal (labels->kind, RK_LABEL_TARGET);
    assert_int_equal (labels->n, 2);
    assert_int_equal (rk_data_n_classes (data), 2);
    assert_true (labels->low == -2.5f && labels->high == 7.25f);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 1, x, targets), 1);
    assert_true (targets[0] == -2.5f && targets[1] == 6);
    rk_data_close (&data);
    s_write_npy (files, "y_test.npy", "<i8", "(1,)", s_y_test, sizeof s_y_test);
    refused ("numpy", &options, RK_EFORMAT, "y_test.npy: 1 targets a sample, those to train on have 2");
    s_write_npy (files, "y_train.npy", "<f4", "(2, 3)", y_train, sizeof y_train);
    refused ("numpy", &options, RK_EFORMAT, "y_train.npy: targets (2, 3) for 3 samples");
    s_write_npy (files, "y_train.npy", "<f4", "(3,)", (const float[]) {1, NAN, 2}, 12);
    refused ("numpy", &options, RK_EFORMAT, "y_train.npy: value 0 of sample 1 is nan");
}

/* Each type that is read, as samples of one value. */
static void test_npy_types (void **state)
{
    static const double f8[2] = {-2.5, 3};
    static const int32_t i4[2] = {-2, 16777215};
    static const int64_t i8[2] = {7, -16777215};
    static const uint8_t u1[2] = {0, 51};
    const struct {
        const char *descr;
        const void *data;
        size_t size;
        float expected[2];
    } cases[] = {{"<f8", f8, sizeof f8, {-2.5f, 3}}, {"<i4", i4, sizeof i4, {-2, 16777215}}, {"<i8", i8, sizeof i8, {7, -16777215}},
                 {"|u1", u1, sizeof u1, {0, 0.2f}}};
    const files_t *files = *state;
    s_write_arrays (files);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x[2];
        static const int32_t y[2] = {0, 1};
        s_write_npy (files, "x_train.npy", cases[i].descr, "(2, 1)", cases[i].data, cases[i].size);
        s_write_npy (files, "y_train.npy", "<i4", "(2, 1)", y, sizeof y);
        s_write_npy (files, "x_test.npy", cases[i].descr, "(2,)", cases[i].data, cases[i].size);
        s_write_npy (files, "y_test.npy", "|u1", "(2,)", "\0\1", 2);
        rk_data_t *data = opened ("numpy", &(rk_data_options_t) {.path = files->path});
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 2, x, NULL), 2);
        if (!about (x[0], cases[i].expected[0]) || !about (x[1], cases[i].expected[1]))
            fail_msg ("%s: %g, %g", cases[i].descr, (double) x[0], (double) x[1]);
        rk_data_close (&data);
    }
}

static void test_npy_pictures (void **state)
{
    uint8_t bytes[24] = {0};
    const files_t *files = *state;
    s_write_arrays (files);
    s_write_npy (files, "x_train.npy", "|u1", "(3, 4, 2)", bytes, 24);
    s_write_npy (files, "x_test.npy", "|u1", "(1, 4, 2)", bytes, 8);
    rk_data_t *data = opened ("numpy", &(rk_data_options_t) {.path = files->path});
    assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_3 (1, 4, 2)));
    rk_data_close (&data);
    s_write_npy (files, "x_train.npy", "|u1", "(3, 2, 2, 2)", bytes, 24);
    refused ("numpy", &(rk_data_options_t) {.path = files->path}, RK_EFORMAT, "x_test.npy: samples (1, 4, 2), those to train on are (2, 2, 2)");
}

static void test_wrong_npy (void **state)
{
    static const float nan[4] = {0, NAN, 0, 0};
    static const double large[4] = {0, 0, 1e300, 0};
    static const int32_t y[3] = {0, -1, 1}, i4[4] = {0, 0, 0, 1 << 24};
    static const struct {
        const char *file, *descr, *shape;
        const void *data;
        size_t size;
        const char *text;
    } cases[] = {
        {"x_train.npy", ">f4", "(3, 4)", s_x_train, 48, "x_train.npy: type \">f4\""},
        {"x_train.npy", "<f4", "(3, 4, 1, 1, 1)", s_x_train, 48, "at most 4 dimensions"},
        {"x_train.npy", "<f4", "(0, 4)", s_x_train, 0, "x_train.npy: shape (0, 4) is empty"},
        {"x_train.npy", "<f4", "()", s_x_train, 4, "is empty or too large"},
        {"x_train.npy", "<f4", "(3, 5)", s_x_train, 48, "48 bytes of data, its header (3, 5) of <f4 says 60"},
        {"x_train.npy", "<f4", "(2, 4)", s_x_train, 32, "y_train.npy: labels (3) for 2 samples"},
        {"x_test.npy", "<f4", "(1, 4)", nan, 16, "x_test.npy: value 1 of sample 0 is nan"},
        {"x_test.npy", "<f8", "(1, 4)", large, 32, "x_test.npy: value 2 of sample 0 is inf"},
        {"x_test.npy", "<i4", "(1, 4)", i4, 16, "value 3 is 16777216"},
        {"x_test.npy", "<f4", "(2, 2)", s_x_test, 16, "x_test.npy: samples (2), those to train on are (4)"},
        {"y_train.npy", "<i4", "(3,)", y, 12, "y_train.npy: label -1 of sample 1"},
        {"y_train.npy", "<f4", "(3,)", s_x_train, 12, "labels of type <f4"},
    };
    const files_t *files = *state;
    const rk_data_options_t options = {.path = files->path};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        s_write_arrays (files);
        s_write_npy (files, cases[i].file, cases[i].descr, cases[i].shape, cases[i].data, cases[i].size);
        refused ("numpy", &options, RK_EFORMAT, cases[i].text);
    }
    s_write_arrays (files);
    refused ("numpy", &(rk_data_options_t) {.path = files->path, .n_classes = 2}, RK_EFORMAT, "label 2 of sample 1 is not in 0..1");
    for (size_t size = 0; size < 100; size++) { /* cut short anywhere */
        s_write_arrays (files);
        files_cut (files, "x_train.npy", size);
        refused ("numpy", &options, RK_EFORMAT, "x_train.npy: ");
    }
}

/* One member of an archive, whose local header keeps its sizes to itself as NumPy's do. */
typedef struct {
    uint8_t bytes[8192], directory[1024];
    size_t size, directory_size;
    unsigned n;
} s_zip_t;

static void s_put (uint8_t **at, size_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        *(*at)++ = (uint8_t) (value >> 8 * i);
}

static void s_zip_add (s_zip_t *zip, const char *name, const uint8_t *data, size_t size, bool deflated)
{
    uint8_t packed[4096];
    z_stream z = {.next_in = (Bytef *) (uintptr_t) data, .avail_in = (uInt) size, .next_out = packed, .avail_out = sizeof packed};
    assert_int_equal (deflateInit2 (&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal (deflate (&z, Z_FINISH), Z_STREAM_END);
    deflateEnd (&z);
    const size_t length = strlen (name), stored = deflated ? z.total_out : size, local = zip->size;
    uint8_t *at = zip->bytes + zip->size;
    s_put (&at, 0x04034b50, 4);
    s_put (&at, 45, 2);
    s_put (&at, 0, 2);
    s_put (&at, deflated ? 8 : 0, 2);
    s_put (&at, 0, 4);
    s_put (&at, crc32 (0, data, (uInt) size), 4);
    s_put (&at, 0xffffffff, 4);
    s_put (&at, 0xffffffff, 4);
    s_put (&at, length, 2);
    s_put (&at, 20, 2);
    memcpy (at, name, length);
    at += length;
    s_put (&at, 0x00100001, 4); /* the zip64 extra field */
    s_put (&at, size, 8);
    s_put (&at, stored, 8);
    memcpy (at, deflated ? packed : data, stored);
    zip->size = (size_t) (at - zip->bytes) + stored;
    at = zip->directory + zip->directory_size;
    s_put (&at, 0x02014b50, 4);
    s_put (&at, 45, 2);
    s_put (&at, 45, 2);
    s_put (&at, 0, 2);
    s_put (&at, deflated ? 8 : 0, 2);
    s_put (&at, 0, 4);
    s_put (&at, crc32 (0, data, (uInt) size), 4);
    s_put (&at, stored, 4);
    s_put (&at, size, 4);
    s_put (&at, length, 2);
    s_put (&at, 0, 2);
    s_put (&at, 0, 2);
    s_put (&at, 0, 8);
    s_put (&at, local, 4);
    memcpy (at, name, length);
    zip->directory_size = (size_t) (at - zip->directory) + length;
    zip->n++;
}

static void s_zip_end (s_zip_t *zip)
{
    uint8_t *at = zip->bytes + zip->size + zip->directory_size;
    memcpy (zip->bytes + zip->size, zip->directory, zip->directory_size);
    s_put (&at, 0x06054b50, 4);
    s_put (&at, 0, 4);
    s_put (&at, zip->n, 2);
    s_put (&at, zip->n, 2);
    s_put (&at, zip->directory_size, 4);
    s_put (&at, zip->size, 4);
    s_put (&at, 0, 2);
    zip->size = (size_t) (at - zip->bytes);
}

static void s_zip_arrays (s_zip_t *zip, bool deflated)
{
    uint8_t bytes[512];
    *zip = (s_zip_t) {.n = 0};
    s_zip_add (zip, "x_train.npy", bytes, s_npy (bytes, 1, "<f4", "(3, 4)", s_x_train, sizeof s_x_train), deflated);
    s_zip_add (zip, "y_train.npy", bytes, s_npy (bytes, 2, "<i8", "(3,)", s_y_train, sizeof s_y_train), deflated);
    s_zip_add (zip, "x_test.npy", bytes, s_npy (bytes, 1, "<f4", "(1, 4)", s_x_test, sizeof s_x_test), deflated);
    s_zip_add (zip, "y_test.npy", bytes, s_npy (bytes, 1, "<i8", "(1,)", s_y_test, sizeof s_y_test), !deflated);
    s_zip_end (zip);
}

static void test_npz (void **state)
{
    static s_zip_t zip;
    const files_t *files = *state;
    for (int deflated = 0; deflated < 2; deflated++) {
        s_zip_arrays (&zip, deflated);
        files_write (files, "set.npz", zip.bytes, zip.size);
        rk_data_t *data = opened ("numpy", &(rk_data_options_t) {.path = files_path (files, "set.npz")});
        float x[12];
        int32_t labels[3];
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, 0, 3, x, labels), 3);
        for (int i = 0; i < 3; i++) { /* whatever the order: sample k begins with 4 k and has its own label */
            const int k = (int) x[4 * i] / 4;
            assert_int_equal (labels[i], s_y_train[k]);
            assert_memory_equal (x + 4 * i, s_x_train + 4 * k, 4 * sizeof *x);
        }
        rk_data_close (&data);
    }
}

/* Written by NumPy itself: savez_compressed of the same arrays. */
static void test_npz_of_numpy (void **state)
{
    char path[1024];
    float x[4];
    const char *root = getenv ("RK_SOURCE_DIR");
    snprintf (path, sizeof path, "%s/tests/fuzz/corpus/numpy/numpy-1.24.npz", root ? root : ".");
    rk_data_t *data = opened ("numpy", &(rk_data_options_t) {.path = path});
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 3);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 1, x, NULL), 1);
    assert_memory_equal (x, s_x_test, sizeof x);
    rk_data_close (&data);
}

/* Every byte of an archive cut off or changed: read or refused, never a crash, and never other values. */
static void test_damaged_npz (void **state)
{
    static s_zip_t zip;
    const files_t *files = *state;
    const rk_data_options_t options = {.path = files_path (files, "set.npz")};
    size_t refused = 0;
    s_zip_arrays (&zip, true);
    for (size_t at = 0; at < 2 * zip.size; at++) {
        const bool cut = at < zip.size;
        zip.bytes[at % zip.size] ^= cut ? 0 : 0x41;
        files_write (files, "set.npz", zip.bytes, cut ? at : zip.size);
        zip.bytes[at % zip.size] ^= cut ? 0 : 0x41;
        rk_data_t *data;
        rk_error_t err = {0};
        float x[4];
        if (rk_data_open (&data, "numpy", &options, &err)) {
            assert_true (!data && err.text[0]);
            refused++;
            continue;
        }
        assert_false (cut);
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 0, 1, x, NULL), 1);
        assert_memory_equal (x, s_x_test, sizeof x);
        rk_data_close (&data);
    }
    assert_true (refused > zip.size + zip.size / 2);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_npy_folder, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_npy_targets, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_npy_types, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_npy_pictures, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_wrong_npy, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown (test_npz, files_setup, files_teardown),
        cmocka_unit_test (test_npz_of_numpy),
        cmocka_unit_test_setup_teardown (test_damaged_npz, files_setup, files_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
