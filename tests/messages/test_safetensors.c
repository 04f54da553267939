/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "messages/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/messages/folder.h"

static folder_t s_folder;
static uint64_t s_state = 88172645463325252ull;

static int s_setup (void **state)
{
    return folder_open (&s_folder);
}

static int s_teardown (void **state)
{
    folder_close (&s_folder);
    return 0;
}

static uint64_t s_next (void)
{
    s_state ^= s_state << 13;
    s_state ^= s_state >> 7;
    s_state ^= s_state << 17;
    return s_state;
}

static const char *s_path (void)
{
    return folder_file (&s_folder, "model.safetensors");
}

static size_t s_slurp (char *bytes, size_t size)
{
    int fd = open (s_path (), O_RDONLY);
    ssize_t n = read (fd, bytes, size);
    close (fd);
    assert_in_range (n, 1, (int) size - 1);
    return (size_t) n;
}

/* The bytes by hand: length, JSON padded to a multiple of 8, data without gaps. */
static void s_golden (void **state)
{
    static const char json[] = "{\"__metadata__\":{\"xxh64\":\"0000000000000000\",\"round\":\"7\",\"a\\\"b\":\"\xc3\xa9\"},"
                               "\"conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2,1,3],\"data_offsets\":[0,24]},"
                               "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
                               "\"none\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[28,28]}}";
    static const char *const metadata[] = {"round", "7", "a\"b", "\xc3\xa9"};
    const float weight[6] = {1, -2, 3, -4, 5, 1e-40f}, b = 0.5f;
    const rk_st_tensor_t tensors[] = {{"conv1.weight", 3, {2, 1, 3}, weight, 6}, {"b", 0, {0}, &b, 1}, {"none", 2, {0, 5}, NULL, 0}};
    char got[1024];
    assert_int_equal (rk_st_write (s_path (), tensors, 3, metadata, 2, NULL), RK_OK);
    size_t n = s_slurp (got, sizeof got), n_json = sizeof json - 1, padded = (n_json + 7) & ~(size_t) 7;
    assert_int_equal (n, 8 + padded + 28);
    assert_int_equal ((unsigned char) got[0] | (unsigned char) got[1] << 8, padded);
    assert_memory_equal (got + 2, "\0\0\0\0\0\0", 6);
    uint64_t digest = strtoull (got + 8 + 26, NULL, 16);
    memset (got + 8 + 26, '0', 16); /* as it is counted in the digest itself */
    assert_memory_equal (got + 8, json, n_json);
    assert_true (digest == XXH64 (got, n, 0));
    for (size_t i = n_json; i < padded; i++)
        assert_int_equal (got[8 + i], ' ');
    assert_memory_equal (got + 8 + padded, weight, 24);
    assert_memory_equal (got + 8 + padded + 24, &b, 4);
}

/* Part by part in any order: the same bytes as at once. */
static void s_draft (void **state)
{
    static float data[3][5000];
    static char whole[70000], parts[70000];
    const char *const metadata[] = {"digest", "0123", "b", "x"};
    rk_st_tensor_t tensors[3] = {{"a", 1, {5000}, data[0], 5000}, {"b", 2, {50, 100}, data[1], 5000}, {"c", 1, {0}, NULL, 0}};
    for (size_t i = 0; i < 5000; i++)
        data[0][i] = (float) i, data[1][i] = -(float) i;
    const char *const told[] = {"digest", "abcd", "b", "x"};
    assert_int_equal (rk_st_write (s_path (), tensors, 3, told, 2, NULL), RK_OK);
    size_t n = s_slurp (whole, sizeof whole);
    rk_st_draft_t *draft = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_st_draft_new (&draft, s_path (), tensors, 3, metadata, 2, &err), RK_OK);
    for (size_t at = 4900 / 7 * 7; at < 5000; at -= 7)
        for (size_t t = 0; t < 2; t++)
            assert_int_equal (rk_st_draft_put (draft, t, at, data[t] + at, at + 7 > 5000 ? 5000 - at : 7, &err), RK_OK);
    for (size_t t = 0; t < 2; t++)
        assert_int_equal (rk_st_draft_put (draft, t, 4900, data[t] + 4900, 100, &err), RK_OK);
    const float *seen = NULL;
    assert_int_equal (rk_st_draft_look (draft, 1, &seen, &err), RK_OK);
    float last;
    memcpy (&last, seen + 4999, sizeof last);
    assert_true (last == -4999);
    assert_int_equal (rk_st_draft_put (draft, 1, 4999, data[1], 2, &err), RK_EINVAL);
    assert_int_equal (rk_st_draft_put (draft, 3, 0, data[1], 0, &err), RK_EINVAL);
    assert_int_equal (rk_st_draft_tell (draft, "digest", "abc", &err), RK_EINVAL);
    assert_int_equal (rk_st_draft_tell (draft, "none", "abc", &err), RK_EINVAL);
    assert_int_equal (rk_st_draft_tell (draft, "digest", "abcd", &err), RK_OK);
    assert_int_equal (rk_st_draft_commit (&draft, &err), RK_OK);
    assert_null (draft);
    assert_int_equal (s_slurp (parts, sizeof parts), n);
    assert_memory_equal (parts, whole, n);
    assert_int_equal (rk_st_draft_new (&draft, s_path (), tensors, 1, NULL, 0, &err), RK_OK);
    rk_st_draft_discard (&draft); /* the old file is still there, and nothing else */
    assert_int_equal (s_slurp (parts, sizeof parts), n);
    assert_int_equal (folder_count (&s_folder, 0), 1);
}

/* Any bit that is not as it was written is noticed. */
static void s_damage (void **state)
{
    const char *const metadata[] = {"round", "7"};
    const float data[40] = {1, 2, 3};
    rk_st_tensor_t tensor = {"a", 1, {40}, data, 40};
    char bytes[1024];
    assert_int_equal (rk_st_write (s_path (), &tensor, 1, metadata, 1, NULL), RK_OK);
    size_t n = s_slurp (bytes, sizeof bytes);
    for (size_t i = 0; i < 8 * n; i++) {
        rk_st_file_t *file = NULL;
        rk_error_t err = {0};
        bytes[i / 8] ^= (char) (1 << i % 8);
        int fd = open (s_path (), O_WRONLY);
        assert_int_equal (write (fd, bytes, n), n);
        close (fd);
        rk_err_t code = rk_st_open (&file, s_path (), &err);
        /* only a file that names no digest any more is taken for somebody else's */
        if (code == RK_OK)
            assert_null (rk_st_metadata (file, RK_ST_DIGEST));
        rk_st_close (&file);
        bytes[i / 8] ^= (char) (1 << i % 8);
        if (i / 8 >= 8 + 26 + 17 || i / 8 < 8)
            assert_int_not_equal (code, RK_OK);
    }
}

static void s_round_trip (void **state)
{
    enum { N = 200, MAX = 700 };
    static float data[N][MAX];
    static char name[N][64];
    static rk_st_tensor_t in[N];
    static const char *const metadata[] = {"round", "12", "plan", "{\"clusters\": 2}", "empty", ""};
    for (int i = 0; i < N; i++) {
        rk_st_tensor_t *t = &in[i];
        snprintf (name[i], sizeof name[i], "replica.%d.layer%d.é", i % 7, (i * 37) % N);
        *t = (rk_st_tensor_t) {.name = name[i], .n_dims = (int) (s_next () % 5), .data = data[i], .count = 1};
        for (int k = 0; k < t->n_dims; k++)
            t->count *= t->dim[k] = s_next () % 6;
        for (size_t k = 0; k < MAX; k++)
            data[i][k] = (float) (int64_t) s_next ();
    }
    rk_error_t err = {0};
    if (rk_st_write (s_path (), in, N, metadata, 3, &err))
        fail_msg ("%s", err.text);
    rk_st_file_t *file = NULL;
    if (rk_st_open (&file, s_path (), &err))
        fail_msg ("%s", err.text);
    assert_int_equal (rk_st_n (file), N);
    for (int i = 0; i < N; i++) {
        const rk_st_tensor_t *t = rk_st_find (file, in[i].name);
        assert_ptr_equal (t, rk_st_at (file, (size_t) i));
        assert_int_equal (t->n_dims, in[i].n_dims);
        assert_memory_equal (t->dim, in[i].dim, sizeof *t->dim * (size_t) t->n_dims);
        assert_int_equal (t->count, in[i].count);
        assert_int_equal ((uintptr_t) t->data % sizeof (float), 0);
        assert_memory_equal (t->data, data[i], t->count * sizeof (float));
    }
    assert_null (rk_st_at (file, N));
    assert_null (rk_st_find (file, "replica.0.layer0"));
    assert_null (rk_st_find (file, "__metadata__"));
    assert_string_equal (rk_st_metadata (file, "plan"), "{\"clusters\": 2}");
    assert_string_equal (rk_st_metadata (file, "empty"), "");
    assert_null (rk_st_metadata (file, "none"));
    rk_st_close (&file);
    rk_st_close (&file);
    assert_int_equal (folder_count (&s_folder, 0), 1);
}

static void s_empty_file (void **state)
{
    rk_st_file_t *file = NULL;
    assert_int_equal (rk_st_write (s_path (), NULL, 0, NULL, 0, NULL), RK_OK);
    assert_int_equal (rk_st_open (&file, s_path (), NULL), RK_OK);
    assert_int_equal (rk_st_n (file), 0);
    assert_null (rk_st_find (file, "x"));
    assert_null (rk_st_metadata (file, "x"));
    rk_st_close (&file);
}

/* ---- refused by the writer: the old file stays */
static void s_write_refuses (void **state)
{
    static const float x[4] = {1, 2, 3, 4};
    static char long_name[300];
    memset (long_name, 'n', sizeof long_name - 1);
    static const struct {
        rk_st_tensor_t tensors[2];
        const char *what;
    } bad[] = {
        {{{"a", 1, {4}, x, 4}, {"a", 1, {4}, x, 4}}, "a is there twice"},
        {{{"a", 1, {4}, x, 4}, {"b", 1, {3}, x, 4}}, "tensor b: 4 floats do not fill its 1 dimensions"},
        {{{"a", 1, {4}, x, 4}, {"b", 5, {1, 1, 1, 4}, x, 4}}, "tensor b"},
        {{{"a", 1, {4}, x, 4}, {"b", -1, {0}, x, 1}}, "tensor b"},
        {{{"a", 1, {4}, x, 4}, {"b", 2, {SIZE_MAX, SIZE_MAX}, x, 1}}, "tensor b"},
        {{{"a", 1, {4}, x, 4}, {"b", 4, {1 << 16, 1 << 16, 1 << 16, 1 << 16}, x, 0}}, "tensor b"},
        {{{"a", 1, {4}, x, 4}, {"b", 1, {4}, NULL, 4}}, "tensor b: no data"},
        {{{"a", 1, {4}, x, 4}, {"", 1, {4}, x, 4}}, "cannot be called \"\""},
        {{{"a", 1, {4}, x, 4}, {NULL, 1, {4}, x, 4}}, "cannot be called \"\""},
        {{{"a", 1, {4}, x, 4}, {"__metadata__", 1, {4}, x, 4}}, "cannot be called \"__metadata__\""},
        {{{"a", 1, {4}, x, 4}, {"a\nb", 1, {4}, x, 4}}, "control character"},
        {{{"a", 1, {4}, x, 4}, {"\xff", 1, {4}, x, 4}}, "not UTF-8"},
        {{{"a", 1, {4}, x, 4}, {long_name, 1, {4}, x, 4}}, "longer than 255"},
    };
    const rk_st_tensor_t good = {"old", 1, {4}, x, 4};
    const char *const not_utf8[] = {"key", "\xff"};
    rk_error_t err = {0};
    assert_int_equal (rk_st_write (s_path (), &good, 1, NULL, 0, NULL), RK_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal (rk_st_write (s_path (), bad[i].tensors, 2, NULL, 0, &err), RK_EINVAL);
        if (!strstr (err.text, bad[i].what) || !strstr (err.text, "model.safetensors"))
            fail_msg ("\"%s\" does not say \"%s\"", err.text, bad[i].what);
    }
    assert_int_equal (rk_st_write (s_path (), &good, 1, not_utf8, 1, &err), RK_EINVAL);
    assert_int_equal (rk_st_write (folder_file (&s_folder, "none/x"), &good, 1, NULL, 0, &err), RK_EIO);
    rk_st_file_t *file = NULL;
    assert_int_equal (rk_st_open (&file, s_path (), NULL), RK_OK);
    assert_non_null (rk_st_find (file, "old"));
    rk_st_close (&file);
    assert_int_equal (folder_count (&s_folder, 0), 1);
}

/* ---- refused by the reader */
static void s_spit (const char *bytes, size_t n)
{
    int fd = open (s_path (), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_int_equal (write (fd, bytes, n), (ssize_t) n);
    close (fd);
}

static void s_spit_json (const char *json, size_t n_data)
{
    char bytes[4096] = {0};
    size_t n = strlen (json);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char) (n >> 8 * i & 0xff);
    memcpy (bytes + 8, json, n);
    s_spit (bytes, 8 + n + n_data);
}

static void s_refused (rk_err_t code, const char *what)
{
    rk_st_file_t *file = NULL;
    rk_error_t err = {0};
    rk_err_t rc = rk_st_open (&file, s_path (), &err);
    if (rc != code || err.code != code || !strstr (err.text, what) || !strstr (err.text, "model.safetensors"))
        fail_msg ("code %d, \"%s\" does not say \"%s\"", rc, err.text, what);
    assert_null (file);
}

#define T(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void s_read_refuses (void **state)
{
    static const struct {
        const char *json;
        size_t n_data;
        rk_err_t code;
        const char *what;
    } bad[] = {
        {"", 8, RK_EFORMAT, "not a JSON object"},
        {"[1]", 0, RK_EFORMAT, "not a JSON object"},
        {" {}", 0, RK_EFORMAT, "not a JSON object"},
        {"{} x", 0, RK_EFORMAT, "not a JSON object"},
        {"{\"a\":", 0, RK_EFORMAT, "not a JSON object"},
        {"{" T ("a", "F32", "1", "0,4") "," T ("a", "F32", "1", "4,8") "}", 8, RK_EFORMAT, "unique names"},
        {"{" T ("a", "F32", "1", "0,99999999999999999999") "}", 4, RK_EFORMAT, "not a JSON object"},
        {"{" T ("a\\u0000b", "F32", "1", "0,4") "}", 4, RK_EFORMAT, "not a JSON object"},
        {"{" T ("a\\nb", "F32", "1", "0,4") "}", 4, RK_EFORMAT, "control character"},
        {"{" T ("a", "F16", "2", "0,4") "}", 4, RK_EUNSUPPORTED, "tensor a: dtype is not F32"},
        {"{" T ("a", "F32", "1,1,1,1,1", "0,4") "}", 4, RK_EUNSUPPORTED, "tensor a: 5 dimensions"},
        {"{" T ("a", "F32", "1", "0,8") "}", 4, RK_EFORMAT, "tensor a: bytes 0 to 8 of 4"},
        {"{" T ("a", "F32", "1", "8,4") "}", 16, RK_EFORMAT, "tensor a: bytes 8 to 4"},
        {"{" T ("a", "F32", "3", "0,8") "}", 8, RK_EFORMAT, "tensor a: 8 bytes for 3 floats"},
        {"{" T ("a", "F32", "", "0,8") "}", 8, RK_EFORMAT, "tensor a: 8 bytes for 1 floats"},
        {"{" T ("a", "F32", "-1", "0,4") "}", 4, RK_EFORMAT, "dimension 0 is not a size"},
        {"{" T ("a", "F32", "1,1.0", "0,4") "}", 4, RK_EFORMAT, "dimension 1 is not a size"},
        {"{" T ("a", "F32", "1", "-4,0") "}", 4, RK_EFORMAT, "not two positions"},
        {"{" T ("a", "F32", "1", "0,4,8") "}", 8, RK_EFORMAT, "not two positions"},
        {"{" T ("a", "F32", "4611686018427387904,4", "0,0") "}", 0, RK_EFORMAT, "multiply beyond any file"},
        {"{" T ("a", "F32", "4294967296,4294967296,4294967296,4294967296", "0,0") "}", 0, RK_EFORMAT, "multiply beyond"},
        {"{" T ("a", "F32", "9223372036854775807", "0,0") "}", 0, RK_EFORMAT, "multiply beyond any file"},
        {"{" T ("a", "F32", "2", "0,8") "," T ("b", "F32", "1", "4,8") "}", 8, RK_EFORMAT, "tensor b overlaps another"},
        {"{" T ("a", "F32", "2", "0,8") "," T ("b", "F32", "2", "0,8") "}", 8, RK_EFORMAT, "overlaps another"},
        {"{" T ("a", "F32", "1", "0,4") "," T ("b", "F32", "1", "8,12") "}", 12, RK_EFORMAT, "tensor b leaves a gap"},
        {"{" T ("a", "F32", "1", "0,4") "}", 8, RK_EFORMAT, "8 bytes of data, the tensors need 4"},
        {"{}", 1, RK_EFORMAT, "1 bytes of data, the tensors need 0"},
        {"{\"a\":7}", 0, RK_EFORMAT, "tensor a: no dtype"},
        {"{\"a\":{\"dtype\":\"F32\"}}", 0, RK_EFORMAT, "tensor a: no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, RK_EFORMAT, "not two positions"},
        {"{\"__metadata__\":7}", 0, RK_EFORMAT, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":7}}", 0, RK_EFORMAT, "something else than text"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s_spit_json (bad[i].json, bad[i].n_data);
        s_refused (bad[i].code, bad[i].what);
    }
}

static void s_bad_lengths (void **state)
{
    s_spit ("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    s_refused (RK_EFORMAT, "header of 18446744073709551615 bytes in a file of 10");
    s_spit ("\x03\0\0\0\0\0\0\0{}", 10);
    s_refused (RK_EFORMAT, "header of 3 bytes");
    s_spit ("\0\0\0\0\0\0\0\0", 8);
    s_refused (RK_EFORMAT, "not a JSON object");
    s_spit ("\0\0\0\0\0\0\0", 7);
    s_refused (RK_EFORMAT, "not a safetensors file (7 bytes)");
    unlink (s_path ());
    s_refused (RK_EIO, "No such file");
    assert_int_equal (mkdir (s_path (), 0777), 0);
    s_refused (RK_EFORMAT, "not a safetensors file");
    assert_int_equal (rmdir (s_path ()), 0);
    assert_int_equal (mkfifo (s_path (), 0666), 0);
    s_refused (RK_EFORMAT, "not a safetensors file");
    unlink (s_path ());
}

/* Another writer's file: not padded, tensors in another order than their data, an empty one in between. */
static void s_foreign (void **state)
{
    rk_st_file_t *file = NULL;
    rk_error_t err = {0};
    s_spit_json ("{" T ("b", "F32", "1,2", "4,12") "," T ("e", "F32", "0", "4,4") ", " T ("a", "F32", "1", "0,4") "}  \n", 12);
    if (rk_st_open (&file, s_path (), &err))
        fail_msg ("%s", err.text);
    assert_int_equal (rk_st_n (file), 3);
    assert_string_equal (rk_st_at (file, 0)->name, "b");
    assert_int_equal ((const char *) rk_st_find (file, "b")->data - (const char *) rk_st_find (file, "a")->data, 4);
    rk_st_close (&file);
}

/* ---- every truncation is refused; changed bytes never crash. In memory: a disk would take most of the time. */
static rk_err_t s_open_bytes (rk_st_file_t **file, const char *bytes, size_t n, rk_error_t *err)
{
    fuzz_file_t input;
    assert_true (fuzz_file_open (&input, (const uint8_t *) bytes, n));
    rk_err_t rc = rk_st_open (file, input.path, err);
    fuzz_file_close (&input);
    return rc;
}

static void s_mutations (void **state)
{
    static char bytes[1024], changed[1024];
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    const rk_st_tensor_t tensors[] = {{"conv1.weight", 2, {2, 3}, x, 6}, {"conv1.bias", 1, {2}, x, 2}};
    const char *const metadata[] = {"round", "7"};
    rk_st_file_t *file = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_st_write (s_path (), tensors, 2, metadata, 1, NULL), RK_OK);
    size_t n = s_slurp (bytes, sizeof bytes), n_json = (unsigned char) bytes[0] | (size_t) (unsigned char) bytes[1] << 8;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal (s_open_bytes (&file, bytes, i, &err), RK_EFORMAT);
        assert_null (file);
        assert_int_not_equal (err.text[0], 0);
    }
    for (int i = 0; i < 20000; i++) {
        memcpy (changed, bytes, n);
        for (uint64_t k = 0; k < 1 + s_next () % 3; k++)
            changed[s_next () % (8 + n_json)] = s_next () & 1 ? "0123456789-,:[]{}\"eF"[s_next () % 20] : (char) s_next ();
        if (s_open_bytes (&file, changed, n, NULL) == RK_OK)
            for (size_t k = 0; k < rk_st_n (file); k++) {
                float copy[8]; /* whatever it says is there can be read */
                assert_in_range (rk_st_at (file, k)->count, 0, 8);
                memcpy (copy, rk_st_at (file, k)->data, rk_st_at (file, k)->count * sizeof *copy);
            }
        rk_st_close (&file);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_draft),        cmocka_unit_test (s_damage),
        cmocka_unit_test (s_golden),       cmocka_unit_test (s_round_trip),  cmocka_unit_test (s_empty_file),
        cmocka_unit_test (s_write_refuses), cmocka_unit_test (s_read_refuses), cmocka_unit_test (s_bad_lengths),
        cmocka_unit_test (s_foreign),      cmocka_unit_test (s_mutations),
    };
    return cmocka_run_group_tests_name ("messages/safetensors", tests, s_setup, s_teardown);
}
