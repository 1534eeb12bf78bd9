#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A range of keys of the cache in f32, for attention that would convert them again for every tile. A workgroup has GQE_WIDEN_KEYS keys
 * of a head, which lie one after the other, and its invocations neighbouring pairs of channels: an item an invocation would divide its
 * number three times, which a CPU driver does lane by lane.
 */
#include "common/kernel.glsl"
#include "common/lanes.glsl"
#include "common/two_words.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_WIDEN)

/* Pairs that an invocation widens at constant distances from one address. */
#define PAIRS_AT_ONCE 8

const uint whole_pairs = PAIRS_AT_ONCE * config_workgroup;

/* `pairs` pairs of channels from key `from` of the cache on, to key `to`. */
void widen(Weights cache, Floats wide, uint from, uint to, uint pairs, uint own)
{
	Ints halves = Ints(address(uvec2(cache), from, push.head_size * WEIGHT_BYTES));
	Floats floats = Floats(address(uvec2(wide), to, push.head_size * 4));
	if (pairs >= whole_pairs) {
		uint first = 0;
		do {
			/* Pairs that are too few are widened together with some before them. */
			uint pair = min(first, pairs - whole_pairs);
			Ints some = Ints(address(uvec2(halves), pair, 4));
			Floats widened = Floats(address(uvec2(floats), pair, 8));
			[[unroll]] for (uint i = 0; i < whole_pairs; i += config_workgroup)
				store_two(widened, i + own, unpackHalf2x16(load_lane_word(some, i, own)));
			first += whole_pairs;
		} while (first < pairs);
	} else {
		for (uint pair = own; pair < pairs; pair += config_workgroup)
			store_two(floats, pair, unpackHalf2x16(halves.at[pair]));
	}
}

void main()
{
	uint own = lane_number();
	uint blocks = (push.keys + GQE_WIDEN_KEYS - 1) / GQE_WIDEN_KEYS;
	uint number = linear_workgroup();
	uint head = number / blocks, first = number % blocks * GQE_WIDEN_KEYS;
	if (head >= push.heads)
		return;
	uint from = head * push.capacity + push.first_key + first, to = head * push.wide_capacity + first;
	uint pairs = min(push.keys - first, GQE_WIDEN_KEYS) * (push.head_size / 2);
	widen(push.k_cache, push.k, from, to, pairs, own);
	widen(push.v_cache, push.v, from, to, pairs, own);
}
