#version 460
#extension GL_GOOGLE_include_directive : require

/* How many tokens of a block selected an expert: one (block, expert) an invocation. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_EXPERT_COUNT)

void main()
{
	uint experts_total = push.groups * push.experts_per_group;
	uint blocks = (push.rows + GQE_LIST_BLOCK - 1) / GQE_LIST_BLOCK;
	uint i = linear_invocation();
	if (i >= blocks * experts_total)
		return;
	uint first = i / experts_total * GQE_LIST_BLOCK;
	uint end = min(first + GQE_LIST_BLOCK, push.rows);
	uint group = i % experts_total / push.experts_per_group;
	int expert = int(i % push.experts_per_group);
	int count = 0;
	for (uint row = first; row < end; row++)
		for (uint j = 0; j < push.top_k; j++)
			count += int(push.experts.at[(row * push.groups + group) * push.top_k + j] == expert);
	push.counts.at[i] = count;
}
