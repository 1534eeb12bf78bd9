/*
 * What every kernel starts with: the shared push lists, pointers into device memory, specialization constants and the numbering
 * of workgroups. Include it first; it is the place for extensions.
 *
 * Loops that take most of a kernel's time are written `do`: a CPU driver turns the end of a loop into a mask and runs the body of a `for`
 * once more with no lane active, which costs as much as a pass that does something.
 *
 * Compiled with -DGQE_F16, Weights are 16-bit in memory; arithmetic is always f32, so that 16-bit storage is all a device needs.
 */
#ifndef GQE_COMMON_KERNEL_GLSL
#define GQE_COMMON_KERNEL_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#ifdef GQE_F16
#extension GL_EXT_shader_16bit_storage : require
#endif

#include "shared/kernels.h"

#ifdef GQE_F16
#define WEIGHT_BYTES 2
#define WEIGHT float16_t
#define WEIGHT2 f16vec2
#define WEIGHT4 f16vec4
#else
#define WEIGHT_BYTES 4
#define WEIGHT float
#define WEIGHT2 vec2
#define WEIGHT4 vec4
#endif

#define POINTER(name, type, alignment)                                                                                 \
	layout(buffer_reference, std430, buffer_reference_align = alignment) buffer name                               \
	{                                                                                                              \
		type at[];                                                                                             \
	}

/*
 * An index into a pointer is 32-bit and the driver may take it as signed: below 2^31 elements it is fine, which holds for
 * activations. Into a whole KV cache or a large weight matrix, go through `address` first.
 */
POINTER(Floats, float, 4);
POINTER(Ints, int, 4);
POINTER(Weights, WEIGHT, WEIGHT_BYTES);
/* The same memory in pairs and fours; the address must be a multiple of the vector's size. */
POINTER(Weights2, WEIGHT2, 2 * WEIGHT_BYTES);
POINTER(Weights4, WEIGHT4, 4 * WEIGHT_BYTES);

/* base + count * bytes in 64 bits, without needing 64-bit integers. */
uvec2 address(uvec2 base, uint count, uint bytes)
{
	uint high, low, carry;
	umulExtended(count, bytes, high, low);
	uint sum = uaddCarry(base.x, low, carry);
	return uvec2(sum, base.y + high + carry);
}

/* base - count * bytes. */
uvec2 address_before(uvec2 base, uint count, uint bytes)
{
	uint high, low, borrow;
	umulExtended(count, bytes, high, low);
	uint difference = usubBorrow(base.x, low, borrow);
	return uvec2(difference, base.y - high - borrow);
}

layout(local_size_x = 64, local_size_x_id = 0) in;

/* config_rows and so on; `workgroup` is gl_WorkGroupSize.x. */
#define GQE_CONFIG_CONSTANT(name, id, value) layout(constant_id = id) const uint config_##name = value;
GQE_SPECIALIZATION(GQE_CONFIG_CONSTANT)

/* The workgroup's number; the host lays a linear count over x and y, so the last row of y may go past it. */
uint linear_workgroup()
{
	return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

/* The invocation's number in the whole grid, for kernels that handle one item an invocation. */
uint linear_invocation()
{
	return linear_workgroup() * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
}

#endif
