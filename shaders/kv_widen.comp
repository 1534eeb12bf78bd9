#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A range of keys of the cache in f32, for attention that would convert them again for every tile: two channels an invocation, loaded
 * as one word, as a CPU driver loads lane by lane.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_WIDEN)

void widen(Weights cache, Floats wide, uint from, uint to, uint pair)
{
	Ints row = Ints(address(uvec2(cache), from, push.head_size * WEIGHT_BYTES));
	vec2 channels = unpackHalf2x16(uint(row.at[pair]));
	wide.at[to] = channels.x;
	wide.at[to + 1] = channels.y;
}

void main()
{
	uint pairs = push.head_size / 2;
	uint i = linear_invocation();
	uint pair = i % pairs, key = i / pairs % push.keys, head = i / pairs / push.keys;
	if (head >= push.heads)
		return;
	uint from = head * push.capacity + push.first_key + key;
	uint to = (head * push.wide_capacity + key) * push.head_size + 2 * pair;
	widen(push.k_cache, push.k, from, to, pair);
	widen(push.v_cache, push.v, from, to, pair);
}
