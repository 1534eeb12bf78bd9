#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The cache's last head: the mean of all others, of K and of V. All heads are rotated alike, so the mean of the rotated is the
 * rotated mean. One channel of one token an invocation.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_MEAN)

Weights head_of(Weights cache, uint sequence, uint head, uint position)
{
	uint number = (sequence * (push.source_heads + 1) + head) * push.capacity + position;
	return Weights(address(uvec2(cache), number, push.head_size * WEIGHT_BYTES));
}

void main()
{
	uint i = linear_invocation();
	uint channel = i % push.head_size;
	uint row = i / push.head_size;
	if (row >= push.rows)
		return;
	uint sequence = row / push.tokens;
	uint position = push.position + row % push.tokens;
	float k = 0.0, v = 0.0;
	for (uint head = 0; head < push.source_heads; head++) {
		k += float(head_of(push.k_cache, sequence, head, position).at[channel]);
		v += float(head_of(push.v_cache, sequence, head, position).at[channel]);
	}
	head_of(push.k_cache, sequence, push.source_heads, position).at[channel] = WEIGHT(k / float(push.source_heads));
	head_of(push.v_cache, sequence, push.source_heads, position).at[channel] = WEIGHT(v / float(push.source_heads));
}
