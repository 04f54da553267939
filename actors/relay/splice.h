/* SPDX-License-Identifier: MPL-2.0
 * Plain tcp sockets, and two of them tied together: what one says the other hears, byte for byte, through a buffer of
 * fixed size in each direction. When a buffer is full its sender is not read from, so a slow reader costs that much
 * memory and no more. A connection whose other end is silent on acknowledgements for 20 s ends.
 * thread: the caller's; nothing here waits.                                                                 */
#ifndef RK_ACTORS_RELAY_SPLICE_H
#define RK_ACTORS_RELAY_SPLICE_H
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/error.h"

#define RK_SPLICE_BYTES (64u << 10)
#define RK_TCP_HOST 64

/* "tcp://192.0.2.7:5600" or "192.0.2.7:5600", a key behind it ignored. */
bool rk_tcp_parse (const char *text, char host[RK_TCP_HOST], uint16_t *port);
/* A listening socket, and its port. host: "*" is all interfaces. errors: RK_EIO. */
rk_err_t rk_tcp_listen (const char *host, int *fd_p, uint16_t *port, rk_error_t *err) RK_MUST_CHECK;
/* Begins to connect; the socket is writable once it is decided. -1: impossible, errno says why. */
int rk_tcp_dial (const char *host, uint16_t port);
bool rk_tcp_connected (int fd); /* ... and how it was decided */
int rk_tcp_accept (int listening); /* -1: nobody there */

typedef struct {
    int fd[2];
    uint8_t *bytes;             /* 2 x RK_SPLICE_BYTES: from fd[0], from fd[1] */
    size_t begin[2], end[2];    /* of what is not passed on yet */
    bool over[2];               /* nothing more comes from it */
} rk_splice_t;

/* The sockets are the splice's from now on. errors: RK_ENOMEM; then they are still the caller's. */
rk_err_t rk_splice_open (rk_splice_t *splice, int first, int second) RK_MUST_CHECK;
void rk_splice_close (rk_splice_t *splice);
void rk_splice_poll (const rk_splice_t *splice, struct pollfd items[2]);
/* Moves what can be moved. false: it is over. */
bool rk_splice_move (rk_splice_t *splice);

#endif
