/*
 * Words that C and GLSL both understand, so that a push-constant struct is written once, as a list of fields:
 *
 *   #define GQE_PUSH_EXAMPLE(IN, OUT, INOUT, U32, F32) IN(Floats, x) OUT(Floats, y) U32(tokens) F32(scale)
 *
 * IN, OUT and INOUT are pointers (buffer device addresses) with what the kernel does to what they point at: the host derives
 * barriers from it. In C a list becomes `struct gqe_push_example` and a table of its pointers; in GLSL the block `push`.
 * Pointers come first, so that the layout needs no padding. Optional pointers are 0; a flag or a count beside them may say so too.
 */
#ifndef GQE_SHARED_TYPES_H
#define GQE_SHARED_TYPES_H

#ifdef GL_core_profile
#define GQE_GLSL 1
#endif

/* A linear count of workgroups is laid over x and y, at most this many in x: Vulkan guarantees them in each dimension. */
#define GQE_MAX_WORKGROUPS_X 65535u

#ifdef GQE_GLSL
/* clang-format off */
#define GQE_FIELD_POINTER(type, name) type name;
#define GQE_FIELD_U32(name) uint name;
#define GQE_FIELD_F32(name) float name;
#define GQE_DECLARE_PUSH(LIST)                                                                                         \
	layout(push_constant, std430) uniform Push                                                                     \
	{                                                                                                              \
		LIST(GQE_FIELD_POINTER, GQE_FIELD_POINTER, GQE_FIELD_POINTER, GQE_FIELD_U32, GQE_FIELD_F32)             \
	}                                                                                                              \
	push;
/* clang-format on */
#else
#include <stdint.h>
#define GQE_FIELD_POINTER(type, name) uint64_t name;
#define GQE_FIELD_U32(name) uint32_t name;
#define GQE_FIELD_F32(name) float name;
#define GQE_DECLARE_PUSH_STRUCT(tag, LIST)                                                                  \
	struct tag {                                                                                        \
		LIST(GQE_FIELD_POINTER, GQE_FIELD_POINTER, GQE_FIELD_POINTER, GQE_FIELD_U32, GQE_FIELD_F32) \
	};
#endif

#endif
