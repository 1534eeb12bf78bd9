#version 460
#extension GL_GOOGLE_include_directive : require

/* Rotates and scales q in place, one pair of channels an invocation. */
#include "common/kernel.glsl"
#include "common/rope.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ROPE_QUERY)

void main()
{
	uint pairs = push.head_size / 2;
	uint i = linear_invocation();
	if (i >= push.rows * push.q_slots * pairs)
		return;
	uint pair = i % pairs;
	uint head = i / pairs;
	uint position = push.position + head / push.q_slots % push.tokens;
	uvec2 channels = head * push.head_size + rope_channels(push.rope_kind, push.head_size, pair);
	vec2 value = vec2(push.q.at[channels.x], push.q.at[channels.y]);
	value = rope_rotate(push.rope_kind, push.rope_high, push.rope_low, push.head_size, position, pair, value);
	push.q.at[channels.x] = value.x * push.scale;
	push.q.at[channels.y] = value.y * push.scale;
}
