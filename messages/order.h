/* SPDX-License-Identifier: MPL-2.0
 * ThreadSanitizer cannot see libzmq hand memory from one thread to another: frames lent over inproc looked
 * like races on every float. These two say that what was written before a send is seen after the receive of
 * the same memory. Nothing in other builds. Private to messages.                                           */
#ifndef RK_MESSAGES_ORDER_H
#define RK_MESSAGES_ORDER_H

#if defined(__SANITIZE_THREAD__)
void __tsan_acquire (void *address);
void __tsan_release (void *address);
#define RK_ORDER_SENT(address) __tsan_release (address)
#define RK_ORDER_RECEIVED(address) __tsan_acquire (address)
#else
#define RK_ORDER_SENT(address) ((void) 0)
#define RK_ORDER_RECEIVED(address) ((void) 0)
#endif

#endif
