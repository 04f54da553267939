/* SPDX-License-Identifier: MPL-2.0
 * The parts of rookery profile: this machine (profile.c), a fleet as a table (profile_fleet.c) and as a picture
 * (profile_svg.c). Everything printed for people fits 80 columns up to eight nodes.                       */
#ifndef RK_ACTORS_ROOKERY_PROFILE_H
#define RK_ACTORS_ROOKERY_PROFILE_H
#include <stdio.h>

#include "actors/profiler.h"

/* "1.2 GB/s", "34 MB/s", "5 kB/s"; "dead" for a link that did not answer, "-" for one that is not known. */
void rk_profile_rate_text (uint64_t bytes_per_s, char *text, size_t size);
/* "54 us", "12 ms" */
void rk_profile_time_text (uint64_t ns, char *text, size_t size);

rk_profile_told_fn *rk_profile_progress (void); /* NULL where nobody sees it */

void rk_profile_print_fleet (const rk_fleet_t *fleet, uint32_t n_layers);
rk_err_t rk_profile_print_json (const rk_profiles_t *table, const rk_fleet_t *fleet, rk_error_t *err) RK_MUST_CHECK;
/* errors: RK_EIO. */
rk_err_t rk_profile_write_svg (const char *path, const rk_fleet_t *fleet, uint32_t n_layers, rk_error_t *err) RK_MUST_CHECK;

#endif
