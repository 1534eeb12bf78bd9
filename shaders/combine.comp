#version 460
#extension GL_GOOGLE_include_directive : require

/* The weighted-sum slot, then the scaling of the hard slots: one channel of one token an invocation. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_COMBINE)

void main()
{
	uint i = linear_invocation();
	if (i >= push.rows * push.head_size)
		return;
	uint row = i / push.head_size;
	uint channel = i % push.head_size;
	uint base = row * push.o_slots * push.head_size + channel;
	uint weights = row * push.hard_slots;
	float sum = 0.0;
	for (uint slot = 0; slot < push.hard_slots; slot++) {
		uint at = base + slot * push.head_size;
		float value = push.o.at[at];
		if (push.weighted_slot != GQE_NONE)
			sum += push.gate.at[weights + slot] * value;
		if (push.scale_hard != 0)
			push.o.at[at] = push.selected.at[weights + slot] * value;
	}
	if (push.weighted_slot != GQE_NONE)
		push.o.at[base + push.weighted_slot * push.head_size] = sum;
}
