/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "messages/file.h"
#include "tests/messages/folder.h"

static folder_t s_folder;

static int s_setup (void **state)
{
    return folder_open (&s_folder);
}

static int s_teardown (void **state)
{
    folder_close (&s_folder);
    return 0;
}

static void s_put (const char *name, const char *text)
{
    rk_file_t *file = NULL;
    rk_error_t err = {0};
    if (rk_file_create (&file, folder_file (&s_folder, name), &err) || rk_file_write (file, text, strlen (text), &err)
        || rk_file_commit (&file, &err))
        fail_msg ("%s", err.text);
    assert_null (file);
}

static void s_holds (const char *name, const char *want)
{
    char got[64] = "";
    int fd = open (folder_file (&s_folder, name), O_RDONLY);
    assert_true (fd >= 0);
    assert_int_equal (read (fd, got, sizeof got - 1), (ssize_t) strlen (want));
    assert_string_equal (got, want);
    close (fd);
}

static void s_replaces (void **state)
{
    s_put ("a", "first");
    s_holds ("a", "first");
    s_put ("a", "second, longer");
    s_holds ("a", "second, longer");
    s_put ("a", "");
    s_holds ("a", "");
    assert_int_equal (folder_count (&s_folder, 1), 1);
}

static void s_invisible_until_commit (void **state)
{
    rk_file_t *file = NULL;
    s_put ("a", "old");
    assert_int_equal (rk_file_create (&file, folder_file (&s_folder, "a"), NULL), RK_OK);
    assert_int_equal (rk_file_write (file, "new", 3, NULL), RK_OK);
    s_holds ("a", "old");
    assert_int_equal (folder_count (&s_folder, 0), 2);
    rk_file_discard (&file);
    rk_file_discard (&file);
    s_holds ("a", "old");
    assert_int_equal (folder_count (&s_folder, 1), 1);
}

/* A crashed process of the same pid left its temporary file behind; two writers do not share one. */
static void s_left_behind (void **state)
{
    rk_file_t *one = NULL, *two = NULL;
    assert_int_equal (rk_file_create (&one, folder_file (&s_folder, "a"), NULL), RK_OK);
    assert_int_equal (rk_file_create (&two, folder_file (&s_folder, "a"), NULL), RK_OK);
    assert_int_equal (rk_file_write (one, "one", 3, NULL), RK_OK);
    assert_int_equal (rk_file_write (two, "two", 3, NULL), RK_OK);
    assert_int_equal (rk_file_commit (&two, NULL), RK_OK);
    s_holds ("a", "two");
    assert_int_equal (rk_file_commit (&one, NULL), RK_OK);
    s_holds ("a", "one");
    assert_int_equal (folder_count (&s_folder, 1), 1);
}

static void s_disk_full (void **state)
{
    static char bytes[20000];
    rk_file_t *file = NULL;
    rk_error_t err = {0};
    struct rlimit old, small = {8192, RLIM_INFINITY};
    s_put ("a", "old");
    assert_int_equal (getrlimit (RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal (SIGXFSZ, SIG_IGN);
    assert_int_equal (rk_file_create (&file, folder_file (&s_folder, "a"), &err), RK_OK);
    assert_int_equal (setrlimit (RLIMIT_FSIZE, &small), 0);
    rk_err_t rc = rk_file_write (file, bytes, sizeof bytes, &err);
    assert_int_equal (setrlimit (RLIMIT_FSIZE, &old), 0);
    assert_int_equal (rc, RK_EIO);
    assert_non_null (strstr (err.text, "/a: write: "));
    rk_file_discard (&file);
    s_holds ("a", "old");
    assert_int_equal (folder_count (&s_folder, 1), 1);
}

static void s_errors (void **state)
{
    rk_file_t *file = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_file_create (&file, folder_file (&s_folder, "none/a"), &err), RK_EIO);
    assert_null (file);
    assert_non_null (strstr (err.text, "none/a: create a temporary file beside it: "));
    assert_int_equal (mkdir (folder_file (&s_folder, "dir"), 0777), 0);
    assert_int_equal (rk_file_create (&file, folder_file (&s_folder, "dir"), &err), RK_OK);
    assert_int_equal (rk_file_commit (&file, &err), RK_EIO); /* a folder is not replaced */
    assert_null (file);
    assert_non_null (strstr (err.text, "dir: rename: "));
    assert_int_equal (rmdir (folder_file (&s_folder, "dir")), 0);
    assert_int_equal (folder_count (&s_folder, 0), 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_replaces),  cmocka_unit_test (s_invisible_until_commit), cmocka_unit_test (s_left_behind),
        cmocka_unit_test (s_disk_full), cmocka_unit_test (s_errors),
    };
    return cmocka_run_group_tests_name ("messages/file", tests, s_setup, s_teardown);
}
