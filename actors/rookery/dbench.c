/* SPDX-License-Identifier: MPL-2.0
 * rookery dbench: the cells of a grid, as many at a time as cores and memory allow, each in a process of its own
 * that may be killed at any time: what is not done is done again.                                         */
#include "actors/rookery/dbench.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/actor.h"
#include "actors/host.h"
#include "actors/rookery/commands.h"
#include "actors/rookery/rundir.h"
#include "actors/training.h"
#include "compute/blas.h"

#define MAX_JOBS 64
#define MAX_DATA 8
#define NICENESS 10
#define MEMORY_SHARE 0.9 /* of what is free */

typedef struct {
    char id[RK_GRID_ID];
    uint64_t bytes;
    double flops;
    uint32_t threads;
    const rk_data_t *data;
    bool done;
} s_cell_t;

typedef struct {
    pid_t pid; /* 0: free */
    size_t cell;
} s_job_t;

typedef struct {
    const rk_args_t *args;
    rk_grid_t grid;
    s_cell_t *cells;
    s_job_t jobs[MAX_JOBS];
    uint64_t n_jobs, cores, memory, used;
    struct {
        char what[2 * RK_SETTINGS_TEXT]; /* every key it depends on */
        rk_data_t *data;
    } data[MAX_DATA];
    size_t n_done, n_failed;
    double flops_done, flops_left;
    int64_t begin_ns;
    bool quiet;
} self_t;

/* ---- before anything runs */
static rk_err_t s_data (self_t *self, const rk_settings_t *s, const rk_data_t **data, rk_error_t *err)
{
    char what[sizeof self->data->what];
    *data = NULL;
    if (!strcmp (s->model_name, "quadratic"))
        return RK_OK;
    snprintf (what, sizeof what, "%s|%s|%s|%s|%u|%d|%d", s->data_name, s->data_path, s->data_augment, s->data_label, s->data_classes,
              s->data_header, (int) s->data_labels);
    for (int i = 0; i < MAX_DATA; i++) {
        rk_err_t code = RK_OK;
        if (!self->data[i].data) {
            const rk_data_options_t options = rk_data_options_of (s);
            snprintf (self->data[i].what, sizeof what, "%s", what);
            code = rk_data_open (&self->data[i].data, s->data_name, &options, err);
        }
        *data = self->data[i].data;
        if (code || !strcmp (self->data[i].what, what))
            return code;
    }
    return rk_error_set (err, RK_EUNSUPPORTED, "more than %d data sets in one grid", MAX_DATA);
}

/* A cell that leaves no room for a second one gets all cores, the others share them. */
static rk_err_t s_size (self_t *self, size_t idx, const rk_cell_t *cell, rk_error_t *err)
{
    s_cell_t *one = &self->cells[idx];
    char label[64];
    rk_cell_need_t need;
    one->threads = (uint32_t) (self->cores / self->n_jobs ? self->cores / self->n_jobs : 1);
    rk_err_t code = rk_cell_predict (cell, one->data, one->threads, &need, err);
    if (!code && 2 * need.bytes > self->memory) {
        one->threads = (uint32_t) self->cores;
        code = rk_cell_predict (cell, one->data, one->threads, &need, err);
    }
    if (!code && need.bytes > self->memory)
        code = rk_error_set (err, RK_ENOMEM, "needs %.2f GB of memory, %.2f GB may be used (--ram)", (double) need.bytes / 1e9,
                             (double) self->memory / 1e9);
    if (code)
        return rk_error_wrap (err, code, "cell %zu (%s, %s, n = %u)", idx + 1, cell->settings.model_name, rk_cell_label (cell, label),
                              cell->n);
    one->bytes = need.bytes;
    one->flops = need.flops;
    return RK_OK;
}

static rk_err_t s_prepare (self_t *self, rk_error_t *err)
{
    rk_host_t host;
    rk_host_look (&host);
    uint64_t ram_mb = 0;
    self->cores = host.cores;
    self->n_jobs = host.cores < self->grid.n_cells ? host.cores : self->grid.n_cells;
    rk_err_t code = rk_args_number (self->args, "jobs", 1, MAX_JOBS, &self->n_jobs, err);
    if (!code)
        code = rk_args_number (self->args, "ram", 1, UINT64_MAX >> 20, &ram_mb, err);
    self->n_jobs = self->n_jobs < MAX_JOBS ? self->n_jobs : MAX_JOBS;
    self->memory = ram_mb ? ram_mb << 20 : (uint64_t) (MEMORY_SHARE * (double) host.ram_bytes);
    self->cells = calloc (self->grid.n_cells, sizeof *self->cells);
    if (!code && !self->cells)
        code = rk_error_set (err, RK_ENOMEM, "no memory for %zu cells", self->grid.n_cells);
    for (size_t i = 0; i < self->grid.n_cells && !code; i++) {
        rk_cell_t cell;
        code = rk_grid_cell (&self->grid, i, &cell, self->cells[i].id, err);
        if (!code)
            code = s_data (self, &cell.settings, &self->cells[i].data, err);
        if (!code)
            code = s_size (self, i, &cell, err);
        self->cells[i].done = !code && rk_grid_is_done (&self->grid, self->cells[i].id);
        self->n_done += self->cells[i].done;
        self->flops_left += self->cells[i].done ? 0 : self->cells[i].flops;
    }
    return code;
}

static void s_list (const self_t *self)
{
    double flops = 0;
    for (size_t i = 0; i < self->grid.n_cells; i++) {
        const s_cell_t *cell = &self->cells[i];
        flops += cell->flops;
        printf ("%s %8.2f MB %10.1f Gflop %s\n", cell->done ? "done" : "    ", (double) cell->bytes / 1e6, cell->flops / 1e9, cell->id);
    }
    printf ("%zu cells, %zu done, %.0f Gflop of gradients\n", self->grid.n_cells, self->n_done, flops / 1e9);
}

/* ---- one cell in a process */
static int s_child (const self_t *self, size_t idx)
{
    const s_cell_t *one = &self->cells[idx];
    rk_error_t err = {0};
    rk_cell_t cell;
    char id[RK_GRID_ID], prefix[RK_GRID_ID + 32];
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    setpriority (PRIO_PROCESS, 0, NICENESS);
    snprintf (prefix, sizeof prefix, "[%zu/%zu] %.*s", idx + 1, self->grid.n_cells, (int) strlen (one->id) - 17, one->id);
    const rk_grid_work_t work = {&self->grid, &cell, one->data, one->id, prefix, one->threads, self->quiet, self->args->interrupted};
    rk_err_t code = rk_grid_cell (&self->grid, idx, &cell, id, &err);
    if (!code)
        code = rk_grid_work (&work, &err);
    if (code && code != RK_ECANCELED)
        fprintf (stderr, "rookery: %s: %s\n", prefix, err.text);
    return code ? 1 : 0;
}

static rk_err_t s_start (self_t *self, s_job_t *job, size_t idx, rk_error_t *err)
{
    fflush (NULL);
    const pid_t pid = fork ();
    if (pid < 0)
        return rk_error_set (err, RK_EIO, "no process for a cell: %s", strerror (errno));
    if (pid == 0) {
        const int code = s_child (self, idx);
        fflush (NULL);
        _exit (code);
    }
    *job = (s_job_t){pid, idx};
    self->used += self->cells[idx].bytes;
    return RK_OK;
}

static void s_eta (const self_t *self)
{
    const double elapsed = (double) (rk_now_ns () - self->begin_ns) / 1e9;
    const double left = self->flops_done > 0 ? elapsed * self->flops_left / self->flops_done : 0;
    if (!self->quiet)
        fprintf (stderr, "%zu of %zu cells done, %.0f s, ETA %02.0f:%02.0f:%02.0f\n", self->n_done, self->grid.n_cells, elapsed,
                 (double) (int) (left / 3600), (double) ((int) (left / 60) % 60), (double) ((int) left % 60));
}

/* Waits until one of the children ends. */
static void s_reap (self_t *self)
{
    int status = 0;
    const pid_t pid = waitpid (-1, &status, 0);
    for (uint64_t j = 0; j < self->n_jobs; j++) {
        s_job_t *job = &self->jobs[j];
        if (pid <= 0 || job->pid != pid)
            continue;
        const s_cell_t *cell = &self->cells[job->cell];
        const bool done = WIFEXITED (status) && WEXITSTATUS (status) == 0;
        if (done) {
            self->n_done++;
            self->flops_done += cell->flops;
            self->flops_left -= cell->flops;
            s_eta (self);
        }
        else if (!*self->args->interrupted) {
            self->n_failed++;
            if (WIFSIGNALED (status))
                fprintf (stderr, "rookery: %s: its process was ended by signal %d\n", cell->id, WTERMSIG (status));
        }
        self->used -= cell->bytes;
        job->pid = 0;
    }
}

static s_job_t *s_free_job (self_t *self, uint64_t bytes)
{
    for (uint64_t j = 0; j < self->n_jobs && self->used + bytes <= self->memory; j++)
        if (!self->jobs[j].pid)
            return &self->jobs[j];
    return NULL;
}

static bool s_any_job (const self_t *self)
{
    for (uint64_t j = 0; j < self->n_jobs; j++)
        if (self->jobs[j].pid)
            return true;
    return false;
}

static rk_err_t s_run (self_t *self, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    self->begin_ns = rk_now_ns ();
    for (size_t i = 0; i < self->grid.n_cells && !code && !*self->args->interrupted; i++) {
        s_job_t *job;
        if (self->cells[i].done)
            continue;
        while (!(job = s_free_job (self, self->cells[i].bytes)) && !*self->args->interrupted)
            s_reap (self);
        if (job && !*self->args->interrupted)
            code = s_start (self, job, i, err);
    }
    for (uint64_t j = 0; j < self->n_jobs; j++)
        if (self->jobs[j].pid && (code || *self->args->interrupted))
            kill (self->jobs[j].pid, SIGTERM); /* at the next step it stops */
    while (s_any_job (self))
        s_reap (self);
    return code;
}

static rk_err_t s_all (self_t *self, rk_error_t *err)
{
    char path[RK_GRID_PATH];
    size_t n_done = 0;
    snprintf (path, sizeof path, "%s/cells", self->grid.dir);
    rk_err_t code = rk_make_path (path, err);
    if (!code && !self->quiet)
        fprintf (stderr, "%zu cells, %zu done before; %" PRIu64 " at a time, %.1f GB of memory\n", self->grid.n_cells, self->n_done,
                 self->n_jobs, (double) self->memory / 1e9);
    if (!code)
        code = s_run (self, err);
    if (!code)
        code = rk_grid_collect (&self->grid, &n_done, err);
    if (!code && *self->args->interrupted)
        code = rk_error_set (err, RK_ECANCELED, "stopped with %zu of %zu cells done; the same command goes on", n_done, self->grid.n_cells);
    if (!code && self->n_failed)
        code = rk_error_set (err, RK_EPEER, "%zu of %zu cells failed; the same command tries them again", self->n_failed,
                             self->grid.n_cells);
    if (!code)
        printf ("%zu cells in %s: results.csv, passes.csv, probes.csv, timing.csv, manifest.json\n", n_done, self->grid.dir);
    return code;
}

static rk_err_t s_open (self_t *self, rk_error_t *err)
{
    rk_err_t code = rk_blas_init ("auto", err);
    if (!code)
        code = rk_grid_read (&self->grid, self->args->words[0], err);
    return code ? code : s_prepare (self, err);
}

int rk_command_dbench (const rk_args_t *args)
{
    rk_error_t err = {0};
    self_t *self = calloc (1, sizeof *self);
    bool begun = false;
    if (!self) {
        rk_error_set (&err, RK_ENOMEM, "out of memory");
        return rk_program_fail (&err);
    }
    self->args = args;
    self->quiet = rk_args_has (args, "quiet");
    rk_err_t code = s_open (self, &err);
    if (!code && rk_args_has (args, "list"))
        s_list (self);
    else if (!code) {
        begun = true;
        code = s_all (self, &err);
    }
    for (int i = 0; i < MAX_DATA; i++)
        rk_data_close (&self->data[i].data);
    free (self->cells);
    free (self);
    return !code ? RK_EXIT_DONE : begun ? rk_program_fail_run (&err) : rk_program_fail (&err);
}
