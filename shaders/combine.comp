#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The weighted-sum slot, then the scaling of the hard slots: two channels of one token an invocation, which share their
 * weights.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_COMBINE)

void main()
{
	uint pairs = push.head_size / 2;
	uint i = linear_invocation();
	uint row = i / pairs;
	if (row >= push.rows)
		return;
	uint base = row * push.o_slots * push.head_size + 2 * (i % pairs);
	uint weights = row * push.hard_slots;
	vec2 sum = vec2(0.0);
	for (uint slot = 0; slot < push.hard_slots; slot++) {
		uint at = base + slot * push.head_size;
		vec2 value = vec2(push.o.at[at], push.o.at[at + 1]);
		if (push.weighted_slot != GQE_NONE)
			sum += push.gate.at[weights + slot] * value;
		if (push.scale_hard != 0) {
			value *= push.selected.at[weights + slot];
			push.o.at[at] = value.x;
			push.o.at[at + 1] = value.y;
		}
	}
	if (push.weighted_slot != GQE_NONE) {
		uint at = base + push.weighted_slot * push.head_size;
		push.o.at[at] = sum.x;
		push.o.at[at + 1] = sum.y;
	}
}
