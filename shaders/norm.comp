#version 460
#extension GL_GOOGLE_include_directive : require

/* RMSNorm or LayerNorm, one row a workgroup. */
#include "common/kernel.glsl"
#include "common/reduce.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_NORM)

void main()
{
	uint row = linear_workgroup();
	if (row >= push.rows)
		return;
	uint base = row * push.width;

	float mean = 0.0;
	if (push.kind == GQE_NORM_KIND_LAYER) {
		float sum = 0.0;
		for (uint i = gl_LocalInvocationIndex; i < push.width; i += gl_WorkGroupSize.x)
			sum += push.x.at[base + i];
		mean = workgroup_sum(sum) / float(push.width);
	}
	/* The mean is taken off before squaring: the difference of two large sums would lose the variance. */
	float squares = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < push.width; i += gl_WorkGroupSize.x) {
		float centred = push.x.at[base + i] - mean;
		squares += centred * centred;
	}
	float scale = 1.0 / sqrt(workgroup_sum(squares) / float(push.width) + push.eps);

	bool has_bias = any(notEqual(uvec2(push.bias), uvec2(0)));
	for (uint i = gl_LocalInvocationIndex; i < push.width; i += gl_WorkGroupSize.x) {
		float value = (push.x.at[base + i] - mean) * scale * push.weight.at[i];
		if (has_bias)
			value += push.bias.at[i];
		push.y.at[base + i] = value;
	}
}
