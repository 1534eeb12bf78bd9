#version 460
#extension GL_GOOGLE_include_directive : require

/* The peak of memory: every invocation moves config_chains vec4, neighbouring invocations neighbouring ones. */
#include "common/kernel.glsl"
#include "shared/bench.h"

layout(constant_id = GQE_BENCH_CHAINS_ID) const uint config_chains = 4;

POINTER(Vectors, vec4, 16);

GQE_DECLARE_PUSH(GQE_PUSH_PEAK_COPY)

void main()
{
	uint first = linear_workgroup() * gl_WorkGroupSize.x * config_chains + gl_LocalInvocationIndex;
	vec4 moved[config_chains];
	if (first + (config_chains - 1) * gl_WorkGroupSize.x >= push.vectors)
		return;
	[[unroll]] for (uint c = 0; c < config_chains; c++)
		moved[c] = push.from.at[first + c * gl_WorkGroupSize.x];
	[[unroll]] for (uint c = 0; c < config_chains; c++)
		push.to.at[first + c * gl_WorkGroupSize.x] = moved[c];
}
