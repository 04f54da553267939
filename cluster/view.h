/* SPDX-License-Identifier: MPL-2.0
 * A view: who takes part from now on, from which committed round training goes on, and by which plan. It is what
 * the members of the view before decide on (cluster/membership), as bytes: a canonical listing with a digest,
 * like the plan's. A view is plain data. Pure. thread: any.                                               */
#ifndef RK_CLUSTER_VIEW_H
#define RK_CLUSTER_VIEW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_VIEW_MAX_MEMBERS 4096u
#define RK_VIEW_NAME 32
#define RK_VIEW_CONTROL 256
#define RK_VIEW_KEY 65 /* a public key as text (hexadecimal, 64 digits), or "" */

typedef struct {
    uint32_t id;      /* given at joining, ascending, never twice in a run: a restarted process is a new member */
    uint32_t node;    /* that it may host in a plan; RK_NO_NODE: none */
    bool witness;     /* votes, and neither leads nor hosts */
    bool leaves;      /* it hosts nothing any more and only gives its state to others; the view after this is without it */
    uint32_t pid, cores;
    uint64_t host;    /* members of one machine have the same value */
    uint64_t ram_bytes;
    char name[RK_VIEW_NAME], kernels[16];
    char control[RK_VIEW_CONTROL]; /* endpoint of its coordinator's inbox */
    char key[RK_VIEW_KEY];
    char relay[RK_VIEW_CONTROL];   /* endpoint of its relay; "": none, as of one that others cannot dial */
} rk_view_member_t;

typedef struct {
    uint64_t number;            /* of this view; the first is 1 */
    uint64_t round;             /* rounds committed before it: training goes on with this one */
    uint32_t next_id, next_node;/* not given yet: of the next joiner */
    uint32_t n_members;
    rk_view_member_t *members;  /* ascending ids */
    uint8_t *plan;              /* canonical listing; NULL before the first plan */
    size_t plan_size;
} rk_view_t;

/* Room for n_members, all zero; the caller fills them in. plan is copied (NULL: none). */
rk_err_t rk_view_new (rk_view_t **view_p, uint32_t n_members, const uint8_t *plan, size_t plan_size) RK_MUST_CHECK;
rk_err_t rk_view_copy (rk_view_t **copy_p, const rk_view_t *view) RK_MUST_CHECK;
void rk_view_destroy (rk_view_t **view_p);

/* encode returns the bytes needed (nothing is written when size is short). decode checks all (order of ids, texts
 * that end, counts, digest) before it returns a view; the plan in it is checked by whoever uses it.
 * errors: RK_EFORMAT, RK_ENOMEM.                                                                          */
size_t rk_view_encode (const rk_view_t *view, uint8_t *bytes, size_t size);
rk_err_t rk_view_decode (rk_view_t **view_p, const uint8_t *bytes, size_t size, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_view_check (const rk_view_t *view, rk_error_t *err) RK_MUST_CHECK;

const rk_view_member_t *rk_view_find (const rk_view_t *view, uint32_t id); /* NULL: no member */
/* The member with the lowest id that is no witness: it leads. NULL: nobody can. */
const rk_view_member_t *rk_view_leader (const rk_view_t *view);
const rk_view_member_t *rk_view_host_of (const rk_view_t *view, uint32_t node); /* NULL: nobody */
/* "node 2 (pi, pid 4711)" or "the process pi (pid 4711)" */
void rk_view_name (const rk_view_t *view, uint32_t id, char *text, size_t size);

#endif
