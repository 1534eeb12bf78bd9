#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The peak of fused multiply-add, from registers alone: chains that do not depend on each other, so that the next starts while the
 * last is on its way. The factors come from the host: nothing can be computed when compiling. With scale 0.5 and offset 1 every
 * chain tends to 2, far from denormal numbers and infinity.
 */
#include "common/kernel.glsl"
#include "shared/bench.h"

#ifdef GQE_F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define REAL4 f16vec4
#else
#define REAL4 vec4
#endif

layout(constant_id = GQE_BENCH_CHAINS_ID) const uint config_chains = 4;

GQE_DECLARE_PUSH(GQE_PUSH_PEAK_FMA)

void main()
{
	REAL4 x[config_chains];
	[[unroll]] for (uint c = 0; c < config_chains; c++)
		x[c] = REAL4(vec4(0.0, 1.0, 2.0, 3.0) + float(gl_LocalInvocationIndex + c));
	REAL4 scale = REAL4(push.scale), offset = REAL4(push.offset);
	for (uint i = 0; i < push.iterations; i++)
		[[unroll]] for (uint link = 0; link < GQE_BENCH_FMA_LINKS; link++)
			[[unroll]] for (uint c = 0; c < config_chains; c++)
				x[c] = fma(x[c], scale, offset);
	REAL4 sum = x[0];
	[[unroll]] for (uint c = 1; c < config_chains; c++)
		sum += x[c];
	push.ends.at[linear_invocation()] = float(sum.x + sum.y + sum.z + sum.w);
}
