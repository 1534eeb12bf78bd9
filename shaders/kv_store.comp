#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Rotates K and writes K and V into the cache: one pair of channels an invocation, of GQE_ROPE_HEADS cache heads, which share the
 * angle and the divisions that find it.
 */
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

/* K and V of a head's pair of channels before rotation. All heads are rotated alike, so the mean of the rotated is the rotated mean. */
void load_head(uint row, uint head, uvec2 channels, out vec2 k, out vec2 v)
{
	uint base = row * push.source_heads * push.head_size;
	if (head < push.source_heads) {
		k = load_pair(push.k, base + head * push.head_size, channels);
		v = load_pair(push.v, base + head * push.head_size, channels);
		return;
	}
	k = v = vec2(0.0);
	for (uint source = 0; source < push.source_heads; source++) {
		k += load_pair(push.k, base + source * push.head_size, channels);
		v += load_pair(push.v, base + source * push.head_size, channels);
	}
	k /= float(push.source_heads);
	v /= float(push.source_heads);
}

void main()
{
	uint pairs = push.head_size / 2;
	uint cache_heads = push.source_heads + push.mean_head;
	uint head_groups = (cache_heads + GQE_ROPE_HEADS - 1) / GQE_ROPE_HEADS;
	uint i = linear_invocation();
	uint pair = i % pairs;
	uint row = i / pairs / head_groups;
	if (row >= push.rows)
		return;
	uint first_head = i / pairs % head_groups * GQE_ROPE_HEADS;
	uint position = push.position + row % push.tokens;
	uint first_cache_head = row / push.tokens * cache_heads;
	uvec2 channels = rope_channels(push.rope_kind, push.head_size, pair);
	vec2 turn = rope_turn(push.rope_kind, push.rope_high, push.rope_low, push.head_size, position, pair);
	[[unroll]] for (uint j = 0; j < GQE_ROPE_HEADS; j++) {
		uint head = first_head + j;
		if (head >= cache_heads)
			break;
		vec2 k, v;
		load_head(row, head, channels, k, v);
		store_pair(push.k_cache, first_cache_head + head, position, channels, rope_rotate(turn, k));
		store_pair(push.v_cache, first_cache_head + head, position, channels, v);
	}
}
