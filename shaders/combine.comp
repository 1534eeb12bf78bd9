#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The weighted-sum slot, then the scaling of the hard slots: GQE_COMBINE_PAIRS pairs of channels of one token an invocation, which
 * share their weights.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_COMBINE)

vec2 load_pair(uint at)
{
	return vec2(push.o.at[at], push.o.at[at + 1]);
}

void store_pair(uint at, vec2 value)
{
	push.o.at[at] = value.x;
	push.o.at[at + 1] = value.y;
}

void main()
{
	const uint own_channels = 2 * GQE_COMBINE_PAIRS;
	uint parts = (push.head_size + own_channels - 1) / own_channels;
	uint i = linear_invocation();
	uint row = i / parts;
	if (row >= push.rows)
		return;
	uint base = row * push.o_slots * push.head_size, weights = row * push.hard_slots;
	uint channel[GQE_COMBINE_PAIRS]; /* past the last, the last pair again */
	bool exists[GQE_COMBINE_PAIRS];
	vec2 sum[GQE_COMBINE_PAIRS];
	[[unroll]] for (uint p = 0; p < GQE_COMBINE_PAIRS; p++) {
		channel[p] = i % parts * own_channels + 2 * p;
		exists[p] = channel[p] < push.head_size;
		channel[p] = min(channel[p], push.head_size - 2);
		sum[p] = vec2(0.0);
	}
	for (uint slot = 0; slot < push.hard_slots; slot++) {
		uint first = base + slot * push.head_size;
		float gate = push.weighted_slot != GQE_NONE ? push.gate.at[weights + slot] : 0.0;
		float scale = push.scale_hard != 0 ? push.selected.at[weights + slot] : 0.0;
		[[unroll]] for (uint p = 0; p < GQE_COMBINE_PAIRS; p++) {
			vec2 value = load_pair(first + channel[p]);
			sum[p] += gate * value;
			if (push.scale_hard != 0 && exists[p])
				store_pair(first + channel[p], scale * value);
		}
	}
	if (push.weighted_slot == GQE_NONE)
		return;
	[[unroll]] for (uint p = 0; p < GQE_COMBINE_PAIRS; p++)
		if (exists[p])
			store_pair(base + push.weighted_slot * push.head_size + channel[p], sum[p]);
}
