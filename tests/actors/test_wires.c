/* SPDX-License-Identifier: MPL-2.0
 * What connections of this process carry, from the kernel's figures: bytes of real transfers, by endpoint and node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/wires.h"

#define MS INT64_C (1000000)

typedef struct {
    int out, in;
    char endpoint[64];
} pair_t;

static void s_open (pair_t *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int door = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (door >= 0 && !bind (door, (struct sockaddr *) &address, size) && !listen (door, 1));
    assert_false (getsockname (door, (struct sockaddr *) &address, &size));
    p->out = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (p->out >= 0 && !connect (p->out, (struct sockaddr *) &address, size));
    p->in = accept (door, NULL, NULL);
    assert_true (p->in >= 0);
    close (door);
    snprintf (p->endpoint, sizeof p->endpoint, "tcp://127.0.0.1:%u", ntohs (address.sin_port));
}

static void s_close (pair_t *p)
{
    close (p->out);
    close (p->in);
}

/* Everything arrives before this returns; acknowledged once the sender has nothing outstanding. */
static void s_send (const pair_t *p, size_t n)
{
    static char bytes[65536];
    size_t sent = 0, got = 0;
    while (got < n) {
        struct pollfd fds[2] = {{.fd = p->in, .events = POLLIN}, {.fd = p->out, .events = sent < n ? POLLOUT : 0}};
        assert_true (poll (fds, 2, 10000) > 0);
        if (fds[1].revents & POLLOUT) {
            const ssize_t k = send (p->out, bytes, n - sent < sizeof bytes ? n - sent : sizeof bytes, MSG_DONTWAIT);
            sent += k > 0 ? (size_t) k : 0;
        }
        if (fds[0].revents & POLLIN) {
            const ssize_t k = recv (p->in, bytes, sizeof bytes, MSG_DONTWAIT);
            got += k > 0 ? (size_t) k : 0;
        }
    }
}

static void test_real_transfers (void **state)
{
    (void) state;
    pair_t a, b;
    rk_wires_t *wires;
    rk_wire_t out[4];
    s_open (&a);
    s_open (&b);
    assert_int_equal (rk_wires_new (&wires), RK_OK);
    assert_int_equal (rk_wires_add (wires, 7, a.endpoint, NULL), RK_OK);
    assert_int_equal (rk_wires_add (wires, 8, b.endpoint, NULL), RK_OK);
    assert_int_equal (rk_wires_add (wires, 9, "ipc:///tmp/none", NULL), RK_OK); /* nothing to be seen of it */
    s_send (&a, 1 << 20);
    assert_int_equal (rk_wires_look (wires, 1000 * MS, out, 4), 0);             /* what was before does not count */
    assert_int_equal (rk_wires_look (wires, 1001 * MS, out, 4), 0);             /* nothing was sent */
    s_send (&a, 4 << 20);
    s_send (&b, 1000);                                                          /* too little to tell */
    assert_int_equal (rk_wires_look (wires, 1002 * MS, out, 4), 1);
    assert_int_equal (out[0].node, 7);
    assert_true (out[0].bytes_per_s > 0);
    assert_in_range (out[0].bytes, 3 << 20, 4 << 20);                           /* the last acknowledgement may be on its way */
    s_send (&a, 1 << 20);
    assert_int_equal (rk_wires_look (wires, INT64_C (100000000) * MS, out, 4), 0); /* a link that is hardly used in all that time */
    rk_wires_destroy (&wires);
    s_close (&a);
    s_close (&b);
}

/* Several connections to the actors of one node are one link. */
static void test_one_node (void **state)
{
    (void) state;
    pair_t a, b;
    rk_wires_t *wires;
    rk_wire_t out[1];
    s_open (&a);
    s_open (&b);
    assert_int_equal (rk_wires_new (&wires), RK_OK);
    assert_int_equal (rk_wires_add (wires, 3, a.endpoint, NULL), RK_OK);
    assert_int_equal (rk_wires_add (wires, 3, b.endpoint, NULL), RK_OK);
    assert_int_equal (rk_wires_look (wires, MS, out, 1), 0);
    s_send (&a, 4 << 20);
    s_send (&b, 2 << 20);
    assert_int_equal (rk_wires_look (wires, 2 * MS, out, 1), 1);
    assert_int_equal (out[0].node, 3);
    assert_in_range (out[0].bytes, 5 << 20, 6 << 20);
    rk_wires_destroy (&wires);
    s_close (&a);
    s_close (&b);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_real_transfers), cmocka_unit_test (test_one_node)};
    return cmocka_run_group_tests_name ("actors/wires", tests, NULL, NULL);
}
