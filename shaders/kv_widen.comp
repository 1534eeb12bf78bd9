#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A range of keys of the cache in f32, for attention that would convert them again for every tile. A workgroup has GQE_WIDEN_KEYS keys
 * of a head, and its invocations neighbouring pairs of channels: an item an invocation would divide its number three times, which a CPU
 * driver does lane by lane.
 */
#include "common/kernel.glsl"
#include "common/lanes.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_WIDEN)

void store_widened(Floats wide, uint pair, uint halves)
{
	vec2 channels = unpackHalf2x16(halves);
	wide.at[2 * pair] = channels.x;
	wide.at[2 * pair + 1] = channels.y;
}

void widen(Weights cache, Floats wide, uint from, uint to)
{
	Ints row = Ints(address(uvec2(cache), from, push.head_size * WEIGHT_BYTES));
	Floats wide_row = Floats(address(uvec2(wide), to, push.head_size * 4));
	const uint pairs = push.head_size / 2;
	if (pairs >= config_workgroup) {
		uint first = 0;
		do {
			/* Pairs that do not fill the workgroup once more are widened together with some before them. */
			uint own = min(first, pairs - config_workgroup);
			store_widened(wide_row, own + gl_LocalInvocationIndex, load_lane_word(row, own));
			first += config_workgroup;
		} while (first < pairs);
	} else if (gl_LocalInvocationIndex < pairs) {
		store_widened(wide_row, gl_LocalInvocationIndex, uint(row.at[gl_LocalInvocationIndex]));
	}
}

void main()
{
	uint blocks = (push.keys + GQE_WIDEN_KEYS - 1) / GQE_WIDEN_KEYS;
	uint number = linear_workgroup();
	uint head = number / blocks, first = number % blocks * GQE_WIDEN_KEYS;
	if (head >= push.heads)
		return;
	uint from = head * push.capacity + push.first_key, to = head * push.wide_capacity;
	uint end = min(first + GQE_WIDEN_KEYS, push.keys);
	do {
		uint key = min(first, end - 1);
		widen(push.k_cache, push.k, from + key, to + key);
		widen(push.v_cache, push.v, from + key, to + key);
		first++;
	} while (first < end);
}
