/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/rookery/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "actors/rookery/runfile.h"

#define PATH_SIZE (RK_SETTINGS_TEXT + 32)

/* mkdir -p */
rk_err_t rk_make_path (const char *dir, rk_error_t *err)
{
    char path[RK_SETTINGS_TEXT];
    snprintf (path, sizeof path, "%s", dir);
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            if (mkdir (path, 0777) && errno != EEXIST)
                return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
            *at = '/';
        }
    if (mkdir (path, 0777) && errno != EEXIST)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    return RK_OK;
}

/* runs/2026-01-31T12-00-00-cnn, with -2, -3 ... when several start in one second. */
static rk_err_t s_default_dir (rk_settings_t *s, rk_error_t *err)
{
    char date[32];
    struct tm local;
    time_t now = time (NULL);
    localtime_r (&now, &local);
    strftime (date, sizeof date, "%Y-%m-%dT%H-%M-%S", &local);
    rk_err_t code = rk_make_path ("runs", err);
    for (int i = 1; !code && i < 1000; i++) {
        char number[16] = "";
        if (i > 1)
            snprintf (number, sizeof number, "-%d", i);
        snprintf (s->run_dir, sizeof s->run_dir, "runs/%s-%s%s", date, s->model_name, number);
        if (!mkdir (s->run_dir, 0777))
            return RK_OK;
        if (errno != EEXIST)
            break;
    }
    return code ? code : rk_error_set (err, RK_EIO, "%s: %s", s->run_dir, strerror (errno));
}

rk_err_t rk_rundir_make (rk_settings_t *s, rk_error_t *err)
{
    rk_err_t code;
    if (!*s->run_dir) {
        code = s_default_dir (s, err);
    }
    else {
        if (rk_rundir_is (s->run_dir))
            return rk_error_set (err, RK_EINVAL, "run.dir = %.120s holds another run; choose another folder or remove it",
                                 s->run_dir);
        code = rk_make_path (s->run_dir, err);
    }
    if (code)
        return code;
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%s/settings.zpl", s->run_dir);
    return rk_runfile_write (s, path, err);
}

rk_err_t rk_rundir_go_on (const rk_settings_t *s, rk_error_t *err)
{
    char path[PATH_SIZE];
    rk_err_t code = rk_make_path (s->run_dir, err);
    if (code)
        return code;
    snprintf (path, sizeof path, "%s/settings.zpl", s->run_dir);
    return rk_runfile_write (s, path, err);
}

bool rk_rundir_is (const char *dir)
{
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%s/plan.json", dir);
    return access (path, F_OK) == 0;
}

void rk_rundir_abandon (const char *dir)
{
    static const char *const ours[] = {"settings.zpl", "metrics.csv"};
    char path[PATH_SIZE];
    if (rk_rundir_is (dir))
        return;
    for (int i = 0; i < 2; i++) {
        snprintf (path, sizeof path, "%s/%s", dir, ours[i]);
        unlink (path);
    }
    rmdir (dir); /* fails, as it should, when somebody else keeps something there */
}

rk_err_t rk_rundir_settings (const char *dir, rk_settings_t *s, rk_error_t *err)
{
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%s/settings.zpl", dir);
    rk_settings_default (s);
    return rk_runfile_read (s, path, err);
}

rk_err_t rk_rundir_checkpoint (const char *dir_or_file, char path[RK_CHECKPOINT_PATH], rk_error_t *err)
{
    struct stat info;
    if (stat (dir_or_file, &info))
        return rk_error_set (err, RK_EIO, "%s: %s", dir_or_file, strerror (errno));
    if (S_ISDIR (info.st_mode))
        return rk_checkpoint_latest (dir_or_file, path, err);
    if (strlen (dir_or_file) >= RK_CHECKPOINT_PATH)
        return rk_error_set (err, RK_EINVAL, "%.100s...: the name is longer than %d characters", dir_or_file,
                             RK_CHECKPOINT_PATH - 1);
    snprintf (path, RK_CHECKPOINT_PATH, "%s", dir_or_file);
    return RK_OK;
}
