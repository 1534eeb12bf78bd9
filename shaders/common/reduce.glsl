/* Sum and maximum over a workgroup of any power of two, in a fixed order. Every invocation must call, and gets the result. */
#ifndef GQE_COMMON_REDUCE_GLSL
#define GQE_COMMON_REDUCE_GLSL

shared float reduce_partial[gl_WorkGroupSize.x];

#define WORKGROUP_REDUCE(name, COMBINE)                                                                                \
	float name(float value)                                                                                        \
	{                                                                                                              \
		uint self = gl_LocalInvocationIndex;                                                                   \
		barrier(); /* the previous reduction's result has been read */                                         \
		reduce_partial[self] = value;                                                                          \
		barrier();                                                                                             \
		for (uint width = gl_WorkGroupSize.x / 2; width > 0; width /= 2) {                                     \
			if (self < width)                                                                              \
				reduce_partial[self] = COMBINE(reduce_partial[self], reduce_partial[self + width]);    \
			barrier();                                                                                     \
		}                                                                                                      \
		return reduce_partial[0];                                                                              \
	}

#define COMBINE_SUM(a, b) ((a) + (b))
#define COMBINE_MAX(a, b) max(a, b)
WORKGROUP_REDUCE(workgroup_sum, COMBINE_SUM)
WORKGROUP_REDUCE(workgroup_max, COMBINE_MAX)

#endif
