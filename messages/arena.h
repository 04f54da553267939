/* SPDX-License-Identifier: MPL-2.0
 * Memory of one parsed envelope: a bump allocator that protobuf-c unpacks into. Private to messages.
 * The first block is kept, so an envelope of ordinary size costs no malloc; larger ones borrow blocks
 * until the next reset. What one envelope may take is capped: a megabyte on the wire can ask for many
 * times its size in unpacked structs. thread: the owner's.                                            */
#ifndef RK_MESSAGES_ARENA_H
#define RK_MESSAGES_ARENA_H
#include <protobuf-c/protobuf-c.h>

#include "messages/wire.h"

/* Everything handed out so far becomes invalid. */
void rk_arena_reset (rk_wire_arena_t *arena);

/* Aligned for any type. NULL: no memory, or above the cap. */
void *rk_arena_alloc (rk_wire_arena_t *arena, size_t size);

/* owner: borrowed from the arena. Its free does nothing. */
ProtobufCAllocator *rk_arena_allocator (rk_wire_arena_t *arena);

#endif
