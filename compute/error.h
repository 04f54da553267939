/* SPDX-License-Identifier: MPL-2.0
 * Error codes and texts: the one thing every room shares.
 * An error is a value: every function that can fail returns rk_err_t and must be checked. Where a
 * person needs to know more, the last parameter is an rk_error_t that names rank, peer, shape, key or
 * file; it may be NULL.                                                                              */
#ifndef RK_COMPUTE_ERROR_H
#define RK_COMPUTE_ERROR_H

#define RK_MUST_CHECK __attribute__ ((warn_unused_result))
#define RK_PRINTF(fmt, args) __attribute__ ((format (printf, fmt, args)))

typedef enum {
    RK_OK = 0,
    RK_EINVAL,       /* an argument or setting has a value that is not allowed */
    RK_ENOMEM,       /* memory could not be had */
    RK_ESHAPE,       /* shapes do not fit together */
    RK_EIO,          /* the operating system refused a file or socket operation */
    RK_EFORMAT,      /* a file or message is not in the format it claims */
    RK_ETIMEDOUT,    /* a deadline passed; the text says who waited for whom, for what */
    RK_EPEER,        /* a peer is gone or misbehaves */
    RK_ESTALE,       /* a message belongs to another view or round */
    RK_ENOTFOUND,    /* unknown name; the text suggests the nearest */
    RK_EPLAN,        /* no plan can do this; the text says by how much and where */
    RK_ESTATE,       /* the call does not fit the present state */
    RK_EUNSUPPORTED, /* not built, or not possible on this machine */
    RK_ECANCELED,    /* stopped on request */
    RK_ENONFINITE,   /* a loss or gradient is NaN or infinite; the text names minibatch and layer */
    RK_N_ERRORS
} rk_err_t;

typedef struct {
    rk_err_t code;
    char text[256]; /* one line, no newline at the end */
} rk_error_t;

/* The fixed sentence of a code. thread: any. */
const char *rk_strerror (rk_err_t code);

/* Fill *err (may be NULL) and return code, so that `return rk_error_set (...)` is the idiom. */
rk_err_t rk_error_set (rk_error_t *err, rk_err_t code, const char *fmt, ...) RK_PRINTF (3, 4);

/* Put "context: " before the text already in *err (may be NULL); returns err's code or `code`. */
rk_err_t rk_error_wrap (rk_error_t *err, rk_err_t code, const char *fmt, ...) RK_PRINTF (3, 4);

#endif
