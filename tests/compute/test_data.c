/* SPDX-License-Identifier: MPL-2.0 */
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

#include "compute/data/pack.h"
#include "compute/rng.h"

#define N_TRAIN 7
#define N_TEST 3
#define SIDE_H 5
#define SIDE_W 4

typedef struct {
    uint8_t bytes[256];
    size_t size;
} s_file_t;

/* Folder of four small, valid IDX files; each test damages one of them. */
typedef struct {
    char folder[64];
    s_file_t files[4]; /* train images, train labels, test images, test labels */
} s_folder_t;

static const char *const s_stems[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                      "t10k-labels-idx1-ubyte"};

static s_file_t s_idx (int n_dims, const size_t *dim)
{
    s_file_t file = {.bytes = {0, 0, 8, (uint8_t) n_dims}, .size = 4};
    size_t count = 1;
    for (int d = 0; d < n_dims; d++) {
        file.bytes[file.size + 3] = (uint8_t) dim[d];
        file.size += 4;
        count *= dim[d];
    }
    for (size_t i = 0; i < count; i++)
        file.bytes[file.size++] = (uint8_t) (n_dims == 1 ? i % 10 : i);
    return file;
}

static int s_setup (void **state)
{
    s_folder_t *self = calloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/rk-data-XXXXXX");
    if (!self || !mkdtemp (self->folder))
        return -1;
    self->files[0] = s_idx (3, (const size_t[]) {N_TRAIN, SIDE_H, SIDE_W});
    self->files[1] = s_idx (1, (const size_t[]) {N_TRAIN});
    self->files[2] = s_idx (3, (const size_t[]) {N_TEST, SIDE_H, SIDE_W});
    self->files[3] = s_idx (1, (const size_t[]) {N_TEST});
    *state = self;
    return 0;
}

static void s_path (const s_folder_t *self, int i, bool packed, char path[256])
{
    snprintf (path, 256, "%s/%s%s", self->folder, s_stems[i], packed ? ".gz" : "");
}

static int s_teardown (void **state)
{
    s_folder_t *self = *state;
    char path[256];
    for (int i = 0; i < 8; i++) {
        s_path (self, i / 2, i % 2, path);
        unlink (path);
    }
    rmdir (self->folder);
    free (self);
    return 0;
}

static void s_write (const s_folder_t *self, bool packed)
{
    char path[256];
    for (int i = 0; i < 4; i++) {
        s_path (self, i, packed, path);
        gzFile gz = gzopen (path, packed ? "wb" : "wbT");
        assert_non_null (gz);
        assert_int_equal (gzwrite (gz, self->files[i].bytes, (unsigned) self->files[i].size), self->files[i].size);
        assert_int_equal (gzclose (gz), Z_OK);
    }
}

static void test_reads_plain_and_gzip (void **state)
{
    const s_folder_t *self = *state;
    for (int packed = 0; packed < 2; packed++) {
        s_write (self, packed);
        rk_error_t err = {0};
        rk_data_t *data;
        if (rk_data_open (&data, "fashion-mnist", &(rk_data_options_t) {.path = self->folder}, &err))
            fail_msg ("%s", err.text);
        assert_true (rk_shape_equal (rk_data_shape (data), rk_shape_3 (1, SIDE_H, SIDE_W)));
        assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), N_TRAIN);
        assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), N_TEST);
        assert_int_equal (rk_data_n_classes (data), 10);
        float x[2 * SIDE_H * SIDE_W];
        int32_t labels[2];
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 1, 2, x, labels), 1); /* the ragged last one */
        assert_int_equal (labels[0], 2);
        assert_true (fabsf (x[0] - (40 / 255.0f - 0.2860f) / 0.3530f) < 1e-6f);
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, 2, 2, x, labels), 0);
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 1, 0, UINT64_MAX, 2, x, labels), 0);
        rk_data_close (&data);
        rk_data_close (&data);
    }
}

static void test_synthetic_digits (void **state)
{
    rk_data_t *data;
    assert_int_equal (rk_data_open (&data, "synthetic-digits", NULL, NULL), RK_OK);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 1078);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), 719);
    assert_int_equal (rk_shape_elems (rk_data_shape (data)), 64);
    rk_data_close (&data);
}

/* Every sample once per pass, whatever the batch; another order in another pass. */
static void test_each_sample_once (void **state)
{
    rk_data_t *data;
    assert_int_equal (rk_data_open (&data, "synthetic", NULL, NULL), RK_OK);
    const size_t n = rk_data_n (data, RK_SPLIT_TRAIN), elems = rk_shape_elems (rk_data_shape (data));
    float *first = malloc (100 * elems * sizeof *first), *again = malloc (100 * elems * sizeof *again);
    int32_t labels[100];
    size_t seen = 0, per_class[10] = {0};
    for (uint64_t index = 0;; index++) {
        size_t got = rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, index, 100, first, labels);
        if (got == 0)
            break;
        seen += got;
        for (size_t i = 0; i < got; i++)
            per_class[labels[i]]++;
    }
    assert_int_equal (seen, n);
    for (int c = 0; c < 10; c++)
        assert_in_range (per_class[c], n / 10, n / 10 + 1);
    rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, 3, 100, first, labels);
    rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, 3, 100, again, labels);
    assert_memory_equal (first, again, 100 * elems * sizeof *first);
    rk_data_batch (data, RK_SPLIT_TRAIN, 1, 1, 3, 100, again, labels);
    assert_memory_not_equal (first, again, 100 * elems * sizeof *first);
    /* Half the batch, twice the index: the same samples. */
    rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, 6, 50, again, labels);
    assert_memory_equal (first, again, 50 * elems * sizeof *first);
    free (first);
    free (again);
    rk_data_close (&data);
}

static void s_refused (const s_folder_t *self, rk_err_t code, const char *stem, const char *text)
{
    rk_error_t err = {0};
    rk_data_t *data;
    assert_int_equal (rk_data_open (&data, "fashion-mnist", &(rk_data_options_t) {.path = self->folder}, &err), code);
    assert_null (data);
    if (!strstr (err.text, stem) || !strstr (err.text, text))
        fail_msg ("\"%s\" does not name %s and \"%s\"", err.text, stem, text);
}

static void test_wrong_files (void **state)
{
    s_folder_t *self = *state;
    const s_folder_t good = *self;
    s_refused (self, RK_EIO, s_stems[0], "neither");
    self->files[0].bytes[2] = 13; /* floats */
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[0], "magic number 0x00000d03, expected 0x00000803");
    *self = good;
    self->files[1].bytes[3] = 3;
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[1], "magic number");
    for (size_t size = 0; size < good.files[2].size; size += 3) { /* truncated anywhere */
        *self = good;
        self->files[2].size = size;
        s_write (self, false);
        s_refused (self, RK_EFORMAT, s_stems[2], " bytes");
    }
    *self = good;
    self->files[2].size += 1;
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[2], "61 bytes of data, its header says 60");
    *self = good;
    memset (self->files[0].bytes + 4, 0xff, 12);
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[0], "dimension 0 is 4294967295");
    *self = good;
    memset (self->files[0].bytes + 8, 0, 4);
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[0], "dimension 1 is 0");
}

static void test_files_that_disagree (void **state)
{
    s_folder_t *self = *state;
    const s_folder_t good = *self;
    self->files[1] = s_idx (1, (const size_t[]) {N_TRAIN - 1});
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[1], "6 labels for 7 images");
    *self = good;
    self->files[3].bytes[9] = 10;
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[3], "label 10 of sample 1");
    *self = good;
    self->files[2] = s_idx (3, (const size_t[]) {N_TEST, SIDE_W, SIDE_H});
    s_write (self, false);
    s_refused (self, RK_EFORMAT, s_stems[2], "4 x 5, the other part has 5 x 4");
}

/* Each byte of a gzip file cut off or flipped: refused or read, never a crash. */
static void test_damaged_gzip (void **state)
{
    s_folder_t *self = *state;
    char path[256];
    uint8_t bytes[512];
    s_write (self, true);
    s_path (self, 0, true, path);
    FILE *file = fopen (path, "rb");
    const size_t size = fread (bytes, 1, sizeof bytes, file);
    fclose (file);
    int refused = 0;
    for (size_t at = 0; at < 2 * size; at++) {
        file = fopen (path, "wb");
        const bool cut = at < size;
        bytes[at % size] ^= cut ? 0 : 0x55;
        fwrite (bytes, 1, cut ? at : size, file);
        fclose (file);
        bytes[at % size] ^= cut ? 0 : 0x55;
        rk_data_t *data;
        rk_err_t rc = rk_data_open (&data, "fashion-mnist", &(rk_data_options_t) {.path = self->folder}, NULL);
        refused += rc != RK_OK;
        assert_true (rc == RK_OK || !data);
        assert_true (!cut || rc != RK_OK);
        rk_data_close (&data);
    }
    assert_true (refused > (int) (size + size / 2));
}

/* One file to predict: images as the data set's own, or raw floats. */
static void test_input_file (void **state)
{
    s_folder_t *self = *state;
    char path[256];
    float x[28 * 28];
    rk_error_t err = {0};
    rk_data_t *data;
    s_write (self, true);
    s_path (self, 2, true, path);
    if (rk_data_open_input (&data, "fashion-mnist", NULL, path, &err))
        fail_msg ("%s", err.text);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), N_TEST);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TRAIN), 0);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 0, 0, 0, 1, x, NULL), 1);
    assert_true (fabsf (x[1] - (1 / 255.0f - 0.2860f) / 0.3530f) < 1e-6f);
    rk_data_close (&data);
    s_path (self, 3, true, path); /* labels are no images */
    assert_int_equal (rk_data_open_input (&data, "fashion-mnist", NULL, path, &err), RK_EFORMAT);
    assert_null (data);
    s_path (self, 0, false, path);
    FILE *file = fopen (path, "wb");
    for (int i = 0; i < 2 * 28 * 28; i++) {
        const float value = (float) i / 8;
        fwrite (&value, sizeof value, 1, file);
    }
    fclose (file);
    if (rk_data_open_input (&data, "fashion-mnist", NULL, path, &err))
        fail_msg ("%s", err.text);
    assert_int_equal (rk_data_n (data, RK_SPLIT_TEST), 2);
    assert_int_equal (rk_data_batch (data, RK_SPLIT_TEST, 0, 0, 1, 1, x, NULL), 1);
    assert_true (x[3] == (784 + 3) / 8.0f);
    rk_data_close (&data);
    file = fopen (path, "ab");
    fputc (0, file);
    fclose (file);
    assert_int_equal (rk_data_open_input (&data, "fashion-mnist", NULL, path, &err), RK_EFORMAT);
    assert_non_null (strstr (err.text, "6273 bytes"));
    assert_int_equal (rk_data_open_input (&data, "fashion-mnist", NULL, "/nowhere", &err), RK_EIO);
}

/* What is packed comes back, the first samples dense and larger than they were; dense sets stay as they are. */
static void test_packing (void **state)
{
    static const size_t lengths[] = {1, 7, 8, 13, 784};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int dense = 0; dense < 2; dense++) {
            const size_t elems = lengths[l], n = 50, raw = n * elems;
            rk_data_part_t part = {.n = n, .bytes = malloc (raw)};
            uint8_t *kept = malloc (raw), sample[784];
            uint32_t words[4];
            for (size_t i = 0; i < raw; i++) {
                rk_rng_block (1, rk_rng_stream (RK_RNG_TEST, l), i, words);
                const bool zero = !dense && i >= 3 * elems && words[0] % 10 < 7;
                kept[i] = part.bytes[i] = zero ? 0 : (uint8_t) (words[1] % 255 + 1);
            }
            assert_int_equal (rk_data_pack (&part, elems), RK_OK);
            assert_int_equal (part.packed_at != NULL, !dense && elems > 1);
            for (size_t s = 0; s < n && part.packed_at; s++) {
                rk_data_unpack (&part, s, elems, sample);
                assert_memory_equal (sample, kept + s * elems, elems);
            }
            if (!part.packed_at)
                assert_memory_equal (part.bytes, kept, raw);
            free (part.bytes);
            free (part.packed_at);
            free (kept);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_reads_plain_and_gzip, s_setup, s_teardown),
        cmocka_unit_test (test_each_sample_once),
        cmocka_unit_test (test_packing),
        cmocka_unit_test_setup_teardown (test_wrong_files, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_files_that_disagree, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_damaged_gzip, s_setup, s_teardown),
        cmocka_unit_test (test_synthetic_digits),
        cmocka_unit_test_setup_teardown (test_input_file, s_setup, s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
