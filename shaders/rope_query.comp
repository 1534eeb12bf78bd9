#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Rotates and scales q in place: one pair of channels an invocation, in GQE_ROPE_HEADS slots, which share the angle and the
 * divisions that find it.
 */
#include "common/kernel.glsl"
#include "common/rope.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ROPE_QUERY)

void main()
{
	uint pairs = push.head_size / 2;
	uint slot_groups = (push.q_slots + GQE_ROPE_HEADS - 1) / GQE_ROPE_HEADS;
	uint i = linear_invocation();
	uint pair = i % pairs;
	uint row = i / pairs / slot_groups;
	if (row >= push.rows)
		return;
	uint first_slot = i / pairs % slot_groups * GQE_ROPE_HEADS;
	uint position = push.position + row % push.tokens;
	vec2 turn = rope_turn(push.rope_kind, push.rope_high, push.rope_low, push.head_size, position, pair);
	uvec2 pair_channels = rope_channels(push.rope_kind, push.head_size, pair);
	[[unroll]] for (uint j = 0; j < GQE_ROPE_HEADS; j++) {
		if (first_slot + j >= push.q_slots)
			break;
		uvec2 channels = (row * push.q_slots + first_slot + j) * push.head_size + pair_channels;
		vec2 value = rope_rotate(turn, vec2(push.q.at[channels.x], push.q.at[channels.y]));
		push.q.at[channels.x] = value.x * push.scale;
		push.q.at[channels.y] = value.y * push.scale;
	}
}
