/* SPDX-License-Identifier: MPL-2.0
 * How a run is shown: one live line on a terminal, plain lines elsewhere (stderr); JSON lines on stdout;
 * metrics.csv in the run folder. Only the observer uses it; writing never fails a run.                    */
#ifndef RK_ACTORS_DISPLAY_H
#define RK_ACTORS_DISPLAY_H
#include <stdio.h>
#include "actors/coordinator.h"
#include "actors/figures.h"

typedef struct {
    bool json, quiet;
    bool terminal;       /* stderr is one */
    bool line_open;      /* a live line stands there without a newline */
    rk_run_kind_t kind;
    char run_dir[RK_SETTINGS_TEXT];
    bool goes_on; /* with the files of a folder that another process has begun */
    char software[64];   /* kernel set and version, for the start line */
    uint64_t params_digest, saved_round;
    bool has_digest;
    FILE *csv;           /* NULL: no file */
    unsigned ticks;      /* progress calls so far */
} rk_display_t;

#define RK_DISPLAY_TICK_MS 500 /* how often rk_display_progress wants to be called */

/* errors: RK_EIO when metrics.csv cannot be made. */
rk_err_t rk_display_open (rk_display_t *d, rk_error_t *err) RK_MUST_CHECK;
void rk_display_close (rk_display_t *d);
void rk_display_start (rk_display_t *d, const rk_figures_t *f);
void rk_display_progress (rk_display_t *d, const rk_figures_t *f, const rk_now_t *now);
void rk_display_pass (rk_display_t *d, const rk_figures_t *f, const rk_now_t *now);
void rk_display_replan (rk_display_t *d, const rk_replan_msg_t *replan);
void rk_display_saved (rk_display_t *d, const rk_saved_t *saved);
void rk_display_done (rk_display_t *d, const rk_figures_t *f, int64_t now_ns);
void rk_display_failed (rk_display_t *d, const char *reason);

/* The live line, at most `width` characters; exposed for its test. */
void rk_display_line (const rk_now_t *now, char *text, size_t width);

/* JSON of display_json.c: one object per line on stdout, flushed. */
void rk_display_json_start (const rk_display_t *d, const rk_figures_t *f);
void rk_display_json_progress (const rk_now_t *now);
void rk_display_json_pass (const rk_figures_t *f, const rk_now_t *now);
void rk_display_json_replan (const rk_replan_msg_t *replan);
void rk_display_json_saved (const rk_saved_t *saved);
void rk_display_json_done (const rk_display_t *d, const rk_figures_t *f, int64_t now_ns);
void rk_display_json_failed (const char *reason);

#endif
