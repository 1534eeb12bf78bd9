#version 460
#extension GL_GOOGLE_include_directive : require

/* The weighted-sum slot, then the scaling of the hard slots: a token a workgroup, whose invocations are neighbouring channels. */
#include "common/kernel.glsl"
#include "common/lanes.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_COMBINE)

/* An invocation's channels share the loads of the weights; there are config_columns of them. */
const uint whole_channels = config_columns * config_workgroup;

uint row;

uint slot_at(uint slot)
{
	return (row * push.o_slots + slot) * push.head_size;
}

float gate_of(uint slot)
{
	return push.weighted_slot != GQE_NONE ? push.gate.at[row * push.hard_slots + slot] : 0.0;
}

float scale_of(uint slot)
{
	return push.scale_hard != 0 ? push.selected.at[row * push.hard_slots + slot] : 0.0;
}

/* Channels first...first + whole_channels - 1, all of which exist. */
void combine_whole(uint first)
{
	float sum[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		sum[c] = 0.0;
	uint slot = 0;
	do {
		float gate = gate_of(slot), scale = scale_of(slot);
		[[unroll]] for (uint c = 0; c < config_columns; c++) {
			uint at = slot_at(slot) + first + c * config_workgroup;
			float value = load_lane(push.o, at);
			sum[c] += gate * value;
			if (push.scale_hard != 0)
				push.o.at[at + gl_LocalInvocationIndex] = scale * value;
		}
		slot++;
	} while (slot < push.hard_slots);
	if (push.weighted_slot != GQE_NONE)
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			push.o.at[slot_at(push.weighted_slot) + first + c * config_workgroup + gl_LocalInvocationIndex] = sum[c];
}

void combine_one(uint channel)
{
	float sum = 0.0;
	for (uint slot = 0; slot < push.hard_slots; slot++) {
		uint at = slot_at(slot) + channel;
		float value = push.o.at[at];
		sum += gate_of(slot) * value;
		if (push.scale_hard != 0)
			push.o.at[at] = scale_of(slot) * value;
	}
	if (push.weighted_slot != GQE_NONE)
		push.o.at[slot_at(push.weighted_slot) + channel] = sum;
}

void main()
{
	row = linear_workgroup();
	if (row >= push.rows)
		return;
	uint whole = push.head_size / whole_channels * whole_channels;
	if (whole > 0) {
		uint first = 0;
		do {
			combine_whole(min(first, whole - whole_channels));
			first += whole_channels;
		} while (first < whole);
	}
	for (uint channel = whole + gl_LocalInvocationIndex; channel < push.head_size; channel += config_workgroup)
		combine_one(channel);
}
