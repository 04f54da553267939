/* SPDX-License-Identifier: MPL-2.0
 * The parts of a page, made from actors/rookery/report/ by the build.                                  */
#ifndef RK_ACTORS_ROOKERY_REPORT_H
#define RK_ACTORS_ROOKERY_REPORT_H

extern const char rk_report_page[], rk_report_style[];
extern const char *const rk_report_scripts[]; /* in the order they run; ends with NULL */

#endif
