#version 460
#extension GL_GOOGLE_include_directive : require

/* The weighted-sum slot, then the scaling of the hard slots: a token a workgroup, whose invocations are neighbouring channels. */
#include "common/kernel.glsl"
#include "common/lanes.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_COMBINE)

/* An invocation's channels share the loads of the weights; there are config_columns of them. */
const uint whole_channels = config_columns * config_workgroup;

uint row, own; /* own: the lane_number() */

uint slot_at(uint slot)
{
	return (row * push.o_slots + slot) * push.head_size;
}

/* Channels first...first + whole_channels - 1 of the weighted sum, all of which exist. */
void sum_whole(uint first)
{
	float sum[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		sum[c] = 0.0;
	uint slot = 0;
	do {
		float gate = push.gate.at[row * push.hard_slots + slot];
		Floats o = Floats(address(uvec2(push.o), slot_at(slot) + first, 4));
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			sum[c] += gate * load_lane(o, c * config_workgroup, own);
		slot++;
	} while (slot < push.hard_slots);
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		push.o.at[slot_at(push.weighted_slot) + first + c * config_workgroup + own] = sum[c];
}

void sum_one(uint channel)
{
	float sum = 0.0;
	for (uint slot = 0; slot < push.hard_slots; slot++)
		sum += push.gate.at[row * push.hard_slots + slot] * push.o.at[slot_at(slot) + channel];
	push.o.at[slot_at(push.weighted_slot) + channel] = sum;
}

void sum_slots()
{
	uint whole = push.head_size / whole_channels * whole_channels;
	if (whole > 0) {
		uint first = 0;
		do {
			sum_whole(min(first, whole - whole_channels));
			first += whole_channels;
		} while (first < whole);
	}
	for (uint channel = whole + own; channel < push.head_size; channel += config_workgroup)
		sum_one(channel);
}

void scale_slots()
{
	for (uint slot = 0; slot < push.hard_slots; slot++) {
		float scale = push.selected.at[row * push.hard_slots + slot];
		for (uint channel = own; channel < push.head_size; channel += config_workgroup)
			push.o.at[slot_at(slot) + channel] *= scale;
	}
}

void main()
{
	row = linear_workgroup();
	own = lane_number();
	if (row >= push.rows)
		return;
	if (push.weighted_slot != GQE_NONE)
		sum_slots();
	/* Each element by the invocation that has read it for the sum. */
	if (push.scale_hard != 0)
		scale_slots();
}
