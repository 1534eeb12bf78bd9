#version 460
#extension GL_GOOGLE_include_directive : require

/* Routing statistics, one expert a workgroup. Counts stay exact in f32: a pass has far fewer than 2^24 rows. */
#include "common/kernel.glsl"
#include "common/reduce.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_BALANCE)

void main()
{
	uint experts_total = push.groups * push.experts_per_group;
	uint i = linear_workgroup();
	if (i >= experts_total)
		return;
	uint group = i / push.experts_per_group;
	int expert = int(i % push.experts_per_group);
	float selections = 0.0, sum = 0.0;
	for (uint row = gl_LocalInvocationIndex; row < push.rows; row += gl_WorkGroupSize.x) {
		sum += push.probability.at[row * experts_total + i];
		for (uint j = 0; j < push.top_k; j++)
			selections += float(push.experts.at[(row * push.groups + group) * push.top_k + j] == expert);
	}
	selections = workgroup_sum(selections);
	sum = workgroup_sum(sum);
	if (gl_LocalInvocationIndex == 0) {
		push.stats.at[i] = selections;
		push.stats.at[experts_total + i] = sum;
	}
}
