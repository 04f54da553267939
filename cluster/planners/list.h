/* SPDX-License-Identifier: MPL-2.0
 * All planners, the default first: for the table in plan_make.c, their declarations and plan.planner.    */
RK_PLANNER (auto)
RK_PLANNER (ravnest)
RK_PLANNER (dtfm)
RK_PLANNER (exact)
RK_PLANNER (uniform)
RK_PLANNER (manual)
