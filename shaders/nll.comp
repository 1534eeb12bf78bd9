#version 460
#extension GL_GOOGLE_include_directive : require

/* Negative log-likelihood of each row's target, one row a workgroup. */
#include "common/kernel.glsl"
#include "common/math.glsl"
#include "common/reduce.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_NLL)

void main()
{
	uint row = linear_workgroup();
	if (row >= push.rows)
		return;
	int target = push.targets.at[row];
	if (target < 0) {
		if (gl_LocalInvocationIndex == 0)
			push.nll.at[row] = 0.0;
		return;
	}
	uint base = row * push.vocab;
	float largest = push.logits.at[base];
	for (uint i = gl_LocalInvocationIndex; i < push.vocab; i += gl_WorkGroupSize.x)
		largest = max(largest, push.logits.at[base + i]);
	largest = workgroup_max(largest);

	float sum = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < push.vocab; i += gl_WorkGroupSize.x)
		sum += exp_nonpositive(push.logits.at[base + i] - largest);
	sum = workgroup_sum(sum);
	if (gl_LocalInvocationIndex == 0)
		push.nll.at[row] = log(sum) + (largest - push.logits.at[base + uint(target)]);
}
