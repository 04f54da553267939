/* SPDX-License-Identifier: MPL-2.0
 * A view as plain data and as bytes. The last 8 bytes of a listing are the XXH64 (seed 0) of all before.  */
#include "cluster/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "cluster/bytes.h"
#include "cluster/plan.h"

static const char s_magic[8] = "RKVIEW1";
#define MEMBER_BYTES (4 + 4 + 1 + 4 + 4 + 8 + 8 + RK_VIEW_NAME + 16 + 2 * RK_VIEW_CONTROL + RK_VIEW_KEY)

/* ---- life */
rk_err_t rk_view_new (rk_view_t **view_p, uint32_t n_members, const uint8_t *plan, size_t plan_size)
{
    rk_view_t *view = calloc (1, sizeof *view);
    if (!view)
        return RK_ENOMEM;
    view->members = calloc (n_members ? n_members : 1, sizeof *view->members);
    view->plan = plan && plan_size ? malloc (plan_size) : NULL;
    if (!view->members || (plan && plan_size && !view->plan)) {
        rk_view_destroy (&view);
        return RK_ENOMEM;
    }
    view->n_members = n_members;
    if (view->plan) {
        memcpy (view->plan, plan, plan_size);
        view->plan_size = plan_size;
    }
    *view_p = view;
    return RK_OK;
}

rk_err_t rk_view_copy (rk_view_t **copy_p, const rk_view_t *view)
{
    rk_err_t rc = rk_view_new (copy_p, view->n_members, view->plan, view->plan_size);
    if (rc)
        return rc;
    rk_view_t *copy = *copy_p;
    memcpy (copy->members, view->members, view->n_members * sizeof *view->members);
    copy->number = view->number;
    copy->round = view->round;
    copy->next_id = view->next_id;
    copy->next_node = view->next_node;
    return RK_OK;
}

void rk_view_destroy (rk_view_t **view_p)
{
    if (!*view_p)
        return;
    free ((*view_p)->members);
    free ((*view_p)->plan);
    free (*view_p);
    *view_p = NULL;
}

/* ---- bytes */
static void s_put_text (rk_writer_t *w, const char *text, size_t width)
{
    char field[RK_VIEW_CONTROL] = {0}; /* the widest; what is behind the end of a text is zero */
    memcpy (field, text, strnlen (text, width - 1));
    rk_put_bytes (w, field, width);
}

static void s_put_member (rk_writer_t *w, const rk_view_member_t *m)
{
    rk_put (w, m->id, 4);
    rk_put (w, m->node, 4);
    rk_put (w, m->witness | m->leaves << 1, 1);
    rk_put (w, m->pid, 4);
    rk_put (w, m->cores, 4);
    rk_put (w, m->host, 8);
    rk_put (w, m->ram_bytes, 8);
    s_put_text (w, m->name, sizeof m->name);
    s_put_text (w, m->kernels, sizeof m->kernels);
    s_put_text (w, m->control, sizeof m->control);
    s_put_text (w, m->key, sizeof m->key);
    s_put_text (w, m->relay, sizeof m->relay);
}

static void s_put_view (rk_writer_t *w, const rk_view_t *view)
{
    rk_put_bytes (w, s_magic, sizeof s_magic);
    rk_put (w, view->number, 8);
    rk_put (w, view->round, 8);
    rk_put (w, view->next_id, 4);
    rk_put (w, view->next_node, 4);
    rk_put (w, view->n_members, 4);
    for (uint32_t i = 0; i < view->n_members; i++)
        s_put_member (w, &view->members[i]);
    rk_put (w, view->plan_size, 8);
    rk_put_bytes (w, view->plan, view->plan_size);
}

size_t rk_view_encode (const rk_view_t *view, uint8_t *bytes, size_t size)
{
    rk_writer_t count = {0};
    s_put_view (&count, view);
    const size_t n = count.n + 8;
    if (size < n)
        return n;
    rk_writer_t w = {.bytes = bytes, .size = size};
    s_put_view (&w, view);
    rk_put (&w, XXH64 (bytes, w.n, 0), 8);
    return n;
}

/* False: the text does not end, or there is something behind its end. */
static bool s_take_text (rk_reader_t *r, char *text, size_t width)
{
    const uint8_t *bytes = rk_take_bytes (r, width);
    if (!bytes)
        return false;
    memcpy (text, bytes, width);
    for (size_t i = strnlen (text, width); i < width; i++)
        if (text[i])
            return false;
    return !text[width - 1];
}

static bool s_take_member (rk_reader_t *r, rk_view_member_t *m)
{
    m->id = (uint32_t) rk_take (r, 4);
    m->node = (uint32_t) rk_take (r, 4);
    const uint64_t flags = rk_take (r, 1);
    m->witness = flags & 1;
    m->leaves = flags & 2;
    m->pid = (uint32_t) rk_take (r, 4);
    m->cores = (uint32_t) rk_take (r, 4);
    m->host = rk_take (r, 8);
    m->ram_bytes = rk_take (r, 8);
    return flags <= 3 && s_take_text (r, m->name, sizeof m->name) &&
           s_take_text (r, m->kernels, sizeof m->kernels) && s_take_text (r, m->control, sizeof m->control) &&
           s_take_text (r, m->key, sizeof m->key) && s_take_text (r, m->relay, sizeof m->relay);
}

static rk_err_t s_take_parts (rk_view_t *view, rk_reader_t *r, rk_error_t *err)
{
    for (uint32_t i = 0; i < view->n_members; i++)
        if (!s_take_member (r, &view->members[i]))
            return rk_error_set (err, RK_EFORMAT, "member %u of view %llu is not as it should be", i,
                                 (unsigned long long) view->number);
    view->plan_size = rk_take (r, 8);
    const uint8_t *plan = view->plan_size <= r->size ? rk_take_bytes (r, view->plan_size) : NULL;
    if (!plan || r->size - r->at != 8)
        return rk_error_set (err, RK_EFORMAT, "view %llu is cut short or too long: %zu bytes",
                             (unsigned long long) view->number, r->size);
    if (view->plan_size && !(view->plan = malloc (view->plan_size)))
        return rk_error_set (err, RK_ENOMEM, "no memory for a plan of %zu bytes", view->plan_size);
    if (view->plan)
        memcpy (view->plan, plan, view->plan_size);
    return rk_view_check (view, err);
}

rk_err_t rk_view_decode (rk_view_t **view_p, const uint8_t *bytes, size_t size, rk_error_t *err)
{
    *view_p = NULL;
    rk_reader_t r = {bytes, size, 0, true};
    const uint8_t *magic = rk_take_bytes (&r, sizeof s_magic);
    if (!magic || memcmp (magic, s_magic, sizeof s_magic) != 0)
        return rk_error_set (err, RK_EFORMAT, "not a view: %zu bytes without the mark %s", size, s_magic);
    rk_view_t head = {.number = rk_take (&r, 8), .round = rk_take (&r, 8)};
    head.next_id = (uint32_t) rk_take (&r, 4);
    head.next_node = (uint32_t) rk_take (&r, 4);
    const uint32_t n = (uint32_t) rk_take (&r, 4);
    if (!r.ok || n > RK_VIEW_MAX_MEMBERS || (size - r.at) / MEMBER_BYTES < n)
        return rk_error_set (err, RK_EFORMAT, "no view of %u members has %zu bytes", n, size);
    rk_reader_t tail = {bytes, size, size - 8, true};
    if (rk_take (&tail, 8) != XXH64 (bytes, size - 8, 0))
        return rk_error_set (err, RK_EFORMAT, "the bytes of view %llu do not have their digest",
                             (unsigned long long) head.number);
    rk_view_t *view = NULL;
    rk_err_t rc = rk_view_new (&view, n, NULL, 0);
    if (rc)
        return rk_error_set (err, rc, "no memory for a view of %u members", n);
    view->number = head.number;
    view->round = head.round;
    view->next_id = head.next_id;
    view->next_node = head.next_node;
    rc = s_take_parts (view, &r, err);
    if (rc)
        rk_view_destroy (&view);
    *view_p = view;
    return rc;
}

rk_err_t rk_view_check (const rk_view_t *view, rk_error_t *err)
{
    const unsigned long long number = view->number;
    if (!view->number || !view->n_members || view->n_members > RK_VIEW_MAX_MEMBERS)
        return rk_error_set (err, RK_EFORMAT, "view %llu has %u members (1 to %u)", number, view->n_members,
                             RK_VIEW_MAX_MEMBERS);
    for (uint32_t i = 0; i < view->n_members; i++) {
        const rk_view_member_t *m = &view->members[i];
        if ((i && m->id <= m[-1].id) || m->id >= view->next_id)
            return rk_error_set (err, RK_EFORMAT, "view %llu: member %u does not fit between its neighbours below %u",
                                 number, m->id, view->next_id);
        if (m->node != RK_NO_NODE && (m->node >= view->next_node || rk_view_host_of (view, m->node) != m))
            return rk_error_set (err, RK_EFORMAT, "view %llu: node %u of member %u is not given, or given twice",
                                 number, m->node, m->id);
        if (m->witness && m->node != RK_NO_NODE)
            return rk_error_set (err, RK_EFORMAT, "view %llu: witness %u hosts node %u", number, m->id, m->node);
    }
    return RK_OK;
}

/* ---- questions */
const rk_view_member_t *rk_view_find (const rk_view_t *view, uint32_t id)
{
    for (uint32_t i = 0; i < view->n_members; i++)
        if (view->members[i].id == id)
            return &view->members[i];
    return NULL;
}

const rk_view_member_t *rk_view_leader (const rk_view_t *view)
{
    for (uint32_t i = 0; i < view->n_members; i++)
        if (!view->members[i].witness)
            return &view->members[i];
    return NULL;
}

const rk_view_member_t *rk_view_host_of (const rk_view_t *view, uint32_t node)
{
    for (uint32_t i = 0; node != RK_NO_NODE && i < view->n_members; i++)
        if (view->members[i].node == node)
            return &view->members[i];
    return NULL;
}

void rk_view_name (const rk_view_t *view, uint32_t id, char *text, size_t size)
{
    const rk_view_member_t *m = rk_view_find (view, id);
    if (!m)
        snprintf (text, size, "process %u", id);
    else if (m->node == RK_NO_NODE)
        snprintf (text, size, "the process %s (pid %u)", m->name, m->pid);
    else
        snprintf (text, size, "node %u (%s, pid %u)", m->node, m->name, m->pid);
}
