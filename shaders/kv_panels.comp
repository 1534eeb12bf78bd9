#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A range of keys of the cache for attention with a row in each lane: in f32, as it would convert them again for every tile, and
 * in panels of as many keys as it takes at a time, whose elements lie in the order in which it reads them. A workgroup has
 * GQE_PANELS panels of a head of K, or of one of V, which come after all of K, and its invocations neighbouring pairs of channels
 * of two keys, so that what they store are pairs too.
 */
#include "common/kernel.glsl"
#include "common/lanes.glsl"
#include "common/two_words.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_PANELS)

/* Pairs of channels that an invocation takes at constant distances from one address. */
#define PAIRS_AT_ONCE 4

const uint whole_pairs = PAIRS_AT_ONCE * config_workgroup;

/* A pair of channels of two keys, into the panel's places of the first of them. */
void store_pair(Floats panel, uint pair, uint first, uint second)
{
	vec2 channels = unpackHalf2x16(first), next_channels = unpackHalf2x16(second);
	uint place = pair * push.panel_keys;
	store_two(panel, place, vec2(channels.x, next_channels.x));
	store_two(panel, place + push.panel_keys / 2, vec2(channels.y, next_channels.y));
}

void fill_two_keys(Ints first_key, Ints second_key, Floats panel, uint pairs, uint own)
{
	if (pairs >= whole_pairs) {
		uint first = 0;
		do {
			/* Pairs that are too few are taken together with some before them. */
			uint pair = min(first, pairs - whole_pairs);
			Ints one = Ints(address(uvec2(first_key), pair, 4)), other = Ints(address(uvec2(second_key), pair, 4));
			Floats places = Floats(address(uvec2(panel), pair * 2 * push.panel_keys, 4));
			[[unroll]] for (uint i = 0; i < whole_pairs; i += config_workgroup)
				store_pair(places, i + own, load_lane_word(one, i, own), load_lane_word(other, i, own));
			first += whole_pairs;
		} while (first < pairs);
	} else {
		for (uint pair = own; pair < pairs; pair += config_workgroup)
			store_pair(panel, pair, first_key.at[pair], second_key.at[pair]);
	}
}

/* Keys from...from + keys - 1 of the cache, as keys to and so on of the panels; what is left of the last one gets the last key. */
void fill(Weights cache, Floats panels, uint from, uint to, uint keys, uint own)
{
	uint key = 0;
	do {
		Floats panel = Floats(address(uvec2(panels), to + key, push.head_size * 4));
		uint place = 0;
		do {
			uint first = min(key + place, keys - 1), second = min(key + place + 1, keys - 1);
			fill_two_keys(Ints(address(uvec2(cache), from + first, push.head_size * WEIGHT_BYTES)),
				      Ints(address(uvec2(cache), from + second, push.head_size * WEIGHT_BYTES)),
				      Floats(address(uvec2(panel), place, 4)), push.head_size / 2, own);
			place += 2;
		} while (place < push.panel_keys);
		key += push.panel_keys;
	} while (key < keys);
}

void main()
{
	uint own = lane_number();
	uint most_keys = GQE_PANELS * push.panel_keys, blocks = (push.keys + most_keys - 1) / most_keys;
	uint number = linear_workgroup();
	uint head = number / blocks, first = number % blocks * most_keys;
	if (head >= 2 * push.heads)
		return;
	bool is_k = head < push.heads;
	head -= is_k ? 0 : push.heads;
	uvec2 cache = is_k ? uvec2(push.k_cache) : uvec2(push.v_cache), panels = is_k ? uvec2(push.k) : uvec2(push.v);
	fill(Weights(cache), Floats(panels), head * push.capacity + push.first_key + first, head * push.panel_capacity + first,
	     min(push.keys - first, most_keys), own);
}
