#version 460
#extension GL_GOOGLE_include_directive : require

/* Rotates K and writes K and V into the cache, one pair of channels of one cache head an invocation. */
#include "common/kernel.glsl"
#include "common/rope.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_STORE)

vec2 load_pair(Floats from, uint base, uvec2 channels)
{
	return vec2(from.at[base + channels.x], from.at[base + channels.y]);
}

void store_pair(Weights cache, uint cache_head, uint position, uvec2 channels, vec2 value)
{
	uvec2 place = address(uvec2(cache), cache_head * push.capacity + position, push.head_size * WEIGHT_BYTES);
	Weights(place).at[channels.x] = WEIGHT(value.x);
	Weights(place).at[channels.y] = WEIGHT(value.y);
}

void main()
{
	uint pairs = push.head_size / 2;
	uint cache_heads = push.source_heads + push.mean_head;
	uint i = linear_invocation();
	if (i >= push.rows * cache_heads * pairs)
		return;
	uint pair = i % pairs;
	uint head = i / pairs % cache_heads;
	uint row = i / pairs / cache_heads;
	uint position = push.position + row % push.tokens;
	uvec2 channels = rope_channels(push.rope_kind, push.head_size, pair);

	/* All heads are rotated by the same angle, so the mean of the rotated is the rotated mean. */
	bool is_mean = head == push.source_heads;
	uint first = is_mean ? 0 : head;
	uint count = is_mean ? push.source_heads : 1;
	vec2 k = vec2(0.0), v = vec2(0.0);
	for (uint source = first; source < first + count; source++) {
		uint base = (row * push.source_heads + source) * push.head_size;
		k += load_pair(push.k, base, channels);
		v += load_pair(push.v, base, channels);
	}
	if (is_mean) {
		k /= float(count);
		v /= float(count);
	}
	k = rope_rotate(push.rope_kind, push.rope_high, push.rope_low, push.head_size, position, pair, k);

	uint cache_head = row / push.tokens * cache_heads + head;
	store_pair(push.k_cache, cache_head, position, channels, k);
	store_pair(push.v_cache, cache_head, position, channels, v);
}
